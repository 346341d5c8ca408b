//! Which SQL is let through: one statement that only reads, and only the lake.
//!
//! ```text
//!  text ─▶ Statement ─▶ DuckDB's parser ─▶ tree ─▶ judge ─▶ Judged, which alone is run
//! ```
//!
//! DuckDB's own parser reads the statement (`json_serialize_sql` gives the tree of a SELECT and
//! refuses all else), so there is no second grammar that could disagree with the first. Everything
//! in the tree is held to lists of what is allowed: kinds of nodes, classes of expressions, tables,
//! types, and functions (`statement/functions.txt`). What a judgement missed would meet an instance
//! that has the catalog read-only and no file but the data files in reach (see [`crate::database`]).

mod bounds;
mod hints;
mod names;
#[cfg(test)]
mod tests;

use hints::hint;
use names::{Place, Verdict, verdict};
use serde::Deserialize;
use serde_json::{Map, Value};

/// Has DuckDB read a statement.
pub(crate) const PARSE: &str = "SELECT json_serialize_sql(?::VARCHAR)::VARCHAR";

/// Longest statement that is read, in bytes: more than anybody writes, and as much as DuckDB reads
/// in a moment whatever is in it.
pub(crate) const STATEMENT_BYTES_MAX: usize = 64 << 10;

/// Comments that may begin in a statement. DuckDB's parser takes time with the square of them: with
/// 16 000 it takes 20 seconds, which nothing interrupts.
const COMMENTS_MAX: usize = 256;

/// Tables that a statement may read once each WITH stands where it is named. DuckDB plans every one of
/// them before it looks at the deadline; sixteen WITH queries that each read the one before twice
/// take it 23 seconds.
const REFERENCES_MAX: u64 = 1000;

/// Classes of expressions. Each is made of expressions, tables and types, which are judged for
/// themselves. PARAMETER is not among them: nobody gives values.
const CLASSES: [&str; 16] = [
    "BETWEEN",
    "CASE",
    "CAST",
    "COLLATE",
    "COLUMN_REF",
    "COMPARISON",
    "CONJUNCTION",
    "CONSTANT",
    "DEFAULT",
    "FUNCTION",
    "LAMBDA",
    "OPERATOR",
    "POSITIONAL_REFERENCE",
    "STAR",
    "SUBQUERY",
    "WINDOW",
];
/// Kinds of everything else: queries, what stands in FROM, modifiers, and types.
const KINDS: [&str; 24] = [
    "SELECT_NODE",
    "SET_OPERATION_NODE",
    "RECURSIVE_CTE_NODE",
    "CTE_NODE",
    "BASE_TABLE",
    "EMPTY",
    "EXPRESSION_LIST",
    "JOIN",
    "PIVOT",
    "SHOW_REF",
    "SUBQUERY",
    "TABLE_FUNCTION",
    "DISTINCT_MODIFIER",
    "LIMIT_MODIFIER",
    "LIMIT_PERCENT_MODIFIER",
    "ORDER_MODIFIER",
    "ASCENDING",
    "DESCENDING",
    "ORDER_DEFAULT",
    "ARRAY_TYPE_INFO",
    "DECIMAL_TYPE_INFO",
    "LIST_TYPE_INFO",
    "STRUCT_TYPE_INFO",
    "UNBOUND_TYPE_INFO",
];
/// Schemas in which tables may be named, beside the lake's.
const SCHEMAS: [&str; 4] = ["", "main", "information_schema", "pg_catalog"];
/// How names of DuckDB's own views begin.
const SYSTEM_PREFIXES: [&str; 4] = ["duckdb_", "pragma_", "pg_", "sqlite_"];
/// How names of the catalog's own tables begin.
const CATALOG_PREFIX: &str = "ducklake_";
/// A column that every table of a lake has beside its own: the path of the row's data file.
const FILE_COLUMN: &str = "filename";

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
    /// It has more comments than are read.
    #[error("the statement has `/*` {0} times, more than the {COMMENTS_MAX} that are read")]
    Comments(usize),
    /// It cannot be parsed.
    #[error("the statement cannot be read: {message}{}", at(*position))]
    Syntax {
        /// What the parser says, and what to write instead where that is known.
        message: String,
        /// Where, in bytes from the start.
        position: Option<usize>,
    },
    /// It is no query.
    #[error(
        "only queries are answered: SELECT, FROM, WITH, VALUES, DESCRIBE, SUMMARIZE, SHOW, EXPLAIN (a PIVOT needs its values listed with IN, in a subquery)"
    )]
    NotAQuery,
    /// It runs a query and tells which files were read.
    #[error(
        "EXPLAIN ANALYZE is not available, because it names the data files of the service: EXPLAIN shows the plan, and every answer says how long it took"
    )]
    Analyze,
    /// There are more, or none.
    #[error("one statement at a time, not {0}")]
    Count(usize),
    /// It has a kind of expression that is not in the list.
    #[error("`{0}` is not available in a statement")]
    Kind(String),
    /// It has a parameter, for which nobody gives a value.
    #[error("a statement has no parameters: write the value where `?` or `$1` stands")]
    Parameter,
    /// It names a table that is not of the lake.
    #[error("{}", no_table(.0))]
    Table(String),
    /// It calls a function in FROM that may not be called.
    #[error("the function `{name}` is not available in FROM: {reason}")]
    TableFunction {
        /// The function.
        name: String,
        /// Why not.
        reason: String,
    },
    /// It calls a function that may not be called.
    #[error("the function `{name}` is not available: {reason}")]
    Function {
        /// The function.
        name: String,
        /// Why not.
        reason: &'static str,
    },
    /// It calls a function that is in no list.
    #[error(
        "there is no function `{0}` that a statement may call; duckdb_functions() lists DuckDB's functions"
    )]
    UnknownFunction(String),
    /// It calls a function with an argument that may cost too much.
    #[error("the function `{name}` is bounded: {demand}")]
    Argument {
        /// The function.
        name: String,
        /// What the argument must be.
        demand: String,
    },
    /// It names a type that may not be named.
    #[error("the type `{name}` is not available: {reason}")]
    Type {
        /// The type.
        name: String,
        /// Why not.
        reason: &'static str,
    },
    /// It names the column that has paths of the server.
    #[error(
        "the column `filename` is not available, because DuckDB means the path of a data file by it; a column of a table that is called so is found with SELECT * or COLUMNS('filename')"
    )]
    FileColumn,
    /// Its WITH queries multiply.
    #[error(
        "the statement reads more than {REFERENCES_MAX} tables once each WITH stands where it is named: DuckDB would plan it for minutes"
    )]
    References,
    /// It has a lambda in a lambda.
    #[error(
        "a lambda in a lambda is not available, because it may take very long in one step: unnest the inner list"
    )]
    NestedLambda,
}

fn at(position: Option<usize>) -> String {
    position.map_or_else(String::new, |position| format!(" (at byte {position})"))
}

fn no_table(name: &str) -> String {
    let more = match name.to_ascii_lowercase().starts_with(CATALOG_PREFIX) {
        true => {
            "; GET /api/v1/tables says what tables, columns and files there are, and homer_lake.snapshots() lists snapshots"
        }
        false => "",
    };
    format!(
        "`{name}` is no table of the lake: files, other databases and the catalog's own tables are not in reach{more}"
    )
}

/// A statement of a stranger that nobody has judged yet.
pub(crate) struct Statement<'a> {
    query: &'a str,
    explained: bool,
    /// Bytes before the query.
    offset: usize,
}

/// A statement that may be run.
pub(crate) struct Judged {
    sql: String,
}

impl Judged {
    /// Its text.
    pub(crate) fn sql(&self) -> &str {
        &self.sql
    }
}

impl<'a> Statement<'a> {
    /// Takes EXPLAIN off, of which the parser makes no tree.
    pub(crate) fn of(sql: &'a str) -> Result<Self, StatementRefusal> {
        if sql.len() > STATEMENT_BYTES_MAX {
            return Err(StatementRefusal::TooLong(sql.len()));
        }
        let comments = sql.matches("/*").count();
        if comments > COMMENTS_MAX {
            return Err(StatementRefusal::Comments(comments));
        }
        let start = sql.trim_start();
        let explained = word(start, "explain");
        let query = explained.unwrap_or(start);
        if explained.is_some() && word(query, "analyze").is_some() {
            return Err(StatementRefusal::Analyze);
        }
        Ok(Self {
            query,
            explained: explained.is_some(),
            offset: sql.len() - query.len(),
        })
    }

    /// The query itself, for the parser.
    pub(crate) fn query(&self) -> &'a str {
        self.query
    }

    /// Judges the tree that DuckDB made of the query.
    pub(crate) fn judge(self, tree: &str, lake_name: &str) -> Result<Judged, StatementRefusal> {
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
            let hint = hint(self.query).map(|hint| format!("; {hint}"));
            return Err(StatementRefusal::Syntax {
                message: parsed.error_message + hint.as_deref().unwrap_or_default(),
                position: position.map(|position| position + self.offset),
            });
        }
        let [statement] = parsed.statements.as_slice() else {
            return Err(StatementRefusal::Count(parsed.statements.len()));
        };
        let judge = Judge {
            lake_name,
            in_lambda: false,
        };
        judge.node(statement)?;
        if references(statement, &mut Vec::new()) > REFERENCES_MAX {
            return Err(StatementRefusal::References);
        }
        let explain = if self.explained { "EXPLAIN " } else { "" };
        Ok(Judged {
            sql: format!("{explain}{}", self.query),
        })
    }
}

/// How many tables a statement reads once each `WITH` stands where it is named, which is how
/// DuckDB plans it. The depth is bounded by the reading of the JSON.
fn references<'a>(node: &'a Value, scope: &mut Vec<(&'a str, u64)>) -> u64 {
    match node {
        Value::Array(nodes) => {
            let counts = nodes.iter().map(|node| references(node, scope));
            counts.fold(0, u64::saturating_add)
        }
        Value::Object(fields) => {
            let text = |key: &str| fields.get(key).and_then(Value::as_str);
            let outer = scope.len();
            let mut count: u64 = 0;
            if text("type") == Some("BASE_TABLE") {
                let name = text("table_name").unwrap_or_default();
                let named = scope.iter().rev();
                let named = named
                    .into_iter()
                    .find(|(with, _)| with.eq_ignore_ascii_case(name));
                count = named.map_or(1, |(_, count)| *count);
            }
            let withs = fields
                .get("cte_map")
                .and_then(|map| map.get("map")?.as_array());
            for with in withs.into_iter().flatten() {
                let name = with.get("key").and_then(Value::as_str).unwrap_or_default();
                let read = with
                    .get("value")
                    .map_or(0, |query| references(query, scope));
                scope.push((name, read.max(1)));
            }
            let others = fields.iter().filter(|(key, _)| *key != "cte_map");
            for (_, other) in others {
                count = count.saturating_add(references(other, scope));
            }
            scope.truncate(outer);
            count
        }
        _ => 0,
    }
}

/// What follows a keyword.
fn word<'a>(text: &'a str, keyword: &str) -> Option<&'a str> {
    let (head, rest) = text.split_at_checked(keyword.len())?;
    let follows = rest.starts_with(|c: char| c.is_whitespace() || c == '(');
    (head.eq_ignore_ascii_case(keyword) && follows).then(|| rest.trim_start())
}

#[derive(Clone, Copy)]
struct Judge<'a> {
    lake_name: &'a str,
    in_lambda: bool,
}

impl Judge<'_> {
    /// Judges a node and all below it. The depth is bounded by the reading of the JSON.
    fn node(self, node: &Value) -> Result<(), StatementRefusal> {
        match node {
            Value::Array(nodes) => nodes.iter().try_for_each(|node| self.node(node)),
            Value::Object(fields) => {
                let below = self.object(fields)?;
                let in_from = is_table_function(fields);
                fields.iter().try_for_each(|(key, value)| match value {
                    // A function in FROM is no expression, but its arguments are.
                    Value::Object(function) if in_from && key == "function" => {
                        function.values().try_for_each(|value| below.node(value))
                    }
                    value => below.node(value),
                })
            }
            _ => Ok(()),
        }
    }

    /// Judges a node by itself, and returns how those below it are judged.
    fn object(self, fields: &Map<String, Value>) -> Result<Self, StatementRefusal> {
        let text = |key: &str| fields.get(key).and_then(Value::as_str);
        judge_kind(text("class"), text("type"))?;
        judge_columns(fields)?;
        if let (Some(id), Some(info)) = (text("id"), fields.get("type_info")) {
            judge_type(id, info)?;
        }
        match (text("class"), text("type")) {
            (Some("FUNCTION" | "WINDOW"), _) => {
                judge_offset(fields)?;
                self.function(fields)?;
            }
            (Some("LAMBDA"), _) if !is_lambda(fields) => judge_path(fields)?,
            (Some("LAMBDA"), _) if is_lambda(fields) => {
                if self.in_lambda {
                    return Err(StatementRefusal::NestedLambda);
                }
                return Ok(Self {
                    in_lambda: true,
                    ..self
                });
            }
            (None, Some("BASE_TABLE" | "SHOW_REF")) => self.table(
                text("catalog_name").unwrap_or_default(),
                text("schema_name").unwrap_or_default(),
                text("table_name").unwrap_or_default(),
            )?,
            (None, Some("TABLE_FUNCTION")) => match fields.get("function") {
                Some(Value::Object(function)) => self.table_function(function)?,
                _ => return Err(StatementRefusal::NotAQuery),
            },
            _ => {}
        }
        Ok(self)
    }

    fn function(self, fields: &Map<String, Value>) -> Result<(), StatementRefusal> {
        let text = |key: &str| fields.get(key).and_then(Value::as_str).unwrap_or_default();
        let name = text("function_name");
        let rule = match verdict(Place::Expression, name) {
            Verdict::Allowed => return Ok(()),
            Verdict::Refused(reason) => {
                let name = name.into();
                return Err(StatementRefusal::Function { name, reason });
            }
            Verdict::Unknown if verdict(Place::Syntax, name) == Verdict::Allowed => return Ok(()),
            Verdict::Unknown => return Err(StatementRefusal::UnknownFunction(name.into())),
            Verdict::Bounded(rule) => rule,
        };
        let refused = |demand: &str| StatementRefusal::Argument {
            name: name.into(),
            demand: demand.into(),
        };
        // `x.repeat(3)` has its first argument where the schema stands, and `x.y.repeat(3)` where database
        // and schema stand.
        let is_schema = matches!(text("schema"), "" | "main" | "pg_catalog");
        let is_database = matches!(text("catalog"), "" | "system");
        if !is_schema || !is_database {
            return Err(refused(
                "write it as a function of all its arguments, not as a method",
            ));
        }
        if self.in_lambda && rule.grows() {
            return Err(refused("it is not available in a lambda"));
        }
        let arguments = fields.get("children").and_then(Value::as_array);
        let arguments = arguments.map(Vec::as_slice).unwrap_or_default();
        let name = name.to_lowercase();
        rule.check(&name, arguments)
            .map_err(|demand| refused(&demand))
    }

    fn table_function(self, function: &Map<String, Value>) -> Result<(), StatementRefusal> {
        let text = |key: &str| {
            function
                .get(key)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        let name = text("function_name");
        let is_lake = |name: &str| name.eq_ignore_ascii_case(self.lake_name);
        let of_lake = is_lake(text("schema")) || is_lake(text("catalog"));
        if of_lake && verdict(Place::Lake, name) == Verdict::Allowed {
            return Ok(());
        }
        let refused = |reason: &str| {
            Err(StatementRefusal::TableFunction {
                name: name.into(),
                reason: reason.into(),
            })
        };
        match verdict(Place::From, name) {
            Verdict::Allowed => match hints::of_a_table(name, function.get("children")) {
                Some(hint) => refused(&hint),
                None => Ok(()),
            },
            Verdict::Refused(reason) => refused(reason),
            Verdict::Bounded(_) | Verdict::Unknown => refused(
                "queries reach the lake's tables, not files, network, settings or other SQL",
            ),
        }
    }

    /// Judges a table by its name. Those that do not exist are DuckDB's to refuse, but for
    /// names that it would take for a file.
    fn table(self, catalog: &str, schema: &str, table: &str) -> Result<(), StatementRefusal> {
        let is_lake = |name: &str| name.eq_ignore_ascii_case(self.lake_name);
        let is = |one: &&str| one.eq_ignore_ascii_case(schema);
        let lower = table.to_ascii_lowercase();
        // `lake.table` names the lake where the schema stands.
        let in_reach = (catalog.is_empty() && is_lake(schema))
            || ((catalog.is_empty() || is_lake(catalog)) && SCHEMAS.iter().any(is));
        let of_duckdb = SYSTEM_PREFIXES
            .iter()
            .any(|prefix| lower.starts_with(prefix))
            || ["information_schema", "pg_catalog"].iter().any(is)
            || matches!(verdict(Place::View, &lower), Verdict::Refused(_));
        let may_be_read = !of_duckdb || verdict(Place::View, &lower) == Verdict::Allowed;
        let is_file = table.contains(['.', '/', '\\', ':', '*', '?', '[']);
        let of_the_catalog = lower.starts_with(CATALOG_PREFIX);
        if in_reach && may_be_read && !is_file && !of_the_catalog {
            return Ok(());
        }
        let parts = [catalog, schema, table];
        let parts = parts.into_iter().filter(|part| !part.is_empty());
        Err(StatementRefusal::Table(parts.collect::<Vec<_>>().join(".")))
    }
}

/// Whether the node is a function in FROM.
fn is_table_function(fields: &Map<String, Value>) -> bool {
    !fields.contains_key("class")
        && fields.get("type").and_then(Value::as_str) == Some("TABLE_FUNCTION")
}

/// Whether the node is a lambda: `x -> 'key'` is written alike and reads JSON.
fn is_lambda(fields: &Map<String, Value>) -> bool {
    let body = fields.get("expr").and_then(|body| body.get("class"));
    body.and_then(Value::as_str) != Some("CONSTANT")
}

fn judge_kind(class: Option<&str>, kind: Option<&str>) -> Result<(), StatementRefusal> {
    match (class, kind) {
        (Some("PARAMETER"), _) => Err(StatementRefusal::Parameter),
        (Some(class), _) if !CLASSES.contains(&class) => Err(StatementRefusal::Kind(class.into())),
        (None, Some(kind)) if !KINDS.contains(&kind) => match kind.ends_with("_NODE") {
            true => Err(StatementRefusal::NotAQuery),
            false => Err(StatementRefusal::Kind(kind.into())),
        },
        _ => Ok(()),
    }
}

/// Judges by how many rows `lag` and `lead` look away.
fn judge_offset(fields: &Map<String, Value>) -> Result<(), StatementRefusal> {
    match fields
        .get("offset_expr")
        .is_none_or(bounds::is_small_offset)
    {
        true => Ok(()),
        false => Err(StatementRefusal::Argument {
            name: "lag, lead".into(),
            demand: "write a constant offset of at most 1000000000".into(),
        }),
    }
}

/// Judges the path of `x -> 'path'`, which the parser takes for a lambda.
fn judge_path(fields: &Map<String, Value>) -> Result<(), StatementRefusal> {
    match fields.get("expr").is_none_or(bounds::is_cheap_path) {
        true => Ok(()),
        false => Err(StatementRefusal::Argument {
            name: "->".into(),
            demand: bounds::PATH_DEMAND.into(),
        }),
    }
}

/// Judges the names of columns that a node has.
fn judge_columns(fields: &Map<String, Value>) -> Result<(), StatementRefusal> {
    // A PIVOT has names of columns as plain texts in the last two.
    let names = ["column_names", "using_columns", "groups", "unpivot_names"]
        .iter()
        .filter_map(|key| fields.get(*key)?.as_array());
    let is_file_column = |name: &Value| {
        let name = name.as_str();
        name.is_some_and(|name| name.eq_ignore_ascii_case(FILE_COLUMN))
    };
    match names.flatten().any(is_file_column) {
        true => Err(StatementRefusal::FileColumn),
        false => Ok(()),
    }
}

fn judge_type(id: &str, info: &Value) -> Result<(), StatementRefusal> {
    /// The parser's word for a type that is looked up later.
    const UNBOUND: &str = "UNBOUND";
    let name = match id {
        UNBOUND => info.get("name").and_then(Value::as_str).unwrap_or(UNBOUND),
        id => id,
    };
    let reason = match verdict(Place::Type, name) {
        Verdict::Allowed => return Ok(()),
        Verdict::Refused(reason) => reason,
        Verdict::Bounded(_) | Verdict::Unknown => {
            "there is none that a query may name; duckdb_types() lists DuckDB's types"
        }
    };
    let name = name.into();
    Err(StatementRefusal::Type { name, reason })
}
