//! What is remembered of lines that are not read at once: folded ones, and the further lines
//! of lists. Most messages have none.

use crate::occurrence::SEPARATOR;
use crate::password::{self, Where};

/// Kept from message to message to keep its memory.
#[derive(Debug, Default)]
pub(crate) struct OddLines {
    /// Where folded lines are joined.
    pub(crate) unfolded: Vec<u8>,
    /// The values of lists that have several lines, end to end.
    bytes: Vec<u8>,
    /// The field of each value, in the order of the lines, and where it ends in `bytes`.
    values: Vec<(usize, usize)>,
    /// The fields that have a further line, a bit for each: the parser's own, configured ones.
    more: [u64; 2],
}

impl OddLines {
    /// Takes the first value of a field, whose text may be gone when all lines are read.
    pub(crate) fn begin(&mut self, field: usize, value: &[u8]) {
        self.bytes.extend_from_slice(value);
        self.values.push((field, self.bytes.len()));
    }

    /// Takes the value of a further line of a field.
    pub(crate) fn add(&mut self, field: usize, value: &[u8]) {
        self.begin(field, value);
        if let Some(more) = self.more.get_mut(field / MASK_BITS) {
            *more |= 1 << (field % MASK_BITS);
        }
    }

    /// Whether there is nothing.
    #[inline(always)]
    pub(crate) fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Whether a field has a further line.
    pub(crate) fn has_more(&self, field: usize) -> bool {
        let more = self.more.get(field / MASK_BITS).copied().unwrap_or(0);
        more & 1 << (field % MASK_BITS) != 0
    }

    /// Writes all values of a field, behind `first` if that is not among them; without
    /// passwords, if there may be any.
    pub(crate) fn write(
        &self,
        field: usize,
        first: Option<&[u8]>,
        passwords: Option<Where>,
        out: &mut Vec<u8>,
    ) {
        let mut begin = 0;
        let values = self.values.iter().filter_map(|(of, end)| {
            let value = self.bytes.get(begin..*end);
            begin = *end;
            value.filter(|_| *of == field)
        });
        for (number, value) in first.into_iter().chain(values).enumerate() {
            if number > 0 {
                out.extend_from_slice(SEPARATOR);
            }
            match passwords {
                Some(place) => password::write_masked(value, place, out),
                None => out.extend_from_slice(value),
            }
        }
    }

    /// Forgets all values.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.values.clear();
        self.more = [0; 2];
    }
}

/// Bits of a mask.
const MASK_BITS: usize = u64::BITS as usize;
