//! One call: every message of a dialog, in order, as a ladder needs it.

use crate::{
    answer::End,
    query::{Asker, QueryError, Readers},
};
use heplake_format::{Table, TableName};

/// Most messages of a call: the longest that a person can look through. Beyond it the
/// answer is cut, and says so.
pub(crate) const MESSAGES_MAX: usize = 10_000;
/// Columns of the answer: name, and what gives it in a table that has the columns named.
const COLUMNS: [(&str, &str, &[&str]); 18] = [
    ("timestamp", "\"timestamp\"", &["timestamp"]),
    ("src_ip", "src_ip", &["src_ip"]),
    ("src_port", "src_port", &["src_port"]),
    ("dst_ip", "dst_ip", &["dst_ip"]),
    ("dst_port", "dst_port", &["dst_port"]),
    ("method", "method", &["method"]),
    ("response_code", "response_code", &["response_code"]),
    (
        "response_reason",
        "data_extra->>'response_reason'",
        &["response_code", "data_extra"],
    ),
    (
        "cseq",
        "data_extra->>'cseq'",
        &["response_code", "data_extra"],
    ),
    ("cseq_method", "cseq_method", &["cseq_method"]),
    ("caller", "caller", &["caller"]),
    ("callee", "callee", &["callee"]),
    ("session_id", "session_id", &["session_id"]),
    ("cid", "cid", &["cid"]),
    ("node_id", "node_id", &["node_id"]),
    ("uuid", "uuid", &["uuid"]),
    ("data_extra", "data_extra", &["data_extra"]),
    ("payload", "payload", &["payload"]),
];

/// All messages of a dialog: those with its Call-ID or correlation id, over all tables of
/// SIP, and what was sent about it by other protocols.
pub(crate) fn messages(
    readers: &Readers,
    session_id: &str,
    asker: Asker<'_>,
) -> Result<End, QueryError> {
    let (mut selects, mut parameters) = (Vec::new(), Vec::new());
    for table in tables() {
        // Not one SELECT with OR: only a comparison alone can reach statistics and Bloom
        // filters of the files.
        selects.push(select(&table, "session_id = ?"));
        parameters.push(session_id.to_owned());
        if has(&table, "cid") {
            let condition = "cid = ? AND session_id IS DISTINCT FROM ?";
            selects.push(select(&table, condition));
            parameters.extend([session_id.to_owned(), session_id.to_owned()]);
        }
    }
    let selects = selects.join(" UNION ALL ");
    // A UUID of version 7 is the order of arrival.
    let sql = format!("SELECT * FROM ({selects}) ORDER BY \"timestamp\", uuid");
    readers.answer(&sql, &parameters, Some(MESSAGES_MAX), asker)
}

/// Tables of a new lake whose rows belong to a call.
fn tables() -> impl Iterator<Item = Table> {
    let is_of_calls =
        |table: &Table| table.name != TableName::rejected() && has(table, "session_id");
    Table::of_a_new_lake().into_iter().filter(is_of_calls)
}

fn has(table: &Table, name: &str) -> bool {
    table
        .columns
        .iter()
        .any(|column| column.name.as_str() == name)
}

fn select(table: &Table, condition: &str) -> String {
    let columns = COLUMNS.map(|(name, expression, needed)| {
        if needed.iter().all(|needed| has(table, needed)) {
            format!("{expression} AS \"{name}\"")
        } else {
            format!("NULL AS \"{name}\"")
        }
    });
    let (name, columns) = (&table.name, columns.join(", "));
    format!("SELECT '{name}' AS \"table\", {columns} FROM \"{name}\" WHERE {condition}")
}
