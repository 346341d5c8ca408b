//! What bad packets cost: throughput on one core from bytes to sealed files, clean and with
//! one packet in a hundred that traps the SIP parser, in turns and in one run.

use clap::Parser as _;
use heplake_format::{EdgeName, Sequence, TableName};
use heplake_host::{
    BATCH_PACKETS_MAX, DataFileWriter, Engine, Limits, PacketBatch, ParserComponent, Pipeline,
    configuration::Compression,
};
use heplake_tests::{poison, traffic::Traffic};
use std::{
    collections::{BTreeMap, btree_map::Entry},
    error::Error,
    time::{Duration, Instant},
};

/// Prints messages a second, clean and poisoned, on one core, in one run.
#[derive(clap::Parser)]
#[command(name = "poison")]
struct Arguments {
    /// Messages a round.
    #[arg(long, default_value_t = 131_072)]
    messages: usize,
    /// Rounds; the least time of each side is printed.
    #[arg(long, default_value_t = 10)]
    rounds: usize,
    /// One packet of so many is poison.
    #[arg(long, default_value_t = 100)]
    one_of: u32,
    /// Given by cargo bench.
    #[arg(long, hide = true)]
    bench: bool,
}

const TIME_US: u64 = 1_795_305_600_000_000;

type Failed = Box<dyn Error>;

struct Side {
    name: &'static str,
    batches: Vec<PacketBatch>,
    poisoned: usize,
    pipeline: Pipeline,
    nanos: Vec<u128>,
}

fn main() -> Result<(), Failed> {
    let arguments = Arguments::parse();
    let mut traffic = Traffic::new(1, TIME_US);
    let batches: Vec<PacketBatch> = (0..arguments.messages.div_ceil(BATCH_PACKETS_MAX))
        .map(|_| traffic.batch(BATCH_PACKETS_MAX))
        .collect();
    let messages = batches.len() * BATCH_PACKETS_MAX;
    let engine = Engine::new()?;
    let mut random = fastrand::Rng::with_seed(1);
    let mut bad = batches.clone();
    let poisoned = bad
        .iter_mut()
        .map(|batch| poison::poison(batch, arguments.one_of, &mut random))
        .sum();
    let mut sides = [
        Side {
            name: "clean",
            batches,
            poisoned: 0,
            pipeline: poison::pipeline(&engine)?,
            nanos: Vec::new(),
        },
        Side {
            name: "poisoned",
            batches: bad,
            poisoned,
            pipeline: poison::pipeline(&engine)?,
            nanos: Vec::new(),
        },
    ];
    println!(
        "{messages} SIP messages in HEP 3, batches of {BATCH_PACKETS_MAX}, one thread, {} rounds",
        arguments.rounds
    );
    println!(
        "{poisoned} of them, one of {}, trap the parser\n",
        arguments.one_of
    );
    for _ in 0..arguments.rounds {
        for side in &mut sides {
            side.round(messages)?;
        }
    }
    let per_second = sides.each_ref().map(|side| {
        let least = side.nanos.iter().min().copied().unwrap_or(u128::MAX);
        messages as f64 * 1e9 / least as f64
    });
    for (side, per_second) in sides.iter().zip(per_second) {
        println!("{:<10}{per_second:>10.0} messages a second", side.name);
    }
    let (ratio, lost) = (
        per_second[1] / per_second[0],
        1e9 / per_second[1] - 1e9 / per_second[0],
    );
    println!(
        "{:<10}{:>10.1} % of the clean throughput",
        "",
        ratio * 100.0
    );
    println!(
        "{:<10}{:>10.1} µs for each that traps",
        "",
        lost * messages as f64 / poisoned.max(1) as f64 / 1000.0
    );
    println!(
        "{:<10}{:>10.1} µs to make an instance of the parser",
        "",
        instance_us(&engine)?
    );
    println!("\nin every round all poison was in hep_rejected, and all else in the tables of SIP");
    Ok(())
}

/// What an instance costs: the least of many.
fn instance_us(engine: &Engine) -> Result<f64, Failed> {
    let parser = ParserComponent::load(engine, poison::COMPONENT, "{}", Limits::default())?;
    let mut least = Duration::MAX;
    for _ in 0..500 {
        let started = Instant::now();
        let instance = parser.instantiate()?;
        least = least.min(started.elapsed());
        drop(instance);
    }
    Ok(least.as_secs_f64() * 1e6)
}

impl Side {
    /// From bytes in memory to sealed files.
    fn round(&mut self, messages: usize) -> Result<(), Failed> {
        let edge: EdgeName = "bench".parse()?;
        let mut files: BTreeMap<TableName, DataFileWriter> = BTreeMap::new();
        let mut nanos = 0;
        for batch in &self.batches {
            // A worker's packets have just been received: they are in a cache.
            let batch = batch.clone();
            let started = Instant::now();
            self.pipeline.process(batch, |rows| -> Result<(), Failed> {
                let table = rows.plan.table();
                let file = match files.entry(table.name.clone()) {
                    Entry::Occupied(open) => open.into_mut(),
                    Entry::Vacant(vacant) => {
                        vacant.insert(DataFileWriter::new(table, Compression::Snappy)?)
                    }
                };
                Ok(file.write(&rows)?)
            })?;
            nanos += started.elapsed().as_nanos();
        }
        let started = Instant::now();
        let mut rows: BTreeMap<String, u64> = BTreeMap::new();
        for (table, mut file) in files {
            let count = rows.entry(table.to_string()).or_default();
            *count += file.record_count();
            file.seal(&edge, Sequence::FIRST, &[], || {})?;
        }
        nanos += started.elapsed().as_nanos();
        self.nanos.push(nanos);
        let rejected = rows.remove("hep_rejected").unwrap_or(0);
        let stored: u64 = rows.values().sum();
        let expected = (self.poisoned as u64, (messages - self.poisoned) as u64);
        if (rejected, stored) != expected
            || rows.keys().any(|table| !table.starts_with("hep_proto_1_"))
        {
            let found = format!("{rejected} rejected, {stored} stored in {rows:?}");
            return Err(format!("{}: {found}, not {expected:?}", self.name).into());
        }
        Ok(())
    }
}
