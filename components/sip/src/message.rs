//! One message: its header lines, and how far it reaches.

use heplake_sdk::{Fields, Row};

use crate::authorization::write_masked;
use crate::configuration::{Target, Watched};
use crate::field;
use crate::header::{self, Header};
use crate::lines::Lines;
use crate::start_line::{Kind, StartLine};
use crate::text::{LineEnds, SLACK, Span, Text};
use crate::uri::{Address, Uri};
use crate::value::{cseq_method, number};
use crate::via::Via;

/// Reads one message into a row.
///
/// The loop over the lines leaves each value in a field and takes none apart: a loop without
/// calls keeps what it works with in registers, and has few branches to guess. What has to
/// be taken apart is so when all lines are read, or when a second line might count.
pub(crate) struct Reader<'r> {
    watched: &'r Watched,
    unfolded: &'r mut Vec<u8>,
    fields: Fields<'r, { field::COUNT }>,
    /// The fields of configured headers.
    custom: Row<'r>,
    /// Bit `n` is set if what field `n` holds has been taken apart.
    done: u64,
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

impl<'r> Reader<'r> {
    #[inline(always)]
    pub(crate) fn new(
        watched: &'r Watched,
        unfolded: &'r mut Vec<u8>,
        (fields, custom): (Fields<'r, { field::COUNT }>, Row<'r>),
    ) -> Self {
        Self {
            watched,
            unfolded,
            fields,
            custom,
            done: 0,
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
        self.finish(text);
        Extent {
            body,
            content_length: self.content_length,
            body_may_be_a_message: self.body_may_be_a_message,
        }
    }

    #[inline(always)]
    fn start_line(&mut self, text: &Text<'_>, kind: Kind) {
        match kind {
            Kind::Request { method, uri, user } => {
                self.set(field::METHOD, text, method);
                self.set(field::REQUEST_URI, text, uri);
                self.set(field::CALLEE, text, user);
            }
            Kind::Response { code, reason } => {
                self.set(field::RESPONSE_CODE, text, code);
                self.set(field::RESPONSE_REASON, text, reason);
            }
        }
    }

    /// Reads header lines from `begin` to the empty line, and says where the body begins.
    #[inline(always)]
    fn headers(&mut self, text: &Text<'_>, begin: usize) -> usize {
        let mut lines = Lines::from(begin);
        loop {
            let line = lines.read_plain(text, &mut self.fields, self.watched.letters());
            // CRLF alone, or the end of the text.
            if line.is_empty() || line.length() == 1 && text.at(line.begin) == b'\r' {
                return lines.begin().min(text.bytes.len());
            }
            let next = self.odd_line(text, line);
            lines.skip_to(next);
        }
    }

    /// Reads any line that is not empty, and says where the next begins.
    #[inline(never)]
    fn odd_line(&mut self, text: &Text<'_>, line: Span) -> usize {
        let next = line.end + 1;
        // Without a line feed at its end the last line keeps a carriage return.
        let line = match text.bytes.get(line.begin..next) {
            Some([.., b'\r', _]) => line.to(line.end - 1),
            _ => line,
        };
        if let Some(b' ' | b'\t') = text.bytes.get(next) {
            return self.folded(text, line, next);
        }
        self.line(text, line);
        next
    }

    /// Reads a line that goes on at `begin`, and says where the next begins. A line end
    /// and the blanks after it become one blank (RFC 3261 section 7.3.1).
    #[cold]
    #[inline(never)]
    fn folded(&mut self, text: &Text<'_>, first: Span, mut begin: usize) -> usize {
        self.settle(text);
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
        let origin = self.custom.keep(&unfolded);
        unfolded.resize(length + SLACK, 0);
        let (bytes, ahead) = (unfolded.get(..length).unwrap_or_default(), &unfolded);
        let joined = Text {
            bytes,
            ahead,
            origin,
        };
        self.folded_line(&joined, Span::new(0, length));
        *self.unfolded = unfolded;
        begin
    }

    /// Reads one whole header.
    fn line(&mut self, text: &Text<'_>, line: Span) {
        if let Some((header, value)) = Header::of(text, line) {
            let value = text.trimmed(line.from(value));
            if header.is_at_once() {
                self.at_once(header, text, line, value);
            } else if !value.is_empty() {
                if self.fields.is_null(header.field()) {
                    self.put(header.field(), text, value);
                } else if header.is_apart() {
                    self.settle(text);
                    self.take_apart(header, text, value);
                }
            }
        }
        self.watched_line(text, line);
    }

    /// As [`line`](Self::line), of text that will not be there when all lines are read.
    fn folded_line(&mut self, text: &Text<'_>, line: Span) {
        if let Some((header, value)) = Header::of(text, line) {
            let value = text.trimmed(line.from(value));
            match header.is_at_once() {
                true => self.at_once(header, text, line, value),
                false => self.take_apart(header, text, value),
            }
        }
        self.watched_line(text, line);
    }

    #[cold]
    #[inline(never)]
    fn at_once(&mut self, header: Header, text: &Text<'_>, line: Span, value: Span) {
        if header != Header::LONG {
            return self.authorization(text, value);
        }
        let Some((header, value)) = Header::of_long(text, line) else {
            return;
        };
        let value = text.trimmed(line.from(value));
        match header.is_at_once() {
            true => self.authorization(text, value),
            false => self.set(header.field(), text, value),
        }
    }

    /// Takes apart what waits for it and comes from lines that another may come after.
    fn settle(&mut self, text: &Text<'_>) {
        for header in [Header::VIA, Header::FROM, Header::TO] {
            if let Some(value) = self.waiting(header.field(), text) {
                self.fields.clear(header.field());
                self.take_apart(header, text, value);
            }
        }
    }

    /// The value in a field that was not taken apart.
    #[inline(always)]
    fn waiting(&self, field: usize, text: &Text<'_>) -> Option<Span> {
        let (begin, end) = self.fields.places(field, text.origin)?;
        (self.done & 1 << field == 0).then_some(Span::new(begin, end))
    }

    /// Takes apart a value, unless one of the same header was that gave something.
    fn take_apart(&mut self, header: Header, text: &Text<'_>, value: Span) {
        let field = header.field();
        if self.done & 1 << field != 0 {
            return;
        }
        match header {
            Header::VIA => self.via(text, value),
            Header::FROM => {
                self.from(text, value);
                if self.fields.is_null(field) && !self.fields.is_null(field::FROM_HOST) {
                    // Else another line would be left there.
                    self.put(field, text, value.to(value.begin));
                }
            }
            Header::TO => self.to(text, value),
            _ if !self.fields.is_null(field) => return,
            Header::CSEQ => {
                self.set(field, text, value);
                self.cseq(text, value);
            }
            Header::CONTENT_LENGTH => {
                self.set(field, text, value);
                self.content_length = number(text, value);
            }
            Header::CONTENT_TYPE => {
                self.set(field, text, value);
                self.content_type(text, value);
            }
            _ => self.set(field, text, value),
        }
        if !self.fields.is_null(field) {
            self.done |= 1 << field;
        }
    }

    /// Takes apart what the lines left in the fields.
    #[inline(never)]
    fn finish(&mut self, text: &Text<'_>) {
        if let Some(via) = self.waiting(field::VIA, text) {
            self.fields.clear(field::VIA);
            self.via(text, via);
        }
        if let Some(from) = self.waiting(field::CALLER, text) {
            self.fields.clear(field::CALLER);
            self.from(text, from);
        } else if let Some((begin, end)) = self.fields.places(field::CALLER, text.origin)
            && begin == end
        {
            self.fields.clear(field::CALLER);
        }
        if let Some(to) = self.waiting(field::AOR, text) {
            self.fields.clear(field::AOR);
            self.to(text, to);
        }
        if let Some(cseq) = self.waiting(field::CSEQ, text) {
            self.cseq(text, cseq);
        }
        if let Some(length) = self.waiting(field::CONTENT_LENGTH, text) {
            self.content_length = number(text, length);
        }
        if let Some(content_type) = self.waiting(field::CONTENT_TYPE, text) {
            self.content_type(text, content_type);
        }
    }

    #[inline(always)]
    fn via(&mut self, text: &Text<'_>, value: Span) {
        let Via { top, branch } = Via::parse(text, value);
        self.set(field::VIA, text, top);
        self.set(field::BRANCH, text, branch);
    }

    #[inline(always)]
    fn from(&mut self, text: &Text<'_>, value: Span) {
        let from = Address::parse(text, value);
        self.set(field::CALLER, text, from.uri.user);
        self.set(field::FROM_HOST, text, from.uri.host);
        self.set(field::FROM_TAG, text, from.tag);
    }

    #[inline(always)]
    fn to(&mut self, text: &Text<'_>, value: Span) {
        let to = Address::parse(text, value);
        self.set(field::CALLEE, text, to.uri.user);
        self.set(field::TO_HOST, text, to.uri.host);
        self.set(field::TO_TAG, text, to.tag);
        self.address_of_record(text, &to.uri);
    }

    #[inline(always)]
    fn cseq(&mut self, text: &Text<'_>, value: Span) {
        self.set(field::CSEQ_METHOD, text, cseq_method(text, value));
    }

    #[inline(always)]
    fn content_type(&mut self, text: &Text<'_>, value: Span) {
        // The quick look spares most bodies the comparisons.
        self.body_may_be_a_message =
            matches!(text.at(value.begin), b'm' | b'M') && names_message(text.slice(value));
    }

    #[cold]
    #[inline(never)]
    fn authorization(&mut self, text: &Text<'_>, value: Span) {
        if self.fields.is_null(field::AUTHORIZATION) && !value.is_empty() {
            self.write(field::AUTHORIZATION, |out| {
                write_masked(text.slice(value), out);
            });
        }
    }

    /// Sets a field to text that has to be made.
    fn write(&mut self, field: usize, write: impl FnOnce(&mut Vec<u8>)) {
        let (origin, length) = self.custom.keep_written(write);
        self.fields.span(field, origin, 0, length);
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
            self.write(field::AOR, |out| {
                out.extend_from_slice(text.slice(uri.user));
                out.push(b'@');
                out.extend_from_slice(text.slice(uri.host));
            });
        }
    }

    /// Reads a line that may be a configured header.
    fn watched_line(&mut self, text: &Text<'_>, line: Span) {
        if !self.watched.may_begin_with(text.at(line.begin)) {
            return;
        }
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
                    self.put(field::CORRELATION, text, value);
                }
                Target::Custom { index } => {
                    if self.custom.is_null(index) {
                        let Span { begin, end } = value;
                        self.custom.span(index, text.origin, begin, end);
                    }
                }
                Target::Correlation { .. } => {}
            }
        }
    }

    /// Sets a field that has no value yet; an empty one says nothing.
    #[inline(always)]
    fn set(&mut self, field: usize, text: &Text<'_>, value: Span) {
        if !value.is_empty() && self.fields.is_null(field) {
            self.put(field, text, value);
        }
    }

    #[inline(always)]
    fn put(&mut self, field: usize, text: &Text<'_>, Span { begin, end }: Span) {
        self.fields.span(field, text.origin, begin, end);
    }
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
