//! Long runs that are too long for an ordinary test: `cargo xtask soak edge --minutes 10`.

use clap::{Parser, Subcommand};
use heplake_format::Commit;
use heplake_host::{
    Edge,
    configuration::{Compression, EdgeSettings},
};
use heplake_tests::traffic::Traffic;
use std::{
    collections::BTreeMap,
    error::Error,
    fs,
    io::Write,
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::Path,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// Long runs of the house.
#[derive(Parser)]
#[command(name = "soak")]
struct Arguments {
    #[command(subcommand)]
    run: Run,
}

#[derive(Subcommand)]
enum Run {
    /// An edge at the full rate that one worker sustains over TCP: is its memory flat, and
    /// is every message committed once?
    Edge {
        /// How long.
        #[arg(long, default_value_t = 10.0)]
        minutes: f64,
        /// Messages a second to send; as fast as they are taken if left out.
        #[arg(long)]
        rate: Option<f64>,
    },
}

/// Messages made in advance and sent again and again.
const MESSAGES: usize = 65_536;
/// Messages a write.
const WRITE: usize = 256;
/// How often a line is printed.
const SAMPLE: Duration = Duration::from_secs(10);
/// What of the run is warming up: until then memory may grow.
const WARM_UP: f64 = 0.25;
/// How much the largest of the second half of what is left may be above that of the first:
/// what a flush holds comes and goes, a leak only comes.
const GROWTH_MAX: f64 = 1.10;

type Failed = Box<dyn Error>;

fn main() -> ExitCode {
    let Run::Edge { minutes, rate } = Arguments::parse().run;
    match edge(Duration::from_secs_f64(minutes * 60.0), rate) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("the soak could not be run: {error}");
            ExitCode::FAILURE
        }
    }
}

fn edge(duration: Duration, rate: Option<f64>) -> Result<bool, Failed> {
    let runtime = tokio::runtime::Runtime::new()?;
    let directory = tempfile::tempdir()?;
    let edge = runtime.block_on(Edge::start(settings(directory.path())?))?;
    let target = edge.tcp_address().ok_or("no TCP")?;
    let (sent, stop) = (
        Arc::new(AtomicU64::new(0)),
        Arc::new(AtomicBool::new(false)),
    );
    let sender = {
        let (sent, stop) = (sent.clone(), stop.clone());
        thread::spawn(move || send(target, rate, &sent, &stop).map_err(|error| error.to_string()))
    };

    let started = Instant::now();
    let (mut committed, mut before, mut memory) = (0, 0, Vec::new());
    println!(
        "{:>8} {:>14} {:>14} {:>12} {:>10}",
        "seconds", "sent", "committed", "messages/s", "RSS MiB"
    );
    while started.elapsed() < duration {
        thread::sleep(SAMPLE.min(duration));
        committed += take_commits(directory.path())?;
        let now = sent.load(Ordering::Relaxed);
        let resident = resident_mib()?;
        let seconds = started.elapsed().as_secs_f64();
        println!(
            "{seconds:>8.0} {now:>14} {committed:>14} {:>12.0} {resident:>10.1}",
            (now - before) as f64 / SAMPLE.min(duration).as_secs_f64()
        );
        before = now;
        if seconds > duration.as_secs_f64() * WARM_UP {
            memory.push(resident);
        }
    }
    stop.store(true, Ordering::Relaxed);
    sender.join().map_err(|_| "the sender panicked")??;
    runtime.block_on(edge.drain())?;
    committed += take_commits(directory.path())?;

    let sent = sent.load(Ordering::Relaxed);
    let (first, second) = memory.split_at(memory.len() / 2);
    let largest = |half: &[f64]| half.iter().copied().fold(0.0, f64::max);
    let (first, second) = (largest(first), largest(second));
    println!(
        "{sent} sent, {committed} committed; at most {first:.1} MiB resident in the first half, {second:.1} MiB in the second"
    );
    Ok(sent == committed && second <= first * GROWTH_MAX)
}

/// Sends until told to stop.
fn send(
    target: SocketAddr,
    rate: Option<f64>,
    sent: &AtomicU64,
    stop: &AtomicBool,
) -> Result<(), std::io::Error> {
    let mut traffic = Traffic::new(7, heplake_tests::traffic::now_us());
    let writes: Vec<Vec<u8>> = (0..MESSAGES / WRITE)
        .map(|_| (0..WRITE).flat_map(|_| traffic.packet()).collect())
        .collect();
    let mut connection = TcpStream::connect(target)?;
    let started = Instant::now();
    for write in writes.iter().cycle() {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        connection.write_all(write)?;
        let total = sent.fetch_add(WRITE as u64, Ordering::Relaxed) + WRITE as u64;
        if let Some(rate) = rate {
            let due = Duration::from_secs_f64(total as f64 / rate);
            thread::sleep(due.saturating_sub(started.elapsed()));
        }
    }
    Ok(())
}

/// Counts the rows of the commits that are there, and removes them with their files: ten
/// minutes at full rate would fill a disk.
fn take_commits(directory: &Path) -> Result<u64, Failed> {
    let mut rows = 0;
    let Ok(commits) = fs::read_dir(directory.join("commits/soak")) else {
        return Ok(0);
    };
    for entry in commits {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let commit = Commit::from_json(&fs::read(&path)?)?;
        for file in &commit.files {
            rows += file.record_count;
            fs::remove_file(directory.join(file.path.to_string()))?;
        }
        // The last one stays: an edge goes on from it.
        fs::rename(&path, path.with_extension("counted"))?;
    }
    Ok(rows)
}

/// Memory of this process that is resident.
fn resident_mib() -> Result<f64, Failed> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: f64 = line
        .ok_or("no VmRSS")?
        .trim()
        .trim_end_matches(" kB")
        .parse()?;
    Ok(kib / 1024.0)
}

fn settings(directory: &Path) -> Result<EdgeSettings, Failed> {
    const DAY: u64 = 86_400;
    Ok(EdgeSettings {
        name: "soak".parse()?,
        data_path: directory.into(),
        udp: None,
        tcp: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))),
        udp_receive_buffer_bytes: 4 << 20,
        tcp_connections_max: 4,
        tcp_idle_timeout: Duration::from_secs(60),
        worker_count: 1,
        queue_size: 200_000,
        batch_size: 500_000,
        flush_interval: Duration::from_secs(5),
        max_age: Duration::from_secs(3650 * DAY),
        max_skew: Duration::from_secs(DAY),
        compression: Compression::Snappy,
        store_keep_alives: false,
        components: BTreeMap::new(),
        deadline: Duration::from_secs(1),
        memory_bytes_max: 64 << 20,
    })
}
