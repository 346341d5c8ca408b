//! The syntax inside header values: blanks, lists, parameters, quoted strings.

use crate::search::{memchr, memchr2};

/// `bytes` without blanks around them. Cheaper than for all ASCII white space, and a value
/// has no line ends but a stray CR.
#[inline]
pub(crate) fn trimmed(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t' | b'\r', rest @ ..] = bytes {
        bytes = rest;
    }
    while let [rest @ .., b' ' | b'\t' | b'\r'] = bytes {
        bytes = rest;
    }
    bytes
}

/// `bytes` before and after the first `separator`.
#[inline]
pub(crate) fn split_at_byte(bytes: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    let (before, rest) = bytes.split_at_checked(memchr(separator, bytes)?)?;
    Some((before, rest.get(1..)?))
}

/// The first value of a comma-joined list. Commas in quoted strings and in `<>` join
/// nothing.
pub(crate) fn first_of_list(value: &[u8]) -> &[u8] {
    if memchr(b',', value).is_none() {
        return value;
    }
    match find_outside_quotes(value, b',') {
        Some((first, _)) => trimmed(first),
        None => value,
    }
}

/// The value of the parameter `name` in `name=value;…`, without quotes around it; empty
/// for a parameter without value. `name` is in lower case.
pub(crate) fn parameter<'a>(mut parameters: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    loop {
        parameters = trimmed(parameters);
        if let Some((start, value)) = parameters.split_at_checked(name.len())
            && start
                .iter()
                .zip(name)
                .all(|(byte, expected)| byte | 0x20 == *expected)
        {
            match trimmed(value) {
                [] | [b';', ..] => return Some(&[]),
                [b'=', value @ ..] => return Some(parameter_value(trimmed(value))),
                _ => {}
            }
        }
        parameters = match memchr2(b';', b'"', parameters) {
            Some(at) if parameters.get(at) == Some(&b';') => parameters.get(at + 1..)?,
            Some(_) => find_outside_quotes(parameters, b';')?.1,
            None => return None,
        };
    }
}

/// The value at the beginning of `bytes`.
#[inline]
fn parameter_value(bytes: &[u8]) -> &[u8] {
    if let [b'"', ..] = bytes {
        let quoted = find_outside_quotes(bytes, b';').map_or(bytes, |(value, _)| value);
        return match trimmed(quoted) {
            [b'"', inner @ .., b'"'] => inner,
            quoted => quoted,
        };
    }
    split_at_byte(bytes, b';').map_or(bytes, |(value, _)| trimmed(value))
}

/// `bytes` before and after the first `separator` outside quoted strings and `<>`.
pub(crate) fn find_outside_quotes(bytes: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    let mut quoted = false;
    let mut bracketed = false;
    let mut escaped = false;
    for (at, &byte) in bytes.iter().enumerate() {
        if quoted {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => quoted = false,
                _ => {}
            }
        } else if byte == separator && !bracketed {
            return Some((bytes.get(..at)?, bytes.get(at + 1..)?));
        } else {
            match byte {
                b'"' => quoted = true,
                b'<' => bracketed = true,
                b'>' => bracketed = false,
                _ => {}
            }
        }
    }
    None
}
