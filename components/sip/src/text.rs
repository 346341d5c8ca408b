//! Bytes, looked at sixteen at a time.
//!
//! Header lines and the values in them are short, so what a search costs is how it begins
//! and ends. Everything here works on places in the whole payload rather than on slices of
//! it: near the end of a value there are bytes to load behind it, and what is found there is
//! no find.

use heplake_sdk::Origin;
use wide::u8x16;

/// Octets of a block.
const BLOCK: usize = 16;
/// Blocks that line ends are looked for in at once.
const BLOCKS: usize = 4;
/// Octets of these blocks.
const WINDOW: usize = BLOCK * BLOCKS;

/// Bytes that have to follow a text. To ask at each load whether they are there, and to do
/// something about it, would cost the registers of every search.
pub(crate) const SLACK: usize = 2 * WINDOW;

/// A part of a [`Text`], by places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) begin: usize,
    pub(crate) end: usize,
}

/// A payload, or a header whose lines were joined.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Text<'a> {
    pub(crate) bytes: &'a [u8],
    /// The same, and [`SLACK`] bytes or more that follow: a block is loaded whole near the
    /// end, and what is found behind it counts for nothing.
    pub(crate) ahead: &'a [u8],
    /// What cells say of where it is.
    pub(crate) origin: Origin,
}

impl Span {
    #[inline(always)]
    pub(crate) fn new(begin: usize, end: usize) -> Self {
        Self { begin, end }
    }

    #[inline(always)]
    pub(crate) fn is_empty(self) -> bool {
        self.begin >= self.end
    }

    /// Without what is before `begin`.
    #[inline(always)]
    pub(crate) fn from(self, begin: usize) -> Self {
        Self { begin, ..self }
    }

    /// Without what is after `end`.
    #[inline(always)]
    pub(crate) fn to(self, end: usize) -> Self {
        Self { end, ..self }
    }

    #[inline(always)]
    pub(crate) fn length(self) -> usize {
        self.end - self.begin
    }
}

impl<'a> Text<'a> {
    /// The bytes of a part.
    #[inline]
    pub(crate) fn slice(&self, span: Span) -> &'a [u8] {
        self.bytes.get(span.begin..span.end).unwrap_or_default()
    }

    /// The byte at a place; zero behind the end.
    #[inline(always)]
    pub(crate) fn at(&self, place: usize) -> u8 {
        self.bytes.get(place).copied().unwrap_or(0)
    }

    /// Whether a part begins with this byte.
    #[inline(always)]
    pub(crate) fn starts(&self, span: Span, byte: u8) -> bool {
        span.begin < span.end && self.at(span.begin) == byte
    }

    /// Eight bytes from a place, the first lowest; anything may stand behind the end.
    #[inline(always)]
    pub(crate) fn word(&self, place: usize) -> u64 {
        self.chunk(place)
            .map_or(0, |bytes| u64::from_le_bytes(*bytes))
    }

    /// The next sixteen as two words.
    #[inline(always)]
    pub(crate) fn words(&self, place: usize) -> [u64; 2] {
        let both = self
            .chunk(place)
            .map_or(0, |bytes| u128::from_le_bytes(*bytes));
        [both as u64, (both >> 64) as u64]
    }

    #[inline(always)]
    fn block(&self, place: usize) -> u8x16 {
        self.chunk(place)
            .map_or(u8x16::ZERO, |bytes| u8x16::new(*bytes))
    }

    /// The next 64.
    #[inline(always)]
    pub(crate) fn window(&self, place: usize) -> Window {
        let chunk: Option<&[u8; WINDOW]> = self.chunk(place);
        Window(chunk.map_or([u8x16::ZERO; BLOCKS], |window| {
            let (blocks, _) = window.as_chunks::<BLOCK>();
            std::array::from_fn(|number| u8x16::new(blocks[number]))
        }))
    }

    /// Bytes from a place on; there are always some, since places are within the text.
    #[inline(always)]
    fn chunk<const N: usize>(&self, place: usize) -> Option<&'a [u8; N]> {
        const { assert!(N <= SLACK, "loads more than there is behind the end") };
        // The mask changes no place, and says that the sum does not overflow: the check is
        // one comparison instead of two.
        let place = place & (usize::MAX >> 1);
        let chunk = self.ahead.get(place..place + N);
        chunk.and_then(<[u8]>::first_chunk)
    }

    /// The first place in a part with one of these bytes, else its end.
    #[inline(always)]
    pub(crate) fn find<const N: usize>(&self, span: Span, needles: [u8; N]) -> usize {
        self.find_by(span, |block| {
            needles.iter().fold(u8x16::ZERO, |found, needle| {
                found | block.simd_eq(u8x16::splat(*needle))
            })
        })
    }

    /// The first place in a part where `matches` has all bits set, else its end.
    #[inline(always)]
    fn find_by(&self, span: Span, matches: impl Fn(u8x16) -> u8x16) -> usize {
        // Most finds are in the first two blocks. A loop would begin and go on with a look
        // at the deadline in the sandbox, and hold registers for it.
        let mut at = span.begin;
        for _ in 0..2 {
            if at >= span.end {
                return span.end;
            }
            let found = matches(self.block(at)).to_bitmask();
            if found != 0 {
                return (at + found.trailing_zeros() as usize).min(span.end);
            }
            at += BLOCK;
        }
        self.find_far(span.from(at), matches)
    }

    #[inline(never)]
    fn find_far(&self, span: Span, matches: impl Fn(u8x16) -> u8x16) -> usize {
        let mut at = span.begin;
        while at < span.end {
            let found = matches(self.block(at)).to_bitmask();
            if found != 0 {
                return (at + found.trailing_zeros() as usize).min(span.end);
            }
            at += BLOCK;
        }
        span.end
    }

    /// Where the host of a URI ends: at one of `:;?>,`, a blank or a tab.
    #[inline(always)]
    pub(crate) fn find_host_end(&self, span: Span) -> usize {
        self.find_by(span, ends_host)
    }

    /// Where, in sixteen bytes from a place on, digits end, and where the upper-case letters
    /// that begin behind the next byte do.
    #[inline(always)]
    pub(crate) fn number_and_word(&self, place: usize) -> [usize; 2] {
        let block = self.block(place);
        let among = |least: u8, most: u8| {
            let block = block.max(u8x16::splat(least)).simd_eq(block)
                & block.min(u8x16::splat(most)).simd_eq(block);
            u32::from(block.to_bitmask() as u16)
        };
        let number_end = (!among(b'0', b'9')).trailing_zeros();
        let behind = u32::MAX << number_end << 1;
        let word_end = (!among(b'A', b'Z') & behind).trailing_zeros();
        [number_end as usize, word_end as usize]
    }

    /// Where the digits that a part begins with end.
    #[inline(always)]
    pub(crate) fn find_number_end(&self, span: Span) -> usize {
        self.find_by(span, |block| {
            let digits = block.max(u8x16::splat(b'0')).simd_eq(block)
                & block.min(u8x16::splat(b'9')).simd_eq(block);
            !digits
        })
    }

    /// Where the token that begins a part ends (RFC 3261 section 25.1). Methods, which are
    /// what is asked for, are upper-case letters as a rule.
    #[inline(always)]
    pub(crate) fn find_token_end(&self, span: Span) -> usize {
        let at = self.find_by(span, |block| {
            let upper = block.max(u8x16::splat(b'A')).simd_eq(block)
                & block.min(u8x16::splat(b'Z')).simd_eq(block);
            !upper
        });
        match at < span.end && is_token(self.at(at)) {
            true => self.find_token_end_bytewise(span.from(at)),
            false => at,
        }
    }

    #[inline(never)]
    fn find_token_end_bytewise(&self, span: Span) -> usize {
        let token = self.slice(span).iter().take_while(|byte| is_token(**byte));
        span.begin + token.count()
    }

    /// Without blanks around. Cheaper than for all ASCII white space, and a value has no
    /// line ends but a stray CR. A part that begins behind its end is empty.
    #[inline(always)]
    pub(crate) fn trimmed(&self, span: Span) -> Span {
        // Most values have one blank before them and none behind.
        if let Some([b' ', first, .., last]) = self.bytes.get(span.begin..span.end)
            && *first > b' '
            && *last > b' '
        {
            return span.from(span.begin + 1);
        }
        self.trimmed_bytewise(span)
    }

    /// Without blanks before; there is one as a rule.
    #[inline(always)]
    pub(crate) fn trimmed_start(&self, span: Span) -> Span {
        match self.pair(span.begin) {
            [b' ', next] if next > b' ' && span.begin < span.end => span.from(span.begin + 1),
            [first, _] if first > b' ' => span,
            _ => self.trimmed_bytewise(span),
        }
    }

    /// Two bytes from a place; anything may stand behind the end.
    #[inline(always)]
    pub(crate) fn pair(&self, place: usize) -> [u8; 2] {
        self.chunk(place).copied().unwrap_or_default()
    }

    /// The two bytes before a line feed, itself, and the one after it, the first lowest.
    #[inline(always)]
    pub(crate) fn around(&self, newline: usize) -> u32 {
        self.chunk(newline.wrapping_sub(2))
            .map_or(0, |bytes| u32::from_le_bytes(*bytes))
    }

    /// Without blanks behind.
    #[inline(always)]
    pub(crate) fn trimmed_end(&self, span: Span) -> Span {
        match self.bytes.get(span.begin..span.end) {
            Some([.., last]) if *last > b' ' => span,
            _ => self.trimmed_bytewise(span),
        }
    }

    #[inline(never)]
    fn trimmed_bytewise(&self, span: Span) -> Span {
        let begin = span.begin.min(span.end);
        let bytes = self.slice(span.from(begin));
        let before = bytes.iter().take_while(|byte| is_blank(**byte)).count();
        let rest = bytes.get(before..).unwrap_or_default();
        let behind = rest.iter().rev().take_while(|byte| is_blank(**byte));
        Span::new(begin + before, begin + bytes.len() - behind.count())
    }
}

#[inline(always)]
fn ends_host(block: u8x16) -> u8x16 {
    // These four differ in bits 0 and 2 only.
    let colons_and_marks = (block | u8x16::splat(0x05)).simd_eq(u8x16::splat(0x3f));
    colons_and_marks
        | block.simd_eq(u8x16::splat(b','))
        | block.simd_eq(u8x16::splat(b' '))
        | block.simd_eq(u8x16::splat(b'\t'))
}

/// As many bytes as a word has bits: what is asked of them is answered with a bit for each,
/// the first lowest. Several questions of a value are cheaper so than searches one after
/// the other, whose ends no processor guesses.
#[derive(Clone, Copy)]
pub(crate) struct Window([u8x16; BLOCKS]);

impl Window {
    pub(crate) const LENGTH: usize = WINDOW;

    /// Which are this byte.
    #[inline(always)]
    pub(crate) fn marks(&self, byte: u8) -> u64 {
        self.marks_by(|block| block.simd_eq(u8x16::splat(byte)))
    }

    /// Which are blanks or control characters.
    #[inline(always)]
    pub(crate) fn blanks(&self) -> u64 {
        self.marks_by(|block| block.min(u8x16::splat(b' ')).simd_eq(block))
    }

    /// Which are either of these.
    #[inline(always)]
    pub(crate) fn marks_of(&self, one: u8, other: u8) -> u64 {
        self.marks_by(|block| block.simd_eq(u8x16::splat(one)) | block.simd_eq(u8x16::splat(other)))
    }

    /// Which end a host: see [`Text::find_host_end`].
    #[inline(always)]
    pub(crate) fn host_ends(&self) -> u64 {
        self.marks_by(ends_host)
    }

    #[inline(always)]
    fn marks_by(&self, matches: impl Fn(u8x16) -> u8x16) -> u64 {
        let mut marks = 0;
        for (number, block) in self.0.iter().enumerate() {
            let found = matches(*block).to_bitmask();
            marks |= u64::from(found) << (number * BLOCK);
        }
        marks
    }
}

/// Finds line feeds, many at a time: the lines of a message are read in turn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LineEnds {
    /// From where no line feed has been looked for.
    ahead: usize,
    /// Bit `n` is set for a line feed at `n` bytes before that, counted from a window back.
    mask: u64,
}

impl LineEnds {
    /// Those from a place on.
    #[inline(always)]
    pub(crate) fn from(ahead: usize) -> Self {
        Self { ahead, mask: 0 }
    }

    /// The place of the next line feed, or the end of the text.
    #[inline(always)]
    pub(crate) fn next(&mut self, text: &Text<'_>) -> usize {
        if self.mask == 0 && self.ahead < text.bytes.len() {
            self.mask = text.window(self.ahead).marks(b'\n');
            self.ahead += WINDOW;
        }
        // A loop begins with a look at the deadline in the sandbox, and few lines are long.
        while self.mask == 0 && self.ahead < text.bytes.len() {
            self.mask = text.window(self.ahead).marks(b'\n');
            self.ahead += WINDOW;
        }
        // No line feed at all gives a place behind the end.
        let place = self.ahead + self.mask.trailing_zeros() as usize - WINDOW;
        self.mask &= self.mask.wrapping_sub(1);
        place.min(text.bytes.len())
    }
}

#[inline(always)]
fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r')
}

/// RFC 3261 section 25.1, `token`.
#[inline(always)]
pub(crate) fn is_token(byte: u8) -> bool {
    const TOKENS: [bool; 256] = {
        let mut tokens = [false; 256];
        let mut byte = 0;
        while byte < 256 {
            tokens[byte] = (byte as u8).is_ascii_alphanumeric()
                || matches!(
                    byte as u8,
                    b'-' | b'.' | b'!' | b'%' | b'*' | b'_' | b'+' | b'`' | b'\'' | b'~'
                );
            byte += 1;
        }
        tokens
    };
    TOKENS[usize::from(byte)]
}
