//! Texts that begin as the one before them does: Parquet's DELTA_BYTE_ARRAY.
//!
//! ```text
//!  page := lengths of the beginnings shared with the text before │ lengths of the rest │ the rests
//! ```
//!
//! Source: the Apache Parquet format, "Encodings", DELTA_BINARY_PACKED = 5 for the lengths,
//! DELTA_LENGTH_BYTE_ARRAY = 6, DELTA_BYTE_ARRAY = 7.

use super::hybrid;

/// Differences in a block; the format asks for a multiple of 128.
const BLOCK: usize = 128;
/// Parts of a block that have a width of their own; each holds 32 differences.
const MINIBLOCKS: usize = 4;

/// Texts of a page, each without what it shares with the one before.
#[derive(Debug, Default)]
pub(super) struct SharedBeginnings {
    last: Vec<u8>,
    shared: Vec<u32>,
    rests: Vec<u32>,
    bytes: Vec<u8>,
}

impl SharedBeginnings {
    /// Adds a text.
    #[inline]
    pub(super) fn push(&mut self, text: &[u8]) {
        let shared = shared_length(&self.last, text);
        let rest = text.get(shared..).unwrap_or_default();
        self.shared.push(shared as u32);
        self.rests.push(rest.len() as u32);
        self.bytes.extend_from_slice(rest);
        self.last.truncate(shared);
        self.last.extend_from_slice(rest);
    }

    /// Number of texts.
    pub(super) fn len(&self) -> usize {
        self.shared.len()
    }

    /// Bytes that it holds.
    pub(super) fn size_bytes(&self) -> usize {
        self.bytes.len() + 2 * size_of::<u32>() * self.len()
    }

    /// Appends them as they stand in a page.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        binary_packed(&self.shared, out);
        binary_packed(&self.rests, out);
        out.extend_from_slice(&self.bytes);
    }

    /// Begins anew: a page can be read without the one before.
    pub(super) fn clear(&mut self) {
        self.last.clear();
        self.shared.clear();
        self.rests.clear();
        self.bytes.clear();
    }
}

/// How many octets both begin with.
#[inline]
fn shared_length(a: &[u8], b: &[u8]) -> usize {
    let words = a.chunks_exact(8).zip(b.chunks_exact(8));
    let equal = words.take_while(|(a, b)| a == b).count() * 8;
    let rest = a.iter().zip(b).skip(equal);
    equal + rest.take_while(|(a, b)| a == b).count()
}

/// Appends lengths as differences (DELTA_BINARY_PACKED).
fn binary_packed(lengths: &[u32], out: &mut Vec<u8>) {
    hybrid::varint(BLOCK as u64, out);
    hybrid::varint(MINIBLOCKS as u64, out);
    hybrid::varint(lengths.len() as u64, out);
    let first = lengths.first().copied().unwrap_or_default();
    zigzag(i64::from(first), out);
    let deltas: Vec<i64> = lengths
        .windows(2)
        .map(|pair| i64::from(pair[1]) - i64::from(pair[0]))
        .collect();
    for block in deltas.chunks(BLOCK) {
        let least = block.iter().copied().min().unwrap_or_default();
        zigzag(least, out);
        // Lengths are those of texts in a batch: their differences are far below 32 bits.
        let mut above = [0u32; BLOCK];
        for (above, delta) in above.iter_mut().zip(block) {
            *above = (delta - least) as u32;
        }
        let parts = above.chunks(BLOCK / MINIBLOCKS);
        let width = |part: &[u32]| {
            let all = part.iter().fold(0, |all, above| all | above);
            u32::BITS - all.leading_zeros()
        };
        for part in parts.clone() {
            out.push(width(part) as u8);
        }
        for part in parts {
            hybrid::pack(part, width(part), out);
        }
    }
}

fn zigzag(number: i64, out: &mut Vec<u8>) {
    hybrid::varint((number << 1 ^ number >> 63) as u64, out);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_shared_length_is_that_of_the_common_beginning(a: Vec<u8>, b: Vec<u8>, common: Vec<u8>) {
            let (a, b) = ([common.clone(), a].concat(), [common, b].concat());
            let expected = a.iter().zip(&b).take_while(|(a, b)| a == b).count();
            prop_assert_eq!(shared_length(&a, &b), expected);
        }
    }
}
