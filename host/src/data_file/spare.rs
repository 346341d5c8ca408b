//! Memory of files that are done with.

use bytes::Bytes;
use std::sync::{Arc, Mutex, PoisonError};

/// How many times what the last files had a buffer may hold. Files of one table differ by
/// the hour; one that was far larger than all since was a burst.
const ROOM_MAX: usize = 4;

/// Where the memory of a file waits for the next one. It is one buffer, the largest of late,
/// and goes with the writer.
#[derive(Debug, Default)]
pub(super) struct Spare {
    home: Arc<Mutex<Home>>,
}

#[derive(Debug, Default)]
struct Home {
    buffer: Vec<u8>,
    /// What files need, in bytes: the last one's length, or half of what it was thought
    /// before, whichever is more.
    needed: usize,
}

/// Bytes whose memory goes back when they are dropped.
struct Lent {
    bytes: Vec<u8>,
    home: Arc<Mutex<Home>>,
}

impl Spare {
    /// What there is: an empty buffer, with room if one came back.
    pub(super) fn take(&self) -> Vec<u8> {
        let mut home = self.home.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut home.buffer)
    }

    /// Gives bytes away until nobody has them any more.
    pub(super) fn lend(&self, bytes: Vec<u8>) -> Bytes {
        Bytes::from_owner(Lent {
            bytes,
            home: self.home.clone(),
        })
    }
}

impl Home {
    fn come_back(&mut self, mut bytes: Vec<u8>) {
        self.needed = bytes.len().max(self.needed / 2);
        bytes.clear();
        if bytes.capacity() > self.buffer.capacity() {
            self.buffer = bytes;
        }
        if self.buffer.capacity() > self.needed.saturating_mul(ROOM_MAX) {
            self.buffer = Vec::new();
        }
    }
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        let mut home = self.home.lock().unwrap_or_else(PoisonError::into_inner);
        home.come_back(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_buffer_that_came_back_is_taken_next() {
        let spare = Spare::default();
        assert_eq!(spare.take().capacity(), 0);
        let (small, large) = (spare.lend(vec![1; 10]), spare.lend(vec![2; 1000]));
        let clone = large.clone();
        assert_eq!((&small[..], large.len()), (&[1; 10][..], 1000));
        drop(large);
        assert_eq!(spare.take().capacity(), 0, "there is a clone");
        drop(clone);
        drop(small);
        let taken = spare.take();
        assert!(taken.is_empty() && taken.capacity() >= 1000);
        assert_eq!(spare.take().capacity(), 0);
    }

    #[test]
    fn a_buffer_far_larger_than_the_last_files_is_given_up() {
        let spare = Spare::default();
        drop(spare.lend(vec![0; 1 << 20]));
        let mut kept = Vec::new();
        for _ in 0..5 {
            let mut file = spare.take();
            kept.push(file.capacity() >= 1 << 20);
            file.extend_from_slice(&[0; 1000]);
            drop(spare.lend(file));
        }
        assert_eq!(kept, [true, true, true, false, false]);
    }
}
