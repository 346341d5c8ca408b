//! Messages of DuckDB as a client may read them: without the server's paths, stack traces, and SQL that
//! the client did not write.
//!
//! Every error of a query goes through [`Redaction::of`] before it leaves the lake, so that no other
//! place has to think of it. The log has the message as DuckDB gave it.

use crate::{query::QueryError, settings::LakeSettings};

/// Longest message for a client, in bytes: DuckDB repeats values in its messages, whatever their size.
const MESSAGE_BYTES_MAX: usize = 4 << 10;
/// Longest message in the log, in bytes.
const LOGGED_BYTES_MAX: usize = 16 << 10;
/// Stands for what was taken out.
const ELLIPSIS: &str = "…";

/// Takes out of messages what is not a client's.
#[derive(Debug)]
pub(crate) struct Redaction {
    /// The root of the store, with a slash at its end. Paths below it are named without it: they are
    /// of the storage layout, and say which file cannot be read.
    store: String,
    /// Other paths of the server.
    paths: Vec<String>,
}

impl Redaction {
    pub(crate) fn new(settings: &LakeSettings) -> Self {
        let mut paths = vec![settings.catalog_path.display().to_string()];
        let directories = [
            settings.catalog_path.parent(),
            settings.extension_directory.as_deref(),
        ];
        let directories = directories.into_iter().flatten();
        // The root directory is part of every path.
        let directories = directories.filter(|path| path.parent().is_some());
        paths.extend(directories.map(|path| path.display().to_string()));
        paths.push(settings.data_path.display().to_string());
        Self {
            store: format!("{}/", settings.data_path.display()),
            paths,
        }
    }

    /// The error as a client may read it. `written` is all that the client wrote.
    pub(crate) fn of(&self, error: QueryError, written: &str) -> QueryError {
        let redacted = |full: String| {
            let message = self.message(&full, written);
            if message != full {
                let full = cut(full, LOGGED_BYTES_MAX);
                tracing::warn!(message = %full.escape_debug(), "a query failed, and its client was told less");
            }
            message
        };
        match error {
            QueryError::Statement(full) => QueryError::Statement(redacted(full)),
            QueryError::OutOfMemory(full) => QueryError::OutOfMemory(redacted(full)),
            QueryError::Internal(full) => QueryError::Internal(redacted(full)),
            error => error,
        }
    }

    fn message(&self, full: &str, written: &str) -> String {
        let message = full.split("Stack Trace").next().unwrap_or_default();
        let message = without_foreign_lines(message, written);
        let message = without_inner_sql(message);
        let message = message.replace(&self.store, "");
        let message = self
            .paths
            .iter()
            .fold(message, |text, path| text.replace(path.as_str(), ELLIPSIS));
        cut(
            without_paths(message.trim_end(), written),
            MESSAGE_BYTES_MAX,
        )
    }
}

fn cut(mut text: String, bytes_max: usize) -> String {
    if text.len() > bytes_max {
        text.truncate(text.floor_char_boundary(bytes_max));
        text.push_str(ELLIPSIS);
    }
    text
}

/// Without the line of SQL that DuckDB quotes, unless the client wrote it.
fn without_foreign_lines<'a>(message: &'a str, written: &str) -> &'a str {
    let Some((before, quoted)) = message.split_once("\n\nLINE ") else {
        return message;
    };
    let line = quoted.split_once(": ").map_or("", |(_, line)| line);
    let line = line.lines().next().unwrap_or_default();
    let line = line
        .trim()
        .trim_start_matches("...")
        .trim_end_matches("...");
    match written.contains(line) && !line.is_empty() {
        true => message,
        false => before,
    }
}

/// Without what the catalog's database said of a statement that DuckLake wrote.
fn without_inner_sql(message: &str) -> &str {
    const OF_DUCKLAKE: &str = " DuckLake:";
    match message.find(OF_DUCKLAKE) {
        Some(at) if message.contains("Failed to") => &message[..at + OF_DUCKLAKE.len() - 1],
        _ => message,
    }
}

/// Without absolute paths, but for those that the client wrote.
fn without_paths(message: &str, written: &str) -> String {
    let mut text = String::with_capacity(message.len());
    let mut rest = message;
    while let Some(at) = rest.find('/') {
        let (before, path) = rest.split_at(at);
        text.push_str(before);
        let end = path.find(|c: char| c.is_whitespace() || "'\"`,;()[]{}<>".contains(c));
        let (path, after) = path.split_at(end.unwrap_or(path.len()));
        let is_inside = before.ends_with(|c: char| c.is_alphanumeric() || "._-…".contains(c));
        let is_of_the_web = before.ends_with("http:") || before.ends_with("https:");
        let is_written = written.contains(path.trim_end_matches(['.', ':']));
        match path.len() < 2 || is_inside || is_of_the_web || is_written {
            true => text.push_str(path),
            false => text.push_str(ELLIPSIS),
        }
        rest = after;
    }
    text + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn redaction() -> Redaction {
        Redaction::new(&LakeSettings {
            catalog_path: "/srv/lake/homer_catalog.sqlite".into(),
            data_path: "/mnt/my store/parquet".into(),
            lake_name: "homer_lake".into(),
            extension_directory: Some("/opt/heplake/extensions".into()),
            memory_limit_bytes: 1,
            threads: 1,
            query_deadline: Duration::from_secs(1),
            query_rows_max: 1,
            query_bytes_max: 1,
            register_interval: Duration::from_secs(1),
        })
    }

    #[test]
    fn messages_have_no_path_no_stack_trace_and_no_sql_of_ours() {
        for (full, written, expected) in [
            (
                "INTERNAL Error: x\n\nStack Trace:\n\n/opt/libduckdb.so(_ZN6duckdb+0x5b) [0x7f]",
                "SELECT 1",
                "INTERNAL Error: x",
            ),
            (
                "IO Error: Cannot open file \"/mnt/my store/parquet/main/t/date=2026-11-22/a.parquet\": No such file",
                "FROM t",
                "IO Error: Cannot open file \"main/t/date=2026-11-22/a.parquet\": No such file",
            ),
            (
                "IO Error: sqlite:/srv/lake/homer_catalog.sqlite and /srv/lake/other and /etc/x.",
                "",
                "IO Error: sqlite:… and …/other and …",
            ),
            (
                "Binder Error: no b\n\nLINE 1: SELECT a/b FROM t\n        ^",
                "SELECT a/b FROM t",
                "Binder Error: no b\n\nLINE 1: SELECT a/b FROM t\n        ^",
            ),
            (
                "Binder Error: no b\n\nLINE 1: ...ELECT b FROM ours...\n        ^",
                "alice",
                "Binder Error: no b",
            ),
            (
                "IO Error: Failed to get data file list from DuckLake: near \"'a))))\": syntax error",
                "a",
                "IO Error: Failed to get data file list from DuckLake",
            ),
            (
                "Invalid Input Error: no '/etc/passwd' at https://duckdb.org/docs or file:///etc/shadow",
                "SELECT error('/etc/passwd')",
                "Invalid Input Error: no '/etc/passwd' at https://duckdb.org/docs or file:…",
            ),
            (
                "Conversion Error: 1 / 2 and a/b",
                "",
                "Conversion Error: 1 / 2 and a/b",
            ),
        ] {
            assert_eq!(redaction().message(full, written), expected);
        }
    }

    proptest::proptest! {
        #[test]
        fn no_absolute_path_is_left_that_the_client_did_not_write(
            before in "[ a-z'\"(=:,\n]{0,20}[ '\"(=:,\n]",
            path in "(/[a-z._-]{1,8}){1,5}",
            after in "[ '\");,\n]{0,3}",
        ) {
            let full = format!("IO Error: {before}{path}{after}");
            let message = redaction().message(&full, "SELECT 1");
            proptest::prop_assert!(!message.contains(&path), "{message}");
            proptest::prop_assert_eq!(redaction().message(&full, &path), full.trim_end());
        }

        #[test]
        fn any_text_is_a_message(full in ".*", written in ".*") {
            let message = redaction().message(&full, &written);
            proptest::prop_assert!(message.len() <= MESSAGE_BYTES_MAX + ELLIPSIS.len());
        }
    }

    #[test]
    fn a_message_is_cut_on_a_character() {
        let message = redaction().message(&"é".repeat(100_000), "");
        assert_eq!(message.len(), MESSAGE_BYTES_MAX + ELLIPSIS.len());
    }
}
