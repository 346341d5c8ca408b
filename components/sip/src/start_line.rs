//! Start lines: where a message begins, and what it is.

use memchr::memmem;

use crate::header::is_token;
use crate::search::memchr;

/// Octets of `SIP/2.0`.
const VERSION: usize = 7;

/// A request line or a status line (RFC 3261 section 7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StartLine<'a> {
    /// Where it begins in the item.
    pub(crate) begin: usize,
    /// Where the line after it begins.
    pub(crate) end: usize,
    pub(crate) kind: Kind<'a>,
}

/// What a start line says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind<'a> {
    /// A request.
    Request { method: &'a [u8], uri: &'a [u8] },
    /// A response; the reason may be empty.
    Response { code: &'a [u8], reason: &'a [u8] },
}

impl<'a> StartLine<'a> {
    /// The first start line of an item: at its beginning, else after line ends and blanks,
    /// else wherever one is found after rubbish, even in the middle of a line.
    pub(crate) fn find(item: &'a [u8]) -> Option<Self> {
        Self::at(item, 0).or_else(|| {
            let filler = item
                .iter()
                .take_while(|byte| matches!(byte, b'\r' | b'\n' | b' ' | b'\t' | 0))
                .count();
            Self::at(item, filler).or_else(|| Self::resync(item, filler))
        })
    }

    /// The start line that begins exactly at `begin`.
    #[inline]
    pub(crate) fn at(item: &'a [u8], begin: usize) -> Option<Self> {
        let rest = item.get(begin..)?;
        if !rest.first().is_some_and(|first| is_token(*first)) {
            return None;
        }
        let (line, length) = line_of(rest);
        Some(Self {
            begin,
            end: begin + length,
            kind: Kind::parse(line)?,
        })
    }

    /// The first start line at the beginning of a line from `begin` on that has a header
    /// line after it: a status line alone is the body of a `message/sipfrag`.
    pub(crate) fn next_with_header(item: &'a [u8], mut begin: usize) -> Option<Self> {
        while begin < item.len() {
            if let Some(start_line) = Self::at(item, begin)
                && item.get(start_line.end..).is_some_and(is_header_line)
            {
                return Some(start_line);
            }
            begin += memchr(b'\n', item.get(begin..)?)? + 1;
        }
        None
    }

    fn resync(item: &'a [u8], mut begin: usize) -> Option<Self> {
        while let Some(rest) = item.get(begin..).filter(|rest| !rest.is_empty()) {
            // Skip to the line with the next version, since rubbish may be long.
            let version = memmem::find(rest, b"SIP/")?;
            let line_begin = begin
                + rest
                    .get(..version)?
                    .iter()
                    .rposition(|byte| *byte == b'\n')
                    .map_or(0, |at| at + 1);
            let (line, length) = line_of(item.get(line_begin..)?);
            let end = line_begin + length;
            let found = match Kind::at_end_of(line) {
                Some((offset, kind)) => Some((line_begin + offset, kind)),
                None => {
                    let status = line.get(begin + version - line_begin..)?;
                    Kind::parse(status).map(|kind| (begin + version, kind))
                }
            };
            if let Some((begin, kind)) = found {
                return Some(Self { begin, end, kind });
            }
            begin = end;
        }
        None
    }
}

impl<'a> Kind<'a> {
    /// Reads a whole line.
    fn parse(line: &'a [u8]) -> Option<Self> {
        let line = line.trim_ascii_end();
        if let Some((version, rest)) = line.split_at_checked(VERSION)
            && is_version(version)
        {
            let status = rest.strip_prefix(b" ")?.trim_ascii_start();
            let digits = status
                .iter()
                .take_while(|byte| byte.is_ascii_digit())
                .count();
            let (code, reason) = status.split_at_checked(digits)?;
            let ends_there = matches!(reason.first(), None | Some(b' ' | b'\t'));
            return (digits > 0 && ends_there).then(|| Self::Response {
                code,
                reason: reason.trim_ascii_start(),
            });
        }
        let (head, version) = line.split_at_checked(line.len().checked_sub(VERSION)?)?;
        if !is_version(version) {
            return None;
        }
        let method_length = head.iter().position(|byte| !is_token(*byte))?;
        let (method, uri) = head.split_at_checked(method_length)?;
        let blanks_around = matches!(uri, [b' ' | b'\t', .., b' ' | b'\t']);
        let uri = uri.trim_ascii();
        // Blanks in a URI happen; a first word without scheme is rubbish before a method.
        let has_scheme = uri
            .iter()
            .take_while(|byte| !byte.is_ascii_whitespace())
            .any(|byte| *byte == b':');
        (!method.is_empty() && blanks_around && has_scheme).then_some(Self::Request { method, uri })
    }

    /// Reads a request line that has rubbish in front, and says where it begins.
    fn at_end_of(line: &'a [u8]) -> Option<(usize, Self)> {
        let line = line.trim_ascii_end();
        let (head, version) = line.split_at_checked(line.len().checked_sub(VERSION)?)?;
        if !is_version(version) || !head.ends_with(b" ") {
            return None;
        }
        let head = head.trim_ascii_end();
        let (head, uri) =
            head.split_at_checked(head.iter().rposition(|byte| *byte == b' ')? + 1)?;
        memchr(b':', uri)?;
        let head = head.trim_ascii_end();
        let method_length = head
            .iter()
            .rev()
            .take_while(|byte| is_token(**byte))
            .count();
        let begin = head.len() - method_length;
        let method = head.get(begin..)?;
        (!method.is_empty()).then_some((begin, Self::Request { method, uri }))
    }
}

/// The line that `bytes` begin with, without its end, and its length with it.
#[inline]
pub(crate) fn line_of(bytes: &[u8]) -> (&[u8], usize) {
    let Some(newline) = memchr(b'\n', bytes) else {
        return (bytes, bytes.len());
    };
    let line = bytes.get(..newline).unwrap_or(bytes);
    (line.strip_suffix(b"\r").unwrap_or(line), newline + 1)
}

/// `SIP/` and a version of two digits, in any case.
#[inline]
fn is_version(bytes: &[u8]) -> bool {
    matches!(
        bytes,
        [
            b'S' | b's',
            b'I' | b'i',
            b'P' | b'p',
            b'/',
            b'0'..=b'9',
            b'.',
            b'0'..=b'9'
        ]
    )
}

/// Whether `bytes` begin with a token and a colon.
pub(crate) fn is_header_line(bytes: &[u8]) -> bool {
    let name = bytes.iter().take_while(|byte| is_token(**byte)).count();
    let after = bytes.get(name..).unwrap_or_default();
    name > 0 && after.trim_ascii_start().starts_with(b":")
}
