//! Captures of real senders through envelope, parser and router, natively.
#![expect(
    clippy::expect_used,
    reason = "a capture that cannot be read fails the test"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use heplake_hep::{Hep, field as envelope};
use heplake_sdk::{Batch, Cell, Parsed, RouteBatch, Router, route, run};
use heplake_sip::{Sip, field};
use heplake_sip_router::SipRouter;

/// When the captures were made, µs since 1970: 2026-11-22.
const RECEIVED: u64 = 1_795_330_000_000_000;

/// Rows by table, as the captures' own README has them.
const EXPECTED: [(&str, &str); 19] = [
    (
        "asterisk-22.10-udp.pcap",
        "1_call 77, 1_default 12, 1_registration 8, 5_default 88",
    ),
    (
        "captagent-6-udp-plain.pcap",
        "1_call 35, 1_default 6, 1_registration 4, 5_default 24",
    ),
    (
        "hep-js-1.0.22.pcap",
        "100_default 1, 101_default 1, 1_call 6, 232_default 1, 34_default 1, 35_default 1, \
         5_default 1",
    ),
    (
        "heplify-2.0.25-tcp.pcap",
        "1_call 19, 1_default 6, 1_registration 2",
    ),
    (
        "heplify-2.0.25-tcp.stream",
        "1_call 19, 1_default 6, 1_registration 2",
    ),
    (
        "heplify-2.0.25-udp-dns.pcap",
        "1_call 19, 1_default 6, 1_registration 2, 53_default 4",
    ),
    (
        "heplify-2.0.25-udp-siplog-zip.pcap",
        "100_default 3, 1_call 19, 1_default 6, 1_registration 2",
    ),
    (
        "heplify-2.0.25-udp.pcap",
        "1_call 46, 1_default 12, 1_registration 4",
    ),
    (
        "kamailio-5.6.3-hep1-udp-mode1.pcap",
        "1_call 34, 1_default 14, 1_registration 4",
    ),
    (
        "kamailio-5.6.3-hep2-udp-ip6.pcap",
        "1_call 43, 1_default 14, 1_registration 4",
    ),
    (
        "kamailio-5.6.3-hep2-udp-mode1.pcap",
        "1_call 34, 1_default 14, 1_registration 4",
    ),
    (
        "kamailio-5.6.3-hep3-tcp-mode1.pcap",
        "100_default 8, 1_call 34, 1_default 14, 1_registration 4",
    ),
    (
        "kamailio-5.6.3-hep3-tcp-mode1.stream",
        "100_default 8, 1_call 34, 1_default 14, 1_registration 4",
    ),
    (
        "kamailio-5.6.3-hep3-udp-ip6.pcap",
        "1_call 43, 1_default 14, 1_registration 4",
    ),
    (
        "kamailio-5.6.3-hep3-udp-mode1.pcap",
        "100_default 8, 1_call 34, 1_default 14, 1_registration 4",
    ),
    ("rtpengine-10.5.3-udp.pcap", "5_default 14"),
    ("sngrep-1.6.0-hep2.pcap", "1_call 18"),
    ("sngrep-1.6.0-hep3-ip6.pcap", "1_call 18"),
    ("sngrep-1.6.0-hep3.pcap", "1_call 18"),
];

#[test]
fn captures_give_the_rows_of_their_readme() {
    for (file, expected) in EXPECTED {
        let mut tables = BTreeMap::<String, usize>::new();
        for packet in packets(file) {
            let table = match packet.proto_type.expect("a proto type") {
                1 => table_of_sip(&packet.payload),
                other => format!("{other}_default"),
            };
            *tables.entry(table).or_default() += 1;
        }
        let found: Vec<_> = tables
            .iter()
            .map(|(table, count)| format!("{table} {count}"))
            .collect();
        assert_eq!(found.join(", "), expected, "{file}");
    }
}

#[test]
fn every_captured_packet_has_its_ends_and_a_sensible_time() {
    for (file, _) in EXPECTED {
        for packet in packets(file) {
            assert!(
                packet.ends.iter().all(Option::is_some),
                "{file}: an address or port is missing"
            );
            let day = 86_400_000_000;
            match packet.timestamp {
                Some(time) => assert!(time.abs_diff(RECEIVED) < day, "{file}: {time}"),
                None => assert!(file.contains("hep1"), "{file}: no time"),
            }
        }
    }
}

#[test]
fn every_captured_sip_message_has_what_a_search_needs() {
    for (file, _) in EXPECTED {
        for packet in packets(file)
            .iter()
            .filter(|packet| packet.proto_type == Some(1))
        {
            let parsed = run(
                &mut Sip::default(),
                &Batch::of(&[&packet.payload], RECEIVED),
            );
            for name in [
                field::CALL_ID,
                field::CSEQ_METHOD,
                field::FROM_HOST,
                field::FROM_TAG,
                field::TO_HOST,
                field::AOR,
                field::VIA,
                field::BRANCH,
            ] {
                let missing = cell(&parsed, name, &packet.payload).is_none();
                assert!(
                    !missing,
                    "{file}: field {name} of {}",
                    packet.payload.escape_ascii()
                );
            }
        }
    }
}

#[test]
fn every_prefix_of_every_datagram_is_read_or_refused() {
    for (file, _) in EXPECTED {
        for item in items(file) {
            for end in 0..item.len() {
                let batch = Batch::of(&[&item[..end]], RECEIVED);
                let parsed = run(&mut Hep::default(), &batch);
                // HEP 3 says its length, so a part of it is a packet only if it ends within
                // the payload, and then it is flagged.
                let version3 = item.starts_with(b"HEP3") || item.starts_with(&[0x1f, 0x8b]);
                let rows = parsed.cells.chunks_exact(envelope::COUNT);
                let mut flags = rows.map(|row| row[envelope::TRUNCATED] == 1);
                assert!(
                    !version3 || flags.all(|is_truncated| is_truncated),
                    "{file}: {end} bytes are a packet"
                );
            }
        }
    }
}

#[test]
fn every_prefix_of_every_sip_message_is_read_or_refused() {
    for (file, _) in EXPECTED {
        for packet in packets(file)
            .iter()
            .filter(|packet| packet.proto_type == Some(1))
        {
            let prefixes: Vec<_> = (0..packet.payload.len())
                .map(|end| &packet.payload[..end])
                .collect();
            let parsed = run(&mut Sip::default(), &Batch::of(&prefixes, RECEIVED));
            // From the end of the start line on, every prefix is a message.
            let line = packet
                .payload
                .iter()
                .position(|byte| *byte == b'\n')
                .expect("a line");
            assert!(
                parsed.verdicts[line + 1..]
                    .iter()
                    .all(|verdict| *verdict == 0),
                "{file}"
            );
        }
    }
}

/// What the envelope says of one packet.
struct Packet {
    proto_type: Option<u64>,
    timestamp: Option<u64>,
    ends: [Option<u64>; 4],
    payload: Vec<u8>,
}

fn packets(file: &str) -> Vec<Packet> {
    let items = items(file);
    let batch = Batch::of(&items, RECEIVED);
    let parsed = run(&mut Hep::default(), &batch);
    assert!(
        parsed.verdicts.iter().all(|verdict| *verdict == 0),
        "{file}: {:?}",
        parsed.verdicts
    );
    parsed
        .cells
        .chunks_exact(envelope::COUNT)
        .map(|row| {
            let number = |field: usize| Some(row[field]).filter(|cell| *cell != u64::MAX);
            Packet {
                proto_type: number(envelope::PROTO_TYPE),
                timestamp: number(envelope::TIMESTAMP),
                ends: [
                    envelope::SRC_IP,
                    envelope::DST_IP,
                    envelope::SRC_PORT,
                    envelope::DST_PORT,
                ]
                .map(number),
                payload: Cell(row[envelope::PAYLOAD])
                    .resolve(&batch.bytes, &parsed.scratch)
                    .expect("a payload")
                    .to_vec(),
            }
        })
        .collect()
}

fn table_of_sip(payload: &[u8]) -> String {
    let parsed = run(&mut Sip::default(), &Batch::of(&[payload], RECEIVED));
    assert_eq!(parsed.verdicts, [0], "{}", payload.escape_ascii());
    assert_eq!(parsed.items, [0], "{}", payload.escape_ascii());
    assert_eq!(cell(&parsed, field::MESSAGE, payload), Some(payload));
    let cells = [
        parsed.cells[field::METHOD],
        parsed.cells[field::CSEQ_METHOD],
    ];
    let places = route(
        &mut SipRouter,
        &RouteBatch {
            bytes: payload,
            cells: &cells,
            rows: 1,
        },
    );
    let name = SipRouter.describe().tables[places[0] as usize].name.clone();
    name.replace("hep_proto_", "")
}

fn cell<'a>(parsed: &'a Parsed, field: usize, payload: &'a [u8]) -> Option<&'a [u8]> {
    Cell(parsed.cells[field]).resolve(payload, &parsed.scratch)
}

/// The datagrams of a capture, or the frames of a stream.
fn items(file: &str) -> Vec<Vec<u8>> {
    let bytes = fs::read(captures().join(file)).expect(file);
    if file.ends_with(".stream") {
        frames(&bytes)
    } else {
        datagrams(&bytes)
    }
}

fn captures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/captures")
}

fn frames(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    while !bytes.is_empty() {
        let length = usize::from(u16::from_be_bytes([bytes[4], bytes[5]]));
        frames.push(bytes[..length].to_vec());
        bytes = &bytes[length..];
    }
    frames
}

/// The UDP payloads of a little-endian pcap of raw IPv4 packets.
fn datagrams(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    assert_eq!(bytes[..4], [0xd4, 0xc3, 0xb2, 0xa1]);
    assert_eq!(bytes[20..24], [101, 0, 0, 0], "link type raw IP");
    bytes = &bytes[24..];
    let mut datagrams = Vec::new();
    while !bytes.is_empty() {
        let length = u32::from_le_bytes(bytes[8..12].try_into().expect("4 bytes")) as usize;
        let packet = &bytes[16..16 + length];
        let ip_header = usize::from(packet[0] & 0x0f) * 4;
        datagrams.push(packet[ip_header + 8..].to_vec());
        bytes = &bytes[16 + length..];
    }
    datagrams
}
