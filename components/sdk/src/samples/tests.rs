//! Samples are read or refused, and differences are told field by field.

use super::*;
use crate::{Accepts, Field, Kind, Packet, Rows, Verdict};

/// A parser with a field of each kind: an octet says what to do.
#[derive(Default)]
struct Kinds;

impl Parser for Kinds {
    fn describe(&self) -> Description {
        let fields = [
            ("text", Kind::Text),
            ("bytes", Kind::Bytes),
            ("address", Kind::Address),
            ("number", Kind::Number),
            ("real", Kind::Real),
            ("time", Kind::Time),
            ("signed", Kind::Signed),
            ("flag", Kind::Flag),
        ];
        Description::new("kinds", "0.1.0", Accepts::ProtocolTypes(vec![200]))
            .fields(fields.map(|(name, kind)| Field::new(name, kind)))
            .context(["source", "port", "offset"])
            .refuses(["bad"])
            .sets_aside(["ping"])
    }

    fn parse(&mut self, packet: &Packet<'_>, rows: &mut Rows<'_>) -> Verdict {
        match packet.bytes {
            [b'r', octets @ ..] => {
                let mut row = rows.row();
                row.text(0, octets);
                row.text(1, octets);
                row.text(2, packet.context_bytes(0).unwrap_or(&[192, 0, 2, 1]));
                row.number(3, packet.context_number(1).unwrap_or(7));
                row.real(4, 0.5);
                row.number(5, packet.received);
                if let Some(offset) = packet.context_signed(2) {
                    row.signed(6, offset - 1);
                    row.flag(7, offset > 0);
                }
                rows.row().number(3, 8);
                Verdict::PARSED
            }
            [b'b'] => Verdict::named(0),
            [b'p'] => Verdict::named(1),
            _ => Verdict::NOT_MINE,
        }
    }
}

fn check(samples: &str) -> Result<usize, String> {
    super::check(&mut Kinds, samples)
}

#[test]
fn samples_that_say_what_the_parser_says_are_good() {
    let samples = r#"[
        {"name": "text", "text": "rhi", "expect": [
            {"text": "hi", "bytes": {"hex": "68 69"}, "address": "192.0.2.1", "number": 7,
             "real": 0.5, "time": 1767225600000000},
            {"number": 8, "text": null}]},
        {"name": "hex", "hex": "72ff", "received": 5, "expect": [
            {"text": {"hex": "FF"}, "bytes": {"base64": "/w=="}, "address": "192.0.2.1",
             "number": 7, "real": 5e-1, "time": 5},
            {"number": 8}]},
        {"name": "context", "base64": "cg==", "received": 0,
         "context": {"source": {"address": "2001:db8::1"}, "port": 9}, "expect": [
            {"text": "", "bytes": "", "address": "2001:0db8::1", "number": 9, "real": 0.5,
             "time": 0},
            {"number": 8}]},
        {"name": "signed", "text": "r", "context": {"offset": -1}, "expect": [
            {"text": "", "bytes": "", "address": "192.0.2.1", "number": 7, "real": 0.5,
             "time": 1767225600000000, "signed": -2, "flag": false},
            {"number": 8}]},
        {"name": "flagged", "text": "r", "context": {"offset": {"signed": 1}}, "expect": [
            {"text": "", "bytes": "", "address": "192.0.2.1", "number": 7, "real": 0.5,
             "time": 1767225600000000, "signed": 0, "flag": true},
            {"number": 8}]},
        {"name": "bad", "text": "b", "expect": "bad"},
        {"name": "ping", "text": "p", "expect": "ping"},
        {"name": "another's", "text": "", "expect": "not_mine"}
    ]"#;
    assert_eq!(check(samples), Ok(8));
}

#[test]
fn every_difference_is_told() {
    for (sample, told) in [
        (
            r#""text": "b", "expect": "ping""#,
            "expected ping, but it was bad",
        ),
        (
            r#""text": "r", "expect": "bad""#,
            "expected bad, but it was parsed",
        ),
        (
            r#""text": "b", "expect": [{}]"#,
            "expected 1 rows, but it was bad",
        ),
        (
            r#""text": "r", "expect": [{}]"#,
            "expected 1 rows, but there are 2",
        ),
        (
            r#""text": "ra", "expect": [{"text": "b"}, {}]"#,
            r#"row 1, field `text`: expected "b", but it is "a""#,
        ),
        (
            r#""text": "r", "expect": [{}, {"number": 9}]"#,
            "row 2, field `number`: expected 9, but it is 8",
        ),
        (
            r#""text": "r", "expect": [{}, {}]"#,
            "row 2, field `number`: expected null, but it is 8",
        ),
        (
            r#""text": "r", "expect": [{"nothing": 1}, {}]"#,
            "row 1 of the sample cannot be: there is no field `nothing`",
        ),
        (
            r#""text": "r", "expect": [{"number": "7"}, {}]"#,
            r#"field `number`: "7" is not a number"#,
        ),
        (
            r#""text": "r", "expect": [{"number": -1}, {}]"#,
            "field `number`: -1 is no whole number from 0 on",
        ),
        (
            r#""text": "r", "expect": [{"signed": 9223372036854775807}, {}]"#,
            "field `signed`: the greatest signed number is null",
        ),
        (
            r#""text": "r", "expect": [{"signed": 9223372036854775808}, {}]"#,
            "field `signed`: 9223372036854775808 is no whole number of 64 bits with a sign",
        ),
        (
            r#""text": "r", "expect": [{"flag": 1}, {}]"#,
            "field `flag`: 1 is not true or false",
        ),
        (
            r#""text": "r", "expect": [{"address": "here"}, {}]"#,
            r#"field `address`: "here" is no address"#,
        ),
        (
            r#""text": "r", "expect": [{"text": 1}, {}]"#,
            "field `text`: 1 is not a text",
        ),
    ] {
        let report = check(&format!(r#"[{{"name": "it", {sample}}}]"#)).unwrap_err();
        assert!(report.starts_with("\"it\": "), "{report}");
        assert!(report.contains(told), "{report} tells not: {told}");
    }
}

#[test]
fn samples_that_cannot_be_used_are_refused_with_their_name() {
    for (sample, told) in [
        (
            r#""expect": "bad""#,
            "give one of `text`, `hex` and `base64`",
        ),
        (r#""text": "", "hex": "", "expect": "bad""#, "give one of"),
        (r#""hex": "0", "expect": "bad""#, "an odd number"),
        (r#""hex": "0x", "expect": "bad""#, "hexadecimal digits"),
        (r#""base64": "?", "expect": "bad""#, "`base64` is none"),
        (r#""text": "", "expect": []"#, "`expect` is a list of rows"),
        (r#""text": "", "expect": [1]"#, "a row is an object"),
        (
            r#""text": "", "expect": "bad", "context": {"sauce": 1}"#,
            "no context field `sauce`: this parser asks for source, port, offset",
        ),
        (
            r#""text": "", "expect": "bad", "context": {"port": 1.5}"#,
            "`port`: 1.5 is no whole number",
        ),
        (
            r#""text": "", "expect": "bad", "context": {"source": {"address": 1}}"#,
            "`source`: 1 is no address",
        ),
    ] {
        let report = check(&format!(r#"[{{"name": "it", {sample}}}]"#)).unwrap_err();
        assert!(report.starts_with("sample \"it\": "), "{report}");
        assert!(report.contains(told), "{report} tells not: {told}");
    }
    for (text, told) in [
        ("", "line 1"),
        ("{}", "expected a sequence"),
        (r#"[{"text": "", "expect": "bad"}]"#, "missing field `name`"),
        (r#"[{"name": "", "texte": ""}]"#, "unknown field `texte`"),
    ] {
        let report = check(text).unwrap_err();
        assert!(report.contains(told), "{report} tells not: {told}");
    }
}
