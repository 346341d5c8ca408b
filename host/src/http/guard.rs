//! Keeps web pages out. A service on loopback has no password, and a browser on the same
//! machine runs pages of strangers:
//!
//! - a page may send a POST anywhere, but not with every content type unless it is allowed
//!   to, hence what changes something must come as one of the others;
//! - a page may be served under a name that then resolves to 127.0.0.1 (DNS rebinding), and
//!   read what it fetches, hence on loopback requests must name localhost or an address.

use axum::http::{HeaderMap, header, uri::Authority};
use std::net::{IpAddr, SocketAddr};

/// Whether requests must name this machine as their host.
#[derive(Clone, Copy, Debug)]
pub struct HostGuard {
    loopback_only: bool,
}

impl HostGuard {
    /// The guard of what is served on an address.
    #[must_use]
    pub fn of(address: SocketAddr) -> Self {
        Self {
            loopback_only: address.ip().is_loopback(),
        }
    }

    /// Lets a request pass.
    ///
    /// # Errors
    /// Names the host that it should not name.
    pub fn check(self, headers: &HeaderMap) -> Result<(), String> {
        let host = headers.get(header::HOST);
        let host = host.map_or(Ok(""), |host| host.to_str()).unwrap_or("?");
        if self.loopback_only && !names_this_machine(host) {
            return Err(host.into());
        }
        Ok(())
    }
}

/// Whether the body of a request is said to be of a media type.
#[must_use]
pub fn has_content_type(headers: &HeaderMap, media_type: &str) -> bool {
    let content_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let found = content_type.and_then(|value| value.split(';').next());
    found.is_some_and(|found| found.trim().eq_ignore_ascii_case(media_type))
}

/// An IP address or localhost, with or without a port. Without a host it is no browser.
fn names_this_machine(host: &str) -> bool {
    if host.is_empty() {
        return true;
    }
    host.parse::<Authority>().is_ok_and(|authority| {
        let name = authority.host();
        let address = name.trim_start_matches('[').trim_end_matches(']');
        name.eq_ignore_ascii_case("localhost") || address.parse::<IpAddr>().is_ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_named() {
        for host in [
            "localhost",
            "LOCALHOST:8080",
            "127.0.0.1:8080",
            "[::1]:8080",
            "[::1]",
            "10.0.0.1",
            "",
        ] {
            assert!(names_this_machine(host), "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:8080",
            "localhost.evil.example",
            "127.0.0.1.nip.io:80",
            "?",
        ] {
            assert!(!names_this_machine(host), "{host}");
        }
    }
}
