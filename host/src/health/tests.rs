use super::*;
use std::{fmt::Write as _, path::PathBuf};

#[test]
fn nothing_reported_is_ok() {
    let report = Health::new().report();
    assert_eq!(report.status, Status::Ok);
    assert!(report.reasons.is_empty());
}

#[test]
fn the_worst_reason_is_the_status_and_stands_first() {
    let health = Health::new();
    for (code, expected) in [
        (Code::UdpReceiveBufferSmall, Status::Ok),
        (Code::StoreUnwritable, Status::Degraded),
        (Code::BacklogFull, Status::Failing),
        (Code::CommitsRefused, Status::Failing),
    ] {
        health.raise(code, "it is so");
        assert_eq!(health.report().status, expected, "{code:?}");
    }
    let reasons = health.report().reasons;
    let codes: Vec<Code> = reasons.iter().map(|reason| reason.code).collect();
    assert_eq!(
        codes,
        [
            Code::BacklogFull,
            Code::StoreUnwritable,
            Code::CommitsRefused,
            Code::UdpReceiveBufferSmall
        ]
    );
    health.settle(Code::BacklogFull);
    assert_eq!(health.report().status, Status::Degraded);
}

#[test]
fn a_report_that_is_repeated_keeps_its_time_and_gets_the_new_text() {
    let health = Health::new();
    health.raise(Code::StoreUnwritable, "1 row waits");
    let since = health.report().reasons[0].since.clone();
    health.raise(Code::StoreUnwritable, "2 rows wait");
    let reasons = health.report().reasons;
    assert_eq!(reasons.len(), 1);
    assert_eq!(
        (&*reasons[0].text, &reasons[0].since),
        ("2 rows wait", &since)
    );
}

#[test]
fn several_have_a_reason_each_up_to_a_limit() {
    let health = Health::new();
    for number in 0..2 * SUBJECTS_MAX {
        health.raise_about(Code::ComponentCutOff, &format!("c{number}"), "cut off");
    }
    assert_eq!(health.report().reasons.len(), SUBJECTS_MAX);
    health.settle_about(Code::ComponentCutOff, "c0");
    assert_eq!(health.report().reasons.len(), SUBJECTS_MAX - 1);
    health.settle(Code::ComponentCutOff);
    assert!(health.report().reasons.is_empty());
}

#[test]
fn what_counts_for_a_while_is_forgotten_after_it() {
    let health = Health::new();
    health.raise_for(Code::PacketsLost, Duration::from_secs(3600), "3 packets");
    assert!(health.report().has(Code::PacketsLost));
    health.raise_for(Code::PacketsLost, Duration::ZERO, "3 packets");
    assert!(!health.report().has(Code::PacketsLost));
}

#[test]
fn a_probe_is_asked_each_time() {
    let health = Health::new();
    let is_wrong = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let asked = is_wrong.clone();
    health.probe(Code::ComponentCutOff, move || {
        let is_wrong = asked.load(std::sync::atomic::Ordering::Relaxed);
        is_wrong.then(|| "sip is cut off".into())
    });
    assert!(health.report().has(Code::ComponentCutOff));
    is_wrong.store(false, std::sync::atomic::Ordering::Relaxed);
    assert!(!health.report().has(Code::ComponentCutOff));
}

#[test]
fn a_reason_in_json_has_code_severity_text_and_time() {
    let health = Health::new();
    health.raise(Code::BacklogFull, "10 rows wait");
    let json = serde_json::to_value(health.report()).unwrap();
    assert_eq!(json["status"], "failing");
    let reason = &json["reasons"][0];
    assert_eq!(reason["code"], "backlog_full");
    assert_eq!(reason["severity"], "failing");
    assert_eq!(reason["text"], "10 rows wait");
    assert!(humantime::parse_rfc3339(reason["since"].as_str().unwrap()).is_ok());
}

#[test]
fn a_text_has_one_line_and_no_directory_of_this_machine() {
    for (text, expected) in [
        ("all is well", "all is well"),
        ("", ""),
        (
            "Unable to open file /var/lib/x/main/a.parquet#1: No space left on device (os error 28)",
            "Unable to open file a.parquet#1: No space left on device (os error 28)",
        ),
        (
            "IO Error: Cannot open \"/srv/lake/homer_catalog.sqlite\"\nStack Trace:\n/usr/lib/x",
            "IO Error: Cannot open \"homer_catalog.sqlite\"",
        ),
        ("file:///a/b/c is gone", "c is gone"),
        (
            "main/hep_proto_1_call/x is 3/4 done",
            "main/hep_proto_1_call/x is 3/4 done",
        ),
        ("tab\tand \u{1b}[31m", "tab and [31m"),
    ] {
        assert_eq!(for_strangers(text), expected);
    }
    assert_eq!(for_strangers(&"é".repeat(1000)).chars().count(), 301);
}

#[test]
fn each_code_has_a_name_of_its_own_and_sentences() {
    let mut names = std::collections::HashSet::new();
    for code in Code::ALL {
        assert!(names.insert(code.name()), "{code:?}");
        assert!(
            code.name()
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b == b'_'),
            "{code:?}"
        );
        for sentence in [code.means(), code.to_do()] {
            assert!(sentence.ends_with('.'), "{code:?}: {sentence}");
        }
    }
}

/// docs/health.md lists every code as the table here has it. `HEPLAKE_BLESS=1` writes it anew.
#[test]
fn the_page_about_health_lists_every_code() {
    let mut rows = String::from(
        "| code | severity | half | what is wrong | what to do |\n|---|---|---|---|---|\n",
    );
    for code in Code::ALL {
        let (name, severity, half) = (code.name(), code.severity().name(), code.of().name());
        let _ = writeln!(
            rows,
            "| `{name}` | {severity} | {half} | {} | {} |",
            code.means(),
            code.to_do()
        );
    }
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/health.md");
    crate::page::hold(&path, "codes", &rows);
}
