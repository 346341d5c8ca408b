use std::io::Write;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use heplake_sdk::{Batch, Cell, Kind, Parser, run};
use proptest::prelude::*;

use super::{ASIDE, Hep, PACKETS_MAX, Rejection, chunk, field, inflate};

/// 2026-11-22, µs since 1970.
const RECEIVED: u64 = 1_795_330_000_000_000;
const SECONDS: u32 = 1_795_329_000;

/// What an item gives: its rows as `name=value` of all fields that are not null, or the
/// name of its verdict.
fn read(item: &[u8]) -> Result<Vec<Vec<String>>, String> {
    let description = Hep::default().describe();
    let parsed = run(&mut Hep::default(), &Batch::of(&[item], RECEIVED));
    if let code @ 1.. = parsed.verdicts[0] {
        assert!(parsed.cells.is_empty());
        return Err(description.verdicts[code as usize - 2].name.clone());
    }
    let show = |(field, cell): (&heplake_sdk::Field, &u64)| {
        let bytes = || Cell(*cell).resolve(item, &parsed.scratch).expect("a span");
        let shown = match field.kind {
            _ if *cell == u64::MAX => return None,
            Kind::Number | Kind::Time | Kind::Flag => cell.to_string(),
            Kind::Address => format!("{:?}", bytes()),
            _ => bytes().escape_ascii().to_string(),
        };
        Some(format!("{}={shown}", field.name))
    };
    let rows = parsed.cells.chunks_exact(field::COUNT);
    Ok(rows
        .map(|row| {
            description
                .fields
                .iter()
                .zip(row)
                .filter_map(show)
                .collect()
        })
        .collect())
}

/// A chunk of a vendor.
fn vendor_chunk(vendor: u16, kind: usize, value: &[u8]) -> Vec<u8> {
    let mut chunk = vendor.to_be_bytes().to_vec();
    chunk.extend((kind as u16).to_be_bytes());
    chunk.extend((value.len() as u16 + 6).to_be_bytes());
    chunk.extend(value);
    chunk
}

fn chunk(kind: usize, value: &[u8]) -> Vec<u8> {
    vendor_chunk(0, kind, value)
}

/// A packet of these chunks.
fn hep3(chunks: &[Vec<u8>]) -> Vec<u8> {
    let body = chunks.concat();
    let mut packet = b"HEP3".to_vec();
    packet.extend((body.len() as u16 + 6).to_be_bytes());
    packet.extend(body);
    packet
}

fn payload() -> Vec<u8> {
    chunk(chunk::PAYLOAD, b"x")
}

/// Checks that a packet of a payload and these chunks has just these other fields.
#[track_caller]
fn check(chunks: &[Vec<u8>], expected: &[&str]) {
    let mut all = vec![payload()];
    all.extend_from_slice(chunks);
    let mut rows = read(&hep3(&all)).expect("a row");
    rows[0].retain(|field| field != "version=3" && field != "payload=x");
    assert_eq!(rows, [expected]);
}

#[track_caller]
fn refused(item: &[u8], name: &str) {
    assert_eq!(read(item), Err(name.to_owned()));
}

#[test]
fn reads_every_chunk() {
    let chunks = [
        chunk(chunk::IP_FAMILY, &[2]),
        chunk(chunk::IP_PROTOCOL, &[17]),
        chunk(chunk::SRC_IP4, &[192, 0, 2, 1]),
        chunk(chunk::DST_IP4, &[192, 0, 2, 2]),
        chunk(chunk::SRC_PORT, &5060_u16.to_be_bytes()),
        chunk(chunk::DST_PORT, &5061_u16.to_be_bytes()),
        chunk(chunk::SECONDS, &SECONDS.to_be_bytes()),
        chunk(chunk::MICROSECONDS, &42_u32.to_be_bytes()),
        chunk(chunk::PROTO_TYPE, &[1]),
        chunk(chunk::CAPTURE_ID, &2001_u32.to_be_bytes()),
        chunk(chunk::KEEP_ALIVE_TIMER, &[0, 9]),
        chunk(0x0e, b"secret"),
        chunk(chunk::CORRELATION_ID, b"cid"),
        chunk(chunk::VLAN, &[0, 7]),
        chunk(chunk::NODE_NAME, b"edge"),
        chunk(chunk::SRC_MAC, &[0, 0, 1, 2, 3, 4, 5, 0xff]),
        chunk(chunk::DST_MAC, &[1, 2, 3, 4, 5, 6]),
        chunk(chunk::ETHERTYPE, &[8, 0]),
        chunk(chunk::TCP_FLAGS, &[0x18]),
        chunk(chunk::IP_TOS, &[0x68]),
        chunk(chunk::MOS, &450_u16.to_be_bytes()),
        chunk(chunk::R_FACTOR, &93_u16.to_be_bytes()),
        chunk(chunk::GEO, b"geo"),
        chunk(chunk::JITTER, &5_u32.to_be_bytes()),
        chunk(chunk::TRANSACTION_TYPE, b"call"),
        chunk(0x25, b"keys"),
        chunk(chunk::TAGS, b"tags"),
        chunk(chunk::EVENT_TYPE, &[0, 2]),
        chunk(chunk::GROUP_ID, b"group"),
        vendor_chunk(3, 0x65, b"{}"),
    ];
    let expected = [
        "protocol=17",
        "src_ip=[192, 0, 2, 1]",
        "dst_ip=[192, 0, 2, 2]",
        "src_port=5060",
        "dst_port=5061",
        "timestamp=1795329000000042",
        "proto_type=1",
        "node_id=2001",
        "correlation_id=cid",
        "node_name=edge",
        "vlan=7",
        "tcp_flags=24",
        "ip_tos=104",
        "mos=450",
        "r_factor=93",
        "jitter=5",
        "src_mac=01:02:03:04:05:ff",
        "dst_mac=01:02:03:04:05:06",
        "ethertype=2048",
        "geo=geo",
        "transaction_type=call",
        "tags=tags",
        "group_id=group",
        "event_type=2",
        "opensips_correlation={}",
        "keep_alive_timer=9",
    ];
    check(&chunks, &expected);
    // The order of chunks is free.
    let reversed: Vec<_> = chunks.iter().rev().cloned().collect();
    check(&reversed, &expected);
}

#[test]
fn never_extracts_the_authentication_key() {
    let parsed = run(
        &mut Hep::default(),
        &Batch::of(&[hep3(&[payload(), chunk(0x0e, b"secret")])], 0),
    );
    assert!(
        parsed
            .cells
            .iter()
            .all(|cell| *cell == u64::MAX || *cell == 3 || cell >> 32 == 1)
    );
}

#[test]
fn reads_eep() {
    let mut packet = hep3(&[payload()]);
    packet[0] = b'E';
    assert_eq!(read(&packet).expect("a row"), [["version=3", "payload=x"]]);
}

#[test]
fn reads_the_usual_chunks_in_any_order() {
    let usual = [
        chunk(chunk::IP_FAMILY, &[2]),
        chunk(chunk::IP_PROTOCOL, &[17]),
        chunk(chunk::SRC_IP4, &[192, 0, 2, 1]),
        chunk(chunk::DST_IP4, &[192, 0, 2, 2]),
        chunk(chunk::SRC_PORT, &[0x13, 0xc4]),
        chunk(chunk::DST_PORT, &[0x13, 0xc5]),
        chunk(chunk::SECONDS, &SECONDS.to_be_bytes()),
        chunk(chunk::MICROSECONDS, &5_u32.to_be_bytes()),
        chunk(chunk::PROTO_TYPE, &[1]),
        chunk(chunk::CAPTURE_ID, &[0x07, 0xd1, 0, 0]),
    ];
    let addresses_last = [0, 1, 4, 5, 6, 7, 8, 9, 2, 3].map(|at| usual[at].clone());
    let odd = [9, 8, 7, 6, 5, 4, 3, 2, 1, 0].map(|at| usual[at].clone());
    let shown = read(&hep3(&[&odd[..], &[payload()]].concat())).expect("a row");
    assert!(shown[0].contains(&"node_id=2001".to_owned()), "{shown:?}");
    for chunks in [&usual, &addresses_last] {
        let packet = hep3(&[&chunks[..], &[payload()]].concat());
        assert_eq!(read(&packet), Ok(shown.clone()));
        // A chunk behind the usual ones counts as behind any.
        for again in [
            chunk(chunk::DST_PORT, &[9]),
            chunk(chunk::SRC_IP6, &[1; 16]),
            chunk(chunk::IP_FAMILY, &[10]),
        ] {
            let behind =
                |chunks: &[Vec<u8>]| read(&hep3(&[chunks, &[again.clone(), payload()]].concat()));
            let expected = behind(&odd);
            assert!(expected.is_ok(), "{expected:?}");
            assert_eq!(behind(&chunks[..]), expected);
        }
    }
}

#[test]
fn the_last_of_doubled_chunks_counts() {
    check(
        &[
            chunk(chunk::PROTO_TYPE, &[1]),
            chunk(chunk::PROTO_TYPE, &[5]),
        ],
        &["proto_type=5"],
    );
}

#[test]
fn skips_unknown_chunks_and_those_of_vendors() {
    check(
        &[
            chunk(0xffff, b"?"),
            chunk(0, b""),
            vendor_chunk(2, chunk::PROTO_TYPE, b"long one"),
        ],
        &[],
    );
    check(
        &[vendor_chunk(4, 0x65, b"{}"), chunk(0x65, b"[]")],
        &["opensips_correlation=[]"],
    );
}

#[test]
fn an_empty_chunk_says_nothing() {
    let kinds = [
        chunk::CORRELATION_ID,
        chunk::NODE_NAME,
        chunk::SRC_PORT,
        chunk::SRC_IP6,
        chunk::SRC_MAC,
    ];
    check(&kinds.map(|kind| chunk(kind, b"")), &[]);
}

#[test]
fn takes_numbers_of_any_width() {
    check(
        &[chunk(chunk::SRC_PORT, &[0, 0, 0x13, 0xc4])],
        &["src_port=5060"],
    );
    check(
        &[
            chunk(chunk::IP_FAMILY, &[0, 2]),
            chunk(chunk::SRC_IP6, &[1; 16]),
        ],
        &["ip_family=2", &format!("src_ip={:?}", [1; 16])],
    );
    check(&[chunk(chunk::JITTER, &[1, 0, 0])], &["jitter=65536"]);
    refused(
        &hep3(&[payload(), chunk(chunk::VLAN, &[0; 5])]),
        "bad_chunk_length",
    );
}

#[test]
fn family_and_addresses_need_not_agree() {
    let ip4 = chunk(chunk::SRC_IP4, &[0, 0, 0, 0]);
    let ip6 = chunk(chunk::SRC_IP6, &[1; 16]);
    let family = |number| chunk(chunk::IP_FAMILY, &[number]);
    let ip6_shown = format!("src_ip={:?}", [1; 16]);
    check(
        &[family(10), ip4.clone()],
        &["ip_family=10", "src_ip=[0, 0, 0, 0]"],
    );
    check(&[family(10), ip4.clone(), ip6.clone()], &[&ip6_shown]);
    check(
        &[family(2), ip6.clone(), ip4.clone()],
        &["src_ip=[0, 0, 0, 0]"],
    );
    check(&[family(2), ip6.clone()], &["ip_family=2", &ip6_shown]);
    check(&[ip6], &[&ip6_shown]);
    refused(
        &hep3(&[payload(), chunk(chunk::DST_IP4, &[1; 5])]),
        "bad_chunk_length",
    );
}

#[test]
fn a_time_without_seconds_is_null_and_microseconds_are_clamped() {
    let seconds = |seconds: u32| chunk(chunk::SECONDS, &seconds.to_be_bytes());
    let microseconds = chunk(chunk::MICROSECONDS, &1_000_000_u32.to_be_bytes());
    check(&[seconds(0), microseconds.clone()], &[]);
    check(std::slice::from_ref(&microseconds), &[]);
    check(&[seconds(1)], &["timestamp=1000000"]);
    check(&[seconds(1), microseconds], &["timestamp=1999999"]);
}

#[test]
fn repairs_capture_ids_of_the_wrong_byte_order() {
    for (raw, expected) in [
        (0_u32, vec!["node_id=0"]),
        (65_535, vec!["node_id=65535"]),
        (65_537, vec!["node_id=65537"]),
        (131_137_536, vec!["node_id=2001", "raw_node_id=131137536"]),
        (6_619_136, vec!["node_id=101", "raw_node_id=6619136"]),
        (u32::MAX, vec!["node_id=4294967295"]),
    ] {
        check(&[chunk(chunk::CAPTURE_ID, &raw.to_be_bytes())], &expected);
    }
}

#[test]
fn takes_packets_back_to_back() {
    let item = [
        hep3(&[payload()]),
        hep3(&[chunk(chunk::KEEP_ALIVE_TIMER, &[0, 1])]),
        hep3(&[payload()]),
    ];
    assert_eq!(read(&item.concat()).map(|rows| rows.len()), Ok(2));
    refused(
        &hep3(&[payload()]).repeat(PACKETS_MAX + 1),
        "too_many_packets",
    );
    assert_eq!(
        read(&hep3(&[payload()]).repeat(PACKETS_MAX)).map(|rows| rows.len()),
        Ok(PACKETS_MAX)
    );
}

#[test]
fn refuses_all_of_an_item_with_a_broken_part() {
    let good = hep3(&[payload()]);
    refused(&[&good[..], b"rubbish"].concat(), "trailing_bytes");
    refused(&[&good[..], b"\r\n"].concat(), "trailing_bytes");
    refused(&[&good[..], b"HEP3"].concat(), "truncated_header");
    refused(
        &[&good[..], &good[..good.len() - 1]].concat(),
        "truncated_packet",
    );
}

#[test]
fn refuses_what_is_malformed_by_name() {
    refused(b"HEP3\0\x05", "length_mismatch");
    refused(b"HEP3\0", "truncated_header");
    refused(b"HEP3\0\x07", "truncated_packet");
    refused(b"HEP3\0\x06", "no_payload");
    refused(b"HEP3\0\x08\0\0", "truncated_chunk");
    refused(b"HEP3\0\x0c\0\0\0\x0f\0\x05", "bad_chunk_length");
    refused(b"HEP3\0\x0c\0\0\0\x0f\0\x07", "truncated_chunk");
    refused(b"HEP4\0\x06", "unknown_magic");
    refused(b"INVITE sip:a@h SIP/2.0\r\n\r\n", "unknown_magic");
    refused(&[1, 16, 2], "truncated_header");
    refused(
        &[1, 16, 3, 17, 0, 1, 0, 2, 1, 1, 1, 1, 2, 2, 2, 2],
        "unknown_family",
    );
    refused(
        &[2, 16, 10, 17, 0, 1, 0, 2, 1, 1, 1, 1, 2, 2, 2, 2],
        "truncated_header",
    );
    refused(&[0x1f, 0x8b, 8], "bad_gzip");
}

/// Senders cut at the MTU, and leave the lengths as they were.
#[test]
fn a_datagram_cut_within_its_last_payload_is_read_and_flagged() {
    let usual = [
        chunk(chunk::IP_FAMILY, &[2]),
        chunk(chunk::IP_PROTOCOL, &[17]),
        chunk(chunk::SRC_IP4, &[192, 0, 2, 1]),
        chunk(chunk::DST_IP4, &[192, 0, 2, 2]),
        chunk(chunk::SRC_PORT, &[0x13, 0xc4]),
        chunk(chunk::DST_PORT, &[0x13, 0xc5]),
        chunk(chunk::SECONDS, &SECONDS.to_be_bytes()),
        chunk(chunk::MICROSECONDS, &5_u32.to_be_bytes()),
        chunk(chunk::PROTO_TYPE, &[1]),
        chunk(chunk::CAPTURE_ID, &2001_u32.to_be_bytes()),
    ];
    for chunks in [&usual[..], &[], &[chunk(chunk::CORRELATION_ID, b"cid")]] {
        let packet = hep3(&[chunks, &[chunk(chunk::PAYLOAD, b"INVITE")]].concat());
        let before = packet.len() - b"INVITE".len();
        let mut whole = read(&packet).expect("a row")[0].clone();
        whole.retain(|field| !field.starts_with("payload="));
        for end in 6..packet.len() {
            let Some(length) = end.checked_sub(before).filter(|length| *length > 0) else {
                refused(&packet[..end], "truncated_packet");
                continue;
            };
            for first in [vec![], hep3(&[payload()])] {
                let item = [&first[..], &packet[..end]].concat();
                let mut row = read(&item).expect("a row").pop().expect("a row");
                assert!(row.contains(&"truncated=1".to_owned()), "{row:?}");
                assert!(row.contains(&format!("payload={}", &"INVITE"[..length])));
                row.retain(|field| !field.starts_with("payload=") && field != "truncated=1");
                assert_eq!(row, whole);
            }
        }
        assert!(!whole.contains(&"truncated=1".to_owned()));
    }
}

#[test]
fn any_other_length_that_is_wrong_is_refused() {
    let cut = |item: Vec<u8>, missing: usize| item[..item.len() - missing].to_vec();
    let with = |chunks: &[Vec<u8>]| hep3(chunks);
    // Not the last chunk, not the payload, or compressed.
    let behind = [payload(), chunk(chunk::CORRELATION_ID, b"cid")];
    refused(&cut(with(&behind), 1), "truncated_packet");
    let long = chunk(chunk::PAYLOAD, b"INVITE");
    refused(
        &cut(with(&[long.clone(), behind[1].clone()]), 10),
        "truncated_packet",
    );
    refused(
        &cut(with(&[payload(), chunk(chunk::TAGS, b"tags")]), 1),
        "truncated_packet",
    );
    refused(
        &cut(with(&[vendor_chunk(2, chunk::PAYLOAD, b"INVITE")]), 1),
        "truncated_packet",
    );
    let packed = chunk(chunk::COMPRESSED_PAYLOAD, &zlib(b"INVITE INVITE"));
    refused(&cut(with(&[packed]), 1), "truncated_packet");
    // The total length and the payload's do not agree.
    for (total, length) in [(40, 30), (40, 35), (18, 13), (30, 40)] {
        let mut item = hep3(std::slice::from_ref(&long));
        item[5] = total;
        item[11] = length;
        refused(
            &item,
            if total > 18 {
                "truncated_packet"
            } else {
                "truncated_chunk"
            },
        );
    }
    // A length below that of a chunk's header.
    let mut item = hep3(&[payload(), long]);
    item[11] = 5;
    refused(&cut(item, 1), "bad_chunk_length");
    // A frame that was inflated is whole.
    refused(
        &gzip(&cut(hep3(&[chunk(chunk::PAYLOAD, b"INVITE")]), 1)),
        "truncated_packet",
    );
}

#[test]
fn sets_keep_alives_aside_by_kind() {
    let stun = [&[1, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42][..], &[7; 12]].concat();
    refused(b"", "empty");
    refused(b"\r\n\r\n", "crlf");
    refused(b"  ", "crlf");
    refused(&[0; 4], "nul");
    refused(&stun, "stun");
    let timer = chunk(chunk::KEEP_ALIVE_TIMER, &[0, 30]);
    refused(&hep3(std::slice::from_ref(&timer)), "keep_alive");
    refused(
        &hep3(&[timer.clone(), chunk(chunk::PAYLOAD, b"")]),
        "keep_alive",
    );
    refused(&hep3(&[timer]).repeat(3), "keep_alive");
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).expect("a vector takes all");
    encoder.finish().expect("a vector takes all")
}

fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).expect("a vector takes all");
    encoder.finish().expect("a vector takes all")
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).expect("a vector takes all");
    encoder.finish().expect("a vector takes all")
}

#[test]
fn inflates_payloads_of_any_kind() {
    for compress in [zlib, deflate, gzip] {
        let packet = hep3(&[chunk(chunk::COMPRESSED_PAYLOAD, &compress(b"INVITE"))]);
        assert_eq!(
            read(&packet).expect("a row"),
            [["version=3", "payload=INVITE"]]
        );
    }
    refused(
        &hep3(&[chunk(chunk::COMPRESSED_PAYLOAD, b"\xff\xff")]),
        "bad_compressed_payload",
    );
    let mut cut = zlib(b"INVITE INVITE");
    cut.truncate(cut.len() - 3);
    refused(
        &hep3(&[chunk(chunk::COMPRESSED_PAYLOAD, &cut)]),
        "bad_compressed_payload",
    );
}

#[test]
fn inflates_gzipped_frames() {
    let item = gzip(&hep3(&[payload()]).repeat(2));
    assert_eq!(read(&item).map(|rows| rows.len()), Ok(2));
    let members = [gzip(&hep3(&[payload()])), gzip(&hep3(&[payload()]))].concat();
    assert_eq!(read(&members).map(|rows| rows.len()), Ok(2));
    refused(&[&item[..], b"x"].concat(), "bad_gzip");
    refused(&item[..item.len() - 1], "bad_gzip");
    refused(&gzip(b"hello"), "unknown_magic");
    refused(&gzip(&gzip(&hep3(&[payload()]))), "unknown_magic");
    refused(&gzip(b""), "empty");
}

#[test]
fn inflates_no_further_than_the_bound() {
    let bound = inflate::INFLATED_BYTES_MAX;
    let packet = |length| hep3(&[chunk(chunk::COMPRESSED_PAYLOAD, &zlib(&vec![b' '; length]))]);
    assert!(read(&packet(bound)).is_ok());
    refused(&packet(bound + 1), "inflates_too_far");
    refused(&gzip(&vec![0; bound + 1]), "inflates_too_far");
    // Packets of an item share the bound, inside a gzipped frame too.
    refused(&packet(bound / 2 + 1).repeat(2), "inflates_too_far");
    refused(&gzip(&packet(bound)), "inflates_too_far");
}

/// A HEP 2 packet over IPv4 with this time header.
fn hep2(time_header: &[u8], payload: &[u8]) -> Vec<u8> {
    let header = [
        2, 99, 2, 17, 0x13, 0xc4, 0x13, 0xc5, 192, 0, 2, 1, 192, 0, 2, 2,
    ];
    [&header, time_header, payload].concat()
}

fn little(seconds: u32, microseconds: u32, id: u16) -> Vec<u8> {
    [
        &seconds.to_le_bytes()[..],
        &microseconds.to_le_bytes(),
        &id.to_le_bytes(),
    ]
    .concat()
}

fn big(seconds: u32, microseconds: u32, id: u16) -> Vec<u8> {
    [
        &seconds.to_be_bytes()[..],
        &microseconds.to_be_bytes(),
        &id.to_be_bytes(),
    ]
    .concat()
}

#[test]
fn reads_hep1() {
    let mut item = vec![1, 0, 10, 6, 0, 1, 0, 2];
    item.extend([1; 16]);
    item.extend([2; 16]);
    item.extend(b"ACK");
    assert_eq!(
        read(&item).expect("a row"),
        [[
            "version=1".to_owned(),
            "protocol=6".to_owned(),
            format!("src_ip={:?}", [1; 16]),
            format!("dst_ip={:?}", [2; 16]),
            "src_port=1".to_owned(),
            "dst_port=2".to_owned(),
            "proto_type=1".to_owned(),
            "payload=ACK".to_owned(),
        ]]
    );
}

#[test]
fn reads_hep2_of_both_layouts_and_byte_orders() {
    for (time_header, padding) in [
        (little(SECONDS, 5, 2001), &[0, 0][..]),
        (little(SECONDS, 5, 2001), &[0x12, 0xba]),
        (little(SECONDS, 5, 2001), b"AB"),
        (little(SECONDS, 5, 2001), b""),
        (big(SECONDS, 5, 2001), b""),
        (big(SECONDS, 5, 2001), &[0, 0]),
    ] {
        for payload in ["INVITE sip:a@h SIP/2.0\\r\\n", "SIP/2.0 200 OK\\r\\n"] {
            let item = hep2(&[&time_header[..], padding].concat(), payload.as_bytes());
            let row = &read(&item).expect("a row")[0];
            assert!(
                row.contains(&format!("payload={}", payload.escape_default())),
                "{row:?}"
            );
            assert!(row.contains(&"node_id=2001".to_owned()), "{row:?}");
            assert!(
                row.contains(&"timestamp=1795329000000005".to_owned()),
                "{row:?}"
            );
            assert!(row.contains(&"src_port=5060".to_owned()), "{row:?}");
        }
    }
}

#[test]
fn in_doubt_the_padding_of_hep2_is_payload() {
    let header = little(SECONDS, 5, 1);
    for (after, payload) in [
        (&b"\0\0\r\n\r\n"[..], "\\r\\n\\r\\n"),
        (b"\r\n\r\n", "\\r\\n\\r\\n"),
        (b"FOO sip:a@h SIP/2.0", "FOO sip:a@h SIP/2.0"),
        (b"\x01\x02FOO sip:a@h SIP/2.0", "FOO sip:a@h SIP/2.0"),
        (b"\0", "\\x00"),
        (b"", ""),
    ] {
        let row = &read(&hep2(&header, after)).expect("a row")[0];
        assert!(row.contains(&format!("payload={payload}")), "{row:?}");
    }
}

#[test]
fn a_nonsense_time_of_hep2_is_null() {
    for time_header in [
        little(0, 0, 1),
        little(SECONDS, 1_000_000, 1),
        little(SECONDS + 3 * 86_400, 5, 1),
        little(SECONDS - 11 * 366 * 86_400, 5, 1),
    ] {
        let row = &read(&hep2(&time_header, b"ACK sip:a@h SIP/2.0")).expect("a row")[0];
        assert!(
            !row.iter().any(|field| field.starts_with("timestamp")),
            "{row:?}"
        );
        assert!(row.contains(&"node_id=1".to_owned()), "{row:?}");
    }
}

#[test]
fn verdicts_stand_in_the_order_of_the_description() {
    let names: Vec<_> = Hep::default()
        .describe()
        .verdicts
        .into_iter()
        .map(|verdict| verdict.name)
        .collect();
    let expected: Vec<_> = ASIDE
        .into_iter()
        .chain(Rejection::ALL.map(Rejection::name))
        .map(str::to_owned)
        .collect();
    assert_eq!(names, expected);
    for (place, rejection) in Rejection::ALL.into_iter().enumerate() {
        assert_eq!(rejection as usize, place);
    }
}

proptest! {
    #[test]
    fn reads_back_what_was_written(
        chunks in proptest::collection::vec(
            (0_u16..5, 0_usize..0x70, proptest::collection::vec(any::<u8>(), 0..20)),
            0..20,
        )
    ) {
        let mut all: Vec<_> =
            chunks.iter().map(|(vendor, kind, value)| vendor_chunk(*vendor, *kind, value)).collect();
        all.push(chunk(chunk::PAYLOAD, b"the payload"));
        match read(&hep3(&all)) {
            Ok(rows) => prop_assert!(rows[0].contains(&"payload=the payload".to_owned())),
            Err(reason) => prop_assert_eq!(reason, "bad_chunk_length"),
        }
    }

    #[test]
    fn rubbish_is_read_or_refused(
        start in proptest::sample::select(
            vec![&b"HEP3"[..], b"\x01\x10\x02", b"\x02\x10\x0a", b"\x1f\x8b\x08", b""],
        ),
        rest in proptest::collection::vec(any::<u8>(), 0..100),
    ) {
        let _ = read(&[start, &rest].concat());
    }
}
