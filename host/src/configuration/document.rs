//! The document: TOML, or JSON by its name, taken apart into keys and values.

use super::{ConfigurationError, Origin, json, settings};
use serde_json::{Map, Value};
use std::{collections::BTreeMap, ops::Range, path::Path};
use toml::de::{DeTable, DeValue};

/// A key with its full path, what it is set to, and where that stands.
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) value: Value,
    pub(super) origin: Origin,
}

/// Takes a document apart. A key that is neither a setting nor a section is an entry as
/// well, for the caller to refuse.
pub(super) fn parse(path: &Path, text: &str) -> Result<Vec<Entry>, ConfigurationError> {
    let is_json = path
        .extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
    let syntax = |language, message| ConfigurationError::Syntax {
        path: path.into(),
        language,
        message,
    };
    let mut lines = BTreeMap::new();
    let root = if is_json {
        json::parse(text).map_err(|error| syntax("a JSON object", error.to_string()))?
    } else {
        let table = DeTable::parse(text).map_err(|error| syntax("TOML", format!("\n{error}")))?;
        let line_of = |span: Range<usize>| {
            let before = text.as_bytes().get(..span.start).unwrap_or_default();
            1 + before.iter().filter(|&&byte| byte == b'\n').count()
        };
        convert_table(table.get_ref(), "", &mut |key, span| {
            lines.insert(key, line_of(span));
        })
    };
    let mut entries: Vec<Entry> = Vec::new();
    flatten(root, "", &mut |key, value| {
        let line = lines.get(&key).copied();
        let path = path.into();
        entries.push(Entry {
            key,
            value,
            origin: Origin::File { path, line },
        });
    });
    entries.sort_by_key(|entry| lines.get(&entry.key).copied());
    Ok(entries)
}

/// Hands on what is no section: what a setting is set to, and what is unknown.
fn flatten(table: Map<String, Value>, section: &str, hand_on: &mut impl FnMut(String, Value)) {
    for (name, value) in table {
        let key = join(section, &name);
        match value {
            Value::Object(inner) if is_section(&key) && is_setting(&key) => {
                // Settings of its own, which have an underscore in their names, and tables of
                // others, which have none, and are handed on as they are.
                let (own, tables) = inner.into_iter().partition(|(name, _)| name.contains('_'));
                flatten(own, &key, hand_on);
                hand_on(key, Value::Object(tables));
            }
            Value::Object(inner) if is_section(&key) => flatten(inner, &key, hand_on),
            value => hand_on(key, value),
        }
    }
}

fn is_setting(key: &str) -> bool {
    settings::ALL.iter().any(|setting| setting.key() == key)
}

fn is_section(key: &str) -> bool {
    let inside = |setting: &str| {
        setting
            .strip_prefix(key)
            .is_some_and(|rest| rest.starts_with('.'))
    };
    settings::ALL.iter().any(|setting| inside(setting.key()))
}

fn join(section: &str, name: &str) -> String {
    if section.is_empty() {
        name.into()
    } else {
        format!("{section}.{name}")
    }
}

fn convert_table(
    table: &DeTable<'_>,
    section: &str,
    found: &mut impl FnMut(String, Range<usize>),
) -> Map<String, Value> {
    let mut converted = Map::new();
    for (name, value) in table {
        let key = join(section, name.get_ref());
        found(key.clone(), name.span());
        let value = convert(value.get_ref(), &key, found);
        converted.insert(name.get_ref().to_string(), value);
    }
    converted
}

/// JSON has no dates and no infinities: they become text, which no setting takes.
fn convert(value: &DeValue<'_>, key: &str, found: &mut dyn FnMut(String, Range<usize>)) -> Value {
    match value {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Integer(integer) => i64::from_str_radix(integer.as_str(), integer.radix())
            .map_or_else(|_| Value::String(integer.to_string()), Value::from),
        DeValue::Float(float) => match float.as_str().parse::<f64>() {
            Ok(number) if number.is_finite() => Value::from(number),
            _ => Value::String(float.to_string()),
        },
        DeValue::Boolean(flag) => Value::Bool(*flag),
        DeValue::Datetime(time) => Value::String(time.to_string()),
        DeValue::Array(items) => items
            .iter()
            .map(|item| convert(item.get_ref(), key, found))
            .collect(),
        DeValue::Table(table) => Value::Object(convert_table(table, key, &mut |key, span| {
            found(key, span);
        })),
    }
}
