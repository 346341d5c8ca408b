//! Addresses as text.

use std::{
    io::Write as _,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// Writes 4 octets as IPv4 and 16 as IPv6 (RFC 5952); other lengths, which the validator
/// lets nobody return, as nothing.
pub(super) fn write(octets: &[u8], out: &mut Vec<u8>) {
    if let Ok([a, b, c, d]) = <[u8; 4]>::try_from(octets) {
        write_ipv4([a, b, c, d], out);
    } else if let Ok(octets) = <[u8; 16]>::try_from(octets) {
        // Writing to a vector cannot fail.
        let _ = write!(out, "{}", Ipv6Addr::from(octets));
    }
}

/// Writes the address of a peer. An IPv4-mapped address is written as IPv4: it is how a
/// dual-stack socket sees an IPv4 peer.
pub(super) fn write_peer(address: IpAddr, out: &mut Vec<u8>) {
    match address.to_canonical() {
        IpAddr::V4(address) => write_ipv4(Ipv4Addr::octets(&address), out),
        IpAddr::V6(address) => {
            let _ = write!(out, "{address}");
        }
    }
}

/// Several times as fast as the standard formatter, and twice a row.
fn write_ipv4(octets: [u8; 4], out: &mut Vec<u8>) {
    for (index, octet) in octets.into_iter().enumerate() {
        if index > 0 {
            out.push(b'.');
        }
        if octet >= 100 {
            out.push(b'0' + octet / 100);
        }
        if octet >= 10 {
            out.push(b'0' + octet / 10 % 10);
        }
        out.push(b'0' + octet % 10);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(octets: &[u8]) -> String {
        let mut out = Vec::new();
        write(octets, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_octet_is_written_as_the_standard_writes_it() {
        for octet in 0..=255u8 {
            let octets = [octet, 255 - octet, 0, octet / 3];
            assert_eq!(text(&octets), Ipv4Addr::from(octets).to_string());
        }
    }

    #[test]
    fn ipv6_is_written_in_its_canonical_form() {
        let octets: [u8; 16] = "2001:db8:0:0:0:0:0:1".parse::<Ipv6Addr>().unwrap().octets();
        assert_eq!(text(&octets), "2001:db8::1");
        assert_eq!(text(&[0; 16]), "::");
        assert_eq!(text(&[1, 2, 3]), "");
    }
}
