//! Messages over TCP, numbered, as fast as they are taken or at a rate.

use crate::Failed;
use heplake_host::PacketBatch;
use heplake_tests::{
    poison::poison,
    traffic::{Traffic, now_us, set_times},
};
use std::{
    io::Write,
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// Messages made in advance for a connection, and sent again and again.
const MESSAGES: usize = 65_536;
/// Messages a write.
const WRITE: usize = 256;

/// Sends until it is stopped, over as many connections as there are workers: an edge deals
/// them out in turn. The time of a message is its number, after `first_us`.
pub(crate) struct Sender {
    pub(crate) first_us: u64,
    sent: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    threads: Vec<thread::JoinHandle<Result<(), std::io::Error>>>,
}

impl Sender {
    /// Sends so many messages a second over all connections, or as fast as they are taken.
    pub(crate) fn start(target: SocketAddr, connections: usize, rate: Option<f64>) -> Self {
        let first_us = now_us();
        let (sent, stop) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let threads = (0..connections as u64)
            .map(|seed| {
                let (sent, stop) = (sent.clone(), stop.clone());
                thread::spawn(move || send(target, seed, first_us, rate, &sent, &stop))
            })
            .collect();
        Self {
            first_us,
            sent,
            stop,
            threads,
        }
    }

    /// Messages sent so far: those that are under way have their numbers.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Stops; all messages sent.
    pub(crate) fn stop(self) -> Result<u64, Failed> {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().map_err(|_| "the sender panicked")??;
        }
        Ok(self.sent.load(Ordering::Relaxed))
    }
}

/// Writes of made-up traffic. A message of each at least would trap the parser that a canary
/// takes back, which sees two writes' worth of packets; to the shipped one it is a message of another method.
pub(crate) fn writes(seed: u64, messages: usize, write: usize) -> Vec<PacketBatch> {
    let mut traffic = Traffic::new(seed, now_us());
    let mut random = fastrand::Rng::with_seed(seed);
    (0..messages / write)
        .map(|_| {
            let mut batch = traffic.batch(write);
            while poison(&mut batch, write as u32, &mut random) == 0 {}
            batch
        })
        .collect()
}

fn send(
    target: SocketAddr,
    seed: u64,
    first_us: u64,
    rate: Option<f64>,
    sent: &AtomicU64,
    stop: &AtomicBool,
) -> Result<(), std::io::Error> {
    let mut writes = writes(seed, MESSAGES, WRITE);
    let mut connection = TcpStream::connect(target)?;
    let started = Instant::now();
    let mut at = 0;
    while !stop.load(Ordering::Relaxed) {
        let Some(write) = writes.get_mut(at) else {
            at = 0;
            continue;
        };
        at += 1;
        let number = sent.fetch_add(WRITE as u64, Ordering::Relaxed);
        set_times(write, first_us + number);
        connection.write_all(&write.bytes)?;
        if let Some(rate) = rate {
            let due = Duration::from_secs_f64((number + WRITE as u64) as f64 / rate);
            thread::sleep(due.saturating_sub(started.elapsed()));
        }
    }
    Ok(())
}
