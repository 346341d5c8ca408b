//! Every capture, through sockets, gives the rows that its README names.

use crate::site::Site;
use heplake_tests::captures;
use std::collections::BTreeMap;

/// Sizes of a write over TCP: within a header, within a packet, across packets, whole.
const CHUNKS: [usize; 10] = [1, 2, 5, 7, 64, 513, 1460, 4096, 16_384, 65_536];

fn sum<'a>(all: impl IntoIterator<Item = &'a BTreeMap<String, u64>>) -> BTreeMap<String, u64> {
    let mut total = BTreeMap::new();
    for rows in all {
        for (table, count) in rows {
            *total.entry(table.clone()).or_default() += count;
        }
    }
    total
}

#[test]
fn each_capture_over_udp_gives_its_rows() {
    let expected = captures::expected_rows().unwrap();
    let files = captures::files("pcap").unwrap();
    assert_eq!(
        files.len(),
        expected.len(),
        "every capture is in the README's table"
    );
    let site = Site::open();
    let mut sent = Vec::new();
    for file in files {
        site.send_udp(&file);
        let name = file.file_name().unwrap().to_str().unwrap();
        sent.push(expected[name].clone());
        // After each file, so that a surplus of one cannot hide a loss of another.
        let total = sum(&sent);
        assert_eq!(site.rows_by_table(total.values().sum()), total, "{name}");
    }
}

#[test]
fn each_stream_over_tcp_gives_its_rows_however_it_is_cut() {
    let expected = captures::expected_rows().unwrap();
    let site = Site::open();
    let mut sent = Vec::new();
    for file in captures::files("stream").unwrap() {
        let capture = file.with_extension("pcap");
        let name = capture.file_name().unwrap().to_str().unwrap();
        for chunk_bytes in CHUNKS {
            site.send_tcp(&file, chunk_bytes);
            sent.push(expected[name].clone());
        }
    }
    let total = sum(&sent);
    assert_eq!(site.rows_by_table(total.values().sum()), total);
    let (_directory, lake) = site.drain();
    let rows: u64 = lake
        .tables()
        .unwrap()
        .iter()
        .map(|table| table.record_count)
        .sum();
    assert_eq!(
        rows,
        total.values().sum::<u64>(),
        "nothing comes twice when the edge drains"
    );
}
