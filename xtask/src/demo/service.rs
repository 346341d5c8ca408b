//! The service under demonstration, as a child that does not outlive us.

use std::fs;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

use super::http;
use crate::command::{Command, Failure};
use crate::workspace::Workspace;

/// Loading the components and DuckDB's extensions takes a second or two.
const START_DEADLINE: Duration = Duration::from_secs(60);

/// Sealing, committing and registering what is left.
const STOP_DEADLINE: Duration = Duration::from_secs(30);

const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// On 127.0.0.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ports {
    pub(super) http: u16,
    /// UDP and TCP.
    pub(super) hep: u16,
    /// Control of components.
    pub(super) control: u16,
}

impl Ports {
    /// `base` and the two after it, or any that are free.
    pub(super) fn choose(base: Option<u16>) -> Result<Self, Failure> {
        if let Some(http) = base {
            return Ok(Self {
                http,
                hep: http.saturating_add(1),
                control: http.saturating_add(2),
            });
        }
        let free = || {
            // Held until all are chosen, so that they differ; then free for the service.
            let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            let port = tcp.local_addr()?.port();
            let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, port))?;
            Ok::<_, std::io::Error>((port, tcp, udp))
        };
        let ((http, ..), (hep, ..), (control, ..)) = free()
            .and_then(|first| Ok((first, free()?, free()?)))
            .map_err(|error| Failure::Task(format!("no port is free on 127.0.0.1: {error}")))?;
        Ok(Self { http, hep, control })
    }
}

/// A running `heplake serve`. Stopped when dropped.
#[derive(Debug)]
pub(super) struct Service {
    child: Child,
    http_port: u16,
    log: PathBuf,
}

impl Service {
    /// Writes a configuration into the directory, and starts.
    pub(super) fn start(
        workspace: &Workspace,
        program: &Path,
        directory: &Path,
        ports: Ports,
    ) -> Result<Self, Failure> {
        let configuration = directory.join("heplake.toml");
        let log = directory.join("heplake.log");
        fs::create_dir_all(directory)
            .and_then(|()| fs::write(&configuration, document(directory, ports)))
            .map_err(|error| {
                Failure::Task(format!("cannot write {}: {error}", configuration.display()))
            })?;
        let log_file = fs::File::create(&log)
            .map_err(|error| Failure::Task(format!("cannot write {}: {error}", log.display())))?;
        let child = Command::new(workspace, program)
            .args(["serve", "--config"])
            .arg(&configuration)
            .log_to(log_file)
            .spawn()?;
        Ok(Self {
            child,
            http_port: ports.http,
            log,
        })
    }

    pub(super) fn wait_until_healthy(&mut self) -> Result<(), Failure> {
        let begun = Instant::now();
        loop {
            if !self.is_running()? {
                return Err(Failure::Task(format!(
                    "heplake serve ended before it was ready:\n{}",
                    self.log_text()
                )));
            }
            let Err(failure) = http::get(self.http_port, "/health", "application/json") else {
                return Ok(());
            };
            if begun.elapsed() > START_DEADLINE {
                return Err(failure.and(&format!(
                    "heplake serve is not ready after {} s:\n{}",
                    START_DEADLINE.as_secs(),
                    self.log_text()
                )));
            }
            thread::sleep(POLL_INTERVAL);
        }
    }

    pub(super) fn is_running(&mut self) -> Result<bool, Failure> {
        match self.child.try_wait() {
            Ok(status) => Ok(status.is_none()),
            Err(error) => Err(Failure::Task(format!("cannot see heplake serve: {error}"))),
        }
    }

    /// Asks it to drain, and waits until it has.
    pub(super) fn stop(mut self) -> Result<(), Failure> {
        let asked = self.terminate();
        let status = self
            .child
            .wait()
            .map_err(|error| Failure::Task(format!("cannot see heplake serve: {error}")))?;
        if asked && status.success() {
            return Ok(());
        }
        Err(Failure::Task(format!(
            "heplake serve ended with {status}:\n{}",
            self.log_text()
        )))
    }

    /// SIGTERM, and SIGKILL when that is not heard. Whether it ended by itself.
    fn terminate(&mut self) -> bool {
        let begun = Instant::now();
        let mut told = false;
        while matches!(self.child.try_wait(), Ok(None)) {
            if !told {
                told = std::process::Command::new("kill")
                    .args(["-TERM", &self.child.id().to_string()])
                    .status()
                    .is_ok_and(|status| status.success());
            }
            if begun.elapsed() > STOP_DEADLINE {
                let _ = self.child.kill();
                return false;
            }
            thread::sleep(POLL_INTERVAL);
        }
        true
    }

    fn log_text(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.terminate();
        let _ = self.child.wait();
    }
}

fn document(directory: &Path, ports: Ports) -> String {
    let Ports { http, hep, control } = ports;
    // A JSON string is a TOML string.
    let data_dir = serde_json::Value::from(directory.to_string_lossy());
    format!(
        "# Written by cargo xtask demo. All settings: heplake config print
data_dir = {data_dir}

[ducklake]
flush_interval = \"1s\"

[ingest.udp]
host = \"127.0.0.1\"
port = {hep}

[ingest.tcp]
host = \"127.0.0.1\"
port = {hep}

[control]
host = \"127.0.0.1\"
port = {control}

[http]
host = \"127.0.0.1\"
port = {http}
"
    )
}
