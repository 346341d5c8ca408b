//! One message: its header lines, and how far it reaches.

use heplake_sdk::Row;

use crate::authorization::write_masked;
use crate::configuration::{Target, Watched};
use crate::field;
use crate::header::{self, Header};
use crate::start_line::{Kind, StartLine};
use crate::text::{LineEnds, SLACK, Span, Text};
use crate::uri::{Address, Uri};
use crate::value::{ShortName, first_of_list, parameter};

/// Reads one message into a row.
pub(crate) struct Reader<'r, 'c> {
    watched: &'r Watched,
    unfolded: &'r mut Vec<u8>,
    row: &'r mut Row<'c>,
    /// Rank of the header that fills [`field::CORRELATION`].
    correlation_rank: usize,
    content_length: Option<usize>,
    body_may_be_a_message: bool,
}

/// How far a message reaches, as far as its headers tell.
#[derive(Debug)]
pub(crate) struct Extent {
    /// Where the body begins in the item.
    body: usize,
    content_length: Option<usize>,
    /// Whether the body may hold start lines of its own.
    body_may_be_a_message: bool,
}

impl<'r, 'c> Reader<'r, 'c> {
    pub(crate) fn new(
        watched: &'r Watched,
        unfolded: &'r mut Vec<u8>,
        row: &'r mut Row<'c>,
    ) -> Self {
        Self {
            watched,
            unfolded,
            row,
            correlation_rank: usize::MAX,
            content_length: None,
            body_may_be_a_message: false,
        }
    }

    /// Reads the message that begins with `start_line`.
    #[inline(always)]
    pub(crate) fn read(mut self, text: &Text<'_>, start_line: &StartLine) -> Extent {
        self.start_line(text, start_line.kind);
        let body = self.headers(text, start_line.end);
        Extent {
            body,
            content_length: self.content_length,
            body_may_be_a_message: self.body_may_be_a_message,
        }
    }

    #[inline(never)]
    fn start_line(&mut self, text: &Text<'_>, kind: Kind) {
        match kind {
            Kind::Request { method, uri } => {
                self.set(field::METHOD, text, method);
                self.set(field::REQUEST_URI, text, uri);
                self.set(field::CALLEE, text, Uri::parse(text, uri).user);
            }
            Kind::Response { code, reason } => {
                self.set(field::RESPONSE_CODE, text, code);
                self.set(field::RESPONSE_REASON, text, reason);
            }
        }
    }

    /// Reads header lines from `begin` to the empty line, and says where the body begins.
    #[inline(never)]
    fn headers(&mut self, text: &Text<'_>, mut begin: usize) -> usize {
        const CARRIAGE_RETURN: u32 = 0x0d << 8;
        let mut line_ends = LineEnds::from(begin);
        while begin < text.bytes.len() {
            let newline = line_ends.next(text);
            // One load tells of most lines that they end with CRLF and without blanks, and
            // are not folded.
            let around = text.around(newline);
            let is_plain = around as u8 > b' '
                && around & 0xff00 == CARRIAGE_RETURN
                && !matches!((around >> 24) as u8, b' ' | b'\t');
            if is_plain {
                self.line(text, Span::new(begin, newline - 1), true);
                begin = newline + 1;
                continue;
            }
            let Some(next) = self.odd_line(text, begin, newline) else {
                begin = newline + 1;
                break;
            };
            if next != newline + 1 {
                line_ends = LineEnds::from(next);
            }
            begin = next;
        }
        begin.min(text.bytes.len())
    }

    /// Reads any line, and says where the next begins, unless it is empty.
    #[inline(never)]
    fn odd_line(&mut self, text: &Text<'_>, begin: usize, newline: usize) -> Option<usize> {
        // Without a line feed at its end the last line keeps a carriage return.
        let end = match text.bytes.get(begin..=newline) {
            Some([.., b'\r', _]) => newline - 1,
            _ => newline,
        };
        let line = Span::new(begin, end);
        if line.is_empty() {
            return None;
        }
        let next = newline + 1;
        if let Some(b' ' | b'\t') = text.bytes.get(next) {
            return Some(self.folded(text, line, next));
        }
        self.line(text, line, false);
        Some(next)
    }

    /// Reads a line that goes on at `begin`, and says where the next begins. A line end
    /// and the blanks after it become one blank (RFC 3261 section 7.3.1).
    #[cold]
    #[inline(never)]
    fn folded(&mut self, text: &Text<'_>, first: Span, mut begin: usize) -> usize {
        let mut unfolded = std::mem::take(self.unfolded);
        unfolded.clear();
        unfolded.extend_from_slice(text.slice(text.trimmed(first)));
        let mut line_ends = LineEnds::from(begin);
        while let b' ' | b'\t' = text.at(begin) {
            let newline = line_ends.next(text);
            unfolded.push(b' ');
            unfolded.extend_from_slice(text.slice(text.trimmed(Span::new(begin, newline))));
            begin = (newline + 1).min(text.bytes.len());
        }
        let length = unfolded.len();
        let origin = self.row.keep(&unfolded);
        unfolded.resize(length + SLACK, 0);
        let (bytes, ahead) = (unfolded.get(..length).unwrap_or_default(), &unfolded);
        let joined = Text {
            bytes,
            ahead,
            origin,
        };
        self.line(&joined, Span::new(0, length), false);
        *self.unfolded = unfolded;
        begin
    }

    /// Reads one whole header, which may be known to have no blanks at its end.
    #[inline(always)]
    fn line(&mut self, text: &Text<'_>, line: Span, is_trimmed: bool) {
        let head = text.words(line.begin);
        if let Some((header, value)) = Header::of(text, line, head) {
            let value = match is_trimmed {
                true => text.trimmed_start(line.from(value)),
                false => text.trimmed(line.from(value)),
            };
            match header.field() {
                Some(field) => self.set(field, text, value),
                None => self.take_apart(header, text, line, value),
            }
        }
        if self.watched.may_begin_with(head[0] as u8) {
            self.watched_line(text, line);
        }
    }

    #[inline(always)]
    fn take_apart(&mut self, header: Header, text: &Text<'_>, line: Span, value: Span) {
        match header {
            Header::VIA => self.via(text, value),
            Header::FROM => self.from(text, value),
            Header::TO => self.to(text, value),
            Header::CSEQ => self.cseq(text, value),
            Header::CONTENT_LENGTH => self.content_length(text, value),
            Header::CONTENT_TYPE => self.content_type(text, value),
            Header::AUTHORIZATION => self.authorization(text, value),
            _ => self.long_name(text, line),
        }
    }

    #[cold]
    #[inline(never)]
    fn long_name(&mut self, text: &Text<'_>, line: Span) {
        let Some((header, value)) = Header::of_long(text, line) else {
            return;
        };
        let value = text.trimmed(line.from(value));
        match header.field() {
            Some(field) => self.set(field, text, value),
            None => self.authorization(text, value),
        }
    }

    #[inline(never)]
    fn via(&mut self, text: &Text<'_>, value: Span) {
        const BRANCH: ShortName = ShortName::new(b"branch");
        if !self.row.is_null(field::VIA) {
            return;
        }
        let top = first_of_list(text, value);
        self.set(field::VIA, text, top);
        let first = text.find(top, [b';']);
        if first < top.end
            && let Some(branch) = parameter(text, top.from(first + 1), BRANCH)
        {
            self.set(field::BRANCH, text, branch);
        }
    }

    #[inline(never)]
    fn from(&mut self, text: &Text<'_>, value: Span) {
        if !self.row.is_null(field::FROM_HOST) || !self.row.is_null(field::CALLER) {
            return;
        }
        let from = Address::parse(text, value);
        self.set(field::CALLER, text, from.uri.user);
        self.set(field::FROM_HOST, text, from.uri.host);
        self.set(field::FROM_TAG, text, from.tag);
    }

    #[inline(never)]
    fn to(&mut self, text: &Text<'_>, value: Span) {
        if !self.row.is_null(field::AOR) {
            return;
        }
        let to = Address::parse(text, value);
        self.set(field::CALLEE, text, to.uri.user);
        self.set(field::TO_HOST, text, to.uri.host);
        self.set(field::TO_TAG, text, to.tag);
        self.address_of_record(text, &to.uri);
    }

    #[inline(never)]
    fn cseq(&mut self, text: &Text<'_>, value: Span) {
        if !self.row.is_null(field::CSEQ) {
            return;
        }
        self.set(field::CSEQ, text, value);
        let method = text.trimmed_start(value.from(text.find_number_end(value)));
        let method = method.to(text.find_token_end(method));
        self.set(field::CSEQ_METHOD, text, method);
    }

    #[inline(never)]
    fn content_length(&mut self, text: &Text<'_>, value: Span) {
        if self.row.is_null(field::CONTENT_LENGTH) {
            self.set(field::CONTENT_LENGTH, text, value);
            self.content_length = number(text.slice(value));
        }
    }

    #[inline(never)]
    fn content_type(&mut self, text: &Text<'_>, value: Span) {
        if self.row.is_null(field::CONTENT_TYPE) {
            self.set(field::CONTENT_TYPE, text, value);
            // The quick look spares most bodies the comparisons.
            self.body_may_be_a_message =
                matches!(text.at(value.begin), b'm' | b'M') && names_message(text.slice(value));
        }
    }

    #[cold]
    #[inline(never)]
    fn authorization(&mut self, text: &Text<'_>, value: Span) {
        if self.row.is_null(field::AUTHORIZATION) && !value.is_empty() {
            self.row.written(field::AUTHORIZATION, |out| {
                write_masked(text.slice(value), out);
            });
        }
    }

    #[inline(always)]
    fn address_of_record(&mut self, text: &Text<'_>, uri: &Uri) {
        if uri.user.is_empty() {
            self.set(field::AOR, text, uri.host);
        } else if uri.host.is_empty() {
            self.set(field::AOR, text, uri.user);
        } else if let Some(user_at_host) = uri.user_at_host {
            self.set(field::AOR, text, user_at_host);
        } else {
            self.row.written(field::AOR, |out| {
                out.extend_from_slice(text.slice(uri.user));
                out.push(b'@');
                out.extend_from_slice(text.slice(uri.host));
            });
        }
    }

    /// Reads a line that may be a configured header.
    #[cold]
    #[inline(never)]
    fn watched_line(&mut self, text: &Text<'_>, line: Span) {
        let Some(name) = header::name(text, line) else {
            return;
        };
        let value = text.trimmed(line.from(header::value_begin(text, line)));
        if value.is_empty() {
            return;
        }
        for target in self.watched.targets(name) {
            match target {
                Target::Correlation { rank } if rank < self.correlation_rank => {
                    self.correlation_rank = rank;
                    let Span { begin, end } = value;
                    self.row.span(field::CORRELATION, text.origin, begin, end);
                }
                Target::Custom { field } => self.set(field, text, value),
                Target::Correlation { .. } => {}
            }
        }
    }

    /// Sets a field that has no value yet; an empty one says nothing.
    #[inline(always)]
    fn set(&mut self, field: usize, text: &Text<'_>, value: Span) {
        if !value.is_empty() && self.row.is_null(field) {
            self.row.span(field, text.origin, value.begin, value.end);
        }
    }
}

/// The number of a Content-Length.
#[inline(always)]
fn number(digits: &[u8]) -> Option<usize> {
    /// Fewer digits than can overflow.
    const DIGITS_MAX: usize = 9;
    let mut number = 0;
    for byte in digits {
        match byte.wrapping_sub(b'0') {
            digit @ 0..=9 if digits.len() <= DIGITS_MAX => {
                number = number * 10 + usize::from(digit)
            }
            _ => return std::str::from_utf8(digits).ok()?.parse().ok(),
        }
    }
    (!digits.is_empty()).then_some(number)
}

/// Whether a Content-Type may have messages in its body.
#[cold]
#[inline(never)]
fn names_message(content_type: &[u8]) -> bool {
    [&b"message/"[..], b"multipart/"].iter().any(|kind| {
        let start = content_type.get(..kind.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(kind))
    })
}

impl Extent {
    /// The start line of the next message in the item, if there is one.
    ///
    /// Content-Length is believed where the item ends or a message begins. Where it is
    /// missing or wrong, a line that reads as a start line with a header below begins the
    /// next message, unless the body may be a message itself.
    #[inline]
    pub(crate) fn next_message(&self, text: &Text<'_>) -> Option<StartLine> {
        let body_length = text.bytes.len() - self.body;
        if body_length == 0 || self.content_length == Some(body_length) {
            return None;
        }
        self.search(text)
    }

    #[cold]
    #[inline(never)]
    fn search(&self, text: &Text<'_>) -> Option<StartLine> {
        let item = text.bytes;
        if let Some(end) = self
            .content_length
            .and_then(|length| self.body.checked_add(length))
            && let Some(rest) = item.get(end..)
        {
            let filler = rest
                .iter()
                .take_while(|byte| matches!(byte, b'\r' | b'\n' | b' ' | b'\t' | 0))
                .count();
            if filler == rest.len() {
                return None;
            }
            if let Some(next) = StartLine::at(text, end + filler) {
                return Some(next);
            }
        }
        if self.body_may_be_a_message {
            return None;
        }
        StartLine::next_with_header(text, self.body)
    }
}
