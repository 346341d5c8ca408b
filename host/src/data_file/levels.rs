//! Definition levels of a page: which of its values are there.

use super::hybrid;

/// Whether each value of a page is there. Most columns have no null, and nothing is kept
/// for them but a count.
#[derive(Debug, Default)]
pub(super) struct Levels {
    count: usize,
    null_count: usize,
    /// A bit for each value, from the first null on.
    bits: Vec<u8>,
}

impl Levels {
    /// Adds a value that is there.
    #[inline]
    pub(super) fn present(&mut self) {
        if self.null_count > 0 {
            self.push(1);
        }
        self.count += 1;
    }

    /// Adds a null.
    pub(super) fn null(&mut self) {
        if self.null_count == 0 {
            self.bits.resize(self.count / 8, 0xff);
            if !self.count.is_multiple_of(8) {
                self.bits.push((1 << (self.count % 8)) - 1);
            }
        }
        self.push(0);
        self.null_count += 1;
        self.count += 1;
    }

    #[inline]
    fn push(&mut self, bit: u8) {
        match self.bits.last_mut() {
            Some(last) if !self.count.is_multiple_of(8) => *last |= bit << (self.count % 8),
            _ => self.bits.push(bit),
        }
    }

    /// Values, nulls among them.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Nulls.
    pub(super) fn null_count(&self) -> usize {
        self.null_count
    }

    /// Appends them as they stand in front of a page's values: a length, then runs of one
    /// bit (the Apache Parquet format, "Data Pages"; the highest level of a flat column
    /// is 1).
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let begin = out.len();
        out.extend_from_slice(&[0; 4]);
        match self.null_count {
            0 => hybrid::repeat(1, self.count, 1, out),
            nulls if nulls == self.count => hybrid::repeat(0, self.count, 1, out),
            _ => hybrid::packed_bits(&self.bits, out),
        }
        let length = (out.len() - begin - 4) as u32;
        out[begin..begin + 4].copy_from_slice(&length.to_le_bytes());
    }

    /// Begins anew.
    pub(super) fn clear(&mut self) {
        self.count = 0;
        self.null_count = 0;
        self.bits.clear();
    }
}
