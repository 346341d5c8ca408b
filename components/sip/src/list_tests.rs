//! Headers that occur more than once, and messages that were cut short.

use crate::header::{LISTS, NAMES, long_name};
use crate::occurrence::{OCCURRENCES, Occurrence};
use crate::tests::{check, check_headers, check_row, rows, rows_with};
use crate::{MESSAGES_MAX, Sip, field};
use heplake_sdk::Parser;

/// RFC 3261 section 7.3.1 allows what RFC 9366 shows: several Reasons.
#[test]
fn all_values_of_a_list_are_kept_in_their_order() {
    let reasons = [
        "X.int;reasoncode=0x30A;add-info=0004.0001",
        "SIP;cause=200;text=\"a, b\"",
        "Q.850;cause=16",
    ];
    let line = |name: &str, value: &str| format!("{name}: {value}");
    let three = reasons.map(|value| line("Reason", value)).join("\r\n");
    let joined = reasons.join(", ");
    check_headers(&three, &[("reason", &joined)]);
    // However the lines are mixed, named and folded.
    let mixed = format!(
        "m: <sip:a@h>\r\nREASON : {}\r\nv: SIP/2.0/UDP x;branch=1\r\nFrom: <sip:f@h>\r\n\
         P-Asserted-Identity: <sip:+49@x>\r\nreason:\r\n {}\r\nContact: \"B\"\r\n\t<sip:b@h>\r\n\
         reason:\r\nDiversion: <sip:d@h>\r\nVia: SIP/2.0/UDP y;branch=2\r\nFrom: <sip:g@h>\r\n\
         p-asserted-IDENTITY: <tel:+49>\r\nReason: {}\r\nDiversion: <sip:e@h>,<sip:f@h>\r\n\
         Remote-Party-ID: <sip:r@h>;party=calling\r\nremote-party-id: <sip:s@h>;party=called",
        reasons[0], reasons[1], reasons[2]
    );
    let expected = [
        ("reason", joined.as_str()),
        ("contact", "<sip:a@h>, \"B\" <sip:b@h>"),
        ("via", "SIP/2.0/UDP x;branch=1, SIP/2.0/UDP y;branch=2"),
        ("branch", "1"),
        ("p_asserted_identity", "<sip:+49@x>, <tel:+49>"),
        ("diversion", "<sip:d@h>, <sip:e@h>,<sip:f@h>"),
        (
            "remote_party_id",
            "<sip:r@h>;party=calling, <sip:s@h>;party=called",
        ),
        ("caller", "f"),
    ];
    check_headers(&mixed, &expected);
    // All lines folded, with other line ends.
    let folded = mixed.replace(": ", ":\r\n  ");
    check_headers(&folded, &expected);
    check_headers(&folded.replace("\r\n", "\n"), &expected);
}

#[test]
fn the_values_of_one_message_are_none_of_the_next() {
    let message = |n: usize| {
        format!("BYE sip:a@h SIP/2.0\r\nReason: a{n}\r\nReason: b{n}\r\nContent-Length: 0\r\n\r\n")
    };
    let item: String = (0..MESSAGES_MAX).map(message).collect();
    let rows = rows(item.as_bytes());
    assert_eq!(rows.len(), MESSAGES_MAX);
    for (n, row) in rows.iter().enumerate() {
        check_row(row, &[("reason", &format!("a{n}, b{n}"))]);
    }
}

#[test]
fn of_a_header_that_is_no_list_the_first_counts() {
    check_headers(
        "User-Agent: one\r\nUser-Agent: two\r\nSession-ID: a\r\nSession-ID: b\r\n\
         Authorization: Digest realm=\"r\"\r\nProxy-Authorization: Digest realm=\"s\"",
        &[
            ("user_agent", "one"),
            ("session_id_header", "a"),
            ("authorization", "Digest realm=\"r\""),
        ],
    );
}

#[test]
fn a_custom_header_that_is_a_list_keeps_all_values() {
    let mut sip = Sip::default();
    let custom = r#"{"custom_headers": ["Warning", "X-Trunk", "k", "P-Preferred-Identity"]}"#;
    sip.configure(custom).expect("fine");
    let item =
        b"BYE sip:a@h SIP/2.0\r\nWarning: 399 a \"x\"\r\nX-Trunk: 1\r\nk: timer\r\nX-Trunk: 2\r\n\
        Supported:\r\n 100rel\r\nWARNING: 399 b \"y\"\r\n\
        P-Preferred-Identity: <sip:a:pw@h>\r\nP-Preferred-Identity: <sip:b:pw@h>\r\n\r\n";
    check_row(
        &rows_with(&mut sip, item)[0],
        &[
            ("custom_headers.Warning", "399 a \"x\", 399 b \"y\""),
            ("custom_headers.X-Trunk", "1"),
            ("custom_headers.k", "timer, 100rel"),
            (
                "custom_headers.P-Preferred-Identity",
                "<sip:a:***@h>, <sip:b:***@h>",
            ),
        ],
    );
}

/// A new header has to be looked up in its RFC before it is extracted.
#[test]
fn every_header_that_is_extracted_is_said_to_be_a_list_or_not() {
    for (name, header) in NAMES {
        let known = OCCURRENCES
            .iter()
            .find(|(known, _, _)| *known == long_name(name));
        let Some((_, occurrence, source)) = known else {
            panic!("{} is not in occurrence.rs", name.escape_ascii());
        };
        assert!(!source.is_empty());
        assert_eq!(
            header.is_list(),
            *occurrence == Occurrence::List,
            "{}",
            name.escape_ascii()
        );
    }
    let fields = NAMES.iter().filter(|(_, header)| header.is_list());
    let fields = fields.fold(0, |set, (_, header)| set | 1 << header.field());
    assert_eq!(fields, LISTS, "a bit for each list and no other");
    let mut names: Vec<_> = OCCURRENCES.iter().map(|(name, _, _)| *name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), OCCURRENCES.len(), "no name is there twice");
}

/// A message with a value in every header, and each of its prefixes.
#[test]
fn nothing_is_invented_of_a_message_that_was_cut_short() {
    let whole = "INVITE sip:bob@biloxi.example.com SIP/2.0\r\n\
        Via: SIP/2.0/UDP a.example.com;branch=z9hG4bK74b43\r\n\
        Via: SIP/2.0/UDP b.example.com;branch=z9hG4bK74b44\r\n\
        From: \"Alice\" <sip:alice@atlanta.example.com>;tag=9fxced76sl\r\n\
        To: Bob <sip:+4930;npdi@biloxi.example.com>;tag=314159\r\n\
        Call-ID: 3848276298220188511@atlanta.example.com\r\n\
        CSeq: 2 INVITE\r\n\
        Contact: <sip:alice@client.example.com>,\r\n <sip:b@client.example.com>\r\n\
        P-Asserted-Identity: <sip:alice@h>\r\n\
        Reason: SIP;cause=200\r\n\
        Reason: Q.850;cause=16\r\n\
        Authorization: Digest username=\"alice\", realm=\"a\"\r\n\
        X-CID: leg-a\r\n\
        Content-Type: application/sdp\r\n\
        Content-Length: 50\r\n\
        \r\n\
        v=0\r\no=- 1 1 IN IP4 a\r\n";
    let first_line = whole.find('\n').expect("a line") + 1;
    let all = rows(whole.as_bytes()).remove(0);
    for end in first_line..whole.len() {
        let cut = &whole[..end];
        let lines_end = cut.rfind('\n').expect("a line") + 1;
        // A folded line belongs to the one before it.
        let lines_end = match &whole[lines_end..] {
            next if next.starts_with(' ') && end > lines_end => cut.rfind("Contact").expect("it"),
            _ => lines_end,
        };
        let row = rows(cut.as_bytes()).remove(0);
        let of_whole_lines = rows(&whole.as_bytes()[..lines_end]).remove(0);
        assert_eq!(row[1..], of_whole_lines[1..], "{cut}");
        check_row(&row, &[("message", cut)]);
        for (name, value) in &row[1..] {
            let (_, known) = all.iter().find(|(field, _)| field == name).expect(name);
            let is_list = ["via", "reason", "contact"].contains(&name.as_str());
            assert!(
                value == known || is_list && known.starts_with(value),
                "{name}"
            );
        }
    }
}

#[test]
fn a_status_line_that_was_cut_short_has_no_reason_and_a_whole_code_or_is_none() {
    check(
        "SIP/2.0 183 Session Prog",
        &[("response_code", "183"), ("response_reason", "-")],
    );
    check("SIP/2.0 183 ", &[("response_code", "183")]);
    check(
        "\0\0SIP/2.0 183 Session Prog",
        &[("response_code", "183"), ("response_reason", "-")],
    );
    for cut in ["SIP/2.0 183", "SIP/2.0 18", "SIP/2.0 "] {
        assert_eq!(rows(cut.as_bytes()), Vec::<Vec<(String, String)>>::new());
    }
    check("BYE sip:a@h SIP/2.0", &[("method", "BYE")]);
}

/// Lines that alternate between two lists cost no more than their bytes.
#[test]
fn many_lines_of_several_lists_are_joined_once() {
    let lines = "Via: a\r\nReason: b\r\nContact: c\r\n".repeat(2000);
    let item = format!("BYE sip:a@h SIP/2.0\r\n{lines}\r\n");
    let parsed = heplake_sdk::run(&mut Sip::default(), &heplake_sdk::Batch::of(&[&item], 0));
    assert!(
        parsed.scratch.len() <= 2 * item.len(),
        "{}",
        parsed.scratch.len()
    );
    let length = |field: usize| parsed.cells[field] >> 32;
    assert_eq!(length(field::VIA), 2000 * 3 - 2);
    assert_eq!(length(field::REASON), 2000 * 3 - 2);
    assert_eq!(length(field::CONTACT), 2000 * 3 - 2);
}
