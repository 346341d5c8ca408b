//! `heplake sql`: asks a running lake, over HTTP.

use super::print;
use clap::{Args, ValueEnum};
use heplake_host::{
    configuration::{Configuration, http_address},
    process::Failure,
};
use heplake_lake::ladder::{printable, truncated};
use serde::Deserialize;
use serde_json::{Value, json};
use std::{
    io::Read,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};
use unicode_width::UnicodeWidthStr;

/// How long the lake may take to accept a connection. Its answer has the lake's deadline.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Widest cell of a table; payloads would push everything else out of sight.
const CELL_COLUMNS_MAX: usize = 60;

/// Largest statement that is read from standard input, in bytes: more than the lake takes.
const STATEMENT_BYTES_MAX: u64 = 128 << 10;

/// Largest answer that is read, in bytes: more than the lake gives.
const ANSWER_BYTES_MAX: u64 = 4 << 30;

/// Arguments of `heplake sql`.
#[derive(Args)]
#[command(after_help = "Examples:\n  \
        heplake sql \"SELECT * FROM hep_proto_1_call ORDER BY timestamp DESC\" --limit 20\n  \
        heplake sql --format csv \"SELECT date, count(*) FROM hep_proto_1_call GROUP BY ALL\" > calls.csv\n  \
        heplake sql - < report.sql")]
pub(crate) struct SqlArguments {
    /// One SELECT; `-` reads it from standard input
    #[arg(value_name = "SQL")]
    sql: String,
    /// Most rows to give [default: the lake's]
    #[arg(long, value_name = "ROWS")]
    limit: Option<usize>,
    /// How the rows are printed
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// The lake to ask [default: http.host and http.port of the configuration]
    #[arg(long, value_name = "URL")]
    server: Option<String>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    /// Aligned columns; long cells are cut
    Table,
    Csv,
    Ndjson,
    Json,
}

impl Format {
    fn media_type(self) -> &'static str {
        match self {
            Self::Table | Self::Json => "application/json",
            Self::Csv => "text/csv",
            Self::Ndjson => "application/x-ndjson",
        }
    }
}

/// An answer, as the lake gives it in JSON.
#[derive(Deserialize)]
struct Answer {
    columns: Vec<Column>,
    rows: Vec<Vec<Value>>,
    truncated: bool,
    elapsed_ms: f64,
}

#[derive(Deserialize)]
struct Column {
    name: String,
}

pub(crate) fn run(arguments: &SqlArguments, configuration: &Configuration) -> Result<(), Failure> {
    let server = match &arguments.server {
        Some(server) => server.trim_end_matches('/').to_string(),
        None => configured_server(configuration)?,
    };
    let Reply {
        body,
        truncated,
        row_limit,
    } = ask(&server, &statement(&arguments.sql)?, arguments)?;
    match arguments.format {
        Format::Table => {
            let answer: Answer = serde_json::from_slice(&body)
                .map_err(|error| Failure::of(&format!("{server} is no Heplake"), &error))?;
            print(table(&answer))?;
            eprintln!("{}", summary(&answer));
            Ok(())
        }
        Format::Json => print([body, b"\n".to_vec()].concat()),
        Format::Csv => {
            let (text, records) = csv_of_a_terminal(&body);
            print(text)?;
            // The first is the header.
            tell_of_more(truncated, records.saturating_sub(1), row_limit);
            Ok(())
        }
        Format::Ndjson => {
            let records = body.iter().filter(|byte| **byte == b'\n').count();
            print(body)?;
            tell_of_more(truncated, records, row_limit);
            Ok(())
        }
    }
}

/// The text with the line ends of a terminal, where `$(…)` would keep the CR of RFC 4180, and the number
/// of records. What stands between quotes stays.
fn csv_of_a_terminal(body: &[u8]) -> (Vec<u8>, usize) {
    let mut text = Vec::with_capacity(body.len());
    let (mut quoted, mut records) = (false, 0);
    for &byte in body {
        if byte == b'"' {
            quoted = !quoted;
        }
        if byte == b'\n' && !quoted {
            records += 1;
            if text.last() == Some(&b'\r') {
                text.pop();
            }
        }
        text.push(byte);
    }
    (text, records)
}

/// Says that an answer is cut, which its format has no place for. Of a long one its head does not know.
fn tell_of_more(truncated: Option<bool>, records: usize, row_limit: Option<usize>) {
    let cut = match truncated {
        Some(truncated) => truncated,
        None => row_limit.is_some_and(|limit| records >= limit),
    };
    if cut {
        let more = if truncated.is_some() { "are" } else { "may be" };
        eprintln!("({records} rows; there {more} more, --limit raises the limit)");
    }
}

fn statement(argument: &str) -> Result<String, Failure> {
    if argument != "-" {
        return Ok(argument.into());
    }
    let mut sql = String::new();
    std::io::stdin()
        .take(STATEMENT_BYTES_MAX)
        .read_to_string(&mut sql)
        .map_err(|error| Failure::of("standard input cannot be read", &error))?;
    Ok(sql)
}

/// Where the lake of this configuration serves: on all addresses means here, too.
pub(super) fn configured_server(configuration: &Configuration) -> Result<String, Failure> {
    let address = http_address(configuration)?.ok_or_else(|| {
        Failure::Usage(
            "http.enable is false, so that no lake answers; --server names another".into(),
        )
    })?;
    if address.port() == 0 {
        return Err(Failure::Usage(
            "http.port is 0, any that is free: --server says which it became".into(),
        ));
    }
    let ip: IpAddr = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    Ok(format!("http://{}", SocketAddr::new(ip, address.port())))
}

/// An answer as the lake gave it.
struct Reply {
    body: Vec<u8>,
    /// Whether it is cut, where its head says so.
    truncated: Option<bool>,
    /// How many rows it has at most.
    row_limit: Option<usize>,
}

fn ask(server: &str, sql: &str, arguments: &SqlArguments) -> Result<Reply, Failure> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_connect(Some(CONNECT_TIMEOUT))
        .build()
        .into();
    let unreachable = |error: ureq::Error| {
        let what = format!(
            "no Heplake answers at {server}; start one with `heplake serve`, or name another with --server"
        );
        Failure::of(&what, &error)
    };
    let mut response = agent
        .post(format!("{server}/api/v1/sql"))
        .header("accept", arguments.format.media_type())
        .send_json(json!({ "sql": sql, "limit": arguments.limit }))
        .map_err(unreachable)?;
    let status = response.status();
    let said = |name: &str| response.headers().get(name)?.to_str().ok()?.parse().ok();
    let truncated = said("x-heplake-truncated").and_then(|text: String| text.parse().ok());
    let row_limit = said("x-heplake-row-limit").and_then(|text: String| text.parse().ok());
    let unread = |error: ureq::Error| {
        let what = format!(
            "{server} broke the answer off: it was not there before query.deadline, or has more than query.max_bytes; ask for less"
        );
        Failure::of(&what, &error)
    };
    let body = response
        .body_mut()
        .with_config()
        .limit(ANSWER_BYTES_MAX)
        .read_to_vec()
        .map_err(unread)?;
    if status.is_success() {
        return Ok(Reply {
            body,
            truncated,
            row_limit,
        });
    }
    let said: Option<Value> = serde_json::from_slice(&body).ok();
    let message = said
        .as_ref()
        .and_then(|said| said.pointer("/error/message")?.as_str());
    Err(Failure::Failed(match message {
        // It may have what a packet brought.
        Some(message) => message
            .lines()
            .map(printable)
            .collect::<Vec<_>>()
            .join("\n"),
        None => format!("{server} answered {status}: is it a Heplake?"),
    }))
}

/// Columns as wide as their widest cell; numbers to the right.
fn table(answer: &Answer) -> String {
    let head: Vec<String> = answer
        .columns
        .iter()
        .map(|column| cell(&column.name))
        .collect();
    let rows: Vec<Vec<String>> = answer
        .rows
        .iter()
        .map(|row| row.iter().map(shown).collect())
        .collect();
    let widths: Vec<usize> = head
        .iter()
        .enumerate()
        .map(|(place, name)| {
            let cells = rows.iter().filter_map(|row| row.get(place));
            cells
                .map(|cell| cell.width())
                .fold(name.width(), usize::max)
        })
        .collect();
    let mut text = String::new();
    line(
        &mut text,
        head.iter().map(|name| (name.as_str(), false)),
        &widths,
    );
    let rules: Vec<_> = widths.iter().map(|&width| "-".repeat(width)).collect();
    line(
        &mut text,
        rules.iter().map(|rule| (rule.as_str(), false)),
        &widths,
    );
    for (row, values) in rows.iter().zip(&answer.rows) {
        let cells = row.iter().zip(values);
        let cells = cells.map(|(cell, value)| (cell.as_str(), value.is_number()));
        line(&mut text, cells, &widths);
    }
    text
}

fn line<'c>(text: &mut String, cells: impl Iterator<Item = (&'c str, bool)>, widths: &[usize]) {
    for ((cell, to_the_right), width) in cells.zip(widths) {
        let fill = " ".repeat(width - cell.width().min(*width));
        if to_the_right {
            text.push_str(&fill);
        }
        text.push_str(cell);
        if !to_the_right {
            text.push_str(&fill);
        }
        text.push_str("  ");
    }
    text.truncate(text.trim_end_matches(' ').len());
    text.push('\n');
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => cell(text),
        value => cell(&value.to_string()),
    }
}

fn cell(text: &str) -> String {
    // Cut first: escaping a payload of 64 KiB to show its beginning is waste.
    let beginning: String = text.chars().take(CELL_COLUMNS_MAX + 1).collect();
    truncated(&printable(&beginning), CELL_COLUMNS_MAX)
}

fn summary(answer: &Answer) -> String {
    let rows = match answer.rows.len() {
        1 => "1 row".into(),
        count => format!("{count} rows"),
    };
    let more = if answer.truncated {
        "; there are more, --limit raises the limit"
    } else {
        ""
    };
    format!("({rows}, {:.1} ms{more})", answer.elapsed_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_aligned_and_safe_to_print() {
        let answer: Answer = serde_json::from_value(json!({
            "columns": [{"name": "method", "type": "VARCHAR"}, {"name": "n", "type": "BIGINT"}],
            "rows": [["INVITE", 7], [null, 1234], ["漢\u{1b}[2J", null]],
            "truncated": true,
            "elapsed_ms": 1.26,
        }))
        .unwrap();
        assert_eq!(
            table(&answer),
            [
                "method       n",
                "-----------  ----",
                "INVITE          7",
                "             1234",
                "漢\\u{1b}[2J",
                "",
            ]
            .join("\n")
        );
        assert_eq!(
            summary(&answer),
            "(3 rows, 1.3 ms; there are more, --limit raises the limit)"
        );
    }

    #[test]
    fn lines_of_csv_end_as_in_a_terminal_and_quoted_text_stays() {
        let (text, records) = csv_of_a_terminal(b"a,b\r\n1,\"x\r\n\"\"y\"\r\n,\r\n");
        assert_eq!(text, b"a,b\n1,\"x\r\n\"\"y\"\n,\n");
        assert_eq!(records, 3);
    }

    #[test]
    fn a_cell_is_cut_where_it_is_too_wide() {
        assert_eq!(cell(&"x".repeat(100_000)).width(), CELL_COLUMNS_MAX);
        assert_eq!(cell("ab"), "ab");
    }
}
