//! Which SQL is let through: one statement that only reads, and only the lake.
//!
//! DuckDB's own parser reads the statement (`json_serialize_sql` gives the tree of a SELECT
//! and refuses all else), so there is no second grammar that could disagree with the first.
//! The tree is then judged by name: tables and functions in FROM must be of a short list,
//! scalar functions must not be of a list. What a judgement missed would meet an instance
//! that has the catalog read-only and no file but the data files in reach (see
//! [`crate::database`]).

use serde::Deserialize;
use serde_json::Value;

/// Has DuckDB read a statement.
pub(crate) const PARSE: &str = "SELECT json_serialize_sql(?::VARCHAR)::VARCHAR";

/// Longest statement that is read, in bytes.
const STATEMENT_BYTES_MAX: usize = 1 << 20;

/// Functions that may stand in FROM: they read their arguments, the lake, or DuckDB's own
/// lists of what there is.
const TABLE_FUNCTIONS: [&str; 23] = [
    "ducklake_current_snapshot",
    "ducklake_list_files",
    "ducklake_snapshots",
    "ducklake_table_changes",
    "ducklake_table_deletions",
    "ducklake_table_info",
    "ducklake_table_insertions",
    "duckdb_columns",
    "duckdb_functions",
    "duckdb_keywords",
    "duckdb_schemas",
    "duckdb_tables",
    "duckdb_types",
    "generate_series",
    "histogram",
    "histogram_values",
    "json_each",
    "json_tree",
    "pg_timezone_names",
    "range",
    "repeat",
    "unnest",
    "summary",
];
/// Functions of the lake's schema, called as `<lake>.snapshots()`.
const LAKE_FUNCTIONS: [&str; 5] = [
    "current_snapshot",
    "snapshots",
    "table_changes",
    "table_deletions",
    "table_insertions",
];
/// Scalar functions that do more than compute: they read the machine's environment or the
/// service's settings, change something, run SQL that was not judged, or sleep.
const SCALAR_FUNCTIONS_REFUSED: [&str; 9] = [
    "current_setting",
    "currval",
    "getenv",
    "json_execute_serialized_sql",
    "nextval",
    "pg_sleep",
    "sleep_ms",
    "which_secret",
    "write_log",
];
/// Schemas in which tables may be named, beside the lake's.
const SCHEMAS: [&str; 4] = ["", "main", "information_schema", "pg_catalog"];
/// Kinds of query: all of them read.
const QUERY_NODES: [&str; 4] = [
    "SELECT_NODE",
    "SET_OPERATION_NODE",
    "RECURSIVE_CTE_NODE",
    "CTE_NODE",
];
/// How names of DuckDB's own views begin: settings, secrets, logs, paths of files.
const SYSTEM_PREFIXES: [&str; 3] = ["duckdb_", "pragma_", "pg_settings"];
/// Views of DuckDB's that may be read nevertheless.
const SYSTEM_VIEWS: [&str; 4] = [
    "duckdb_columns",
    "duckdb_schemas",
    "duckdb_tables",
    "duckdb_types",
];

/// Why a statement is not run.
#[derive(Debug, thiserror::Error)]
pub enum StatementRefusal {
    /// It is too long.
    #[error("the statement has {0} bytes, more than the {STATEMENT_BYTES_MAX} that are read")]
    TooLong(usize),
    /// It nests too deeply to be judged.
    #[error(
        "the statement nests too deeply to be judged: write long chains of `||` or `+` with concat() or a list"
    )]
    TooDeep,
    /// It cannot be parsed.
    #[error("the statement cannot be read: {message}{}", at(*position))]
    Syntax {
        /// What the parser says.
        message: String,
        /// Where, in bytes from the start.
        position: Option<usize>,
    },
    /// It is no query.
    #[error(
        "only queries are answered: SELECT, FROM, WITH, VALUES, DESCRIBE, SUMMARIZE, SHOW, EXPLAIN (a PIVOT needs its values listed with IN, in a subquery)"
    )]
    NotAQuery,
    /// There are more, or none.
    #[error("one statement at a time, not {0}")]
    Count(usize),
    /// It names a table that is not of the lake.
    #[error(
        "`{0}` is no table of the lake: files, other databases and the catalog's own tables are not in reach"
    )]
    Table(String),
    /// It calls a function that reaches beyond the lake.
    #[error(
        "the function `{0}` is not available in FROM: queries reach the lake's tables, not files, network, settings or other SQL"
    )]
    TableFunction(String),
    /// It calls a function that does more than compute.
    #[error("the function `{0}` is not available: it does more than compute")]
    ScalarFunction(String),
}

fn at(position: Option<usize>) -> String {
    position.map_or_else(String::new, |position| format!(" (at byte {position})"))
}

/// A statement that may be run, once its tree is judged.
pub(crate) struct Statement<'a> {
    /// The query itself, without EXPLAIN.
    pub(crate) query: &'a str,
    /// Bytes before the query.
    offset: usize,
}

impl<'a> Statement<'a> {
    /// Takes EXPLAIN and EXPLAIN ANALYZE off, of which the parser makes no tree.
    pub(crate) fn of(sql: &'a str) -> Result<Self, StatementRefusal> {
        if sql.len() > STATEMENT_BYTES_MAX {
            return Err(StatementRefusal::TooLong(sql.len()));
        }
        let sql_start = sql.trim_start();
        let explained = word(sql_start, "explain");
        let query = explained.map_or(sql_start, |rest| word(rest, "analyze").unwrap_or(rest));
        Ok(Self {
            query,
            offset: sql.len() - query.len(),
        })
    }

    /// Judges the tree that DuckDB made of the query.
    pub(crate) fn judge(&self, tree: &str, lake_name: &str) -> Result<(), StatementRefusal> {
        #[derive(Deserialize)]
        struct Parsed {
            error: bool,
            #[serde(default)]
            error_type: String,
            #[serde(default)]
            error_message: String,
            position: Option<String>,
            #[serde(default)]
            statements: Vec<Value>,
        }
        // Depth is all that can be wrong with it.
        let parsed: Parsed = serde_json::from_str(tree).map_err(|_| StatementRefusal::TooDeep)?;
        if parsed.error && parsed.error_type == "not implemented" {
            return Err(StatementRefusal::NotAQuery);
        }
        if parsed.error {
            let position = parsed.position.and_then(|text| text.parse::<usize>().ok());
            return Err(StatementRefusal::Syntax {
                message: parsed.error_message,
                position: position.map(|position| position + self.offset),
            });
        }
        match parsed.statements.as_slice() {
            [statement] => judge(statement, lake_name),
            statements => Err(StatementRefusal::Count(statements.len())),
        }
    }
}

/// What follows a keyword.
fn word<'a>(text: &'a str, keyword: &str) -> Option<&'a str> {
    let (head, rest) = text.split_at_checked(keyword.len())?;
    let follows = rest.starts_with(|c: char| c.is_whitespace() || c == '(');
    (head.eq_ignore_ascii_case(keyword) && follows).then(|| rest.trim_start())
}

/// Judges a node and all below it. The depth is bounded by the reading of the JSON.
fn judge(node: &Value, lake_name: &str) -> Result<(), StatementRefusal> {
    match node {
        Value::Array(nodes) => nodes.iter().try_for_each(|node| judge(node, lake_name)),
        Value::Object(fields) => {
            let text = |key: &str| fields.get(key).and_then(Value::as_str);
            match text("type") {
                Some("BASE_TABLE" | "SHOW_REF") => judge_table(
                    text("catalog_name").unwrap_or_default(),
                    text("schema_name").unwrap_or_default(),
                    text("table_name").unwrap_or_default(),
                    lake_name,
                )?,
                Some("TABLE_FUNCTION") => {
                    let function = fields.get("function");
                    let name = function.and_then(|f| f.get("function_name")?.as_str());
                    judge_table_function(name.unwrap_or_default(), function, lake_name)?;
                }
                Some(kind) if kind.ends_with("_NODE") && !QUERY_NODES.contains(&kind) => {
                    return Err(StatementRefusal::NotAQuery);
                }
                _ => {}
            }
            if let Some(name) = text("function_name") {
                let refused = SCALAR_FUNCTIONS_REFUSED.iter();
                if refused
                    .into_iter()
                    .any(|one| one.eq_ignore_ascii_case(name))
                {
                    return Err(StatementRefusal::ScalarFunction(name.into()));
                }
            }
            fields.values().try_for_each(|node| judge(node, lake_name))
        }
        _ => Ok(()),
    }
}

/// Judges a table by its name. Those that do not exist are DuckDB's to refuse, but for
/// names that it would take for a file.
fn judge_table(
    catalog: &str,
    schema: &str,
    table: &str,
    lake_name: &str,
) -> Result<(), StatementRefusal> {
    let is_lake = |name: &str| name.eq_ignore_ascii_case(lake_name);
    let lower = table.to_ascii_lowercase();
    let of_duckdb = SYSTEM_PREFIXES
        .iter()
        .any(|prefix| lower.starts_with(prefix))
        && !SYSTEM_VIEWS.contains(&lower.as_str());
    let known_schema = SCHEMAS.iter().any(|one| one.eq_ignore_ascii_case(schema));
    // `lake.table` names the lake where the schema stands.
    let in_reach = (catalog.is_empty() && is_lake(schema))
        || ((catalog.is_empty() || is_lake(catalog)) && known_schema);
    let is_file = table.contains(['.', '/', '\\', ':', '*', '?', '[']);
    if in_reach && !is_file && !of_duckdb {
        return Ok(());
    }
    let parts = [catalog, schema, table];
    let parts = parts.into_iter().filter(|part| !part.is_empty());
    Err(StatementRefusal::Table(parts.collect::<Vec<_>>().join(".")))
}

fn judge_table_function(
    name: &str,
    function: Option<&Value>,
    lake_name: &str,
) -> Result<(), StatementRefusal> {
    let part = |key: &str| {
        function
            .and_then(|f| f.get(key)?.as_str())
            .unwrap_or_default()
    };
    let (catalog, schema) = (part("catalog"), part("schema"));
    let of_lake = schema.eq_ignore_ascii_case(lake_name) || catalog.eq_ignore_ascii_case(lake_name);
    let is_in = |list: &[&str]| list.iter().any(|one| one.eq_ignore_ascii_case(name));
    if is_in(&TABLE_FUNCTIONS) || (of_lake && is_in(&LAKE_FUNCTIONS)) {
        Ok(())
    } else {
        Err(StatementRefusal::TableFunction(name.into()))
    }
}
