use heplake_sdk::{Batch, Cell, Parser, run};
use proptest::prelude::*;

use super::{MESSAGES_MAX, NotSip, Sip, field};

/// The rows of one item, by names of fields; empty if there are none.
pub(crate) fn rows_with(sip: &mut Sip, item: &[u8]) -> Vec<Vec<(String, String)>> {
    let fields = sip.describe().fields;
    let parsed = run(sip, &Batch::of(&[item], 0));
    parsed
        .cells
        .chunks_exact(fields.len())
        .map(|row| {
            fields
                .iter()
                .zip(row)
                .filter_map(|(field, cell)| {
                    let value = Cell(*cell).resolve(item, &parsed.scratch)?;
                    Some((
                        field.name.clone(),
                        String::from_utf8_lossy(value).into_owned(),
                    ))
                })
                .collect()
        })
        .collect()
}

pub(crate) fn rows(item: &[u8]) -> Vec<Vec<(String, String)>> {
    rows_with(&mut Sip::default(), item)
}

pub(crate) fn value<'a>(row: &'a [(String, String)], name: &str) -> Option<&'a str> {
    row.iter()
        .find(|(field, _)| field == name)
        .map(|(_, value)| value.as_str())
}

/// Checks fields of the only row of an item; `-` stands for null.
#[track_caller]
pub(crate) fn check(item: impl AsRef<[u8]>, expected: &[(&str, &str)]) {
    let rows = rows(item.as_ref());
    assert_eq!(rows.len(), 1, "{rows:#?}");
    check_row(&rows[0], expected);
}

#[track_caller]
pub(crate) fn check_row(row: &[(String, String)], expected: &[(&str, &str)]) {
    for (name, expected) in expected {
        assert_eq!(
            value(row, name).unwrap_or("-"),
            *expected,
            "{name} in {row:#?}"
        );
    }
}

/// Checks fields of an OPTIONS request with these header lines.
#[track_caller]
pub(crate) fn check_headers(headers: &str, expected: &[(&str, &str)]) {
    check(
        format!("OPTIONS sip:a@h SIP/2.0\r\n{headers}\r\n\r\n"),
        expected,
    );
}

/// The name of the verdict on an item that gives no row.
fn verdict(item: &[u8]) -> String {
    let mut sip = Sip::default();
    let code = run(&mut sip, &Batch::of(&[item], 0)).verdicts[0];
    assert!(code >= 2, "{code}");
    sip.describe().verdicts[code as usize - 2].name.clone()
}

const INVITE: &str = "INVITE sip:bob@biloxi.example.com;transport=tcp SIP/2.0\r\n\
Via: SIP/2.0/TCP client.example.com:5060;rport;branch=z9hG4bK74b43\r\n\
Via: SIP/2.0/UDP second.example.com;branch=z9hG4bKsecond\r\n\
Max-Forwards: 70\r\n\
From: \"Alice <x> \\\" ;tag=no\" <sip:alice@atlanta.example.com>;tag=9fxced76sl\r\n\
To: Bob <sip:+1;ext=2@biloxi.example.com:5070>\r\n\
Call-ID: 3848276298220188511@atlanta.example.com\r\n\
CSeq: 18446744073709551616 INVITE\r\n\
Contact: <sip:alice@client.example.com;transport=tcp>, <sip:b@c>\r\n\
Proxy-Authorization: Digest username=\"alice\", realm=\"a, b\", nonce=\"wf84\", opaque=\"\", \
uri=\"sip:bob@biloxi.example.com\", response=\"42ce3cef44b22f50c6a6071bc8\", nc=00000001\r\n\
P-Asserted-Identity: \"A\" <sip:+49@x>, <tel:+49>\r\n\
Remote-Party-ID: <sip:r@x>;party=calling\r\n\
Diversion: <sip:d@x>;reason=unconditional\r\n\
Reason: Q.850;cause=16\r\n\
Session-ID: ab30317f1a784dc48ff824d0d3715d86;remote=0\r\n\
X-Call-ID: other-leg\r\n\
Expires: 60\r\n\
User-Agent: Phone/1.0\r\n\
Server: Box\r\n\
Content-Type: application/sdp\r\n\
Content-Length: 5\r\n\
\r\n\
v=0\r\n";

#[test]
fn reads_every_field() {
    check(
        INVITE,
        &[
            ("message", INVITE),
            ("method", "INVITE"),
            ("response_code", "-"),
            ("response_reason", "-"),
            ("cseq_method", "INVITE"),
            ("call_id", "3848276298220188511@atlanta.example.com"),
            ("caller", "alice"),
            ("callee", "bob"),
            ("from_host", "atlanta.example.com"),
            ("to_host", "biloxi.example.com"),
            ("from_tag", "9fxced76sl"),
            ("to_tag", "-"),
            ("request_uri", "sip:bob@biloxi.example.com;transport=tcp"),
            ("aor", "+1@biloxi.example.com"),
            ("to_uri", "sip:+1;ext=2@biloxi.example.com:5070"),
            ("from_uri", "-"),
            (
                "contact",
                "<sip:alice@client.example.com;transport=tcp>, <sip:b@c>",
            ),
            ("expires", "60"),
            ("user_agent", "Phone/1.0"),
            ("server", "Box"),
            (
                "via",
                "SIP/2.0/TCP client.example.com:5060;rport;branch=z9hG4bK74b43, \
                 SIP/2.0/UDP second.example.com;branch=z9hG4bKsecond",
            ),
            ("branch", "z9hG4bK74b43"),
            (
                "authorization",
                "Digest username=\"alice\", realm=\"a, b\", nonce=***, opaque=***, \
                 uri=\"sip:bob@biloxi.example.com\", response=***, nc=***",
            ),
            ("content_type", "application/sdp"),
            ("content_length", "5"),
            ("cseq", "18446744073709551616 INVITE"),
            ("max_forwards", "70"),
            ("x_call_id", "other-leg"),
            ("p_asserted_identity", "\"A\" <sip:+49@x>, <tel:+49>"),
            ("remote_party_id", "<sip:r@x>;party=calling"),
            ("diversion", "<sip:d@x>;reason=unconditional"),
            ("reason", "Q.850;cause=16"),
            (
                "session_id_header",
                "ab30317f1a784dc48ff824d0d3715d86;remote=0",
            ),
            ("correlation", "other-leg"),
        ],
    );
}

/// The same message with other line ends gives the same fields.
#[test]
fn reads_lf_and_mixed_line_ends() {
    let expected: Vec<_> = rows(INVITE.as_bytes())[0][1..].to_vec();
    let lf = INVITE.replace("\r\n", "\n");
    assert_eq!(rows(lf.as_bytes())[0][1..], expected);
    let mixed = INVITE.replacen("\r\n", "\n", 7);
    assert_eq!(rows(mixed.as_bytes())[0][1..], expected);
}

#[test]
fn reads_names_in_any_case_and_with_blanks() {
    let expected: Vec<_> = rows(INVITE.as_bytes())[0][1..].to_vec();
    for change in [str::to_uppercase, str::to_lowercase] {
        let changed: String = INVITE
            .split_inclusive("\r\n")
            .enumerate()
            .map(|(place, line)| match line.split_once(':') {
                Some((name, value)) if place > 0 => format!("{} \t: {value}", change(name)),
                _ => line.to_owned(),
            })
            .collect();
        assert_eq!(rows(changed.as_bytes())[0][1..], expected);
    }
}

#[test]
fn reads_compact_names() {
    check_headers(
        "v: SIP/2.0/UDP a;branch=b1\r\nf: <sip:a@b>;tag=1\r\nt: <sip:c@d>;tag=2\r\ni: id\r\n\
         m: <sip:m@n>\r\nc: text/plain\r\nl: 0",
        &[
            ("branch", "b1"),
            ("caller", "a"),
            ("from_tag", "1"),
            ("aor", "c@d"),
            ("to_tag", "2"),
            ("call_id", "id"),
            ("contact", "<sip:m@n>"),
            ("content_type", "text/plain"),
            ("content_length", "0"),
        ],
    );
}

#[test]
fn joins_folded_lines_with_one_blank() {
    check_headers(
        "Contact: <sip:a@b>,\r\n \t  <sip:c@d>\r\nFrom:\n <sip:f@g>\n\t;tag=7\r\nCall-ID: x\r\n \r\nTo: <sip:t@u>",
        &[
            ("contact", "<sip:a@b>, <sip:c@d>"),
            ("caller", "f"),
            ("from_tag", "7"),
            ("call_id", "x"),
            ("aor", "t@u"),
        ],
    );
}

#[test]
fn the_branch_is_that_of_the_topmost_via() {
    check_headers(
        "Via: SIP/2.0/UDP a;x=\"1,2\";branch=b1, SIP/2.0/UDP b;branch=b2\r\nVia: SIP/2.0/UDP c;branch=b3",
        &[
            (
                "via",
                "SIP/2.0/UDP a;x=\"1,2\";branch=b1, SIP/2.0/UDP b;branch=b2, SIP/2.0/UDP c;branch=b3",
            ),
            ("branch", "b1"),
        ],
    );
    check_headers(
        "Via: SIP/2.0/UDP a, SIP/2.0/UDP b;branch=b2\r\nVia: x;branch=b3",
        &[("branch", "-")],
    );
}

#[test]
fn a_line_counts_until_one_of_its_name_gave_something() {
    let lines = "From: <>;tag=1\r\nFrom: <sip:h>;tag=2\r\nFrom: a@b\r\nFrom: c@d";
    let from = [("caller", "-"), ("from_host", "h"), ("from_tag", "1")];
    check_headers(lines, &from);
    check_headers(&lines.replace("<sip", "\r\n <sip"), &from);
    check_headers(&lines.replace("a@", "\r\n a@"), &from);
    check_headers(
        "Via: ,x\r\nVia: y;branch=z\r\nv: u",
        &[("via", "y;branch=z, u"), ("branch", "z")],
    );
    check_headers("To: <>\r\nTo:\r\n t@h", &[("aor", "t@h"), ("callee", "a")]);
}

#[test]
fn the_first_of_doubled_headers_that_is_not_empty_counts() {
    check_headers(
        "Call-ID:\r\nCall-ID: one\r\nCall-ID: two\r\nFrom: <sip:a@b>\r\nFrom: <sip:c@d>;tag=x\r\n\
         To: <tel:1>\r\nTo: <sip:2@d>\r\nCSeq: 1 OPTIONS\r\nCSeq: 2 INVITE",
        &[
            ("call_id", "one"),
            ("caller", "a"),
            ("aor", "1"),
            ("cseq_method", "OPTIONS"),
        ],
    );
}

#[test]
fn reads_addresses_of_all_kinds() {
    for (from, caller, host, tag) in [
        (
            "<sip:alice:secret@h.example;x=y>;tag=1",
            "alice",
            "h.example",
            "1",
        ),
        ("sip:alice@h.example;tag=1", "alice", "h.example", "1"),
        ("sip:h.example:5060;tag=1", "-", "h.example", "1"),
        (
            "<sips:a@[2001:db8::1]:5061>; Tag = 1",
            "a",
            "[2001:db8::1]",
            "1",
        ),
        ("<sip:[::1%25eth0]>", "-", "[::1%25eth0]", "-"),
        ("<tel:+49-30;phone-context=x>;tag=1", "+49-30", "-", "1"),
        ("tel:+4930;tag=1", "+4930", "-", "1"),
        ("<urn:service:sos>", "urn:service:sos", "-", "-"),
        (
            "<SIP:a;b=c@h;lr>;x=\";tag=no\";tag=\"1\"",
            "a;b=c",
            "h",
            "1",
        ),
        ("\"Mr <Evil>\" <sip:a@b>;tag=1", "a", "b", "1"),
        ("\"not closed <sip:a@b>;tag=1", "a", "b", "1"),
        (
            "Anonymous <sip:anonymous@anonymous.invalid>;tag=1",
            "anonymous",
            "anonymous.invalid",
            "1",
        ),
        ("<sip:a@b", "a", "b", "-"),
        ("<>;tag=1", "-", "-", "1"),
        ("alice@h", "alice", "h", "-"),
        ("<im:alice@h>", "alice", "h", "-"),
        ("<sip:@h>", "-", "h", "-"),
        ("<sip:a@>", "a", "-", "-"),
    ] {
        check_headers(
            &format!("From: {from}"),
            &[("caller", caller), ("from_host", host), ("from_tag", tag)],
        );
    }
}

#[test]
fn the_address_of_record_has_no_password_and_no_port() {
    for (to, aor) in [
        ("<sip:a@h:5060>", "a@h"),
        ("<sip:a:pw@h>", "a@h"),
        ("<sip:h>", "h"),
        ("<tel:+1>", "+1"),
        ("<sip:a@[::1]:5060>", "a@[::1]"),
    ] {
        check_headers(&format!("To: {to}"), &[("aor", aor)]);
    }
}

#[test]
fn the_callee_is_the_user_of_the_request_uri_else_of_to() {
    let to = "To: <sip:to@h>\r\n\r\n";
    check(
        format!("INVITE sip:ruri@h SIP/2.0\r\n{to}"),
        &[("callee", "ruri")],
    );
    check(format!("INVITE sip:h SIP/2.0\r\n{to}"), &[("callee", "to")]);
    check(
        format!("INVITE tel:+49;x=y SIP/2.0\r\n{to}"),
        &[("callee", "+49")],
    );
    check(
        format!("INVITE urn:service:sos SIP/2.0\r\n{to}"),
        &[("callee", "urn:service:sos")],
    );
    check(format!("SIP/2.0 200 OK\r\n{to}"), &[("callee", "to")]);
}

#[test]
fn reads_status_lines() {
    for (line, code, reason) in [
        ("SIP/2.0 200 OK", "200", "OK"),
        ("SIP/2.0 183 Session Progress", "183", "Session Progress"),
        ("SIP/2.0 100 ", "100", "-"),
        ("SIP/2.0 100", "100", "-"),
        ("sip/2.0 404  Not Found ", "404", "Not Found"),
        (
            "SIP/2.0 4294967301 better not break",
            "4294967301",
            "better not break",
        ),
        ("SIP/7.0 400 Bad", "400", "Bad"),
    ] {
        check(
            format!("{line}\r\nCSeq: 1 INVITE\r\n\r\n"),
            &[
                ("response_code", code),
                ("response_reason", reason),
                ("method", "-"),
                ("cseq_method", "INVITE"),
            ],
        );
    }
}

#[test]
fn reads_odd_request_lines() {
    for (line, method, uri) in [
        ("INVITE  sip:a@h  SIP/2.0", "INVITE", "sip:a@h"),
        ("INVITE sip:a@h; lr SIP/2.0 ", "INVITE", "sip:a@h; lr"),
        (
            "!interesting-Method0123456789_*+`.%indeed'~ sip:a@h sip/2.0",
            "!interesting-Method0123456789_*+`.%indeed'~",
            "sip:a@h",
        ),
        ("INVITE <sip:a@h> SIP/2.0", "INVITE", "<sip:a@h>"),
    ] {
        check(
            format!("{line}\r\n\r\n"),
            &[("method", method), ("request_uri", uri)],
        );
    }
}

#[test]
fn stores_a_message_without_call_id_and_cseq() {
    check(
        "SIP/2.0 200 OK\r\n",
        &[
            ("call_id", "-"),
            ("cseq_method", "-"),
            ("response_code", "200"),
        ],
    );
}

#[test]
fn reads_what_is_there_of_a_cseq() {
    for (cseq, method) in [
        ("1 INVITE", "INVITE"),
        ("1\t INVITE", "INVITE"),
        ("1INVITE", "INVITE"),
        ("INVITE", "INVITE"),
        ("1", "-"),
        ("9999999999999999999999 ACK x", "ACK"),
    ] {
        check_headers(
            &format!("CSeq: {cseq}"),
            &[("cseq", cseq), ("cseq_method", method)],
        );
    }
}

#[test]
fn masks_credentials_of_every_scheme() {
    for (value, masked) in [
        ("Basic YWxhZGRpbjpvcGVuc2VzYW1l", "Basic ***"),
        ("Bearer abc.def", "Bearer ***"),
        ("YWxhZGRpbg==", "***"),
        ("Digest", "Digest"),
        (
            "Digest realm=\"r\",response=\"1\"",
            "Digest realm=\"r\", response=***",
        ),
        (
            "digest USERNAME=\"u\", Response = \"a,b\", secret",
            "digest USERNAME=\"u\", Response =***, ***",
        ),
        (
            "Digest username=\"u\", response=\"not closed, realm=r",
            "Digest username=\"u\", response=***",
        ),
    ] {
        for name in ["Authorization", "Proxy-Authorization", "AUTHORIZATION"] {
            check_headers(&format!("{name}: {value}"), &[("authorization", masked)]);
        }
    }
}

#[test]
fn takes_bytes_that_are_no_utf8() {
    let item = b"MESSAGE sip:\xff@h SIP/2.0\r\nFrom: \"\xc3\" <sip:\xfe@h>\r\nContent-Length: 4\r\n\r\n\0\xff\r\n";
    let parsed = run(&mut Sip::default(), &Batch::of(&[item], 0));
    assert_eq!(parsed.verdicts, [0]);
    assert_eq!(
        Cell(parsed.cells[field::CALLER]).resolve(item, &[]),
        Some(&b"\xfe"[..])
    );
    assert_eq!(
        Cell(parsed.cells[field::MESSAGE]).resolve(item, &[]),
        Some(&item[..])
    );
}

#[test]
fn finds_a_message_after_rubbish() {
    for rubbish in [
        "\r\n\r\n",
        "\0\0\0\0",
        " \t\r\n",
        "junk\r\nmore: junk\r\n",
        "\u{1}\u{2}",
        "\0\u{7}",
        "x y ",
    ] {
        let item = format!("{rubbish}{INVITE}");
        check(
            &item,
            &[
                ("method", "INVITE"),
                ("caller", "alice"),
                ("message", &item),
            ],
        );
        let item = format!("{rubbish}SIP/2.0 486 Busy\r\nCall-ID: 1\r\n\r\n");
        check(
            &item,
            &[
                ("response_code", "486"),
                ("call_id", "1"),
                ("message", &item),
            ],
        );
    }
}

#[test]
fn splits_several_messages() {
    let ok = "SIP/2.0 200 OK\r\nCall-ID: ok\r\nContent-Length: 0\r\n\r\n";
    let bare = "BYE sip:a@h SIP/2.0\r\nCall-ID: bare\r\n\r\n";
    let wrong = "BYE sip:a@h SIP/2.0\r\nCall-ID: wrong\r\nContent-Length: 9999\r\n\r\nbody\r\n";
    let short = "BYE sip:a@h SIP/2.0\r\nCall-ID: short\r\nContent-Length: 2\r\n\r\nbody\r\n";
    for messages in [
        vec![INVITE, ok, ok],
        vec![ok, INVITE, bare, ok],
        vec![bare, bare],
        vec![wrong, INVITE],
        vec![short, ok, wrong],
    ] {
        let rows = rows(messages.concat().as_bytes());
        let pieces: Vec<_> = rows
            .iter()
            .filter_map(|row| value(row, "message"))
            .collect();
        assert_eq!(pieces, messages);
    }
    let kept_open = format!("{ok}\r\n\r\n{ok}\r\n");
    let rows = rows(kept_open.as_bytes());
    assert_eq!(
        value(&rows[0], "message"),
        Some(format!("{ok}\r\n\r\n").as_str())
    );
    assert_eq!(
        value(&rows[1], "message"),
        Some(format!("{ok}\r\n").as_str())
    );
}

#[test]
fn does_not_split_what_a_body_quotes() {
    for item in [
        "NOTIFY sip:a@h SIP/2.0\r\nContent-Type: message/sipfrag\r\n\r\nSIP/2.0 200 OK\r\nTo: x\r\n",
        "NOTIFY sip:a@h SIP/2.0\r\n\r\nSIP/2.0 100 Trying\r\n",
        "INFO sip:a@h SIP/2.0\r\nContent-Length: 18\r\n\r\nSIP/2.0 200\r\nTo: x\n",
        "INFO sip:a@h SIP/2.0\r\nContent-Length: 9\r\n\r\nno body\r\nat: all",
    ] {
        check(item, &[("message", item)]);
    }
}

#[test]
fn leaves_the_rest_of_too_many_messages_in_the_last() {
    let one = "BYE sip:a@h SIP/2.0\r\nContent-Length: 0\r\n\r\n";
    let item = one.repeat(MESSAGES_MAX + 2);
    let rows = rows(item.as_bytes());
    assert_eq!(rows.len(), MESSAGES_MAX);
    assert_eq!(
        value(&rows[MESSAGES_MAX - 1], "message"),
        Some(one.repeat(3).as_str())
    );
}

#[test]
fn tells_what_is_no_sip() {
    let stun = [&[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42][..], &[7; 12]].concat();
    let rtp = [&[0x80, 0, 0, 1][..], &[1; 160]].concat();
    let rtcp = [&[0x80, 200, 0, 6][..], &[1; 24]].concat();
    let dns = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07example\x00\x00\x01\x00\x01";
    let cases: [(&[u8], &str); 15] = [
        (b"", "empty"),
        (b"\r\n", "crlf"),
        (b"\r\n\r\n", "crlf"),
        (b"\0\0\0\0", "nul"),
        (b"  ", "blank"),
        (b"\0\r\n ", "blank"),
        (&stun, "stun"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "http"),
        (b"GET / HTTP/1.1\r\n\r\n", "http"),
        (b"HEP3\0\x06", "hep"),
        (&rtcp, "rtcp"),
        (&rtp, "rtp"),
        (dns, "dns"),
        (b"Via: SIP/2.0/UDP x\r\nCall-ID: 1\r\n", "headers_only"),
        (b"hello", "no_start_line"),
    ];
    for (item, expected) in cases {
        assert_eq!(verdict(item), expected, "{}", item.escape_ascii());
    }
}

#[test]
fn verdicts_stand_in_the_order_of_the_description() {
    let names: Vec<_> = Sip::default()
        .describe()
        .verdicts
        .into_iter()
        .map(|one| one.name)
        .collect();
    for kind in NotSip::ASIDE.into_iter().chain(NotSip::REFUSED) {
        assert_eq!(names[kind as usize], kind.name());
    }
}

#[test]
fn takes_the_first_configured_correlation_header() {
    let mut sip = Sip::default();
    sip.configure(r#"{"correlation_headers": ["X-First", "session-id", "Refer-To"]}"#)
        .expect("fine");
    for (headers, expected) in [
        ("Session-ID: s\r\nX-FIRST : f", Some("f")),
        ("X-First: f\r\nSession-ID: s", Some("f")),
        ("X-First:\r\nSession-ID: s", Some("s")),
        ("r: <sip:x@y>", Some("<sip:x@y>")),
        ("X-CID: c", None),
    ] {
        let item = format!("BYE sip:a@h SIP/2.0\r\n{headers}\r\n\r\n");
        assert_eq!(
            value(&rows_with(&mut sip, item.as_bytes())[0], "correlation"),
            expected
        );
    }
}

#[test]
fn custom_headers_get_fields_of_their_own() {
    let mut sip = Sip::default();
    sip.configure(r#"{"custom_headers": ["X-Trunk", "User-Agent"]}"#)
        .expect("fine");
    let names: Vec<_> = sip.describe().fields[field::COUNT..]
        .iter()
        .map(|one| one.name.clone())
        .collect();
    assert_eq!(
        names,
        ["custom_headers.X-Trunk", "custom_headers.User-Agent"]
    );
    let item = b"BYE sip:a@h SIP/2.0\r\nx-trunk: t1\r\nX-Trunk: t2\r\nUser-Agent: u\r\n\r\n";
    check_row(
        &rows_with(&mut sip, item)[0],
        &[
            ("custom_headers.X-Trunk", "t1"),
            ("custom_headers.User-Agent", "u"),
            ("user_agent", "u"),
        ],
    );
}

#[test]
fn refuses_a_bad_configuration_by_name() {
    let many = format!(
        "{{\"custom_headers\": {:?}}}",
        (0..65).map(|n| format!("X-{n}")).collect::<Vec<_>>()
    );
    for (configuration, named) in [
        ("[", "sip"),
        (r#"{"custom": []}"#, "`custom`"),
        (r#"{"custom_headers": ["X Y"]}"#, "`X Y`"),
        (r#"{"custom_headers": [""]}"#, "custom_headers"),
        (r#"{"custom_headers": ["A", "a"]}"#, "`a` is there twice"),
        (
            r#"{"correlation_headers": ["authorization"]}"#,
            "credentials",
        ),
        (&many, "65 names, 64 are allowed"),
    ] {
        let error = Sip::default()
            .configure(configuration)
            .expect_err(configuration);
        assert!(error.contains(named), "{error}");
    }
    assert_eq!(Sip::default().configure(""), Ok(()));
}

/// Lines and fragments that messages are made of, and some that they are not.
fn fragments() -> impl Strategy<Value = Vec<u8>> {
    let fragment = prop_oneof![
        Just(b"INVITE sip:a@h SIP/2.0\r\n".to_vec()),
        Just(b"SIP/2.0 200 OK\n".to_vec()),
        Just(b"Call-ID: x\r\n".to_vec()),
        Just(b"Content-Length: 7\r\n".to_vec()),
        Just(b"From: \"a\\\"\" <sip:a:b@h>;tag=\"1\r\n ;x\r\n".to_vec()),
        Just(b"Authorization: Digest a=\"b, c\r\n".to_vec()),
        Just(b"Via: SIP/2.0/UDP h;branch=\"a,\r\n".to_vec()),
        Just(b"\r\n".to_vec()),
        Just(b"SIP/2.0".to_vec()),
        proptest::collection::vec(any::<u8>(), 0..20),
    ];
    proptest::collection::vec(fragment, 0..30).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn pieces_end_to_end_are_the_item(item in fragments()) {
        let mut sip = Sip::default();
        let batch = Batch::of(&[&item], 0);
        let parsed = run(&mut sip, &batch);
        if parsed.verdicts == [0] {
            let pieces: Vec<u8> = parsed
                .cells
                .chunks_exact(field::COUNT)
                .flat_map(|row| Cell(row[field::MESSAGE]).resolve(&item, &[]).expect("a piece"))
                .copied()
                .collect();
            prop_assert_eq!(pieces, item);
        } else {
            prop_assert!(parsed.cells.is_empty());
        }
    }
}
