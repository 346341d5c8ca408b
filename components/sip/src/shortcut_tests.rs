//! What is read by the marks in a window is read as it would be without.

use heplake_sdk::{Accepts, Batch, Description, Packet, Parser, Rows, Verdict, run};
use proptest::prelude::*;

use crate::start_line::StartLine;
use crate::text::{SLACK, Span, Text};
use crate::uri::Address;
use crate::value;
use crate::via::Via;

/// Compares both ways for each item.
#[derive(Default)]
struct Comparison;

impl Parser for Comparison {
    fn describe(&self) -> Description {
        Description::new("comparison", "0.1.0", Accepts::Datagrams)
    }

    fn parse(&mut self, packet: &Packet<'_>, _: &mut Rows<'_>) -> Verdict {
        if packet.ahead().len() >= packet.bytes.len() + SLACK {
            compare(&Text {
                bytes: packet.bytes,
                ahead: packet.ahead(),
                origin: packet.origin(),
            });
        }
        Verdict::NOT_MINE
    }
}

fn compare(text: &Text<'_>) {
    assert_eq!(StartLine::at(text, 0), StartLine::any(text, 0));
    let value = text.trimmed(Span::new(0, text.bytes.len()));
    if value.is_empty() {
        return;
    }
    let (named, open) = Address::bracket(text, value);
    let (quick, long) = (Address::parse(text, value), Address::any(text, named, open));
    let parts = |address: &Address| {
        let Address { uri, tag } = address;
        let user_at_host = uri.user_at_host.map(|both| text.slice(both));
        let parts = [uri.user, uri.host, *tag].map(|part| text.slice(part));
        (parts, user_at_host)
    };
    assert_eq!(parts(&quick), parts(&long));
    let (quick, long) = (Via::parse(text, value), Via::any(text, value));
    assert_eq!(text.slice(quick.top), text.slice(long.top));
    assert_eq!(text.slice(quick.branch), text.slice(long.branch));
    let (quick, long) = (
        value::cseq_method(text, value),
        value::any_cseq_method(text, value),
    );
    assert_eq!(text.slice(quick), text.slice(long));
    let digits = text.slice(value);
    assert_eq!(value::number(text, value), value::long_number(digits));
}

/// Parts of values, some of which make them longer than a window.
fn parts() -> impl Strategy<Value = Vec<u8>> {
    let part = proptest::sample::select(vec![
        "\"",
        "\\",
        "<",
        ">",
        "sip:",
        "SIP:",
        "tel:",
        "@",
        ":",
        ";",
        ";tag=",
        ";Tag=a",
        "tag",
        ",",
        " ",
        "\t",
        "[::1]",
        "?",
        "=",
        "a",
        "alice",
        "7",
        "5060",
        "12345678",
        "1 INVITE",
        "4294967295 REGISTER",
        ";branch=",
        ";branch=z9hG4bK",
        ";rport",
        ";Branch =\"x\"",
        "SIP/2.0",
        "SIP/2.0 200 OK\r\n",
        "INVITE ",
        " SIP/2.0\r\n",
        "\r",
        "\n",
        "\r\n",
        "SIP/2.0/UDP 192.0.2.1:5060",
        "example.example.example.example",
        "é",
        "<sip:a@h>;tag=",
    ]);
    proptest::collection::vec(part, 1..12).prop_map(|parts| parts.concat().into_bytes())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn agree(value in parts(), behind in parts()) {
        let behind = [behind, vec![b';'; SLACK]].concat();
        run(&mut Comparison, &Batch::of(&[value, behind], 0));
    }
}
