//! The header lines of a message, of which most are alike.

use heplake_sdk::Fields;

use crate::field;
use crate::header::Header;
use crate::text::{LineEnds, Span, Text};

/// Where the reading of header lines has come to.
#[derive(Debug)]
pub(crate) struct Lines {
    /// Where the line in hand begins.
    begin: usize,
    ends: LineEnds,
}

impl Lines {
    /// Those from a place on.
    #[inline(always)]
    pub(crate) fn from(begin: usize) -> Self {
        Self {
            begin,
            ends: LineEnds::from(begin),
        }
    }

    /// Reads lines as long as each is known by its first letters or no header that is
    /// extracted, ends with CRLF, has one blank or none before its value and none behind it,
    /// is not folded, fills a field that is empty, and is not `watched` by its first letter.
    /// Says where the first of the others begins and ends, which is then taken as read.
    ///
    /// A loop without calls keeps what it works with in registers.
    #[inline(never)]
    pub(crate) fn read_plain(
        &mut self,
        text: &Text<'_>,
        fields: &mut Fields<'_, { field::COUNT }>,
        watched: u32,
    ) -> Span {
        let text = *text;
        let (mut begin, mut ends) = (self.begin, self.ends);
        let newline = loop {
            // Twice, since a loop begins with a look at the deadline in the sandbox.
            if let Some(newline) = plain_line(&text, fields, watched, &mut begin, &mut ends) {
                break newline;
            }
            if let Some(newline) = plain_line(&text, fields, watched, &mut begin, &mut ends) {
                break newline;
            }
        };
        let line = Span::new(begin, newline);
        self.begin = newline + 1;
        self.ends = ends;
        line
    }

    /// Where the line in hand begins.
    #[inline(always)]
    pub(crate) fn begin(&self) -> usize {
        self.begin
    }

    /// Goes to another line than the next.
    pub(crate) fn skip_to(&mut self, begin: usize) {
        if begin != self.begin {
            *self = Self::from(begin);
        }
    }
}

/// Reads one line, unless it is none of the plain ones: then says where it ends.
#[inline(always)]
fn plain_line(
    text: &Text<'_>,
    fields: &mut Fields<'_, { field::COUNT }>,
    watched: u32,
    begin: &mut usize,
    ends: &mut LineEnds,
) -> Option<usize> {
    const CARRIAGE_RETURN: u32 = 0x0d << 8;
    /// Bits that neither a blank nor a tab has, but all letters have some of.
    const NO_BLANK: u32 = 0xd6 << 24;
    let newline = ends.next(text);
    if newline >= text.bytes.len() {
        return Some(text.bytes.len());
    }
    let around = text.around(newline);
    if around as u8 <= b' ' || around & 0xff00 != CARRIAGE_RETURN || around & NO_BLANK == 0 {
        return Some(newline);
    }
    let head = text.words(*begin);
    if watched & 1 << (head[0] as u8 & 31) != 0 {
        return Some(newline);
    }
    match Header::by_start(head) {
        Ok(Some((header, length))) => {
            let value = *begin + length + 1;
            let value = match text.pair(value) {
                [b' ', next] if next > b' ' => value + 1,
                [first, _] if first > b' ' => value,
                _ => return Some(newline),
            };
            if header.is_at_once() {
                return Some(newline);
            }
            if fields.is_null(header.field()) {
                fields.span(header.field(), text.origin, value, newline - 1);
            } else if header.is_apart() {
                return Some(newline);
            }
        }
        Ok(None) => {}
        Err(_) => return Some(newline),
    }

    *begin = newline + 1;
    None
}
