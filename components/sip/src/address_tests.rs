//! Users and URIs: what columns have of them, and that no password is among it.

use crate::Sip;
use crate::tests::{check, check_headers, rows_with, value};
use heplake_sdk::Parser;

#[test]
fn users_have_no_telephone_parameters_and_no_escapes() {
    for (sent, plain) in [
        ("+15550101234;npdi;rn=+15559", "+15550101234"),
        ("*21%23", "*21#"),
        ("7042;phone-context=example.com", "7042"),
        ("%61lice", "alice"),
        ("Andr%C3%A9", "Andr\u{e9}"),
        ("alice%40home", "alice@home"),
    ] {
        check(
            format!(
                "INVITE sip:{sent}@h;user=phone SIP/2.0\r\nFrom: \"x\" <sip:{sent}@a.example:5060>;tag=1\r\n\
                 To: sips:{sent}@b.example;tag=2\r\n\r\n"
            ),
            &[
                ("caller", plain),
                ("callee", plain),
                ("aor", &format!("{plain}@b.example")),
                ("from_uri", &format!("sip:{sent}@a.example:5060")),
                ("to_uri", &format!("sips:{sent}@b.example")),
                ("request_uri", &format!("sip:{sent}@h;user=phone")),
                ("from_host", "a.example"),
                ("to_host", "b.example"),
                ("from_tag", "1"),
                ("to_tag", "2"),
            ],
        );
    }
}

#[test]
fn a_uri_is_kept_only_where_its_user_is_not_in_its_column() {
    for user in ["alice", "alice;day=tuesday", "100%", "%ff", "a%00"] {
        check_headers(
            &format!("From: <sip:{user}@h>\r\nTo: <sip:{user}@h>"),
            &[
                ("caller", user),
                ("aor", &format!("{user}@h")),
                ("from_uri", "-"),
                ("to_uri", "-"),
            ],
        );
    }
}

#[test]
fn tel_uris_are_read_as_the_users_of_sip_uris_are() {
    check_headers(
        "From: <tel:*21%23;phone-context=h>;tag=1\r\nTo: tel:+4930;npdi",
        &[
            ("caller", "*21#"),
            ("from_uri", "tel:*21%23;phone-context=h"),
            ("from_tag", "1"),
            ("aor", "+4930"),
            ("to_uri", "-"),
            ("from_host", "-"),
        ],
    );
}

#[test]
fn folded_addresses_are_read_likewise() {
    check_headers(
        "From:\r\n <sip:+49;npdi:pw@h>\r\n ;tag=1\r\nTo: \"T\"\r\n <sip:a%20b:pw@h>",
        &[
            ("caller", "+49"),
            ("from_uri", "sip:+49;npdi:***@h"),
            ("from_tag", "1"),
            ("aor", "a b@h"),
            ("to_uri", "sip:a%20b:***@h"),
        ],
    );
}

/// Every place of a message in which a URI may stand, with a password that may be odd.
#[test]
fn no_field_but_the_message_holds_a_password() {
    let mut sip = Sip::default();
    sip.configure(
        r#"{"correlation_headers": ["Refer-To"], "custom_headers": ["Referred-By", "Path"]}"#,
    )
    .expect("fine");
    for secret in [
        "s3cr3t", "1234", "s3c;r3t", "s3c,r3t", "s3c@r3t", "s3c:r3t", "s3c r3t", "s3c\"r3t",
    ] {
        for scheme in ["sip:", "SIPS:", "im:", ""] {
            let uri = format!("{scheme}alice;npdi:{secret}@example.com");
            let request_uri = match scheme {
                "" => "sip:h",
                _ => uri.as_str(),
            };
            let (bare, far) = (&uri, "x".repeat(80));
            let item = format!(
                "INVITE {request_uri} SIP/2.0\r\nFrom: <{uri}>;tag=1\r\nTo: {bare}\r\n\
                 Contact: \"{far}\" <{uri};{far}>;q=1, <{uri}>\r\nContact: <{uri}>\r\n\
                 P-Asserted-Identity: <{uri}>\r\nRemote-Party-ID: \"A\" <{uri}>;party=calling\r\n\
                 Diversion: <{uri}>;reason=unknown\r\nDiversion:\r\n <{uri}>\r\n\
                 X-Call-ID: sip:alice:{secret}@example.com\r\nRefer-To: <sip:alice:{secret}@example.com>\r\n\
                 Referred-By: <sips:alice:{secret}@example.com>\r\nPath: <sip:alice:{secret}@example.com>\r\n\
                 Path: <sip:alice:{secret}@example.com>\r\n\
                 Authorization: Digest username=\"alice\", uri=\"sip:alice:s3cr3t@example.com\"\r\n\r\n"
            );
            let rows = rows_with(&mut sip, item.as_bytes());
            assert_eq!(rows.len(), 1);
            let names = [
                "contact",
                "p_asserted_identity",
                "remote_party_id",
                "diversion",
                "x_call_id",
                "correlation",
                "custom_headers.Referred-By",
                "custom_headers.Path",
            ];
            for name in names {
                let value = value(&rows[0], name).expect(name);
                assert!(value.contains(":***@example.com"), "{name}: {value}");
            }
            for (name, value) in &rows[0][1..] {
                for part in ["s3c", "r3t", "1234"] {
                    assert!(!value.contains(part), "{name} of {item}: {value}");
                }
            }
        }
    }
}

/// One Contact after the other, each in a message of its own.
#[test]
fn a_contact_alone_loses_its_password_too() {
    for (contact, expected) in [
        ("<sip:a:pw@h>", "<sip:a:***@h>"),
        ("sip:a:pw@h", "sip:a:***@h"),
        (
            "\"A\" <sip:a:pw@h:5060>;q=1",
            "\"A\" <sip:a:***@h:5060>;q=1",
        ),
        ("A <sips:a:pw@h>", "A <sips:a:***@h>"),
        ("sip:a:pw@h, <sip:b@h>", "sip:a:***@h, <sip:b@h>"),
        ("<sip:b@h>,<sip:a:pw@h>", "<sip:b@h>,<sip:a:***@h>"),
        ("<sip:b@h:5060>", "<sip:b@h:5060>"),
        ("*", "*"),
        ("<sip:h:5060;x=a@b>", "<sip:h:5060;x=a@b>"),
    ] {
        check_headers(&format!("Contact: {contact}"), &[("contact", expected)]);
        let far = "y".repeat(70);
        check_headers(
            &format!("Contact: <sip:{far}@h>;x={far}, {contact}"),
            &[("contact", &format!("<sip:{far}@h>;x={far}, {expected}"))],
        );
    }
}

#[test]
fn a_port_with_a_parameter_behind_it_is_no_password() {
    check_headers(
        "From: <sip:h.example:5060;x=a@b>\r\nTo: <sip:[::1]:5060;x=a@b>",
        &[
            ("caller", "-"),
            ("from_host", "h.example"),
            ("to_host", "[::1]"),
            ("aor", "[::1]"),
        ],
    );
    check(
        "BYE sip:h.example:5060;x=a@b SIP/2.0\r\n\r\n",
        &[("callee", "-"), ("request_uri", "sip:h.example:5060;x=a@b")],
    );
}
