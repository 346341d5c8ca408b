//! What a component is shown of another's rows.

use heplake_sdk::Cell;
use std::{borrow::Cow, ops::Range};

/// Cells of another component's rows, as many for each item, and their text end to end.
#[derive(Clone, Copy, Debug, Default)]
pub struct Quoted<'a> {
    /// The cells, item by item.
    pub cells: &'a [u64],
    /// What spans among them point into.
    pub bytes: &'a [u8],
    /// Where the text of each item ends. Where this is not told, fewer items are shown the
    /// text of all.
    pub ends: &'a [u32],
    /// Which cells of an item are spans.
    pub spans: &'a [bool],
}

impl<'a> Quoted<'a> {
    /// The cells of some items and their text, and of no others: what is too much for a component
    /// becomes less with the items.
    pub(super) fn part(&self, part: Range<usize>, width: usize) -> (Cow<'a, [u64]>, &'a [u8]) {
        let cells = part.start * width..part.end * width;
        let cells = self.cells.get(cells).unwrap_or_default();
        let end = |items: usize| match items.checked_sub(1) {
            None => Some(0),
            Some(last) => self.ends.get(last).map(|end| *end as usize),
        };
        let text = end(part.start).zip(end(part.end));
        let text = text.and_then(|(start, end)| Some((start as u64, self.bytes.get(start..end)?)));
        let Some((start, bytes)) = text else {
            return (cells.into(), self.bytes);
        };
        let mut moved = cells.to_vec();
        for of_item in moved.chunks_mut(width.max(1)) {
            for (cell, is_span) in of_item.iter_mut().zip(self.spans) {
                if *is_span && *cell != Cell::NULL.0 {
                    // Offsets stand in the low bits, and none begins before its item's text.
                    *cell -= start;
                }
            }
        }
        (moved.into(), bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The values of items as text: a number and a span of each.
    fn read(cells: &[u64], bytes: &[u8]) -> Vec<(u64, Option<Vec<u8>>)> {
        let items = cells.chunks(2);
        let text = |cell: u64| Cell(cell).resolve(bytes, &[]).map(<[u8]>::to_vec);
        items.map(|item| (item[0], text(item[1]))).collect()
    }

    proptest! {
        #[test]
        fn a_part_reads_as_it_does_in_the_whole(
            items in prop::collection::vec((any::<u64>(), prop::option::of("[a-z]{0,9}")), 1..20),
            start in 0..20_usize,
            length in 1..20_usize,
        ) {
            let (mut cells, mut bytes, mut ends) = (Vec::new(), Vec::new(), Vec::new());
            for (number, text) in &items {
                let span = |text: &String| Cell::span(bytes.len() as u32, text.len() as u32).0;
                cells.extend([*number, text.as_ref().map_or(Cell::NULL.0, span)]);
                bytes.extend_from_slice(text.as_deref().unwrap_or_default().as_bytes());
                ends.push(bytes.len() as u32);
            }
            let start = start.min(items.len() - 1);
            let end = (start + length).min(items.len());
            let of_all = read(&cells, &bytes);
            let quoted = Quoted { cells: &cells, bytes: &bytes, ends: &ends, spans: &[false, true] };
            let (part, text) = quoted.part(start..end, 2);
            prop_assert_eq!(read(&part, text), &of_all[start..end]);
            let texts = items[start..end].iter().filter_map(|(_, text)| text.as_ref());
            prop_assert_eq!(text.len(), texts.map(String::len).sum::<usize>());
            // Without knowing where it ends, all of it.
            let (part, text) = Quoted { ends: &[], ..quoted }.part(start..end, 2);
            prop_assert_eq!(read(&part, text), &of_all[start..end]);
        }
    }
}
