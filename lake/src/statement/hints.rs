//! Forms that Homer's description of the storage layout shows and DuckDB does not know: what to write
//! instead.

use serde_json::Value;

/// What to write instead of a form of time travel that DuckDB's grammar does not know.
pub(super) fn hint(sql: &str) -> Option<String> {
    let words = words(sql);
    words.windows(3).find_map(|window| {
        let [at, what, value] = window else {
            return None;
        };
        if !at.eq_ignore_ascii_case("AT") {
            return None;
        }
        if ["SNAPSHOT", "VERSION"]
            .iter()
            .any(|word| what.eq_ignore_ascii_case(word))
        {
            let version = if value.parse::<u64>().is_ok() {
                value
            } else {
                "5"
            };
            return Some(format!(
                "a table at a snapshot is written: FROM the_table AT (VERSION => {version})"
            ));
        }
        if !what.eq_ignore_ascii_case("TIMESTAMP") {
            return None;
        }
        let time = if is_text(value) {
            value
        } else {
            "'2025-01-27 10:00:00'"
        };
        Some(format!(
            "a table at a time is written: FROM the_table AT (TIMESTAMP => TIMESTAMP {time})"
        ))
    })
}

/// What to write instead where a function of the lake is given the name of a table.
pub(super) fn of_a_table(function: &str, arguments: Option<&Value>) -> Option<String> {
    let function = function.to_ascii_lowercase();
    if !function.starts_with("ducklake_") {
        return None;
    }
    let first = arguments?.as_array()?.first()?;
    let name = first.pointer("/value/value")?.as_str()?;
    let (lake, table) = name.split_once('.')?;
    let table = table
        .rsplit('.')
        .next()
        .unwrap_or(table)
        .replace('\'', "''");
    let lake = lake.replace('\'', "''");
    Some(match function.as_str() {
        "ducklake_table_changes" | "ducklake_table_deletions" | "ducklake_table_insertions" => {
            format!(
                "it takes lake, schema and table apart: {function}('{lake}', 'main', '{table}', 1, 2)"
            )
        }
        _ => format!(
            "it takes the name of the lake, whose tables have their snapshots together: {function}('{lake}'); ducklake_table_changes('{lake}', 'main', '{table}', 1, 2) tells what changed in one table"
        ),
    })
}

fn is_text(word: &str) -> bool {
    word.len() >= 2 && word.starts_with('\'') && word.ends_with('\'')
}

/// The words of a statement, with texts between quotes as one word each. It need not be exact: only
/// words that stand side by side are looked for, in a statement that DuckDB could not read.
fn words(sql: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut rest = sql.trim_start();
    while let Some(first) = rest.chars().next() {
        let end = match first {
            '\'' | '"' => rest[1..].find(first).map_or(rest.len(), |end| end + 2),
            first if is_of_a_word(first) => rest.find(|c| !is_of_a_word(c)).unwrap_or(rest.len()),
            first => first.len_utf8(),
        };
        let (word, after) = rest.split_at(end);
        words.push(word);
        rest = after.trim_start();
    }
    words
}

fn is_of_a_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}
