//! `heplake serve` as whoever runs it sees it: health, metrics, and the log, in an environment as Kubernetes makes it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![allow(clippy::panic, reason = "a test that cannot go on has failed")]

use serde_json::Value;
use std::{
    fs,
    io::{Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket},
    path::{Path, PathBuf},
    process::{Child, Command},
    thread,
    time::{Duration, Instant},
};

/// How long a step may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

struct Service {
    child: Child,
    http: u16,
    hep: u16,
    log: PathBuf,
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Service {
    fn start(directory: &Path) -> Self {
        let free = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        // All held until all are chosen, so that they differ.
        let held = [free(), free(), free()];
        let [http, hep, control] = held.each_ref().map(|l| l.local_addr().unwrap().port());
        drop(held);
        let text = format!(
            "data_dir = \"data\"\nducklake.flush_interval = \"200ms\"\nhttp.port = {http}\ncontrol.port = {control}\n\
             log = {{ format = \"json\", level = \"warning,heplake_host=info,heplake_lake=info\" }}\n\
             [ingest]\nudp = {{ host = \"127.0.0.1\", port = {hep} }}\ntcp.enable = false\n"
        );
        let configuration = directory.join("heplake.toml");
        fs::write(&configuration, text).unwrap();
        let log = directory.join("log");
        let mut command = Command::new(env!("CARGO_BIN_EXE_heplake"));
        // Tests may be told something that is no setting.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("HEPLAKE_") {
                command.env_remove(name);
            }
        }
        let child = command
            .args(["serve", "--config"])
            .arg(&configuration)
            // A relative data_dir is not looked for here.
            .current_dir("/")
            .env("HEPLAKE_SERVICE_HOST", "10.0.0.1")
            .env("HEPLAKE_PORT", "tcp://10.0.0.1:8080")
            .stderr(fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        Self {
            child,
            http,
            hep,
            log,
        }
    }

    /// Status and body of a page; none while nobody answers.
    fn get(&self, path: &str) -> Option<(String, String)> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.http)).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let request = format!("GET {path} HTTP/1.0\r\nhost: localhost\r\n\r\n");
        stream.write_all(request.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?;
        Some((status.into(), body.into()))
    }

    fn health(&self) -> Option<Value> {
        serde_json::from_str(&self.get("/health")?.1).ok()
    }

    /// Ends it as a service manager does; the lines of its log.
    fn end(mut self) -> Vec<Value> {
        let process = self.child.id().to_string();
        let told = Command::new("kill").args(["-TERM", &process]).status();
        assert!(told.unwrap().success());
        let status = self.child.wait().unwrap();
        let log = fs::read_to_string(&self.log).unwrap();
        assert!(status.success(), "{log}");
        let line = |line: &str| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
        log.lines().map(line).collect()
    }
}

fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
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

#[test]
fn a_service_tells_how_it_is_and_logs_numbers_as_numbers() {
    let directory = tempfile::tempdir().unwrap();
    let service = Service::start(directory.path());
    let health = wait_for("health", || service.health());
    assert_eq!(health["status"], "ok", "{health}");
    assert!(health["lake"]["error"].is_null());
    assert!(health["edge"]["udp"].is_string(), "{health}");
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    // The envelope refuses it: a row of hep_rejected.
    sender
        .send_to(b"HEP3\x00\x08xx", (Ipv4Addr::LOCALHOST, service.hep))
        .unwrap();
    wait_for("a registered commit", || {
        let commits = service.health()?["lake"]["commits"].as_u64()?;
        (commits > 0).then_some(())
    });
    let (status, metrics) = service.get("/metrics").unwrap();
    assert_eq!(status, "200");
    let mut named = "";
    for line in metrics.lines().filter(|line| !line.is_empty()) {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            named = rest.split(' ').next().unwrap();
        } else if !line.starts_with('#') {
            assert!(line.starts_with(named), "{line} has no HELP");
        }
    }
    for has in [
        "heplake_packets_received_total{transport=\"udp\"} 1\n",
        "heplake_worker_queue_batches{worker=\"0\"} 0\n",
        "heplake_register_oldest_waiting_seconds 0\n",
        "heplake_health_status 0\n",
    ] {
        assert!(metrics.contains(has), "{has}{metrics}");
    }
    let open = metrics
        .lines()
        .find_map(|line| line.strip_prefix("process_open_fds "));
    assert!(open.unwrap().parse::<u64>().unwrap() > 3);
    assert!(directory.path().join("data/parquet").is_dir());

    let lines = service.end();
    let mut numbers = 0;
    for line in &lines {
        for (key, value) in line.as_object().unwrap() {
            let counts = [
                "packets", "rows", "files", "commits", "sequence", "granted", "asked",
            ];
            let is_number = counts.contains(&&**key) || key.ends_with("_ms") || key.ends_with("_s");
            assert_eq!(value.is_number(), is_number, "{key} in {line}");
            numbers += usize::from(is_number);
            let text = value.as_str().unwrap_or_default();
            for debug in [" { ", "Some(", "Ok(", "None", "\\\""] {
                assert!(!text.contains(debug), "{key} in {line}");
            }
        }
    }
    assert!(numbers > 5, "{lines:?}");
    let says = |text: &str| {
        let message = |line: &&Value| line["message"].as_str().unwrap().contains(text);
        lines
            .iter()
            .find(message)
            .unwrap_or_else(|| panic!("{text}: {lines:?}"))
    };
    assert_eq!(says("edge drained")["packets"], 1);
    let variables = &says("they tell of a service")["variables"];
    assert_eq!(variables, "HEPLAKE_PORT HEPLAKE_SERVICE_HOST");
}
