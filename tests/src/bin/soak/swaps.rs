//! Components swapped at the full rate that one worker sustains.

use crate::{Failed, Sender, settings, take_commits};
use heplake_components::shipped;
use heplake_host::{Activate, Activated, Control, ControlError, Edge, Stage};
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

pub(crate) fn swaps(swaps: usize, every: Duration) -> Result<bool, Failed> {
    let runtime = tokio::runtime::Runtime::new()?;
    let directory = tempfile::tempdir()?;
    let edge = runtime.block_on(Edge::start(settings(directory.path())?))?;
    let control = edge.control().clone();
    let stage = |bytes: Vec<u8>| -> Result<String, ControlError> {
        let entry = control.stage(Stage {
            bytes,
            by: "soak".into(),
            ..Stage::default()
        })?;
        Ok(entry.digest)
    };
    let bytes = |name: &str| {
        shipped(name)
            .map(|shipped| shipped.bytes)
            .ok_or("not shipped")
    };
    let sip = [
        stage(bytes("sip")?.to_vec())?,
        stage(relabelled(bytes("sip")?, "b"))?,
    ];
    let router = [
        stage(bytes("sip-router")?.to_vec())?,
        stage(relabelled(bytes("sip-router")?, "b"))?,
    ];
    // Does well on the golden packets, and traps on some of what is sent here.
    let bad = stage(poison::COMPONENT.to_vec())?;

    let sender = Sender::start(edge.tcp_address().ok_or("no TCP")?, None);
    // Traffic to take samples from: a thousand golden packets more.
    thread::sleep(Duration::from_secs(60));
    let mut run = Run {
        control: &control,
        pauses_us: Vec::new(),
        took_ms: Vec::new(),
        rollbacks_ms: Vec::new(),
        taken_back: 0,
    };
    // Never seen before: compiled and tried, then activated, under full load.
    let (mut uploads_ms, mut golden) = (Vec::new(), 0);
    for number in 0..UPLOADS {
        let bytes = relabelled(bytes("sip")?, &format!("upload {number}"));
        let uploaded = Instant::now();
        let entry = control.stage(Stage {
            bytes,
            by: "soak".into(),
            ..Stage::default()
        })?;
        control.activate(&order(&[&entry.digest], false))?;
        uploads_ms.push(uploaded.elapsed().as_secs_f64() * 1000.0);
        golden = entry.report.map_or(0, |report| report.packets);
    }
    let (started, sent_before) = (Instant::now(), sender.sent());
    let mut committed = 0;
    let (mut at_sip, mut at_router) = (0, 0);
    for number in 1..=swaps {
        if number % BAD == 0 {
            run.expect_taken_back(&bad)?;
        } else if number % ROLL_BACK == 0 {
            run.roll_back("sip")?;
        } else if number % PAIR == 0 {
            (at_sip, at_router) = (1 - at_sip, 1 - at_router);
            run.activate(&[&sip[at_sip], &router[at_router]])?;
        } else {
            at_sip = 1 - at_sip;
            run.activate(&[&sip[at_sip]])?;
        }
        // What serves now decides what the next swap is.
        let (slots, _) = control.list();
        let active = |name: &str| slots.get(name).and_then(|slot| slot.active.clone());
        at_sip = usize::from(active("sip").as_ref() == Some(&sip[1]));
        at_router = usize::from(active("sip-router").as_ref() == Some(&router[1]));
        if number % 100 == 0 {
            committed += take_commits(directory.path())?;
            println!(
                "{number:>6} swaps, {:>12} sent, {committed:>12} committed",
                sender.sent()
            );
        }
        thread::sleep(every);
    }
    let seconds = started.elapsed().as_secs_f64();
    let rate = (sender.sent() - sent_before) as f64 / seconds;
    let sent = sender.stop()?;
    runtime.block_on(edge.drain())?;
    committed += take_commits(directory.path())?;

    println!(
        "{swaps} swaps in {seconds:.0} s, {} of them taken back by the canary; {rate:.0} a second; {sent} sent, {committed} committed",
        run.taken_back,
    );
    print_percentiles(
        &format!("upload to active, compiled, {golden} golden packets, ms"),
        &mut uploads_ms,
    );
    let pause_p99 = print_percentiles("pause of a worker, us", &mut run.pauses_us);
    print_percentiles("activation from machine code, ms", &mut run.took_ms);
    print_percentiles("rollback, ms", &mut run.rollbacks_ms);
    Ok(sent == committed && pause_p99 <= 1000.0)
}

struct Run<'a> {
    control: &'a Control,
    pauses_us: Vec<f64>,
    took_ms: Vec<f64>,
    rollbacks_ms: Vec<f64>,
    taken_back: u64,
}

impl Run<'_> {
    fn activate(&mut self, digests: &[&String]) -> Result<(), Failed> {
        let activated = self.control.activate(&order(digests, false))?;
        self.took_ms.push(activated.elapsed_ms);
        self.note(&activated);
        Ok(())
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

    fn expect_taken_back(&mut self, digest: &String) -> Result<(), Failed> {
        match self.control.activate(&order(&[digest], true)) {
            Err(ControlError::CanaryFailed { .. }) => {
                self.taken_back += 1;
                Ok(())
            }
            Err(error) => Err(error.into()),
            Ok(_) => Err("a parser that traps passed its canary".into()),
        }
    }

    fn note(&mut self, activated: &Activated) {
        self.pauses_us.extend(&activated.pauses_us);
    }
}

fn order(digests: &[&String], force: bool) -> Activate {
    Activate {
        digests: digests.iter().map(|digest| (*digest).clone()).collect(),
        force,
        by: "soak".into(),
    }
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
