//! What an edge writes for what it receives: no input has it write more than a bound.

use crate::rows::{Rows, hep3, rows_of};
use serde_json::Value;

/// A gzipped frame of four HEP packets, each with 64 short messages and a node name of 62 000
/// control characters: 1.4 kB that were 99 MB of `data_extra`.
const LONG_NODE_NAMES: &[u8] = include_bytes!("../../inputs/long-node-names.gz");

/// Bytes of all columns for a byte of an unpacked packet. Ordinary SIP has three; a message of
/// 13 bytes has a row with a UUID, addresses and names of members.
const WRITTEN_MAX: usize = 100;

fn written(rows: &Rows) -> usize {
    let cells = rows.iter().flat_map(|(_, row)| row.values());
    cells.map(String::len).sum()
}

fn extra(row: &std::collections::BTreeMap<String, String>) -> Value {
    serde_json::from_str(&row["data_extra"]).unwrap()
}

#[test]
fn a_long_text_of_the_envelope_is_written_once_and_cut_in_the_other_rows() {
    let rows = rows_of(&[LONG_NODE_NAMES.to_vec()]);
    assert_eq!(rows.len(), 4 * 64);
    let (mut whole, mut bytes) = (0, 0);
    for (table, row) in &rows {
        assert_eq!(table, "hep_proto_1_call");
        bytes += row["data_extra"].len();
        let extra = extra(row);
        let name = extra["node_name"].as_str().unwrap();
        if name.len() == 62_000 {
            whole += 1;
            assert_eq!(extra.get("envelope_cut"), None);
        } else {
            assert_eq!(name, "\u{1}".repeat(10));
            assert_eq!(extra["envelope_cut"], true);
        }
    }
    assert_eq!(whole, 4, "one a packet");
    // Six bytes for each of the control characters, once.
    assert!((1_488_000..1_600_000).contains(&bytes), "{bytes}");
}

#[test]
fn short_texts_of_the_envelope_stand_in_every_row() {
    let payload = b"BYE sip:a SIP/2.0\r\nl: 0\r\n\r\n".repeat(64);
    let id = "3848276298220188511@atlanta.example.com";
    let packet = hep3(&[
        (0x0b, &[1]),
        (0x13, b"edge-1.example.com"),
        (0x11, id.as_bytes()),
        (0x0f, &payload),
    ]);
    let rows = rows_of(&[packet]);
    assert_eq!(rows.len(), 64);
    for (_, row) in rows {
        let extra = extra(&row);
        assert_eq!(extra["node_name"], "edge-1.example.com");
        assert_eq!(extra.get("envelope_cut"), None);
        assert_eq!((&*row["cid"], &*row["session_id"]), (id, id));
    }
}

#[test]
fn no_input_has_more_written_than_a_bound() {
    let tiny = b"A b: SIP/2.0\n".repeat(64);
    let with = |kind: u16, text: &[u8]| hep3(&[(0x0b, &[1]), (kind, text), (0x0f, &tiny)]);
    let sip = |headers: &[u8]| {
        let start = b"REGISTER sip:a SIP/2.0\r\n";
        hep3(&[
            (0x0b, &[1]),
            (0x0f, &[&start[..], headers, b"\r\n\r\n"].concat()),
        ])
    };
    let header = |name: &str, value: Vec<u8>| sip(&[name.as_bytes(), &value].concat());
    let texts = [0x11, 0x13, 0x22, 0x24, 0x26, 0x29, 0x65];
    let all = |length: usize| {
        let text = vec![1; length];
        let mut chunks: Vec<(u16, &[u8])> = texts.iter().map(|kind| (*kind, &*text)).collect();
        chunks.extend([(0x0b, &[1][..]), (0x0f, &tiny)]);
        hep3(&chunks)
    };
    let inputs: Vec<(&str, Vec<u8>)> = vec![
        (
            "control characters in a node name",
            with(0x13, &vec![1; 62_000]),
        ),
        ("letters in a node name", with(0x13, &vec![b'a'; 62_000])),
        (
            "a node name that is no UTF-8",
            with(0x13, &vec![0xff; 62_000]),
        ),
        ("a long correlation id", with(0x11, &vec![1; 62_000])),
        ("all texts long", all(8_000)),
        ("all texts of a kilobyte as written", all(170)),
        ("all texts as short as every row has them", all(10)),
        ("messages of 13 bytes", hep3(&[(0x0b, &[1]), (0x0f, &tiny)])),
        (
            "many packets that HEP has no type for",
            hep3(&[(0x0b, &[1, 0]), (0x0f, b"x")]).repeat(1000),
        ),
        (
            "many packets of a type without parser",
            hep3(&[(0x0b, &[99]), (0x0f, b"x")]).repeat(1000),
        ),
        (
            "packets without anything",
            hep3(&[(0x0f, b"")]).repeat(1000),
        ),
        (
            "control characters in a header",
            header("User-Agent: ", vec![1; 60_000]),
        ),
        ("a long Contact", header("Contact: ", vec![1; 60_000])),
        (
            "a long correlation header",
            header("X-Call-ID: ", vec![1; 60_000]),
        ),
        (
            "a long From",
            header(
                "From: sip:1;npdi=",
                [vec![1; 60_000], b"@h".to_vec()].concat(),
            ),
        ),
        (
            "a long To",
            header("To: sip:1%41", [vec![1; 60_000], b"@h".to_vec()].concat()),
        ),
        (
            "many credentials",
            header("Authorization: Digest ", b"a,".repeat(30_000)),
        ),
        (
            "many passwords",
            header("Contact: ", b"a:b@,".repeat(12_000)),
        ),
        (
            "many lines of a list",
            sip(&b"v:\x01\r\nReason:\x01\r\nm:\x01\r\n".repeat(2_500)),
        ),
        (
            "many folded lines",
            sip(&b"v:\x01\r\n \x01\r\n".repeat(5_000)),
        ),
        (
            "a payload that is no UTF-8",
            header("Subject: ", vec![0xff; 60_000]),
        ),
        ("what is refused", vec![0xff; 60_000]),
        (
            "long node names in a gzipped frame",
            LONG_NODE_NAMES.to_vec(),
        ),
    ];
    for (name, packet) in inputs {
        let unpacked = match packet.starts_with(&[0x1f, 0x8b]) {
            // Of a gzipped frame the last four octets are its length.
            true => packet
                .last_chunk()
                .map_or(0, |length| u32::from_le_bytes(*length)) as usize,
            false => packet.len(),
        };
        let rows = rows_of(&[packet]);
        let written = written(&rows);
        assert!(!rows.is_empty(), "{name}");
        assert!(
            written <= WRITTEN_MAX * unpacked,
            "{name}: {written} bytes of {unpacked}, {} for one",
            written / unpacked
        );
    }
}
