//! `heplake repair`, as docs/repair.md has it: with a running lake, and without one.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod support;

use heplake_format::ColumnType;
use std::{
    fs,
    net::{Ipv4Addr, TcpListener},
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};
use support::{DAY, Site, column, row, table};

/// How long a step may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
const TOKEN: &str = "0123456789abcdef";

struct Lake {
    site: Site,
    child: Option<Child>,
    port: u16,
    configuration: PathBuf,
}

impl Drop for Lake {
    fn drop(&mut self) {
        self.stop();
    }
}

fn heplake() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_heplake"));
    // Tests may be told something that is no setting.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("HEPLAKE_") {
            command.env_remove(name);
        }
    }
    command
}

impl Lake {
    /// A lake that is not started, with a file that was set aside, a refused commit and a
    /// file that is gone once it has run.
    fn new(more: &str) -> Self {
        let site = Site::new();
        let call = table("hep_proto_1_call");
        let mut whole = table("hep_proto_5_default");
        let mut fraction = whole.clone();
        whole.columns.push(column("jitter", ColumnType::UBigInt));
        fraction.columns.push(column("jitter", ColumnType::Double));
        site.commit(
            "edge1",
            1,
            &[(&whole, DAY, vec![row(0, &[("jitter", "7")])])],
        );
        site.commit("edge1", 2, &[(&call, DAY, vec![row(0, &[])])]);
        {
            let lake = site.open();
            lake.register_new().unwrap();
        }
        site.commit(
            "edge2",
            1,
            &[(&fraction, DAY, vec![row(0, &[("jitter", "1.5")])])],
        );
        fs::write(site.commit_path("edge2", 2), "{}").unwrap();
        fs::remove_file(site.data_path().join(Self::gone())).unwrap();
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = free.local_addr().unwrap().port();
        let configuration = site.path().join("heplake.toml");
        let settings = site.settings();
        let text = format!(
            "data_dir = \"{}\"\n[ducklake]\ncatalog_path = \"{}\"\ndata_path = \"{}\"\n\
             [http]\nport = {port}\n{more}",
            site.path().display(),
            settings.catalog_path.display(),
            settings.data_path.display()
        );
        fs::write(&configuration, text).unwrap();
        Self {
            site,
            child: None,
            port,
            configuration,
        }
    }

    fn gone() -> String {
        format!("main/hep_proto_1_call/date={DAY}/edge1-00000000000000000002-0000.parquet")
    }

    fn start(&mut self) {
        let child = heplake()
            .args(["lake", "--config"])
            .arg(&self.configuration)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.child = Some(child);
        // `list` of a lake that does not answer would open the catalog.
        let started = Instant::now();
        while std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_err() {
            assert!(started.elapsed() < PATIENCE);
            thread::sleep(Duration::from_millis(50));
        }
        self.list_until("refused commits: 1");
    }

    fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    fn repair(&self, arguments: &[&str]) -> Output {
        heplake()
            .arg("repair")
            .args(arguments)
            .arg("--config")
            .arg(&self.configuration)
            .output()
            .unwrap()
    }

    fn list_until(&self, expected: &str) -> String {
        let started = Instant::now();
        loop {
            let output = self.repair(&["list"]);
            let text = String::from_utf8(output.stdout).unwrap();
            if text.contains(expected) {
                return text;
            }
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(started.elapsed() < PATIENCE, "{expected}: {text} {said}");
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// Waits until health has a status, and these reasons.
    fn health_until(&self, status: &str, codes: &[&str]) {
        let started = Instant::now();
        loop {
            let url = format!("http://127.0.0.1:{}/health", self.port);
            let health: serde_json::Value = ureq::get(url)
                .call()
                .unwrap()
                .body_mut()
                .read_json()
                .unwrap();
            let reasons = health["reasons"].as_array().unwrap();
            let found: std::collections::BTreeSet<_> = reasons
                .iter()
                .filter_map(|reason| reason["code"].as_str())
                .collect();
            if health["status"] == status && found.iter().eq(codes) {
                assert!(
                    !health
                        .to_string()
                        .contains(self.site.path().to_str().unwrap())
                );
                return;
            }
            assert!(started.elapsed() < PATIENCE, "{health}");
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// Every way out, one after the other.
    fn repair_all(&self) {
        let text = self.list_until("changed data files: 1");
        for expected in [
            &format!("{} (1 rows): it is gone", Self::gone()),
            "table hep_proto_5_default, edge edge2: 1 files, 1 rows",
            "edge edge2, commit 2: the commit cannot be read",
        ] {
            assert!(text.contains(expected), "{expected}: {text}");
        }
        let refused = self.repair(&["take-out", &Self::gone()]);
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(
            !refused.status.success() && said.contains("--yes"),
            "{said}"
        );
        for arguments in [
            &["register", "hep_proto_5_default", "--cast", "jitter"][..],
            &["give-up-commit", "edge2", "2", "--yes"],
            &["take-out", &Self::gone(), "--yes"],
            &["retry"],
        ] {
            let output = self.repair(arguments);
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{arguments:?}: {said}");
        }
        self.list_until("nothing is set aside, refused or changed");
    }
}

#[test]
fn a_running_lake_is_asked() {
    let mut lake = Lake::new("");
    lake.start();
    lake.list_until("changed data files: 1");
    lake.health_until(
        "degraded",
        &["commits_refused", "files_changed", "rows_set_aside"],
    );
    lake.repair_all();
    lake.health_until("ok", &[]);
}

#[test]
fn a_catalog_without_a_service_is_opened() {
    let lake = Lake::new("");
    {
        let opened = lake.site.open();
        opened.register_new().unwrap();
    }
    lake.repair_all();
}

#[test]
fn a_running_lake_with_a_token_decides_for_those_only_who_have_it() {
    let directory = tempfile::tempdir().unwrap();
    let token = directory.path().join("token");
    fs::write(&token, TOKEN).unwrap();
    fs::set_permissions(&token, fs::Permissions::from_mode(0o600)).unwrap();
    let mut lake = Lake::new(&format!(
        "[control]\ntoken_file = \"{}\"\n",
        token.display()
    ));
    lake.start();
    let url = format!("http://127.0.0.1:{}/api/v1/repair", lake.port);
    let post = |token: Option<&str>, content_type: &str| {
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .build()
            .into();
        let mut request = agent.post(&url).header("content-type", content_type);
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let answer = request.send(r#"{"action": "retry"}"#).unwrap();
        answer.status().as_u16()
    };
    assert_eq!(post(None, "application/json"), 401);
    assert_eq!(post(Some("0123456789abcdeX"), "application/json"), 401);
    assert_eq!(post(Some(TOKEN), "text/plain"), 415);
    assert_eq!(post(Some(TOKEN), "application/json"), 200);
    // The command finds the token by the configuration.
    lake.repair_all();
}
