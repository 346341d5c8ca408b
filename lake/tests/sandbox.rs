//! Ways out of what a statement may do. Each is refused before it runs.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod support;

use heplake_lake::{Lake, QueryError};
use support::{Site, ask, row, table, text, with_a_call};

/// The cases of a list: a statement, ` ## `, and what is said of it. A line that begins with # is a note.
fn cases(list: &'static str) -> impl Iterator<Item = (&'static str, &'static str)> {
    let lines = list.lines().filter(|line| !line.starts_with("# "));
    lines.map(|line| line.split_once(" ## ").unwrap())
}

/// What is wrong with how a statement is refused.
fn wrong_refusal(lake: &Lake, sql: &str, what: &str) -> Option<String> {
    let shown: String = sql.chars().take(100).collect();
    match lake.sql(sql, None) {
        Err(QueryError::Refused(reason)) => {
            let length = reason.to_string().len();
            let fits = (20..1000).contains(&length);
            (!fits).then(|| format!("{what}: {shown}: {reason}"))
        }
        Err(error) => Some(format!(
            "{what}: {shown}: refused in another way: {error:?}"
        )),
        Ok(answer) => Some(format!("{what}: {shown}: answered {}", text(&answer))),
    }
}

fn assert_refused<'s>(lake: &Lake, ways: impl IntoIterator<Item = (&'s str, &'s str)>) {
    let ways = ways.into_iter();
    let wrong: Vec<_> = ways
        .filter_map(|(sql, what)| wrong_refusal(lake, sql, what))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_way_out_of_the_sandbox_is_refused() {
    let (site, lake) = with_a_call();
    let ways = include_str!("sandbox/ways_out.txt");
    assert!(cases(ways).count() > 200);
    assert_refused(&lake, cases(ways));
    let file = site
        .data_path()
        .join("main/hep_proto_1_call/date=2026-11-22/e-00000000000000000001-0000.parquet");
    assert!(file.is_file());
    let (file, catalog) = (file.display(), site.settings().catalog_path);
    let catalog = catalog.display();
    for sql in [
        format!("FROM '{file}'"),
        format!("FROM read_parquet('{file}')"),
        format!("FROM histogram('{file}', caller)"),
        format!("FROM sqlite_scan('{catalog}', 'ducklake_snapshot')"),
        format!(
            "SELECT json_serialize_plan('select * from sqlite_scan(''{catalog}'', ''ducklake_snapshot'')')"
        ),
    ] {
        assert_refused(&lake, [(sql.as_str(), "a file of the lake by its path")]);
    }
    assert_eq!(ask(&lake, "SELECT count(*) FROM hep_proto_1_call"), "5");
}

#[test]
fn what_would_cost_too_much_in_one_step_is_refused() {
    let (_site, lake) = with_a_call();
    assert_refused(&lake, cases(include_str!("sandbox/too_costly.txt")));
    assert_eq!(ask(&lake, "SELECT count(*) FROM hep_proto_1_call"), "5");
}

/// A statement that nests, or is long, ends in an error and not in the end of the process.
#[test]
fn a_statement_as_deep_or_long_as_may_be_sent_ends_in_an_error() {
    let (_site, lake) = with_a_call();
    let nested = |open: &str, inner: &str, close: &str| {
        let times = 64_000 / (open.len() + close.len());
        format!(
            "SELECT {}{inner}{}",
            open.repeat(times),
            close.repeat(times)
        )
    };
    for sql in [
        nested("(", "1", ")"),
        nested("[", "1", "]"),
        nested("{'a':", "1", "}"),
        nested("not ", "true", ""),
        nested("- ", "1", ""),
        nested("case when true then ", "1", " end"),
        nested("(select ", "1", ")"),
        nested("abs(", "1", ")"),
        nested("", "1", "::int"),
        nested("", "'{}'", "->'a'"),
        nested("", "NULL::INT", "[]"),
        nested("NULL::STRUCT(a ", "INT", ")"),
        nested("", "1", "+1"),
        nested("x -> ", "1", ""),
        nested("", "1", " intersect select 1"),
        nested("/*", "1", "*/"),
        nested("/*", "1", ""),
        format!(
            "SELECT * FROM {}t{}",
            "(FROM ".repeat(8000),
            ")".repeat(8000)
        ),
        format!("SELECT '{}'", "x".repeat(64 << 10)),
    ] {
        assert!(sql.len() < 70_000);
        let shown: String = sql.chars().take(40).collect();
        let error = lake.sql(&sql, None).unwrap_err().to_string();
        assert!(error.len() < 8192, "{shown}: {} bytes", error.len());
    }
    assert_eq!(ask(&lake, "SELECT 1"), "1");
    // As long as may be, and flat.
    let sql = format!("SELECT len([{}1])", "1,".repeat(32_000));
    assert_eq!(ask(&lake, &sql), "32001");
}

#[test]
fn what_analysts_ask_every_day_is_answered() {
    let (_site, lake) = with_a_call();
    let mut wrong = Vec::new();
    for (sql, expected) in cases(include_str!("sandbox/everyday.txt")) {
        let found = match lake.sql(sql, None) {
            Ok(answer) => text(&answer),
            Err(error) => error.to_string(),
        };
        if found != expected {
            wrong.push(format!("{sql}: {found}, not {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A packet may hold a document of some ten thousand levels. What may be called on it does not recurse.
#[test]
fn functions_on_the_deepest_document_that_a_packet_can_hold_end_in_an_answer_or_an_error() {
    let site = Site::new();
    let lake = site.open();
    let (open, close) = ("[".repeat(32_000), "]".repeat(32_000));
    let keys = "{\"a\":".repeat(10_000) + "1" + &"}".repeat(10_000);
    let call = table("hep_proto_1_call");
    let of = |uuid, payload: &str| {
        row(
            1,
            &[
                ("uuid", uuid),
                ("payload", payload),
                ("data_extra", payload),
            ],
        )
    };
    let rows = vec![
        of("0", &(open.clone() + &close)),
        of("1", &keys),
        of("2", &open),
    ];
    site.commit("e", 1, &[(&call, support::DAY, rows)]);
    assert_eq!(lake.register_new().unwrap().rows, 3);
    for column in ["payload", "data_extra"] {
        for call in [
            "json_valid(#)",
            "#::JSON",
            "json(#)",
            "#->0",
            "#->>0",
            "#->'a'",
            "#->>'$.a.a'",
            "json_extract(#, '$[0]')",
            "json_extract(#, '$.*')",
            "json_extract(#, '$..a')",
            "json_extract(#, ['$.a', '$[0]'])",
            "json_keys(#)",
            "json_array_length(#)",
            "json_type(#)",
            "json_exists(#, '$.a')",
            "json_value(#, '$.a')",
            "json_quote(#)",
            "to_json(#)",
            "json_array(#)",
            "json_object('a', #)",
            "json_group_array(#)",
            "json_group_object(uuid, #)",
            "row_to_json({'a': #})",
            "json_transform(#, '[\"JSON\"]')",
            "from_json(#, '{\"a\": \"VARCHAR\"}')",
            "#::JSON::VARCHAR[]",
            "#::JSON::JSON[]",
            "#::VARCHAR[]",
            "#::STRUCT(a VARCHAR)",
            "#::MAP(VARCHAR, VARCHAR)",
            "TRY_CAST(# AS JSON)",
            "#::JSON = #::JSON",
            "hash(#::JSON)",
            "max(#::JSON)",
            "regexp_replace(#, '[^a]', '', 'g')",
            "string_split(#, '[')",
            "array_to_json([#])",
            "json_extract_path_text(#, 'a', 'a')",
        ] {
            for uuid in ["0", "1", "2"] {
                let call = call.replace('#', column);
                let sql = format!("SELECT {call} FROM hep_proto_1_call WHERE uuid = '{uuid}'");
                if let Err(error) = lake.sql(&sql, None) {
                    assert!(!matches!(error, QueryError::Refused(_)), "{sql}: {error}");
                    assert!(error.to_string().len() < 8192, "{sql}");
                }
            }
        }
        let each = format!(
            "SELECT count(*) FROM hep_proto_1_call, json_each(hep_proto_1_call.{column}) WHERE uuid = '0'"
        );
        let _ = lake.sql(&each, None);
    }
    assert_eq!(ask(&lake, "SELECT count(*) FROM hep_proto_1_call"), "3");
}
