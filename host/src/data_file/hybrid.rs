//! Runs of small numbers: Parquet's hybrid of run lengths and bit-packing.
//!
//! ```text
//!  run := varint(count << 1)      value in ceil(width / 8) octets     a value repeated
//!       | varint(groups << 1 | 1) groups × 8 values of `width` bits   values one by one
//! ```
//!
//! Source: the Apache Parquet format, "Encodings", RLE = 3. Bits are packed from the least
//! significant of the first octet on.

/// Values that are packed together; a run of fewer is not worth its header.
const GROUP: usize = 8;

/// Appends `values`, each of which fits into `width` bits, 0 to 32.
pub(super) fn encode(values: &[u32], width: u32, out: &mut Vec<u8>) {
    // Where the values begin that are to be packed before the next run.
    let mut packed_from = 0;
    let mut at = 0;
    while let Some(&value) = values.get(at) {
        let run = values[at..]
            .iter()
            .take_while(|next| **next == value)
            .count();
        // What is packed comes in whole groups: the run completes the last one.
        let completing = (at - packed_from).next_multiple_of(GROUP) - (at - packed_from);
        if run >= completing + GROUP {
            pack(&values[packed_from..at + completing], width, out);
            repeat(value, run - completing, width, out);
            packed_from = at + run;
        }
        at += run;
    }
    pack(&values[packed_from..], width, out);
}

/// Appends a run of one value.
pub(super) fn repeat(value: u32, count: usize, width: u32, out: &mut Vec<u8>) {
    varint((count as u64) << 1, out);
    let octets = width.div_ceil(8) as usize;
    out.extend_from_slice(&value.to_le_bytes()[..octets]);
}

/// Appends values one by one; the last group is filled up with zeroes, which readers skip.
fn pack(values: &[u32], width: u32, out: &mut Vec<u8>) {
    if values.is_empty() {
        return;
    }
    varint((values.len().div_ceil(GROUP) as u64) << 1 | 1, out);
    for group in values.chunks(GROUP) {
        let end = out.len() + width as usize;
        let (mut word, mut bits) = (0u64, 0);
        for &value in group {
            word |= u64::from(value) << bits;
            bits += width;
            if bits >= 32 {
                out.extend_from_slice(&(word as u32).to_le_bytes());
                word >>= 32;
                bits -= 32;
            }
        }
        out.extend_from_slice(&word.to_le_bytes());
        out.resize(end, 0);
    }
}

/// Appends octets that hold a bit for each value already.
pub(super) fn packed_bits(octets: &[u8], out: &mut Vec<u8>) {
    varint((octets.len() as u64) << 1 | 1, out);
    out.extend_from_slice(octets);
}

/// Appends a number in groups of seven bits, least significant first (ULEB128).
fn varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Reads as the specification says, value by value.
    fn decode(mut bytes: &[u8], width: u32, count: usize) -> Vec<u32> {
        let mut values = Vec::new();
        while values.len() < count {
            let (mut header, mut shift) = (0u64, 0);
            loop {
                let (octet, rest) = bytes.split_first().unwrap();
                bytes = rest;
                header |= u64::from(octet & 0x7f) << shift;
                shift += 7;
                if octet & 0x80 == 0 {
                    break;
                }
            }
            if header & 1 == 0 {
                let octets = width.div_ceil(8) as usize;
                let mut value = [0; 4];
                value[..octets].copy_from_slice(&bytes[..octets]);
                bytes = &bytes[octets..];
                values.extend(vec![u32::from_le_bytes(value); (header >> 1) as usize]);
            } else {
                let groups = (header >> 1) as usize;
                let (packed, rest) = bytes.split_at(groups * width as usize);
                bytes = rest;
                for value in 0..groups * GROUP {
                    let bit = |at: usize| u32::from(packed[at / 8] >> (at % 8) & 1);
                    let bits = (0..width as usize).map(|of| bit(value * width as usize + of) << of);
                    values.push(bits.sum());
                }
            }
        }
        assert!(bytes.is_empty(), "nothing is left");
        values.truncate(count);
        values
    }

    proptest! {
        #[test]
        fn what_is_written_is_what_the_specification_reads(
            width in 0..=32u32,
            runs in prop::collection::vec((any::<u32>(), 1..40usize), 0..40),
        ) {
            let mask = u32::try_from((1u64 << width) - 1).unwrap();
            let values: Vec<u32> = runs
                .iter()
                .flat_map(|(value, count)| vec![value & mask; *count % 20 + usize::from(*count > 30) * 100])
                .collect();
            let mut out = Vec::new();
            encode(&values, width, &mut out);
            prop_assert_eq!(decode(&out, width, values.len()), values);
        }
    }

    #[test]
    fn a_value_that_only_repeats_takes_four_octets() {
        let mut out = Vec::new();
        encode(&[3; 10_000], 2, &mut out);
        assert_eq!(out, [0xa0, 0x9c, 0x01, 3]);
    }
}
