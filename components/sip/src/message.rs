//! One message: its header lines, and how far it reaches.

use heplake_sdk::Row;

use crate::authorization::write_masked;
use crate::configuration::{Target, Watched};
use crate::field;
use crate::header::{self, Header};
use crate::start_line::{Kind, StartLine, line_of};
use crate::uri::{Address, Uri};
use crate::value::{first_of_list, parameter, split_at_byte, trimmed};

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
    pub(crate) fn read(mut self, item: &[u8], start_line: &StartLine<'_>) -> Extent {
        match start_line.kind {
            Kind::Request { method, uri } => {
                self.row.text(field::METHOD, method);
                self.row.text(field::REQUEST_URI, uri);
                self.text(field::CALLEE, Uri::parse(uri).user);
            }
            Kind::Response { code, reason } => {
                self.row.text(field::RESPONSE_CODE, code);
                self.text(field::RESPONSE_REASON, reason);
            }
        }
        let body = self.headers(item, start_line.end);
        Extent {
            body,
            content_length: self.content_length,
            body_may_be_a_message: self.body_may_be_a_message,
        }
    }

    /// Reads header lines from `begin` to the empty line, and says where the body begins.
    fn headers(&mut self, item: &[u8], mut begin: usize) -> usize {
        while let Some(rest) = item.get(begin..).filter(|rest| !rest.is_empty()) {
            let (line, length) = line_of(rest);
            begin += length;
            if line.is_empty() {
                break;
            }
            if let Some(b' ' | b'\t') = item.get(begin) {
                begin = self.folded(line, item, begin);
            } else {
                self.line(line);
            }
        }
        begin
    }

    /// Reads a line that goes on at `begin`, and says where the next begins. A line end
    /// and the blanks after it become one blank (RFC 3261 section 7.3.1).
    fn folded(&mut self, first: &[u8], item: &[u8], mut begin: usize) -> usize {
        let mut unfolded = std::mem::take(self.unfolded);
        unfolded.clear();
        unfolded.extend_from_slice(trimmed(first));
        while let Some(rest @ [b' ' | b'\t', ..]) = item.get(begin..) {
            let (line, length) = line_of(rest);
            unfolded.push(b' ');
            unfolded.extend_from_slice(trimmed(line));
            begin += length;
        }
        self.line(&unfolded);
        *self.unfolded = unfolded;
        begin
    }

    /// Reads one whole header.
    #[inline]
    fn line(&mut self, line: &[u8]) {
        if let Some((header, value)) = Header::of(line) {
            self.header(header, trimmed(value));
        }
        if line
            .first()
            .is_some_and(|first| self.watched.may_begin_with(*first))
        {
            self.watched_line(line);
        }
    }

    fn header(&mut self, header: Header, value: &[u8]) {
        match header {
            Header::Plain(field) => self.text(field, value),
            Header::Via if self.row.is_null(field::VIA) => {
                let top = first_of_list(value);
                self.text(field::VIA, top);
                if let Some((_, parameters)) = split_at_byte(top, b';') {
                    self.text(
                        field::BRANCH,
                        parameter(parameters, b"branch").unwrap_or(&[]),
                    );
                }
            }
            Header::From
                if self.row.is_null(field::FROM_HOST) && self.row.is_null(field::CALLER) =>
            {
                let from = Address::parse(value);
                self.text(field::CALLER, from.uri.user);
                self.text(field::FROM_HOST, from.uri.host);
                self.text(field::FROM_TAG, from.tag().unwrap_or(&[]));
            }
            Header::To if self.row.is_null(field::AOR) => {
                let to = Address::parse(value);
                self.text(field::CALLEE, to.uri.user);
                self.text(field::TO_HOST, to.uri.host);
                self.text(field::TO_TAG, to.tag().unwrap_or(&[]));
                self.address_of_record(&to.uri);
            }
            Header::CSeq if self.row.is_null(field::CSEQ) => {
                self.text(field::CSEQ, value);
                let digits = value
                    .iter()
                    .take_while(|byte| byte.is_ascii_digit())
                    .count();
                let method = trimmed(value.get(digits..).unwrap_or_default());
                let end = method
                    .iter()
                    .take_while(|byte| header::is_token(**byte))
                    .count();
                self.text(field::CSEQ_METHOD, method.get(..end).unwrap_or_default());
            }
            Header::ContentLength if self.row.is_null(field::CONTENT_LENGTH) => {
                self.text(field::CONTENT_LENGTH, value);
                self.content_length = std::str::from_utf8(value)
                    .ok()
                    .and_then(|digits| digits.parse().ok());
            }
            Header::ContentType if self.row.is_null(field::CONTENT_TYPE) => {
                self.text(field::CONTENT_TYPE, value);
                // The quick look spares most bodies the comparisons.
                self.body_may_be_a_message = matches!(value, [b'm' | b'M', ..])
                    && [&b"message/"[..], b"multipart/"].iter().any(|kind| {
                        let start = value.get(..kind.len());
                        start.is_some_and(|start| start.eq_ignore_ascii_case(kind))
                    });
            }
            Header::Authorization
                if self.row.is_null(field::AUTHORIZATION) && !value.is_empty() =>
            {
                self.row
                    .written(field::AUTHORIZATION, |out| write_masked(value, out));
            }
            // Doubled: the first counts.
            _ => {}
        }
    }

    fn address_of_record(&mut self, uri: &Uri<'_>) {
        match (uri.user, uri.host, uri.user_at_host) {
            ([], host, _) => self.text(field::AOR, host),
            (user, [], _) => self.text(field::AOR, user),
            (_, _, Some(user_at_host)) => self.text(field::AOR, user_at_host),
            (user, host, None) => self.row.written(field::AOR, |out| {
                out.extend_from_slice(user);
                out.push(b'@');
                out.extend_from_slice(host);
            }),
        }
    }

    /// Reads a line that may be a configured header.
    fn watched_line(&mut self, line: &[u8]) {
        let Some((name, value)) = header::split(line) else {
            return;
        };
        if value.is_empty() {
            return;
        }
        for target in self.watched.targets(name) {
            match target {
                Target::Correlation { rank } if rank < self.correlation_rank => {
                    self.correlation_rank = rank;
                    self.row.text(field::CORRELATION, value);
                }
                Target::Custom { field } => self.text(field, value),
                Target::Correlation { .. } => {}
            }
        }
    }

    /// Sets a field that has no value yet; an empty one says nothing.
    #[inline]
    fn text(&mut self, field: usize, value: &[u8]) {
        if !value.is_empty() && self.row.is_null(field) {
            self.row.text(field, value);
        }
    }
}

impl Extent {
    /// The start line of the next message in the item, if there is one.
    ///
    /// Content-Length is believed where the item ends or a message begins. Where it is
    /// missing or wrong, a line that reads as a start line with a header below begins the
    /// next message, unless the body may be a message itself.
    #[inline]
    pub(crate) fn next_message<'a>(&self, item: &'a [u8]) -> Option<StartLine<'a>> {
        let body_length = item.len() - self.body;
        if body_length == 0 || self.content_length == Some(body_length) {
            return None;
        }
        self.search(item)
    }

    #[cold]
    fn search<'a>(&self, item: &'a [u8]) -> Option<StartLine<'a>> {
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
            if let Some(next) = StartLine::at(item, end + filler) {
                return Some(next);
            }
        }
        if self.body_may_be_a_message {
            return None;
        }
        StartLine::next_with_header(item, self.body)
    }
}
