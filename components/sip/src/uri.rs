//! Addresses in From and To, and the URIs in them.
//!
//! RFC 3261 sections 19.1 and 25.1, RFC 3966 (`tel:`), RFC 5031 (`urn:service:`).

use crate::password::{is_port, last_mark};
use crate::text::{Span, Text, Window};
use crate::value::{ShortName, parameter};

/// Schemes of URIs that are `scheme:user@host`.
pub(crate) const HOST_SCHEMES: [&[u8]; 10] = [
    b"sip", b"sips", b"pres", b"im", b"xmpp", b"mailto", b"h323", b"acct", b"skype", b"callto",
];

const TAG: ShortName = ShortName::new(b"tag");

/// A `name-addr` or `addr-spec` with the tag that follows it. Empty where there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) uri: Uri,
    pub(crate) tag: Span,
}

impl Address {
    /// Reads a header's value. Nothing is refused. One body of code for From and To: there
    /// is so much of it that two would push each other out of the cache.
    #[inline(never)]
    pub(crate) fn parse(text: &Text<'_>, value: Span) -> Self {
        let (named, open) = Self::bracket(text, value);
        Self::usual(text, value.from(open)).unwrap_or_else(|| Self::any(text, named, open))
    }

    /// What is left of a value behind a quoted name, and the place of the bracket in it, or
    /// its end.
    #[inline(always)]
    pub(crate) fn bracket(text: &Text<'_>, value: Span) -> (Span, usize) {
        let named = match text.starts(value, b'"') {
            true => value.from(after_quoted(text, value)),
            false => value,
        };
        let open = match text.pair(named.begin) {
            [b'<', _] if named.begin < named.end => named.begin,
            [b' ', b'<'] if named.begin + 1 < named.end => named.begin + 1,
            _ => text.find(named, [b'<']),
        };
        (named, open)
    }

    /// Reads `<sip:user@host…>` and what follows, unless it is long or odd or has a password, by
    /// the marks in a window of it.
    #[inline(always)]
    fn usual(text: &Text<'_>, bracketed: Span) -> Option<Self> {
        const TAG_EQUALS: u32 = u32::from_le_bytes(*b"tag=");
        /// Bit 5 of letters.
        const LOWER: u32 = u32::from_le_bytes([0x20, 0x20, 0x20, 0]);
        const SCHEME: usize = "<sip:".len();
        let identity = bracketed.from(bracketed.begin + SCHEME);
        if identity.begin > identity.end || !has_sip_scheme(text, bracketed.begin + 1) {
            return None;
        }
        let window = text.window(identity.begin);
        let length = identity.length();
        let within = match length {
            ..Window::LENGTH => !(u64::MAX << length),
            _ => u64::MAX,
        };
        let closes = window.marks(b'>') & within;
        let ats = window.marks(b'@') & within;
        // As in `Uri::with_host`; the place of no bit is behind all others.
        let stops = ats | closes;
        let stop = stops.trailing_zeros();
        let colon = (stops | window.marks(b':') & within).trailing_zeros();
        let has_user = stops & ats & stops.wrapping_neg() != 0;
        // A password may hold anything, another `@` too.
        if has_user && colon != stop {
            return None;
        }
        let (user_end, host) = match has_user {
            true => (stop, stop + 1),
            false => (0, 0),
        };
        // What the last bit stands for is left to the search, that no shift is too far.
        let behind = u64::MAX.checked_shl(host)?;
        let host_end = (window.host_ends() & behind & within).trailing_zeros();
        let close = (closes & u64::MAX.checked_shl(host_end)?).trailing_zeros();
        let parameters = window.marks(b';') & within & u64::MAX.checked_shl(close + 1)?;
        let place = |bit: u32| identity.begin + bit as usize;
        if text.at(place(host)) == b'[' {
            return None;
        }
        let none = Span::new(identity.end, identity.end);
        let first = place(parameters.trailing_zeros());
        let tag = if parameters == 0 {
            if length > Window::LENGTH {
                return None;
            }
            none
        } else if text.word(first + 1) as u32 | LOWER == TAG_EQUALS {
            let next = parameters & (parameters - 1);
            let end = match next {
                0 if length > Window::LENGTH => return None,
                0 => identity.end,
                _ => place(next.trailing_zeros()),
            };
            let tag = Span::new(first + 1 + "tag=".len(), end);
            // Neither blanks nor quotes, nor nothing.
            let is_plain = tag.begin < end && text.at(tag.begin) > b'"' && text.at(end - 1) > b' ';
            if !is_plain {
                return None;
            }
            tag
        } else {
            return None;
        };
        let host_end = place(host_end);
        let uri = Uri {
            user: identity.to(place(user_end)),
            host: Span::new(place(host), host_end),
            user_at_host: Some(identity.to(host_end)),
            rest: identity.from(host_end),
        };
        Some(Self { uri, tag })
    }

    /// The URI of a header's value, as sent.
    #[cold]
    #[inline(never)]
    pub(crate) fn uri(text: &Text<'_>, value: Span) -> Span {
        let (named, open) = Self::bracket(text, value);
        if open < named.end {
            let uri = named.from(open + 1);
            return uri.to(text.find(uri, [b'>']));
        }
        // Without brackets parameters belong to the header (section 20).
        let uri = text.trimmed(named);
        let rest = Uri::parse(text, uri).rest;
        text.trimmed(uri.to(text.find(rest, [b';'])))
    }

    /// Reads what [`bracket`](Self::bracket) found.
    #[cold]
    #[inline(never)]
    pub(crate) fn any(text: &Text<'_>, named: Span, open: usize) -> Self {
        let is_bracketed = open < named.end;
        let uri = match is_bracketed {
            true => named.from(open + 1),
            false => text.trimmed(named),
        };
        let uri = Uri::parse(text, uri);
        // Without brackets what follows the host belongs to the header (section 20).
        let mut parameters = uri.rest;
        if is_bracketed {
            let close = match text.starts(parameters, b'>') {
                true => parameters.begin,
                false => text.find(parameters, [b'>']),
            };
            parameters.begin = (close + 1).min(parameters.end);
        }
        let first = match text.starts(parameters, b';') {
            true => parameters.begin,
            false => text.find(parameters, [b';']),
        };
        let tag = match first < parameters.end {
            true => parameter(text, parameters.from(first + 1), TAG),
            false => None,
        };
        let tag = tag.unwrap_or(Span::new(named.end, named.end));
        Self { uri, tag }
    }
}

/// The parts of a URI that identify someone. Empty where there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Uri {
    /// The user without a password; the number of a `tel:` URI; all of a URN.
    pub(crate) user: Span,
    /// The host without a port; an IPv6 reference with its brackets.
    pub(crate) host: Span,
    /// `user@host` as it stands there, unless a password stands between.
    pub(crate) user_at_host: Option<Span>,
    /// What follows the host: port, parameters, headers.
    rest: Span,
}

impl Uri {
    /// Reads a URI, which ends with the part or before a `>`. Nothing is refused.
    #[inline(always)]
    pub(crate) fn parse(text: &Text<'_>, uri: Span) -> Self {
        match Identity::of(text, uri) {
            Identity::WithHost(identity) => Self::with_host(text, identity),
            Identity::WithoutHost(identity) => Self::without_host(text, identity),
        }
    }

    /// Reads `user:password@host:port;…`. A user may hold what ends a host, but no `>`.
    #[inline(always)]
    fn with_host(text: &Text<'_>, identity: Span) -> Self {
        let colon = text.find(identity, [b'@', b'>', b':']);
        let at = match text.at(colon) {
            b':' if colon < identity.end => Self::password_end(text, identity, colon),
            _ => colon,
        };
        let (user, after) = match at < identity.end && text.at(at) == b'@' {
            true => (identity.to(colon), identity.from(at + 1)),
            false => (identity.to(identity.begin), identity),
        };
        let host_end = match text.starts(after, b'[') {
            true => (text.find(after, [b']']) + 1).min(after.end),
            false => text.find_host_end(after),
        };
        // Up to the host there is a password, or there is none.
        let has_password = !user.is_empty() && colon != at;
        Self {
            user,
            host: after.to(host_end),
            user_at_host: (!has_password).then(|| identity.to(host_end)),
            rest: after.from(host_end),
        }
    }

    /// Where the password ends that begins behind a colon: at an `@`, unless it is a port and no
    /// password.
    #[cold]
    #[inline(never)]
    fn password_end(text: &Text<'_>, identity: Span, colon: usize) -> usize {
        let end = text.find(identity.from(colon), [b'>']);
        let at = text.find(identity.from(colon).to(end), [b'@']);
        let password = text.slice(Span::new(colon + 1, at));
        if at == end || text.starts(identity, b'[') || is_port(password) {
            return end;
        }
        identity.begin + last_mark(text.slice(identity.to(end)), at - identity.begin)
    }

    /// Takes all up to the parameters for the user.
    #[cold]
    #[inline(never)]
    fn without_host(text: &Text<'_>, identity: Span) -> Self {
        let end = text.find(identity, [b';', b'?', b'>']);
        Self {
            user: identity.to(end),
            host: Span::new(end, end),
            user_at_host: None,
            rest: identity.from(end),
        }
    }
}

/// What of a URI tells who is meant.
enum Identity {
    /// `user:password@host:port;…`
    WithHost(Span),
    /// All up to the parameters is the user.
    WithoutHost(Span),
}

impl Identity {
    /// By the scheme. A URI without any is taken for a SIP URI.
    #[inline(always)]
    fn of(text: &Text<'_>, uri: Span) -> Self {
        if has_sip_scheme(text, uri.begin) && uri.length() >= 4 {
            return Self::WithHost(uri.from(uri.begin + 4));
        }
        Self::of_other(text, uri)
    }

    #[cold]
    #[inline(never)]
    fn of_other(text: &Text<'_>, uri: Span) -> Self {
        let bytes = text.slice(uri);
        let is_letter =
            |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
        let length = bytes.iter().take_while(|byte| is_letter(byte)).count();
        let (scheme, rest) = bytes.split_at_checked(length).unwrap_or((bytes, &[]));
        let identity = uri.from((uri.begin + length + 1).min(uri.end));
        if scheme.eq_ignore_ascii_case(b"sips") && rest.starts_with(b":") {
            return Self::WithHost(identity);
        }
        if scheme.eq_ignore_ascii_case(b"tel") && rest.starts_with(b":") {
            return Self::WithoutHost(identity);
        }
        match rest {
            // `host:5060` has no scheme, and `user:password@host` no known one.
            [b':', digit, ..] if digit.is_ascii_digit() => Self::WithHost(uri),
            // Of the other schemes `pres:` and `im:` have a host, `urn:` has none. One that is
            // not known and has a host is a user with a password, rather than the password one.
            [b':', ..] => {
                let at = text.find(identity, [b'@', b'>']);
                let is_name = |known: &&[u8]| known.eq_ignore_ascii_case(scheme);
                match at < identity.end && text.at(at) == b'@' {
                    true if HOST_SCHEMES.iter().any(is_name) => Self::WithHost(identity),
                    true => Self::WithHost(uri),
                    false => Self::WithoutHost(uri),
                }
            }
            _ => Self::WithHost(uri),
        }
    }
}

/// Whether `sip:` is at a place.
#[inline(always)]
pub(crate) fn has_sip_scheme(text: &Text<'_>, place: usize) -> bool {
    const SIP: u32 = u32::from_le_bytes(*b"sip:");
    /// Bit 5 of letters, not of the colon.
    const LOWER: u32 = u32::from_le_bytes([0x20, 0x20, 0x20, 0]);
    text.word(place) as u32 | LOWER == SIP
}

/// Where a quoted display name that a value begins with ends. A name that is not closed may
/// hold anything: brackets are looked for in all of it.
#[inline(always)]
fn after_quoted(text: &Text<'_>, value: Span) -> usize {
    let mut name = value.from((value.begin + 1).min(value.end));
    loop {
        let mark = text.find(name, [b'"', b'\\']);
        if mark == name.end {
            return value.begin;
        }
        if text.at(mark) == b'"' {
            return mark + 1;
        }
        name.begin = (mark + 2).min(name.end);
    }
}
