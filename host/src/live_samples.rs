//! Samples of what passes: what a new component is tried with before it serves.
//!
//! A few packets a second are kept whole, by protocol type, each in the place of one kept
//! before: recent traffic, with what is rare at a site now and then among it. What was
//! refused lately is kept too, since that is what a corrected component is made for. Whoever
//! forges types, or large packets, takes no room from others.

use crate::batch::{PacketBatch, item_bounds};
use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

/// Samples of one protocol type.
const SAMPLES_MAX: usize = 1024;
/// Protocol types that are sampled: a site has a handful, a forger would have 256. Beyond this
/// a new one comes in the place of that which was seen least, and of these longest ago.
const PROTO_TYPES_MAX: usize = 16;
/// Packets refused lately.
const REFUSED_MAX: usize = 256;
/// Of one batch: what a flood of refused packets may cost.
const REFUSED_OF_A_BATCH_MAX: usize = 8;
/// Bytes of the samples of one type, and of what was refused: a thousand SIP messages, and
/// 17 MiB of all.
const BYTES_MAX: usize = 1 << 20;
/// Time between two looks at the traffic, µs: a look costs a copy of a packet for each
/// protocol type.
const LOOK_EVERY_US: u64 = 50_000;

/// A packet as it was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// The packet.
    pub bytes: Vec<u8>,
    /// When it was received, µs since 1970, UTC.
    pub received: u64,
    /// Who sent it.
    pub peer: SocketAddr,
}

/// What is kept of an edge's traffic; shared by its workers.
#[derive(Debug)]
pub struct LiveSamples {
    looked_us: AtomicU64,
    kept: Mutex<Kept>,
}

#[derive(Debug)]
struct Kept {
    random: fastrand::Rng,
    by_type: BTreeMap<u64, OfType>,
    refused: VecDeque<Sample>,
    refused_bytes: usize,
}

/// Samples of one protocol type.
#[derive(Debug, Default)]
struct OfType {
    samples: Vec<Sample>,
    bytes: usize,
    /// When the latest was received.
    latest: u64,
}

impl LiveSamples {
    /// Keeps nothing yet; `seed` is where it takes its chance from.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            looked_us: AtomicU64::new(0),
            kept: Mutex::new(Kept {
                random: fastrand::Rng::with_seed(seed),
                by_type: BTreeMap::new(),
                refused: VecDeque::new(),
                refused_bytes: 0,
            }),
        }
    }

    /// All that is kept: what was refused lately, then of each protocol type in turn.
    #[must_use]
    pub fn all(&self) -> Vec<Sample> {
        let all = self.all_by_type().into_iter();
        all.map(|(_, sample)| sample).collect()
    }

    /// All that is kept, with the protocol type of each sample; none for what was refused.
    pub(crate) fn all_by_type(&self) -> Vec<(Option<u64>, Sample)> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let refused = kept.refused.iter().map(|sample| (None, sample.clone()));
        let taken = kept.taken().into_iter();
        let taken = taken.map(|(proto_type, sample)| (Some(proto_type), sample));
        refused.chain(taken).collect()
    }

    /// Keeps samples that were there before a restart, within the same bounds.
    pub(crate) fn restore(&self, samples: impl Iterator<Item = (Option<u64>, Sample)>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        for (proto_type, sample) in samples {
            match proto_type {
                Some(proto_type) => kept.keep(proto_type, sample),
                None => kept.keep_refused(sample),
            }
        }
    }

    /// What is kept of each protocol type in turn, without what was refused.
    #[must_use]
    pub fn taken(&self) -> Vec<Sample> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = kept.taken().into_iter();
        taken.map(|(_, sample)| sample).collect()
    }

    /// Shows a batch with its packets' bytes and their protocol types. Most are not looked at.
    pub(crate) fn offer(
        &self,
        batch: &PacketBatch,
        bytes: &[u8],
        packets: impl Iterator<Item = (u32, u64)>,
    ) {
        let now = batch.received.first().copied().unwrap_or(0);
        // A clock that was set back must not end the sampling.
        if now.abs_diff(self.looked_us.load(Ordering::Relaxed)) < LOOK_EVERY_US {
            return;
        }
        // Another worker is at it: it looks for both.
        let Ok(mut kept) = self.kept.try_lock() else {
            return;
        };
        self.looked_us.store(now, Ordering::Relaxed);
        let mut chosen: BTreeMap<u64, (u32, u32)> = BTreeMap::new();
        for (packet, proto_type) in packets {
            let (seen, choice) = chosen.entry(proto_type).or_default();
            *seen += 1;
            if kept.random.u32(..*seen) == 0 {
                *choice = packet;
            }
        }
        for (proto_type, (_, packet)) in chosen {
            kept.keep(proto_type, sample(batch, bytes, packet));
        }
    }

    /// Shows packets of a batch that were refused.
    pub(crate) fn refused(
        &self,
        batch: &PacketBatch,
        bytes: &[u8],
        packets: impl Iterator<Item = u32>,
    ) {
        let Ok(mut kept) = self.kept.try_lock() else {
            return;
        };
        for packet in packets.take(REFUSED_OF_A_BATCH_MAX) {
            kept.keep_refused(sample(batch, bytes, packet));
        }
    }
}

impl Kept {
    fn taken(&self) -> Vec<(u64, Sample)> {
        let mut taken = Vec::new();
        for place in 0..SAMPLES_MAX {
            let of_types = self.by_type.iter();
            let before = taken.len();
            taken.extend(of_types.filter_map(|(proto_type, one)| {
                let sample = one.samples.get(place).cloned();
                sample.map(|sample| (*proto_type, sample))
            }));
            if taken.len() == before {
                break;
            }
        }
        taken
    }

    fn keep(&mut self, proto_type: u64, sample: Sample) {
        if self.by_type.len() >= PROTO_TYPES_MAX && !self.by_type.contains_key(&proto_type) {
            let of_types = self.by_type.iter();
            let least = of_types.min_by_key(|(_, one)| (one.samples.len(), one.latest));
            if let Some(gone) = least.map(|(proto_type, _)| *proto_type) {
                self.by_type.remove(&gone);
            }
        }
        let Self {
            random, by_type, ..
        } = self;
        let of_type = by_type.entry(proto_type).or_default();
        of_type.latest = sample.received;
        let size = sample.bytes.len();
        // In the place of others, by chance, until it fits.
        while !of_type.samples.is_empty()
            && (of_type.samples.len() >= SAMPLES_MAX || of_type.bytes + size > BYTES_MAX)
        {
            let place = random.usize(..of_type.samples.len());
            of_type.bytes -= of_type.samples.swap_remove(place).bytes.len();
        }
        of_type.bytes += size;
        of_type.samples.push(sample);
    }

    fn keep_refused(&mut self, sample: Sample) {
        self.refused_bytes += sample.bytes.len();
        self.refused.push_back(sample);
        while self.refused.len() > REFUSED_MAX || self.refused_bytes > BYTES_MAX {
            match self.refused.pop_front() {
                Some(oldest) => self.refused_bytes -= oldest.bytes.len(),
                None => break,
            }
        }
    }
}

fn sample(batch: &PacketBatch, bytes: &[u8], packet: u32) -> Sample {
    let (start, end) = item_bounds(&batch.ends, packet as usize);
    let received = batch.received.get(packet as usize).copied();
    let peer = batch.peers.get(packet as usize).copied();
    Sample {
        bytes: bytes.get(start..end).unwrap_or_default().to_vec(),
        received: received.unwrap_or(0),
        peer: peer.unwrap_or_else(|| ([0, 0, 0, 0], 0).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(received: u64, packets: &[&[u8]]) -> (PacketBatch, Vec<u8>) {
        let mut batch = PacketBatch::default();
        for packet in packets {
            batch.push(packet, received, ([127, 0, 0, 1], 9060).into());
        }
        let bytes = std::mem::take(&mut batch.bytes);
        (batch, bytes)
    }

    fn offer(samples: &LiveSamples, received: u64, packets: &[&[u8]], types: &[u64]) {
        let (batch, bytes) = batch(received, packets);
        let numbered = (0..).zip(types.iter().copied());
        samples.offer(&batch, &bytes, numbered);
    }

    #[test]
    fn one_packet_of_each_type_is_kept_at_a_look() {
        let samples = LiveSamples::new(1);
        offer(&samples, LOOK_EVERY_US, &[b"a", b"b", b"c"], &[1, 5, 1]);
        let all = samples.all();
        assert_eq!(all.len(), 2);
        assert_eq!(all[1].bytes, b"b");
        // Too soon after.
        offer(&samples, LOOK_EVERY_US + 1, &[b"d"], &[9]);
        assert_eq!(samples.all(), all);
        // The clock was set back.
        offer(&samples, 0, &[b"d"], &[9]);
        assert_eq!(samples.all().len(), 3);
    }

    #[test]
    fn what_is_kept_is_bounded_and_forgers_take_no_room_from_others() {
        let samples = LiveSamples::new(1);
        let mut received = 0;
        for round in 0..2 * SAMPLES_MAX as u64 {
            received += LOOK_EVERY_US;
            let packets = [b"x".as_slice(); 3];
            offer(&samples, received, &packets, &[1, 2, 100 + round]);
        }
        let kept = samples.kept.lock().unwrap();
        assert_eq!(kept.by_type.len(), PROTO_TYPES_MAX);
        assert_eq!(kept.by_type[&1].samples.len(), SAMPLES_MAX);
        assert_eq!(kept.by_type[&2].samples.len(), SAMPLES_MAX);
        drop(kept);
        // As many at a time as there is room for.
        received += LOOK_EVERY_US;
        let forged: Vec<u64> = (200..200 + PROTO_TYPES_MAX as u64).chain([1]).collect();
        offer(
            &samples,
            received,
            &vec![b"x".as_slice(); forged.len()],
            &forged,
        );
        let kept = samples.kept.lock().unwrap();
        assert_eq!(kept.by_type[&2].samples.len(), SAMPLES_MAX);
        drop(kept);

        let (batch, bytes) = batch(0, &[b"refused"]);
        samples.refused(&batch, &bytes, 0..1);
        let large = vec![0; 60_000];
        for _ in 0..64 {
            received += LOOK_EVERY_US;
            offer(&samples, received, &[&large, b"x"], &[3, 1]);
        }
        let kept = samples.kept.lock().unwrap();
        assert!(kept.by_type[&3].bytes <= BYTES_MAX);
        assert_eq!(kept.by_type[&1].samples.len(), SAMPLES_MAX);
        drop(kept);
        // What was refused comes first, and each type in turn: whoever takes a part has some of all.
        let all = samples.all();
        assert_eq!(all[0].bytes, b"refused");
        assert_eq!(samples.taken(), all[1..]);
        assert!(
            all[1..=PROTO_TYPES_MAX]
                .iter()
                .any(|one| one.bytes == large)
        );
    }

    #[test]
    fn what_was_refused_last_is_kept() {
        let samples = LiveSamples::new(1);
        for number in 0..REFUSED_MAX as u32 + 10 {
            let (batch, bytes) = batch(0, &[&number.to_be_bytes()]);
            samples.refused(&batch, &bytes, 0..1);
        }
        let all = samples.all();
        assert_eq!(all.len(), REFUSED_MAX);
        assert_eq!(all[0].bytes, 10u32.to_be_bytes());
    }
}
