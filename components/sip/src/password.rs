//! Passwords in URIs: no field holds one, but the message itself.
//!
//! ```text
//!  sip:alice:secret@example.com   RFC 3261 section 19.1.1, which advises against it
//!            ~~~~~~
//! ```
//!
//! What is odd is taken for a password rather than for something else: an `@` or a blank in
//! it, a URI without scheme, a value that nobody closed.

use std::ops::Range;

use memchr::memchr;

use crate::text::{Span, Text, Window};
use crate::uri::{Address, HOST_SCHEMES, has_sip_scheme};
use crate::value::closing_quote;

/// Replaces a secret.
pub(crate) const MASK: &[u8] = b"***";

/// Where passwords are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Where {
    /// The value holds addresses: a URI may lack its scheme.
    Addresses,
    /// The value may be anything, such as a Call-ID with a colon and an `@`: only behind a
    /// scheme there is a password.
    Anything,
}

/// The passwords of a value, from its beginning to its end.
pub(crate) struct Passwords<'a> {
    value: &'a [u8],
    place: Where,
    /// Where the next URI may begin.
    begin: usize,
    /// From where on no `@` has been looked for.
    ahead: usize,
    /// Quotes do not count: no display name is in them, or one was not closed.
    is_open: bool,
}

impl<'a> Passwords<'a> {
    pub(crate) fn of(value: &'a [u8], place: Where) -> Self {
        Self {
            value,
            place,
            begin: 0,
            ahead: 0,
            is_open: place == Where::Anything,
        }
    }

    /// Whether a quote can begin a display name or the value of a parameter. Others are part of
    /// a URI that should not have them.
    fn may_begin_string(&self, quote: usize) -> bool {
        let before = self.value.get(..quote).unwrap_or_default();
        matches!(before.trim_ascii_end(), [] | [.., b',' | b'='])
    }

    /// Takes the parts before an `@`: says where the last that may be a URI begins, or goes
    /// behind the quoted string that the `@` is in.
    fn uri_before(&mut self, mark: usize) -> Option<usize> {
        let mut at = self.begin;
        while at < mark {
            match self.value.get(at) {
                Some(b'<' | b'>') => self.begin = at + 1,
                Some(b'"') if !self.is_open && self.may_begin_string(at) => {
                    match closing_quote(self.value, at) {
                        Some(close) => {
                            at = close;
                            self.begin = close + 1;
                        }
                        None => self.is_open = true,
                    }
                }
                _ => {}
            }
            at += 1;
        }
        (self.begin <= mark).then_some(self.begin)
    }
}

impl Iterator for Passwords<'_> {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        loop {
            let rest = self.value.get(self.ahead..)?;
            let mark = self.ahead + memchr(b'@', rest)?;
            let Some(begin) = self.uri_before(mark) else {
                self.ahead = self.begin;
                continue;
            };
            let found = password(self.value, begin..mark, self.place);
            let end = match found {
                Some(_) => last_mark(self.value, mark),
                None => mark,
            };
            self.begin = end + 1;
            self.ahead = end + 1;
            if let Some(password) = found {
                return Some(password.start..end);
            }
        }
    }
}

/// The password in what stands before an `@`.
fn password(value: &[u8], before: Range<usize>, place: Where) -> Option<Range<usize>> {
    let (begin, mark) = (before.start, before.end);
    let uri = value.get(before)?;
    let user = match (after_scheme(uri), place) {
        (Some(user), _) => user,
        (None, Where::Addresses) => 0,
        (None, Where::Anything) => return None,
    };
    let rest = uri.get(user..)?;
    if rest.starts_with(b"[") {
        return None;
    }
    let colon = memchr(b':', rest)?;
    let password = rest.get(colon + 1..)?;
    let start = begin + user + colon + 1;
    (!password.is_empty() && !is_port(password)).then_some(start..mark)
}

/// Where the user begins behind the first scheme that has a host.
fn after_scheme(uri: &[u8]) -> Option<usize> {
    let mut from = 0;
    loop {
        let colon = from + memchr(b':', uri.get(from..)?)?;
        let is_mark =
            |byte: &u8| !(byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'));
        let before = uri.get(from..colon)?;
        let name = before.iter().rposition(is_mark).map_or(0, |mark| mark + 1);
        let name = before.get(name..)?;
        let is_name = |scheme: &&[u8]| scheme.eq_ignore_ascii_case(name);
        if HOST_SCHEMES.iter().any(is_name) {
            return Some(colon + 1);
        }
        from = colon + 1;
    }
}

/// Whether what follows a colon is the port of a host that has no user: digits, and then
/// what no password holds. An `@` behind it is part of a parameter.
pub(crate) fn is_port(bytes: &[u8]) -> bool {
    let digits = bytes.iter().take_while(|byte| byte.is_ascii_digit());
    let behind = bytes.get(digits.count()..).unwrap_or_default();
    behind.len() < bytes.len() && matches!(behind, [b';' | b'?' | b',' | b' ', ..])
}

/// The `@` that ends a password which begins before `mark`, an `@`: the last one before
/// anything that comes behind a host.
pub(crate) fn last_mark(value: &[u8], mark: usize) -> usize {
    let mut last = mark;
    let behind = value.get(mark + 1..).unwrap_or_default();
    for (at, byte) in behind.iter().enumerate() {
        match byte {
            b'@' => last = mark + 1 + at,
            b':' | b';' | b'?' | b',' | b'/' | b'<' | b'>' | b'"' | b' ' | b'\t' => break,
            _ => {}
        }
    }
    last
}

/// Whether there is a password in a value.
#[cold]
#[inline(never)]
pub(crate) fn is_in(value: &[u8], place: Where) -> bool {
    Passwords::of(value, place).next().is_some()
}

/// Writes a value without its passwords.
#[cold]
#[inline(never)]
pub(crate) fn write_masked(value: &[u8], place: Where, out: &mut Vec<u8>) {
    let mut from = 0;
    for Range { start, end } in Passwords::of(value, place) {
        out.extend_from_slice(value.get(from..start).unwrap_or_default());
        out.extend_from_slice(MASK);
        from = end;
    }
    out.extend_from_slice(value.get(from..).unwrap_or_default());
}

/// Whether a quick look at a value of addresses tells that it holds no password: there is one
/// address, and no colon between its scheme and its last `@`. Others need [`is_in`].
#[inline(always)]
pub(crate) fn is_free(text: &Text<'_>, value: Span) -> bool {
    let (named, open) = Address::bracket(text, value);
    let uri = match open < named.end {
        true => named.from(open + 1),
        false => named,
    };
    let has_name = open > named.begin && open < named.end;
    let identity = uri.from(uri.begin + "sip:".len());
    if !has_sip_scheme(text, uri.begin)
        || identity.begin > identity.end
        || has_name && text.find(named.to(open), [b'@']) != open
    {
        return false;
    }
    let window = text.window(identity.begin);
    let within = match identity.length() {
        length @ ..Window::LENGTH => !(u64::MAX << length),
        _ => u64::MAX,
    };
    let ats = window.marks(b'@') & within;
    // The highest bit stands for no colon.
    let colons = window.marks(b':') & within | 1 << (Window::LENGTH - 1);
    let far = identity.from(identity.begin + Window::LENGTH);
    ats <= colons & colons.wrapping_neg() && (far.is_empty() || text.find(far, [b'@']) == far.end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn masked(value: &str, place: Where) -> String {
        let mut out = Vec::new();
        write_masked(value.as_bytes(), place, &mut out);
        assert_eq!(is_in(value.as_bytes(), place), out != value.as_bytes());
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn masks_the_password_of_every_address() {
        for (value, expected) in [
            ("sip:alice:secret@h", "sip:alice:***@h"),
            (
                "<SIPS:alice:secret@[::1]:5061>;q=1",
                "<SIPS:alice:***@[::1]:5061>;q=1",
            ),
            (
                "\"A: b@c\" <sip:a:s1@h>, sip:b:s2@h;x=y,<sip:c@h:5060>",
                "\"A: b@c\" <sip:a:***@h>, sip:b:***@h;x=y,<sip:c@h:5060>",
            ),
            ("sip::secret@h", "sip::***@h"),
            ("sip:a:se@cr@et@h:5060", "sip:a:***@h:5060"),
            ("sip:a:se cr\"et@h", "sip:a:***@h"),
            ("sip:a:sip:x@h", "sip:a:***@h"),
            (
                "sip:a:b\"c@h, \"B\" <sip:a:b\"c@h>",
                "sip:a:***@h, \"B\" <sip:a:***@h>",
            ),
            ("sip:a:1234@h", "sip:a:***@h"),
            ("sip:a:p,w;x@h", "sip:a:***@h"),
            ("alice:secret@h", "alice:***@h"),
            ("im:alice:secret@h", "im:alice:***@h"),
            ("\"not closed <sip:a:pw@h>", "\"not closed <sip:a:***@h>"),
        ] {
            assert_eq!(masked(value, Where::Addresses), expected);
        }
    }

    #[test]
    fn leaves_what_holds_no_password() {
        for value in [
            "",
            "*",
            "@",
            "sip:alice@h:5060;transport=udp",
            "<sip:h:5060;x=a@b>",
            "<sip:[2001:db8::1]:5060;x=a@b>",
            "sip:a:@h",
            "tel:+49;phone-context=h",
            "<sip:a@h:5060>,<sip:b@h:5060>",
            "\"a:b@c\" <sip:a@h>;+sip.instance=\"<urn:uuid:1@2>\"",
        ] {
            assert_eq!(masked(value, Where::Addresses), value);
        }
        for value in ["a:b@c", "1:2:3@h", "<urn:x:y@h>"] {
            assert_eq!(masked(value, Where::Anything), value);
        }
        assert_eq!(masked("x=sip:a:b@c", Where::Anything), "x=sip:a:***@c");
        assert_eq!(
            masked("=\"sip:a:b@c\"", Where::Anything),
            "=\"sip:a:***@c\""
        );
    }
}
