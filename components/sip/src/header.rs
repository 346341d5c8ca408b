//! Header lines and their names.

use crate::field;
use crate::text::{Span, Text};

/// A header whose value is extracted: the field that the value goes to as it is, or one of
/// those that are taken apart. A number, so that most lines are told by one comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header(u8);

impl Header {
    pub(crate) const AUTHORIZATION: Self = Self(FIRST_APART);
    pub(crate) const CSEQ: Self = Self(FIRST_APART + 1);
    pub(crate) const CONTENT_LENGTH: Self = Self(FIRST_APART + 2);
    pub(crate) const CONTENT_TYPE: Self = Self(FIRST_APART + 3);
    pub(crate) const FROM: Self = Self(FIRST_APART + 4);
    pub(crate) const TO: Self = Self(FIRST_APART + 5);
    pub(crate) const VIA: Self = Self(FIRST_APART + 6);
    /// One whose name has more than sixteen letters: the first are compared.
    pub(crate) const LONG: Self = Self(FIRST_APART + 7);

    /// One whose value goes to `field` as it is.
    const fn plain(field: usize) -> Self {
        assert!(field < FIRST_APART as usize, "more fields than numbers");
        Self(field as u8)
    }

    /// The field that the value goes to as it is.
    #[inline(always)]
    pub(crate) fn field(self) -> Option<usize> {
        (self.0 < FIRST_APART).then_some(usize::from(self.0))
    }
}

/// The first number of a header that is taken apart.
const FIRST_APART: u8 = 128;

/// A name that is looked for.
#[derive(Clone, Copy)]
struct Known {
    /// Its first eight letters as a word, the first lowest.
    start: u64,
    /// Its next eight, with the colon if it follows; a mask for them; bit 5 of the letters.
    rest: u64,
    rest_mask: u64,
    rest_lower: u64,
    length: usize,
    header: Header,
    /// The slot of another name that begins with the same eight letters, else its own.
    next: usize,
}

impl Header {
    /// The header of a line, and where its value begins.
    ///
    /// `head` is the first sixteen bytes of the line, which tell most names apart: the first
    /// eight are the key of a table without collisions. Bit 5 set makes letters lower-case
    /// and changes no hyphen, colon or blank.
    #[inline(always)]
    pub(crate) fn of(text: &Text<'_>, line: Span, head: [u64; 2]) -> Option<(Self, usize)> {
        let [word, rest] = head;
        let word = word | LOWER;
        let colons = word ^ repeat(b':');
        // The lowest byte that is zero: the only one that this trick is exact about.
        let found = colons.wrapping_sub(repeat(1)) & !colons & repeat(0x80);
        // All bytes before it; all eight if there is none.
        let name = word & ((found & found.wrapping_neg()) >> 7).wrapping_sub(1);
        let mut known = &TABLE[slot(name, MULTIPLIER)];
        if known.start == name {
            if !known.goes_on_with(rest) {
                known = &TABLE[known.next % SLOTS];
            }
            if known.goes_on_with(rest) {
                return Some((known.header, line.begin + known.length + 1));
            }
        } else if !has_blank(name) {
            return None;
        }
        Some((
            Self::of_loose(text, line, known.start == name)?,
            value_begin(text, line),
        ))
    }

    /// By a name that has blanks before its colon, compared with all names of more, or
    /// less, than seven letters.
    #[cold]
    #[inline(never)]
    fn of_loose(text: &Text<'_>, line: Span, long: bool) -> Option<Self> {
        let name = name(text, line)?;
        if long && !matches!(text.at(line.begin + name.len()), b' ' | b'\t' | b':') {
            return None;
        }
        let (_, header) = NAMES
            .iter()
            .find(|(known, _)| (known.len() >= WORD) == long && is_same(name, known))?;
        Some(*header)
    }

    /// The header of a line whose name begins as one with more than sixteen letters.
    #[cold]
    #[inline(never)]
    pub(crate) fn of_long(text: &Text<'_>, line: Span) -> Option<(Self, usize)> {
        Some((Self::of_loose(text, line, true)?, value_begin(text, line)))
    }
}

impl Known {
    #[inline(always)]
    fn goes_on_with(&self, rest: u64) -> bool {
        (rest | self.rest_lower) & self.rest_mask == self.rest
    }
}

/// Whether a name is a lower-case one once bit 5 is set.
fn is_same(name: &[u8], lower: &[u8]) -> bool {
    let mut both = name.iter().zip(lower);
    name.len() == lower.len() && both.all(|(byte, lower)| byte | 0x20 == *lower)
}

/// All names, in lower case.
const NAMES: &[(&[u8], Header)] = &[
    (b"via", Header::VIA),
    (b"v", Header::VIA),
    (b"from", Header::FROM),
    (b"f", Header::FROM),
    (b"to", Header::TO),
    (b"t", Header::TO),
    (b"call-id", Header::plain(field::CALL_ID)),
    (b"i", Header::plain(field::CALL_ID)),
    (b"cseq", Header::CSEQ),
    (b"contact", Header::plain(field::CONTACT)),
    (b"m", Header::plain(field::CONTACT)),
    (b"content-length", Header::CONTENT_LENGTH),
    (b"l", Header::CONTENT_LENGTH),
    (b"content-type", Header::CONTENT_TYPE),
    (b"c", Header::CONTENT_TYPE),
    (b"expires", Header::plain(field::EXPIRES)),
    (b"reason", Header::plain(field::REASON)),
    (b"server", Header::plain(field::SERVER)),
    (b"max-forwards", Header::plain(field::MAX_FORWARDS)),
    (b"user-agent", Header::plain(field::USER_AGENT)),
    (b"authorization", Header::AUTHORIZATION),
    (b"proxy-authorization", Header::AUTHORIZATION),
    (
        b"p-asserted-identity",
        Header::plain(field::P_ASSERTED_IDENTITY),
    ),
    (b"remote-party-id", Header::plain(field::REMOTE_PARTY_ID)),
    (b"diversion", Header::plain(field::DIVERSION)),
    (b"session-id", Header::plain(field::SESSION_ID_HEADER)),
    (b"x-call-id", Header::plain(field::X_CALL_ID)),
];

/// Slots of the table: enough that a multiplier without collisions is found soon.
const SLOTS: usize = 128;

/// Gives each start of a name a slot of its own.
const MULTIPLIER: u64 = multiplier();

static TABLE: [Known; SLOTS] = table();

#[inline(always)]
const fn slot(start: u64, multiplier: u64) -> usize {
    (start.wrapping_mul(multiplier) >> (u64::BITS - SLOTS.ilog2())) as usize
}

/// Tries multipliers until one has no collisions.
const fn multiplier() -> u64 {
    // The golden ratio, and the multiplier of Knuth's MMIX.
    let mut multiplier: u64 = 0x9e37_79b9_7f4a_7c15;
    loop {
        let mut taken = [0; SLOTS];
        let mut collides = false;
        let mut at = 0;
        while at < NAMES.len() {
            let start = word(NAMES[at].0, 0);
            let slot = slot(start, multiplier);
            collides |= taken[slot] != 0 && taken[slot] != start;
            taken[slot] = start;
            at += 1;
        }
        if !collides {
            return multiplier;
        }
        multiplier = multiplier.wrapping_mul(0x5851_f42d_4c95_7f2d) | 1;
    }
}

const fn table() -> [Known; SLOTS] {
    // No line begins with a zero once bit 5 is set.
    const NONE: Known = Known {
        start: 0,
        rest: 0,
        rest_mask: 0,
        rest_lower: 0,
        length: 0,
        header: Header::LONG,
        next: 0,
    };
    let mut table = [NONE; SLOTS];
    let mut at = 0;
    while at < NAMES.len() {
        let first = slot(word(NAMES[at].0, 0), MULTIPLIER);
        if table[first].start == 0 {
            table[first] = known(NAMES[at], first);
        }
        at += 1;
    }
    // Names that begin as another does, in slots that are free.
    let (mut at, mut free) = (0, 0);
    while at < NAMES.len() {
        let first = slot(word(NAMES[at].0, 0), MULTIPLIER);
        if table[first].length != NAMES[at].0.len() {
            assert!(table[first].next == first, "three names begin the same");
            while table[free].start != 0 {
                free += 1;
            }
            table[free] = known(NAMES[at], free);
            table[first].next = free;
        }
        at += 1;
    }
    table
}

const fn known((name, header): (&'static [u8], Header), slot: usize) -> Known {
    let has_colon = name.len() >= WORD && name.len() < 2 * WORD;
    let rest_length = name.len().saturating_sub(WORD);
    let mut rest = word(name, WORD);
    if has_colon {
        rest |= (b':' as u64) << (rest_length * 8);
    }
    Known {
        start: word(name, 0),
        rest,
        rest_mask: low_bytes(rest_length + has_colon as usize),
        rest_lower: LOWER & low_bytes(rest_length),
        length: name.len(),
        header: if name.len() > 2 * WORD {
            Header::LONG
        } else {
            header
        },
        next: slot,
    }
}

/// Octets of a word.
const WORD: usize = 8;

/// Bit 5 of every byte.
const LOWER: u64 = repeat(0x20);

const fn repeat(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; WORD])
}

/// A mask for the first `count` bytes of a word.
const fn low_bytes(count: usize) -> u64 {
    match count {
        WORD.. => u64::MAX,
        _ => !(u64::MAX << (count * 8)),
    }
}

/// Up to eight letters of a name from a place on, the first lowest.
const fn word(name: &[u8], from: usize) -> u64 {
    let mut word = 0;
    let mut at = from;
    while at < name.len() && at < from + WORD {
        word |= (name[at] as u64) << ((at - from) * 8);
        at += 1;
    }
    word
}

/// Whether a byte of a word is a blank or, with bit 5 set as it is, a tab.
#[inline(always)]
fn has_blank(word: u64) -> bool {
    let (blanks, tabs) = (word ^ repeat(b' '), word ^ repeat(0x29));
    // Where a difference is zero its highest bit is borrowed; that of a byte above one that
    // is zero may be too, which changes nothing for the question.
    let zeroes = |word: u64| word.wrapping_sub(repeat(1)) & !word & repeat(0x80);
    zeroes(blanks) | zeroes(tabs) != 0
}

/// The name of any header line, without surrounding blanks.
pub(crate) fn name<'a>(text: &Text<'a>, line: Span) -> Option<&'a [u8]> {
    let colon = text.find(line, [b':']);
    (colon < line.end).then(|| text.slice(text.trimmed(line.to(colon))))
}

/// Where the value of any header line begins.
#[cold]
#[inline(never)]
pub(crate) fn value_begin(text: &Text<'_>, line: Span) -> usize {
    (text.find(line, [b':']) + 1).min(line.end)
}

/// The long name of a header that is named in its compact form (IANA "SIP Parameters").
pub(crate) fn long_name(name: &[u8]) -> &[u8] {
    let [compact] = name else { return name };
    match compact.to_ascii_lowercase() {
        b'a' => b"accept-contact",
        b'b' => b"referred-by",
        b'c' => b"content-type",
        b'd' => b"request-disposition",
        b'e' => b"content-encoding",
        b'f' => b"from",
        b'i' => b"call-id",
        b'j' => b"reject-contact",
        b'k' => b"supported",
        b'l' => b"content-length",
        b'm' => b"contact",
        b'o' => b"event",
        b'r' => b"refer-to",
        b's' => b"subject",
        b't' => b"to",
        b'u' => b"allow-events",
        b'v' => b"via",
        b'x' => b"session-expires",
        b'y' => b"identity",
        _ => name,
    }
}
