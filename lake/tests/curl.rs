//! A corrected parser by `curl` alone, as docs/components.md has it: staged, reported, activated,
//! seen in the rows, and rolled back, on a real `heplake serve`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![allow(clippy::panic, reason = "a test that cannot go on has failed")]

#[path = "support/service.rs"]
mod service;

use serde_json::Value;
use service::{Service, curl, graphite, packet, wait_for};
use std::{
    fs,
    net::{Ipv4Addr, UdpSocket},
    path::Path,
    process::Command,
};

fn has_curl() -> bool {
    let has_curl = Command::new("curl").arg("--version").output().is_ok();
    if !has_curl {
        eprintln!("skipped: there is no curl on this machine");
    }
    has_curl
}

#[test]
fn a_corrected_parser_is_staged_activated_seen_in_the_rows_and_rolled_back_by_curl() {
    if !has_curl() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let service = Service::start(directory.path());
    let listed = wait_for("the service answers", || curl(&[&service.components("")]));
    assert!(listed["active"]["sip"]["active"].is_string(), "{listed}");

    // As it is, and corrected: it calls its column `metric` rather than `path`. Both have the
    // same length in the JSON that it describes itself by.
    let corrected = directory.path().join("corrected.wasm");
    let bytes = fs::read(graphite()).unwrap();
    let text = b"\"path\"";
    let at = bytes
        .windows(text.len())
        .position(|found| found == text)
        .unwrap();
    let mut changed = bytes.clone();
    changed[at..at + text.len()].copy_from_slice(b"\"name\"");
    fs::write(&corrected, changed).unwrap();

    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let stage = |path: &Path| {
        let body = format!("@{}", path.display());
        let url = service.components("?by=ann");
        let wasm = "Content-Type: application/wasm";
        let staged = curl(&["--data-binary", &body, "-H", wasm, &url]).unwrap();
        assert_eq!(
            staged["report"]["impediments"],
            serde_json::json!([]),
            "{staged}"
        );
        staged["digest"].as_str().unwrap().to_owned()
    };
    let post = |path: &str, body: &str| {
        let json = "Content-Type: application/json";
        let url = service.components(path);
        curl(&["-X", "POST", "-H", json, "-d", body, &url]).unwrap()
    };
    let done = |answer: Value| {
        assert!(answer.get("error").is_none(), "{answer}");
        answer
    };
    let send = |text: &str| {
        socket
            .send_to(&packet(text), ("127.0.0.1", service.hep))
            .unwrap()
    };

    let first = stage(&graphite());
    done(post(&format!("/{first}/activate"), "{}"));
    send("web.load 0.5 -1\n");
    let rows = service.rows("SELECT path, value FROM hep_proto_201_default WHERE value = 0.5");
    assert_eq!(rows, serde_json::json!([["web.load", 0.5]]));

    let second = stage(&corrected);
    let report = curl(&[&service.components(&format!("/{}", &second[..12]))]).unwrap();
    let columns = report["report"]["new_columns"].to_string();
    assert!(
        columns.contains("hep_proto_201_default.name VARCHAR"),
        "{report}"
    );
    // All its rows are others: that must be meant.
    let objected = post(&format!("/{second}/activate"), "{}");
    assert_eq!(objected["error"]["code"], "objected", "{objected}");
    let fields = &objected["report"]["first_difference"]["fields"];
    assert_eq!(fields[0]["field"], "path", "{objected}");
    let forced = r#"{"by": "ann", "force": true}"#;
    done(post(&format!("/{second}/activate"), forced));
    send("web.load 0.75 -1\n");
    let rows = service.rows("SELECT name, path FROM hep_proto_201_default WHERE value = 0.75");
    assert_eq!(rows, serde_json::json!([["web.load", null]]));

    let from = serde_json::json!({ "by": "ann", "from": second }).to_string();
    let back = done(post("/graphite/rollback", &from));
    assert_eq!(back["changed"], serde_json::json!([["graphite", first]]));
    // The same order again comes too late.
    let late = post("/graphite/rollback", &from);
    assert_eq!(late["error"]["code"], "not_active", "{late}");
    send("web.load 1.5 -1\n");
    let rows = service.rows("SELECT name, path FROM hep_proto_201_default WHERE value = 1.5");
    assert_eq!(rows, serde_json::json!([[null, "web.load"]]));

    // A correction whose rows are the same takes over without a word.
    let newer = directory.path().join("newer.wasm");
    let mut changed = bytes.clone();
    let version = b"\"version\":\"0.1.0\"";
    let at = bytes.windows(version.len()).position(|at| at == version);
    changed[at.unwrap() + version.len() - 2] = b'1';
    fs::write(&newer, changed).unwrap();
    let third = stage(&newer);
    let active = done(post(&format!("/{third}/activate"), r#"{"by": "ann"}"#));
    assert_eq!(active["changed"], serde_json::json!([["graphite", third]]));
    send("web.load 2.5 -1\n");
    let rows = service.rows("SELECT name, path FROM hep_proto_201_default WHERE value = 2.5");
    assert_eq!(rows, serde_json::json!([[null, "web.load"]]));

    let history = curl(&[&service.components("/history")]).unwrap();
    let events = history["events"].as_array().unwrap();
    let events: Vec<_> = events
        .iter()
        .map(|event| event["event"].as_str().unwrap())
        .collect();
    assert_eq!(
        events,
        [
            "staged",
            "activated",
            "staged",
            "activated",
            "rolled_back",
            "staged",
            "activated"
        ]
    );

    // Pages of strangers are kept out, and what cannot be is said.
    let rebound = curl(&["-H", "Host: evil.example", &service.components("")]).unwrap();
    assert_eq!(rebound["error"]["code"], "wrong_host");
    let plain = curl(&["-d", "{}", &service.components("/graphite/rollback")]).unwrap();
    assert_eq!(plain["error"]["code"], "wrong_content_type");
    let unknown = curl(&[&service.components("/0123456789")]).unwrap();
    assert_eq!(unknown["error"]["code"], "unknown");
    let wasm = "Content-Type: application/wasm";
    let rubbish = curl(&["-d", "rubbish", "-H", wasm, &service.components("")]).unwrap();
    assert_eq!(rubbish["error"]["code"], "refused", "{rubbish}");
}

#[test]
fn activations_that_wait_leave_room_for_the_rollback_that_ends_them() {
    if !has_curl() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let more = "[components]\ncanary_time = \"1h\"\n";
    let service = Service::start_with(directory.path(), more);
    let upload = format!("@{}", graphite().display());
    let staged = wait_for("the control address", || {
        let wasm = "Content-Type: application/wasm";
        let url = service.components("");
        curl(&["--data-binary", &upload, "-H", wasm, &url])
    });
    let digest = staged["digest"].as_str().unwrap();
    let order = |path: &str| {
        let json = "Content-Type: application/json";
        let url = service.components(path);
        // Who does not wait for the answer has given the order nevertheless.
        curl(&["--max-time", "1", "-H", json, "-d", "{}", &url])
    };
    wait_for("no more of them are taken", || {
        let answer = order(&format!("/{digest}/activate"))?;
        assert_eq!(answer["error"]["code"], "busy", "{answer}");
        Some(answer)
    });
    let back = wait_for("the canary is ended", || {
        let answer = order("/graphite/rollback")?;
        // Before a canary has it there is nothing to go back from.
        answer.get("changed").cloned()
    });
    assert_eq!(back, serde_json::json!([["graphite", null]]));
}
