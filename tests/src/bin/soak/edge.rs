//! An edge at the full rate that its workers sustain: is its memory flat, and is every
//! message committed once?

use crate::{Committed, Failed, Sender, settings};
use heplake_host::Edge;
use std::{
    fs, thread,
    time::{Duration, Instant},
};

/// How often a line is printed.
const SAMPLE: Duration = Duration::from_secs(10);
/// What of the run is warming up: until then memory may grow.
const WARM_UP: f64 = 0.25;
/// How much the largest of the second half of what is left may be above that of the first:
/// what a flush holds comes and goes, a leak only comes.
const GROWTH_MAX: f64 = 1.10;

pub(crate) fn edge(duration: Duration, rate: Option<f64>, workers: usize) -> Result<bool, Failed> {
    let runtime = tokio::runtime::Runtime::new()?;
    let directory = tempfile::tempdir()?;
    let edge = runtime.block_on(Edge::start(settings(directory.path(), workers)?))?;
    let target = edge.tcp_address().ok_or("no TCP")?;
    let sender = Sender::start(target, workers, rate);
    let mut committed = Committed::new(directory.path(), sender.first_us);

    let started = Instant::now();
    let (mut before, mut memory) = (0, Vec::new());
    println!(
        "{:>8} {:>14} {:>14} {:>12} {:>10}",
        "seconds", "sent", "committed", "messages/s", "RSS MiB"
    );
    while started.elapsed() < duration {
        thread::sleep(SAMPLE.min(duration));
        committed.take(|| sender.sent())?;
        let now = sender.sent();
        let resident = resident_mib()?;
        let seconds = started.elapsed().as_secs_f64();
        println!(
            "{seconds:>8.0} {now:>14} {:>14} {:>12.0} {resident:>10.1}",
            committed.rows,
            (now - before) as f64 / SAMPLE.min(duration).as_secs_f64()
        );
        before = now;
        if seconds > duration.as_secs_f64() * WARM_UP {
            memory.push(resident);
        }
    }
    let sent = sender.stop()?;
    runtime.block_on(edge.drain())?;
    committed.take(|| sent)?;

    let (first, second) = memory.split_at(memory.len() / 2);
    let largest = |half: &[f64]| half.iter().copied().fold(0.0, f64::max);
    let (first, second) = (largest(first), largest(second));
    println!("at most {first:.1} MiB resident in the first half, {second:.1} MiB in the second");
    Ok(committed.is_each_once(sent, workers) && second <= first * GROWTH_MAX)
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
