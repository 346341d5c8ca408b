//! Readers beside the service: while commits are registered, and in another process.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod support;

use std::{
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};
use support::{DAY, ask, row, table, with_a_call};

#[test]
fn readers_never_fail_while_commits_are_registered() {
    let (site, lake) = with_a_call();
    let call = table("hep_proto_1_call");
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let reader = || {
            let (mut asked, mut last, mut slowest) = (0, 0, Duration::ZERO);
            while !over.load(Ordering::Relaxed) {
                let started = Instant::now();
                let count: u64 = ask(&lake, "SELECT count(*) FROM hep_proto_1_call")
                    .parse()
                    .unwrap();
                slowest = slowest.max(started.elapsed());
                assert!(count >= last, "{count} rows after {last}");
                (asked, last) = (asked + 1, count);
                lake.call("1@a").unwrap();
                lake.tables().unwrap();
            }
            (asked, slowest)
        };
        let readers: Vec<_> = (0..3).map(|_| scope.spawn(reader)).collect();
        let started = Instant::now();
        let (mut sequence, mut slowest) = (1, Duration::ZERO);
        while started.elapsed() < Duration::from_secs(8) {
            sequence += 1;
            let mut brought = call.clone();
            if sequence % 50 == 0 {
                // A change of the schema now and then.
                brought.columns.push(support::column(
                    &format!("c{sequence}"),
                    heplake_format::ColumnType::Varchar,
                ));
            }
            site.commit(
                "e",
                sequence,
                &[(&brought, DAY, vec![row(1, &[("session_id", "z")])])],
            );
            let started = Instant::now();
            let registered = lake.register_new().unwrap();
            slowest = slowest.max(started.elapsed());
            assert_eq!(registered.commits, 1, "{:?}", registered.refused);
        }
        over.store(true, Ordering::Relaxed);
        println!("{sequence} commits, slowest {slowest:?}");
        for reader in readers {
            let (asked, slowest) = reader.join().unwrap();
            println!("{asked} rounds of queries, slowest count {slowest:?}");
        }
    });
}

/// Run by [`a_plain_duckdb_in_another_process_reads_the_same_rows`].
#[test]
#[ignore = "a child of another test"]
fn child_counts_with_a_plain_duckdb() {
    let Ok(catalog) = std::env::var("HEPLAKE_TEST_CATALOG") else {
        return;
    };
    let extensions = concat!(env!("DUCKDB_LIB_DIR"), "/extensions");
    let config = duckdb::Config::default()
        .with("extension_directory", extensions)
        .unwrap();
    let duckdb = duckdb::Connection::open_in_memory_with_flags(config).unwrap();
    duckdb
        .execute_batch(&format!("LOAD sqlite_scanner; LOAD ducklake; ATTACH 'ducklake:sqlite:{catalog}' AS l (READ_ONLY)"))
        .unwrap();
    let sql =
        "SELECT count(*) || ' ' || string_agg(uuid, '' ORDER BY uuid) FROM l.hep_proto_1_call";
    let found: String = duckdb.query_row(sql, [], |row| row.get(0)).unwrap();
    println!("found {found}.");
}

#[test]
fn a_plain_duckdb_in_another_process_reads_the_same_rows() {
    let (site, lake) = with_a_call();
    let child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "child_counts_with_a_plain_duckdb",
            "--ignored",
            "--nocapture",
        ])
        .env("HEPLAKE_TEST_CATALOG", site.settings().catalog_path)
        .output()
        .unwrap();
    let output = String::from_utf8_lossy(&child.stdout);
    assert!(
        output.contains("found 5 0102040709."),
        "{output}{}",
        String::from_utf8_lossy(&child.stderr)
    );
    drop(lake);
}
