//! Long runs that are too long for an ordinary test: `cargo xtask soak edge --minutes 10`.

mod edge;
mod swaps;

use clap::{Parser, Subcommand};
use heplake_format::Commit;
use heplake_host::configuration::{ComponentSettings, Compression, EdgeSettings};
use heplake_tests::{poison::poison, traffic::Traffic};
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
    /// Components swapped at that rate, canary and rollback among it: is every message
    /// committed once, and how long does a worker pause?
    Swaps {
        /// How many.
        #[arg(long, default_value_t = 1000)]
        swaps: usize,
        /// Time between two.
        #[arg(long, default_value_t = 100)]
        every_ms: u64,
    },
}

/// Messages made in advance and sent again and again.
const MESSAGES: usize = 65_536;
/// Messages a write.
const WRITE: usize = 256;
type Failed = Box<dyn Error>;

fn main() -> ExitCode {
    let done = match Arguments::parse().run {
        Run::Edge { minutes, rate } => edge::edge(Duration::from_secs_f64(minutes * 60.0), rate),
        Run::Swaps { swaps, every_ms } => swaps::swaps(swaps, Duration::from_millis(every_ms)),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("the soak could not be run: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Sends as fast as it is taken, or at a rate, until it is stopped.
struct Sender {
    sent: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: thread::JoinHandle<Result<(), std::io::Error>>,
}

impl Sender {
    fn start(target: SocketAddr, rate: Option<f64>) -> Self {
        let (sent, stop) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let (counted, stopped) = (sent.clone(), stop.clone());
        Self {
            sent,
            stop,
            thread: thread::spawn(move || send(target, rate, &counted, &stopped)),
        }
    }

    /// Messages sent so far.
    fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Stops; all messages sent.
    fn stop(self) -> Result<u64, Failed> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| "the sender panicked")??;
        Ok(self.sent.load(Ordering::Relaxed))
    }
}

/// Sends until told to stop.
fn send(
    target: SocketAddr,
    rate: Option<f64>,
    sent: &AtomicU64,
    stop: &AtomicBool,
) -> Result<(), std::io::Error> {
    let mut traffic = Traffic::new(7, heplake_tests::traffic::now_us());
    let mut random = fastrand::Rng::with_seed(7);
    let writes: Vec<Vec<u8>> = (0..MESSAGES / WRITE)
        .map(|_| {
            // One message of each write would trap the parser that a canary takes back. To
            // the shipped one it is a message of another method.
            let mut batch = traffic.batch(WRITE);
            poison(&mut batch, WRITE as u32, &mut random);
            batch.bytes
        })
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
        component_settings: ComponentSettings::in_directory(&directory.join("components")),
        deadline: Duration::from_secs(1),
        memory_bytes_max: 64 << 20,
    })
}
