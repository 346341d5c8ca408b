//! The golden packets: what a component is tried with before it serves.
//!
//! Packets as they come from sockets, so that an envelope, a parser, a router, or several of
//! them at once are tried in the same way: as the pipeline that they would make.

use crate::{
    batch::{BATCH_BYTES_MAX, PacketBatch},
    live_samples::{LiveSamples, Sample},
};
use heplake_components::golden_packets;
use std::net::{Ipv4Addr, SocketAddr};

/// Most packets: what is tried in well under a second.
const PACKETS_MAX: usize = 4096;
/// Packets of a batch of them. A batch that a component faults on is cut in halves.
const BATCH_PACKETS: usize = 256;

/// Golden packets, in batches.
#[derive(Clone, Debug, Default)]
pub(super) struct Corpus {
    batches: Vec<PacketBatch>,
}

impl Corpus {
    /// The shipped samples as if they were received now (µs since 1970), what was refused
    /// lately, and what was kept of the traffic: a packet of each protocol type in turn, so
    /// that none is left out.
    pub(super) fn new(live: &LiveSamples, now_us: u64) -> Self {
        Self::of(shipped(now_us).chain(live.all()))
    }

    /// The same without what was refused: what pipelines are warmed up with that are to serve,
    /// and share their breakers with those that do.
    pub(super) fn of_what_was_taken(live: &LiveSamples, now_us: u64) -> Self {
        Self::of(shipped(now_us).chain(live.taken()))
    }

    /// These packets.
    pub(super) fn of(packets: impl Iterator<Item = Sample>) -> Self {
        let mut batches = Vec::new();
        let mut batch = PacketBatch::default();
        for packet in packets.take(PACKETS_MAX) {
            let full = batch.len() >= BATCH_PACKETS
                || batch.bytes.len() + packet.bytes.len() > BATCH_BYTES_MAX;
            if full && !batch.is_empty() {
                batches.push(std::mem::take(&mut batch));
            }
            batch.push(&packet.bytes, packet.received, packet.peer);
        }
        if !batch.is_empty() {
            batches.push(batch);
        }
        Self { batches }
    }

    /// One batch, as full as one gets under load, of its packets again and again: what has
    /// parsed that has its memory where it will be.
    pub(super) fn full_batch(self) -> Self {
        let mut full = PacketBatch::default();
        let packets = self.batches.iter().flat_map(|batch| {
            let places = 0..batch.len();
            places.map(move |place| (batch, place))
        });
        for (batch, place) in packets.cycle() {
            if full.is_full() {
                break;
            }
            let received = batch.received.get(place).copied().unwrap_or(0);
            let peer = batch.peers.get(place).copied();
            let peer = peer.unwrap_or_else(|| ([0, 0, 0, 0], 0).into());
            full.push(batch.packet(place), received, peer);
        }
        Self {
            batches: vec![full],
        }
    }

    /// Its packets, in batches.
    pub(super) fn batches(&self) -> &[PacketBatch] {
        &self.batches
    }

    /// Number of packets.
    pub(super) fn len(&self) -> usize {
        self.batches.iter().map(PacketBatch::len).sum()
    }
}

fn shipped(now_us: u64) -> impl Iterator<Item = Sample> {
    let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, 9060));
    golden_packets().map(move |bytes| Sample {
        bytes: bytes.to_vec(),
        received: now_us,
        peer,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::BATCH_PACKETS_MAX;

    #[test]
    fn nothing_that_was_refused_is_in_what_pipelines_are_warmed_up_with() {
        let (live, refused) = (LiveSamples::new(1), b"refused".as_slice());
        let mut batch = PacketBatch::default();
        batch.push(refused, 1, ([127, 0, 0, 1], 9060).into());
        live.refused(&batch, refused, 0..1);
        let has_it = |corpus: &Corpus| {
            let mut batches = corpus.batches().iter();
            batches.any(|batch| (0..batch.len()).any(|place| batch.packet(place) == refused))
        };
        assert!(has_it(&Corpus::new(&live, 1)));
        assert!(!has_it(&Corpus::of_what_was_taken(&live, 1)));
    }

    #[test]
    fn a_full_batch_is_made_of_however_few_packets() {
        let sample = |bytes: &[u8]| Sample {
            bytes: bytes.to_vec(),
            received: 1,
            peer: ([127, 0, 0, 1], 9060).into(),
        };
        let full = |samples: &[&[u8]]| {
            let corpus = Corpus::of(samples.iter().map(|bytes| sample(bytes)));
            corpus.full_batch()
        };
        let few = full(&[b"one", b"two", b"three"]);
        assert_eq!((few.batches().len(), few.len()), (1, BATCH_PACKETS_MAX));
        assert_eq!(few.batches()[0].packet(3), b"one");
        // Large ones fill it by their bytes.
        let large = vec![0; 60_000];
        assert!(full(&[&large]).len() < 20);
        assert_eq!(full(&[]).len(), 0);
    }
}
