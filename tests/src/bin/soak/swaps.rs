//! Components swapped at the full rate that workers sustain.

use crate::{Committed, Failed, Sender, print_percentiles, settings};
use heplake_components::shipped;
use heplake_host::{Activate, Activated, Control, ControlError, Edge, Entry, Stage};
use heplake_tests::{poison, variants::relabelled};
use std::{
    thread,
    time::{Duration, Instant},
};

/// Every so many swaps a rollback, the swap of a parser with its router, and a version that
/// a canary takes back.
const ROLL_BACK: usize = 5;
const PAIR: usize = 7;
const BAD: usize = 11;
/// Components that are uploaded and activated for the first time.
const UPLOADS: usize = 10;

pub(crate) fn swaps(swaps: usize, every: Duration, workers: usize) -> Result<bool, Failed> {
    let runtime = tokio::runtime::Runtime::new()?;
    let directory = tempfile::tempdir()?;
    let edge = runtime.block_on(Edge::start(settings(directory.path(), workers)?))?;
    let control = edge.control().clone();
    let mut turns = Turns::new(&control)?;
    // Does well on the golden packets, and traps on some of what is sent here.
    let bad = stage(&control, poison::COMPONENT.to_vec())?.digest;

    let sender = Sender::start(edge.tcp_address().ok_or("no TCP")?, workers, None);
    let mut committed = Committed::new(directory.path(), sender.first_us);
    // Traffic to take samples from: a thousand golden packets more.
    thread::sleep(Duration::from_secs(60));
    // Never seen before: compiled and tried, then activated, under full load.
    let (mut uploads_ms, mut golden) = (Vec::new(), 0);
    for number in 0..UPLOADS {
        let bytes = relabelled(shipped_bytes("sip")?, &format!("upload {number}"));
        let uploaded = Instant::now();
        let entry = stage(&control, bytes)?;
        control.activate(&order(&[&entry.digest], false))?;
        uploads_ms.push(uploaded.elapsed().as_secs_f64() * 1000.0);
        golden = entry.report.map_or(0, |report| report.packets);
    }
    let (started, sent_before) = (Instant::now(), sender.sent());
    let mut taken_back = 0;
    for number in 1..=swaps {
        if number % BAD == 0 {
            expect_taken_back(&control, &bad)?;
            taken_back += 1;
        } else {
            turns.turn(number)?;
        }
        if number % 100 == 0 {
            committed.take(|| sender.sent())?;
            println!(
                "{number:>6} swaps, {:>12} sent, {:>12} committed",
                sender.sent(),
                committed.rows
            );
        }
        thread::sleep(every);
    }
    let seconds = started.elapsed().as_secs_f64();
    let rate = (sender.sent() - sent_before) as f64 / seconds;
    let sent = sender.stop()?;
    runtime.block_on(edge.drain())?;
    committed.take(|| sent)?;

    println!(
        "{swaps} swaps in {seconds:.0} s, {taken_back} of them taken back by the canary; {rate:.0} a second"
    );
    let is_each_once = committed.is_each_once(sent, workers);
    print_percentiles(
        &format!("upload to active, compiled, {golden} golden packets, ms"),
        &mut uploads_ms,
    );
    let pause_p99 = print_percentiles("an exchange in a worker, us", &mut turns.pauses_us);
    turns.print();
    Ok(is_each_once && pause_p99 <= 1000.0)
}

/// Versions of the same components that take each other's place.
pub(crate) struct Turns<'a> {
    control: &'a Control,
    sip: [String; 2],
    router: [String; 2],
    pub(crate) pauses_us: Vec<f64>,
    took_ms: Vec<f64>,
    prepared_ms: Vec<f64>,
    canary_ms: Vec<f64>,
    written_ms: Vec<f64>,
    /// Those for which no report was there that held.
    tried_ms: Vec<f64>,
    rollbacks_ms: Vec<f64>,
}

impl<'a> Turns<'a> {
    pub(crate) fn new(control: &'a Control) -> Result<Self, Failed> {
        let both = |name: &str| -> Result<[String; 2], Failed> {
            let bytes = shipped_bytes(name)?;
            Ok([
                stage(control, bytes.to_vec())?.digest,
                stage(control, relabelled(bytes, "b"))?.digest,
            ])
        };
        Ok(Self {
            control,
            sip: both("sip")?,
            router: both("sip-router")?,
            pauses_us: Vec::new(),
            took_ms: Vec::new(),
            prepared_ms: Vec::new(),
            canary_ms: Vec::new(),
            written_ms: Vec::new(),
            tried_ms: Vec::new(),
            rollbacks_ms: Vec::new(),
        })
    }

    /// The next: what serves now decides what that is.
    pub(crate) fn turn(&mut self, number: usize) -> Result<(), Failed> {
        if number.is_multiple_of(ROLL_BACK) {
            return self.roll_back("sip");
        }
        let (slots, _) = self.control.list();
        let other = |name: &str, versions: &[String; 2]| {
            let active = slots.get(name).and_then(|slot| slot.active.as_ref());
            versions[usize::from(active != Some(&versions[1]))].clone()
        };
        let mut digests = vec![other("sip", &self.sip)];
        if number.is_multiple_of(PAIR) {
            digests.push(other("sip-router", &self.router));
        }
        let digests: Vec<&String> = digests.iter().collect();
        let activated = self.control.activate(&order(&digests, false))?;
        match activated.report {
            Some(_) => self.tried_ms.push(activated.elapsed_ms),
            None => {
                self.took_ms.push(activated.elapsed_ms);
                self.prepared_ms.push(activated.prepared_ms);
                self.canary_ms.push(activated.canary_ms);
                self.written_ms.push(activated.written_ms);
            }
        }
        self.note(&activated);
        Ok(())
    }

    /// Prints how long they took.
    pub(crate) fn print(&mut self) {
        print_percentiles("activation from machine code, ms", &mut self.took_ms);
        print_percentiles("  of it before any worker had it", &mut self.prepared_ms);
        print_percentiles("  of it with the canary", &mut self.canary_ms);
        print_percentiles("  until it was written down too", &mut self.written_ms);
        print_percentiles("the same, tried for the first time, ms", &mut self.tried_ms);
        print_percentiles("rollback, ms", &mut self.rollbacks_ms);
    }

    fn roll_back(&mut self, name: &str) -> Result<(), Failed> {
        match self.control.roll_back(name, "soak") {
            Ok(activated) => {
                self.rollbacks_ms.push(activated.elapsed_ms);
                self.note(&activated);
            }
            Err(ControlError::NothingBefore(_)) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    fn note(&mut self, activated: &Activated) {
        self.pauses_us.extend(&activated.pauses_us);
    }
}

fn expect_taken_back(control: &Control, digest: &String) -> Result<(), Failed> {
    match control.activate(&order(&[digest], true)) {
        Err(ControlError::CanaryFailed { .. }) => Ok(()),
        Err(error) => Err(error.into()),
        Ok(_) => Err("a parser that traps passed its canary".into()),
    }
}

fn shipped_bytes(name: &str) -> Result<&'static [u8], Failed> {
    let shipped = shipped(name).ok_or("not shipped")?;
    Ok(shipped.bytes)
}

fn stage(control: &Control, bytes: Vec<u8>) -> Result<Entry, ControlError> {
    control.stage(Stage {
        bytes,
        by: "soak".into(),
        ..Stage::default()
    })
}

fn order(digests: &[&String], force: bool) -> Activate {
    Activate {
        digests: digests.iter().map(|digest| (*digest).clone()).collect(),
        force,
        by: "soak".into(),
    }
}
