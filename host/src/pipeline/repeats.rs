//! How much of the envelope's text the rows of a payload have.
//!
//! A parser may give many rows of a payload, and each row has what the envelope knows: node
//! name, correlation id, tags. An agent says these in a few octets. A sender who says one in 60
//! kilobytes beside 64 short messages would have it written 64 times, with six bytes for each
//! control character, and a gzipped frame holds that in a kilobyte. So the first row of a
//! payload has all of a text, and the others have of each as much as leaves its repetition
//! within a bound.

use crate::{checked::Checked, rows::WHOLE};

/// Bytes that one text of the envelope takes, as written, in all rows of a payload but the
/// first: a kilobyte each where there are five rows.
const REPEATED_BYTES_MAX: u32 = 4096;
/// Bytes of a text that every row has, however many rows there are: most names are shorter,
/// and what a row takes without them is more.
const REPEATED_TEXT_MIN: u32 = 64;

/// Goes through a parser's rows.
pub(super) struct Repeats<'a> {
    items: &'a [u32],
    /// The rows of the item in hand: where they end, and what those after the first have.
    end: usize,
    text_max: u32,
}

impl<'a> Repeats<'a> {
    pub(super) fn of(parsed: &'a Checked) -> Self {
        Self {
            items: parsed.items(),
            end: 0,
            text_max: WHOLE,
        }
    }

    /// Most bytes that a text of the envelope takes in a row. Rows are asked for in order.
    pub(super) fn next(&mut self, row: usize) -> u32 {
        if row < self.end {
            return self.text_max;
        }
        let rest = self.items.get(row..).unwrap_or_default();
        let rows = rest.iter().take_while(|item| rest.first() == Some(*item));
        let rows = rows.count().max(1);
        self.end = row + rows;
        let others = u32::try_from(rows - 1).unwrap_or(u32::MAX).max(1);
        self.text_max = (REPEATED_BYTES_MAX / others).max(REPEATED_TEXT_MIN);
        WHOLE
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use heplake_sdk::{Accepts, Description, Field, Kind, Parsed};

    #[test]
    fn the_first_row_of_a_payload_has_all_and_the_others_share_a_bound() {
        let description = Description::new("one", "0.1.0", Accepts::Datagrams)
            .fields([Field::new("field", Kind::Number)]);
        let items: Vec<u32> = [vec![0], vec![1; 5], vec![2; 3000]].concat();
        let parsed = Parsed {
            cells: vec![0; items.len()],
            items,
            verdicts: vec![0; 3],
            scratch: Vec::new(),
        };
        let shape = crate::checked::RowShape::of(&description).unwrap();
        let checked = Checked::new(parsed, &[1, 2, 3], &shape).unwrap();
        let mut repeats = Repeats::of(&checked);
        let all: Vec<u32> = (0..checked.rows()).map(|row| repeats.next(row)).collect();
        assert_eq!(all[..7], [WHOLE, WHOLE, 1024, 1024, 1024, 1024, WHOLE]);
        assert!(
            all[7..]
                .iter()
                .all(|text_max| *text_max == REPEATED_TEXT_MIN)
        );
    }
}
