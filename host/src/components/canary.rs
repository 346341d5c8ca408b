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
    /// Batches, packets, refused ones and those that were passed over, before it served.
    from: [u64; 4],
    /// The new versions, and the faults that each had before it served.
    faults: Vec<(Arc<Version>, u64)>,
    /// Whether what served before faults too: then faults are judged as the refusals that
    /// they come to.
    faulted_before: bool,
    /// What became of packets before: how many there were, were refused, and passed over.
    before: [u64; 3],
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
            before: [0; 3],
        }
    }

    /// Takes note of what it is held against.
    pub(super) fn held_against(&mut self, before: &Tally, versions: &[&Arc<Version>]) {
        let [_, packets, refused, passed_over] = counts(before);
        self.before = [packets, refused, passed_over];
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
                if faults > 0 && (!self.faulted_before || version.breaker().is_tripped()) {
                    let name = &version.named().name;
                    return Err(failed(format!("`{name}` faulted {faults} times")));
                }
            }
            let more_max = settings.thresholds.rejected_more_max;
            let [packets_before, refused_before, passed_over_before] = self.before;
            for (what, count, count_before) in [
                ("rejected", refused, refused_before),
                ("stored unread", passed_over, passed_over_before),
            ] {
                if is_more([count, packets], [count_before, packets_before], more_max) {
                    return Err(failed(format!(
                        "{count} of {packets} packets were {what}, against {count_before} of {packets_before} before"
                    )));
                }
            }
            let is_enough = batches >= settings.canary_batches
                && (packets >= PACKETS_MIN || settings.canary_batches == 0);
            if is_enough || started.elapsed() >= settings.canary_time {
                return Ok((batches, packets));
            }
            if control.is_stopping() {
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

/// Whether so many of so many packets are more than so many of so many before, and as much more
/// as may be: beyond what chance makes of few packets, on both sides (three standard
/// deviations, and three). Of no packet before nothing is known that could be exceeded.
fn is_more(
    [count, packets]: [u64; 2],
    [count_before, packets_before]: [u64; 2],
    more_max: f64,
) -> bool {
    let by_chance = |expected: f64| expected + 3.0 * expected.sqrt() + 3.0;
    if packets_before == 0 {
        return false;
    }
    let share_before = by_chance(count_before as f64) / packets_before as f64;
    let expected = packets as f64 * (share_before + more_max);
    count as f64 > by_chance(expected)
}

#[cfg(test)]
mod tests {
    use super::is_more;

    #[test]
    fn a_canary_is_more_once_that_cannot_be_chance() {
        for (now, before, expected) in [
            ([0, 0], [0, 1_000_000], false),
            ([1, 1], [0, 1_000_000], false),
            ([3, 128], [13_400, 1_000_000], false),
            ([5, 5], [0, 1_000_000], true),
            ([10, 10], [900, 1000], false),
            ([128, 128], [13_400, 1_000_000], true),
            ([14, 128], [13_400, 1_000_000], true),
            ([1000, 100_000], [0, 1_000_000], false),
            ([1200, 100_000], [0, 1_000_000], true),
            // One in twenty is refused at this site, and by chance none of the few before.
            ([26, 512], [0, 20], false),
            ([26, 512], [25, 500], false),
            ([26, 512], [0, 2000], true),
            ([512, 512], [0, 0], false),
            ([512, 512], [0, 64], true),
        ] {
            let told = is_more(now, before, 0.01);
            assert_eq!(told, expected, "{now:?}, {before:?} before");
        }
    }
}
