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

use crate::Rejection;

/// Octets of a chunk's header.
const HEADER: usize = 6;

/// The vendor of the standard chunks.
const VENDOR_GENERIC: u16 = 0;
/// OpenSIPS.
const VENDOR_OPENSIPS: u16 = 3;

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
/// A JSON object of correlation ids, which OpenSIPS puts after the payload.
const OPENSIPS_CORRELATION: u16 = 0x65;

/// Standard chunks have types below this.
const STANDARD: usize = 0x2a;

/// The chunks of one packet that have a meaning here. Of several with the same type the
/// last wins; chunks of an unknown vendor or type are skipped.
#[derive(Debug)]
pub(crate) struct Chunks<'a> {
    standard: [Option<&'a [u8]>; STANDARD],
    /// Bit `n` is set if there is a standard chunk of type `n`.
    present: u64,
    pub(crate) opensips_correlation: Option<&'a [u8]>,
}

impl<'a> Chunks<'a> {
    /// Walks all chunks of a packet's body.
    ///
    /// # Errors
    /// A chunk is cut off, or says a length below that of its own header.
    pub(crate) fn parse(mut body: &'a [u8]) -> Result<Self, Rejection> {
        let mut chunks = Self {
            standard: [None; STANDARD],
            present: 0,
            opensips_correlation: None,
        };
        while !body.is_empty() {
            let header: &[u8; HEADER] = body.first_chunk().ok_or(Rejection::TruncatedChunk)?;
            let vendor = u16::from_be_bytes([header[0], header[1]]);
            let kind = u16::from_be_bytes([header[2], header[3]]);
            let length = usize::from(u16::from_be_bytes([header[4], header[5]]));
            if length < HEADER {
                return Err(Rejection::BadChunkLength);
            }
            let (chunk, rest) = body
                .split_at_checked(length)
                .ok_or(Rejection::TruncatedChunk)?;
            let value = chunk.get(HEADER..).unwrap_or_default();
            match (vendor, kind) {
                (VENDOR_GENERIC | VENDOR_OPENSIPS, OPENSIPS_CORRELATION) => {
                    chunks.opensips_correlation = Some(value);
                }
                (VENDOR_GENERIC, _) => {
                    if let Some(slot) = chunks.standard.get_mut(usize::from(kind)) {
                        *slot = Some(value);
                        chunks.present |= 1 << kind;
                    }
                }
                _ => {}
            }
            body = rest;
        }
        Ok(chunks)
    }

    /// The value of the standard chunk `kind`.
    pub(crate) fn get(&self, kind: usize) -> Option<&'a [u8]> {
        self.standard.get(kind).copied().flatten()
    }

    /// Whether a standard chunk is there whose type has its bit in `kinds`.
    pub(crate) fn has_any(&self, kinds: u64) -> bool {
        self.present & kinds != 0
    }

    /// An unsigned number. Agents disagree about widths, so 1 to 4 octets are taken for
    /// any; an empty chunk says nothing.
    ///
    /// # Errors
    /// More than 4 octets.
    pub(crate) fn number(&self, kind: usize) -> Result<Option<u32>, Rejection> {
        match self.get(kind) {
            None | Some([]) => Ok(None),
            Some(&[a]) => Ok(Some(u32::from(a))),
            Some(&[a, b]) => Ok(Some(u32::from(u16::from_be_bytes([a, b])))),
            Some(&[a, b, c]) => Ok(Some(u32::from_be_bytes([0, a, b, c]))),
            Some(&[a, b, c, d]) => Ok(Some(u32::from_be_bytes([a, b, c, d]))),
            Some(_) => Err(Rejection::BadChunkLength),
        }
    }

    /// The address of the chunk `kind`: 4 or 16 octets, whichever of the two the type is for.
    ///
    /// # Errors
    /// Any other length.
    pub(crate) fn address(&self, kind: usize) -> Result<Option<&'a [u8]>, Rejection> {
        match self.get(kind) {
            None | Some([]) => Ok(None),
            Some(octets) if matches!(octets.len(), 4 | 16) => Ok(Some(octets)),
            Some(_) => Err(Rejection::BadChunkLength),
        }
    }

    /// The six octets of a MAC address, which the specification puts into eight.
    ///
    /// # Errors
    /// Neither 6 nor 8 octets.
    pub(crate) fn mac(&self, kind: usize) -> Result<Option<[u8; 6]>, Rejection> {
        match self.get(kind) {
            None | Some([]) => Ok(None),
            Some(&[a, b, c, d, e, f] | &[0, 0, a, b, c, d, e, f] | &[a, b, c, d, e, f, _, _]) => {
                Ok(Some([a, b, c, d, e, f]))
            }
            Some(_) => Err(Rejection::BadChunkLength),
        }
    }
}
