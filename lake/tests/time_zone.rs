//! The time zone of the host changes nothing: neither the catalog nor an answer.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod support;

use chrono::Utc;
use heplake_format::ColumnType;
use heplake_lake::{Lake, Search};
use std::{fs, path::Path, process::Command, thread, time::Duration};
use support::{Row, Site, ask, column, duckdb, settings, table, text};

/// Seconds since 1970 of instants that a zone could move to another day or hour: around
/// midnight UTC, and around the changes of New York's clocks, in spring and in autumn.
const INSTANTS: [(&str, i64); 8] = [
    ("2026-11-28", 1_795_910_399),
    ("2026-11-29", 1_795_910_401),
    ("2026-03-08", 1_772_953_199),
    ("2026-03-08", 1_772_953_201),
    ("2026-11-01", 1_793_512_799),
    ("2026-11-01", 1_793_512_801),
    ("2026-11-01", 1_793_516_399),
    ("2026-11-01", 1_793_516_401),
];

fn at(second: i64) -> Row<'static> {
    vec![
        ("timestamp", (second * 1_000_000).to_string()),
        ("session_id", "a@b".into()),
        ("method", "INVITE".into()),
        ("caller", "alice".into()),
    ]
}

/// Registers and asks in the process's time zone; the answers, a line each.
fn answers(directory: &Path) -> String {
    let site = Site::at(directory);
    let lake = site.open();
    let mut call = table("hep_proto_1_call");
    let mut lines = Vec::new();
    let mut instants = Vec::new();
    for (sequence, (date, second)) in (1..).zip(INSTANTS) {
        // DuckLake writes the snapshot of a new column, Heplake that of new files.
        call.columns
            .push(column(&format!("c{sequence}"), ColumnType::UInteger));
        site.commit("e", sequence, &[(&call, date, vec![at(second)])]);
        assert_eq!(lake.register_new().unwrap().commits, 1);
        thread::sleep(Duration::from_millis(5));
        instants.push(Utc::now());
        thread::sleep(Duration::from_millis(5));
    }
    for instant in instants {
        let utc = instant.format("%Y-%m-%d %H:%M:%S%.6f");
        let east = instant + chrono::TimeDelta::minutes(330);
        let east = east.format("%Y-%m-%d %H:%M:%S%.6f+05:30");
        for when in [
            format!("'{utc}'"),
            format!("TIMESTAMP '{utc}'"),
            format!("TIMESTAMPTZ '{utc}+00'"),
            format!("TIMESTAMPTZ '{east}'"),
        ] {
            let sql = format!("SELECT count(*) FROM hep_proto_1_call AT (TIMESTAMP => {when})");
            lines.push(ask(&lake, &sql));
        }
    }
    for sql in [
        "SELECT date, count(*) FROM hep_proto_1_call GROUP BY ALL ORDER BY ALL",
        "SELECT timestamp::VARCHAR, date_trunc('hour', timestamp)::VARCHAR, \
         date_trunc('day', timestamp)::VARCHAR FROM hep_proto_1_call ORDER BY timestamp",
        "SELECT date_trunc('day', timestamp::TIMESTAMPTZ)::VARCHAR FROM hep_proto_1_call \
         ORDER BY timestamp",
        "SELECT count(*) FROM hep_proto_1_call \
         WHERE timestamp >= '2026-11-29' AND timestamp < TIMESTAMPTZ '2026-11-30 00:00:00+00'",
        "SELECT count(*) FROM hep_proto_1_call WHERE date = DATE '2026-11-01'",
        "SELECT TIMESTAMPTZ '2026-07-01 00:00:00+00'::VARCHAR",
    ] {
        lines.push(ask(&lake, sql));
    }
    // The second before midnight, an hour that New York has twice, the one that it skips.
    for (from, to) in [
        (1_795_824_000, 1_795_910_399),
        (1_793_512_800, 1_793_516_400),
        (1_772_953_200, 1_772_956_800),
    ] {
        let search = Search {
            from_us: Some(from * 1_000_000),
            to_us: Some(to * 1_000_000),
            ..Search::default()
        };
        lines.push(text(&lake.search(&search).unwrap()));
    }
    lines.join("\n")
}

/// Run by [`every_time_zone_answers_as_utc_does`] in a process of its own.
#[test]
#[ignore = "a child of another test"]
fn child_answers_in_its_time_zone() {
    let Some(directory) = std::env::var_os("HEPLAKE_TEST_SITE") else {
        return;
    };
    let directory = Path::new(&directory);
    fs::write(directory.join("answers"), answers(directory)).unwrap();
}

fn run_in(zone: &str) -> (Site, String) {
    let site = Site::new();
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_answers_in_its_time_zone", "--ignored"])
        .env("HEPLAKE_TEST_SITE", site.path())
        .env("TZ", zone)
        .status()
        .unwrap();
    assert!(status.success(), "{zone}");
    let answers = fs::read_to_string(site.path().join("answers")).unwrap();
    (site, answers)
}

#[test]
fn every_time_zone_answers_as_utc_does() {
    let (_, expected) = run_in("UTC");
    assert!(expected.contains("2026-11-01,4"), "{expected}");
    assert!(expected.starts_with("1\n1\n1\n1\n2\n2"), "{expected}");
    for zone in ["Asia/Kolkata", "America/New_York"] {
        let (site, answers) = run_in(zone);
        assert_eq!(answers, expected, "{zone}");
        for time in times(&site) {
            assert!(time.ends_with("+00"), "{zone}: {time}");
        }
    }
}

/// The times of all snapshots, as the catalog has them.
fn times(site: &Site) -> Vec<String> {
    let duckdb = duckdb();
    let catalog = site.settings().catalog_path;
    let attach = format!(
        "ATTACH '{}' AS c (TYPE sqlite, READ_ONLY)",
        catalog.display()
    );
    duckdb.execute_batch(&attach).unwrap();
    let sql = "SELECT snapshot_time FROM c.ducklake_snapshot ORDER BY snapshot_id";
    let mut statement = duckdb.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| row.get(0)).unwrap();
    rows.map(Result::unwrap).collect()
}

#[test]
fn a_catalog_with_times_of_several_zones_is_mended_when_it_is_opened() {
    let site = Site::new();
    let call = table("hep_proto_1_call");
    let lake = site.open();
    site.commit("e", 1, &[(&call, "2026-11-29", vec![at(INSTANTS[1].1)])]);
    lake.register_new().unwrap();
    drop(lake);
    let right = times(&site);
    {
        let duckdb = duckdb();
        let catalog = site.settings().catalog_path;
        duckdb
            .execute_batch(&format!(
                "SET TimeZone = 'Asia/Kolkata';
                 ATTACH '{}' AS c (TYPE sqlite);
                 UPDATE c.ducklake_snapshot
                    SET snapshot_time = snapshot_time::TIMESTAMPTZ::VARCHAR WHERE snapshot_id % 3 = 0;
                 SET TimeZone = 'America/New_York';
                 UPDATE c.ducklake_snapshot
                    SET snapshot_time = snapshot_time::TIMESTAMPTZ::VARCHAR WHERE snapshot_id % 3 = 1",
                catalog.display()
            ))
            .unwrap();
    }
    let mixed = times(&site);
    assert!(mixed[0].ends_with("+05:30"), "{}", mixed[0]);
    assert!(mixed[1].ends_with("-05"), "{}", mixed[1]);
    let now = Utc::now().format("%Y-%m-%d %H:%M:%S%.6f");
    let lake = Lake::open(&settings(site.path())).unwrap();
    let instants = |times: &[String]| -> Vec<_> {
        let instant = |time: &String| {
            chrono::DateTime::parse_from_str(&format!("{time}:00"), "%Y-%m-%d %H:%M:%S%.f%:z")
                .unwrap()
        };
        times.iter().map(instant).collect()
    };
    let mended = times(&site);
    assert_eq!(instants(&mended), instants(&right));
    let sql = format!("SELECT count(*) FROM hep_proto_1_call AT (TIMESTAMP => '{now}')");
    assert_eq!(ask(&lake, &sql), "1");
    drop(lake);
    drop(site.open());
    assert_eq!(times(&site), mended, "mended twice");
}
