//! Memory of files that are done with.

use bytes::Bytes;
use std::sync::{Arc, Mutex, PoisonError};

/// Where the memory of a file waits for the next one. It is one buffer, the largest of late,
/// and goes with the writer.
#[derive(Debug, Default)]
pub(super) struct Spare {
    buffer: Arc<Mutex<Vec<u8>>>,
}

/// Bytes whose memory goes back when they are dropped.
struct Lent {
    bytes: Vec<u8>,
    home: Arc<Mutex<Vec<u8>>>,
}

impl Spare {
    /// What there is: an empty buffer, with room if one came back.
    pub(super) fn take(&self) -> Vec<u8> {
        std::mem::take(&mut *self.buffer.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Gives bytes away until nobody has them any more.
    pub(super) fn lend(&self, bytes: Vec<u8>) -> Bytes {
        Bytes::from_owner(Lent {
            bytes,
            home: self.buffer.clone(),
        })
    }
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.clear();
        let mut home = self.home.lock().unwrap_or_else(PoisonError::into_inner);
        if bytes.capacity() > home.capacity() {
            *home = bytes;
        }
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
}
