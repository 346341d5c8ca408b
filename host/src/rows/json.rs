//! JSON text for `data_extra`, written straight into a column's buffer.

use std::io::Write as _;

/// A key, as the text that it is in an object.
#[derive(Clone, Debug)]
pub(super) struct Key {
    /// The key of the object that this one is nested in.
    nest: Option<Text>,
    text: Text,
}

/// `,"key":`, or the beginning of it in an array whose copy costs two stores and no call.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Text {
    start: [u8; Self::START],
    length: usize,
    whole: Vec<u8>,
}

impl Text {
    /// All keys of the shipped tables but one are shorter.
    const START: usize = 24;

    fn of(key: &str) -> Self {
        let whole = format!(",{}:", serde_json::Value::from(key)).into_bytes();
        let mut start = [0; Self::START];
        for (to, from) in start.iter_mut().zip(&whole) {
            *to = *from;
        }
        Self {
            start,
            length: whole.len(),
            whole,
        }
    }

    #[inline]
    fn write(&self, out: &mut Vec<u8>) {
        if self.length <= Self::START {
            let end = out.len() + self.length;
            out.extend_from_slice(&self.start);
            out.truncate(end);
        } else {
            out.extend_from_slice(&self.whole);
        }
    }
}

impl Key {
    /// A key of the object itself, or one nested in the object that `nest` names.
    pub(super) fn new(nest: Option<&str>, key: &str) -> Self {
        Self {
            nest: nest.map(Text::of),
            text: Text::of(key),
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
    #[inline]
    pub(super) fn key(&mut self, key: &'a Key) -> &mut Vec<u8> {
        if self.nest.is_some() || key.nest.is_some() {
            self.enter(key.nest.as_ref());
        }
        key.text.write(self.out);
        self.out
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

/// Writes a string (RFC 8259, section 7). Bytes that are not UTF-8 become U+FFFD.
pub(super) fn write_string(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    if is_plain(bytes) {
        out.extend_from_slice(bytes);
    } else {
        write_escaped(&String::from_utf8_lossy(bytes), out);
    }
    out.push(b'"');
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

/// Writes a double; what JSON has no number for becomes null.
pub(super) fn write_real(real: f64, out: &mut Vec<u8>) {
    let _ = if real.is_finite() {
        write!(out, "{real}")
    } else {
        write!(out, "null")
    };
}

/// Whether all bytes are ASCII and none needs an escape: eight at a time, the last eight
/// again where fewer are left. Most values are plain, and short.
#[inline]
fn is_plain(bytes: &[u8]) -> bool {
    let mut found = 0;
    let mut rest = bytes;
    while let Some((word, after)) = rest.split_first_chunk() {
        found |= special(u64::from_le_bytes(*word));
        rest = after;
    }
    if !rest.is_empty() {
        found |= match bytes.last_chunk() {
            Some(word) => special(u64::from_le_bytes(*word)),
            None => special(
                rest.iter()
                    .fold(u64::from_le_bytes([b' '; 8]), |word, byte| {
                        word << 8 | u64::from(*byte)
                    }),
            ),
        };
    }
    found == 0
}

/// Not zero if a byte of a word is a control, not ASCII, `"` or `\`. A borrow from a byte
/// that is one of these may mark the next as well, so only zero or not means something.
#[inline]
fn special(word: u64) -> u64 {
    const fn repeat(byte: u8) -> u64 {
        u64::from_ne_bytes([byte; 8])
    }
    let control = word.wrapping_sub(repeat(0x20));
    let quote = (word ^ repeat(b'"')).wrapping_sub(repeat(1));
    let backslash = (word ^ repeat(b'\\')).wrapping_sub(repeat(1));
    (word | control | quote | backslash) & repeat(0x80)
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
            let _ = write!(out, "{byte:04x}");
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

    proptest! {
        #[test]
        fn any_bytes_make_a_string_that_reads_back(bytes: Vec<u8>) {
            let mut out = Vec::new();
            write_string(&bytes, &mut out);
            let read: Value = serde_json::from_slice(&out).unwrap();
            prop_assert_eq!(read, Value::from(String::from_utf8_lossy(&bytes).into_owned()));
        }

        #[test]
        fn any_number_is_written_as_the_standard_writes_it(number in any::<u64>(), shift in 0..64u32) {
            let mut out = Vec::new();
            write_number(number >> shift, &mut out);
            prop_assert_eq!(String::from_utf8(out).unwrap(), (number >> shift).to_string());
        }

        #[test]
        fn any_ascii_makes_a_string_that_reads_back(text in "[\\x00-\\x7f]{0,40}") {
            let mut out = Vec::new();
            write_string(text.as_bytes(), &mut out);
            prop_assert_eq!(serde_json::from_slice::<Value>(&out).unwrap(), Value::from(text));
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
        write_string(b"x", object.key(&b));
        write_string(b"y", object.key(&c));
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
