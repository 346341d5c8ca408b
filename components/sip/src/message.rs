//! One message: its header lines, and how far it reaches.

use heplake_sdk::{Fields, Row};

use crate::authorization::write_masked;
use crate::configuration::{Target, Watched};
use crate::field;
use crate::header::{self, Header};
use crate::lines::Lines;
use crate::odd_lines::OddLines;
use crate::password::{self, Where};
use crate::start_line::{Kind, StartLine};
use crate::text::{LineEnds, SLACK, Span, Text};
use crate::uri::{Address, Uri};
use crate::user;
use crate::value::{cseq_method, number};
use crate::via::Via;

/// Reads one message into a row.
///
/// The loop over the lines leaves each value in a field and takes none apart: a loop without
/// calls keeps what it works with in registers, and has few branches to guess. What has to
/// be taken apart is so when all lines are read, or when a second line might count.
pub(crate) struct Reader<'r> {
    watched: &'r Watched,
    odd: &'r mut OddLines,
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
        odd: &'r mut OddLines,
        (fields, custom): (Fields<'r, { field::COUNT }>, Row<'r>),
    ) -> Self {
        Self {
            watched,
            odd,
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
            Kind::Request {
                method,
                uri,
                user,
                has_password,
            } => {
                self.set(field::METHOD, text, method);
                self.set(field::REQUEST_URI, text, uri);
                self.set_user(field::CALLEE, text, user);
                if has_password {
                    self.mask(field::REQUEST_URI, text, uri);
                }
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
            // CRLF alone, or the end of the text. A line without its end was cut short: who
            // knows how it went on.
            if line.is_empty()
                || line.end >= text.bytes.len()
                || line.length() == 1 && text.at(line.begin) == b'\r'
            {
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
        let mut unfolded = std::mem::take(&mut self.odd.unfolded);
        unfolded.clear();
        unfolded.extend_from_slice(text.slice(text.trimmed(first)));
        let mut line_ends = LineEnds::from(begin);
        while let b' ' | b'\t' = text.at(begin) {
            let newline = line_ends.next(text);
            unfolded.push(b' ');
            unfolded.extend_from_slice(text.slice(text.trimmed(Span::new(begin, newline))));
            if newline >= text.bytes.len() {
                // Cut short: none of the header is whole.
                self.odd.unfolded = unfolded;
                return newline;
            }
            begin = newline + 1;
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
        self.odd.unfolded = unfolded;
        begin
    }

    /// Reads one whole header.
    fn line(&mut self, text: &Text<'_>, line: Span) {
        if let Some((header, value)) = self.header(text, line)
            && !value.is_empty()
        {
            if self.fields.is_null(header.field()) {
                self.put(header.field(), text, value);
            } else if header.is_list() {
                self.another(header, text, value);
            } else if header.is_apart() {
                self.settle(text);
                self.take_apart(header, text, value);
            }
        }
        self.watched_line(text, line);
    }

    /// Takes the value of a further line of a list.
    #[cold]
    #[inline(never)]
    fn another(&mut self, header: Header, text: &Text<'_>, value: Span) {
        let field = header.field();
        if header == Header::VIA {
            self.settle(text);
            if self.fields.is_null(field) {
                // The lines before gave nothing.
                return self.take_apart(header, text, value);
            }
        }
        if !value.is_empty() {
            self.odd.add(field, text.slice(value));
        }
    }

    /// As [`line`](Self::line), of text that will not be there when all lines are read.
    fn folded_line(&mut self, text: &Text<'_>, line: Span) {
        if let Some((header, value)) = self.header(text, line) {
            self.take_apart(header, text, value);
        }
        self.watched_line(text, line);
    }

    /// The header of a line and its value, if that can be left for later.
    fn header(&mut self, text: &Text<'_>, line: Span) -> Option<(Header, Span)> {
        let (header, value) = Header::of(text, line)?;
        let value = text.trimmed(line.from(value));
        match header.is_at_once() {
            true => self.at_once(header, text, line, value),
            false => Some((header, value)),
        }
    }

    #[cold]
    #[inline(never)]
    fn at_once(
        &mut self,
        mut header: Header,
        text: &Text<'_>,
        line: Span,
        mut value: Span,
    ) -> Option<(Header, Span)> {
        if header == Header::LONG {
            let (long, begin) = Header::of_long(text, line)?;
            (header, value) = (long, text.trimmed(line.from(begin)));
        }
        if header.is_at_once() {
            self.authorization(text, value);
            return None;
        }
        Some((header, value))
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
        if header.is_list() && !self.fields.is_null(field) {
            return self.another(header, text, value);
        }
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
            self.settled(header, text, value);
        }
    }

    /// Does with a value that was taken apart before all lines are read what is done with the
    /// others at the end: its text may be gone by then.
    #[cold]
    #[inline(never)]
    fn settled(&mut self, header: Header, text: &Text<'_>, value: Span) {
        let field = header.field();
        if header.is_list() {
            self.odd.begin(field, text.slice(value));
        }
        if ADDRESSES & 1 << field != 0 {
            self.mask(field, text, value);
        }
    }

    /// Makes one value of all lines of each list that has more than one.
    #[cold]
    #[inline(never)]
    fn join(&mut self, text: &Text<'_>) {
        for field in 0..field::COUNT {
            if !self.odd.has_more(field) {
                continue;
            }
            let first = self.waiting(field, text).map(|first| text.slice(first));
            let place = match ADDRESSES & 1 << field {
                0 => None,
                _ => Some(Where::Addresses),
            };
            let odd = &*self.odd;
            let (origin, length) = self
                .custom
                .keep_written(|out| odd.write(field, first, place, out));
            self.fields.span(field, origin, 0, length);
            self.done |= 1 << field;
        }
        for index in 0..self.watched.custom_headers() {
            let field = field::COUNT + index;
            if self.odd.has_more(field) {
                let odd = &*self.odd;
                self.custom.written(index, |out| {
                    odd.write(field, None, Some(Where::Anything), out)
                });
            }
        }
        self.odd.clear();
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
        if !self.odd.is_empty() {
            self.join(text);
        }
        if let Some(contact) = self.waiting(field::CONTACT, text)
            && !password::is_free(text, contact)
        {
            self.mask(field::CONTACT, text, contact);
        }
        for field in RARE_ADDRESSES {
            if let Some(value) = self.waiting(field, text) {
                self.mask(field, text, value);
            }
        }
    }

    /// Leaves the passwords out of a field that holds a value.
    #[cold]
    #[inline(never)]
    fn mask(&mut self, field: usize, text: &Text<'_>, value: Span) {
        let place = match field {
            field::X_CALL_ID => Where::Anything,
            _ => Where::Addresses,
        };
        let value = text.slice(value);
        if password::is_in(value, place) {
            self.write(field, |out| password::write_masked(value, place, out));
        }
    }

    #[inline(always)]
    fn via(&mut self, text: &Text<'_>, value: Span) {
        let Via { top, branch } = Via::parse(text, value);
        if !top.is_empty() {
            self.set(field::VIA, text, value);
            self.set(field::BRANCH, text, branch);
        }
    }

    #[inline(always)]
    fn from(&mut self, text: &Text<'_>, value: Span) {
        let from = Address::parse(text, value);
        if self.set_user(field::CALLER, text, from.uri.user) {
            self.set_uri(field::FROM_URI, text, value);
        }
        self.set(field::FROM_HOST, text, from.uri.host);
        self.set(field::FROM_TAG, text, from.tag);
    }

    #[inline(always)]
    fn to(&mut self, text: &Text<'_>, value: Span) {
        let to = Address::parse(text, value);
        if is_sent_plain(text, to.uri.user) {
            self.set(field::CALLEE, text, to.uri.user);
            self.address_of_record(text, &to.uri);
        } else {
            self.odd_to(text, &to.uri, value);
        }
        self.set(field::TO_HOST, text, to.uri.host);
        self.set(field::TO_TAG, text, to.tag);
    }

    /// Sets a field to a user, which may have parameters or escapes. Says whether it had.
    #[inline(always)]
    fn set_user(&mut self, field: usize, text: &Text<'_>, user: Span) -> bool {
        if is_sent_plain(text, user) {
            self.set(field, text, user);
            return false;
        }
        self.set_odd_user(field, text, user)
    }

    #[cold]
    #[inline(never)]
    fn set_odd_user(&mut self, field: usize, text: &Text<'_>, user: Span) -> bool {
        let sent = text.slice(user);
        let plain = user::plain(sent);
        if self.fields.is_null(field) {
            self.write(field, |out| out.extend_from_slice(&plain));
        }
        *plain != *sent
    }

    /// Sets what is taken from a To whose user may have parameters or escapes.
    #[cold]
    #[inline(never)]
    fn odd_to(&mut self, text: &Text<'_>, uri: &Uri, value: Span) {
        if self.set_odd_user(field::CALLEE, text, uri.user) {
            self.set_uri(field::TO_URI, text, value);
        }
        if self.fields.is_null(field::AOR) {
            let user = user::plain(text.slice(uri.user));
            let host = text.slice(uri.host);
            self.write(field::AOR, |out| write_user_at_host(&user, host, out));
        }
    }

    /// Sets a field to the URI of an address as sent, but for a password in it.
    #[cold]
    #[inline(never)]
    fn set_uri(&mut self, field: usize, text: &Text<'_>, value: Span) {
        let uri = Address::uri(text, value);
        self.set(field, text, uri);
        self.mask(field, text, uri);
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
            let (user, host) = (text.slice(uri.user), text.slice(uri.host));
            self.write(field::AOR, |out| write_user_at_host(user, host, out));
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
                    let value = text.slice(value);
                    if password::is_in(value, Where::Anything) {
                        self.write(field::CORRELATION, |out| {
                            password::write_masked(value, Where::Anything, out);
                        });
                    }
                }
                Target::Custom { index, is_list } => self.custom_line(index, is_list, text, value),
                Target::Correlation { .. } => {}
            }
        }
    }

    fn custom_line(&mut self, index: usize, is_list: bool, text: &Text<'_>, value: Span) {
        let field = field::COUNT + index;
        let bytes = text.slice(value);
        if !self.custom.is_null(index) {
            if is_list {
                self.odd.add(field, bytes);
            }
            return;
        }
        if password::is_in(bytes, Where::Anything) {
            self.custom.written(index, |out| {
                password::write_masked(bytes, Where::Anything, out);
            });
        } else {
            self.custom.span(index, text.origin, value.begin, value.end);
        }
        if is_list {
            self.odd.begin(field, bytes);
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

/// The fields that hold addresses, a bit for each: a password may be in them.
const ADDRESSES: u64 = {
    let mut fields = 1 << field::CONTACT;
    let mut at = 0;
    while at < RARE_ADDRESSES.len() {
        fields |= 1 << RARE_ADDRESSES[at];
        at += 1;
    }
    fields
};

/// Those that few messages have, and X-Call-ID, which may hold anything.
const RARE_ADDRESSES: [usize; 4] = [
    field::P_ASSERTED_IDENTITY,
    field::REMOTE_PARTY_ID,
    field::DIVERSION,
    field::X_CALL_ID,
];

/// Whether a user as sent is the user: it has neither parameters nor escapes.
#[inline(always)]
fn is_sent_plain(text: &Text<'_>, user: Span) -> bool {
    text.find(user, [b';', b'%']) == user.end
}

/// Writes an address of record.
fn write_user_at_host(user: &[u8], host: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(user);
    if !user.is_empty() && !host.is_empty() {
        out.push(b'@');
    }
    out.extend_from_slice(host);
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
