//! Packets on their way from a socket to a worker.

use std::net::SocketAddr;

/// Most packets in a batch: large enough that a call into the sandbox is nothing, and done in
/// a millisecond, which is what a swap or a rollback waits for. From 256 to 1024 it made no
/// difference to what a message costs.
pub const BATCH_PACKETS_MAX: usize = 512;
/// Bytes after which a batch takes no further packet. Spans have 31 bits of offset, so
/// this and the longest packet stay far below.
pub const BATCH_BYTES_MAX: usize = 1 << 20;

/// Packets as they came, end to end, with when and from whom.
#[derive(Clone, Debug, Default)]
pub struct PacketBatch {
    /// All packets end to end.
    pub bytes: Vec<u8>,
    /// Where each packet ends in `bytes`.
    pub ends: Vec<u32>,
    /// When each was received, µs since 1970, UTC.
    pub received: Vec<u64>,
    /// Who sent each.
    pub peers: Vec<SocketAddr>,
    /// Those that a stream ended within, by place: no datagrams, whatever they look like.
    pub unfinished: Vec<u32>,
}

impl PacketBatch {
    /// Adds a packet.
    pub fn push(&mut self, packet: &[u8], received: u64, peer: SocketAddr) {
        self.bytes.extend_from_slice(packet);
        self.ends.push(self.bytes.len() as u32);
        self.received.push(received);
        self.peers.push(peer);
    }

    /// Adds what a stream ended with: the beginning of a packet.
    pub fn push_unfinished(&mut self, packet: &[u8], received: u64, peer: SocketAddr) {
        self.unfinished.push(self.ends.len() as u32);
        self.push(packet, received, peer);
    }

    /// Number of packets.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is no packet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Whether it should go on its way before another packet is added.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.len() >= BATCH_PACKETS_MAX || self.bytes.len() >= BATCH_BYTES_MAX
    }

    /// Whether `other` fits in as well.
    #[must_use]
    pub fn has_room_for(&self, other: &Self) -> bool {
        self.len() + other.len() <= BATCH_PACKETS_MAX
            && self.bytes.len() + other.bytes.len() <= BATCH_BYTES_MAX
    }

    /// Adds all packets of `other` behind its own.
    pub fn append(&mut self, other: &Self) {
        let (base, packets) = (self.bytes.len() as u32, self.len() as u32);
        let unfinished = other.unfinished.iter().map(|packet| packets + packet);
        self.unfinished.extend(unfinished);
        self.bytes.extend_from_slice(&other.bytes);
        self.ends.extend(other.ends.iter().map(|end| base + end));
        self.received.extend_from_slice(&other.received);
        self.peers.extend_from_slice(&other.peers);
    }

    /// The bytes of a packet; empty if there is no such packet.
    #[must_use]
    pub fn packet(&self, index: usize) -> &[u8] {
        let (start, end) = item_bounds(&self.ends, index);
        self.bytes.get(start..end).unwrap_or_default()
    }
}

/// Where an item starts and ends, by the ends of all items.
#[must_use]
pub(crate) fn item_bounds(ends: &[u32], index: usize) -> (usize, usize) {
    let start = index
        .checked_sub(1)
        .and_then(|before| ends.get(before))
        .copied()
        .unwrap_or(0);
    let end = ends.get(index).copied().unwrap_or(start);
    (start as usize, end as usize)
}
