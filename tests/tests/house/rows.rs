//! Packets through the shipped components, natively, to rows of tables.

use heplake_host::{PacketBatch, Pipeline, PlanError, TableRows};
use heplake_tests::native;
use std::{collections::BTreeMap, net::SocketAddr};

/// When packets arrive, µs since 1970: 2026-11-22.
pub(crate) const RECEIVED: u64 = 1_795_330_000_000_000;

/// The table of each row, and its columns that are not null.
pub(crate) type Rows = Vec<(String, BTreeMap<String, String>)>;

/// The rows of packets that arrive together.
pub(crate) fn rows_of(packets: &[Vec<u8>]) -> Rows {
    rows_by(&mut native::pipeline(1), packets)
}

/// The rows that a pipeline makes of packets.
pub(crate) fn rows_by(pipeline: &mut Pipeline, packets: &[Vec<u8>]) -> Rows {
    let mut batch = PacketBatch::default();
    for packet in packets {
        batch.push(packet, RECEIVED, SocketAddr::from(([10, 0, 0, 9], 9060)));
    }
    let mut all = Rows::new();
    let write = |rows: TableRows<'_>| -> Result<(), PlanError> {
        let table = rows.plan.table().name.to_string();
        let mut made = vec![(table, BTreeMap::new()); rows.len()];
        for (column, values) in rows.as_text() {
            for ((_, row), value) in made.iter_mut().zip(values) {
                row.extend(value.map(|value| (column.name.to_string(), value)));
            }
        }
        all.extend(made);
        Ok(())
    };
    pipeline.process(batch, write).unwrap();
    all
}

/// A HEP 3 packet of these chunks.
pub(crate) fn hep3(chunks: &[(u16, &[u8])]) -> Vec<u8> {
    let mut packet = b"HEP3\0\0".to_vec();
    for (kind, value) in chunks {
        packet.extend_from_slice(&[0, 0]);
        packet.extend_from_slice(&kind.to_be_bytes());
        packet.extend_from_slice(&(value.len() as u16 + 6).to_be_bytes());
        packet.extend_from_slice(value);
    }
    let length = (packet.len() as u16).to_be_bytes();
    packet[4..6].copy_from_slice(&length);
    packet
}

/// The chunks of a HEP 3 packet.
pub(crate) fn chunks(packet: &[u8]) -> Vec<(u16, Vec<u8>)> {
    let mut chunks = Vec::new();
    let mut rest = &packet[6..];
    while let [_, _, t0, t1, l0, l1, ..] = *rest {
        let length = usize::from(u16::from_be_bytes([l0, l1]));
        chunks.push((u16::from_be_bytes([t0, t1]), rest[6..length].to_vec()));
        rest = &rest[length..];
    }
    chunks
}
