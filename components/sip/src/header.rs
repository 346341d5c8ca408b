//! Header lines and their names.

use crate::field;
use crate::text::{Span, Text};

/// A header whose value is extracted: the field that the value goes to, as it is or until
/// all lines are read, and what is special about it. A number, so that a line is done with
/// few comparisons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header(u8);

impl Header {
    pub(crate) const CSEQ: Self = Self::plain(field::CSEQ);
    pub(crate) const CONTENT_LENGTH: Self = Self::plain(field::CONTENT_LENGTH);
    pub(crate) const CONTENT_TYPE: Self = Self::plain(field::CONTENT_TYPE);
    /// To be taken apart: its value is left in a field that is empty until then.
    pub(crate) const FROM: Self = Self(field::CALLER as u8 | APART);
    pub(crate) const TO: Self = Self(field::AOR as u8 | APART);
    /// A list, of whose first value the branch is taken.
    pub(crate) const VIA: Self = Self::list(field::VIA);
    pub(crate) const AUTHORIZATION: Self = Self(field::AUTHORIZATION as u8 | AT_ONCE);
    /// One whose name has more than sixteen letters: the first are compared.
    pub(crate) const LONG: Self = Self(AT_ONCE | APART);

    /// One whose value goes to `field` as it is.
    const fn plain(field: usize) -> Self {
        assert!(field < APART as usize, "more fields than numbers");
        Self(field as u8)
    }

    /// One whose lines are values of one list.
    const fn list(field: usize) -> Self {
        assert!(LISTS & 1 << field != 0, "not among the lists");
        Self(field as u8 | APART)
    }

    /// Whether all lines of it go to its field.
    pub(crate) fn is_list(self) -> bool {
        !self.is_at_once() && LISTS & 1 << self.field() != 0
    }

    /// The field that the value goes to.
    #[inline(always)]
    pub(crate) fn field(self) -> usize {
        usize::from(self.0 & (APART - 1))
    }

    /// Whether another line of it may count though its field is filled.
    #[inline(always)]
    pub(crate) fn is_apart(self) -> bool {
        self.0 & APART != 0
    }

    /// Whether its value cannot be left for later.
    #[inline(always)]
    pub(crate) fn is_at_once(self) -> bool {
        self.0 & AT_ONCE != 0
    }
}

/// A line whose name may have blanks before its colon, and more than seven letters or less.
pub(crate) struct Loose {
    is_long: bool,
}

/// The fields of headers that are lists, a bit for each; see [`crate::occurrence`].
pub(crate) const LISTS: u64 = 1 << field::VIA
    | 1 << field::CONTACT
    | 1 << field::P_ASSERTED_IDENTITY
    | 1 << field::REMOTE_PARTY_ID
    | 1 << field::DIVERSION
    | 1 << field::REASON;

/// Bits above the number of a field.
const APART: u8 = 64;
const AT_ONCE: u8 = 128;

/// A name that is looked for. It has a line of the cache to itself, which also spares a
/// multiplication to find it.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Known {
    /// Its first eight letters as a word, the first lowest.
    start: u64,
    /// Its next eight, with the colon if it follows; a mask for them; bit 5 of the letters.
    rest: u64,
    rest_mask: u64,
    rest_lower: u64,
    length: usize,
    header: Header,
}

impl Header {
    /// The header of a line, and where its value begins.
    pub(crate) fn of(text: &Text<'_>, line: Span) -> Option<(Self, usize)> {
        match Self::by_start(text.words(line.begin)) {
            Ok(found) => found.map(|(header, length)| (header, line.begin + length + 1)),
            Err(Loose { is_long }) => Some((
                Self::of_loose(text, line, is_long)?,
                value_begin(text, line),
            )),
        }
    }

    /// The header of a line, and the length of its name; none if it is no known one.
    ///
    /// `head` is the first sixteen bytes of the line, which tell most names apart: the first
    /// nine are the key of a table without collisions. Bit 5 set makes letters lower-case
    /// and changes no hyphen, colon or blank.
    ///
    /// # Errors
    /// There may be blanks before the colon.
    #[inline(always)]
    pub(crate) fn by_start([word, rest]: [u64; 2]) -> Result<Option<(Self, usize)>, Loose> {
        let word = word | LOWER;
        let colons = word ^ repeat(b':');
        // The lowest byte that is zero: the only one that this trick is exact about.
        let found = colons.wrapping_sub(repeat(1)) & !colons & repeat(0x80);
        // All bytes before it; all eight, and the ninth, if there is none.
        let before = ((found & found.wrapping_neg()) >> 7).wrapping_sub(1);
        let name = word & before;
        let ninth = (rest | LOWER) & (before >> (u64::BITS - 8));
        let known = &TABLE[slot(name, ninth, MULTIPLIER)];
        let is_long = known.start == name;
        if is_long && (rest | known.rest_lower) & known.rest_mask == known.rest {
            return Ok(Some((known.header, known.length)));
        }
        match is_long || has_blank(name) {
            true => Err(Loose { is_long }),
            false => Ok(None),
        }
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

/// Whether a name is a lower-case one once bit 5 is set.
fn is_same(name: &[u8], lower: &[u8]) -> bool {
    let mut both = name.iter().zip(lower);
    name.len() == lower.len() && both.all(|(byte, lower)| byte | 0x20 == *lower)
}

/// All names, in lower case.
pub(crate) const NAMES: &[(&[u8], Header)] = &[
    (b"via", Header::VIA),
    (b"v", Header::VIA),
    (b"from", Header::FROM),
    (b"f", Header::FROM),
    (b"to", Header::TO),
    (b"t", Header::TO),
    (b"call-id", Header::plain(field::CALL_ID)),
    (b"i", Header::plain(field::CALL_ID)),
    (b"cseq", Header::CSEQ),
    (b"contact", Header::list(field::CONTACT)),
    (b"m", Header::list(field::CONTACT)),
    (b"content-length", Header::CONTENT_LENGTH),
    (b"l", Header::CONTENT_LENGTH),
    (b"content-type", Header::CONTENT_TYPE),
    (b"c", Header::CONTENT_TYPE),
    (b"expires", Header::plain(field::EXPIRES)),
    (b"reason", Header::list(field::REASON)),
    (b"server", Header::plain(field::SERVER)),
    (b"max-forwards", Header::plain(field::MAX_FORWARDS)),
    (b"user-agent", Header::plain(field::USER_AGENT)),
    (b"authorization", Header::AUTHORIZATION),
    (b"proxy-authorization", Header::AUTHORIZATION),
    (
        b"p-asserted-identity",
        Header::list(field::P_ASSERTED_IDENTITY),
    ),
    (b"remote-party-id", Header::list(field::REMOTE_PARTY_ID)),
    (b"diversion", Header::list(field::DIVERSION)),
    (b"session-id", Header::plain(field::SESSION_ID_HEADER)),
    (b"x-call-id", Header::plain(field::X_CALL_ID)),
];

/// Slots of the table: enough that a multiplier without collisions is found soon.
const SLOTS: usize = 128;

/// Gives the beginning of each name a slot of its own.
const MULTIPLIER: u64 = multiplier();

static TABLE: [Known; SLOTS] = table();

/// The slot of a name by its first eight letters and the ninth, if it has so many.
#[inline(always)]
const fn slot(start: u64, ninth: u64, multiplier: u64) -> usize {
    let key = start.wrapping_add(ninth);
    (key.wrapping_mul(multiplier) >> (u64::BITS - SLOTS.ilog2())) as usize
}

const fn slot_of(name: &[u8], multiplier: u64) -> usize {
    assert!(name.len() != WORD, "its ninth letter is the colon");
    slot(word(name, 0), word(name, WORD) & 0xff, multiplier)
}

/// Tries multipliers until one has no collisions.
const fn multiplier() -> u64 {
    // The golden ratio, and the multiplier of Knuth's MMIX.
    let mut multiplier: u64 = 0x9e37_79b9_7f4a_7c15;
    loop {
        let mut taken = [false; SLOTS];
        let mut collides = false;
        let mut at = 0;
        while at < NAMES.len() {
            let slot = slot_of(NAMES[at].0, multiplier);
            collides |= taken[slot];
            taken[slot] = true;
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
    };
    let mut table = [NONE; SLOTS];
    let mut at = 0;
    while at < NAMES.len() {
        table[slot_of(NAMES[at].0, MULTIPLIER)] = known(NAMES[at]);
        at += 1;
    }
    table
}

const fn known((name, header): (&'static [u8], Header)) -> Known {
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
