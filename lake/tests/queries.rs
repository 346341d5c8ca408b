//! Queries: what is answered, what is refused, and within which bounds.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod support;

use heplake_lake::{Lake, QueryError, Search};
use std::time::{Duration, Instant};
use support::{DAY, DAY_US, Site, ask, text, with_a_call};

#[test]
fn answers_statements_that_read() {
    let (_site, lake) = with_a_call();
    for (sql, expected) in [
        ("SELECT count(*) FROM hep_proto_1_call", "5"),
        ("select count(*) from homer_lake.hep_proto_1_call", "5"),
        (
            "SELECT count(*) FROM homer_lake.main.hep_proto_1_call;",
            "5",
        ),
        (
            "SELECT count(*) FROM \"hep_proto_1_call\" AT (VERSION => 1)",
            "0",
        ),
        ("FROM hep_proto_1_call SELECT DISTINCT callee", "bob"),
        ("WITH a AS (SELECT 1 AS n) SELECT n + 1 FROM a -- done", "2"),
        (
            "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < 4) SELECT sum(n) FROM t",
            "10",
        ),
        ("VALUES (1), (2)", "1;2"),
        ("SELECT unnest([1, 2]), 'x''y'", "1,x'y;2,x'y"),
        (
            "SELECT * FROM range(3) UNION SELECT 7 ORDER BY 1",
            "0;1;2;7",
        ),
        (
            "SELECT data_extra->>'cseq' FROM hep_proto_1_call LIMIT 1",
            "1 INVITE",
        ),
        (
            "SELECT method, count(*) FROM hep_proto_1_call WHERE timestamp >= '2026-11-22' GROUP BY ALL ORDER BY 2 DESC, 1",
            "INVITE,2;null,2;BYE,1",
        ),
        (
            "SELECT date_trunc('hour', timestamp)::VARCHAR, count(*) FROM hep_proto_1_call GROUP BY 1",
            "2026-11-22 00:00:00,5",
        ),
        (
            "SELECT count(*) FROM information_schema.tables WHERE table_catalog = 'homer_lake' AND table_schema = 'main'",
            "9",
        ),
        ("SELECT count(*) > 1 FROM homer_lake.snapshots()", "true"),
        (
            "SELECT * FROM (PIVOT (SELECT 'a' AS k, 1 AS v) ON k IN ('a') USING sum(v))",
            "1",
        ),
        (
            "SELECT now() > TIMESTAMPTZ '2020-01-01 00:00:00+00'",
            "true",
        ),
        ("SELECT list_transform([1, 2], lambda x: x + 1)", "[2, 3]"),
    ] {
        assert_eq!(ask(&lake, sql), expected, "{sql}");
    }
    for sql in [
        "SHOW TABLES",
        "DESCRIBE hep_proto_1_call",
        "DESCRIBE SELECT 1",
        "SUMMARIZE hep_proto_1_call",
        "EXPLAIN SELECT 1",
        "explain\nFROM hep_proto_1_call",
        "SELECT * FROM duckdb_tables()",
        "SELECT * FROM ducklake_table_info('homer_lake')",
    ] {
        assert!(!ask(&lake, sql).is_empty(), "{sql}");
    }
}

#[test]
fn refuses_statements_that_do_more_than_read_the_lake() {
    let (site, lake) = with_a_call();
    let file = site
        .data_path()
        .join("main/hep_proto_1_call/date=2026-11-22/e-00000000000000000001-0000.parquet");
    let (file, catalog) = (file.display(), site.settings().catalog_path);
    let catalog = catalog.display();
    for sql in [
        "DELETE FROM hep_proto_1_call",
        "INSERT INTO hep_proto_1_call (uuid) VALUES ('x')",
        "UPDATE hep_proto_1_call SET method = 'x'",
        "DROP TABLE hep_proto_1_call",
        "CREATE TABLE x (a INT)",
        "CREATE TEMP TABLE x AS SELECT 1",
        "CREATE MACRO m(a) AS a",
        "ALTER TABLE hep_proto_1_call ADD COLUMN x INT",
        "TRUNCATE hep_proto_1_call",
        "COPY (SELECT 1) TO 'x.csv'",
        "COPY hep_proto_1_call FROM 'x.csv'",
        "EXPORT DATABASE 'x'",
        "IMPORT DATABASE 'x'",
        "ATTACH 'x.db'",
        "DETACH homer_lake",
        "USE memory",
        "PRAGMA database_list",
        "PRAGMA disable_optimizer",
        "SET memory_limit = '1TB'",
        "RESET ALL",
        "CALL ducklake_snapshots('homer_lake')",
        "CALL ducklake_expire_snapshots('homer_lake')",
        "LOAD httpfs",
        "INSTALL httpfs",
        "CHECKPOINT",
        "VACUUM",
        "BEGIN",
        "COMMIT",
        "PREPARE p AS SELECT 1",
        "EXECUTE p",
        "EXPLAIN DELETE FROM hep_proto_1_call",
        "EXPLAIN ANALYZE INSERT INTO hep_proto_1_call (uuid) VALUES ('x')",
        "EXPLAIN ANALYZE COPY (SELECT 1) TO 'x.csv'",
        "SELECT 1; SELECT 2",
        "SELECT 1; DROP TABLE hep_proto_1_call",
        "",
        ";",
        "-- nothing",
        "SELEC 1",
        "SELECT (",
        "FROM 'x.parquet'",
        "FROM '/etc/passwd'",
        "FROM \"https://example.org/x.csv\"",
        "FROM read_csv('/etc/passwd')",
        "FROM READ_TEXT('/etc/passwd')",
        "FROM main.read_blob('/etc/passwd')",
        "FROM system.main.read_json('x')",
        "FROM glob('*')",
        "FROM sniff_csv('x')",
        "FROM parquet_metadata('x')",
        "FROM query('SELECT 1')",
        "FROM query_table(['x'])",
        "FROM json_execute_serialized_sql('x')",
        "FROM sqlite_query('x', 'y')",
        "FROM duckdb_secrets()",
        "FROM duckdb_settings()",
        "FROM duckdb_settings",
        "FROM duckdb_logs",
        "FROM ducklake_add_data_files('homer_lake', 'hep_proto_1_call', 'x')",
        "FROM ducklake_cleanup_old_files('homer_lake')",
        "FROM ducklake_merge_adjacent_files('homer_lake')",
        "FROM homer_lake.set_option('x', 'y')",
        "FROM pragma_database_size()",
        "FROM checkpoint()",
        "FROM __ducklake_metadata_homer_lake.ducklake_data_file",
        "FROM memory.main.x",
        "SELECT getenv('HOME')",
        "SELECT current_setting('temp_directory')",
        "SELECT nextval('x')",
        "SELECT sleep_ms(100)",
        "SELECT (SELECT count(*) FROM read_text('/etc/passwd'))",
        "SELECT 1 WHERE EXISTS (FROM '/etc/passwd')",
        "WITH a AS (FROM read_text('/etc/passwd')) SELECT 1",
        "SELECT 1 UNION ALL SELECT count(*) FROM read_text('x')",
        "SELECT * FROM hep_proto_1_call, LATERAL (FROM read_text(payload))",
        "SELECT * FROM (DESCRIBE 'x.parquet')",
        "SUMMARIZE 'x.csv'",
        &format!("FROM '{file}'"),
        &format!("FROM read_parquet('{file}')"),
        &format!("FROM sqlite_scan('{catalog}', 'ducklake_snapshot')"),
        &format!("SELECT 1 {}", "+ 1 ".repeat(900)),
        &format!("SELECT '{}'", "x".repeat(2 << 20)),
    ] {
        let shown: String = sql.chars().take(80).collect();
        match lake.sql(sql, None) {
            Err(QueryError::Refused(reason)) => assert!(reason.to_string().len() > 20, "{shown}"),
            Err(error) => panic!("{shown}: refused in another way: {error:?}"),
            Ok(answer) => panic!("{shown}: answered {}", text(&answer)),
        }
    }
    assert_eq!(ask(&lake, "SELECT count(*) FROM hep_proto_1_call"), "5");
}

#[test]
fn a_wrong_statement_is_told_apart_from_a_refused_one() {
    let (_site, lake) = with_a_call();
    for (sql, expected) in [
        ("SELECT nothing FROM hep_proto_1_call", "nothing"),
        ("SELECT * FROM hep_proto_2_call", "hep_proto_2_call"),
        ("SELECT 'x'::INTEGER", "Could not convert"),
        ("SELECT error('mine')", "mine"),
        ("SELECT 1 \0 FROM x", "NUL"),
    ] {
        match lake.sql(sql, None) {
            Err(QueryError::Statement(message)) => assert!(message.contains(expected), "{message}"),
            other => panic!("{sql}: {other:?}"),
        }
    }
}

#[test]
fn cuts_an_answer_at_the_limit_and_says_so() {
    let (site, lake) = with_a_call();
    for (limit, rows, truncated) in [
        (Some(3), 3, true),
        (Some(5), 5, false),
        (None, 5, false),
        (Some(0), 0, true),
    ] {
        let answer = lake.sql("FROM hep_proto_1_call", limit).unwrap();
        assert_eq!(
            (answer.row_count(), answer.truncated),
            (rows, truncated),
            "{limit:?}"
        );
    }
    let answer = lake.sql("FROM range(1000000)", None).unwrap();
    assert_eq!((answer.row_count(), answer.truncated), (10_000, true));
    let answer = lake.sql("FROM range(1000000)", Some(usize::MAX)).unwrap();
    assert_eq!(answer.row_count(), site.settings().query_rows_max);
    // A result far beyond memory is not made, only begun.
    let started = Instant::now();
    let answer = lake
        .sql(
            "SELECT repeat('x', 1000) || range FROM range(100000000000)",
            Some(10),
        )
        .unwrap();
    assert_eq!((answer.row_count(), answer.truncated), (10, true));
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "{:?}",
        started.elapsed()
    );
}

#[test]
fn names_the_types_as_duckdb_does() {
    let (_site, lake) = with_a_call();
    for (expression, expected) in [
        ("uuid", "VARCHAR"),
        ("date", "DATE"),
        ("timestamp", "TIMESTAMP"),
        ("src_port", "UINTEGER"),
        ("data_extra", "JSON"),
        ("'a'::BLOB", "BLOB"),
        ("count(*)", "BIGINT"),
        ("sum(src_port)", "HUGEINT"),
        ("avg(src_port)", "DOUBLE"),
        ("now()", "TIMESTAMP WITH TIME ZONE"),
        ("1.5", "DECIMAL(2,1)"),
        ("[1]", "INTEGER[]"),
        ("{'a': 1}", "STRUCT(\"a\" INTEGER)"),
        ("MAP {'a': 1}", "MAP(VARCHAR, INTEGER)"),
        ("INTERVAL 1 DAY", "INTERVAL"),
        ("true", "BOOLEAN"),
        ("uuid()", "UUID"),
        ("TIME '10:00:00'", "TIME"),
    ] {
        let group = if expression.contains("count")
            || expression.contains("sum")
            || expression.contains("avg")
        {
            ""
        } else {
            " LIMIT 1"
        };
        let answer = lake
            .sql(
                &format!("SELECT {expression} AS a FROM hep_proto_1_call{group}"),
                None,
            )
            .unwrap();
        assert_eq!(answer.types, [expected], "{expression}");
    }
}

#[test]
fn stops_a_query_at_its_deadline_and_goes_on_answering() {
    let site = Site::new();
    let mut settings = site.settings();
    settings.query_deadline = Duration::from_millis(700);
    let lake = Lake::open(&settings).unwrap();
    let started = Instant::now();
    let error = lake.sql(
        "SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE a.range + b.range = 7",
        None,
    );
    assert!(matches!(error, Err(QueryError::Deadline(_))), "{error:?}");
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "{:?}",
        started.elapsed()
    );
    assert_eq!(ask(&lake, "SELECT 1"), "1");
}

#[test]
fn stops_a_query_at_the_memory_limit_and_goes_on_answering() {
    let site = Site::new();
    let mut settings = site.settings();
    settings.memory_limit_bytes = 100 << 20;
    let lake = Lake::open(&settings).unwrap();
    let error = lake.sql(
        "SELECT length(string_agg(repeat('x', 1000), '')) FROM range(1000000)",
        None,
    );
    assert!(
        matches!(error, Err(QueryError::OutOfMemory(_))),
        "{error:?}"
    );
    assert_eq!(ask(&lake, "SELECT 1"), "1");
    // What can be done in pieces spills to disk instead.
    let sql = "SELECT count(*) FROM (SELECT range, repeat('x', 100) || range AS t FROM range(1500000) ORDER BY t DESC)";
    assert_eq!(ask(&lake, sql), "1500000");
}

#[test]
fn searches_newest_first_by_what_is_given() {
    let (_site, lake) = with_a_call();
    let found = |search: Search| {
        let answer = lake.search(&search).unwrap();
        let uuid = answer.schema.index_of("uuid").unwrap();
        let mut answer = answer;
        answer.batches = answer
            .batches
            .iter()
            .map(|batch| batch.project(&[uuid]).unwrap())
            .collect();
        text(&answer)
    };
    let text = |value: &str| Some(value.to_owned());
    for (search, expected) in [
        (Search::default(), "09;07;05;04;02;01;00"),
        (
            Search {
                limit: Some(2),
                ..Search::default()
            },
            "09;07",
        ),
        (
            Search {
                caller: text("alice"),
                ..Search::default()
            },
            "07;04;02;01;00",
        ),
        (
            Search {
                caller: text("ali%"),
                callee: text("bob"),
                ..Search::default()
            },
            "07;04;02;01",
        ),
        (
            Search {
                caller: text("%lic%"),
                ..Search::default()
            },
            "07;04;02;01;00",
        ),
        (
            Search {
                caller: text("%ice"),
                ..Search::default()
            },
            "07;04;02;01;00",
        ),
        (
            Search {
                caller: text("a%e"),
                ..Search::default()
            },
            "07;04;02;01;00",
        ),
        (
            Search {
                caller: text("%a%i%e%"),
                ..Search::default()
            },
            "07;04;02;01;00",
        ),
        (
            Search {
                caller: text("al_ce"),
                ..Search::default()
            },
            "",
        ),
        (
            Search {
                caller: text("%_%"),
                ..Search::default()
            },
            "",
        ),
        (
            Search {
                caller: text("a%.e"),
                ..Search::default()
            },
            "",
        ),
        (
            Search {
                caller: text("%%"),
                ..Search::default()
            },
            "09;07;04;02;01;00",
        ),
        (
            Search {
                callee: text("alice@example.org"),
                ..Search::default()
            },
            "00",
        ),
        (
            Search {
                session_id: text("1@a"),
                ..Search::default()
            },
            "07;05;04;02;01",
        ),
        (
            Search {
                session_id: text("x' OR '1'='1"),
                ..Search::default()
            },
            "",
        ),
        (
            Search {
                method: text("INVITE"),
                ..Search::default()
            },
            "09;01",
        ),
        (
            Search {
                response_code: text("1%"),
                ..Search::default()
            },
            "02",
        ),
        (
            Search {
                src_ip: text("10.0.0.1"),
                dst_ip: text("10.0.0.2"),
                method: text("BYE"),
                ..Search::default()
            },
            "07",
        ),
        (
            Search {
                from_us: Some(DAY_US + 3_000_000),
                to_us: Some(DAY_US + 5_000_000),
                ..Search::default()
            },
            "05;04",
        ),
        (
            Search {
                from_us: Some(i64::MIN),
                to_us: Some(i64::MAX),
                limit: Some(1),
                ..Search::default()
            },
            "09",
        ),
        (
            Search {
                to_us: Some(DAY_US - 1),
                ..Search::default()
            },
            "",
        ),
    ] {
        assert_eq!(found(search.clone()), expected, "{search:?}");
    }
}

#[test]
fn gives_a_call_in_order_over_all_tables() {
    let (_site, lake) = with_a_call();
    let answer = lake.call("1@a").unwrap();
    println!(
        "a call of {} messages: {:?}",
        answer.row_count(),
        answer.elapsed
    );
    let index = |name| answer.schema.index_of(name).unwrap();
    let columns = [
        index("table"),
        index("uuid"),
        index("method"),
        index("response_code"),
        index("response_reason"),
        index("src_port"),
    ];
    let mut shown = answer.clone();
    shown.batches = answer
        .batches
        .iter()
        .map(|batch| batch.project(&columns).unwrap())
        .collect();
    assert_eq!(
        text(&shown),
        "hep_proto_1_call,01,INVITE,null,Ringing,5060;\
         hep_proto_1_call,02,null,180,Ringing,5060;\
         hep_proto_1_call,04,null,200,Ringing,5060;\
         hep_proto_1_default,05,NOTIFY,null,null,null;\
         hep_proto_5_default,06,null,null,null,null;\
         hep_proto_1_call,07,BYE,null,Ringing,5060"
    );
    assert_eq!(lake.call("x' OR 1=1 --").unwrap().row_count(), 1);
    assert_eq!(lake.call("none").unwrap().row_count(), 0);
}

#[test]
fn summarises_tables_from_the_catalog() {
    let (_site, lake) = with_a_call();
    let tables = lake.tables().unwrap();
    let call = tables
        .iter()
        .find(|table| table.name == "hep_proto_1_call")
        .unwrap();
    assert_eq!((call.record_count, call.file_count), (5, 1));
    assert_eq!(call.date_min.unwrap().to_string(), DAY);
    assert_eq!(call.columns.len(), 18);
    assert_eq!(
        (
            call.columns[2].name.as_str(),
            call.columns[2].column_type.as_str()
        ),
        ("timestamp", "TIMESTAMP")
    );
    let empty = tables
        .iter()
        .find(|table| table.name == "hep_rejected")
        .unwrap();
    assert_eq!((empty.record_count, empty.date_min), (0, None));
}
