use super::{
    Statement, StatementRefusal,
    names::{self, Place, Verdict, verdict},
};
use crate::{LakeSettings, database::Session};
use serde::Deserialize;
use std::{collections::BTreeSet, path::Path, time::Duration};

fn session(directory: &Path) -> Session {
    Session::writer(&LakeSettings {
        catalog_path: directory.join("catalog.sqlite"),
        data_path: directory.join("parquet"),
        lake_name: "homer_lake".into(),
        extension_directory: None,
        memory_limit_bytes: 256 << 20,
        threads: 1,
        query_deadline: Duration::from_secs(30),
        query_rows_max: 100,
        query_bytes_max: 1 << 20,
        register_interval: Duration::from_secs(1),
    })
    .unwrap()
}

fn names_of(session: &Session, select: &str) -> BTreeSet<String> {
    #[derive(Deserialize)]
    struct Row {
        name: String,
    }
    let rows: Vec<Row> = session.rows(select, &[]).unwrap();
    let written = |row: Row| row.name.to_lowercase().replace(' ', "_");
    rows.into_iter().map(written).collect()
}

#[test]
fn the_list_can_be_read_and_has_no_name_twice() {
    let mut seen = BTreeSet::new();
    for entry in names::entries() {
        let ((place, name), verdict) = entry.unwrap();
        assert!(
            seen.insert(format!("{place:?} {name}")),
            "{place:?} {name} is there twice"
        );
        assert_ne!(verdict, Verdict::Unknown);
        if place != Place::Expression {
            assert!(!matches!(verdict, Verdict::Bounded(_)), "{place:?} {name}");
        }
        if place == Place::Pragma {
            assert!(matches!(verdict, Verdict::Refused(_)), "{name}");
        }
    }
    assert!(seen.len() > 900, "{}", seen.len());
}

/// Functions of DuckDB's extension autocomplete, which is part of the prebuilt library and not of one
/// that is compiled with the feature `bundled`.
const OF_AUTOCOMPLETE: [&str; 4] = [
    "check_peg_parser",
    "disable_peg_parser",
    "enable_peg_parser",
    "sql_auto_complete",
];

/// A DuckDB that is newer, or loads another extension, has names that nobody has judged.
#[test]
fn every_name_of_the_running_duckdb_is_judged_and_no_other() {
    let directory = tempfile::tempdir().unwrap();
    let session = session(directory.path());
    let functions = |kinds: &str| {
        format!(
            "SELECT DISTINCT function_name AS name FROM duckdb_functions() WHERE function_type IN ({kinds})"
        )
    };
    let mut kinds = names_of(
        &session,
        "SELECT DISTINCT function_type AS name FROM duckdb_functions()",
    );
    for known in [
        "scalar",
        "aggregate",
        "macro",
        "table",
        "table_macro",
        "pragma",
    ] {
        assert!(
            kinds.remove(known),
            "DuckDB has no functions that are {known}"
        );
    }
    assert_eq!(
        kinds,
        BTreeSet::new(),
        "kinds of functions that nobody has judged"
    );
    for (place, select) in [
        (
            Place::Expression,
            functions("'scalar', 'aggregate', 'macro'"),
        ),
        (Place::From, functions("'table', 'table_macro'")),
        (Place::Pragma, functions("'pragma'")),
        (
            Place::View,
            "SELECT view_name AS name FROM duckdb_views() WHERE internal".into(),
        ),
        (
            Place::Type,
            "SELECT DISTINCT type_name AS name FROM duckdb_types()".into(),
        ),
    ] {
        let there = names_of(&session, &select);
        let judged = names::entries().filter_map(|entry| {
            let ((found, name), _) = entry.unwrap();
            (found == place).then_some(name)
        });
        let judged: BTreeSet<String> = judged.collect();
        let missing: Vec<_> = there.difference(&judged).collect();
        assert!(missing.is_empty(), "{place:?}: not judged: {missing:?}");
        let gone = judged.difference(&there);
        let gone: Vec<_> = gone
            .filter(|name| !OF_AUTOCOMPLETE.contains(&name.as_str()))
            .collect();
        assert!(gone.is_empty(), "{place:?}: DuckDB has no {gone:?}");
    }
}

/// A macro is SQL of DuckDB's own, which is not judged again where a statement calls it.
#[test]
fn no_macro_that_may_be_called_takes_the_name_of_a_table_or_sql() {
    #[derive(Deserialize)]
    struct Macro {
        function_name: String,
        function_type: String,
        macro_definition: String,
    }
    let directory = tempfile::tempdir().unwrap();
    let session = session(directory.path());
    let macros: Vec<Macro> = session
        .rows(
            "SELECT function_name, function_type, macro_definition FROM duckdb_functions()
             WHERE function_type IN ('macro', 'table_macro')",
            &[],
        )
        .unwrap();
    assert!(macros.len() > 100);
    for found in macros {
        let place = match found.function_type.as_str() {
            "macro" => Place::Expression,
            _ => Place::From,
        };
        if matches!(verdict(place, &found.function_name), Verdict::Refused(_)) {
            continue;
        }
        let definition = found.macro_definition.to_lowercase();
        for word in [
            "query",
            "read_",
            "glob(",
            "scan(",
            "getenv",
            "setting",
            "secret",
            "variable",
            "json_structure",
            "json_execute",
            "json_serialize",
            "sleep",
            "duckdb_databases",
            "duckdb_logs",
            "pragma_",
        ] {
            let own = word == "query" && found.function_name == "current_query";
            assert!(
                !definition.contains(word) || own,
                "{}: {definition}",
                found.function_name
            );
        }
    }
}

#[test]
fn explain_is_run_as_it_was_judged() {
    let tree = r#"{"error": false, "statements": [{"node": {"type": "SELECT_NODE"}}]}"#;
    for (sql, expected) in [
        ("SELECT 1", "SELECT 1"),
        ("  SELECT 1", "SELECT 1"),
        ("explain SELECT 1", "EXPLAIN SELECT 1"),
        (" EXPLAIN\nSELECT 1", "EXPLAIN SELECT 1"),
        ("explainSELECT 1", "explainSELECT 1"),
    ] {
        let judged = Statement::of(sql).unwrap().judge(tree, "lake").unwrap();
        assert_eq!(judged.sql(), expected);
    }
    let refused = Statement::of("explain  ANALYZE SELECT 1").err();
    assert!(matches!(refused, Some(StatementRefusal::Analyze)));
}

#[test]
fn what_the_parser_gives_and_nobody_knows_is_refused() {
    for node in [
        r#"{"type": "INSERT_NODE"}"#,
        r#"{"type": "SOMETHING_NEW"}"#,
        r#"{"class": "SOMETHING_NEW"}"#,
        r#"{"class": "PARAMETER"}"#,
        r#"{"class": "FUNCTION", "function_name": "something_new"}"#,
        r#"{"class": "WINDOW", "function_name": "something_new"}"#,
        r#"{"type": "TABLE_FUNCTION", "function": {"function_name": "something_new"}}"#,
        r#"{"type": "TABLE_FUNCTION", "function": 1}"#,
        r#"{"id": "SOMETHING_NEW", "type_info": null}"#,
        r#"{"id": "UNBOUND", "type_info": {"name": "something_new"}}"#,
        r#"{"id": "UNBOUND", "type_info": {}}"#,
    ] {
        let tree = format!(r#"{{"error": false, "statements": [{{"node": {node}}}]}}"#);
        let statement = Statement::of("SELECT 1").unwrap();
        assert!(statement.judge(&tree, "lake").is_err(), "{node}");
    }
}

#[test]
fn a_form_of_the_storage_layout_that_duckdb_does_not_know_is_answered_with_the_right_one() {
    for (sql, expected) in [
        ("SELECT * FROM t AT SNAPSHOT 5", Some("AT (VERSION => 5)")),
        ("FROM t at snapshot '5'", Some("AT (VERSION => 5)")),
        ("FROM t AT VERSION 7 WHERE x", Some("AT (VERSION => 7)")),
        (
            "FROM t AT TIMESTAMP '2025-01-27 10:00:00'",
            Some("AT (TIMESTAMP => TIMESTAMP '2025-01-27 10:00:00')"),
        ),
        (
            "FROM t AT TIMESTAMP x",
            Some("AT (TIMESTAMP => TIMESTAMP '2025-01-27 10:00:00')"),
        ),
        ("SELECT 'at snapshot 5'", None),
        ("SELECT at, snapshot", None),
        ("SELECT '", None),
        ("", None),
    ] {
        let hint = super::hint(sql);
        assert_eq!(hint.is_some(), expected.is_some(), "{sql}: {hint:?}");
        if let (Some(hint), Some(expected)) = (hint, expected) {
            assert!(hint.contains(expected), "{sql}: {hint}");
        }
    }
}

proptest::proptest! {
    #[test]
    fn any_text_is_judged_without_a_panic(
        sql in ".*",
        pattern in "[%_*{}:.0-9a-zA-Z é]*",
        name in "(repeat|range|~~|~~\\*|printf|format|from_json|replace|levenshtein|lpad|regexp_replace|list_resize)",
    ) {
        let _ = super::hint(&sql);
        let constant = |value: &str| serde_json::json!({
            "class": "CONSTANT", "value": {"type": {"id": "VARCHAR", "type_info": null}, "value": value},
        });
        let arguments = [constant(&pattern), constant(&sql), constant(&pattern)];
        for count in 0..=arguments.len() {
            let function = serde_json::json!({
                "class": "FUNCTION", "function_name": name, "schema": "", "children": arguments[..count],
            });
            let tree = serde_json::json!({"error": false, "statements": [function]}).to_string();
            if let Ok(statement) = Statement::of(&sql) {
                let _ = statement.judge(&tree, "lake");
            }
        }
        if let Ok(statement) = Statement::of(&sql) {
            let _ = statement.judge(&sql, "lake");
        }
    }
}
