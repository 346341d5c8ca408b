//! What an edge has received when it is told to stop is committed, though nobody stops
//! sending. A process of its own: it reads the counters of the whole process.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use heplake_host::{
    Edge,
    configuration::{Configuration, EdgeSettings, Machine},
    health::Half,
    telemetry::Metrics,
};
use std::{
    io::Write,
    net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket},
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

/// How long the drain may take: far below the deadline, far above what it should.
const PATIENCE: Duration = Duration::from_secs(10);
/// A packet that the envelope refuses: a row of hep_rejected.
const PACKET: [u8; 8] = *b"HEP3\x00\x08xx";

fn settings(directory: &Path) -> EdgeSettings {
    let machine = Machine {
        directory: directory.to_owned(),
        host_name: "test".into(),
        processors: 4,
    };
    let data_dir = directory.display().to_string();
    let variables = [
        ("HEPLAKE_DATA_DIR", data_dir.as_str()),
        ("HEPLAKE_WRITER_WORKER_COUNT", "2"),
        // Nothing is committed before the end.
        ("HEPLAKE_DUCKLAKE_FLUSH_INTERVAL", "1h"),
    ];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let configuration = Configuration::read(None, variables, machine).unwrap();
    let loopback = Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    EdgeSettings {
        udp: loopback,
        tcp: loopback,
        ..EdgeSettings::resolve(&configuration).unwrap()
    }
}

fn received(metrics: &Metrics) -> u64 {
    let rendered = metrics.render();
    let counts = rendered
        .lines()
        .filter(|line| line.starts_with("heplake_packets_received_total{"))
        .map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap());
    counts.sum()
}

#[test]
fn an_edge_drains_and_commits_what_it_has_received_though_nobody_stops_sending() {
    let directory = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (metrics, edge) = runtime.block_on(async {
        let metrics = Metrics::install(Half::Edge).unwrap();
        let edge = Edge::start(settings(directory.path())).await.unwrap();
        (metrics, edge)
    });
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    udp.connect(edge.udp_address().unwrap()).unwrap();
    let tcp = edge.tcp_address().unwrap();
    let over = AtomicBool::new(false);
    let is_over = || over.load(Ordering::Relaxed);
    let drained = thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over() {
                // Once the edge has ended nobody listens there.
                let _ = udp.send(&PACKET);
                thread::sleep(Duration::from_millis(2));
            }
        });
        for (bytes, pause) in [(1, 20), (PACKET.len(), 1)] {
            let mut stream = TcpStream::connect(tcp).unwrap();
            scope.spawn(move || {
                for part in PACKET.chunks(bytes).cycle() {
                    if is_over() || stream.write_all(part).is_err() {
                        break;
                    }
                    thread::sleep(Duration::from_millis(pause));
                }
            });
        }
        thread::sleep(Duration::from_millis(500));
        let drained =
            runtime.block_on(async { tokio::time::timeout(PATIENCE, edge.drain()).await });
        over.store(true, Ordering::Relaxed);
        drained
    });
    let committed = drained.unwrap().unwrap();
    assert!(committed.packets > 100, "{committed:?}");
    assert_eq!(committed.packets, received(&metrics));
    assert_eq!(committed.rows, committed.packets);
    runtime.shutdown_background();
}
