//! What a worker loses by an exchange: the exchange itself, and what the first batch takes
//! longer on instances that no cache knows.
//!
//! The worker is given batch after batch without a wait, so that nothing but its own work is
//! in what is measured, and components are swapped in it as they are in an edge.

use crate::{Failed, print_percentiles, sender::writes, settings, swaps::Turns};
use heplake_format::Sequence;
use heplake_host::{Amount, BATCH_PACKETS_MAX, Backlog, Control, PacketBatch, Worker, WorkerLink};
use std::{
    error::Error,
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};
use tokio::sync::mpsc;

/// Different batches. Each is held against itself: they are not equally much work.
const BATCHES: usize = 32;
/// Batches between two seals, which are not measured: files are dropped then. So few that no
/// row group of 100 000 rows ends within a batch, which any batch might be the one to do.
const SEAL_EVERY: usize = 96;
/// Time for what each batch takes otherwise, before the first swap.
const WARM_UP: Duration = Duration::from_secs(5);

/// Batches after an exchange from which on they are like any others.
const ORDINARY_SINCE: usize = 4;
/// What a worker may lose in 99 of a hundred exchanges, beyond what 99 of a hundred other
/// batches are late.
const GAP_MAX_US: f64 = 1000.0;

/// Of the worker's thread.
type Failure = Box<dyn Error + Send + Sync>;

/// A batch that was processed.
struct Seen {
    batch: usize,
    /// Batches since the last exchange: the first of a pipeline has none.
    since: usize,
    time: Time,
}

/// How long something took, µs.
struct Time {
    /// By the clock on the wall.
    wall_us: f64,
    /// What the thread had of the processor meanwhile: what else a machine does is not in it.
    ran_us: f64,
}

pub(crate) fn gap(swaps: usize, every: Duration) -> Result<bool, Failed> {
    let directory = tempfile::tempdir()?;
    let settings = settings(directory.path(), 1)?;
    let control = Control::open(&settings)?;
    let worker = Worker::new(
        control.pipeline(1)?,
        settings.name.clone(),
        settings.compression,
        Backlog::new(Amount::MAX),
    );
    // It never sleeps, so that nobody has to wake it.
    let (work, _works) = mpsc::channel(1);
    control.attach(vec![WorkerLink {
        exchange: worker.exchange().clone(),
        work: work.downgrade(),
        tally: worker.tally().clone(),
    }]);
    let mut turns = Turns::new(&control)?;
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = stop.clone();
    let batches = writes(7, BATCHES * BATCH_PACKETS_MAX, BATCH_PACKETS_MAX);
    let working = thread::spawn(move || process(worker, &batches, &stopped));

    thread::sleep(WARM_UP);
    for number in 1..=swaps {
        turns.turn(number)?;
        thread::sleep(every);
    }
    stop.store(true, Ordering::Relaxed);
    let seen = working.join().map_err(|_| "the worker panicked")?;
    control.detach();
    let seen = seen.map_err(|error| error.to_string())?;
    turns.print();
    Ok(report(&seen, turns.pauses_us))
}

/// Processes batches until it is stopped.
fn process(
    mut worker: Worker,
    batches: &[PacketBatch],
    stop: &AtomicBool,
) -> Result<Vec<Seen>, Failure> {
    let (mut seen, mut since) = (Vec::new(), usize::MAX);
    let mut seals_ms = Vec::new();
    let exchange = worker.exchange().clone();
    let mut taken = exchange.taken();
    let mut sequence = Sequence::FIRST;
    for (batch, packets) in batches.iter().enumerate().cycle() {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let packets = packets.clone();
        let (ran, begun) = (processor_us()?, Instant::now());
        worker.process(packets)?;
        let wall_us = begun.elapsed().as_secs_f64() * 1_000_000.0;
        let ran_us = processor_us()? - ran;
        // It may have been taken while files were sealed.
        let taken_before = std::mem::replace(&mut taken, exchange.taken());
        since = match taken == taken_before {
            true => since.saturating_add(1),
            false => 0,
        };
        let time = Time { wall_us, ran_us };
        seen.push(Seen { batch, since, time });
        if seen.len().is_multiple_of(SEAL_EVERY) {
            let begun = Instant::now();
            worker.seal(sequence)?;
            seals_ms.push(begun.elapsed().as_secs_f64() * 1000.0);
            sequence = sequence.next();
        }
    }
    print_percentiles("files sealed, ms", &mut seals_ms);
    Ok(seen)
}

/// What this thread has had of the processor, µs (proc(5), `schedstat`).
fn processor_us() -> Result<f64, Failure> {
    // It is counted up when the thread leaves the processor.
    thread::yield_now();
    let counted = fs::read_to_string("/proc/thread-self/schedstat")?;
    let ran = counted.split(' ').next().unwrap_or_default();
    Ok(ran.parse::<f64>()? / 1000.0)
}

/// Prints what was seen, and says whether it is little enough.
fn report(seen: &[Seen], mut exchanges_us: Vec<f64>) -> bool {
    println!(
        "{} batches of {BATCH_PACKETS_MAX} packets, {} exchanges",
        seen.len(),
        exchanges_us.len()
    );
    print_percentiles("an exchange, us", &mut exchanges_us);
    let wall = extras(seen, "by the clock", |time| time.wall_us);
    let ran = extras(seen, "by the processor's time", |time| time.ran_us);
    let counted = seen.iter().filter(|seen| seen.since == 0).count();
    counted == exchanges_us.len() && wall <= GAP_MAX_US && ran <= GAP_MAX_US
}

/// Prints what batches take, and what more they do after an exchange. Gives the 99th of a
/// hundred gaps, beyond what any batch is late in one of a hundred.
fn extras(seen: &[Seen], by: &str, time: impl Fn(&Time) -> f64) -> f64 {
    let ordinary = || seen.iter().filter(|seen| seen.since >= ORDINARY_SINCE);
    let medians: Vec<f64> = (0..BATCHES)
        .map(|batch| {
            let of_batch = ordinary().filter(|seen| seen.batch == batch);
            let mut times: Vec<f64> = of_batch.map(|seen| time(&seen.time)).collect();
            times.sort_by(f64::total_cmp);
            times.get(times.len() / 2).copied().unwrap_or(0.0)
        })
        .collect();
    let extra = |seen: &Seen| time(&seen.time) - medians.get(seen.batch).copied().unwrap_or(0.0);
    let since = |since: usize| -> Vec<f64> {
        let of = seen.iter().filter(|seen| seen.since == since);
        of.map(extra).collect()
    };
    let print =
        |what: &str, mut values: Vec<f64>| print_percentiles(&format!("  {what}, us"), &mut values);
    println!("{by}:");
    print("a batch", ordinary().map(|seen| time(&seen.time)).collect());
    let late = print(
        "beyond the median of the same packets",
        ordinary().map(extra).collect(),
    );
    let gap = print(
        "gap a worker saw: exchange + extra of the first batch",
        since(0),
    );
    print("extra of the second batch", since(1));
    let pairs = seen.array_windows();
    let before = pairs
        .filter(|[_, next]| next.since == 0)
        .map(|[one, _]| extra(one));
    print("extra of the batch before", before.collect());
    gap - late
}
