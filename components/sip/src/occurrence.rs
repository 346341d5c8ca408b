//! How often a header may occur, and what becomes of it then.
//!
//! RFC 3261 section 7.3.1: a header may be there more than once only if its value is a
//! comma-separated list, and then its lines mean the same as one line with all values. Of
//! such a header all values are kept in their order, as one line would have them. Of any
//! other the first that is not empty counts.
//!
//! WWW-Authenticate, Authorization, Proxy-Authenticate and Proxy-Authorization are the
//! exception: they occur more than once and must not be joined. Of them the first counts,
//! too; a message with credentials for several realms has the others in its payload.

/// How often a header may occur.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Occurrence {
    /// A list: its values may stand in several lines.
    List,
    /// One value.
    Single,
}

use self::Occurrence::{List, Single};

/// Joins the values of two lines (RFC 3261, section 7.3.1).
pub(crate) const SEPARATOR: &[u8] = b", ";

/// Headers by their long names in lower case, and where their syntax is defined.
pub(crate) const OCCURRENCES: &[(&[u8], Occurrence, &str)] = &[
    // What is extracted.
    (b"authorization", Single, "RFC 3261 20.7, 7.3.1"),
    (b"call-id", Single, "RFC 3261 20.8"),
    (b"contact", List, "RFC 3261 20.10"),
    (b"content-length", Single, "RFC 3261 20.14"),
    (b"content-type", Single, "RFC 3261 20.15"),
    (b"cseq", Single, "RFC 3261 20.16"),
    (b"diversion", List, "RFC 5806 6"),
    (b"expires", Single, "RFC 3261 20.19"),
    (b"from", Single, "RFC 3261 20.20"),
    (b"max-forwards", Single, "RFC 3261 20.22"),
    (b"p-asserted-identity", List, "RFC 3325 9.1"),
    (b"proxy-authorization", Single, "RFC 3261 20.28, 7.3.1"),
    (b"reason", List, "RFC 3326 2"),
    (b"remote-party-id", List, "draft-ietf-sip-privacy-04 6.1"),
    (b"server", Single, "RFC 3261 20.35"),
    (b"session-id", Single, "RFC 7989 5"),
    (b"to", Single, "RFC 3261 20.39"),
    (b"user-agent", Single, "RFC 3261 20.41"),
    (b"via", List, "RFC 3261 20.42"),
    (b"x-call-id", Single, "not standardized"),
    // What may be configured, too.
    (b"accept", List, "RFC 3261 20.1"),
    (b"accept-contact", List, "RFC 3841 9.2"),
    (b"accept-encoding", List, "RFC 3261 20.2"),
    (b"accept-language", List, "RFC 3261 20.3"),
    (b"accept-resource-priority", List, "RFC 4412 3.2"),
    (b"alert-info", List, "RFC 3261 20.4"),
    (b"allow", List, "RFC 3261 20.5"),
    (b"allow-events", List, "RFC 6665 8.2.2"),
    (b"authentication-info", List, "RFC 3261 20.6"),
    (b"call-info", List, "RFC 3261 20.9"),
    (b"content-encoding", List, "RFC 3261 20.12"),
    (b"content-language", List, "RFC 3261 20.13"),
    (b"error-info", List, "RFC 3261 20.18"),
    (b"feature-caps", List, "RFC 6809 6.2"),
    (b"geolocation", List, "RFC 6442 4.1"),
    (b"history-info", List, "RFC 7044 5"),
    (b"in-reply-to", List, "RFC 3261 20.21"),
    (b"p-access-network-info", List, "RFC 7315 5.4"),
    (b"p-associated-uri", List, "RFC 7315 5.1"),
    (b"p-early-media", List, "RFC 5009 8"),
    (b"p-media-authorization", List, "RFC 3313 5"),
    (b"p-preferred-identity", List, "RFC 3325 9.2"),
    (b"p-visited-network-id", List, "RFC 7315 5.3"),
    (b"path", List, "RFC 3327 4"),
    (b"permission-missing", List, "RFC 5360 5.9.3"),
    (b"proxy-require", List, "RFC 3261 20.29"),
    (b"record-route", List, "RFC 3261 20.30"),
    (b"recv-info", List, "RFC 6086 7"),
    (b"reject-contact", List, "RFC 3841 9.2"),
    (b"request-disposition", List, "RFC 3841 9.1"),
    (b"require", List, "RFC 3261 20.32"),
    (b"resource-priority", List, "RFC 4412 3.1"),
    (b"route", List, "RFC 3261 20.34"),
    (b"security-client", List, "RFC 3329 2.2"),
    (b"security-server", List, "RFC 3329 2.2"),
    (b"security-verify", List, "RFC 3329 2.2"),
    (b"service-route", List, "RFC 3608 5"),
    (b"supported", List, "RFC 3261 20.37"),
    (b"trigger-consent", List, "RFC 5360 5.11.2"),
    (b"unsupported", List, "RFC 3261 20.40"),
    (b"user-to-user", List, "RFC 7433 4.1"),
    (b"warning", List, "RFC 3261 20.43"),
];

/// Whether all values of a header are kept, by its long name in lower case. One that is not
/// known has a single value: to join what is no list would make up a value.
pub(crate) fn is_list(name: &[u8]) -> bool {
    let mut known = OCCURRENCES.iter();
    known.any(|(other, occurrence, _)| *other == name && *occurrence == List)
}
