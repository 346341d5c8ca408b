//! Header lines and their names.

use crate::field;
use crate::value::{split_at_byte, trimmed};

/// A header whose value is extracted.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Header {
    /// The value goes to this field as it is.
    Plain(usize),
    Authorization,
    CSeq,
    ContentLength,
    ContentType,
    From,
    To,
    Via,
}

impl Header {
    /// The header of a line, and its value with surrounding blanks.
    ///
    /// Most lines of a capture are told apart by their first eight bytes alone: one load,
    /// and comparisons of words. Bit 5 set makes letters lower-case and changes no hyphen,
    /// colon or blank.
    #[inline]
    pub(crate) fn of(line: &[u8]) -> Option<(Self, &[u8])> {
        let word = first_word(line) | LOWER;
        let colons = word ^ repeat(b':');
        // The lowest byte that is zero: the only one that this trick is exact about.
        let found = colons.wrapping_sub(repeat(1)) & !colons & repeat(0x80);
        let (name, known) = if found == 0 {
            (word, Self::of_long(word, line))
        } else {
            let length = found.trailing_zeros() as usize / 8;
            let name = word & low_bytes(length);
            let value = line.get(length + 1..);
            (name, Self::of_short(name).zip(value))
        };
        if known.is_none() && has_blank(name) {
            Self::of_loose(line)
        } else {
            known
        }
    }

    /// By a name of up to seven letters.
    #[inline]
    fn of_short(name: u64) -> Option<Self> {
        const VIA: u64 = word(b"via");
        const V: u64 = word(b"v");
        const FROM: u64 = word(b"from");
        const F: u64 = word(b"f");
        const TO: u64 = word(b"to");
        const T: u64 = word(b"t");
        const CALL_ID: u64 = word(b"call-id");
        const I: u64 = word(b"i");
        const CSEQ: u64 = word(b"cseq");
        const CONTACT: u64 = word(b"contact");
        const M: u64 = word(b"m");
        const C: u64 = word(b"c");
        const L: u64 = word(b"l");
        const EXPIRES: u64 = word(b"expires");
        const REASON: u64 = word(b"reason");
        const SERVER: u64 = word(b"server");
        Some(match name {
            VIA | V => Self::Via,
            FROM | F => Self::From,
            TO | T => Self::To,
            CALL_ID | I => Self::Plain(field::CALL_ID),
            CSEQ => Self::CSeq,
            CONTACT | M => Self::Plain(field::CONTACT),
            C => Self::ContentType,
            L => Self::ContentLength,
            EXPIRES => Self::Plain(field::EXPIRES),
            REASON => Self::Plain(field::REASON),
            SERVER => Self::Plain(field::SERVER),
            _ => return None,
        })
    }

    /// By the first eight letters of a longer name, then by the rest of it.
    #[inline]
    fn of_long(start: u64, line: &[u8]) -> Option<(Self, &[u8])> {
        const CONTENT: u64 = word(b"content-");
        const MAX_FORWARDS: u64 = word(b"max-forw");
        const USER_AGENT: u64 = word(b"user-age");
        const AUTHORIZATION: u64 = word(b"authoriz");
        const PROXY_AUTHORIZATION: u64 = word(b"proxy-au");
        const P_ASSERTED_IDENTITY: u64 = word(b"p-assert");
        const REMOTE_PARTY_ID: u64 = word(b"remote-p");
        const DIVERSION: u64 = word(b"diversio");
        const SESSION_ID: u64 = word(b"session-");
        const X_CALL_ID: u64 = word(b"x-call-i");
        let (header, rest): (_, &[u8]) = match start {
            CONTENT => {
                return after(line, b"length")
                    .map(|value| (Self::ContentLength, value))
                    .or_else(|| Some((Self::ContentType, after(line, b"type")?)));
            }
            MAX_FORWARDS => (Self::Plain(field::MAX_FORWARDS), b"ards"),
            USER_AGENT => (Self::Plain(field::USER_AGENT), b"nt"),
            AUTHORIZATION => (Self::Authorization, b"ation"),
            PROXY_AUTHORIZATION => (Self::Authorization, b"thorization"),
            P_ASSERTED_IDENTITY => (Self::Plain(field::P_ASSERTED_IDENTITY), b"ed-identity"),
            REMOTE_PARTY_ID => (Self::Plain(field::REMOTE_PARTY_ID), b"arty-id"),
            DIVERSION => (Self::Plain(field::DIVERSION), b"n"),
            SESSION_ID => (Self::Plain(field::SESSION_ID_HEADER), b"id"),
            X_CALL_ID => (Self::Plain(field::X_CALL_ID), b"d"),
            _ => return None,
        };
        Some((header, after(line, rest)?))
    }

    /// By a short name that has blanks before its colon.
    #[cold]
    fn of_loose(line: &[u8]) -> Option<(Self, &[u8])> {
        let (name, value) = split(line)?;
        let lower = (name.len() < WORD).then(|| LOWER & low_bytes(name.len()))?;
        Some((Self::of_short(first_word(name) | lower)?, value))
    }
}

/// Octets of a word.
const WORD: usize = 8;

/// Bit 5 of every byte.
const LOWER: u64 = repeat(0x20);

const fn repeat(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; WORD])
}

/// A mask for the first `count` bytes of a word, fewer than all.
fn low_bytes(count: usize) -> u64 {
    !(u64::MAX << (count * 8))
}

/// A lower-case name of up to eight bytes as a word.
const fn word(name: &[u8]) -> u64 {
    let mut word = 0;
    let mut at = 0;
    while at < name.len() {
        word |= (name[at] as u64) << (at * 8);
        at += 1;
    }
    word
}

/// The first eight bytes of a line; a shorter one is filled up with zeroes.
#[inline]
fn first_word(line: &[u8]) -> u64 {
    match line.first_chunk() {
        Some(bytes) => u64::from_le_bytes(*bytes),
        None => line
            .iter()
            .rev()
            .fold(0, |word, byte| word << 8 | u64::from(*byte)),
    }
}

/// Whether a byte of a word is a blank or, with bit 5 set as it is, a tab.
fn has_blank(word: u64) -> bool {
    word.to_le_bytes()
        .iter()
        .any(|byte| matches!(byte, b' ' | 0x29))
}

/// The value of a line whose name goes on with `rest` after the first eight bytes.
#[inline]
fn after<'a>(line: &'a [u8], rest: &[u8]) -> Option<&'a [u8]> {
    let (name, value) = line.get(WORD..)?.split_at_checked(rest.len())?;
    // All of `rest` are lower-case letters and hyphens.
    if !name
        .iter()
        .zip(rest)
        .all(|(byte, expected)| byte | 0x20 == *expected)
    {
        return None;
    }
    match value {
        [b':', value @ ..] => Some(value),
        [b' ' | b'\t', ..] => value.trim_ascii_start().strip_prefix(b":"),
        _ => None,
    }
}

/// The name and the value of any header line, without surrounding blanks.
pub(crate) fn split(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let (name, value) = split_at_byte(line, b':')?;
    Some((trimmed(name), trimmed(value)))
}

/// The long name of a header that is named in its compact form (IANA "SIP Parameters").
pub(crate) fn long_name(name: &[u8]) -> &[u8] {
    let [compact] = name else { return name };
    match compact.to_ascii_lowercase() {
        b'a' => b"accept-contact",
        b'b' => b"referred-by",
        b'c' => b"content-type",
        b'd' => b"request-disposition",
        b'e' => b"content-encoding",
        b'f' => b"from",
        b'i' => b"call-id",
        b'j' => b"reject-contact",
        b'k' => b"supported",
        b'l' => b"content-length",
        b'm' => b"contact",
        b'o' => b"event",
        b'r' => b"refer-to",
        b's' => b"subject",
        b't' => b"to",
        b'u' => b"allow-events",
        b'v' => b"via",
        b'x' => b"session-expires",
        b'y' => b"identity",
        _ => name,
    }
}

/// RFC 3261 section 25.1, `token`.
pub(crate) fn is_token(byte: u8) -> bool {
    const TOKENS: [bool; 256] = {
        let mut tokens = [false; 256];
        let mut byte = 0;
        while byte < 256 {
            tokens[byte] = (byte as u8).is_ascii_alphanumeric()
                || matches!(
                    byte as u8,
                    b'-' | b'.' | b'!' | b'%' | b'*' | b'_' | b'+' | b'`' | b'\'' | b'~'
                );
            byte += 1;
        }
        tokens
    };
    TOKENS[usize::from(byte)]
}
