//! UUIDs of rows.

use uuid::Uuid;

const MICROS_PER_MILLI: u64 = 1000;
/// 12 bits of rand_a and 6 of rand_b: a quarter of a million rows in a millisecond.
const COUNT_BITS: u32 = 18;

/// Makes UUIDs that rise with arrival (RFC 9562, version 7, section 6.2, method 1: a counter
/// behind the time, then chance), even where the clock does not.
///
/// ```text
///  48 bits ms │ 4 version │ 12 count, high │ 2 variant │ 6 count, low │ 56 chance
/// ```
#[derive(Debug)]
pub(super) struct Uuids {
    random: fastrand::Rng,
    millis: u64,
    count: u64,
}

impl Uuids {
    /// Takes chance from a seed.
    pub(super) fn new(seed: u64) -> Self {
        let random = fastrand::Rng::with_seed(seed);
        Self {
            random,
            millis: 0,
            count: 0,
        }
    }

    /// The next, for a packet received at so many µs since 1970.
    pub(super) fn next(&mut self, received: u64) -> Uuid {
        let millis = received / MICROS_PER_MILLI;
        self.count += 1;
        if millis > self.millis {
            (self.millis, self.count) = (millis, 0);
        } else if self.count >> COUNT_BITS > 0 {
            (self.millis, self.count) = (self.millis + 1, 0);
        }
        let mut bytes = [0; 10];
        bytes[0] = (self.count >> 14) as u8;
        bytes[1] = (self.count >> 6) as u8;
        bytes[2] = self.count as u8 & 0x3f;
        bytes[3..].copy_from_slice(&self.random.u64(..).to_le_bytes()[..7]);
        uuid::Builder::from_unix_timestamp_millis(self.millis, &bytes).into_uuid()
    }
}
