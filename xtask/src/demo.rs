//! `cargo xtask demo`: from a fresh checkout to rows that answer SQL.
//!
//! ```text
//!  setup ─▶ build ─▶ heplake serve ◀─ heplake replay tests/captures/*
//!                         │
//!                         └─▶ rows a table, one call as a ladder, what to try next
//! ```

mod captures;
mod http;
mod service;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::command::{Command, Failure};
use crate::setup;
use crate::workspace::Workspace;
use captures::Captures;
use service::{Ports, Service};

/// Datagrams a second: slow enough for any machine's socket buffer, and a second in all.
const RATE: u32 = 1000;

/// Flush interval and register interval are a second each; a busy machine may take longer.
const REGISTER_DEADLINE: Duration = Duration::from_secs(60);

const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// What the demo was asked for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    /// Stop after showing the rows.
    once: bool,
    /// Where to keep the lake; none for a directory that goes away.
    data: Option<PathBuf>,
    /// The first of three ports; none for any that are free.
    port_base: Option<u16>,
}

impl Options {
    pub(crate) fn parse(arguments: &[String]) -> Result<Self, Failure> {
        let mut options = Self::default();
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let mut value = || {
                arguments
                    .next()
                    .ok_or_else(|| Failure::Usage(format!("`{argument}` needs a value")))
            };
            match argument.as_str() {
                "--once" => options.once = true,
                "--data" => options.data = Some(PathBuf::from(value()?)),
                "--port-base" => {
                    let text = value()?;
                    let port = text
                        .parse()
                        .ok()
                        .filter(|port| (1..u16::MAX - 1).contains(port));
                    options.port_base = Some(port.ok_or_else(|| {
                        Failure::Usage(format!("`{text}` is no port from 1 to 65533"))
                    })?);
                }
                _ => {
                    return Err(Failure::Usage(format!("`demo` does not know `{argument}`")));
                }
            }
        }
        Ok(options)
    }
}

/// Shows the whole, and leaves nothing running.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<(), Failure> {
    let captures = Captures::read(workspace)?;
    let duckdb = setup::duckdb(workspace)?;
    say(
        "build",
        "heplake (about 15 minutes the first time, on 2 cores)",
    );
    Command::cargo(workspace)
        .args(["build", "--package", "heplake-lake"])
        .args(duckdb.features())
        .run()?;
    let program = program(workspace)?;

    let temporary = tempfile::Builder::new()
        .prefix("heplake-demo-")
        .tempdir()
        .map_err(|error| Failure::Task(format!("cannot create a temporary directory: {error}")))?;
    let directory = match &options.data {
        Some(directory) => std::path::absolute(directory)
            .map_err(|error| Failure::Task(format!("{}: {error}", directory.display())))?,
        None => temporary.path().to_owned(),
    };
    let stop = stop_on_signal()?;
    let ports = Ports::choose(options.port_base)?;
    let mut service = Service::start(workspace, &program, &directory, ports)?;
    say(
        "serve",
        &format!(
            "HTTP on 127.0.0.1:{}, HEP on 127.0.0.1:{} (UDP and TCP), lake in {}",
            ports.http,
            ports.hep,
            directory.display()
        ),
    );
    let shown = service
        .wait_until_healthy()
        .and_then(|()| show(workspace, &program, &directory, ports, &captures, &stop));
    if shown.is_ok() && !options.once {
        say("serve", "until Ctrl-C");
        while !stop.load(Ordering::Relaxed) && service.is_running()? {
            thread::sleep(POLL_INTERVAL);
        }
    }
    let stopped = service.stop();
    shown?;
    stopped
}

/// Sends the captures, and prints what became of them.
fn show(
    workspace: &Workspace,
    program: &Path,
    directory: &Path,
    ports: Ports,
    captures: &Captures,
    stop: &AtomicBool,
) -> Result<(), Failure> {
    let before = rows(ports)?;
    replay(workspace, program, ports, captures)?;
    let expected = captures.expected();
    let total = expected.values().sum::<u64>();
    let begun = Instant::now();
    let found = loop {
        let mut found = rows(ports)?;
        for (table, count) in &mut found {
            *count = count.saturating_sub(before.get(table).copied().unwrap_or(0));
        }
        found.retain(|_, count| *count > 0);
        if found.values().sum::<u64>() >= total || begun.elapsed() > REGISTER_DEADLINE {
            break found;
        }
        if stop.load(Ordering::Relaxed) {
            return Err(Failure::Task(
                "stopped before all rows were there".to_owned(),
            ));
        }
        thread::sleep(POLL_INTERVAL);
    };
    print_rows(&expected, &found);
    if found != expected {
        return Err(Failure::Task(format!(
            "{total} packets went in and {} rows came out, or not in the tables that \
             tests/captures/README.md names: see {}",
            found.values().sum::<u64>(),
            directory.join("heplake.log").display()
        )));
    }
    println!(
        "\n{total} packets in, {total} rows out, queryable {:.1} s after the last was sent.",
        begun.elapsed().as_secs_f64()
    );
    let session_id = instructive_call(ports)?;
    let ladder = http::get(
        ports.http,
        &format!("/api/v1/calls/{}", http::percent_encoded(&session_id)),
        "text/plain",
    )?;
    println!("\nOne of the calls, put together from what its senders captured:\n\n{ladder}");
    print_what_to_try(workspace, program, directory, ports, &session_id);
    Ok(())
}

fn replay(
    workspace: &Workspace,
    program: &Path,
    ports: Ports,
    captures: &Captures,
) -> Result<(), Failure> {
    let target = format!("127.0.0.1:{}", ports.hep);
    let (datagrams, streams) = (captures.datagrams(), captures.streams());
    say("replay", &format!("{} captures over UDP", datagrams.len()));
    Command::new(workspace, program)
        .arg("replay")
        .args(&datagrams)
        .args(["--to", &target, "--rate", &RATE.to_string()])
        .output()?;
    say("replay", &format!("{} streams over TCP", streams.len()));
    Command::new(workspace, program)
        .arg("replay")
        .args(&streams)
        .args(["--to", &target, "--tcp"])
        .output()?;
    Ok(())
}

/// Rows a table, as the catalog counts them.
fn rows(ports: Ports) -> Result<BTreeMap<String, u64>, Failure> {
    let tables = http::get_json(ports.http, "/api/v1/tables")?;
    let tables = tables["tables"].as_array().ok_or_else(|| {
        Failure::Task(format!("/api/v1/tables answered without tables: {tables}"))
    })?;
    Ok(tables
        .iter()
        .filter_map(|table| {
            let name = table["name"].as_str()?.to_owned();
            Some((name, table["record_count"].as_u64()?))
        })
        .filter(|(_, count)| *count > 0)
        .collect())
}

/// A call worth looking at: begun, answered and ended between several parties that differ by
/// port, since most captures are of one machine.
fn instructive_call(ports: Ports) -> Result<String, Failure> {
    let answer = http::post_json(
        ports.http,
        "/api/v1/sql",
        &json!({
            "sql": "SELECT session_id FROM homer_lake.hep_proto_1_call \
                    WHERE session_id IS NOT NULL GROUP BY session_id \
                    HAVING count(DISTINCT src_ip) = 1 AND count(DISTINCT method) >= 3 \
                    AND count(*) <= 24 \
                    ORDER BY count(DISTINCT src_port) DESC, count(*) DESC, session_id LIMIT 1",
        }),
    )?;
    answer["rows"][0][0]
        .as_str()
        .map(str::to_owned)
        .ok_or_else(|| Failure::Task(format!("no call was found by /api/v1/sql: {answer}")))
}

fn print_rows(expected: &BTreeMap<String, u64>, found: &BTreeMap<String, u64>) {
    println!("\n{:<28} {:>8} {:>8}", "table", "sent", "rows");
    let tables: std::collections::BTreeSet<&String> = expected.keys().chain(found.keys()).collect();
    for table in tables {
        let count = |of: &BTreeMap<String, u64>| of.get(table).copied().unwrap_or(0);
        println!("{table:<28} {:>8} {:>8}", count(expected), count(found));
    }
    let total = |of: &BTreeMap<String, u64>| of.values().sum::<u64>();
    println!("{:<28} {:>8} {:>8}", "all", total(expected), total(found));
}

fn print_what_to_try(
    workspace: &Workspace,
    program: &Path,
    directory: &Path,
    ports: Ports,
    session_id: &str,
) {
    let Ports { http, hep, control } = ports;
    let catalog = directory.join("homer_catalog.sqlite");
    let extensions = setup::extension_directory(workspace);
    let query = Value::from(
        "SELECT method, response_code, count(*) FROM homer_lake.hep_proto_1_call GROUP BY ALL",
    );
    println!(
        "What to try, from another terminal:

  Search    curl 'http://127.0.0.1:{http}/api/v1/search?method=INVITE&limit=5'
  A call    curl -H 'Accept: text/plain' 'http://127.0.0.1:{http}/api/v1/calls/{}'
  SQL       curl -d '{{\"sql\": {query}}}' -H 'Content-Type: application/json' \\
              http://127.0.0.1:{http}/api/v1/sql
  Metrics   curl http://127.0.0.1:{http}/metrics
  Parsers   curl http://127.0.0.1:{control}/api/v1/components
  Packets   {} replay FILE.pcap --to 127.0.0.1:{hep}
            or point any HEP sender at 127.0.0.1:{hep}
  Any DuckDB of version 1.5.5, which knows nothing of us (this one is made by cargo xtask setup):
    {} -c \"
import duckdb
lake = duckdb.connect(config={{'extension_directory': '{}'}})
lake.sql(\\\"ATTACH 'ducklake:sqlite:{}' AS homer_lake (READ_ONLY)\\\")
print(lake.sql('SELECT method, count(*) FROM homer_lake.hep_proto_1_call GROUP BY ALL'))\"
",
        http::percent_encoded(session_id),
        program.display(),
        setup::python_program(workspace).display(),
        extensions.display(),
        catalog.display(),
    );
}

/// The program that Cargo built: where, only Cargo knows.
fn program(workspace: &Workspace) -> Result<PathBuf, Failure> {
    let text = Command::cargo(workspace)
        .args(["metadata", "--no-deps", "--format-version", "1", "--quiet"])
        .output()?;
    let metadata: Value = serde_json::from_str(&text)
        .map_err(|error| Failure::Task(format!("cannot read `cargo metadata`: {error}")))?;
    metadata["target_directory"]
        .as_str()
        .map(|target| Path::new(target).join("debug").join("heplake"))
        .ok_or_else(|| Failure::Task("`cargo metadata` names no target directory".to_owned()))
}

/// Set by Ctrl-C, SIGTERM and SIGHUP: the service must be stopped before we go.
fn stop_on_signal() -> Result<Arc<AtomicBool>, Failure> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    ctrlc::set_handler(move || flag.store(true, Ordering::Relaxed))
        .map_err(|error| Failure::Task(format!("cannot listen for Ctrl-C: {error}")))?;
    Ok(stop)
}

fn say(what: &str, detail: &str) {
    println!("{what:>8}  {detail}");
}

#[cfg(test)]
mod tests {
    use super::Options;

    fn parse(arguments: &[&str]) -> Option<Options> {
        let arguments: Vec<String> = arguments.iter().map(|&a| a.to_owned()).collect();
        Options::parse(&arguments).ok()
    }

    #[test]
    fn reads_options() {
        assert_eq!(parse(&[]), Some(Options::default()));
        assert_eq!(
            parse(&["--once", "--data", "x", "--port-base", "8080"]),
            Some(Options {
                once: true,
                data: Some("x".into()),
                port_base: Some(8080)
            })
        );
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        for arguments in [
            &["--onze"][..],
            &["--data"],
            &["--port-base", "0"],
            &["--port-base", "65534"],
            &["--port-base", "x"],
        ] {
            assert_eq!(parse(arguments), None, "{arguments:?}");
        }
    }
}
