//! A `heplake-edge` as a process on loopback, and what it has written.

use heplake_format::{Commit, CommitPath};
use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// How long a step may take on a machine that does much else.
const PATIENCE: Duration = Duration::from_secs(90);
/// A packet that the envelope refuses: a row of hep_rejected.
const PACKET: [u8; 8] = *b"HEP3\x00\x08xx";

/// A data directory.
pub struct Site(TempDir);

impl Site {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn data_path(&self) -> PathBuf {
        self.path().join("parquet")
    }
}

pub struct Edge {
    child: Child,
    http: SocketAddr,
    hep: SocketAddr,
    log: Arc<Mutex<String>>,
    reading: Option<thread::JoinHandle<()>>,
}

impl Drop for Edge {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Edge {
    /// Starts one by the name of `one`, unless `more` of its configuration says otherwise, and
    /// waits until it receives.
    pub fn start(site: &Site, more: &str) -> Self {
        Self::start_with(site, more, &[])
    }

    /// Starts one of which nobody reads what it says: writing it fails.
    pub fn start_unheard(site: &Site, more: &str) -> Self {
        let mut edge = Self::spawn_with(site, more, &[], Stdio::piped());
        drop(edge.child.stderr.take());
        edge.wait_until_it_receives();
        edge
    }

    pub fn start_with(site: &Site, more: &str, arguments: &[&str]) -> Self {
        let mut edge = Self::spawn_with(site, more, arguments, Stdio::piped());
        edge.read_log();
        edge.wait_until_it_receives();
        edge
    }

    fn wait_until_it_receives(&mut self) {
        wait_until("it receives", || {
            assert!(self.child.try_wait().unwrap().is_none(), "{}", self.log());
            self.get("/health").is_some()
        });
    }

    /// Starts one, and waits for nothing.
    pub fn spawn(site: &Site, more: &str) -> Self {
        let mut edge = Self::spawn_with(site, more, &[], Stdio::piped());
        edge.read_log();
        edge
    }

    fn spawn_with(site: &Site, more: &str, arguments: &[&str], log: Stdio) -> Self {
        let free = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        // Both held until both are chosen, so that they differ.
        let held = [free(), free()];
        let [http, hep] = held.each_ref().map(|l| l.local_addr().unwrap());
        drop(held);
        let data_dir = site.path().display().to_string();
        let name = match more.contains("edge.name") {
            true => "",
            false => "edge.name = 'one'\n",
        };
        let interval = match more.contains("[ducklake]") {
            true => "",
            false => "ducklake.flush_interval = '100ms'\n",
        };
        let (http_port, hep_port) = (http.port(), hep.port());
        let text = format!(
            "data_dir = {data_dir:?}\nhttp.port = {http_port}\ncontrol.enable = false\n\
             ingest.tcp.host = '127.0.0.1'\ningest.tcp.port = {hep_port}\n\
             ingest.udp.enable = false\nwriter.worker_count = 2\n{name}{interval}{more}"
        );
        let configuration = site.path().join(format!("{http_port}.toml"));
        fs::write(&configuration, text).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_heplake-edge"))
            .arg("--config")
            .arg(&configuration)
            .args(arguments)
            .env_remove("HEPLAKE_BLESS")
            .env_remove("HEPLAKE_CACHE")
            .stderr(log)
            .spawn()
            .unwrap();
        Self {
            child,
            http,
            hep,
            log: Arc::default(),
            reading: None,
        }
    }

    fn read_log(&mut self) {
        let (log, stderr) = (self.log.clone(), self.child.stderr.take().unwrap());
        self.reading = Some(thread::spawn(move || {
            for line in BufReader::new(stderr).lines() {
                let line = line.unwrap() + "\n";
                log.lock().unwrap().push_str(&line);
            }
        }));
    }

    fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends packets over one connection, which is read to its end.
    pub fn send(&self, count: usize) {
        let mut stream = TcpStream::connect(self.hep).unwrap();
        stream.write_all(&PACKET.repeat(count)).unwrap();
    }

    /// Waits until so many packets were made rows since the start.
    pub fn received(&self, count: u64) {
        wait_until("it has received all", || {
            let metrics = self.get("/metrics").unwrap_or_default();
            let processed = metrics
                .lines()
                .find_map(|line| line.strip_prefix("heplake_packets_processed_total "));
            processed.is_some_and(|processed| processed.parse() == Ok(count))
        });
    }

    fn get(&self, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect(self.http).ok()?;
        write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    }

    pub fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let kill = Command::new("kill")
            .args([&format!("-{name}"), &id])
            .status();
        assert!(kill.unwrap().success());
    }

    /// The code that it exits with after a signal, and all that it said.
    pub fn stopped(self, signal: &str) -> (Option<i32>, String) {
        self.signal(signal);
        self.ended()
    }

    /// The code that it exits with, and all that it said.
    pub fn ended(mut self) -> (Option<i32>, String) {
        let started = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(
                started.elapsed() < PATIENCE,
                "it does not end: {}",
                self.log()
            );
            thread::sleep(Duration::from_millis(20));
        };
        if let Some(reading) = self.reading.take() {
            reading.join().unwrap();
        }
        (status.code(), self.log())
    }

    /// Ends it as a crash does.
    pub fn killed(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(
            started.elapsed() < PATIENCE,
            "{what}: not within {PATIENCE:?}"
        );
        thread::sleep(Duration::from_millis(20));
    }
}

/// The commits of the edge `one`, by name, in order.
pub fn commits(data_path: &Path) -> Vec<(String, String)> {
    let directory = data_path.join("commits/one");
    let mut commits = Vec::new();
    for found in fs::read_dir(directory).into_iter().flatten() {
        let path = found.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if format!("commits/one/{name}").parse::<CommitPath>().is_ok() {
            commits.push((name, fs::read_to_string(path).unwrap()));
        }
    }
    commits.sort();
    commits
}

/// Rows of all commits.
pub fn rows(data_path: &Path) -> u64 {
    let commits = commits(data_path).into_iter();
    let files = commits.flat_map(|(_, text)| Commit::from_json(text.as_bytes()).unwrap().files);
    files.map(|file| file.record_count).sum()
}

/// Holds that commits are numbered without a gap, and that each file that one names is there,
/// whole, and named by no other.
pub fn is_whole(data_path: &Path) {
    let mut named = std::collections::BTreeSet::new();
    for (number, (name, text)) in commits(data_path).into_iter().enumerate() {
        let commit = Commit::from_json(text.as_bytes()).unwrap();
        assert_eq!(commit.sequence.0, number as u64 + 1, "{name}");
        for file in commit.files {
            let bytes = fs::read(data_path.join(file.path.to_string())).unwrap();
            assert_eq!(bytes.len() as u64, file.file_size_bytes, "{}", file.path);
            assert!(bytes.starts_with(b"PAR1") && bytes.ends_with(b"PAR1"));
            assert!(named.insert(file.path.clone()), "{}", file.path);
        }
    }
}
