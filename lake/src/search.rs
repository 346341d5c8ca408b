//! The typed search for SIP messages: what dashboards ask most.

use crate::{
    answer::End,
    database::literal,
    footer::TIMESTAMP_US,
    query::{Asker, QueryError, Readers},
};
use heplake_format::{PartitionDate, Table};
use serde::Deserialize;

/// Messages to find: all that is given must match. A text must be equal, but for `%`, which stands for
/// any text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Search {
    /// Not before this time, µs since 1970, UTC.
    pub from_us: Option<i64>,
    /// Not after this time, µs since 1970, UTC.
    pub to_us: Option<i64>,
    /// User who calls; of a registration, the user of its address of record, or all of it.
    pub caller: Option<String>,
    /// User who is called; of a registration, as `caller`.
    pub callee: Option<String>,
    /// Call-ID.
    pub session_id: Option<String>,
    /// Method of a request.
    pub method: Option<String>,
    /// Code of a response.
    pub response_code: Option<String>,
    /// Address that sent it.
    pub src_ip: Option<String>,
    /// Address that it was sent to.
    pub dst_ip: Option<String>,
    /// Most messages to give.
    pub limit: Option<usize>,
}

/// What a search looks through. It knows the tables of SIP only, and of those the ones that have the
/// columns that it asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coverage {
    /// The tables that it looks through.
    pub searched: Vec<String>,
    /// The other tables of the lake. Rows in them are not found.
    pub left_out: Vec<String>,
}

/// Messages when nobody says how many.
const LIMIT_DEFAULT: usize = 100;
/// Columns of the answer, which a table may lack.
const COLUMNS: [&str; 17] = [
    "timestamp",
    "session_id",
    "caller",
    "callee",
    "aor",
    "method",
    "response_code",
    "cseq_method",
    "src_ip",
    "src_port",
    "dst_ip",
    "dst_port",
    "protocol",
    "node_id",
    "cid",
    "uuid",
    "data_extra",
];

impl Search {
    /// Most messages, beyond which a search is no help: ask by SQL.
    pub const LIMIT_MAX: usize = 1_000_000;

    /// Finds the newest.
    pub(crate) fn run(&self, readers: &Readers, asker: Asker<'_>) -> Result<End, QueryError> {
        let (sql, parameters) = self.sql();
        readers.answer(&sql, &parameters, Some(self.limit()), asker)
    }

    /// Which tables are looked through, and which of the lake's are not.
    pub(crate) fn coverage(&self, readers: &Readers) -> Result<Coverage, QueryError> {
        #[derive(Deserialize)]
        struct Name {
            table_name: String,
        }
        let searched: Vec<String> = Table::of_sip()
            .iter()
            .filter(|table| self.conditions(table, &mut Vec::new()).is_some())
            .map(|table| table.name.to_string())
            .collect();
        let names: Vec<Name> = readers.rows(&format!(
            "SELECT table_name FROM duckdb_tables()
             WHERE database_name = {} AND schema_name = 'main' ORDER BY table_name",
            literal(readers.lake_name())
        ))?;
        let names = names.into_iter().map(|name| name.table_name);
        let left_out = names.filter(|name| !searched.contains(name)).collect();
        Ok(Coverage { searched, left_out })
    }

    pub(crate) fn limit(&self) -> usize {
        self.limit.unwrap_or(LIMIT_DEFAULT).min(Self::LIMIT_MAX)
    }

    /// One SELECT over the tables that can hold a match.
    fn sql(&self) -> (String, Vec<String>) {
        let mut parameters = Vec::new();
        let mut selects = Vec::new();
        for table in Table::of_sip() {
            let start = parameters.len();
            match self.conditions(&table, &mut parameters) {
                Some(conditions) => selects.push(select(&table, &conditions)),
                None => parameters.truncate(start),
            }
        }
        // One more than is wanted tells whether there are more.
        let limit = self.limit() as u64 + 1;
        let sql = format!(
            "SELECT * FROM ({}) ORDER BY \"timestamp\" DESC, uuid DESC LIMIT {limit}",
            selects.join(" UNION ALL ")
        );
        (sql, parameters)
    }

    /// What must hold of a row of a table, with its values in order. None if the table
    /// lacks a column that is asked for.
    fn conditions(&self, table: &Table, parameters: &mut Vec<String>) -> Option<Vec<String>> {
        let has = |name: &str| {
            table
                .columns
                .iter()
                .any(|column| column.name.as_str() == name)
        };
        let mut conditions = times(self.from_us, self.to_us);
        for (name, wanted) in [
            ("caller", &self.caller),
            ("callee", &self.callee),
            ("session_id", &self.session_id),
            ("method", &self.method),
            ("response_code", &self.response_code),
            ("src_ip", &self.src_ip),
            ("dst_ip", &self.dst_ip),
        ] {
            let Some(wanted) = wanted else { continue };
            let (matches, value) = matching(wanted);
            if has(name) {
                conditions.push(matches(&format!("\"{name}\"")));
                parameters.push(value);
            } else if has("aor") && matches!(name, "caller" | "callee") {
                let (whole, user) = (matches("aor"), matches("split_part(aor, '@', 1)"));
                conditions.push(format!("({whole} OR {user})"));
                parameters.extend([value.clone(), value]);
            } else {
                return None;
            }
        }
        Some(conditions)
    }
}

/// How an expression is compared with a text that was asked for, and the value of the parameter.
///
/// A pattern is not given to LIKE, which tries every place again at each `%`: a message with a long
/// user and a pattern with a dozen of them would take hours. These take time with the text's length.
fn matching(wanted: &str) -> (impl Fn(&str) -> String, String) {
    let inner = wanted.trim_start_matches('%').trim_end_matches('%');
    let (open_start, open_end) = (wanted.starts_with('%'), wanted.ends_with('%'));
    let (call, value) = match (open_start, open_end) {
        _ if inner.contains('%') => ("regexp_full_match", expression(wanted)),
        (false, false) => ("", wanted.to_owned()),
        (false, true) => ("starts_with", inner.to_owned()),
        (true, false) => ("ends_with", inner.to_owned()),
        (true, true) => ("contains", inner.to_owned()),
    };
    let compared = move |expression: &str| match call {
        "" => format!("{expression} = ?"),
        call => format!("{call}({expression}, ?)"),
    };
    (compared, value)
}

/// The regular expression of a text in which `%` stands for any text.
fn expression(pattern: &str) -> String {
    let mut expression = String::from("(?s)");
    for c in pattern.chars() {
        match c {
            '%' => expression.push_str(".*"),
            c if c.is_ascii_punctuation() => expression.extend(['\\', c]),
            c => expression.push(c),
        }
    }
    expression
}

/// Bounds of time. They are numbers of our own, hence written out: DuckDB plans a prepared
/// statement before it knows its values, and it is in planning that files are pruned.
fn times(from_us: Option<i64>, to_us: Option<i64>) -> Vec<String> {
    let bound = |operator: &str, us: i64| {
        let us = us.clamp(*TIMESTAMP_US.start(), *TIMESTAMP_US.end());
        let date = PartitionDate::of_micros(us);
        format!("date {operator} DATE '{date}' AND \"timestamp\" {operator} make_timestamp({us})")
    };
    let from = from_us.map(|us| bound(">=", us));
    from.into_iter()
        .chain(to_us.map(|us| bound("<=", us)))
        .collect()
}

fn select(table: &Table, conditions: &[String]) -> String {
    let columns = COLUMNS.map(|name| {
        if table
            .columns
            .iter()
            .any(|column| column.name.as_str() == name)
        {
            format!("\"{name}\"")
        } else {
            format!("NULL::VARCHAR AS \"{name}\"")
        }
    });
    let conditions = match conditions {
        [] => "true".into(),
        conditions => conditions.join(" AND "),
    };
    format!(
        "SELECT '{}' AS \"table\", {} FROM \"{}\" WHERE {conditions}",
        table.name,
        columns.join(", "),
        table.name,
    )
}
