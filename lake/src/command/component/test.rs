//! `heplake component test`: samples through a component in the sandbox.

use super::{
    component_file::Settings,
    crate_directory::CrateDirectory,
    sample_files::{self, SampleFile},
    trial::Trial,
};
use crate::command::print;
use clap::Args;
use heplake_host::{ParserComponent, process::Failure};
use heplake_sdk::samples::{Answer, Sample};
use std::{fmt::Write, path::PathBuf};

/// Arguments of `heplake component test`.
#[derive(Args)]
#[command(
    after_help = "Reads DIR/samples/*.json, lists of inputs and of the rows that are expected of them. Each\n\
        goes through the component alone, then all together, since what stands beside a packet must\n\
        not change what is said of it. Without --component the crate is built first.\n\n\
        Examples:\n  \
        heplake component test\n  \
        heplake component test ../gauges\n  \
        heplake component test examples/c-graphite --component examples/c-graphite/graphite.wasm"
)]
pub(super) struct TestArguments {
    /// Directory of the crate, or of the samples
    #[arg(value_name = "DIR", default_value = ".")]
    directory: PathBuf,
    /// The component, instead of building one
    #[arg(long, value_name = "FILE")]
    component: Option<PathBuf>,
    #[command(flatten)]
    settings: Settings,
}

pub(super) fn run(arguments: &TestArguments) -> Result<(), Failure> {
    let path = match &arguments.component {
        Some(path) => path.clone(),
        None => CrateDirectory::find(&arguments.directory)?.build()?,
    };
    let parser = arguments.settings.load_parser(&path)?;
    let files = sample_files::read(&arguments.directory)?;
    let report = Report::of(&parser, &files)?;
    print(report.text)?;
    match report.failed {
        0 => Ok(()),
        failed => Err(Failure::Failed(format!(
            "{failed} of {} samples failed",
            report.samples
        ))),
    }
}

/// What came of all samples.
#[derive(Debug, Default)]
pub(super) struct Report {
    text: String,
    samples: usize,
    failed: usize,
}

impl Report {
    fn of(parser: &ParserComponent, files: &[SampleFile]) -> Result<Self, Failure> {
        let refused = |error| Failure::of(&parser.named().name, &error);
        let mut trial = Trial::new(parser).map_err(refused)?;
        let mut report = Self::default();
        let mut alone: Vec<(&Sample, Option<Answer>)> = Vec::new();
        for file in files {
            report.line(&file.path.display().to_string());
            for sample in &file.samples {
                let (differences, answer) = match trial.answer(sample) {
                    Ok(answer) => {
                        let differences = answer.differences(sample, parser.description());
                        let told = differences.iter().map(ToString::to_string).collect();
                        (told, Some(answer))
                    }
                    Err(error) => (vec![error.to_string()], None),
                };
                report.add(sample, &differences, answer.as_ref());
                alone.push((sample, answer));
            }
        }
        report.compare_with_together(&mut trial, &alone);
        let good = report.samples - report.failed;
        report.line(&format!(
            "{good} of {} samples are as expected",
            report.samples
        ));
        Ok(report)
    }

    fn add(&mut self, sample: &Sample, differences: &[String], answer: Option<&Answer>) {
        self.samples += 1;
        if differences.is_empty() {
            let said = answer.map_or_else(String::new, said);
            self.line(&format!("  ok      {}: {said}", sample.name));
            return;
        }
        self.failed += 1;
        self.line(&format!("  FAILED  {}", sample.name));
        for difference in differences {
            self.line(&format!("          {difference}"));
        }
    }

    /// What stands beside a packet must not change what is said of it.
    fn compare_with_together(
        &mut self,
        trial: &mut Trial<'_>,
        alone: &[(&Sample, Option<Answer>)],
    ) {
        let answered = alone
            .iter()
            .filter_map(|(sample, answer)| Some((*sample, answer.as_ref()?)));
        let (samples, alone): (Vec<_>, Vec<_>) = answered.unzip();
        match trial.answer_together(&samples) {
            Ok(together) => {
                for ((sample, alone), together) in samples.iter().zip(alone).zip(&together) {
                    if alone != together {
                        self.failed += 1;
                        self.line(&format!(
                            "  FAILED  {}\n          says something else when other packets stand \
                             beside it: {}, not {}",
                            sample.name,
                            shown(together),
                            shown(alone)
                        ));
                    }
                }
            }
            Err(error) => {
                self.failed += 1;
                self.line(&format!("  FAILED  all samples in one batch: {error}"));
            }
        }
    }

    fn line(&mut self, line: &str) {
        let _ = writeln!(self.text, "{line}");
    }
}

fn said(answer: &Answer) -> String {
    match answer.rows.len() {
        0 => answer.verdict.clone(),
        1 => "1 row".into(),
        rows => format!("{rows} rows"),
    }
}

fn shown(answer: &Answer) -> String {
    match answer.rows.as_slice() {
        [] => answer.verdict.clone(),
        rows => serde_json::json!(rows).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use heplake_components::shipped;
    use heplake_host::{Engine, Limits};
    use heplake_sdk::samples;

    /// Samples of SIP, which is shipped and so always there.
    fn report(samples: &str) -> Report {
        let engine = Engine::new().unwrap();
        let bytes = shipped("sip").unwrap().bytes;
        let parser = ParserComponent::load(&engine, bytes, "{}", Limits::default()).unwrap();
        let files = [SampleFile {
            path: "samples/sip.json".into(),
            samples: samples::read(samples).unwrap(),
        }];
        Report::of(&parser, &files).unwrap()
    }

    const MESSAGE: &str = "OPTIONS sip:a SIP/2.0\\r\\n\\r\\n";

    #[test]
    fn samples_that_a_component_answers_as_expected_are_good() {
        let report = report(&format!(
            r#"[{{"name": "options", "text": "{MESSAGE}", "expect": [
                {{"message": "{MESSAGE}", "method": "OPTIONS", "request_uri": "sip:a"}}]}},
               {{"name": "ping", "hex": "0d0a0d0a", "expect": "crlf"}}]"#
        ));
        assert_eq!((report.samples, report.failed), (2, 0), "{}", report.text);
        assert!(
            report.text.contains("ok      options: 1 row\n"),
            "{}",
            report.text
        );
    }

    #[test]
    fn every_difference_is_told_by_sample_row_and_field() {
        let report = report(&format!(
            r#"[{{"name": "options", "text": "{MESSAGE}", "expect": [
                {{"message": "{MESSAGE}", "method": "INVITE", "request_uri": "sip:a"}}]}},
               {{"name": "ping", "hex": "0d0a0d0a", "expect": "not_mine"}}]"#
        ));
        assert_eq!((report.samples, report.failed), (2, 2), "{}", report.text);
        for line in [
            "  FAILED  options\n",
            "row 1, field `method`: expected \"INVITE\", but it is \"OPTIONS\"\n",
            "expected not_mine, but it was",
        ] {
            assert!(report.text.contains(line), "{}", report.text);
        }
    }
}
