//! JSON text for `data_extra`, written straight into a column's buffer.

use super::origin::cut;
use heplake_sdk::Cell;
use std::{io::Write as _, sync::LazyLock};
use wide::i8x16;

/// A key, as the text that it is in an object.
#[derive(Clone, Debug)]
pub(super) struct Key {
    /// The key of the object that this one is nested in.
    nest: Option<Text>,
    /// `,"key":`
    plain: Text,
    /// `,"key":"`
    of_text: Text,
}

/// The member that says that text of the envelope was cut: the host's own.
pub(super) const ENVELOPE_CUT_NAME: &str = "envelope_cut";
/// Its key.
pub(super) static ENVELOPE_CUT: LazyLock<Key> = LazyLock::new(|| Key::new(None, ENVELOPE_CUT_NAME));

/// Text, and the beginning of it in an array whose copy costs two stores and no call.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Text {
    start: [u8; AHEAD],
    length: usize,
    whole: Vec<u8>,
}

/// Octets that are copied at once, whether all of them are wanted or not: most keys and
/// most values are shorter.
const AHEAD: usize = 32;

impl Text {
    fn of(whole: Vec<u8>) -> Self {
        let mut start = [0; AHEAD];
        for (to, from) in start.iter_mut().zip(&whole) {
            *to = *from;
        }
        Self {
            start,
            length: whole.len(),
            whole,
        }
    }

    #[inline(always)]
    fn write(&self, out: &mut Vec<u8>) {
        if self.length <= AHEAD {
            write_ahead(&self.start, self.length, out);
        } else {
            out.extend_from_slice(&self.whole);
        }
    }
}

/// Writes the first `length` octets.
#[inline(always)]
fn write_ahead(octets: &[u8; AHEAD], length: usize, out: &mut Vec<u8>) {
    let end = out.len() + length;
    out.extend_from_slice(octets);
    out.truncate(end);
}

impl Key {
    /// A key of the object itself, or one nested in the object that `nest` names.
    pub(super) fn new(nest: Option<&str>, key: &str) -> Self {
        let text = |key: &str, after| {
            let key = serde_json::Value::from(key);
            Text::of(format!(",{key}:{after}").into_bytes())
        };
        Self {
            nest: nest.map(|nest| text(nest, "")),
            plain: text(key, ""),
            of_text: text(key, "\""),
        }
    }

    /// Whether both are nested in the same object, or neither is.
    pub(super) fn has_nest_of(&self, other: &Self) -> bool {
        self.nest == other.nest
    }
}

/// Writes a JSON object member by member: well-formed whatever the values hold.
///
/// Every key brings a comma in front; the one that proves to be the first of an object is
/// made a brace when the object is closed.
#[derive(Debug)]
pub(super) struct ObjectWriter<'a> {
    out: &'a mut Vec<u8>,
    begin: usize,
    /// The nested object that is open, and where it begins.
    nest: Option<(&'a Text, usize)>,
}

impl<'a> ObjectWriter<'a> {
    /// Opens the object.
    pub(super) fn open(out: &'a mut Vec<u8>) -> Self {
        let begin = out.len();
        Self {
            out,
            begin,
            nest: None,
        }
    }

    /// Writes a key, and hands out where the value goes. A value has to be written there.
    #[inline(always)]
    pub(super) fn key(&mut self, key: &'a Key) -> &mut Vec<u8> {
        self.go_to(key);
        key.plain.write(self.out);
        self.out
    }

    /// Writes the key of a text and the quote that begins it. Its characters have to be
    /// written there, and the quote that ends it.
    #[inline(always)]
    pub(super) fn text_key(&mut self, key: &'a Key) -> &mut Vec<u8> {
        self.go_to(key);
        key.of_text.write(self.out);
        self.out
    }

    #[inline(always)]
    fn go_to(&mut self, key: &'a Key) {
        if self.nest.is_some() || key.nest.is_some() {
            self.enter(key.nest.as_ref());
        }
    }

    /// Goes on inside of the nested object of that name, or of none.
    fn enter(&mut self, nest: Option<&'a Text>) {
        if self.nest.map(|(open, _)| open) == nest {
            return;
        }
        self.leave();
        if let Some(nest) = nest {
            nest.write(self.out);
            self.nest = Some((nest, self.out.len()));
        }
    }

    fn leave(&mut self) {
        if let Some((_, begin)) = self.nest.take() {
            end(self.out, begin);
        }
    }

    /// Closes the object.
    pub(super) fn close(mut self) {
        self.leave();
        end(self.out, self.begin);
    }
}

/// Ends an object that begins at `begin`.
fn end(out: &mut Vec<u8>, begin: usize) {
    match out.get_mut(begin) {
        Some(comma) => *comma = b'{',
        None => out.push(b'{'),
    }
    out.push(b'}');
}

/// Writes the characters of a string and the quote that ends it (RFC 8259, section 7).
/// Bytes that are not UTF-8 become U+FFFD. `ahead` begins with `bytes`, or is shorter.
#[inline(always)]
pub(super) fn write_text(bytes: &[u8], ahead: &[u8], out: &mut Vec<u8>) {
    let length = bytes.len();
    match (
        ahead.first_chunk(),
        ahead.get(AHEAD..).and_then(<[u8]>::first_chunk),
    ) {
        (Some(start), _) if length <= AHEAD && is_plain_ahead(start, length) => {
            write_ahead(start, length, out);
        }
        (Some(start), Some(rest))
            if (AHEAD..=2 * AHEAD).contains(&length)
                && is_plain_ahead(start, AHEAD)
                && is_plain_ahead(rest, length - AHEAD) =>
        {
            out.extend_from_slice(start);
            write_ahead(rest, length - AHEAD, out);
        }
        _ => write_long(bytes, out),
    }
    out.push(b'"');
}

/// Writes as much of a string as takes `bytes_max` bytes, escapes included, and the quote that
/// ends it. Says whether there is more of it.
#[cold]
#[inline(never)]
pub(super) fn write_text_within(bytes: &[u8], bytes_max: usize, out: &mut Vec<u8>) -> bool {
    let begin = out.len();
    // No octet takes less than one byte.
    let taken = cut(bytes, bytes_max);
    write_long(taken, out);
    let written = out.get(begin..).unwrap_or_default();
    let is_too_long = written.len() > bytes_max;
    if is_too_long {
        let kept = whole_characters(written, bytes_max);
        out.truncate(begin + kept);
    }
    out.push(b'"');
    is_too_long || taken.len() < bytes.len()
}

/// How many of the first `bytes_max` bytes of written characters are whole ones.
fn whole_characters(written: &[u8], bytes_max: usize) -> usize {
    let mut at = 0;
    loop {
        let length = match written.get(at..) {
            Some([b'\\', b'u', ..]) => 6,
            Some([b'\\', ..]) => 2,
            Some([0xf0..=0xff, ..]) => 4,
            Some([0xe0..=0xef, ..]) => 3,
            Some([0xc0..=0xdf, ..]) => 2,
            Some([_, ..]) => 1,
            _ => return at,
        };
        if at + length > bytes_max {
            return at;
        }
        at += length;
    }
}

fn write_long(bytes: &[u8], out: &mut Vec<u8>) {
    if is_plain(bytes) {
        out.extend_from_slice(bytes);
    } else {
        write_escaped(&String::from_utf8_lossy(bytes), out);
    }
}

/// Writes an unsigned number: half again as fast as the standard formatter, and a dozen
/// times a row.
pub(super) fn write_number(mut number: u64, out: &mut Vec<u8>) {
    let mut digits = [0; u64::MAX.ilog10() as usize + 1];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}

/// Writes the number in a signed cell.
pub(super) fn write_signed(cell: Cell, out: &mut Vec<u8>) {
    let number = cell.as_signed().unwrap_or_default();
    if number < 0 {
        out.push(b'-');
    }
    write_number(number.unsigned_abs(), out);
}

/// Writes a truth value.
pub(super) fn write_flag(flag: bool, out: &mut Vec<u8>) {
    out.extend_from_slice(if flag { b"true" } else { b"false" });
}

/// Writes a double; what JSON has no number for becomes null.
pub(super) fn write_real(real: f64, out: &mut Vec<u8>) {
    let _ = if real.is_finite() {
        write!(out, "{real}")
    } else {
        write!(out, "null")
    };
}

/// Whether the first `length` of these octets are ASCII and none needs an escape.
#[inline(always)]
fn is_plain_ahead(octets: &[u8; AHEAD], length: usize) -> bool {
    let [low, high] = [octets.first_chunk(), octets.last_chunk()]
        .map(|half| half.map_or(0, |half| u64::from(special(half))));
    // The first that is not plain, or the place after all.
    (1 << AHEAD | high << LANES | low).trailing_zeros() as usize >= length
}

/// Whether all bytes are ASCII and none needs an escape.
#[inline]
fn is_plain(bytes: &[u8]) -> bool {
    let mut found = 0;
    let mut rest = bytes;
    while let Some((octets, after)) = rest.split_first_chunk() {
        found |= special(octets);
        rest = after;
    }
    if !rest.is_empty() {
        // The last octets again where there are enough of them.
        found |= bytes.last_chunk().map_or_else(
            || {
                let mut padded = [b' '; LANES];
                for (to, from) in padded.iter_mut().zip(rest) {
                    *to = *from;
                }
                special(&padded)
            },
            special,
        );
    }
    found == 0
}

/// Octets of a vector.
const LANES: usize = 16;

/// A bit for each octet that is a control, `"`, `\` or not ASCII.
#[inline(always)]
fn special(octets: &[u8; LANES]) -> u32 {
    // As signed numbers, what is not ASCII lies below zero: one comparison finds controls too.
    let octets = i8x16::new(octets.map(|octet| octet as i8));
    let low = octets.simd_lt(i8x16::splat(0x20));
    let quote = octets.simd_eq(i8x16::splat(b'"' as i8));
    let backslash = octets.simd_eq(i8x16::splat(b'\\' as i8));
    (low | quote | backslash).to_bitmask()
}

fn write_escaped(text: &str, out: &mut Vec<u8>) {
    let mut plain_from = 0;
    for (at, byte) in text.bytes().enumerate() {
        let short = match byte {
            b'"' => b'"',
            b'\\' => b'\\',
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            0..0x20 => b'u',
            _ => continue,
        };
        out.extend_from_slice(&text.as_bytes()[plain_from..at]);
        out.extend_from_slice(&[b'\\', short]);
        if short == b'u' {
            // A sender can have thousands of them written.
            let digit = |nibble: u8| b"0123456789abcdef"[usize::from(nibble & 0xf)];
            out.extend_from_slice(&[b'0', b'0', digit(byte >> 4), digit(byte)]);
        }
        plain_from = at + 1;
    }
    out.extend_from_slice(&text.as_bytes()[plain_from..]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    /// A string as it is read again that has been written from where more bytes follow.
    fn read_back(bytes: &[u8], after: &[u8]) -> Value {
        let ahead = [bytes, after].concat();
        let mut out = vec![b'"'];
        write_text(bytes, &ahead, &mut out);
        serde_json::from_slice(&out).unwrap()
    }

    proptest! {
        #[test]
        fn any_bytes_make_a_string_that_reads_back(bytes: Vec<u8>) {
            let read = read_back(&bytes, b"");
            prop_assert_eq!(read, Value::from(String::from_utf8_lossy(&bytes).into_owned()));
        }

        #[test]
        fn any_number_is_written_as_the_standard_writes_it(number in any::<u64>(), shift in 0..64u32) {
            let mut out = Vec::new();
            write_number(number >> shift, &mut out);
            prop_assert_eq!(String::from_utf8(out).unwrap(), (number >> shift).to_string());
        }

        #[test]
        fn a_text_that_is_cut_is_the_beginning_of_it_and_short_enough(
            text in "([a-z]|\"|\\x01|\n|é|\u{2028}|\u{10ffff}){0,30}", bytes_max in 0..80usize,
        ) {
            let mut out = vec![b'"'];
            let is_cut = write_text_within(text.as_bytes(), bytes_max, &mut out);
            prop_assert!(out.len() <= bytes_max + 2);
            let read: String = serde_json::from_slice(&out).unwrap();
            prop_assert!(text.starts_with(&read));
            prop_assert_eq!(is_cut, read.len() < text.len());
            let mut whole = vec![b'"'];
            write_text(text.as_bytes(), b"", &mut whole);
            if whole.len() <= bytes_max + 2 {
                prop_assert_eq!(out, whole);
            } else {
                // No character more would have fit: the longest takes six bytes.
                prop_assert!(out.len() + 6 > bytes_max + 2);
            }
        }

        #[test]
        fn any_signed_number_is_written_as_the_standard_writes_it(number in any::<i64>(), shift in 0..64u32) {
            let number = (number >> shift).min(i64::MAX - 1);
            let mut out = Vec::new();
            write_signed(Cell::signed(number), &mut out);
            prop_assert_eq!(String::from_utf8(out).unwrap(), number.to_string());
        }

        #[test]
        fn any_ascii_makes_a_string_that_reads_back(
            text in "[\\x00-\\x7f]{0,40}|[ -~]{0,40}",
            after in "[\\x00-\\x7f]{0,40}",
        ) {
            prop_assert_eq!(read_back(text.as_bytes(), after.as_bytes()), Value::from(text));
        }
    }

    #[test]
    fn nested_members_stand_in_an_object_of_their_own() {
        let long = "of-a-key-that-is-longer-than-most";
        let [a, b, c, d] = [
            Key::new(None, "a"),
            Key::new(Some("n"), "b"),
            Key::new(Some("n"), "c"),
            Key::new(Some(long), long),
        ];
        let mut out = b"before".to_vec();
        let mut object = ObjectWriter::open(&mut out);
        write_number(1, object.key(&a));
        write_text(b"x", b"", object.text_key(&b));
        write_text(b"y", b"", object.text_key(&c));
        write_real(f64::NAN, object.key(&d));
        write_number(2, object.key(&a));
        object.close();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            format!(r#"before{{"a":1,"n":{{"b":"x","c":"y"}},"{long}":{{"{long}":null}},"a":2}}"#)
        );
    }

    #[test]
    fn an_object_without_members_is_empty() {
        let mut out = Vec::new();
        ObjectWriter::open(&mut out).close();
        assert_eq!(out, b"{}");
    }
}
