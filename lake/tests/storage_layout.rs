//! The examples of Homer's description of its storage layout, on a lake of ours. docs/storage-layout.md
//! says the same of each.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod support;

use heplake_lake::{Lake, QueryError};
use std::process::Command;
use support::{DAY, ask, with_a_call};

/// An example as it is written there.
enum Example {
    /// It is answered as written.
    Works(&'static str),
    /// It is answered with what to write instead.
    Says(&'static str, &'static str),
}
use Example::{Says, Works};

const EXAMPLES: [Example; 13] = [
    Works(
        "SELECT * FROM homer_lake.hep_proto_1_call
         WHERE date = '2025-01-27'
           AND timestamp >= '2025-01-27 10:00:00'
           AND timestamp <  '2025-01-27 12:00:00';",
    ),
    Works("SELECT * FROM homer_lake.hep_proto_1_call WHERE date = '2025-01-27' LIMIT 10;"),
    Says(
        "SELECT table_name FROM ducklake_table;",
        "GET /api/v1/tables",
    ),
    Says(
        "SELECT file_path, row_count FROM ducklake_data_file WHERE table_id = 1;",
        "GET /api/v1/tables",
    ),
    Says(
        "SELECT column_name, partition_type FROM ducklake_partition_column WHERE table_id = 1;",
        "GET /api/v1/tables",
    ),
    Says(
        "ALTER TABLE homer_lake.hep_proto_1_call SET PARTITIONED BY (date);",
        "only queries",
    ),
    Says(
        "CALL ducklake_expire_snapshots('homer_lake', older_than => CAST(NOW() - INTERVAL '1 hour' AS TIMESTAMPTZ));",
        "only queries",
    ),
    Says(
        "CALL ducklake_merge_adjacent_files('homer_lake');",
        "only queries",
    ),
    Says(
        "CALL ducklake_cleanup_old_files('homer_lake');",
        "only queries",
    ),
    Says(
        "CALL ducklake_delete_orphaned_files('homer_lake');",
        "only queries",
    ),
    Says(
        "SELECT * FROM homer_lake.hep_proto_1_call AT SNAPSHOT 5;",
        "AT (VERSION => 5)",
    ),
    Says(
        "SELECT * FROM homer_lake.hep_proto_1_call AT TIMESTAMP '2025-01-27 10:00:00';",
        "AT (TIMESTAMP => TIMESTAMP '2025-01-27 10:00:00')",
    ),
    Says(
        "SELECT * FROM ducklake_snapshots('homer_lake.hep_proto_1_call');",
        "ducklake_snapshots('homer_lake')",
    ),
];

#[test]
fn each_example_is_answered_or_told_how_to_be_written() {
    let (_site, lake) = with_a_call();
    for example in EXAMPLES {
        match example {
            Works(sql) => assert_eq!(ask(&lake, sql), ""),
            Says(sql, expected) => match lake.sql(sql, None) {
                Err(QueryError::Refused(reason)) => {
                    let reason = reason.to_string();
                    assert!(reason.contains(expected), "{sql}: {reason}");
                }
                other => panic!("{sql}: {other:?}"),
            },
        }
    }
}

#[test]
fn an_example_finds_the_rows_of_its_date_and_hours() {
    let (_site, lake) = with_a_call();
    let sql = format!(
        "SELECT count(*) FROM homer_lake.hep_proto_1_call
         WHERE date = '{DAY}' AND timestamp >= '{DAY} 00:00:02' AND timestamp < '{DAY} 12:00:00'"
    );
    assert_eq!(ask(&lake, &sql), "3");
}

/// What the errors say to write is answered.
#[test]
fn time_travel_is_answered_as_the_errors_say_to_write_it() {
    let (_site, lake) = with_a_call();
    let newest = ask(&lake, "SELECT id FROM homer_lake.current_snapshot()");
    let count = |at: &str| {
        let sql = format!("SELECT count(*) FROM homer_lake.hep_proto_1_call {at}");
        ask(&lake, &sql)
    };
    assert_eq!(count(&format!("AT (VERSION => {newest})")), "5");
    assert_eq!(count("AT (VERSION => 1)"), "0");
    assert_eq!(
        count("AT (TIMESTAMP => TIMESTAMP '9999-01-27 10:00:00')"),
        "5"
    );
    let before_all = lake.sql(
        "FROM hep_proto_1_call AT (TIMESTAMP => TIMESTAMP '2025-01-27 10:00:00')",
        None,
    );
    assert!(
        matches!(before_all, Err(QueryError::Statement(_))),
        "{before_all:?}"
    );
    let snapshots = ask(
        &lake,
        "SELECT count(*) FROM ducklake_snapshots('homer_lake')",
    );
    assert_eq!(snapshots, (newest.parse::<u64>().unwrap() + 1).to_string());
    let changes = format!(
        "SELECT change_type, count(*) FROM ducklake_table_changes('homer_lake', 'main', 'hep_proto_1_call', 1, {newest}) GROUP BY ALL"
    );
    assert_eq!(ask(&lake, &changes), "insert,5");
}

#[test]
fn the_tables_and_columns_are_those_of_the_description() {
    let (_site, lake) = with_a_call();
    let columns = |lake: &Lake, table: &str| {
        let sql = format!(
            "SELECT string_agg(column_name || ' ' || data_type, ', ' ORDER BY ordinal_position)
             FROM information_schema.columns WHERE table_name = '{table}' AND table_catalog = 'homer_lake'"
        );
        ask(lake, &sql)
    };
    assert_eq!(
        columns(&lake, "hep_proto_1_call"),
        "uuid VARCHAR, date DATE, timestamp TIMESTAMP, session_id VARCHAR, caller VARCHAR, callee VARCHAR, \
         src_ip VARCHAR, dst_ip VARCHAR, src_port UINTEGER, dst_port UINTEGER, method VARCHAR, \
         response_code VARCHAR, cseq_method VARCHAR, protocol UINTEGER, node_id VARCHAR, cid VARCHAR, \
         payload VARCHAR, data_extra JSON"
    );
    assert_eq!(
        columns(&lake, "hep_proto_1_registration"),
        "uuid VARCHAR, date DATE, timestamp TIMESTAMP, session_id VARCHAR, aor VARCHAR, contact VARCHAR, \
         expires VARCHAR, user_agent VARCHAR, src_ip VARCHAR, dst_ip VARCHAR, src_port UINTEGER, \
         dst_port UINTEGER, method VARCHAR, response_code VARCHAR, protocol UINTEGER, node_id VARCHAR, \
         payload VARCHAR, data_extra JSON"
    );
    assert_eq!(
        columns(&lake, "hep_proto_5_default"),
        "uuid VARCHAR, date DATE, timestamp TIMESTAMP, session_id VARCHAR, src_ip VARCHAR, dst_ip VARCHAR, \
         src_port UINTEGER, dst_port UINTEGER, protocol UINTEGER, node_id VARCHAR, cid VARCHAR, \
         payload VARCHAR, data_extra JSON"
    );
}

/// Run by [`the_examples_for_a_duckdb_of_ones_own_work_in_one`]: the service has its own DuckDB.
#[test]
#[ignore = "a child of another test"]
fn child_reads_as_the_description_says() {
    let Ok(directory) = std::env::var("HEPLAKE_TEST_DIRECTORY") else {
        return;
    };
    let extensions = concat!(env!("DUCKDB_LIB_DIR"), "/extensions");
    let config = duckdb::Config::default();
    let config = config.with("extension_directory", extensions).unwrap();
    let duckdb = duckdb::Connection::open_in_memory_with_flags(config).unwrap();
    let attach = format!(
        "LOAD sqlite_scanner; LOAD ducklake;
         ATTACH 'ducklake:sqlite:{directory}/homer_catalog.sqlite' AS homer_lake (DATA_PATH '{directory}/parquet')"
    );
    duckdb.execute_batch(&attach).unwrap();
    let one = |sql: &str| {
        let found: Result<String, _> = duckdb.query_row(sql, [], |row| row.get(0));
        found
    };
    let catalog = "__ducklake_metadata_homer_lake";
    let rows = format!(
        "SELECT count(*)::VARCHAR FROM (SELECT * FROM homer_lake.hep_proto_1_call WHERE date = '{DAY}' LIMIT 10)"
    );
    let tables = format!(
        "SELECT count(*)::VARCHAR FROM (SELECT table_name FROM {catalog}.ducklake_table) WHERE table_name = 'hep_proto_1_call'"
    );
    let files = format!(
        "SELECT f.path || ' ' || f.record_count FROM {catalog}.ducklake_data_file f
         JOIN {catalog}.ducklake_table t USING (table_id) WHERE t.table_name = 'hep_proto_1_call'"
    );
    let partitions = format!("SELECT transform FROM {catalog}.ducklake_partition_column LIMIT 1");
    println!(
        "found {} {} {} {}.",
        one(&rows).unwrap(),
        one(&tables).unwrap(),
        one(&files).unwrap(),
        one(&partitions).unwrap(),
    );
    // Not as written there: the columns have other names.
    assert!(
        one(&format!(
            "SELECT file_path FROM {catalog}.ducklake_data_file"
        ))
        .is_err()
    );
    assert!(
        one(&format!(
            "SELECT partition_type FROM {catalog}.ducklake_partition_column"
        ))
        .is_err()
    );
}

#[test]
fn the_examples_for_a_duckdb_of_ones_own_work_in_one() {
    let (site, lake) = with_a_call();
    let child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "child_reads_as_the_description_says",
            "--ignored",
            "--nocapture",
        ])
        .env("HEPLAKE_TEST_DIRECTORY", site.path())
        .output()
        .unwrap();
    let output = String::from_utf8_lossy(&child.stdout);
    assert!(
        output
            .contains("found 5 1 date=2026-11-22/e-00000000000000000001-0000.parquet 5 identity."),
        "{output}{}",
        String::from_utf8_lossy(&child.stderr)
    );
    drop(lake);
}
