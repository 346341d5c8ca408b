//! Two edges that write under one name to one lake, as two copies of one machine do: every row
//! is in the lake exactly once, and nothing that was registered changes.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![allow(clippy::panic, reason = "a test that cannot go on has failed")]

mod support;

use heplake_host::{
    Edge,
    configuration::{Configuration, EdgeSettings, Machine},
};
use heplake_lake::Lake;
use std::{
    fs,
    io::Write,
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::Path,
    thread,
    time::{Duration, Instant},
};
use support::{ask, settings};

/// How long rows may take to come to the lake on a machine that does much else.
const PATIENCE: Duration = Duration::from_secs(90);

fn edge_settings(data_dir: &Path, data_path: &Path) -> EdgeSettings {
    let machine = Machine {
        directory: data_dir.to_owned(),
        host_name: "copied".into(),
        processors: 2,
    };
    let (data_dir, data_path) = (data_dir.display(), data_path.display());
    let text = format!(
        "data_dir = '{data_dir}'\nducklake.data_path = '{data_path}'\n\
         ducklake.flush_interval = '100ms'\nwriter.worker_count = 1\n"
    );
    let configuration =
        Configuration::parse(Path::new("heplake.toml"), &text, [], machine).unwrap();
    EdgeSettings {
        udp: None,
        tcp: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))),
        ..EdgeSettings::resolve(&configuration).unwrap()
    }
}

/// Packets that the envelope refuses, each another: rows of hep_rejected.
fn packets(of: u8, from: usize, count: usize) -> Vec<u8> {
    let packet = |number: usize| {
        let text = format!("{}{number:09}", of as char);
        [&b"HEP3\x00\x10"[..], text.as_bytes()].concat()
    };
    (from..from + count).flat_map(packet).collect()
}

fn send(edge: &Edge, packets: &[u8]) {
    let mut stream = TcpStream::connect(edge.tcp_address().unwrap()).unwrap();
    stream.write_all(packets).unwrap();
}

fn register_until(lake: &Lake, rows: usize) {
    let started = Instant::now();
    loop {
        let registered = lake.register_new().unwrap();
        assert!(registered.refused.is_empty(), "{:?}", registered.refused);
        assert!(registered.gaps.is_empty(), "{:?}", registered.gaps);
        let found = ask(lake, "SELECT count(*) FROM hep_rejected");
        if found == rows.to_string() {
            return;
        }
        assert!(started.elapsed() < PATIENCE, "{found} of {rows} rows");
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn two_edges_that_write_under_one_name_have_every_row_in_the_lake_once() {
    let directory = tempfile::tempdir().unwrap();
    let data_path = directory.path().join("parquet");
    let (one, copy) = (directory.path().join("one"), directory.path().join("copy"));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let start = |data_dir: &Path| {
        let settings = edge_settings(data_dir, &data_path);
        runtime.block_on(Edge::start(settings))
    };
    let first = start(&one).unwrap();
    // Another machine of that name is refused …
    let error = start(&copy).unwrap_err().to_string();
    assert!(error.contains("belongs to another edge"), "{error}");
    // … but not a copy of the machine, with all that is kept there.
    fs::copy(
        one.join("edges/copied/identity"),
        copy.join("edges/copied/identity"),
    )
    .unwrap();
    let second = start(&copy).unwrap();

    let lake = Lake::open(&settings(directory.path())).unwrap();
    // One is registered before the other has sent anything.
    send(&first, &packets(b'a', 0, 60));
    register_until(&lake, 60);
    send(&second, &packets(b'b', 0, 120));
    register_until(&lake, 180);
    let mut expected = 180;
    for round in 1..6 {
        send(&first, &packets(b'a', round * 1000, 30));
        send(&second, &packets(b'b', round * 1000, 50));
        expected += 80;
        if round % 2 == 0 {
            register_until(&lake, expected);
        }
    }
    let others = [&first, &second].map(|edge| edge.monitor().commits().other_writer);
    let seen = others.into_iter().flatten().collect::<Vec<_>>();
    assert!(!seen.is_empty(), "neither has seen the other");
    assert!(
        seen.iter()
            .all(|other| other.holder.starts_with("a copy of this edge"))
    );
    let is_said = |edge: &Edge| {
        let reasons = edge.health().report().reasons;
        reasons
            .iter()
            .any(|reason| reason.code.name() == "edge_name_taken")
    };
    assert!(
        is_said(&first) || is_said(&second),
        "health does not say it"
    );
    for edge in [first, second] {
        runtime.block_on(edge.drain()).unwrap();
    }
    register_until(&lake, expected);
    let sql = "SELECT count(*), count(DISTINCT payload), count(DISTINCT uuid) FROM hep_rejected";
    assert_eq!(ask(&lake, sql), format!("{expected},{expected},{expected}"));
}
