//! Start lines: where a message begins, and what it is.

use memchr::{memchr, memmem};

use crate::password::{self, Where};
use crate::text::{LineEnds, Span, Text, Window, is_token};
use crate::uri::{Uri, has_sip_scheme};

/// Octets of `SIP/2.0`.
const VERSION: usize = 7;

/// A request line or a status line (RFC 3261 section 7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StartLine {
    /// Where it begins in the item.
    pub(crate) begin: usize,
    /// Where the line after it begins.
    pub(crate) end: usize,
    pub(crate) kind: Kind,
}

/// What a start line says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A request; the user of its URI may be empty.
    Request {
        method: Span,
        uri: Span,
        user: Span,
        has_password: bool,
    },
    /// A response; the reason may be empty.
    Response { code: Span, reason: Span },
}

impl StartLine {
    /// The first start line of an item: at its beginning, else after line ends and blanks,
    /// else wherever one is found after rubbish, even in the middle of a line.
    #[inline(always)]
    pub(crate) fn find(text: &Text<'_>) -> Option<Self> {
        Self::usual(text, 0).or_else(|| Self::find_any(text))
    }

    #[cold]
    #[inline(never)]
    fn find_any(text: &Text<'_>) -> Option<Self> {
        if let Some(found) = Self::any(text, 0) {
            return Some(found);
        }
        let filler = text
            .bytes
            .iter()
            .take_while(|byte| matches!(byte, b'\r' | b'\n' | b' ' | b'\t' | 0))
            .count();
        Self::at(text, filler).or_else(|| Self::resync(text, filler))
    }

    /// The start line that begins exactly at `begin`.
    #[inline(never)]
    pub(crate) fn at(text: &Text<'_>, begin: usize) -> Option<Self> {
        if let Some(usual) = Self::usual(text, begin) {
            return Some(usual);
        }
        Self::any(text, begin)
    }

    /// Reads a line without blanks but the two between its three parts, or those of a
    /// reason, by the marks in a window of it.
    #[inline(always)]
    fn usual(text: &Text<'_>, begin: usize) -> Option<Self> {
        let window = text.window(begin);
        // The place of no line feed is behind the window.
        let newline = begin + window.marks(b'\n').trailing_zeros() as usize;
        let ends_plain = text.at(newline) == b'\n'
            && text.around(newline) & 0xff00 == u32::from(b'\r') << 8
            && text.around(newline) as u8 > b' ';
        if !ends_plain {
            return None;
        }
        let line = Span::new(begin, newline - 1);
        let kind = match is_version(text, begin) {
            true => Kind::usual_response(text, line)?,
            false => Kind::usual_request(text, line, &window)?,
        };
        let end = newline + 1;
        Some(Self { begin, end, kind })
    }

    #[cold]
    #[inline(never)]
    pub(crate) fn any(text: &Text<'_>, begin: usize) -> Option<Self> {
        if !is_token(text.at(begin)) {
            return None;
        }
        let (line, end) = line_at(text, begin);
        let kind = Kind::parse(text, line)?.of_whole(text, end)?;
        Some(Self { begin, end, kind })
    }

    /// The first start line at the beginning of a line from `begin` on that has a header
    /// line after it: a status line alone is the body of a `message/sipfrag`.
    pub(crate) fn next_with_header(text: &Text<'_>, mut begin: usize) -> Option<Self> {
        let item = text.bytes;
        while begin < item.len() {
            if let Some(start_line) = Self::at(text, begin)
                && item.get(start_line.end..).is_some_and(is_header_line)
            {
                return Some(start_line);
            }
            begin += memchr(b'\n', item.get(begin..)?)? + 1;
        }
        None
    }

    fn resync(text: &Text<'_>, mut begin: usize) -> Option<Self> {
        let item = text.bytes;
        while let Some(rest) = item.get(begin..).filter(|rest| !rest.is_empty()) {
            // Skip to the line with the next version, since rubbish may be long.
            let version = begin + memmem::find(rest, b"SIP/")?;
            let line_begin = item
                .get(begin..version)?
                .iter()
                .rposition(|byte| *byte == b'\n')
                .map_or(begin, |at| begin + at + 1);
            let (line, end) = line_at(text, line_begin);
            let found = match Kind::at_end_of(text, line) {
                Some(found) => Some(found),
                None => Kind::parse(text, line.from(version))
                    .and_then(|kind| kind.of_whole(text, end))
                    .map(|kind| (version, kind)),
            };
            if let Some((begin, kind)) = found {
                return Some(Self { begin, end, kind });
            }
            begin = end;
        }
        None
    }
}

impl Kind {
    #[inline(always)]
    fn usual_response(text: &Text<'_>, line: Span) -> Option<Self> {
        const CODE: usize = VERSION + 1;
        const REASON: usize = CODE + "200 ".len();
        if line.length() <= REASON || text.at(line.begin + VERSION) != b' ' {
            return None;
        }
        let [hundreds, tens, ones, blank, first, ..] = text.word(line.begin + CODE).to_le_bytes();
        let is_code = hundreds.is_ascii_digit() & tens.is_ascii_digit() & ones.is_ascii_digit();
        (is_code && blank == b' ' && first > b' ').then(|| Self::Response {
            code: Span::new(line.begin + CODE, line.begin + CODE + 3),
            reason: line.from(line.begin + REASON),
        })
    }

    #[inline(always)]
    fn usual_request(text: &Text<'_>, line: Span, window: &Window) -> Option<Self> {
        let place = |marks: u64| line.begin + marks.trailing_zeros() as usize;
        let version = line.end.checked_sub(VERSION)?;
        if version <= line.begin || !is_version(text, version) {
            return None;
        }
        // Two blanks, and the carriage return.
        let blanks = window.blanks();
        let others = blanks & blanks.wrapping_sub(1);
        let method = line.to(place(blanks));
        let uri = Span::new(method.end + 1, place(others));
        let third = others & others.wrapping_sub(1);
        let is_plain = uri.end + 1 == version
            && place(third) == line.end
            && !uri.is_empty()
            && text.at(method.end) == b' '
            && text.at(uri.end) == b' '
            && !method.is_empty()
            && text.find_token_end(method) == method.end
            && has_sip_scheme(text, uri.begin);
        if !is_plain {
            return None;
        }
        // As in `Uri::with_host`; a bit below that of the blank behind the URI.
        let identity = uri.from(uri.begin + "sip:".len());
        let behind = u64::MAX << (identity.begin - line.begin);
        let ats = window.marks(b'@') & behind;
        let stops = window.marks(b'>') & behind | ats;
        let colons = window.marks(b':') & behind;
        let stop = stops & stops.wrapping_neg();
        let has_user = ats & stop != 0 && place(stop) < uri.end;
        // Behind a colon there may be a password, which is taken apart elsewhere.
        let within = others & others.wrapping_neg();
        if ats & (within - 1) > colons & colons.wrapping_neg() && colons != 0 {
            return None;
        }
        let user = match has_user {
            true => identity.to(place(stop)),
            false => identity.to(identity.begin),
        };
        Some(Self::Request {
            method,
            uri,
            user,
            has_password: false,
        })
    }

    fn request(text: &Text<'_>, method: Span, uri: Span) -> Self {
        let user = Uri::parse(text, uri).user;
        let has_password = password::is_in(text.slice(uri), Where::Addresses);
        Self::Request {
            method,
            uri,
            user,
            has_password,
        }
    }

    /// The same without what the end of the text cut short: a line without line feed may have
    /// gone on. A version ends a request line; of a status line the reason is left out, and
    /// there is none if the code may be longer.
    fn of_whole(self, text: &Text<'_>, end: usize) -> Option<Self> {
        let is_whole = end < text.bytes.len() || text.bytes.ends_with(b"\n");
        match self {
            Self::Response { code, reason } if !is_whole => {
                let reason = reason.to(reason.begin);
                let goes_on = matches!(text.at(code.end), b' ' | b'\t');
                goes_on.then_some(Self::Response { code, reason })
            }
            kind => Some(kind),
        }
    }

    /// Reads a whole line.
    #[inline(always)]
    fn parse(text: &Text<'_>, line: Span) -> Option<Self> {
        let line = trimmed_end(text, line);
        if is_version(text, line.begin) && line.length() >= VERSION {
            return Self::response(text, line.from(line.begin + VERSION));
        }
        let head = line.to(line.end.checked_sub(VERSION)?);
        if head.begin > head.end || !is_version(text, head.end) {
            return None;
        }
        let method_end = text.find_token_end(head);
        let uri = head.from(method_end);
        let blanks_around = uri.length() >= 2
            && matches!(text.at(uri.begin), b' ' | b'\t')
            && matches!(text.at(uri.end - 1), b' ' | b'\t');
        if method_end == head.begin || !blanks_around {
            return None;
        }
        let uri = trimmed_start(text, trimmed_end(text, uri));
        // Blanks in a URI happen; a first word without scheme is rubbish before a method.
        let word_end = text.find(uri, [b':', b' ', b'\t', b'\n', b'\x0c', b'\r']);
        let has_scheme = word_end < uri.end && text.at(word_end) == b':';
        has_scheme.then(|| Self::request(text, head.to(method_end), uri))
    }

    /// Reads what follows the version of a status line.
    #[inline(always)]
    fn response(text: &Text<'_>, rest: Span) -> Option<Self> {
        if !text.starts(rest, b' ') {
            return None;
        }
        let status = trimmed_start(text, rest);
        let code_end = text.find_number_end(status);
        let reason = status.from(code_end);
        let ends_there = reason.is_empty() || matches!(text.at(code_end), b' ' | b'\t');
        (code_end > status.begin && ends_there).then(|| Self::Response {
            code: status.to(code_end),
            reason: trimmed_start(text, reason),
        })
    }

    /// Reads a request line that has rubbish in front, and says where it begins.
    #[cold]
    #[inline(never)]
    fn at_end_of(text: &Text<'_>, line: Span) -> Option<(usize, Self)> {
        let line = trimmed_end(text, line);
        let head = line.to(line.end.checked_sub(VERSION)?);
        if head.begin > head.end || !is_version(text, head.end) {
            return None;
        }
        let bytes = text.slice(head);
        if !bytes.ends_with(b" ") {
            return None;
        }
        let bytes = bytes.trim_ascii_end();
        let blank = bytes.iter().rposition(|byte| *byte == b' ')?;
        let (head, uri) = bytes.split_at_checked(blank + 1)?;
        memchr(b':', uri)?;
        let uri = Span::new(line.begin + blank + 1, line.begin + bytes.len());
        let method_end = line.begin + head.trim_ascii_end().len();
        let method_length = head
            .trim_ascii_end()
            .iter()
            .rev()
            .take_while(|byte| is_token(**byte))
            .count();
        let method = Span::new(method_end - method_length, method_end);
        (method_length > 0).then(|| (method.begin, Self::request(text, method, uri)))
    }
}

/// The line that begins at a place, without its end, and where the next begins.
#[inline(always)]
fn line_at(text: &Text<'_>, begin: usize) -> (Span, usize) {
    let rest = Span::new(begin, text.bytes.len());
    let newline = LineEnds::from(begin).next(text);
    if newline == rest.end {
        return (rest, newline);
    }
    let carriage_return = newline > begin && text.at(newline - 1) == b'\r';
    (rest.to(newline - usize::from(carriage_return)), newline + 1)
}

/// The line that `bytes` begin with, without its end.
pub(crate) fn line_of(bytes: &[u8]) -> &[u8] {
    let line = memchr(b'\n', bytes).and_then(|newline| bytes.get(..newline));
    let Some(line) = line else { return bytes };
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// Whether `SIP/` and a version of two digits, in any case, are at a place.
#[inline(always)]
fn is_version(text: &Text<'_>, place: usize) -> bool {
    /// Letters in lower case, and a zero for each digit.
    const VERSION_WORD: u64 = u64::from_le_bytes(*b"sip/0.0\0");
    const LOWER: u64 = u64::from_le_bytes([0x20, 0x20, 0x20, 0, 0, 0, 0, 0]);
    let word = (text.word(place) | LOWER) & (u64::MAX >> 8);
    let [_, _, _, _, major, _, minor, _] = (word ^ VERSION_WORD).to_le_bytes();
    let digits = u64::from_le_bytes([0, 0, 0, 0, major, 0, minor, 0]);
    word ^ VERSION_WORD == digits && major < 10 && minor < 10
}

/// Without ASCII white space behind.
#[inline(always)]
fn trimmed_end(text: &Text<'_>, span: Span) -> Span {
    match text.slice(span) {
        [.., last] if *last > b' ' => span,
        bytes => span.to(span.begin + bytes.trim_ascii_end().len()),
    }
}

/// Without ASCII white space before.
#[inline(always)]
fn trimmed_start(text: &Text<'_>, span: Span) -> Span {
    match text.slice(span) {
        [first, ..] if *first > b' ' => span,
        [b' ', first, ..] if *first > b' ' => span.from(span.begin + 1),
        bytes => span.from(span.end - bytes.trim_ascii_start().len()),
    }
}

/// Whether `bytes` begin with a token and a colon.
pub(crate) fn is_header_line(bytes: &[u8]) -> bool {
    let name = bytes.iter().take_while(|byte| is_token(**byte)).count();
    let after = bytes.get(name..).unwrap_or_default();
    name > 0 && after.trim_ascii_start().starts_with(b":")
}
