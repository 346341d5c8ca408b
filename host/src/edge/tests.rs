use super::*;
use crate::configuration::{Configuration, Machine};
use heplake_format::COMMITS_DIRECTORY;
use std::{io::Write, net::TcpStream, path::Path};

/// How long a commit may take to come, on a machine that does much else.
const PATIENCE: Duration = Duration::from_secs(60);

fn settings(directory: &Path) -> EdgeSettings {
    let machine = Machine {
        directory: directory.to_owned(),
        host_name: "test".into(),
        processors: 2,
    };
    let data_dir = directory.display().to_string();
    let variables = [("HEPLAKE_DATA_DIR".to_owned(), data_dir)];
    let configuration = Configuration::read(None, variables, machine).unwrap();
    EdgeSettings {
        udp: None,
        tcp: Some(SocketAddr::from(([127, 0, 0, 1], 0))),
        ..EdgeSettings::resolve(&configuration).unwrap()
    }
}

/// Whether anything was committed.
fn has_commit(settings: &EdgeSettings) -> bool {
    let commits = settings.data_path.join(COMMITS_DIRECTORY).join("test");
    std::fs::read_dir(commits).is_ok_and(|mut commits| commits.next().is_some())
}

/// A packet that the envelope refuses, with text that cannot be made smaller by much.
fn packet(random: &mut fastrand::Rng) -> Vec<u8> {
    const BYTES: usize = 60_000;
    let text = (0..BYTES - 6).map(|_| random.alphanumeric() as u8);
    let length = (BYTES as u16).to_be_bytes();
    [&b"HEP3"[..], &length]
        .concat()
        .into_iter()
        .chain(text)
        .collect()
}

#[test]
fn few_rows_are_committed_before_the_interval_is_over_if_they_are_large() {
    let directory = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let settings = EdgeSettings {
        flush_interval: Duration::from_secs(3600),
        batch_bytes: 1 << 20,
        ..settings(directory.path())
    };
    let edge = runtime.block_on(Edge::start(settings.clone())).unwrap();
    let mut stream = TcpStream::connect(edge.tcp_address().unwrap()).unwrap();
    let mut random = fastrand::Rng::with_seed(1);
    let started = Instant::now();
    let mut sent = 0;
    while !has_commit(&settings) {
        assert!(started.elapsed() < PATIENCE, "{sent} rows, and no commit");
        stream.write_all(&packet(&mut random)).unwrap();
        sent += 1;
        thread::sleep(Duration::from_millis(10));
    }
    drop(stream);
    let committed = runtime.block_on(edge.drain()).unwrap();
    assert_eq!((committed.packets, committed.rows), (sent, sent));
}

#[test]
fn an_edge_that_has_committed_all_waits_for_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let settings = EdgeSettings {
        flush_interval: Duration::from_millis(100),
        ..settings(directory.path())
    };
    let mut edge = runtime.block_on(Edge::start(settings.clone())).unwrap();
    // As if something were staged that takes its time.
    edge.watching = runtime.spawn(std::future::pending());
    let mut stream = TcpStream::connect(edge.tcp_address().unwrap()).unwrap();
    stream
        .write_all(&packet(&mut fastrand::Rng::new()))
        .unwrap();
    let started = Instant::now();
    while !has_commit(&settings) {
        assert!(started.elapsed() < PATIENCE, "no commit");
        thread::sleep(Duration::from_millis(10));
    }
    let started = Instant::now();
    let drain = async { tokio::time::timeout(PATIENCE, edge.drain()).await };
    let committed = runtime.block_on(drain).unwrap().unwrap();
    assert_eq!((committed.packets, committed.rows), (1, 1));
    assert!(started.elapsed() < ENDS_WITHIN + PATIENCE / 4);
    runtime.shutdown_background();
}

/// Looks until it is so.
fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < PATIENCE, "{what}: not yet");
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn an_edge_whose_store_takes_nothing_says_so_until_it_does() {
    let directory = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let settings = EdgeSettings {
        flush_interval: Duration::from_millis(100),
        ..settings(directory.path())
    };
    let edge = runtime.block_on(Edge::start(settings.clone())).unwrap();
    assert!(!edge.health().report().has(Code::StoreUnwritable));
    // A file in the place of the directory of the tables.
    let in_the_way = settings.data_path.join("main");
    std::fs::write(&in_the_way, "").unwrap();
    let mut stream = TcpStream::connect(edge.tcp_address().unwrap()).unwrap();
    let mut random = fastrand::Rng::with_seed(1);
    stream.write_all(&packet(&mut random)).unwrap();
    let health = edge.health().clone();
    let has = |code| health.report().has(code);
    wait_until("the store fails", || has(Code::StoreUnwritable));
    let report = health.report();
    assert_eq!(report.status, crate::health::Status::Degraded);
    let reason = report
        .reasons
        .iter()
        .find(|one| one.code == Code::StoreUnwritable);
    let text = &reason.unwrap().text;
    assert!(text.starts_with("1 rows wait in memory: "), "{text}");
    assert!(!text.contains('/'), "{text}");
    std::fs::remove_file(&in_the_way).unwrap();
    wait_until("the store takes files", || !has(Code::StoreUnwritable));
    drop(stream);
    let committed = runtime.block_on(edge.drain()).unwrap();
    assert_eq!((committed.packets, committed.rows), (1, 1));
}
