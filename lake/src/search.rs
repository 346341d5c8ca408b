//! The typed search for SIP messages: what dashboards ask most.

use crate::{
    answer::Answer,
    footer::TIMESTAMP_US,
    query::{QueryError, Readers},
};
use heplake_format::{PartitionDate, Table};

/// Messages to find: all that is given must match. A text with `%` in it is a pattern of
/// SQL's LIKE, else it must be equal.
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

/// Messages when nobody says how many.
const LIMIT_DEFAULT: usize = 100;
/// Most messages, beyond which a search is no help: ask by SQL.
const LIMIT_MAX: usize = 1_000_000;
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
    /// Finds the newest.
    pub(crate) fn run(&self, readers: &Readers) -> Result<Answer, QueryError> {
        let (sql, parameters) = self.sql();
        readers.answer(&sql, &parameters, Some(self.limit()))
    }

    fn limit(&self) -> usize {
        self.limit.unwrap_or(LIMIT_DEFAULT).min(LIMIT_MAX)
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
            let operator = if wanted.contains('%') { "LIKE" } else { "=" };
            if has(name) {
                conditions.push(format!("\"{name}\" {operator} ?"));
                parameters.push(wanted.clone());
            } else if has("aor") && matches!(name, "caller" | "callee") {
                conditions.push(format!(
                    "(aor {operator} ? OR split_part(aor, '@', 1) {operator} ?)"
                ));
                parameters.extend([wanted.clone(), wanted.clone()]);
            } else {
                return None;
            }
        }
        Some(conditions)
    }
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
