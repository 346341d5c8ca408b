//! The golden packets that ship are those of the captures.

use heplake_tests::captures;
use std::{fs, path::Path};

#[test]
fn the_golden_packets_are_those_of_the_captures() {
    let mut golden = Vec::new();
    for path in captures::files("pcap").unwrap() {
        for packet in captures::packets(&path).unwrap() {
            golden.extend((packet.len() as u32).to_le_bytes());
            golden.extend(packet);
        }
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../components/golden.packets");
    if std::env::var_os("HEPLAKE_BLESS").is_some() {
        fs::write(&path, &golden).unwrap();
    }
    assert!(
        fs::read(&path).unwrap() == golden,
        "components/golden.packets lags behind the captures: run this test with HEPLAKE_BLESS=1"
    );
}
