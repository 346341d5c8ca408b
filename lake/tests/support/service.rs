//! A `heplake serve` of its own for a test, as its user has it.

#![allow(dead_code, reason = "each test file uses its own part")]

use serde_json::Value;
use std::{
    fs,
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// How long a step may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Service {
    child: Child,
    pub(crate) http: u16,
    pub(crate) hep: u16,
    pub(crate) control: u16,
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Service {
    pub(crate) fn start(directory: &Path) -> Self {
        Self::start_with(directory, "")
    }

    /// One with more in its configuration.
    pub(crate) fn start_with(directory: &Path, more: &str) -> Self {
        let free = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        // All held until all are chosen, so that they differ.
        let held = [free(), free(), free()];
        let [http, hep, control] = held.each_ref().map(|l| l.local_addr().unwrap().port());
        drop(held);
        let configuration = directory.join("heplake.toml");
        let data_dir = Value::from(directory.to_string_lossy());
        let text = format!(
            "data_dir = {data_dir}\n[ducklake]\nflush_interval = \"200ms\"\n[http]\nport = {http}\n\
             [control]\nport = {control}\n[ingest.udp]\nhost = \"127.0.0.1\"\nport = {hep}\n\
             [ingest.tcp]\nenable = false\n{more}"
        );
        fs::write(&configuration, text).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_heplake"))
            .args(["serve", "--config"])
            .arg(&configuration)
            // Tests may be told something that is no setting.
            .env_remove("HEPLAKE_BLESS")
            .env_remove("HEPLAKE_CACHE")
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self {
            child,
            http,
            hep,
            control,
        }
    }

    pub(crate) fn components(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}/api/v1/components{path}", self.control)
    }

    /// The rows of a query once there are any.
    pub(crate) fn rows(&self, sql: &str) -> Value {
        let url = format!("http://127.0.0.1:{}/api/v1/sql", self.http);
        let body = serde_json::json!({ "sql": sql }).to_string();
        wait_for(sql, || {
            let answer = curl(&["-H", "Content-Type: application/json", "-d", &body, &url])?;
            let rows = answer.get("rows")?.clone();
            rows.as_array()
                .is_some_and(|rows| !rows.is_empty())
                .then_some(rows)
        })
    }
}

/// What `curl` prints, as JSON; none while there is no answer.
pub(crate) fn curl(arguments: &[&str]) -> Option<Value> {
    let output = Command::new("curl")
        .arg("-s")
        .args(arguments)
        .output()
        .unwrap();
    serde_json::from_slice(&output.stdout).ok()
}

pub(crate) fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(
            started.elapsed() < PATIENCE,
            "{what}: not within {PATIENCE:?}"
        );
        thread::sleep(Duration::from_millis(50));
    }
}

/// A HEP 3 packet of protocol type 201 (HEP3 specification) with a metric of Graphite.
pub(crate) fn packet(text: &str) -> Vec<u8> {
    let mut packet = b"HEP3\0\0".to_vec();
    for (chunk_type, value) in [
        (1u16, &[2u8][..]),
        (2, &[17]),
        (3, &[192, 0, 2, 1]),
        (4, &[192, 0, 2, 2]),
        (11, &[201]),
        (15, text.as_bytes()),
    ] {
        packet.extend([0, 0]);
        packet.extend(chunk_type.to_be_bytes());
        packet.extend((value.len() as u16 + 6).to_be_bytes());
        packet.extend(value);
    }
    let length = (packet.len() as u16).to_be_bytes();
    packet[4..6].copy_from_slice(&length);
    packet
}

pub(crate) fn graphite() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../components/examples/c-graphite/graphite.wasm")
}
