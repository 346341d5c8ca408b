//! Who may read what the service writes: the owner's group by default, whoever starts first and
//! whatever umask it was started with. And who may run beside it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![allow(clippy::panic, reason = "a test that cannot go on has failed")]

use std::{
    fs,
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// How long a step may take on a machine that does much else.
const PATIENCE: Duration = Duration::from_secs(90);
/// A packet that the envelope refuses: a row of hep_rejected.
const PACKET: [u8; 8] = *b"HEP3\x00\x08xx";

struct Service {
    child: Child,
    http: SocketAddr,
    hep: SocketAddr,
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Service {
    /// Runs `heplake serve`, `lake` or `edge` under a umask.
    fn spawn(directory: &Path, command: &str, umask: &str, more: &str) -> Self {
        let free = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        // Both held until both are chosen, so that they differ.
        let held = [free(), free()];
        let [http, hep] = held.each_ref().map(|l| l.local_addr().unwrap());
        drop(held);
        let (http_port, hep_port) = (http.port(), hep.port());
        // Beside the data directory, which is left to the service to make.
        let data_dir = directory.join("data").display().to_string();
        let configuration = directory.join(format!("{http_port}.toml"));
        let text = format!(
            "data_dir = {data_dir:?}\nedge.name = 'one'\nhttp.port = {http_port}\n\
             control.enable = false\nducklake.flush_interval = '100ms'\n\
             ingest.tcp.host = '127.0.0.1'\ningest.tcp.port = {hep_port}\n\
             ingest.udp.enable = false\nwriter.worker_count = 1\n{more}"
        );
        fs::write(&configuration, text).unwrap();
        let child = Command::new("sh")
            .args(["-c", &format!("umask {umask} && exec \"$0\" \"$@\"")])
            .arg(env!("CARGO_BIN_EXE_heplake"))
            .args([command, "--config"])
            .arg(&configuration)
            .env_remove("HEPLAKE_BLESS")
            .env_remove("HEPLAKE_CACHE")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Self { child, http, hep }
    }

    fn start(directory: &Path, command: &str, umask: &str, more: &str) -> Self {
        let mut service = Self::spawn(directory, command, umask, more);
        wait_until("it answers", || {
            assert!(service.child.try_wait().unwrap().is_none(), "it ended");
            service.health().is_some()
        });
        service
    }

    fn health(&self) -> Option<String> {
        let mut stream = TcpStream::connect(self.http).ok()?;
        write!(stream, "GET /health HTTP/1.0\r\nHost: localhost\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    }

    /// Rows that its lake has registered since the start.
    fn registered_rows(&self) -> u64 {
        let health = self.health().unwrap_or_default();
        let rows = health.split("\"rows\":").nth(1).unwrap_or_default();
        let digits = rows.split(|c: char| !c.is_ascii_digit()).next();
        digits.and_then(|digits| digits.parse().ok()).unwrap_or(0)
    }

    fn send(&self) {
        let mut stream = TcpStream::connect(self.hep).unwrap();
        stream.write_all(&PACKET.repeat(10)).unwrap();
    }

    fn stop(mut self) {
        let id = self.child.id().to_string();
        let kill = Command::new("kill").args(["-TERM", &id]).status();
        assert!(kill.unwrap().success());
        let (code, said) = self.ended();
        assert_eq!(code, Some(0), "{said}");
    }

    /// The code that it exits with, and all that it said.
    fn ended(&mut self) -> (Option<i32>, String) {
        let mut said = String::new();
        let mut stderr = self.child.stderr.take().unwrap();
        stderr.read_to_string(&mut said).unwrap();
        (self.child.wait().unwrap().code(), said)
    }
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(
            started.elapsed() < PATIENCE,
            "{what}: not within {PATIENCE:?}"
        );
        thread::sleep(Duration::from_millis(20));
    }
}

/// All below a directory, itself included.
fn below(directory: &Path) -> Vec<PathBuf> {
    let mut found = vec![directory.to_owned()];
    for entry in fs::read_dir(directory).into_iter().flatten() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(below(&path)),
            false => found.push(path),
        }
    }
    found
}

/// Holds each file and directory to its rights; gives the kinds of files that were there.
fn check(data_dir: &Path, file: u32, directory: u32) -> Vec<String> {
    let mut kinds = Vec::new();
    for path in below(data_dir) {
        // SQLite's files come and go.
        let Ok(metadata) = fs::symlink_metadata(&path) else {
            continue;
        };
        let name = path.strip_prefix(data_dir).unwrap().to_str().unwrap();
        let is_secret = name.starts_with("components/one") || name.ends_with("identity");
        let expected = match (metadata.is_dir(), is_secret) {
            (true, false) => directory,
            (true, true) => 0o700,
            (false, false) => file,
            (false, true) => 0o600,
        };
        let mode = metadata.permissions().mode() & 0o7777;
        // Nobody can enter the directory of the components' lock.
        if name != "components/one/lock" {
            assert_eq!(mode, expected, "{name}: {mode:o}, not {expected:o}");
        }
        if !metadata.is_dir() {
            let kind = name.rsplit(['.', '/']).next().unwrap();
            kinds.push(kind.to_owned());
        }
    }
    kinds
}

/// What starts one after the other on a new data directory, under what umasks.
fn rights_after(commands: &[(&str, &str)], more: &str, file: u32, directory: u32) {
    let site = tempfile::tempdir().unwrap();
    let data_dir = site.path().join("data");
    let mut kinds = Vec::new();
    for (command, umask) in commands {
        let service = Service::start(site.path(), command, umask, more);
        if *command != "lake" {
            let commits = data_dir.join("parquet/commits/one");
            let before = fs::read_dir(&commits).into_iter().flatten().count();
            service.send();
            wait_until("it is committed", || {
                fs::read_dir(&commits).into_iter().flatten().count() > before
            });
        }
        if *command != "edge" {
            wait_until("it is registered", || service.registered_rows() > 0);
        }
        kinds.extend(check(&data_dir, file, directory));
        service.stop();
        kinds.extend(check(&data_dir, file, directory));
    }
    let has = |kind: &str| kinds.iter().any(|found| found == kind);
    // SQLite's -wal and -shm come and go, with the rights of the catalog.
    for kind in ["parquet", "json", "sqlite", "lock"] {
        assert!(has(kind), "no {kind} was seen: {kinds:?}");
    }
}

#[test]
fn files_of_the_lake_are_for_the_group_whatever_starts_first() {
    rights_after(&[("edge", "077"), ("lake", "000")], "", 0o640, 0o750);
    rights_after(&[("serve", "000"), ("edge", "022")], "", 0o640, 0o750);
}

#[test]
fn rights_of_the_files_of_the_lake_are_a_setting() {
    let more = "data_permissions = '0600'\n";
    rights_after(&[("serve", "000")], more, 0o600, 0o700);
    let more = "data_permissions = '0644'\n";
    rights_after(&[("serve", "077")], more, 0o644, 0o755);
}

#[test]
fn an_edge_beside_a_service_of_its_name_is_refused_and_told_what_to_do() {
    let site = tempfile::tempdir().unwrap();
    let service = Service::start(site.path(), "serve", "022", "");
    let mut edge = Service::spawn(site.path(), "edge", "022", "");
    let (code, said) = edge.ended();
    assert_eq!(code, Some(1), "{said}");
    let holder = format!(
        "in use on this host by the edge `one`, process {}",
        service.child.id()
    );
    assert!(said.contains(&holder), "{said}");
    assert!(said.contains("edge.name"), "{said}");
    service.send();
    wait_until("its rows are registered", || {
        service.registered_rows() == 10
    });
    service.stop();
}
