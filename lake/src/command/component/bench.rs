//! `heplake component bench`: what an item costs.

use super::{
    component_file::Settings,
    control::{ControlArguments, EdgeControl},
    crate_directory::{self, CrateDirectory},
    sample_files,
    trial::{Trial, TrialError},
};
use crate::command::print;
use clap::Args;
use heplake_host::{
    BATCH_BYTES_MAX, BATCH_PACKETS_MAX, ParserComponent, configuration::Configuration,
    process::Failure,
};
use heplake_sdk::{Batch, samples};
use std::{
    fmt::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

/// Batches before any is timed: memory is there then, and caches are warm.
const WARM_UP: usize = 20;
/// The best of these counts: what disturbs a measurement only ever adds to it.
const ROUNDS: usize = 200;

/// Arguments of `heplake component bench`.
#[derive(Args)]
#[command(
    after_help = "Fills batches of 512 items with the samples, over and over, and tells the best of 200\n\
        batches. Components that are compared take turns. The native figure is that of the crate's\n\
        own bench target `native`; --no-native leaves it out.\n\n\
        Examples:\n  \
        heplake component bench\n  \
        heplake component bench --against before.wasm\n  \
        heplake component bench --against-active        the one of its name that serves"
)]
pub(super) struct BenchArguments {
    /// Directory of the crate, or of the samples
    #[arg(value_name = "DIR", default_value = ".")]
    directory: PathBuf,
    /// The component, instead of building one
    #[arg(long, value_name = "FILE")]
    component: Option<PathBuf>,
    /// Another component to compare with
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,
    /// Compare with the component of the same name that serves at a running edge
    #[arg(long, conflicts_with = "against")]
    against_active: bool,
    #[command(flatten)]
    control: ControlArguments,
    /// Do not measure natively
    #[arg(long)]
    no_native: bool,
    #[command(flatten)]
    settings: Settings,
}

pub(super) fn run(
    arguments: &BenchArguments,
    configuration: impl FnOnce() -> Result<Configuration, Failure>,
) -> Result<(), Failure> {
    let path = match &arguments.component {
        Some(path) => path.clone(),
        None => CrateDirectory::find(&arguments.directory)?.build()?,
    };
    let files = sample_files::read(&arguments.directory)?;
    let samples: Vec<_> = files.iter().flat_map(|file| &file.samples).collect();
    let parser = arguments.settings.load_parser(&path)?;
    let other = match (&arguments.against, arguments.against_active) {
        (Some(against), _) => {
            let parser = arguments.settings.load_parser(against)?;
            Some((crate_directory::shown(against), parser))
        }
        (None, true) => {
            let edge = EdgeControl::new(&arguments.control, &configuration()?)?;
            let (digest, bytes) = edge.active(&parser.named().name)?;
            let whence = format!("active {}", digest.get(..12).unwrap_or(&digest));
            let parser = arguments.settings.parser(&whence, &bytes)?;
            Some((whence, parser))
        }
        (None, false) => None,
    };
    let mut parsers = vec![(crate_directory::shown(&path), parser)];
    parsers.extend(other);

    let mut subjects = Vec::with_capacity(parsers.len());
    for (whence, parser) in &parsers {
        let failed = |error: TrialError| Failure::of(whence, &error);
        // Each has the context that it asks for.
        let one_round =
            samples::batch(&samples, parser.description()).map_err(|error| failed(error.into()))?;
        let fitting = BATCH_BYTES_MAX / one_round.bytes.len().div_ceil(samples.len()).max(1);
        let items: Vec<_> = samples
            .iter()
            .copied()
            .cycle()
            .take(fitting.clamp(1, BATCH_PACKETS_MAX))
            .collect();
        let batch =
            samples::batch(&items, parser.description()).map_err(|error| failed(error.into()))?;
        let subject = Subject::new(parser, batch).map_err(failed)?;
        subjects.push(subject);
    }
    for _ in 0..ROUNDS {
        for (subject, (whence, _)) in subjects.iter_mut().zip(&parsers) {
            let ran = subject.round();
            ran.map_err(|error| Failure::of(whence, &error))?;
        }
    }

    let native_ns = match arguments.no_native || arguments.component.is_some() {
        true => None,
        false => native(&arguments.directory)?,
    };
    let mut page = format!(
        "{} samples, batches of {} items\n{:<40} {:>10} {:>14} {:>9}\n",
        samples.len(),
        subjects.first().map_or(0, Subject::items),
        "",
        "ns an item",
        "bytes returned",
        "rows"
    );
    if let Some(ns) = native_ns {
        let _ = writeln!(page, "{:<40} {ns:>10.1}", "native");
    }
    for (subject, (whence, _)) in subjects.iter().zip(&parsers) {
        let _ = writeln!(
            page,
            "{whence:<40} {:>10.1} {:>14.1} {:>9.2}",
            subject.ns_min, subject.bytes_returned, subject.rows
        );
    }
    if cfg!(debug_assertions) {
        page.push_str(
            "this heplake is a debug build: what the host does costs more than it need\n",
        );
    }
    if let (Some(native), [own, ..]) = (native_ns, subjects.as_slice()) {
        let _ = writeln!(page, "sandbox over native: {:.2}", own.ns_min / native);
    }
    if let [own, other] = subjects.as_slice() {
        let _ = writeln!(
            page,
            "this over the other: {:.2}",
            own.ns_min / other.ns_min
        );
    }
    print(page)
}

/// A component that is measured. All figures are for an item.
struct Subject<'a> {
    trial: Trial<'a>,
    batch: Batch<'static>,
    ns_min: f64,
    bytes_returned: f64,
    rows: f64,
}

impl<'a> Subject<'a> {
    fn new(parser: &'a ParserComponent, batch: Batch<'static>) -> Result<Self, TrialError> {
        let mut trial = Trial::new(parser)?;
        let parsed = trial.parse(&batch)?;
        for _ in 0..WARM_UP {
            trial.drive(&batch)?;
        }
        let items = batch.ends.len() as f64;
        let bytes_returned = parsed.cells.len() * 8
            + (parsed.items.len() + parsed.verdicts.len()) * 4
            + parsed.scratch.len();
        Ok(Self {
            trial,
            batch,
            ns_min: f64::INFINITY,
            bytes_returned: bytes_returned as f64 / items,
            rows: parsed.items.len() as f64 / items,
        })
    }

    fn items(&self) -> usize {
        self.batch.ends.len()
    }

    fn round(&mut self) -> Result<(), TrialError> {
        let start = Instant::now();
        self.trial.drive(&self.batch)?;
        let ns = start.elapsed().as_nanos() as f64 / self.items() as f64;
        self.ns_min = self.ns_min.min(ns);
        Ok(())
    }
}

/// The native figure, in ns an item: the crate's bench target `native` prints it.
fn native(directory: &Path) -> Result<Option<f64>, Failure> {
    let directory = CrateDirectory::find(directory)?;
    if !directory.path().join("benches/native.rs").is_file() {
        return Ok(None);
    }
    let failed = |why: String| {
        Failure::Failed(format!(
            "`cargo bench --bench native` failed: {why} (--no-native leaves it out)"
        ))
    };
    let output = Command::new(crate_directory::cargo())
        .current_dir(directory.path())
        .args(["bench", "--quiet", "--bench", "native"])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| failed(error.to_string()))?;
    let said = String::from_utf8_lossy(&output.stdout);
    match native_ns(&said) {
        Some(ns) if output.status.success() => Ok(Some(ns)),
        Some(_) => Err(failed(output.status.to_string())),
        None => Err(failed(format!(
            "it prints no line such as `native 81.5 ns an item`, but \"{}\"",
            said.trim()
        ))),
    }
}

fn native_ns(said: &str) -> Option<f64> {
    said.lines()
        .filter_map(|line| line.strip_prefix("native "))
        .find_map(|rest| rest.split_whitespace().next()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::native_ns;

    #[test]
    fn finds_the_native_figure_in_what_a_bench_prints() {
        assert_eq!(native_ns("warming\nnative 81.5 ns an item\n"), Some(81.5));
        for said in ["", "native", "native fast", "81.5 native 2"] {
            assert_eq!(native_ns(said), None, "{said}");
        }
    }
}
