//! The least and the greatest value of a column chunk.

use parquet::{
    data_type::ByteArray,
    file::statistics::{Statistics, ValueStatistics},
};

/// Longest text kept as a bound, in bytes: enough to tell Call-IDs apart, and the rest
/// would be written again in every catalog.
const TEXT_BYTES_MAX: usize = 64;

/// How the values of a column are ordered (the Apache Parquet format, "Column Orders").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Octet by octet.
    Text { utf8: bool },
    /// Unsigned, stored as 32 bits.
    Unsigned32,
    /// Unsigned, stored as 64 bits.
    Unsigned64,
    /// Signed, stored as 64 bits.
    Signed64,
    /// IEEE 754 double.
    Double,
}

/// What is known of a column chunk's values.
#[derive(Debug)]
pub(super) struct Bounds {
    order: Order,
    text: Option<(Text, Text)>,
    /// As numbers whose unsigned order is that of the values.
    numbers: Option<(u64, u64)>,
}

/// The beginning of a text, and how it compares to the texts that begin so.
#[derive(Debug, Default)]
struct Text {
    /// Its first eight octets, filled up with zeroes, as a big-endian number: most
    /// comparisons end here.
    start: u64,
    head: Vec<u8>,
    is_longer: bool,
}

impl Bounds {
    pub(super) fn new(order: Order) -> Self {
        Self {
            order,
            text: None,
            numbers: None,
        }
    }

    /// Takes note of a text.
    #[inline]
    pub(super) fn text(&mut self, value: &[u8]) {
        let start = start(value);
        match &self.text {
            Some((least, greatest)) if least.start < start && start < greatest.start => {}
            _ => self.compare(value, start),
        }
    }

    fn compare(&mut self, value: &[u8], start: u64) {
        let head = value.get(..TEXT_BYTES_MAX).unwrap_or(value);
        let is_longer = value.len() > head.len();
        let Some((least, greatest)) = &mut self.text else {
            let mut both = (Text::default(), Text::default());
            both.0.set(start, head, is_longer);
            both.1.set(start, head, is_longer);
            self.text = Some(both);
            return;
        };
        // The greatest first: UUIDs only rise, and are not compared twice then.
        if (head, is_longer) > (greatest.head.as_slice(), greatest.is_longer) {
            greatest.set(start, head, is_longer);
        } else if (head, is_longer) < (least.head.as_slice(), least.is_longer) {
            least.set(start, head, is_longer);
        }
    }

    /// Takes note of a number, or of the bits of a signed number or double.
    #[inline]
    pub(super) fn number(&mut self, bits: u64) {
        let ordered = match self.order {
            Order::Signed64 => bits ^ SIGN,
            Order::Double if f64::from_bits(bits).is_nan() => return,
            Order::Double if bits & SIGN == 0 => bits ^ SIGN,
            Order::Double => !bits,
            _ => bits,
        };
        self.numbers = Some(match self.numbers {
            Some((least, greatest)) => (least.min(ordered), greatest.max(ordered)),
            None => (ordered, ordered),
        });
    }

    /// As they stand in a footer.
    pub(super) fn statistics(&self, null_count: usize) -> Statistics {
        let nulls = Some(null_count as u64);
        let signed = |ordered: u64| (ordered ^ SIGN) as i64;
        let (least, greatest) = self.numbers.unzip();
        match self.order {
            Order::Text { utf8 } => {
                let (least, greatest) = match &self.text {
                    Some((least, greatest)) => (least.floor(utf8), greatest.ceiling(utf8)),
                    None => (None, None),
                };
                let exact = |bound: &Option<(Vec<u8>, bool)>| {
                    bound.as_ref().is_some_and(|(_, is_exact)| *is_exact)
                };
                let (least_exact, greatest_exact) = (exact(&least), exact(&greatest));
                let value =
                    |bound: Option<(Vec<u8>, bool)>| bound.map(|(value, _)| ByteArray::from(value));
                let values =
                    ValueStatistics::new(value(least), value(greatest), None, nulls, false);
                Statistics::ByteArray(
                    values
                        .with_min_is_exact(least_exact)
                        .with_max_is_exact(greatest_exact),
                )
            }
            Order::Unsigned32 => {
                let stored = |number: u64| number as u32 as i32;
                Statistics::int32(least.map(stored), greatest.map(stored), None, nulls, false)
            }
            Order::Unsigned64 => {
                let stored = |number: u64| number as i64;
                Statistics::int64(least.map(stored), greatest.map(stored), None, nulls, false)
            }
            Order::Signed64 => {
                Statistics::int64(least.map(signed), greatest.map(signed), None, nulls, false)
            }
            Order::Double => {
                // A zero may have either sign, and readers may not tell them apart.
                let least = least.map(double).map(|d| if d == 0.0 { -0.0 } else { d });
                let greatest = greatest.map(double).map(|d| if d == 0.0 { 0.0 } else { d });
                Statistics::double(least, greatest, None, nulls, false)
            }
        }
    }

    /// Begins anew.
    pub(super) fn clear(&mut self) {
        self.text = None;
        self.numbers = None;
    }
}

const SIGN: u64 = 1 << 63;

fn double(ordered: u64) -> f64 {
    f64::from_bits(if ordered & SIGN == 0 {
        !ordered
    } else {
        ordered ^ SIGN
    })
}

#[inline]
fn start(value: &[u8]) -> u64 {
    match value.first_chunk() {
        Some(word) => u64::from_be_bytes(*word),
        None => value.iter().enumerate().fold(0, |word, (at, byte)| {
            word | u64::from(*byte) << (56 - 8 * at)
        }),
    }
}

impl Text {
    /// Takes another's place. A column that rises does this for every row.
    fn set(&mut self, start: u64, head: &[u8], is_longer: bool) {
        self.start = start;
        self.head.clear();
        self.head.extend_from_slice(head);
        self.is_longer = is_longer;
    }

    /// A text that is not greater than any that this stands for, and whether it is one.
    fn floor(&self, utf8: bool) -> Option<(Vec<u8>, bool)> {
        let kept = if self.is_longer && utf8 {
            whole_characters(&self.head)
        } else {
            &self.head
        };
        Some((kept.to_vec(), !self.is_longer))
    }

    /// A text that is not less than any that this stands for, and whether it is one. None
    /// if there is no such text that is not longer.
    fn ceiling(&self, utf8: bool) -> Option<(Vec<u8>, bool)> {
        if !self.is_longer {
            return Some((self.head.clone(), true));
        }
        let mut kept = self.head.clone();
        // In UTF-8 only ASCII has a successor that is as long; what follows is left out.
        let greatest = if utf8 { 0x7f } else { 0xff };
        while let Some(last) = kept.pop() {
            if last < greatest {
                kept.push(last + 1);
                return Some((kept, false));
            }
        }
        None
    }
}

/// `head` without the beginning of a character whose rest was cut off.
fn whole_characters(head: &[u8]) -> &[u8] {
    match std::str::from_utf8(head) {
        Err(error) if error.error_len().is_none() => {
            head.get(..error.valid_up_to()).unwrap_or(head)
        }
        _ => head,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bytes(statistics: &Statistics) -> (Option<&[u8]>, Option<&[u8]>) {
        (statistics.min_bytes_opt(), statistics.max_bytes_opt())
    }

    proptest! {
        #[test]
        fn texts_lie_between_their_bounds(
            texts in prop::collection::vec("(a|é|\\u{10ffff}|\u{7f}){0,70}", 1..8),
        ) {
            let mut bounds = Bounds::new(Order::Text { utf8: true });
            texts.iter().for_each(|text| bounds.text(text.as_bytes()));
            let statistics = bounds.statistics(0);
            let (least, greatest) = bytes(&statistics);
            let least = std::str::from_utf8(least.unwrap()).unwrap();
            for text in &texts {
                prop_assert!(least <= text.as_str());
            }
            if statistics.min_is_exact() {
                prop_assert_eq!(Some(least), texts.iter().map(String::as_str).min());
            }
            if let Some(greatest) = greatest {
                let greatest = std::str::from_utf8(greatest).unwrap();
                for text in &texts {
                    prop_assert!(text.as_str() <= greatest);
                }
                if statistics.max_is_exact() {
                    prop_assert_eq!(Some(greatest), texts.iter().map(String::as_str).max());
                }
            }
        }

        #[test]
        fn octets_lie_between_their_bounds(
            all in prop::collection::vec(prop::collection::vec(prop::sample::select(vec![0u8, 1, 0xfe, 0xff]), 60..70), 1..8),
        ) {
            let mut bounds = Bounds::new(Order::Text { utf8: false });
            all.iter().for_each(|value| bounds.text(value));
            let statistics = bounds.statistics(0);
            let (least, greatest) = bytes(&statistics);
            for value in &all {
                prop_assert!(least.unwrap() <= value.as_slice());
                prop_assert!(greatest.is_none_or(|greatest| value.as_slice() <= greatest));
            }
        }

        #[test]
        fn numbers_are_bound_by_the_least_and_the_greatest(all in prop::collection::vec(any::<i64>(), 1..9)) {
            let mut signed = Bounds::new(Order::Signed64);
            let mut unsigned = Bounds::new(Order::Unsigned64);
            let mut narrow = Bounds::new(Order::Unsigned32);
            let mut real = Bounds::new(Order::Double);
            for &number in &all {
                signed.number(number as u64);
                unsigned.number(number as u64);
                narrow.number(u64::from(number as u32));
                real.number((number as f64).to_bits());
            }
            let of = |numbers: Vec<i64>| (numbers.iter().min().copied(), numbers.iter().max().copied());
            match (signed.statistics(0), unsigned.statistics(0)) {
                (Statistics::Int64(signed), Statistics::Int64(unsigned)) => {
                    prop_assert_eq!((signed.min_opt().copied(), signed.max_opt().copied()), of(all.clone()));
                    prop_assert_eq!(unsigned.min_opt().map(|n| *n as u64), all.iter().map(|n| *n as u64).min());
                    prop_assert_eq!(unsigned.max_opt().map(|n| *n as u64), all.iter().map(|n| *n as u64).max());
                }
                other => panic!("{other:?}"),
            }
            match (narrow.statistics(0), real.statistics(0)) {
                (Statistics::Int32(narrow), Statistics::Double(real)) => {
                    prop_assert_eq!(narrow.min_opt().map(|n| *n as u32), all.iter().map(|n| *n as u32).min());
                    prop_assert_eq!(narrow.max_opt().map(|n| *n as u32), all.iter().map(|n| *n as u32).max());
                    prop_assert_eq!(real.min_opt().copied(), of(all.clone()).0.map(|n| n as f64));
                    prop_assert_eq!(real.max_opt().copied(), of(all.clone()).1.map(|n| n as f64));
                }
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn what_is_no_number_bounds_nothing_and_zeroes_bound_both_signs() {
        let mut bounds = Bounds::new(Order::Double);
        bounds.number(f64::NAN.to_bits());
        assert_eq!(bounds.statistics(0).min_bytes_opt(), None);
        bounds.number(0f64.to_bits());
        let statistics = bounds.statistics(0);
        assert_eq!(statistics.min_bytes_opt(), Some(&(-0f64).to_le_bytes()[..]));
        assert_eq!(statistics.max_bytes_opt(), Some(&0f64.to_le_bytes()[..]));
    }
}
