//! Header lines and their names.

use crate::field;

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

/// A name and its header, by the first letter of the name: few comparisons a line.
type Names = &'static [(&'static [u8], Header)];

const NAMES: [Names; 32] = {
    let mut names: [Names; 32] = [&[]; 32];
    names[letter(b'a')] = &[(b"authorization", Header::Authorization)];
    names[letter(b'c')] = &[
        (b"call-id", Header::Plain(field::CALL_ID)),
        (b"cseq", Header::CSeq),
        (b"contact", Header::Plain(field::CONTACT)),
        (b"content-length", Header::ContentLength),
        (b"content-type", Header::ContentType),
        (b"c", Header::ContentType),
    ];
    names[letter(b'd')] = &[(b"diversion", Header::Plain(field::DIVERSION))];
    names[letter(b'e')] = &[(b"expires", Header::Plain(field::EXPIRES))];
    names[letter(b'f')] = &[(b"from", Header::From), (b"f", Header::From)];
    names[letter(b'i')] = &[(b"i", Header::Plain(field::CALL_ID))];
    names[letter(b'l')] = &[(b"l", Header::ContentLength)];
    names[letter(b'm')] = &[
        (b"max-forwards", Header::Plain(field::MAX_FORWARDS)),
        (b"m", Header::Plain(field::CONTACT)),
    ];
    names[letter(b'p')] = &[
        (
            b"p-asserted-identity",
            Header::Plain(field::P_ASSERTED_IDENTITY),
        ),
        (b"proxy-authorization", Header::Authorization),
    ];
    names[letter(b'r')] = &[
        (b"reason", Header::Plain(field::REASON)),
        (b"remote-party-id", Header::Plain(field::REMOTE_PARTY_ID)),
    ];
    names[letter(b's')] = &[
        (b"server", Header::Plain(field::SERVER)),
        (b"session-id", Header::Plain(field::SESSION_ID_HEADER)),
    ];
    names[letter(b't')] = &[(b"to", Header::To), (b"t", Header::To)];
    names[letter(b'u')] = &[(b"user-agent", Header::Plain(field::USER_AGENT))];
    names[letter(b'v')] = &[(b"via", Header::Via), (b"v", Header::Via)];
    names[letter(b'x')] = &[(b"x-call-id", Header::Plain(field::X_CALL_ID))];
    names
};

const fn letter(first: u8) -> usize {
    (first & 31) as usize
}

impl Header {
    /// The header of a line, and its value with surrounding blanks.
    #[inline]
    pub(crate) fn of(line: &[u8]) -> Option<(Self, &[u8])> {
        let names = NAMES.get(letter(*line.first()?))?;
        for (name, header) in *names {
            let Some((start, rest)) = line.split_at_checked(name.len()) else {
                continue;
            };
            // The character after the name tells most candidates apart.
            let value = match rest {
                [b':', value @ ..] => value,
                [b' ' | b'\t', ..] => match rest.trim_ascii_start() {
                    [b':', value @ ..] => value,
                    _ => continue,
                },
                _ => continue,
            };
            if start.eq_ignore_ascii_case(name) {
                return Some((*header, value));
            }
        }
        None
    }
}

/// The name and the value of any header line, without surrounding blanks.
pub(crate) fn split(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let (name, value) = split_at_byte(line, b':')?;
    Some((name.trim_ascii_end(), value.trim_ascii()))
}

/// `bytes` before and after the first `separator`.
#[inline]
pub(crate) fn split_at_byte(bytes: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    let (before, rest) = bytes.split_at_checked(memchr::memchr(separator, bytes)?)?;
    Some((before, rest.get(1..)?))
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

/// The first value of a comma-joined list. Commas in quoted strings and in `<>` join
/// nothing.
pub(crate) fn first_of_list(value: &[u8]) -> &[u8] {
    if memchr::memchr(b',', value).is_none() {
        return value;
    }
    match find_outside_quotes(value, b',') {
        Some((first, _)) => first.trim_ascii_end(),
        None => value,
    }
}

/// The value of the parameter `name` in `;name=value;…`, without quotes around it; empty
/// for a parameter without value.
pub(crate) fn parameter<'a>(mut parameters: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    loop {
        let (this, rest) = match find_outside_quotes(parameters, b';') {
            Some((this, rest)) => (this, Some(rest)),
            None => (parameters, None),
        };
        let this = this.trim_ascii_start();
        if let Some((start, value)) = this.split_at_checked(name.len())
            && start.eq_ignore_ascii_case(name)
        {
            match value.trim_ascii() {
                [] => return Some(&[]),
                [b'=', value @ ..] => return Some(unquoted(value.trim_ascii_start())),
                _ => {}
            }
        }
        parameters = rest?;
    }
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

/// A value without the quotes around it.
fn unquoted(value: &[u8]) -> &[u8] {
    match value {
        [b'"', inner @ .., b'"'] => inner,
        _ => value,
    }
}
