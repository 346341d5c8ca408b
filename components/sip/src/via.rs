//! Values of Via (RFC 3261 section 20.42).

use crate::text::{Span, Text, Window};
use crate::value::{ShortName, first_of_list, parameter};

/// The topmost value and its branch. Empty where there is none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Via {
    pub(crate) top: Span,
    pub(crate) branch: Span,
}

impl Via {
    /// Reads a header's value, which is not empty. Nothing is refused.
    #[inline(always)]
    pub(crate) fn parse(text: &Text<'_>, value: Span) -> Self {
        Self::usual(text, value).unwrap_or_else(|| Self::any(text, value))
    }

    /// Reads a single value without quotes, unless it is long or its parameters are odd, by
    /// the marks in two windows of it.
    #[inline(always)]
    fn usual(text: &Text<'_>, value: Span) -> Option<Self> {
        const BRANCH_EQUALS: u64 = u64::from_le_bytes(*b"branch=\0");
        const FAR: usize = Window::LENGTH;
        const TOO_FAR: usize = 2 * FAR;
        /// Bit 5 of letters.
        const LOWER: u64 = u64::from_le_bytes([0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0, 0]);
        /// All but the last, which is not looked at.
        const MASK: u64 = u64::MAX >> 8;
        let (near, far) = (text.window(value.begin), text.window(value.begin + FAR));
        let (near_within, far_within) = match value.length() {
            length @ ..FAR => (!(u64::MAX << length), 0),
            length @ FAR..TOO_FAR => (u64::MAX, !(u64::MAX << (length - FAR))),
            _ => return None,
        };
        let odd = near.marks_of(b',', b'"') & near_within | far.marks_of(b',', b'"') & far_within;
        if odd != 0 {
            return None;
        }
        let place = |marks: u64| value.begin + marks.trailing_zeros() as usize;
        let mut left = near.marks(b';') & near_within;
        while left != 0 {
            let parameter = place(left) + 1;
            left &= left - 1;
            let word = (text.word(parameter) | LOWER) & MASK;
            if word == BRANCH_EQUALS {
                let far_left = far.marks(b';') & far_within;
                let end = match (left, far_left) {
                    (0, 0) => value.end,
                    (0, _) => place(far_left) + FAR,
                    _ => place(left),
                };
                let branch = Span::new(parameter + "branch=".len(), end);
                // Neither blanks nor quotes, nor nothing.
                let is_plain =
                    branch.begin < end && text.at(branch.begin) > b'"' && text.at(end - 1) > b' ';
                return is_plain.then_some(Self { top: value, branch });
            }
            let is_branch = word & (MASK >> 8) == BRANCH_EQUALS & (MASK >> 8);
            if is_branch || text.at(parameter) <= b' ' {
                return None;
            }
        }
        None
    }

    #[cold]
    #[inline(never)]
    pub(crate) fn any(text: &Text<'_>, value: Span) -> Self {
        const BRANCH: ShortName = ShortName::new(b"branch");
        let top = first_of_list(text, value);
        let first = text.find(top, [b';']);
        let branch = match first < top.end {
            true => parameter(text, top.from(first + 1), BRANCH),
            false => None,
        };
        let branch = branch.unwrap_or(Span::new(top.end, top.end));
        Self { top, branch }
    }
}
