//! The syntax inside header values: lists, parameters, quoted strings.

use crate::text::{Span, Text};

/// A name of up to seven letters that is compared as a word.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ShortName {
    word: u64,
    mask: u64,
    length: usize,
}

impl ShortName {
    /// A name in lower case.
    pub(crate) const fn new(name: &[u8]) -> Self {
        let mut word = 0;
        let mut at = 0;
        while at < name.len() {
            word |= (name[at] as u64) << (at * 8);
            at += 1;
        }
        let mask = (1 << (name.len() * 8)) - 1;
        let length = name.len();
        Self { word, mask, length }
    }

    /// Where the name ends that a part begins with in any case, if it does.
    #[inline(always)]
    fn strip_from(self, text: &Text<'_>, span: Span) -> Option<usize> {
        const LOWER: u64 = u64::from_ne_bytes([0x20; 8]);
        let matches = (text.word(span.begin) | LOWER) & self.mask == self.word;
        let end = span.begin + self.length;
        (matches && end <= span.end).then_some(end)
    }
}

/// The first value of a comma-joined list. Commas in quoted strings and in `<>` join
/// nothing.
#[inline]
pub(crate) fn first_of_list(text: &Text<'_>, value: Span) -> Span {
    if text.find(value, [b',']) == value.end {
        return value;
    }
    let end = find_outside_quotes(text.slice(value), b',');
    end.map_or(value, |end| text.trimmed(value.to(value.begin + end)))
}

/// The value of the parameter `name` in `name=value;…`, without quotes around it; empty
/// for a parameter without value.
#[inline(always)]
pub(crate) fn parameter(text: &Text<'_>, mut parameters: Span, name: ShortName) -> Option<Span> {
    loop {
        parameters = text.trimmed_start(parameters);
        if let Some(end) = name.strip_from(text, parameters) {
            let value = text.trimmed_start(parameters.from(end));
            if value.is_empty() || text.starts(value, b';') {
                return Some(value.to(value.begin));
            }
            if text.starts(value, b'=') {
                let value = text.trimmed_start(value.from(value.begin + 1));
                return Some(parameter_value(text, value));
            }
        }
        let at = text.find(parameters, [b';', b'"']);
        if at == parameters.end {
            return None;
        }
        let separator = match text.at(at) {
            b';' => at,
            _ => parameters.begin + find_outside_quotes(text.slice(parameters), b';')?,
        };
        parameters.begin = separator + 1;
    }
}

/// The value at the beginning of `bytes`.
#[inline(always)]
fn parameter_value(text: &Text<'_>, bytes: Span) -> Span {
    if text.starts(bytes, b'"') {
        return quoted_value(text, bytes);
    }
    text.trimmed_end(bytes.to(text.find(bytes, [b';'])))
}

#[cold]
#[inline(never)]
fn quoted_value(text: &Text<'_>, bytes: Span) -> Span {
    let end = find_outside_quotes(text.slice(bytes), b';');
    let quoted = end.map_or(bytes, |end| bytes.to(bytes.begin + end));
    let quoted = text.trimmed(quoted);
    match text.slice(quoted) {
        [b'"', .., b'"'] => Span::new(quoted.begin + 1, quoted.end - 1),
        _ => quoted,
    }
}

/// Where the quoted string that begins at `open` is closed.
pub(crate) fn closing_quote(bytes: &[u8], open: usize) -> Option<usize> {
    let mut at = open + 1;
    loop {
        match bytes.get(at)? {
            b'"' => return Some(at),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// The place of the first `separator` outside quoted strings and `<>`.
#[cold]
#[inline(never)]
pub(crate) fn find_outside_quotes(bytes: &[u8], separator: u8) -> Option<usize> {
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
            return Some(at);
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

/// The method of a CSeq.
#[inline(always)]
pub(crate) fn cseq_method(text: &Text<'_>, value: Span) -> Span {
    let [number_end, method_end] = text.number_and_word(value.begin);
    let method = Span::new(value.begin + number_end + 1, value.begin + method_end);
    if method.end >= value.end && method.begin < value.end && text.at(method.begin - 1) == b' ' {
        return method.to(value.end);
    }
    any_cseq_method(text, value)
}

#[inline(never)]
pub(crate) fn any_cseq_method(text: &Text<'_>, value: Span) -> Span {
    let method = text.trimmed_start(value.from(text.find_number_end(value)));
    method.to(text.find_token_end(method))
}

/// The number of a Content-Length.
#[inline(always)]
pub(crate) fn number(text: &Text<'_>, digits: Span) -> Option<usize> {
    /// Digits in a word.
    const DIGITS: usize = 8;
    const ZEROES: u64 = u64::from_ne_bytes([b'0'; DIGITS]);
    const HIGH: u64 = u64::from_ne_bytes([0xf0; DIGITS]);
    const CARRIES: u64 = u64::from_ne_bytes([6; DIGITS]);
    let length = digits.length();
    if length == 0 || length > DIGITS {
        return long_number(text.slice(digits));
    }
    // Zeroes in front, the last digit highest.
    let missing = 8 * (DIGITS - length);
    let word = text.word(digits.begin) << missing | ZEROES & !(u64::MAX << missing);
    if word & HIGH != ZEROES || word.wrapping_add(CARRIES) & HIGH != ZEROES {
        return long_number(text.slice(digits));
    }
    // Two digits become one number, twice two of those, and then twice four.
    let word = word - ZEROES;
    let word = (word.wrapping_mul(1 + (10 << 8)) >> 8) & 0x00ff_00ff_00ff_00ff;
    let word = (word.wrapping_mul(1 + (100 << 16)) >> 16) & 0x0000_ffff_0000_ffff;
    Some((word.wrapping_mul(1 + (10_000 << 32)) >> 32) as usize)
}

#[cold]
#[inline(never)]
pub(crate) fn long_number(digits: &[u8]) -> Option<usize> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// `bytes` without blanks around them, as [`Text::trimmed`] has it.
pub(crate) fn trimmed(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t' | b'\r', rest @ ..] = bytes {
        bytes = rest;
    }
    while let [rest @ .., b' ' | b'\t' | b'\r'] = bytes {
        bytes = rest;
    }
    bytes
}
