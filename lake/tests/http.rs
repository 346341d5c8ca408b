//! The HTTP of a `heplake lake` as a client sees it: what is refused, what is not told, and how much
//! memory an answer takes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod support;

use heplake_format::ColumnType;
use serde_json::{Value, json};
use std::{
    fs,
    io::{Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};
use support::{DAY, Site, column, row, table, with_a_call};

const PATIENCE: Duration = Duration::from_secs(60);

struct Service {
    child: Child,
    port: u16,
    site: Site,
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Answered {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Answered {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(found, _)| found == name);
        found.map(|(_, value)| value.as_str())
    }
}

impl Service {
    /// Serves a lake with one call in it.
    fn start(more: &str) -> Self {
        let (site, lake) = with_a_call();
        drop(lake);
        Self::of(site, more)
    }

    fn of(site: Site, more: &str) -> Self {
        let held = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = held.local_addr().unwrap().port();
        drop(held);
        let configuration = site.path().join("heplake.toml");
        let data_dir = Value::from(site.path().to_string_lossy());
        let text = format!("data_dir = {data_dir}\n[http]\nport = {port}\n{more}");
        fs::write(&configuration, text).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_heplake"))
            .args(["lake", "--config"])
            .arg(&configuration)
            // Tests may be told something that is no setting.
            .env_remove("HEPLAKE_BLESS")
            .env_remove("HEPLAKE_CACHE")
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let service = Self { child, port, site };
        let started = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            assert!(started.elapsed() < PATIENCE, "the service does not answer");
            thread::sleep(Duration::from_millis(50));
        }
        service
    }

    fn agent() -> ureq::Agent {
        ureq::Agent::config_builder()
            .http_status_as_error(false)
            .build()
            .into()
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    fn get(&self, path: &str) -> Answered {
        let request = Self::agent().get(self.url(path));
        Self::answered(request.call().unwrap())
    }

    fn sql_as(&self, accept: &str, body: &Value) -> Answered {
        let request = Self::agent()
            .post(self.url("/api/v1/sql"))
            .header("accept", accept);
        Self::answered(request.send_json(body).unwrap())
    }

    fn sql(&self, sql: &str) -> Answered {
        self.sql_as("application/json", &json!({ "sql": sql }))
    }

    fn answered(mut response: ureq::http::Response<ureq::Body>) -> Answered {
        let headers = response.headers().iter().map(|(name, value)| {
            (
                name.as_str().to_owned(),
                value.to_str().unwrap_or_default().to_owned(),
            )
        });
        let headers = headers.collect();
        let body = response
            .body_mut()
            .with_config()
            .limit(1 << 30)
            .read_to_vec();
        Answered {
            status: response.status().as_u16(),
            headers,
            body: body.unwrap(),
        }
    }

    /// The most memory that the service has had, in bytes.
    fn peak_bytes(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status
            .lines()
            .find(|line| line.starts_with("VmHWM:"))
            .unwrap();
        let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        kib << 10
    }
}

/// Fails if a text tells of the server what a client has no use for.
fn assert_tells_nothing(service: &Service, what: &str, text: &str) {
    let directory = service.site.path().display().to_string();
    for secret in [
        directory.as_str(),
        "Stack Trace",
        "libduckdb",
        ".setup",
        "/root/",
        "/home/",
        "/tmp/",
        "__ducklake_metadata",
        "UNION ALL",
        "IS DISTINCT FROM",
        "extensions/v1",
    ] {
        assert!(!text.contains(secret), "{what} tells {secret}: {text}");
    }
}

#[test]
fn no_answer_tells_paths_stack_traces_or_sql_that_its_client_did_not_write() {
    let service = Service::start("");
    for (sql, status) in [
        ("SELECT 1 AS a", 200),
        ("SELECT nothing FROM hep_proto_1_call", 400),
        ("SELECT * FROM no_such_table", 400),
        ("SELECT * FROM no_such_schema.t", 400),
        ("SELECT no_such_function(1)", 400),
        ("FROM no_such_function(1)", 400),
        ("SELECT 'x'::INTEGER", 400),
        ("SELECT 'x'::no_such_type", 400),
        ("SELECT error('mine')", 400),
        ("SELECT 1 +", 400),
        ("SELECT 1/", 400),
        ("SELECT ?", 400),
        ("SELECT $1", 400),
        ("SELECT $x", 400),
        ("SELECT txid_current()", 400),
        ("SELECT variant_extract(1, 'a')", 400),
        ("SELECT current_setting('temp_directory')", 400),
        (
            "FROM ducklake_list_files('homer_lake', 'hep_proto_1_call')",
            400,
        ),
        (
            "FROM ducklake_table_changes('homer_lake', 'main', 'hep_proto_1_call', 0, 9999)",
            400,
        ),
        (
            "FROM ducklake_table_changes('nothing', 'main', 'hep_proto_1_call', 0, 1)",
            400,
        ),
        ("FROM ducklake_snapshots('memory')", 400),
        ("FROM hep_proto_1_call AT (VERSION => 9999)", 400),
        (
            "FROM hep_proto_1_call AT (TIMESTAMP => TIMESTAMP '1999-01-01')",
            400,
        ),
        ("SELECT filename FROM hep_proto_1_call", 400),
        ("EXPLAIN ANALYZE FROM hep_proto_1_call", 400),
        (
            "EXPLAIN SELECT * FROM hep_proto_1_call WHERE caller = 'alice'",
            200,
        ),
        ("SELECT list_extract([1], 'x')", 400),
        ("SELECT CAST('2026-99-99' AS DATE)", 400),
        ("SELECT 9223372036854775807 + 1", 400),
        ("SELECT strptime('x', '%Y')", 400),
        ("SELECT regexp_matches('x', '(')", 400),
        ("SELECT json_extract('{', '$.a')", 400),
        ("SELECT json_extract('{}', '$[')", 400),
        ("SELECT 'a' COLLATE nothing", 400),
        ("SELECT now() AT TIME ZONE 'nothing'", 400),
        ("SELECT (SELECT 1 UNION ALL SELECT 2)", 400),
        ("SELECT * FROM information_schema.tables", 200),
        ("SELECT * FROM duckdb_tables()", 200),
        ("SELECT * FROM pg_catalog.pg_class", 200),
        ("SHOW DATABASES", 200),
        ("SHOW ALL TABLES", 200),
        ("DESCRIBE hep_proto_1_call", 200),
        ("SUMMARIZE hep_proto_1_call", 200),
        ("FROM ducklake_snapshots('homer_lake')", 200),
        ("FROM ducklake_table_info('homer_lake')", 200),
        ("SELECT a FROM (SELECT 1 AS a, 2 AS a)", 200),
    ] {
        let answered = service.sql(sql);
        let text = answered.text();
        // UNION ALL is in a statement above, and its client may read it again.
        assert_tells_nothing(
            &service,
            sql,
            &text.replace("SELECT 1 UNION ALL SELECT 2", ""),
        );
        match sql {
            // DuckDB answers some of these in one version and not in another.
            "SELECT json_extract('{', '$.a')" | "SELECT 'a' COLLATE nothing" => {}
            "SELECT (SELECT 1 UNION ALL SELECT 2)" | "SHOW ALL TABLES" => {}
            _ => assert_eq!(answered.status, status, "{sql}: {text}"),
        }
        assert_ne!(answered.status, 500, "{sql}: {text}");
    }
    for (path, status) in [
        ("/api/v1/search?caller=a%00b", 400),
        ("/api/v1/search?session_id=%00", 400),
        ("/api/v1/calls/a%00b", 400),
        ("/api/v1/calls/%ff", 400),
        ("/api/v1/calls/none", 404),
        ("/api/v1/search?caller='", 200),
        ("/api/v1/search?caller=%25a%25b%25'%25", 200),
        ("/api/v1/search?callee=%5C", 200),
        ("/api/v1/search?nothing=1", 400),
        ("/api/v1/search?limit=x", 400),
        ("/api/v1/search?limit=1000001", 400),
        ("/api/v1/search?from=x", 400),
        ("/api/v1/nothing", 404),
    ] {
        let answered = service.get(path);
        assert_eq!(answered.status, status, "{path}: {}", answered.text());
        assert_tells_nothing(&service, path, &answered.text());
    }
    for path in ["/api/v1/search?caller=a%00b", "/api/v1/calls/a%00b"] {
        assert_eq!(service.get(path).json()["error"]["code"], "bad_request");
    }
}

#[test]
fn a_data_file_that_cannot_be_read_is_named_below_the_store_only() {
    let service = Service::start("");
    let relative = "main/hep_proto_1_call/date=2026-11-22/e-00000000000000000001-0000.parquet";
    let file = service.site.data_path().join(relative);
    let sound = fs::read(&file).unwrap();
    let mut broken = sound.clone();
    // The pages, and not the footer.
    let pages = broken.len() / 2;
    broken[4..pages].fill(0xaa);
    let questions = |service: &Service| {
        let search = service.get("/api/v1/search?caller=alice");
        let call = service.get("/api/v1/calls/1@a");
        [service.sql("SELECT * FROM hep_proto_1_call"), search, call]
    };
    fs::write(&file, &broken).unwrap();
    let broken = questions(&service);
    // No statement is to blame.
    assert_eq!(broken[0].status, 500, "{}", broken[0].text());
    for answered in broken {
        assert_ne!(answered.status, 200);
        assert_tells_nothing(&service, "a broken file", &answered.text());
    }
    fs::write(&file, &sound[..40]).unwrap();
    for answered in questions(&service) {
        assert_ne!(answered.status, 200);
        assert_tells_nothing(&service, "a short file", &answered.text());
    }
    // DuckDB keeps what it has read of a file, so another service looks for one that is gone.
    drop(service);
    let service = Service::start("");
    fs::remove_file(service.site.data_path().join(relative)).unwrap();
    let answered = service.sql("SELECT * FROM hep_proto_1_call");
    assert_ne!(answered.status, 200);
    assert_tells_nothing(&service, "no file", &answered.text());
    assert!(answered.text().contains(relative), "{}", answered.text());
}

#[test]
fn a_search_says_which_tables_it_looked_through() {
    let site = Site::new();
    let lake = site.open();
    let mut other = table("hep_proto_5_default");
    other.name = "hep_proto_200_default".parse().unwrap();
    other.columns.push(column("gauge", ColumnType::Double));
    site.commit(
        "e",
        1,
        &[(
            &other,
            DAY,
            vec![row(1, &[("session_id", "1@a"), ("src_ip", "192.0.2.1")])],
        )],
    );
    assert_eq!(lake.register_new().unwrap().rows, 1);
    drop(lake);
    let service = Service::of(site, "");
    let found = service.get("/api/v1/search?src_ip=192.0.2.1");
    let document = found.json();
    assert_eq!(document["rows"], json!([]));
    let left_out = document["tables_not_searched"].as_array().unwrap();
    assert!(
        left_out.contains(&json!("hep_proto_200_default")),
        "{document}"
    );
    let searched = document["tables_searched"].as_array().unwrap();
    assert!(searched.contains(&json!("hep_proto_1_call")), "{document}");
    let header = found.header("x-heplake-tables-searched").unwrap();
    assert!(header.contains("hep_proto_1_call, "), "{header}");
    // A table that has no column for what is asked is not looked through.
    let found = service.get("/api/v1/search?caller=monitor").json();
    let left_out = found["tables_not_searched"].as_array().unwrap();
    assert!(left_out.contains(&json!("hep_proto_1_default")), "{found}");
    let unknown = service.get("/api/v1/search?gauge=1").text();
    assert!(unknown.contains("/api/v1/sql"), "{unknown}");
}

#[test]
fn a_large_answer_takes_the_memory_of_a_few_batches() {
    let service = Service::start("[query]\nmax_rows = 10000000\nmax_bytes = \"200MiB\"\n");
    assert_eq!(
        service.sql("SELECT count(*) FROM hep_proto_1_call").status,
        200
    );
    let before = service.peak_bytes();
    // 400 MB in rows of a kilobyte, of which 200 MiB are given.
    let sql = "SELECT repeat('x', 1000) || i AS x FROM range(400000) t(i)";
    let body = json!({ "sql": sql, "limit": 1_000_000 });
    let answered = service.sql_as("application/json", &body);
    let document = answered.json();
    assert_eq!(document["truncated_by"], "bytes");
    assert_eq!(answered.header("x-heplake-truncated"), Some("unknown"));
    let size = answered.body.len() as u64;
    assert!(size > 50 << 20 && size <= 201 << 20, "{size}");
    let more = service.peak_bytes() - before;
    println!("{size} bytes took {more} more bytes of memory");
    assert!(more < 100 << 20, "{more} bytes for an answer of {size}");
    // One value of a gigabyte is not made.
    let refused = service.sql("SELECT repeat('x', 1000000000)");
    assert_eq!(refused.json()["error"]["code"], "statement_refused");
    assert!(service.peak_bytes() - before < 150 << 20);
}

/// Asks over a connection of its own, and reads nothing yet.
fn ask_and_wait(service: &Service, sql: &str) -> TcpStream {
    let body = json!({ "sql": sql, "limit": 100_000_000 }).to_string();
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, service.port)).unwrap();
    let request = format!(
        "POST /api/v1/sql HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).unwrap();
    stream
}

#[test]
fn clients_that_do_not_read_keep_no_query_beyond_its_deadline() {
    let service = Service::start("[query]\ndeadline = \"3s\"\nmax_rows = 100000000\n");
    let sql = "SELECT repeat('x', 1000) || i AS x FROM range(100000000) t(i)";
    // As many as may run at once, none of which reads more than its beginning.
    let mut lazy: Vec<_> = (0..8).map(|_| ask_and_wait(&service, sql)).collect();
    for stream in &mut lazy {
        let mut beginning = [0; 12];
        stream.read_exact(&mut beginning).unwrap();
        assert_eq!(&beginning, b"HTTP/1.1 200");
    }
    let started = Instant::now();
    while service.sql("SELECT 1").status != 200 {
        assert!(
            started.elapsed() < PATIENCE,
            "no query is answered any more"
        );
    }
    // The end of an answer that was broken off is not its end.
    for stream in &mut lazy {
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        assert!(!rest.ends_with(b"0\r\n\r\n"));
    }
}

#[test]
fn the_query_of_a_client_that_leaves_is_stopped() {
    let service = Service::start("[query]\ndeadline = \"60s\"\n");
    let sql =
        "SELECT count(*) FROM range(100000000) a, range(100000000) b WHERE a.range + b.range = 7";
    for _ in 0..24 {
        let stream = ask_and_wait(&service, sql);
        thread::sleep(Duration::from_millis(20));
        drop(stream);
    }
    // They would take all turns for a minute.
    assert_eq!(service.sql("SELECT 1").status, 200);
}

#[test]
fn csv_of_the_command_has_the_line_ends_of_a_terminal() {
    let service = Service::start("");
    let sql = |format: &str, sql: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_heplake"))
            .args(["sql", "--server", &service.url(""), "--format", format, sql])
            .env_remove("HEPLAKE_CACHE")
            .output()
            .unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (text(output.stdout), text(output.stderr))
    };
    let (rows, _) = sql(
        "csv",
        "SELECT 1 AS a, 'x' || chr(13) || chr(10) || '\"y' AS b, '' AS c",
    );
    assert_eq!(rows, "a,b,c\n1,\"x\r\n\"\"y\",\"\"\n");
    let (rows, _) = sql("ndjson", "SELECT 1 AS b, 2 AS a, 3 AS a");
    assert_eq!(rows, "{\"b\":1,\"a\":2,\"a_1\":3}\n");
    let (rows, said) = sql("csv", "FROM range(20000)");
    assert_eq!(rows.lines().count(), 10_001);
    assert!(said.contains("more"), "{said}");
    let (_, said) = sql("csv", "SELECT error(chr(27) || '[31m')");
    assert!(
        said.contains("\\u{1b}[31m") && !said.contains('\u{1b}'),
        "{said:?}"
    );
    let (_, said) = sql("csv", "FROM range(3)");
    assert_eq!(said, "");
}
