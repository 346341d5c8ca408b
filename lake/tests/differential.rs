//! The same files registered by us and by DuckLake's own `ducklake_add_data_files`: every
//! row of every table of the catalog is compared.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod support;

use heplake_format::{ColumnType, Table};
use serde_json::{Map, Value};
use std::{collections::BTreeMap, fs};
use support::{DAY, DAY_US, Row, Site, column, duckdb, row, table};

/// What differs by choice: table, columns, reason. All else is equal, but for what
/// [`IDENTIFIERS`] names.
const DIFFERENCES: &[(&str, &[&str], &str)] = &[
    (
        "ducklake_file_column_stats",
        &["rows of columns that are neither DATE nor TIMESTAMP"],
        "DuckLake reads the statistics of every file for every filtered column, and only time \
         prunes: any other column spans its whole range in nearly every file",
    ),
    (
        "ducklake_table_column_stats",
        &["min_value", "max_value", "of the same columns"],
        "unknown is always right; bounds of text that a writer cut short need not be, and \
         nothing is answered from them",
    ),
    (
        "ducklake_snapshot_changes",
        &["author"],
        "names who registered, for whoever reads the lake's history",
    ),
];

/// What differs between any two lakes: identifiers drawn at random, and times.
const IDENTIFIERS: [&str; 4] = [
    "table_uuid",
    "schema_uuid",
    "snapshot_time",
    "schedule_start",
];

type Rows = Vec<Map<String, Value>>;

/// The catalog, read by DuckDB: a second SQLite library must not open it.
fn dump(site: &Site) -> BTreeMap<String, Rows> {
    let duckdb = duckdb();
    let catalog = site.settings().catalog_path;
    duckdb
        .execute_batch(&format!(
            "ATTACH '{}' AS c (TYPE sqlite, READ_ONLY)",
            catalog.display()
        ))
        .unwrap();
    let texts = |sql: &str| -> Vec<String> {
        let mut statement = duckdb.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| row.get(0)).unwrap();
        rows.map(Result::unwrap).collect()
    };
    let names = texts(
        "SELECT name FROM (SHOW ALL TABLES) WHERE database = 'c' AND name LIKE 'ducklake\\_%' ESCAPE '\\'",
    );
    let rows = |name: &String| {
        let rows = texts(&format!("SELECT to_json(t)::VARCHAR FROM c.{name} t"));
        rows.iter()
            .map(|json| serde_json::from_str(json).unwrap())
            .collect::<Rows>()
    };
    names
        .iter()
        .map(|name| (name.clone(), rows(name)))
        .collect()
}

/// Makes two dumps comparable: identifiers become what they stand for, rows are sorted.
fn comparable(
    mut catalog: BTreeMap<String, Rows>,
    data_path: &str,
) -> BTreeMap<String, Vec<String>> {
    let key = |row: &Map<String, Value>, name: &str| {
        row.get(name).map(Value::to_string).unwrap_or_default()
    };
    let files: BTreeMap<String, Value> = catalog["ducklake_data_file"]
        .iter()
        .map(|row| {
            (
                key(row, "data_file_id"),
                format!("{}/{}", row["table_id"], row["path"]).into(),
            )
        })
        .collect();
    let mut mappings: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for row in &catalog["ducklake_name_mapping"] {
        let field = format!("{}={}", row["source_name"], row["target_field_id"]);
        mappings
            .entry(key(row, "mapping_id"))
            .or_default()
            .push(field);
    }
    let types: BTreeMap<(String, String), String> = catalog["ducklake_column"]
        .iter()
        .map(|row| {
            (
                (key(row, "table_id"), key(row, "column_id")),
                row["column_type"].as_str().unwrap().to_owned(),
            )
        })
        .collect();
    for (name, rows) in &mut catalog {
        rows.retain_mut(|row| {
            let is_time = types.get(&(key(row, "table_id"), key(row, "column_id")));
            let is_time = is_time.is_some_and(|name| name == "date" || name == "timestamp");
            for (column, value) in row.iter_mut() {
                let as_key = value.to_string();
                match column.as_str() {
                    "data_file_id" => *value = files[&as_key].clone(),
                    "mapping_id" if !value.is_null() => *value = mappings[&as_key].join(" ").into(),
                    "value" if value.as_str() == Some(data_path) => *value = "data path".into(),
                    "author" => *value = Value::Null,
                    // The extension lists what one transaction made in no order.
                    "changes_made" => {
                        let mut changes: Vec<_> = value.as_str().unwrap().split(',').collect();
                        changes.sort_unstable();
                        *value = changes.join(",").into();
                    }
                    "min_value" | "max_value" if !is_time => *value = Value::Null,
                    column if IDENTIFIERS.contains(&column) => *value = Value::Null,
                    _ => {}
                }
            }
            is_time || name != "ducklake_file_column_stats"
        });
    }
    let lines = |rows: Rows| {
        let mut lines: Vec<_> = rows
            .into_iter()
            .map(|row| Value::Object(row).to_string())
            .collect();
        lines.sort();
        lines
    };
    catalog
        .into_iter()
        .map(|(name, rows)| (name, lines(rows)))
        .collect()
}

/// Files of several tables and dates, with what is rare in them.
fn commits() -> Vec<Vec<(Table, String, Vec<Row<'static>>)>> {
    let call = table("hep_proto_1_call");
    let rejected = table("hep_rejected");
    let mut measured = table("hep_proto_5_default");
    measured.name = "hep_proto_99_default".parse().unwrap();
    measured.columns.push(column("mos", ColumnType::Double));
    measured.columns.push(column("octets", ColumnType::UBigInt));
    measured.columns.push(column("lost", ColumnType::BigInt));
    let at = |us: i64, values: &[(&'static str, &str)]| -> Row<'static> {
        let mut row = row(0, values);
        row[0].1 = us.to_string();
        row
    };
    let mut few = call.clone();
    few.columns
        .retain(|column| !matches!(column.name.as_str(), "caller" | "callee"));
    vec![
        vec![
            (
                call.clone(),
                DAY.into(),
                (0..11)
                    .map(|n| {
                        row(
                            n,
                            &[
                                ("uuid", "a"),
                                ("session_id", "ä'é\"\\"),
                                ("caller", ""),
                                ("data_extra", "{\"a\": [1, null, \"ü\"]}"),
                            ],
                        )
                    })
                    .collect(),
            ),
            (
                call.clone(),
                support::day(1),
                vec![
                    row(86_400, &[("payload", &"INVITE sip:bob ".repeat(400))]),
                    vec![],
                ],
            ),
        ],
        vec![
            (
                rejected.clone(),
                DAY.into(),
                vec![row(
                    1,
                    &[
                        ("payload", "\u{1}\u{7f}ÿ'\\x00"),
                        ("peer_port", "4294967295"),
                        ("reason", ""),
                    ],
                )],
            ),
            (
                measured.clone(),
                DAY.into(),
                vec![
                    row(
                        1,
                        &[
                            ("mos", "NaN"),
                            ("octets", "18446744073709551615"),
                            ("lost", "-2"),
                        ],
                    ),
                    row(
                        2,
                        &[
                            ("mos", "-1e300"),
                            ("octets", "0"),
                            ("lost", "9223372036854775806"),
                        ],
                    ),
                    row(3, &[("mos", "inf")]),
                ],
            ),
        ],
        vec![
            (
                measured.clone(),
                support::day(-400),
                vec![row(-1, &[("mos", "4.25")]), row(-2, &[("mos", "-0.0")])],
            ),
            (call.clone(), DAY.into(), vec![vec![], vec![]]),
            (
                call.clone(),
                "1969-12-31".into(),
                vec![at(-1, &[]), at(-1_000_000, &[])],
            ),
            (
                call.clone(),
                "9999-12-31".into(),
                vec![at(253_402_300_799_999_999, &[]), at(DAY_US + 500_000, &[])],
            ),
            (
                call.clone(),
                "0001-01-01".into(),
                vec![at(-62_135_596_800_000_000, &[("method", "ACK")])],
            ),
        ],
        vec![(few, DAY.into(), vec![row(7, &[("session_id", "few")])])],
        vec![(call, DAY.into(), vec![row(8, &[("session_id", "again")])])],
    ]
}

#[test]
fn the_catalog_is_what_the_extension_would_have_written() {
    let (ours, theirs) = (Site::new(), Site::new());
    let lake = ours.open();
    drop(theirs.open());
    let duckdb = duckdb();
    let settings = theirs.settings();
    duckdb
        .execute_batch(&format!(
            "ATTACH 'ducklake:sqlite:{}' AS l (DATA_PATH '{}/', DATA_INLINING_ROW_LIMIT 0)",
            settings.catalog_path.display(),
            settings.data_path.display()
        ))
        .unwrap();
    for (sequence, files) in (1..).zip(commits()) {
        let files: Vec<_> = files
            .iter()
            .map(|(table, date, rows)| (table, date.as_str(), rows.clone()))
            .collect();
        let commit = ours.commit("e", sequence, &files);
        let registered = lake.register_new().unwrap();
        assert_eq!(registered.commits, 1, "{:?}", registered.refused);
        // The other lake gets the table that a commit of ours has brought.
        for table in &commit.tables {
            let columns = table
                .columns
                .iter()
                .map(|c| format!("{} {}", c.name, c.column_type.sql()));
            let columns = columns.collect::<Vec<_>>().join(", ");
            let name = &table.name;
            if name.as_str() == "hep_proto_99_default" && sequence == 2 {
                duckdb
                    .execute_batch(&format!(
                        "BEGIN; CREATE TABLE l.{name} ({columns}); ALTER TABLE l.{name} SET PARTITIONED BY (date);
                         ALTER TABLE l.{name} SET SORTED BY (timestamp ASC); COMMIT"
                    ))
                    .unwrap();
            }
        }
        duckdb.execute_batch("BEGIN").unwrap();
        for file in &commit.files {
            let path = theirs.data_path().join(file.path.to_string());
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::copy(ours.data_path().join(file.path.to_string()), &path).unwrap();
            duckdb
                .execute_batch(&format!(
                    "CALL ducklake_add_data_files('l', '{}', '{}', hive_partitioning => true, allow_missing => true)",
                    file.path.table,
                    path.display()
                ))
                .unwrap();
        }
        duckdb.execute_batch("COMMIT").unwrap();
    }
    drop(lake);
    drop(duckdb);
    let path = |site: &Site| format!("{}/", site.data_path().display());
    let found = comparable(dump(&ours), &path(&ours));
    let expected = comparable(dump(&theirs), &path(&theirs));
    assert!(found.keys().eq(expected.keys()));
    assert!(found.len() >= 28, "{:?}", found.keys());
    let mut differences = Vec::new();
    for (name, expected) in &expected {
        let found = &found[name];
        let missing = expected.iter().filter(|line| !found.contains(line));
        differences.extend(missing.map(|line| format!("{name} lacks {line}")));
        let extra = found.iter().filter(|line| !expected.contains(line));
        differences.extend(extra.map(|line| format!("{name} has   {line}")));
    }
    assert!(
        differences.is_empty(),
        "beside {DIFFERENCES:#?}:\n{}",
        differences.join("\n")
    );
}
