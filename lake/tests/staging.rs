//! `heplake component` against a running edge: what it prints, and the code that it exits with.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "support/service.rs"]
mod service;

use service::{Service, graphite, packet, wait_for};
use std::{
    fs,
    net::{Ipv4Addr, UdpSocket},
    path::{Path, PathBuf},
    process::{Command, Output},
    thread,
    time::Duration,
};

/// Two metrics: two rows of one packet.
const METRICS: &str = "web.load 0.5 -1\nweb.users 7 -1\n";
/// Packets that are there before their parser.
const BEFORE: usize = 10;

/// A running service, and the commands that are given to it.
struct Operator {
    directory: tempfile::TempDir,
    service: Service,
    socket: UdpSocket,
}

impl Operator {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let operator = Self {
            service: Service::start(directory.path()),
            directory,
            socket: UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap(),
        };
        wait_for("the service answers", || {
            operator.run(&["list"]).status.success().then_some(())
        });
        operator
    }

    fn run(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_heplake"))
            .args(["component", "--config"])
            .arg(self.directory.path().join("heplake.toml"))
            .args(arguments)
            // As in a service or a container.
            .env_remove("USER")
            // Tests may be told something that is no setting.
            .env_remove("HEPLAKE_CACHE")
            .output()
            .unwrap()
    }

    /// All that a command prints, which must exit with this code.
    fn told(&self, arguments: &[&str], code: i32) -> String {
        let output = self.run(arguments);
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        let told = text(&output.stdout) + &text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {told}");
        told
    }

    fn send(&self, text: &str) {
        let target = (Ipv4Addr::LOCALHOST, self.service.hep);
        self.socket.send_to(&packet(text), target).unwrap();
    }

    /// The component with a text in the place of another, in a file.
    fn variant(&self, name: &str, text: &str, in_its_place: &str) -> PathBuf {
        assert_eq!(text.len(), in_its_place.len());
        let mut bytes = fs::read(graphite()).unwrap();
        let mut windows = bytes.windows(text.len());
        let at = windows.position(|found| found == text.as_bytes()).unwrap();
        bytes[at..at + text.len()].copy_from_slice(in_its_place.as_bytes());
        let path = self.directory.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    }
}

fn shown(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The digest that `stage` has printed.
fn digest(told: &str) -> String {
    let digest = told
        .lines()
        .find_map(|line| line.strip_prefix("sha256 "))
        .unwrap();
    digest.to_owned()
}

#[test]
fn the_exit_code_says_whether_a_component_may_serve_and_its_reason_stands_there_once() {
    let operator = Operator::start();
    let once = |told: &str, text: &str| assert_eq!(told.matches(text).count(), 1, "{told}");
    for _ in 0..BEFORE {
        operator.send(METRICS);
        thread::sleep(Duration::from_millis(60));
    }
    // A parser of several rows a packet whose traffic was there first.
    let told = operator.told(&["stage", shown(&graphite())], 0);
    once(&told, "nothing objects to it");
    once(&told, "golden packets");
    let first = digest(&told);
    operator.told(&["activate", &first], 0);
    operator.told(&["rollback", "graphite"], 0);
    operator.told(&["activate", &first], 0);

    // All its rows are others.
    let renamed = operator.variant("renamed.wasm", "\"path\"", "\"name\"");
    let told = operator.told(&["stage", shown(&renamed)], 2);
    once(&told, "differ, more than");
    once(&told, "by force only");
    once(&told, "first difference");
    let renamed = digest(&told);
    let told = operator.told(&["activate", &renamed], 2);
    once(&told, "differ, more than");
    let told = operator.told(&["report", &renamed], 0);
    once(&told, "differ, more than");
    operator.told(&["activate", &renamed, "--force"], 0);
    operator.told(&["rollback", "graphite"], 0);

    // Its column has another type.
    let (text, in_its_place) = ("\"value\",\"kind\":\"real\"", "\"value\",\"kind\":\"text\"");
    let retyped = operator.variant("retyped.wasm", text, in_its_place);
    let told = operator.told(&["stage", shown(&retyped)], 1);
    once(&told, "was DOUBLE");
    assert!(!told.contains("golden packets"), "{told}");
    let retyped = digest(&told);
    let told = operator.told(&["activate", &retyped, "--force"], 1);
    once(&told, "was DOUBLE");

    let nothing = operator.directory.path().join("nothing.wasm");
    fs::write(&nothing, "no component").unwrap();
    operator.told(&["stage", shown(&nothing)], 1);
    operator.told(&["stage"], 64);
    for command in ["stage", "activate"] {
        let help = operator.told(&[command, "--help"], 0);
        assert!(help.contains("2 "), "{help}");
        once(&help, "Exit codes");
    }

    // Whoever did it is named, though no variable names them.
    let history = operator.told(&["history"], 0);
    assert!(!history.contains(" by command"), "{history}");
    let user = heplake_host::process::user_name();
    assert!(history.contains(&format!(" by {user}")), "{history}");

    // Those that nothing needs go, and what serves stays.
    let told = operator.told(&["remove", &retyped[..12]], 0);
    once(&told, "is removed");
    let told = operator.told(&["remove", "graphite"], 0);
    once(&told, &format!("{renamed} is removed"));
    once(&told, &format!("{first} stays: it serves"));
    let told = operator.told(&["remove", "graphite"], 1);
    once(&told, "roll it back first");
    let told = operator.told(&["remove", "no-such-name"], 1);
    once(&told, "no component");
}
