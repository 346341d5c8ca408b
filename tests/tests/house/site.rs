//! A site of its own for a test: an edge and a lake on a temporary directory, on loopback.

use heplake_format::EdgeName;
use heplake_host::{
    Control, Edge,
    configuration::{ComponentSettings, Compression, EdgeSettings},
};
use heplake_lake::{
    Lake, LakeSettings,
    replay::{Capture, Replay, Transport},
};
use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// How long rows may take from a socket to the lake before a test gives up.
const PATIENCE: Duration = Duration::from_secs(60);
/// Datagrams a second: far below what an edge takes, so that no kernel buffer decides.
const RATE: f64 = 20_000.0;

pub struct Site {
    pub directory: TempDir,
    pub lake: Lake,
    settings: EdgeSettings,
    edge: Edge,
    /// The edge's: a lake blocks, so tests are not async themselves.
    runtime: Runtime,
}

impl Site {
    pub fn open() -> Self {
        Self::open_with(|_| {})
    }

    /// One whose edge has other settings.
    pub fn open_with(change: impl FnOnce(&mut EdgeSettings)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let runtime = Runtime::new().unwrap();
        let mut settings = edge_settings(directory.path());
        // What a test does must not depend on what else the machine does.
        settings.component_settings.thresholds.slowdown_max = f64::MAX;
        change(&mut settings);
        let edge = runtime.block_on(Edge::start(settings.clone())).unwrap();
        let lake = Lake::open(&lake_settings(directory.path())).unwrap();
        Self {
            directory,
            lake,
            settings,
            edge,
            runtime,
        }
    }

    /// What its edge was started with.
    pub fn settings(&self) -> EdgeSettings {
        self.settings.clone()
    }

    /// Its components.
    pub fn control(&self) -> &Arc<Control> {
        self.edge.control()
    }

    /// Where it receives over TCP.
    pub fn tcp_address(&self) -> SocketAddr {
        self.edge.tcp_address().unwrap()
    }

    pub fn catalog_path(&self) -> PathBuf {
        self.directory.path().join("homer_catalog.sqlite")
    }

    pub fn data_path(&self) -> PathBuf {
        self.directory.path().join("parquet")
    }

    pub fn send_udp(&self, path: &Path) {
        self.send(self.edge.udp_address(), Transport::Udp, path, None);
    }

    pub fn send_tcp(&self, path: &Path, chunk_bytes: usize) {
        self.send(
            self.edge.tcp_address(),
            Transport::Tcp,
            path,
            Some(chunk_bytes),
        );
    }

    fn send(
        &self,
        address: Option<SocketAddr>,
        transport: Transport,
        path: &Path,
        chunk_bytes: Option<usize>,
    ) {
        let target = address.unwrap();
        let capture = Capture::read(path).unwrap();
        let rate = (transport == Transport::Udp).then_some(RATE);
        let replay = Replay {
            target,
            transport,
            rate,
            times: 1,
            chunk_bytes,
        };
        replay.send(&[capture], |_| {}).unwrap();
    }

    /// Rows by table, once there are at least so many.
    pub fn rows_by_table(&self, expected: u64) -> BTreeMap<String, u64> {
        let started = Instant::now();
        loop {
            let registered = self.lake.register_new().unwrap();
            assert!(registered.refused.is_empty(), "{:?}", registered.refused);
            assert!(registered.gaps.is_empty(), "{:?}", registered.gaps);
            let rows: BTreeMap<String, u64> = self
                .lake
                .tables()
                .unwrap()
                .into_iter()
                .filter(|table| table.record_count > 0)
                .map(|table| (table.name, table.record_count))
                .collect();
            if rows.values().sum::<u64>() >= expected {
                return rows;
            }
            assert!(
                started.elapsed() < PATIENCE,
                "{expected} rows expected, and there are {rows:?}"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Stops the edge; what it had is committed, and registered here.
    pub fn drain(self) -> (TempDir, Lake) {
        self.runtime.block_on(self.edge.drain()).unwrap();
        self.lake.register_new().unwrap();
        (self.directory, self.lake)
    }
}

fn edge_settings(directory: &Path) -> EdgeSettings {
    let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    EdgeSettings {
        name: "test".parse::<EdgeName>().unwrap(),
        data_dir: directory.into(),
        takes_over_name: false,
        data_path: directory.join("parquet"),
        udp: Some(loopback),
        tcp: Some(loopback),
        udp_receive_buffer_bytes: 4 << 20,
        tcp_connections_max: 16,
        tcp_idle_timeout: Duration::from_secs(60),
        worker_count: 2,
        queue_size: 20_000,
        batch_size: 100_000,
        batch_bytes: 64 << 20,
        flush_interval: Duration::from_millis(200),
        max_age: Duration::from_secs(3650 * 86_400),
        max_skew: Duration::from_secs(86_400),
        compression: Compression::Snappy,
        store_keep_alives: false,
        components: BTreeMap::new(),
        component_settings: ComponentSettings::in_directory(&directory.join("components")),
        deadline: Duration::from_secs(10),
        memory_bytes_max: 64 << 20,
    }
}

fn lake_settings(directory: &Path) -> LakeSettings {
    LakeSettings {
        catalog_path: directory.join("homer_catalog.sqlite"),
        data_path: directory.join("parquet"),
        lake_name: "homer_lake".into(),
        extension_directory: None,
        memory_limit_bytes: 1 << 30,
        threads: 1,
        query_deadline: Duration::from_secs(60),
        query_rows_max: 100_000,
        query_bytes_max: 256 << 20,
        register_interval: Duration::from_millis(100),
    }
}
