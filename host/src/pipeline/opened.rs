//! A batch once the envelope has been opened.

use super::Tally;
use crate::{
    batch::{PacketBatch, item_bounds},
    checked::Checked,
    live_samples::LiveSamples,
    rows::{EnvelopeFields, Origin, Refusal, Space},
};

/// A batch whose packets the envelope has opened, with all that its rows point into.
pub(super) struct Opened {
    pub(super) packets: Space,
    pub(super) envelope_scratch: Space,
    pub(super) envelope: Checked,
    pub(super) batch: PacketBatch,
}

impl Opened {
    pub(super) fn received(&self) -> Received<'_> {
        Received {
            packets: &self.packets,
            envelope_scratch: &self.envelope_scratch,
            envelope: &self.envelope,
            batch: &self.batch,
        }
    }
}

/// An opened batch, as the stages after the envelope see it.
pub(super) struct Received<'a> {
    pub(super) packets: &'a Space,
    pub(super) envelope_scratch: &'a Space,
    pub(super) envelope: &'a Checked,
    pub(super) batch: &'a PacketBatch,
}

impl<'a> Received<'a> {
    pub(super) fn arrived(&self, packet: u32) -> u64 {
        self.batch
            .received
            .get(packet as usize)
            .copied()
            .unwrap_or(0)
    }

    /// Counts packets that a component refused or faulted on, and keeps samples of them.
    /// What it set aside is neither: nobody holds keep-alives against it.
    pub(super) fn tell_refused(
        &self,
        packets: &[u32],
        tally: &Tally,
        samples: Option<&LiveSamples>,
    ) {
        tally.count_refused(packets.len());
        if let Some(samples) = samples.filter(|_| !packets.is_empty()) {
            let packets = packets.iter().copied();
            samples.refused(self.batch, self.packets.bytes(), packets);
        }
    }

    pub(super) fn origin(
        &self,
        fields: &EnvelopeFields,
        payload: Option<&'a Checked>,
        payloads: &'a Space,
        payload_scratch: &'a Space,
        refusals: &'a [Refusal],
    ) -> Origin<'a> {
        Origin {
            envelope: self.envelope,
            payload,
            spaces: [
                self.packets,
                self.envelope_scratch,
                payloads,
                payload_scratch,
            ],
            received: &self.batch.received,
            peers: &self.batch.peers,
            timestamp_field: fields.timestamp,
            refusals,
        }
    }
}

/// Leaves the first packets in a batch whose bytes are these; gives back the others.
pub(super) fn split_off(
    batch: &mut PacketBatch,
    bytes: &[u8],
    first: usize,
) -> Option<PacketBatch> {
    if first >= batch.len() {
        return None;
    }
    let (start, _) = item_bounds(&batch.ends, first);
    let ends = batch.ends.split_off(first);
    let unfinished = batch.unfinished.iter();
    let unfinished = unfinished.filter_map(|packet| packet.checked_sub(first as u32));
    let unfinished = unfinished.collect();
    batch.unfinished.retain(|packet| (*packet as usize) < first);
    Some(PacketBatch {
        unfinished,
        bytes: bytes.get(start..).unwrap_or_default().to_vec(),
        ends: ends.iter().map(|end| end - start as u32).collect(),
        received: batch.received.split_off(first.min(batch.received.len())),
        peers: batch.peers.split_off(first.min(batch.peers.len())),
    })
}
