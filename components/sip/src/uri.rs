//! Addresses in From and To, and the URIs in them.
//!
//! RFC 3261 sections 19.1 and 25.1, RFC 3966 (`tel:`), RFC 5031 (`urn:service:`).

use crate::search::memchr2;
use crate::value::{parameter, split_at_byte, trimmed};

/// A `name-addr` or `addr-spec` with the parameters of its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Address<'a> {
    pub(crate) uri: Uri<'a>,
    parameters: &'a [u8],
}

impl<'a> Address<'a> {
    /// Reads a header's value. Nothing is refused: what is not there is empty.
    #[inline]
    pub(crate) fn parse(value: &'a [u8]) -> Self {
        let bracketed = match value {
            [b'<', bracketed @ ..] => Some(bracketed),
            _ => split_at_byte(after_quoted(value), b'<').map(|(_, bracketed)| bracketed),
        };
        let Some(bracketed) = bracketed else {
            // Without brackets what follows the host belongs to the header (section 20).
            let uri = Uri::parse(trimmed(after_quoted(value)));
            return Self {
                uri,
                parameters: uri.rest,
            };
        };
        let uri = Uri::parse(bracketed);
        let parameters = match uri.rest {
            [b'>', parameters @ ..] => parameters,
            rest => split_at_byte(rest, b'>').map_or(&[][..], |(_, parameters)| parameters),
        };
        Self { uri, parameters }
    }

    /// The tag.
    pub(crate) fn tag(&self) -> Option<&'a [u8]> {
        match self.parameters {
            [b';', parameters @ ..] => parameter(parameters, b"tag"),
            parameters => parameter(split_at_byte(parameters, b';')?.1, b"tag"),
        }
    }
}

/// The parts of a URI that identify someone. Empty where there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Uri<'a> {
    /// The user without a password; the number of a `tel:` URI; all of a URN.
    pub(crate) user: &'a [u8],
    /// The host without a port; an IPv6 reference with its brackets.
    pub(crate) host: &'a [u8],
    /// `user@host` as it stands there, unless a password stands between.
    pub(crate) user_at_host: Option<&'a [u8]>,
    /// What follows the host: port, parameters, headers.
    rest: &'a [u8],
}

impl<'a> Uri<'a> {
    /// Reads a URI, which ends with the bytes or before a `>`. Nothing is refused.
    #[inline]
    pub(crate) fn parse(uri: &'a [u8]) -> Self {
        let (scheme, identity) = split_scheme(uri);
        match scheme {
            Scheme::Sip => Self::with_host(identity, find_at(identity)),
            Scheme::Tel => Self::without_host(identity),
            // Of the other schemes `pres:` and `im:` have a host, `urn:` has none.
            Scheme::Other => match find_at(identity) {
                Some(at) => Self::with_host(identity, Some(at)),
                None => Self::without_host(uri),
            },
        }
    }

    /// Reads `user:password@host:port;…`, where `at` is the place of the `@`.
    #[inline]
    fn with_host(identity: &'a [u8], at: Option<usize>) -> Self {
        let (userinfo, after) = match at {
            Some(at) => (
                identity.get(..at).unwrap_or_default(),
                identity.get(at + 1..).unwrap_or_default(),
            ),
            None => (&[][..], identity),
        };
        let host_end = match after {
            [b'[', ..] => after
                .iter()
                .position(|byte| *byte == b']')
                .map(|close| close + 1),
            _ => after
                .iter()
                .position(|byte| matches!(byte, b':' | b';' | b'?' | b'>' | b',' | b' ' | b'\t')),
        };
        let (host, rest) = split(after, host_end);
        let user = split(userinfo, userinfo.iter().position(|byte| *byte == b':')).0;
        let user_at_host = (user.len() == userinfo.len())
            .then(|| identity.get(..identity.len() - rest.len()))
            .flatten();
        Self {
            user,
            host,
            user_at_host,
            rest,
        }
    }

    /// Takes all up to the parameters for the user.
    fn without_host(identity: &'a [u8]) -> Self {
        let end = identity
            .iter()
            .position(|byte| matches!(byte, b';' | b'?' | b'>'));
        let (user, rest) = split(identity, end);
        Self {
            user,
            host: &[],
            user_at_host: None,
            rest,
        }
    }
}

/// Where the user ends. A user may hold what ends a host, but no `>`.
#[inline]
fn find_at(identity: &[u8]) -> Option<usize> {
    memchr2(b'@', b'>', identity).filter(|at| identity.get(*at) == Some(&b'@'))
}

enum Scheme {
    Sip,
    Tel,
    Other,
}

/// The scheme of a URI and what follows it. Without any it is taken for a SIP URI.
#[inline]
fn split_scheme(uri: &[u8]) -> (Scheme, &[u8]) {
    match uri {
        [b's' | b'S', b'i' | b'I', b'p' | b'P', b':', rest @ ..]
        | [
            b's' | b'S',
            b'i' | b'I',
            b'p' | b'P',
            b's' | b'S',
            b':',
            rest @ ..,
        ] => {
            return (Scheme::Sip, rest);
        }
        [b't' | b'T', b'e' | b'E', b'l' | b'L', b':', rest @ ..] => return (Scheme::Tel, rest),
        _ => {}
    }
    let scheme = uri
        .iter()
        .take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
        .count();
    match uri.get(scheme..) {
        // `host:5060` has no scheme, and `user:password@host` no known one.
        Some([b':', rest @ ..]) if !rest.first().is_some_and(u8::is_ascii_digit) => {
            (Scheme::Other, rest)
        }
        _ => (Scheme::Sip, uri),
    }
}

/// What follows a quoted display name.
fn after_quoted(value: &[u8]) -> &[u8] {
    let [b'"', name @ ..] = value else {
        return value;
    };
    let mut escaped = false;
    let close = name.iter().position(|&byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    });
    // A name that is not closed may hold anything: look for brackets in all of it.
    close
        .and_then(|close| name.get(close + 1..))
        .unwrap_or(value)
}

fn split(bytes: &[u8], at: Option<usize>) -> (&[u8], &[u8]) {
    bytes
        .split_at_checked(at.unwrap_or(bytes.len()))
        .unwrap_or((bytes, &[]))
}
