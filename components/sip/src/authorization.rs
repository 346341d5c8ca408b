//! Credentials, with the secrets in them masked.

use crate::password::{self, MASK, Where};
use crate::value::{find_outside_quotes, trimmed};

/// Parameters of digest credentials that tell who asks for what (RFC 7616 section 3.4).
/// All others are masked, so that a new one is not stored by accident.
const KEPT: [&[u8]; 6] = [
    b"username",
    b"realm",
    b"uri",
    b"algorithm",
    b"qop",
    b"username*",
];

/// Writes the value of an Authorization or Proxy-Authorization header. Of digest
/// credentials the secret parameters are masked, of any other scheme all that follows it.
pub(crate) fn write_masked(value: &[u8], out: &mut Vec<u8>) {
    let scheme_end = value
        .iter()
        .position(u8::is_ascii_whitespace)
        .unwrap_or(value.len());
    let (scheme, mut parameters) = value.split_at_checked(scheme_end).unwrap_or((&[], value));
    if !scheme.eq_ignore_ascii_case(b"Digest") {
        // Without blank there is no telling a scheme from a secret.
        if !parameters.is_empty() {
            out.extend_from_slice(scheme);
            out.push(b' ');
        }
        out.extend_from_slice(MASK);
        return;
    }
    out.extend_from_slice(scheme);
    loop {
        let comma = find_outside_quotes(parameters, b',');
        let (this, rest) = match comma.and_then(|comma| parameters.split_at_checked(comma)) {
            Some((this, rest)) => (this, rest.get(1..)),
            None => (parameters, None),
        };
        write_parameter(trimmed(this), out);
        let Some(rest) = rest else { return };
        out.push(b',');
        parameters = rest;
    }
}

fn write_parameter(parameter: &[u8], out: &mut Vec<u8>) {
    if parameter.is_empty() {
        return;
    }
    out.push(b' ');
    let equals = parameter.iter().position(|byte| *byte == b'=');
    let Some((name, value)) = equals.and_then(|equals| parameter.split_at_checked(equals)) else {
        out.extend_from_slice(MASK);
        return;
    };
    out.extend_from_slice(name);
    if KEPT
        .iter()
        .any(|kept| kept.eq_ignore_ascii_case(trimmed(name)))
    {
        // The parameter `uri` may have a password in it.
        password::write_masked(value, Where::Anything, out);
    } else {
        out.push(b'=');
        out.extend_from_slice(MASK);
    }
}
