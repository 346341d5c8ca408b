//! Long runs that are too long for an ordinary test: `cargo xtask soak edge --minutes 10`.

mod edge;
mod gap;
mod swaps;

mod committed;
mod sender;

use clap::{Parser, Subcommand};
use committed::Committed;
use heplake_host::configuration::{ComponentSettings, Compression, EdgeSettings};
use sender::Sender;
use std::{
    collections::BTreeMap,
    error::Error,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    process::ExitCode,
    time::Duration,
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
        /// Workers, each with a connection of its own.
        #[arg(long, default_value_t = 1)]
        workers: usize,
    },
    /// Components swapped at that rate, canary and rollback among it: is every message
    /// committed once, and how long does an exchange take?
    Swaps {
        /// How many.
        #[arg(long, default_value_t = 1000)]
        swaps: usize,
        /// Time between two.
        #[arg(long, default_value_t = 100)]
        every_ms: u64,
        /// Workers, each with a connection of its own.
        #[arg(long, default_value_t = 1)]
        workers: usize,
    },
    /// Components swapped in one worker that is given batch after batch: what does it lose by
    /// an exchange and by the first batch on instances that no cache knows?
    Gap {
        /// How many.
        #[arg(long, default_value_t = 1000)]
        swaps: usize,
        /// Time between two.
        #[arg(long, default_value_t = 100)]
        every_ms: u64,
    },
}

type Failed = Box<dyn Error>;

fn main() -> ExitCode {
    let done = match Arguments::parse().run {
        Run::Edge {
            minutes,
            rate,
            workers,
        } => edge::edge(Duration::from_secs_f64(minutes * 60.0), rate, workers),
        Run::Swaps {
            swaps,
            every_ms,
            workers,
        } => swaps::swaps(swaps, Duration::from_millis(every_ms), workers),
        Run::Gap { swaps, every_ms } => gap::gap(swaps, Duration::from_millis(every_ms)),
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

fn settings(directory: &Path, workers: usize) -> Result<EdgeSettings, Failed> {
    const DAY: u64 = 86_400;
    Ok(EdgeSettings {
        name: "soak".parse()?,
        data_dir: directory.into(),
        takes_over_name: false,
        data_path: directory.into(),
        udp: None,
        tcp: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))),
        udp_receive_buffer_bytes: 4 << 20,
        tcp_connections_max: workers,
        tcp_idle_timeout: Duration::from_secs(60),
        worker_count: workers,
        queue_size: 200_000,
        batch_size: 500_000,
        batch_bytes: 256 << 20,
        flush_interval: Duration::from_secs(5),
        max_age: Duration::from_secs(3650 * DAY),
        max_skew: Duration::from_secs(DAY),
        compression: Compression::Snappy,
        store_keep_alives: false,
        components: BTreeMap::new(),
        component_settings: ComponentSettings {
            // However long a disk holds the worker up, a canary sees packets.
            canary_time: Duration::from_secs(60),
            ..ComponentSettings::in_directory(&directory.join("components"))
        },
        deadline: Duration::from_secs(1),
        memory_bytes_max: 64 << 20,
    })
}

/// Prints the median, the 99th of a hundred and the greatest; gives the 99th.
fn print_percentiles(what: &str, values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    let at = |share: f64| {
        let place = (values.len() as f64 * share) as usize;
        let place = place.min(values.len().saturating_sub(1));
        values.get(place).copied().unwrap_or(0.0)
    };
    println!(
        "{what}: {:.2} median, {:.2} p99, {:.2} greatest, of {}",
        at(0.5),
        at(0.99),
        at(1.0),
        values.len()
    );
    at(0.99)
}
