//! Chunks of HEP 3, by vendor and type.
//!
//! ```text
//!  0        2        4        6                 length
//!  ┌────────┬────────┬────────┬─── ─ ─ ─ ───────┐
//!  │ vendor │ type   │ length │ value           │   all big-endian
//!  └────────┴────────┴────────┴─── ─ ─ ─ ───────┘   length includes these 6 octets
//! ```
//!
//! HEP3 specification, revision 37, "Chunk types". The same type of another vendor is
//! another chunk.

use heplake_sdk::{Origin, Row};

use crate::Rejection;

/// Octets of a chunk's header.
pub(crate) const HEADER: usize = 6;

/// OpenSIPS, as the upper half of vendor and type. The vendor of the standard chunks is 0.
const VENDOR_OPENSIPS: u32 = 3 << 16;

pub(crate) const IP_FAMILY: usize = 0x01;
pub(crate) const IP_PROTOCOL: usize = 0x02;
pub(crate) const SRC_IP4: usize = 0x03;
pub(crate) const DST_IP4: usize = 0x04;
pub(crate) const SRC_IP6: usize = 0x05;
pub(crate) const DST_IP6: usize = 0x06;
pub(crate) const SRC_PORT: usize = 0x07;
pub(crate) const DST_PORT: usize = 0x08;
pub(crate) const SECONDS: usize = 0x09;
pub(crate) const MICROSECONDS: usize = 0x0a;
pub(crate) const PROTO_TYPE: usize = 0x0b;
pub(crate) const CAPTURE_ID: usize = 0x0c;
pub(crate) const KEEP_ALIVE_TIMER: usize = 0x0d;
pub(crate) const PAYLOAD: usize = 0x0f;
pub(crate) const COMPRESSED_PAYLOAD: usize = 0x10;
pub(crate) const CORRELATION_ID: usize = 0x11;
pub(crate) const VLAN: usize = 0x12;
pub(crate) const NODE_NAME: usize = 0x13;
pub(crate) const SRC_MAC: usize = 0x14;
pub(crate) const DST_MAC: usize = 0x15;
pub(crate) const ETHERTYPE: usize = 0x16;
pub(crate) const TCP_FLAGS: usize = 0x17;
pub(crate) const IP_TOS: usize = 0x18;
pub(crate) const MOS: usize = 0x20;
pub(crate) const R_FACTOR: usize = 0x21;
pub(crate) const GEO: usize = 0x22;
pub(crate) const JITTER: usize = 0x23;
pub(crate) const TRANSACTION_TYPE: usize = 0x24;
pub(crate) const TAGS: usize = 0x26;
pub(crate) const EVENT_TYPE: usize = 0x28;
pub(crate) const GROUP_ID: usize = 0x29;
/// A JSON object of correlation ids, which OpenSIPS puts after the payload: its type, and
/// the slot it has here.
const OPENSIPS_CORRELATION_TYPE: u32 = 0x65;
pub(crate) const OPENSIPS_CORRELATION: usize = 0x3f;
/// Where chunks go that have no meaning here.
const UNKNOWN: usize = 0x3e;

/// Standard chunks have types below this.
const STANDARD: u32 = 0x2a;

/// Slots for chunks: a bit of a word each.
const SLOTS: usize = 64;

/// Where the chunks of one packet are that have a meaning here. Of several with the same
/// type the last wins; chunks of an unknown vendor or type are skipped.
#[derive(Debug)]
pub(crate) struct Chunks {
    /// Of use where there is a bit in `present`: not cleared for each packet.
    values: [Value; SLOTS],
    /// Bit `n` is set if there is a chunk of type `n`.
    present: u64,
}

/// Where the value of a chunk is.
#[derive(Clone, Copy, Debug, Default)]
struct Value {
    begin: usize,
    length: usize,
}

/// The chunks of a packet, and the bytes that they are in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Body<'a> {
    chunks: &'a Chunks,
    bytes: &'a [u8],
    /// Unless the bytes were inflated: then values are copied.
    origin: Option<Origin>,
}

impl Default for Chunks {
    fn default() -> Self {
        Self {
            values: [Value::default(); SLOTS],
            present: 0,
        }
    }
}

impl Chunks {
    /// Walks all chunks of a packet that has them at `begin..end` of `bytes`.
    ///
    /// # Errors
    /// A chunk is cut off, or says a length below that of its own header.
    #[inline]
    pub(crate) fn read(
        &mut self,
        bytes: &[u8],
        (begin, end): (usize, usize),
    ) -> Result<(), Rejection> {
        let mut present = 0;
        let bytes = bytes.get(..end).unwrap_or(bytes);
        let mut at = begin;
        while at < bytes.len() {
            let (vendor_and_type, length) = header_at(bytes, at)?;
            if length < HEADER {
                return Err(Rejection::BadChunkLength);
            }
            let value = Value {
                begin: at + HEADER,
                length: length - HEADER,
            };
            at += length;
            if at > bytes.len() {
                return Err(Rejection::TruncatedChunk);
            }
            let slot = match vendor_and_type < STANDARD {
                true => vendor_and_type as usize,
                false => slot_of_other(vendor_and_type),
            };
            self.values[slot % SLOTS] = value;
            present |= 1 << slot;
        }
        self.present = present;
        Ok(())
    }

    /// Walks the chunks of a packet that was to end at `end`, behind the last of `bytes`: some
    /// senders cut a packet at the MTU. All chunks must be whole but the payload, which must
    /// be the last and have some of its bytes.
    ///
    /// # Errors
    /// Anything else is missing, or a chunk says a length below that of its own header.
    #[cold]
    pub(crate) fn read_cut(
        &mut self,
        bytes: &[u8],
        (mut at, end): (usize, usize),
    ) -> Result<(), Rejection> {
        let mut rest = bytes.get(at..).unwrap_or_default();
        self.present = 0;
        while let Some(&[v0, v1, t0, t1, l0, l1]) = rest.first_chunk() {
            let length = usize::from(u16::from_be_bytes([l0, l1]));
            if length < HEADER {
                return Err(Rejection::BadChunkLength);
            }
            let vendor_and_type = u32::from_be_bytes([v0, v1, t0, t1]);
            let slot = match vendor_and_type < STANDARD {
                true => vendor_and_type as usize,
                false => slot_of_other(vendor_and_type),
            };
            let whole = rest.get(length..);
            let is_payload = vendor_and_type as usize == PAYLOAD;
            if whole.is_none() && !(is_payload && at + length == end && rest.len() > HEADER) {
                break;
            }
            self.values[slot % SLOTS] = Value {
                begin: at + HEADER,
                length: length.min(rest.len()) - HEADER,
            };
            self.present |= 1 << slot;
            match whole {
                Some(others) => rest = others,
                None => return Ok(()),
            }
            at += length;
        }
        Err(Rejection::TruncatedPacket)
    }

    /// Whether a chunk is there whose type has its bit in `kinds`.
    #[inline]
    pub(crate) fn have_any(&self, kinds: u64) -> bool {
        self.present & kinds != 0
    }

    /// The chunks with the bytes up to `end` that they were read from.
    #[inline]
    pub(crate) fn body<'a>(
        &'a self,
        bytes: &'a [u8],
        end: usize,
        origin: Option<Origin>,
    ) -> Body<'a> {
        Body {
            chunks: self,
            bytes: bytes.get(..end).unwrap_or(bytes),
            origin,
        }
    }
}

/// Vendor and type of the chunk at a place, and its length.
///
/// # Errors
/// Its header is cut off.
#[inline(always)]
fn header_at(bytes: &[u8], at: usize) -> Result<(u32, usize), Rejection> {
    // The mask changes no place, and says that the sum does not overflow.
    let at = at & (usize::MAX >> 1);
    // One load, though it takes two octets too many; only an empty chunk ends before.
    let word = bytes.get(at..at + 8).and_then(<[u8]>::first_chunk);
    let word = match word {
        Some(word) => u64::from_be_bytes(*word),
        None => last_header(bytes, at)?,
    };
    Ok(((word >> 32) as u32, usize::from((word >> 16) as u16)))
}

#[cold]
#[inline(never)]
fn last_header(bytes: &[u8], at: usize) -> Result<u64, Rejection> {
    let header: Option<&[u8; HEADER]> = bytes.get(at..).and_then(<[u8]>::first_chunk);
    let [v0, v1, t0, t1, l0, l1] = *header.ok_or(Rejection::TruncatedChunk)?;
    Ok(u64::from_be_bytes([v0, v1, t0, t1, l0, l1, 0, 0]))
}

#[cold]
fn slot_of_other(vendor_and_type: u32) -> usize {
    const OF_OPENSIPS: u32 = VENDOR_OPENSIPS | OPENSIPS_CORRELATION_TYPE;
    match vendor_and_type {
        OPENSIPS_CORRELATION_TYPE | OF_OPENSIPS => OPENSIPS_CORRELATION,
        _ => UNKNOWN,
    }
}

impl<'a> Body<'a> {
    /// Whether a chunk is there whose type has its bit in `kinds`.
    #[inline]
    pub(crate) fn has_any(self, kinds: u64) -> bool {
        self.chunks.have_any(kinds)
    }

    #[inline]
    fn has(self, kind: usize) -> bool {
        self.has_any(1 << kind)
    }

    #[inline]
    fn value(self, kind: usize) -> Option<Value> {
        self.has(kind).then(|| self.chunks.values[kind % SLOTS])
    }

    /// The value of the chunk `kind`.
    #[inline]
    pub(crate) fn get(self, kind: usize) -> Option<&'a [u8]> {
        let Value { begin, length } = self.value(kind)?;
        self.bytes.get(begin..begin + length)
    }

    /// Sets a field to the value of the chunk `kind`, if it is there and not empty. Says
    /// its length, which is 0 otherwise.
    #[inline]
    pub(crate) fn write(self, kind: usize, row: &mut Row<'_>, field: usize) -> usize {
        let Some(Value { begin, length }) = self.value(kind) else {
            return 0;
        };
        if length > 0 {
            self.write_value(Value { begin, length }, row, field);
        }
        length
    }

    /// Sets a field to the value of the chunk `kind`, even to an empty one. Says whether
    /// it is there.
    #[inline]
    pub(crate) fn write_any(self, kind: usize, row: &mut Row<'_>, field: usize) -> bool {
        if let Some(value) = self.value(kind) {
            self.write_value(value, row, field);
        }
        self.has(kind)
    }

    /// Sets a field to bytes of the packet.
    #[inline(always)]
    pub(crate) fn write_at(self, begin: usize, length: usize, row: &mut Row<'_>, field: usize) {
        self.write_value(Value { begin, length }, row, field);
    }

    #[inline]
    fn write_value(self, Value { begin, length }: Value, row: &mut Row<'_>, field: usize) {
        match self.origin {
            Some(origin) => row.span(field, origin, begin, begin + length),
            None => row.text(
                field,
                self.bytes.get(begin..begin + length).unwrap_or_default(),
            ),
        }
    }

    /// An unsigned number. Agents disagree about widths, so 1 to 4 octets are taken for
    /// any; an empty chunk says nothing.
    ///
    /// # Errors
    /// More than 4 octets.
    #[inline]
    pub(crate) fn number(self, kind: usize) -> Result<Option<u32>, Rejection> {
        let Some(Value { begin, length }) = self.value(kind) else {
            return Ok(None);
        };
        match length {
            0 => Ok(None),
            1..=4 => {
                // The chunk's header is in front, so that there are always eight octets:
                // one load for all widths.
                let end = begin + length;
                let word = self.bytes.get(..end).and_then(<[u8]>::last_chunk);
                let word = word.map_or(0, |word| u64::from_be_bytes(*word));
                Ok(Some((word & ((1 << (8 * length)) - 1)) as u32))
            }
            _ => Err(Rejection::BadChunkLength),
        }
    }

    /// The length of the address of the chunk `kind`: 4 or 16 octets, whichever of the two
    /// the type is for, or 0 if there is none.
    ///
    /// # Errors
    /// Any other length.
    #[inline]
    pub(crate) fn address_length(self, kind: usize) -> Result<usize, Rejection> {
        match self.value(kind) {
            None => Ok(0),
            Some(Value { length, .. }) => match length {
                0 | 4 | 16 => Ok(length),
                _ => Err(Rejection::BadChunkLength),
            },
        }
    }

    /// The six octets of a MAC address, which the specification puts into eight.
    ///
    /// # Errors
    /// Neither 6 nor 8 octets.
    pub(crate) fn mac(self, kind: usize) -> Result<Option<[u8; 6]>, Rejection> {
        match self.get(kind) {
            None | Some([]) => Ok(None),
            Some(&[a, b, c, d, e, f] | &[0, 0, a, b, c, d, e, f] | &[a, b, c, d, e, f, _, _]) => {
                Ok(Some([a, b, c, d, e, f]))
            }
            Some(_) => Err(Rejection::BadChunkLength),
        }
    }
}
