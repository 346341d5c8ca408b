//! A canary: a new component in one worker, watched before the others take it.

use super::{Control, ControlError, Version, workers::LOOK_EVERY};
use crate::pipeline::Tally;
use std::{
    sync::{Arc, atomic::Ordering},
    thread,
    time::Instant,
};

/// Packets without which so many batches say little: on a quiet site a batch is a packet or two.
/// Of so many, 3 % more that are refused are told from chance.
const PACKETS_MIN: u64 = 512;

/// What a canary does, and what it is held against.
pub(super) struct Canary {
    tally: Arc<Tally>,
    /// Batches, packets, refused ones and those that were passed over, before it served:
    /// warming up counts too.
    from: [u64; 4],
    /// The new versions, and the faults that each had before it served.
    faults: Vec<(Arc<Version>, u64)>,
    /// Whether what served before faults too: then faults are judged as the refusals that
    /// they come to.
    faulted_before: bool,
    /// Share of packets that were refused before.
    refused_before: f64,
    /// Share of those that were passed over.
    passed_over_before: f64,
}

impl Canary {
    /// Takes note of a pipeline before it serves.
    pub(super) fn new(tally: Arc<Tally>, versions: &[Arc<Version>]) -> Self {
        let faults = |version: &Arc<Version>| (version.clone(), version.breaker().faults());
        Self {
            from: counts(&tally),
            tally,
            faults: versions.iter().map(faults).collect(),
            faulted_before: false,
            refused_before: 0.0,
            passed_over_before: 0.0,
        }
    }

    /// Takes note of what it is held against.
    pub(super) fn held_against(&mut self, before: &Tally, versions: &[&Arc<Version>]) {
        let [_, packets, refused, passed_over] = counts(before);
        self.refused_before = refused as f64 / packets.max(1) as f64;
        self.passed_over_before = passed_over as f64 / packets.max(1) as f64;
        self.faulted_before = versions.iter().any(|one| one.breaker().faults() > 0);
    }

    /// Watches it for as long as it takes: the number of its batches, and that of the packets.
    ///
    /// # Errors
    /// It did worse than what served before, or nobody can wait for it any more.
    pub(super) fn watch(&self, control: &Control) -> Result<(u64, u64), ControlError> {
        let started = Instant::now();
        let settings = &control.settings;
        loop {
            let [now, from] = [counts(&self.tally), self.from];
            let [batches, packets, refused, passed_over] =
                [0, 1, 2, 3].map(|at| now[at] - from[at]);
            let failed = |reason| ControlError::CanaryFailed { batches, reason };
            for (version, before) in &self.faults {
                let faults = version.breaker().faults() - before;
                if faults > 0 && !self.faulted_before {
                    let name = &version.named().name;
                    return Err(failed(format!("`{name}` faulted {faults} times")));
                }
            }
            let more_max = settings.thresholds.rejected_more_max;
            for (what, count, before) in [
                ("rejected", refused, self.refused_before),
                ("stored unread", passed_over, self.passed_over_before),
            ] {
                if is_more(count, packets, before, more_max) {
                    return Err(failed(format!(
                        "{count} of {packets} packets were {what}, against {:.2} % before",
                        before * 100.0
                    )));
                }
            }
            let is_enough = batches >= settings.canary_batches
                && (packets >= PACKETS_MIN || settings.canary_batches == 0);
            if is_enough || started.elapsed() >= settings.canary_time {
                return Ok((batches, packets));
            }
            if control.stopping.load(Ordering::Acquire) {
                return Err(ControlError::Stopping);
            }
            if control.urgent.load(Ordering::Acquire) > 0 {
                return Err(ControlError::Interrupted);
            }
            thread::sleep(LOOK_EVERY);
        }
    }
}

fn counts(tally: &Tally) -> [u64; 4] {
    let (refused, passed_over) = (tally.refused(), tally.passed_over());
    [tally.batches(), tally.packets(), refused, passed_over]
}

/// Whether so many of so many packets are more than a share before, and as much more as may be:
/// beyond what chance makes of few packets (three standard deviations, and three).
fn is_more(count: u64, packets: u64, share_before: f64, more_max: f64) -> bool {
    let expected = packets as f64 * (share_before + more_max);
    count as f64 > expected + 3.0 * expected.sqrt() + 3.0
}

#[cfg(test)]
mod tests {
    use super::is_more;

    #[test]
    fn a_canary_is_more_once_that_cannot_be_chance() {
        for (refused, packets, before, expected) in [
            (0, 0, 0.0, false),
            (1, 1, 0.0, false),
            (3, 128, 0.0134, false),
            (5, 5, 0.0, true),
            (10, 10, 0.9, false),
            (128, 128, 0.0134, true),
            (13, 128, 0.0134, true),
            (1000, 100_000, 0.0, false),
            (1200, 100_000, 0.0, true),
        ] {
            let told = is_more(refused, packets, before, 0.01);
            assert_eq!(told, expected, "{refused} of {packets}, {before} before");
        }
    }
}
