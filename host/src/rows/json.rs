//! JSON text for `data_extra`, written straight into a column's buffer.

use std::io::Write as _;

/// Writes a JSON object member by member: well-formed whatever the values hold.
#[derive(Debug)]
pub(super) struct ObjectWriter<'a> {
    out: &'a mut Vec<u8>,
    /// The key of the nested object that is open, if one is.
    nest: Option<&'a [u8]>,
}

impl<'a> ObjectWriter<'a> {
    /// Opens the object.
    pub(super) fn open(out: &'a mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, nest: None }
    }

    /// Writes a key, which comes as JSON text with its colon, and hands out where the value
    /// goes.
    pub(super) fn key(&mut self, nest: Option<&'a [u8]>, key: &[u8]) -> &mut Vec<u8> {
        if self.nest != nest {
            if self.nest.is_some() {
                self.out.push(b'}');
            }
            if let Some(nest) = nest {
                self.separate();
                self.out.extend_from_slice(nest);
                self.out.push(b'{');
            }
            self.nest = nest;
        }
        self.separate();
        self.out.extend_from_slice(key);
        self.out
    }

    /// Closes the object.
    pub(super) fn close(self) {
        if self.nest.is_some() {
            self.out.push(b'}');
        }
        self.out.push(b'}');
    }

    fn separate(&mut self) {
        if self.out.last() != Some(&b'{') {
            self.out.push(b',');
        }
    }
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

/// Whether all bytes are ASCII and none needs an escape. A fold without an early end, so
/// that the compiler makes vector code of it: most values are plain, and short.
fn is_plain(bytes: &[u8]) -> bool {
    !bytes.iter().fold(false, |found, &byte| {
        found | (byte < 0x20) | (byte == b'"') | (byte == b'\\') | (byte >= 0x7f)
    })
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
        let mut out = Vec::new();
        let mut object = ObjectWriter::open(&mut out);
        write_number(1, object.key(None, b"\"a\":"));
        write_string(b"x", object.key(Some(b"\"n\":"), b"\"b\":"));
        write_string(b"y", object.key(Some(b"\"n\":"), b"\"c\":"));
        write_real(f64::NAN, object.key(None, b"\"d\":"));
        object.close();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            r#"{"a":1,"n":{"b":"x","c":"y"},"d":null}"#
        );
    }

    #[test]
    fn an_object_without_members_is_empty() {
        let mut out = Vec::new();
        ObjectWriter::open(&mut out).close();
        assert_eq!(out, b"{}");
    }
}
