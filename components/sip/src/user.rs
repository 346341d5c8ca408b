//! Users as people search for them: without telephone parameters, and unescaped.
//!
//! ```text
//!  sip:+15550101234;npdi;rn=+15559@example.com    +15550101234
//!  sip:*21%23@example.com                         *21#
//! ```

use std::borrow::Cow;

/// Parameters of a telephone number (RFC 3966, 4694, 4904, 4715, 4759; the registry "tel URI
/// Parameters") and what carriers add to them.
const TELEPHONE_PARAMETERS: [&[u8]; 17] = [
    b"cic",
    b"cic-context",
    b"cpc",
    b"enumdi",
    b"ext",
    b"isub",
    b"isub-encoding",
    b"npdi",
    b"oli",
    b"phone-context",
    b"postd",
    b"premium-rate",
    b"rn",
    b"rn-context",
    b"tgrp",
    b"trunk-context",
    b"verstat",
];

/// The user of a SIP or tel URI without telephone parameters (RFC 3261 section 19.1.6) and
/// unescaped.
///
/// A semicolon may be part of any other user (section 19.1.3: `alice;day=tuesday`): only
/// behind a telephone number, or before a parameter that such a number has, it ends the user.
#[cold]
#[inline(never)]
pub(crate) fn plain(sent: &[u8]) -> Cow<'_, [u8]> {
    let semicolon = sent.iter().position(|byte| *byte == b';');
    let Some((number, parameters)) = semicolon.and_then(|at| sent.split_at_checked(at)) else {
        return unescaped(sent);
    };
    let plain = unescaped(number);
    match is_telephone_number(&plain) || !number.is_empty() && are_of_telephone(parameters) {
        true => plain,
        false => unescaped(sent),
    }
}

/// Digits and what people write between them (RFC 3966 section 3), `*` and `#`.
fn is_telephone_number(number: &[u8]) -> bool {
    let digits = number.strip_prefix(b"+").unwrap_or(number);
    let is_mark = |byte: &u8| matches!(byte, b'-' | b'.' | b'(' | b')');
    let is_dialled = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b'*' | b'#');
    digits.iter().any(is_dialled) && digits.iter().all(|byte| is_dialled(byte) || is_mark(byte))
}

/// Whether the first of some parameters, which begin with a semicolon, is one of a telephone
/// number.
fn are_of_telephone(parameters: &[u8]) -> bool {
    let mut parts = parameters.split(|byte| matches!(byte, b';' | b'='));
    let first = parts.nth(1).unwrap_or_default();
    TELEPHONE_PARAMETERS
        .iter()
        .any(|known| known.eq_ignore_ascii_case(first))
}

/// Octets for their escapes (RFC 3261 section 25.1, `escaped`). An escape that is none, and one
/// of a control character, stays as it is; so does all of it if it would be no UTF-8.
fn unescaped(sent: &[u8]) -> Cow<'_, [u8]> {
    if !sent.contains(&b'%') {
        return sent.into();
    }
    let mut plain = Vec::with_capacity(sent.len());
    let mut rest = sent;
    while let [first, others @ ..] = rest {
        rest = others;
        if *first == b'%'
            && let [high, low, behind @ ..] = others
            && let Some(octet) = octet(*high, *low)
            && !octet.is_ascii_control()
        {
            plain.push(octet);
            rest = behind;
        } else {
            plain.push(*first);
        }
    }
    match std::str::from_utf8(&plain) {
        Ok(_) => plain.into(),
        Err(_) => sent.into(),
    }
}

fn octet(high: u8, low: u8) -> Option<u8> {
    let digit = |digit: u8| (digit as char).to_digit(16);
    Some((digit(high)? << 4 | digit(low)?) as u8)
}

#[cfg(test)]
mod tests {
    use super::plain;
    use proptest::prelude::*;

    #[test]
    fn a_user_has_no_telephone_parameters_and_no_escapes() {
        for (sent, expected) in [
            ("alice", "alice"),
            ("+15550101234;npdi;rn=+15559", "+15550101234"),
            ("+1-555-0101;CIC=+16789", "+1-555-0101"),
            ("(030)4930;isub=1", "(030)4930"),
            ("*21%23", "*21#"),
            ("*21%23;phone-context=example.com", "*21#"),
            ("%2B49;ext=2", "+49"),
            ("7042;phone-context=+1", "7042"),
            ("cafe;phone-context=h", "cafe"),
            ("anonymous;Phone-Context=h", "anonymous"),
            // RFC 3261 section 19.1.3: the field is opaque.
            ("alice;day=tuesday", "alice;day=tuesday"),
            ("a%3Bnpdi", "a;npdi"),
            ("alice%40home;x=y", "alice@home;x=y"),
            (";npdi", ";npdi"),
            ("+;npdi", "+"),
            ("Andr%C3%A9", "André"),
            ("Andr%E9", "Andr%E9"),
            ("%E2%82", "%E2%82"),
            ("100%", "100%"),
            ("%4", "%4"),
            ("%zz%41", "%zzA"),
            ("%2541", "%41"),
            ("a%00b%0d%0A%7fc%09", "a%00b%0d%0A%7fc%09"),
            ("", ""),
        ] {
            let found = plain(sent.as_bytes());
            assert_eq!(String::from_utf8_lossy(&found), expected, "{sent}");
        }
    }

    proptest! {
        #[test]
        fn escapes_of_any_text_are_undone(text in "[^\\x00-\\x1f\\x7f]{0,9}") {
            let escaped: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
            prop_assert_eq!(&*plain(escaped.as_bytes()), text.as_bytes());
        }
    }
}
