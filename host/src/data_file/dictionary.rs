//! The distinct values of a column chunk.

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use std::hash::BuildHasher;

/// Recently looked up short values: methods, codes and addresses hardly ever miss.
const RECENT: usize = 256;
/// No short value: its length would be 255 octets.
const NOTHING: u64 = u64::MAX;

/// Distinct values, in the order in which they were first seen, as they stand in a
/// dictionary page: plain, one after the other.
#[derive(Debug)]
pub(super) struct Dictionary {
    plain: Vec<u8>,
    /// Where each value ends in `plain`.
    ends: Vec<u32>,
    /// Octets of a value's length in front of it: 4 for text, none for numbers.
    prefix: usize,
    places: HashTable<Entry>,
    /// Seeded by chance: senders choose the values, and must not choose where they collide.
    hasher: RandomState,
    recent: Box<[(u64, u32); RECENT]>,
}

/// Where a value is. A part of the hash is kept since there is room: nearly all other
/// values are told apart without a look at them, wherever that is.
#[derive(Clone, Copy, Debug)]
struct Entry {
    hash: u32,
    index: u32,
    begin: u32,
    length: u32,
}

/// A value's place, and whether it is new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) index: u32,
    pub(super) is_new: bool,
}

impl Dictionary {
    /// An empty one, of text or of numbers.
    pub(super) fn new(of_text: bool) -> Self {
        Self {
            plain: Vec::new(),
            ends: Vec::new(),
            prefix: if of_text { 4 } else { 0 },
            places: HashTable::new(),
            hasher: RandomState::default(),
            recent: Box::new([(NOTHING, 0); RECENT]),
        }
    }

    /// The place of a value, which is added if it is new.
    #[inline]
    pub(super) fn place(&mut self, value: &[u8]) -> Place {
        let hash = self.hasher.hash_one(value);
        let known = self.places.find(hash, |entry| {
            let begin = entry.begin as usize;
            entry.hash == hash as u32
                && self.plain.get(begin..begin + entry.length as usize) == Some(value)
        });
        if let Some(Entry { index, .. }) = known {
            return Place {
                index: *index,
                is_new: false,
            };
        }
        self.add(hash, value)
    }

    fn add(&mut self, hash: u64, value: &[u8]) -> Place {
        let index = self.ends.len() as u32;
        let length = value.len() as u32;
        self.plain
            .extend_from_slice(&length.to_le_bytes()[..self.prefix]);
        let begin = self.plain.len() as u32;
        self.plain.extend_from_slice(value);
        self.ends.push(self.plain.len() as u32);
        let entry = Entry {
            hash: hash as u32,
            index,
            begin,
            length,
        };
        let Self {
            places,
            plain,
            hasher,
            ..
        } = self;
        places.insert_unique(hash, entry, |entry| {
            let begin = entry.begin as usize;
            hasher.hash_one(
                plain
                    .get(begin..begin + entry.length as usize)
                    .unwrap_or_default(),
            )
        });
        Place {
            index,
            is_new: true,
        }
    }

    /// The place of a value that `key` determines, if it was looked up lately.
    #[inline]
    pub(super) fn recent(&self, key: u64) -> Option<u32> {
        let (known, index) = self.recent[slot(key)];
        (known == key).then_some(index)
    }

    /// Remembers where the value of `key` is.
    pub(super) fn remember(&mut self, key: u64, index: u32) {
        self.recent[slot(key)] = (key, index);
    }

    /// The value at a place that was handed out.
    pub(super) fn value(&self, index: u32) -> &[u8] {
        let index = index as usize;
        let begin = match index.checked_sub(1) {
            Some(before) => self.ends[before] as usize,
            None => 0,
        };
        &self.plain[begin + self.prefix..self.ends[index] as usize]
    }

    /// All values, in the order of their places.
    pub(super) fn values(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.ends.len() as u32).map(|index| self.value(index))
    }

    /// Number of values.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The dictionary page.
    pub(super) fn plain(&self) -> &[u8] {
        &self.plain
    }

    /// Bits of an index.
    pub(super) fn index_width(&self) -> u32 {
        // One bit at least: not every reader takes a width of 0.
        (self.ends.len().saturating_sub(1) as u32)
            .checked_ilog2()
            .map_or(1, |log| log + 1)
    }

    /// Begins anew.
    pub(super) fn clear(&mut self) {
        self.plain.clear();
        self.ends.clear();
        self.places.clear();
        self.recent.fill((NOTHING, 0));
    }
}

/// A key of up to seven octets: the octets, and their number.
#[inline]
pub(super) fn short_key(value: &[u8]) -> Option<u64> {
    let word = match *value {
        [] => 0,
        [a] => u64::from(a),
        [a, b] => u64::from(u16::from_le_bytes([a, b])),
        [a, b, c] => u64::from(u32::from_le_bytes([a, b, c, 0])),
        [a, b, c, d] => u64::from(u32::from_le_bytes([a, b, c, d])),
        [a, b, c, d, e] => u64::from_le_bytes([a, b, c, d, e, 0, 0, 0]),
        [a, b, c, d, e, f] => u64::from_le_bytes([a, b, c, d, e, f, 0, 0]),
        [a, b, c, d, e, f, g] => u64::from_le_bytes([a, b, c, d, e, f, g, 0]),
        _ => return None,
    };
    Some(word | (value.len() as u64) << 56)
}

#[inline]
fn slot(key: u64) -> usize {
    // Fibonacci hashing: the upper bits of the product depend on all bits of the key.
    (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as usize % RECENT
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_value_has_one_place_and_keeps_it(values: Vec<Vec<u8>>, of_text: bool) {
            // Numbers have one width.
            let values: Vec<Vec<u8>> = values
                .into_iter()
                .map(|value| if of_text { value } else { vec![value.first().copied().unwrap_or(0); 4] })
                .collect();
            let mut dictionary = Dictionary::new(of_text);
            let mut seen: Vec<&Vec<u8>> = Vec::new();
            for value in &values {
                let place = dictionary.place(value);
                let before = seen.iter().position(|other| *other == value);
                prop_assert_eq!(place.is_new, before.is_none());
                if place.is_new {
                    seen.push(value);
                }
                prop_assert_eq!(dictionary.value(place.index), value.as_slice());
            }
            prop_assert_eq!(dictionary.len(), seen.len());
            prop_assert!(dictionary.values().eq(seen.iter().map(|value| value.as_slice())));
        }
    }

    #[test]
    fn an_index_has_as_many_bits_as_it_needs() {
        let mut dictionary = Dictionary::new(true);
        for (count, width) in [(0, 1), (1, 1), (2, 1), (3, 2), (4, 2), (5, 3), (257, 9)] {
            while dictionary.len() < count {
                dictionary.place(&dictionary.len().to_le_bytes());
            }
            assert_eq!(dictionary.index_width(), width, "{count} values");
        }
    }

    #[test]
    fn short_keys_tell_values_apart() {
        let values: [&[u8]; 6] = [b"", b"\0", b"\0\0", b"A", b"A\0", b"ABCDEFG"];
        for (at, value) in values.iter().enumerate() {
            for other in &values[at + 1..] {
                assert_ne!(short_key(value), short_key(other));
            }
        }
        assert_eq!(short_key(b"12345678"), None);
    }
}
