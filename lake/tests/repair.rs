//! What somebody decides of what the lake could not take: each way out, on real files.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod support;

use heplake_format::{ColumnType, Commit, Table};
use heplake_lake::{
    ColumnDecision, Decision, Given, Lake, QueryError, RepairError, Repaired, SetAsideGroup,
};
use std::{collections::BTreeMap, fs, path::PathBuf, thread, time::Duration};
use support::{DAY, Row, Site, ask, column, duckdb, row, table};

const RTCP: &str = "hep_proto_5_default";

fn calls(count: i64) -> Vec<Row<'static>> {
    (0..count)
        .map(|n| row(n, &[("session_id", "a@b"), ("method", "INVITE")]))
        .collect()
}

/// The table of RTCP with a column of its component.
fn rtcp(name: &str, column_type: ColumnType) -> Table {
    let mut rtcp = table(RTCP);
    rtcp.columns.push(column(name, column_type));
    rtcp
}

fn values(name: &'static str, values: &[&str]) -> Vec<Row<'static>> {
    (0..)
        .zip(values)
        .map(|(n, value)| row(n, &[(name, *value), ("session_id", "a@b")]))
        .collect()
}

/// A lake where one edge brought `jitter` as a whole number, and another brings it as a
/// fraction, with a call in each commit.
fn conflict() -> (Site, Lake) {
    let site = Site::new();
    let lake = site.open();
    let call = table("hep_proto_1_call");
    let whole = rtcp("jitter", ColumnType::UBigInt);
    let fraction = rtcp("jitter", ColumnType::Double);
    site.commit(
        "edge1",
        1,
        &[
            (&whole, DAY, values("jitter", &["7"])),
            (&call, DAY, calls(1)),
        ],
    );
    assert_eq!(lake.register_new().unwrap().rows, 2);
    for sequence in 1..=2 {
        let jitters = values("jitter", &["3", "1.5", "-2"]);
        site.commit(
            "edge2",
            sequence,
            &[(&call, DAY, calls(2)), (&fraction, DAY, jitters)],
        );
    }
    let registered = lake.register_new().unwrap();
    assert_eq!((registered.commits, registered.rows), (2, 4));
    assert!(registered.refused.is_empty(), "{:?}", registered.refused);
    (site, lake)
}

fn register(columns: &[(&str, ColumnDecision)]) -> Given {
    let columns = columns
        .iter()
        .map(|(name, d)| ((*name).to_owned(), d.clone()));
    Given {
        decision: Decision::Register {
            table: RTCP.into(),
            edge: None,
            columns: columns.collect(),
            into: None,
            as_found: false,
        },
        yes: false,
    }
}

fn parquet_files(site: &Site, table: &str) -> Vec<PathBuf> {
    let directory = site.data_path().join(format!("main/{table}/date={DAY}"));
    let mut files: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files
}

#[test]
fn a_column_of_another_type_costs_its_table_only_and_is_told() {
    let (site, lake) = conflict();
    assert_eq!(ask(&lake, "SELECT count(*) FROM hep_proto_1_call"), "5");
    assert_eq!(ask(&lake, "SELECT count(*) FROM hep_proto_5_default"), "1");
    let condition = lake.condition().unwrap();
    assert_eq!(
        (condition.set_aside_files, condition.set_aside_rows),
        (2, 6)
    );
    let [
        SetAsideGroup {
            edge,
            table,
            reason,
            files: 2,
            rows: 6,
            since_s,
        },
    ] = condition.set_aside.as_slice()
    else {
        panic!("{condition:?}");
    };
    assert_eq!((edge.as_str(), table.as_str()), ("edge2", RTCP));
    assert!(reason.contains("`jitter` of type UBIGINT"), "{reason}");
    assert!(reason.contains("brings DOUBLE"), "{reason}");
    assert!(*since_s > 1_700_000_000);
    // A rollback on the edge: what it brings then fits, and what waits goes on waiting.
    let whole = rtcp("jitter", ColumnType::UBigInt);
    site.commit("edge2", 3, &[(&whole, DAY, values("jitter", &["9"]))]);
    assert_eq!(lake.register_new().unwrap().rows, 1);
    assert_eq!(lake.condition().unwrap().set_aside_files, 2);
}

#[test]
fn a_cast_keeps_what_the_type_cannot_hold() {
    let (site, lake) = conflict();
    let repaired = lake.repair(&register(&[("jitter", ColumnDecision::Cast)]));
    let repaired = repaired.unwrap();
    assert_eq!((repaired.files, repaired.rows), (2, 6), "{repaired:?}");
    assert_eq!(repaired.values_not_cast, 4);
    let sql = "SELECT jitter, data_extra->>'$.not_cast.jitter', count(*) FROM hep_proto_5_default \
         GROUP BY ALL ORDER BY ALL";
    assert_eq!(ask(&lake, sql), "3,null,2;7,null,1;null,-2.0,2;null,1.5,2");
    assert_eq!(lake.condition().unwrap().set_aside_files, 0);
    // Once, and for good.
    assert_eq!(lake.register_new().unwrap().commits, 0);
    let again = lake.repair(&register(&[("jitter", ColumnDecision::Cast)]));
    assert!(
        matches!(again, Err(RepairError::NothingThere(_))),
        "{again:?}"
    );
    drop(lake);
    let lake = site.open();
    assert_eq!(lake.register_new().unwrap().files, 0);
    assert_eq!(ask(&lake, "SELECT count(*) FROM hep_proto_5_default"), "7");
    // Without the catalog every file has one type a column, and no row is there twice.
    let files = format!("{}/main/{RTCP}/*/*.parquet", site.data_path().display());
    let sql = format!("SELECT count(*), sum(jitter)::INTEGER FROM read_parquet('{files}')");
    let found: (i64, i64) = duckdb()
        .query_row(&sql, [], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap();
    assert_eq!(found, (7, 13));
    let aside = site
        .data_path()
        .join(format!("aside/main/{RTCP}/date={DAY}"));
    assert_eq!(fs::read_dir(aside).unwrap().count(), 2);
}

#[test]
fn a_column_goes_under_another_name() {
    let (_site, lake) = conflict();
    let rename = ColumnDecision::Rename("jitter_ms".parse().unwrap());
    let repaired = lake.repair(&register(&[("jitter", rename)])).unwrap();
    assert_eq!((repaired.rows, repaired.values_not_cast), (6, 0));
    let sql =
        "SELECT jitter, jitter_ms, count(*) FROM hep_proto_5_default GROUP BY ALL ORDER BY ALL";
    assert_eq!(
        ask(&lake, sql),
        "7,null,1;null,-2.0,2;null,1.5,2;null,3.0,2"
    );
}

#[test]
fn a_column_is_left_out_only_if_somebody_says_yes() {
    let (_site, lake) = conflict();
    let mut given = register(&[("jitter", ColumnDecision::LeaveOut)]);
    let error = lake.repair(&given).unwrap_err();
    assert!(matches!(error, RepairError::Unconfirmed(_)), "{error}");
    assert!(error.to_string().contains("6 rows of 2 files"), "{error}");
    given.yes = true;
    assert_eq!(lake.repair(&given).unwrap().rows, 6);
    let sql = "SELECT jitter, count(*) FROM hep_proto_5_default GROUP BY ALL ORDER BY ALL";
    assert_eq!(ask(&lake, sql), "7,1;null,6");
}

#[test]
fn files_are_given_up_only_if_somebody_says_yes() {
    let (site, lake) = conflict();
    let mut given = Given {
        decision: Decision::GiveUp {
            table: RTCP.into(),
            edge: Some("edge2".parse().unwrap()),
        },
        yes: false,
    };
    let error = lake.repair(&given).unwrap_err();
    assert!(error.to_string().contains("6 rows of 2 files"), "{error}");
    assert_eq!(parquet_files(&site, RTCP).len(), 3);
    given.yes = true;
    let repaired = lake.repair(&given).unwrap();
    assert_eq!((repaired.files, repaired.rows), (2, 6));
    assert_eq!(parquet_files(&site, RTCP).len(), 1);
    assert!(lake.condition().unwrap().reasons().is_empty());
}

#[test]
fn a_decision_that_does_not_fit_changes_nothing() {
    let (site, lake) = conflict();
    let before = parquet_files(&site, RTCP);
    let other = |name: &str| ColumnDecision::Rename(name.parse().unwrap());
    for (columns, expected) in [
        (vec![], "`jitter` of type UBIGINT"),
        (
            vec![("nothing", ColumnDecision::Cast)],
            "no column `nothing`",
        ),
        (vec![("jitter", other("node_id"))], "two columns `node_id`"),
        (
            vec![("session_id", other("sid"))],
            "`jitter` of type UBIGINT",
        ),
        (vec![("date", other("day"))], "needs the column `date`"),
    ] {
        let repaired = lake.repair(&register(&columns)).unwrap();
        assert_eq!(
            (repaired.files, repaired.failed_files),
            (0, 2),
            "{expected}"
        );
        let reason = &repaired.failed[0].reason;
        assert!(reason.contains(expected), "{expected}: {reason}");
    }
    assert_eq!(lake.condition().unwrap().set_aside_rows, 6);
    assert_eq!(parquet_files(&site, RTCP), before);
    assert_eq!(ask(&lake, "SELECT count(*) FROM hep_proto_5_default"), "1");
}

#[test]
fn every_pair_of_types_can_be_cast_or_says_why_not() {
    let types = [
        (ColumnType::Varchar, "12"),
        (ColumnType::Timestamp, "1795305600000000"),
        (ColumnType::UInteger, "12"),
        (ColumnType::UBigInt, "12"),
        (ColumnType::Double, "12"),
        (ColumnType::Json, "12"),
        (ColumnType::Blob, "12"),
    ];
    let site = Site::new();
    let lake = site.open();
    let mut sequence = 0;
    for (there, _) in types {
        for (brought, value) in types {
            if there == brought {
                continue;
            }
            sequence += 1;
            let name = format!("t{sequence}");
            let named = |column_type| {
                let mut of = rtcp("value", column_type);
                of.name = name.parse().unwrap();
                of
            };
            site.commit("a", sequence, &[(&named(there), DAY, calls(1))]);
            site.commit(
                "b",
                sequence,
                &[(&named(brought), DAY, values("value", &[value]))],
            );
            lake.register_new().unwrap();
            assert_eq!(lake.condition().unwrap().set_aside_rows, 1);
            let decide = |columns: &[(&str, ColumnDecision)]| {
                let mut given = register(columns);
                let Decision::Register { table, .. } = &mut given.decision else {
                    panic!();
                };
                table.clone_from(&name);
                lake.repair(&given).unwrap()
            };
            let what = format!("{} to {}", brought.sql(), there.sql());
            let cast: Repaired = decide(&[("value", ColumnDecision::Cast)]);
            if cast.failed_files > 0 {
                assert!(!cast.failed[0].reason.is_empty(), "{what}");
                let rename = ColumnDecision::Rename("value2".parse().unwrap());
                assert_eq!(decide(&[("value", rename)]).rows, 1, "{what}");
                println!("{what}: {}", cast.failed[0].reason);
            } else {
                let sql = format!(
                    "SELECT count(*) FROM {name} WHERE value IS NOT NULL \
                     OR (data_extra->>'$.not_cast.value') IS NOT NULL"
                );
                assert_eq!(ask(&lake, &sql), "1", "{what}");
            }
            assert_eq!(
                ask(&lake, &format!("SELECT count(payload IS NULL) FROM {name}")),
                "2"
            );
        }
    }
    assert!(lake.condition().unwrap().reasons().is_empty());
}

/// A commit whose document is changed as text.
fn with_document(site: &Site, commit: &Commit, change: impl Fn(String) -> String) {
    let json = String::from_utf8(commit.to_json()).unwrap();
    let path = site.commit_path(commit.edge.as_str(), commit.sequence.0);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, change(json)).unwrap();
}

#[test]
fn rows_of_a_table_that_cannot_be_go_into_one_that_can() {
    let site = Site::new();
    let lake = site.open();
    let call = table("hep_proto_1_call");
    let mut odd = table(RTCP);
    odd.name = "hep_proto_77_default".parse().unwrap();
    let commit = site.files("e", 1, &[(&call, DAY, calls(1)), (&odd, DAY, calls(3))]);
    let bad = site.data_path().join("main/HEP-77");
    fs::rename(site.data_path().join("main/hep_proto_77_default"), bad).unwrap();
    with_document(&site, &commit, |json| {
        json.replace("hep_proto_77_default", "HEP-77")
    });
    let registered = lake.register_new().unwrap();
    assert_eq!((registered.commits, registered.rows), (1, 1));
    let condition = lake.condition().unwrap();
    let reason = &condition.set_aside[0].reason;
    assert!(reason.contains("`HEP-77` cannot name a table"), "{reason}");
    let repaired = lake.repair(&Given {
        decision: Decision::Register {
            table: "HEP-77".into(),
            edge: None,
            columns: BTreeMap::new(),
            into: Some("hep_proto_77_default".parse().unwrap()),
            as_found: false,
        },
        yes: false,
    });
    assert_eq!(repaired.unwrap().rows, 3);
    assert_eq!(ask(&lake, "SELECT count(*) FROM hep_proto_77_default"), "3");
}

#[test]
fn a_column_that_cannot_be_is_renamed() {
    let site = Site::new();
    let lake = site.open();
    let file = |name: &str| {
        site.data_path()
            .join(format!("main/{RTCP}/date={DAY}/{name}"))
    };
    let commit = site.files(
        "e",
        1,
        &[(
            &rtcp("jitter", ColumnType::Double),
            DAY,
            values("jitter", &["1.5"]),
        )],
    );
    let path = file("e-00000000000000000001-0000.parquet");
    let old = file("old.parquet");
    fs::rename(&path, &old).unwrap();
    duckdb()
        .execute_batch(&format!(
            "COPY (SELECT * RENAME (jitter AS \"Jitter ms\") FROM read_parquet('{}', hive_partitioning = false))
             TO '{}' (FORMAT parquet)",
            old.display(),
            path.display()
        ))
        .unwrap();
    fs::remove_file(old).unwrap();
    let bytes = fs::metadata(&path).unwrap().len();
    with_document(&site, &commit, |json| {
        let size = commit.files[0].file_size_bytes;
        json.replace("\"jitter\"", "\"Jitter ms\"")
            .replace(&format!(": {size}"), &format!(": {bytes}"))
    });
    lake.register_new().unwrap();
    let condition = lake.condition().unwrap();
    assert!(
        condition.set_aside[0].reason.contains("`Jitter ms`"),
        "{condition:?}"
    );
    let rename = ColumnDecision::Rename("jitter_ms".parse().unwrap());
    let repaired = lake.repair(&register(&[("Jitter ms", rename)])).unwrap();
    assert_eq!(repaired.rows, 1, "{repaired:?}");
    assert_eq!(
        ask(&lake, "SELECT jitter_ms FROM hep_proto_5_default"),
        "1.5"
    );
}

#[test]
fn a_file_that_is_not_as_its_commit_says_is_taken_as_it_is_found() {
    let site = Site::new();
    let lake = site.open();
    let call = table("hep_proto_1_call");
    let mut commit = site.files("e", 1, &[(&call, DAY, calls(4))]);
    commit.files[0].record_count = 5;
    site.put(&commit);
    lake.register_new().unwrap();
    let given = |as_found| Given {
        decision: Decision::Register {
            table: "hep_proto_1_call".into(),
            edge: None,
            columns: BTreeMap::new(),
            into: None,
            as_found,
        },
        yes: false,
    };
    let repaired = lake.repair(&given(false)).unwrap();
    assert!(
        repaired.failed[0]
            .reason
            .contains("4 rows, and the commit says 5")
    );
    assert_eq!(lake.repair(&given(true)).unwrap().rows, 4);
    assert_eq!(ask(&lake, "SELECT count(*) FROM hep_proto_1_call"), "4");
}

#[test]
fn a_refused_commit_is_given_up_or_looked_at_again() {
    let site = Site::new();
    let lake = site.open();
    let call = table("hep_proto_1_call");
    let second = site.commit("e", 2, &[(&call, DAY, calls(2))]);
    fs::create_dir_all(site.commit_path("e", 1).parent().unwrap()).unwrap();
    fs::write(site.commit_path("e", 1), "{}").unwrap();
    fs::write(site.commit_path("e", 2), "{}").unwrap();
    lake.register_new().unwrap();
    assert_eq!(lake.condition().unwrap().refused_commits, 2);
    let mut given = Given {
        decision: Decision::GiveUpCommit {
            edge: "e".parse().unwrap(),
            sequence: 1,
        },
        yes: false,
    };
    let error = lake.repair(&given).unwrap_err();
    assert!(matches!(error, RepairError::Unconfirmed(_)), "{error}");
    given.yes = true;
    lake.repair(&given).unwrap();
    assert_eq!(lake.condition().unwrap().refused_commits, 1);
    site.put(&second);
    let retry = Given {
        decision: Decision::Retry {
            table: None,
            edge: None,
        },
        yes: false,
    };
    lake.repair(&retry).unwrap();
    assert_eq!(lake.register_new().unwrap().rows, 2);
    assert!(lake.condition().unwrap().reasons().is_empty());
    drop(lake);
    let lake = site.open();
    let registered = lake.register_new().unwrap();
    assert!(registered.refused.is_empty() && registered.gaps.is_empty());
}

#[test]
fn a_decision_that_fails_leaves_no_column_behind() {
    let site = Site::new();
    let lake = site.open();
    let fraction = rtcp("jitter", ColumnType::Double);
    let mut commit = site.files("e", 1, &[(&fraction, DAY, values("jitter", &["1.5"]))]);
    commit.files[0].record_count = 2;
    site.put(&commit);
    lake.register_new().unwrap();
    let rename = ColumnDecision::Rename("jitter_ms".parse().unwrap());
    let repaired = lake.repair(&register(&[("jitter", rename)])).unwrap();
    assert!(
        repaired.failed[0].reason.contains("the commit says 2"),
        "{repaired:?}"
    );
    let columns = ask(&lake, "SELECT * FROM (DESCRIBE hep_proto_5_default)");
    assert!(!columns.contains("jitter"), "{columns}");
    assert_eq!(parquet_files(&site, RTCP).len(), 1);
}

#[test]
fn a_commit_under_a_number_that_is_registered_is_told_and_not_passed_by() {
    let site = Site::new();
    let lake = site.open();
    let call = table("hep_proto_1_call");
    let first = site.commit("e", 1, &[(&call, DAY, calls(3))]);
    site.commit("e", 2, &[(&call, DAY, calls(2))]);
    lake.register_new().unwrap();
    assert!(lake.condition().unwrap().reasons().is_empty());
    drop(lake);
    // The edge lost its commits, and counts from the beginning; its files take other names.
    let mut again = site.files("e", 1, &[]);
    again.created_us += 7;
    site.put(&again);
    for _ in 0..2 {
        let lake = site.open();
        let condition = lake.register_new().unwrap().condition;
        assert_eq!(condition.refused_commits, 1, "{condition:?}");
        let reason = &condition.refused[0].reason;
        assert!(reason.contains("registered already"), "{reason}");
        assert_eq!(ask(&lake, "SELECT count(*) FROM hep_proto_1_call"), "5");
    }
    // The document that was registered is back.
    site.put(&first);
    let lake = site.open();
    assert!(lake.register_new().unwrap().condition.reasons().is_empty());
    drop(lake);
    site.put(&again);
    let lake = site.open();
    lake.register_new().unwrap();
    let given = Given {
        decision: Decision::GiveUpCommit {
            edge: "e".parse().unwrap(),
            sequence: 1,
        },
        yes: true,
    };
    lake.repair(&given).unwrap();
    assert!(lake.condition().unwrap().reasons().is_empty());
    drop(lake);
    let lake = site.open();
    assert!(lake.register_new().unwrap().condition.reasons().is_empty());
    assert_eq!(ask(&lake, "SELECT count(*) FROM hep_proto_1_call"), "5");
}

/// A lake with three calls in one file and two in another, which is overwritten then.
fn overwritten(spoil: impl Fn(&Site, PathBuf)) -> (Site, Lake, String) {
    let site = Site::new();
    let lake = site.open();
    let call = table("hep_proto_1_call");
    site.commit("e", 1, &[(&call, DAY, calls(3))]);
    site.commit("e", 2, &[(&call, DAY, calls(2))]);
    assert_eq!(lake.register_new().unwrap().rows, 5);
    let path = format!("main/hep_proto_1_call/date={DAY}/e-00000000000000000001-0000.parquet");
    thread::sleep(Duration::from_millis(20));
    spoil(&site, site.data_path().join(&path));
    (site, lake, path)
}

const READ: &str = "SELECT count(session_id), count(method) FROM hep_proto_1_call";

/// Damages the pages of a file and leaves its size and its footer.
fn damage(file: &PathBuf) {
    let mut bytes = fs::read(file).unwrap();
    let length = u32::from_le_bytes(bytes[bytes.len() - 8..][..4].try_into().unwrap()) as usize;
    let end = bytes.len() - 8 - length;
    bytes[4..end].fill(0xaa);
    fs::write(file, bytes).unwrap();
}

#[test]
fn a_file_that_a_second_edge_overwrote_is_named_and_taken_up() {
    let (site, lake, path) = overwritten(|site, _| {
        // As a second edge of the same name does.
        let call = table("hep_proto_1_call");
        site.files("e", 1, &[(&call, DAY, calls(9))]);
    });
    assert!(lake.sql(READ, None).is_err());
    let registered = lake.register_new().unwrap();
    let condition = &registered.condition;
    assert_eq!(condition.changed_files, 1, "{condition:?}");
    assert_eq!(condition.changed[0].path, path);
    assert!(condition.changed[0].reason.contains("bytes, and had"));
    assert!(condition.reasons()[0].text.contains(&path));
    drop(lake);
    let lake = site.open();
    assert_eq!(
        lake.condition().unwrap().changed_files,
        1,
        "forgotten by a restart"
    );
    let given = Given {
        decision: Decision::TakeUp { path },
        yes: false,
    };
    let repaired = lake.repair(&given).unwrap();
    assert_eq!(repaired.rows, 9);
    assert_eq!(ask(&lake, READ), "11,11");
    assert_eq!(ask(&lake, "SELECT count(*) FROM hep_proto_1_call"), "11");
    assert!(lake.condition().unwrap().reasons().is_empty());
    assert_eq!(lake.register_new().unwrap().condition.changed_files, 0);
}

#[test]
fn a_damaged_file_is_found_by_the_query_that_fails_and_taken_out() {
    let (site, lake, path) = overwritten(|_, file| damage(&file));
    let Err(QueryError::Statement(_) | QueryError::Internal(_)) = lake.sql(READ, None) else {
        panic!("it was answered");
    };
    let registered = lake.register_new().unwrap();
    assert_eq!(registered.changed.len(), 1, "{registered:?}");
    assert_eq!(registered.changed[0].path, path);
    let reason = &registered.changed[0].reason;
    assert!(reason.contains("cannot be read"), "{reason}");
    assert!(
        !reason.contains(&site.data_path().display().to_string()),
        "{reason}"
    );
    let up = Given {
        decision: Decision::TakeUp { path: path.clone() },
        yes: false,
    };
    assert!(lake.repair(&up).is_err(), "a damaged file was taken up");
    let mut out = Given {
        decision: Decision::TakeOut { path: path.clone() },
        yes: false,
    };
    let error = lake.repair(&out).unwrap_err().to_string();
    assert!(error.contains("3 rows"), "{error}");
    out.yes = true;
    assert_eq!(lake.repair(&out).unwrap().rows, 3);
    assert_eq!(ask(&lake, READ), "2,2");
    assert_eq!(ask(&lake, "SELECT count(*) FROM hep_proto_1_call"), "2");
    assert!(site.data_path().join("aside").join(&path).is_file());
    assert!(lake.condition().unwrap().reasons().is_empty());
    drop(lake);
    let lake = site.open();
    assert_eq!(lake.register_new().unwrap().commits, 0);
    assert_eq!(ask(&lake, READ), "2,2");
    // A plain DuckDB finds the lake in order, too.
    drop(lake);
    let duckdb = duckdb();
    let catalog = site.settings().catalog_path;
    let attach = format!("ATTACH 'ducklake:sqlite:{}' AS lake", catalog.display());
    duckdb.execute_batch(&attach).unwrap();
    let sql = "SELECT count(method) FROM lake.hep_proto_1_call";
    let count: i64 = duckdb.query_row(sql, [], |row| row.get(0)).unwrap();
    assert_eq!(count, 2);
}

#[test]
fn a_file_that_vanished_is_named_and_sound_again_when_it_is_back() {
    let (site, lake, path) = overwritten(|_, file| {
        fs::rename(&file, file.with_extension("away")).unwrap();
    });
    assert!(lake.sql(READ, None).is_err());
    let condition = lake.register_new().unwrap().condition;
    assert_eq!(condition.changed[0].path, path);
    assert_eq!(condition.changed[0].reason, "it is gone");
    let file = site.data_path().join(&path);
    fs::rename(file.with_extension("away"), &file).unwrap();
    drop(lake);
    let lake = site.open();
    assert_eq!(lake.register_new().unwrap().condition.changed_files, 0);
    assert_eq!(ask(&lake, READ), "5,5");
}

#[test]
fn a_file_of_the_same_size_with_other_rows_is_noticed() {
    let (site, lake, path) = overwritten(|site, file| {
        let size = fs::metadata(&file).unwrap().len();
        let call = table("hep_proto_1_call");
        let later = (100..103).map(|n| row(n, &[("session_id", "a@b"), ("method", "INVITE")]));
        site.files("e", 1, &[(&call, DAY, later.collect())]);
        assert_eq!(
            fs::metadata(&file).unwrap().len(),
            size,
            "the test needs one size"
        );
    });
    drop(lake);
    // No query failed: the look at all files finds it.
    let lake = site.open();
    let condition = lake.register_new().unwrap().condition;
    assert_eq!(condition.changed[0].path, path, "{condition:?}");
    assert!(condition.changed[0].reason.contains("other rows"));
}

#[test]
fn a_copy_with_new_times_is_sound() {
    let (site, lake, _) = overwritten(|_, file| {
        let bytes = fs::read(&file).unwrap();
        fs::write(&file, bytes).unwrap();
    });
    drop(lake);
    let lake = site.open();
    assert_eq!(lake.register_new().unwrap().condition.changed_files, 0);
    assert_eq!(ask(&lake, READ), "5,5");
}
