//! What nearly all HEP 3 packets begin with: ten chunks of one version of IP, in one of two
//! orders.
//!
//! A chunk tells by its length where the next begins, so that one has to be loaded before
//! the other. Where chunks are looked for at places known when this is compiled, all are
//! loaded at once, and numbers have known widths.

use crate::chunk;

/// The number of `AF_INET`.
const FAMILY_IP4: u32 = 2;

/// Octets of an address.
pub(crate) const ADDRESS: usize = 4;

/// Octets of all these chunks.
pub(crate) const LENGTH: usize = BY_TYPE.length;

/// Bits of the types that none of the other chunks may have.
pub(crate) const KINDS: u64 = BY_TYPE.kinds | 1 << chunk::SRC_IP6 | 1 << chunk::DST_IP6;

/// The values of these chunks; addresses are places.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usual {
    pub(crate) protocol: u32,
    pub(crate) source: usize,
    pub(crate) target: usize,
    pub(crate) source_port: u32,
    pub(crate) target_port: u32,
    pub(crate) seconds: u32,
    pub(crate) microseconds: u32,
    pub(crate) proto_type: u32,
    pub(crate) capture_id: u32,
}

/// Types of chunks and the lengths of their values, in the order of the types: as heplify,
/// hep-js and Kamailio send them.
const BY_TYPE: Order = Order::of([
    (chunk::IP_FAMILY, 1),
    (chunk::IP_PROTOCOL, 1),
    (chunk::SRC_IP4, ADDRESS),
    (chunk::DST_IP4, ADDRESS),
    (chunk::SRC_PORT, 2),
    (chunk::DST_PORT, 2),
    (chunk::SECONDS, 4),
    (chunk::MICROSECONDS, 4),
    (chunk::PROTO_TYPE, 1),
    (chunk::CAPTURE_ID, 4),
]);

/// With the addresses last: as Asterisk, captagent, RTPengine and sngrep send them.
const ADDRESSES_LAST: Order = Order::of([
    (chunk::IP_FAMILY, 1),
    (chunk::IP_PROTOCOL, 1),
    (chunk::SRC_PORT, 2),
    (chunk::DST_PORT, 2),
    (chunk::SECONDS, 4),
    (chunk::MICROSECONDS, 4),
    (chunk::PROTO_TYPE, 1),
    (chunk::CAPTURE_ID, 4),
    (chunk::SRC_IP4, ADDRESS),
    (chunk::DST_IP4, ADDRESS),
]);

/// How many chunks these are.
const CHUNKS: usize = 10;

/// Types above any of these.
const KINDS_MAX: usize = 16;

/// Where chunks are, worked out when this is compiled.
struct Order {
    /// Where the header of each begins, and what it is, as a word with the first octet
    /// lowest.
    headers: [(usize, u64); CHUNKS],
    /// Where the value of each type begins.
    values: [usize; KINDS_MAX],
    length: usize,
    kinds: u64,
}

impl Order {
    const fn of(chunks: [(usize, usize); CHUNKS]) -> Self {
        let mut order = Self {
            headers: [(0, 0); CHUNKS],
            values: [0; KINDS_MAX],
            length: 0,
            kinds: 0,
        };
        let mut number = 0;
        while number < CHUNKS {
            let (kind, value) = chunks[number];
            let length = chunk::HEADER + value;
            let header = [0, 0, 0, kind as u8, 0, length as u8, 0, 0];
            order.headers[number] = (order.length, u64::from_le_bytes(header));
            order.values[kind] = order.length + chunk::HEADER;
            order.length += length;
            order.kinds |= 1 << kind;
            number += 1;
        }
        order
    }
}

impl Usual {
    /// Those that begin at a place, if they do and are before `end`.
    #[inline(always)]
    pub(crate) fn at(bytes: &[u8], begin: usize, end: usize) -> Option<Self> {
        let chunks: &[u8; LENGTH] = bytes.get(begin..end)?.first_chunk()?;
        // The third chunk tells.
        let [.., kind] = octets::<4>(chunks, const { BY_TYPE.headers[2].0 });
        match usize::from(kind) {
            chunk::SRC_IP4 => Self::of::<true>(chunks, begin),
            _ => Self::of::<false>(chunks, begin),
        }
    }

    #[inline(always)]
    fn of<const IS_BY_TYPE: bool>(chunks: &[u8; LENGTH], begin: usize) -> Option<Self> {
        const HEADER_MASK: u64 = u64::MAX >> 16;
        let order = const {
            match IS_BY_TYPE {
                true => &BY_TYPE,
                false => &ADDRESSES_LAST,
            }
        };
        let mut differences = 0;
        for (at, header) in order.headers {
            differences |= u64::from_le_bytes(octets(chunks, at)) ^ header;
        }
        let place = |kind: usize| order.values[kind];
        let octet = |kind| u32::from(octets::<1>(chunks, place(kind))[0]);
        let two = |kind| u32::from(u16::from_be_bytes(octets(chunks, place(kind))));
        let four = |kind| u32::from_be_bytes(octets(chunks, place(kind)));
        if differences & HEADER_MASK != 0 || octet(chunk::IP_FAMILY) != FAMILY_IP4 {
            return None;
        }
        Some(Self {
            protocol: octet(chunk::IP_PROTOCOL),
            source: begin + place(chunk::SRC_IP4),
            target: begin + place(chunk::DST_IP4),
            source_port: two(chunk::SRC_PORT),
            target_port: two(chunk::DST_PORT),
            seconds: four(chunk::SECONDS),
            microseconds: four(chunk::MICROSECONDS),
            proto_type: octet(chunk::PROTO_TYPE),
            capture_id: four(chunk::CAPTURE_ID),
        })
    }
}

/// Octets from a place on that is known when this is compiled.
#[inline(always)]
fn octets<const N: usize>(chunks: &[u8; LENGTH], at: usize) -> [u8; N] {
    let octets = chunks.get(at..at + N).and_then(<[u8]>::first_chunk);
    octets.copied().unwrap_or([0; N])
}
