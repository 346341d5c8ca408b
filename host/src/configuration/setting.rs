//! One setting: its key, its default, the reason of the default, and how a value is read.
//!
//! A value comes as JSON ([`Value`]), whatever the document was written in. Text of an
//! environment variable, and the default, which is text too, are read by the same reader
//! ([`AnySetting::interpret`]).

use crate::{permissions::DataPermissions, signature::TrustedKey};
use heplake_format::EdgeName;
use serde_json::Value;
use std::{
    any::TypeId,
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::PathBuf,
    time::Duration,
};

/// What a reader says of a value that it refuses: what it expects instead.
pub(super) type Expected = String;

/// A setting whose value means a `T`.
pub struct Setting<T> {
    /// Its path in the document, such as `ingest.udp.port`.
    pub key: &'static str,
    /// Other names that are read as well, such as Homer's.
    pub(super) aliases: &'static [&'static str],
    /// Its default, as text; `{…}` stands for what depends on the machine or on another setting.
    pub default: &'static str,
    /// What it does, and why the default is what it is.
    pub reason: &'static str,
    pub(super) read: fn(&Value) -> Result<T, Expected>,
}

/// A setting of whatever type: what the list of all settings holds.
pub trait AnySetting: Sync {
    /// [`Setting::key`].
    fn key(&self) -> &'static str;
    /// Other names that are read as well.
    fn aliases(&self) -> &'static [&'static str];
    /// [`Setting::default`].
    fn default(&self) -> &'static str;
    /// [`Setting::reason`].
    fn reason(&self) -> &'static str;
    /// Whether its value is a path.
    fn is_path(&self) -> bool;
    /// Whether the value can be read.
    ///
    /// # Errors
    /// Says what is expected instead.
    fn check(&self, value: &Value) -> Result<(), String>;

    /// The value that a text means: a number, a flag or a table where the setting is one,
    /// else the text itself.
    fn interpret(&self, text: &str) -> Value {
        serde_json::from_str(text)
            .ok()
            .filter(|value| self.check(value).is_ok())
            .unwrap_or_else(|| Value::String(text.into()))
    }

    /// The environment variable that overrides it.
    fn variable(&self) -> String {
        variable(self.key())
    }
}

/// What every variable that Heplake reads starts with.
pub(super) const VARIABLE_PREFIX: &str = "HEPLAKE_";

/// The environment variable of a key: `ingest.udp.port` is `HEPLAKE_INGEST_UDP_PORT`.
pub(super) fn variable(key: &str) -> String {
    format!(
        "{VARIABLE_PREFIX}{}",
        key.replace('.', "_").to_ascii_uppercase()
    )
}

impl<T: 'static> AnySetting for Setting<T> {
    fn key(&self) -> &'static str {
        self.key
    }

    fn aliases(&self) -> &'static [&'static str] {
        self.aliases
    }

    fn default(&self) -> &'static str {
        self.default
    }

    fn reason(&self) -> &'static str {
        self.reason
    }

    fn is_path(&self) -> bool {
        let of = TypeId::of::<T>();
        of == TypeId::of::<PathBuf>() || of == TypeId::of::<Option<PathBuf>>()
    }

    fn check(&self, value: &Value) -> Result<(), String> {
        (self.read)(value).map(drop)
    }
}

pub(super) fn flag(value: &Value) -> Result<bool, Expected> {
    value.as_bool().ok_or_else(|| "true or false".into())
}

/// A path of this machine, as it is: what a shell would make of it is refused, since it would be another.
pub(super) fn path(value: &Value) -> Result<PathBuf, Expected> {
    let text = value.as_str().unwrap_or_default();
    let expected = if text.is_empty() || text.contains(char::is_control) {
        "a path"
    } else if text.trim() != text {
        "a path without white space before and behind it"
    } else if text.starts_with('~') || text.contains('$') {
        "a path as it is: `~` and variables are not replaced here"
    } else if text.contains("://") {
        "a path of this machine, no URL: object stores cannot be used yet"
    } else {
        return Ok(text.into());
    };
    Err(expected.into())
}

/// A path, or nothing where the text is empty.
pub(super) fn path_or_none(value: &Value) -> Result<Option<PathBuf>, Expected> {
    match value.as_str() {
        Some("") => Ok(None),
        _ => path(value).map(Some),
    }
}

/// Rights as `chmod` has them. Others than the owner never write: the lake would not be whole.
pub(super) fn data_permissions(value: &Value) -> Result<DataPermissions, Expected> {
    let written = value.as_str();
    let found = DataPermissions::ALL
        .iter()
        .find(|(mode, _)| written.is_some_and(|text| text == *mode || text == &mode[1..]));
    found.map(|(_, permissions)| *permissions).ok_or_else(|| {
        "\"0600\" (the owner alone), \"0640\" (its group reads too) or \"0644\" (all users of the host read too)"
            .into()
    })
}

pub(super) fn edge_name(value: &Value) -> Result<EdgeName, Expected> {
    value
        .as_str()
        .and_then(|name| name.parse().ok())
        .ok_or_else(|| {
            "1 to 64 letters, digits, `_` or `-`, starting with a letter or digit".into()
        })
}

/// A name that needs no quoting in SQL.
pub(super) fn sql_name(value: &Value) -> Result<String, Expected> {
    let is_name = |name: &&str| {
        let mut characters = name.chars();
        name.len() <= 63
            && characters
                .next()
                .is_some_and(|first| first.is_ascii_lowercase())
            && characters.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    };
    let name = value.as_str().filter(is_name);
    let name =
        name.ok_or_else(|| "1 to 63 of a-z, 0-9 and _, starting with a letter".to_string())?;
    if RESERVED_IN_SQL.contains(&name) {
        return Err("a name that means nothing else in SQL, such as homer_lake".into());
    }
    Ok(name.into())
}

/// Names that a lake cannot have: keywords of DuckDB 1.5 that would have to be quoted, and names of its own
/// databases. A test of the lake holds them against DuckDB's list.
pub const RESERVED_IN_SQL: &[&str] = &[
    "all",
    "analyse",
    "analyze",
    "and",
    "anti",
    "any",
    "array",
    "as",
    "asc",
    "asof",
    "asymmetric",
    "at",
    "authorization",
    "binary",
    "both",
    "by",
    "case",
    "cast",
    "check",
    "collate",
    "collation",
    "column",
    "columns",
    "concurrently",
    "constraint",
    "create",
    "cross",
    "default",
    "deferrable",
    "desc",
    "describe",
    "distinct",
    "do",
    "else",
    "end",
    "except",
    "false",
    "fetch",
    "for",
    "foreign",
    "freeze",
    "from",
    "full",
    "generated",
    "glob",
    "grant",
    "group",
    "having",
    "ilike",
    "in",
    "initially",
    "inner",
    "intersect",
    "into",
    "is",
    "isnull",
    "join",
    "lambda",
    "lateral",
    "leading",
    "left",
    "like",
    "limit",
    "main",
    "map",
    "memory",
    "natural",
    "not",
    "notnull",
    "null",
    "offset",
    "on",
    "only",
    "or",
    "order",
    "outer",
    "overlaps",
    "pivot",
    "pivot_longer",
    "pivot_wider",
    "placing",
    "positional",
    "primary",
    "qualify",
    "references",
    "returning",
    "right",
    "select",
    "semi",
    "show",
    "similar",
    "some",
    "struct",
    "summarize",
    "symmetric",
    "system",
    "table",
    "tablesample",
    "temp",
    "then",
    "to",
    "trailing",
    "true",
    "try_cast",
    "union",
    "unique",
    "unpack",
    "unpivot",
    "using",
    "variadic",
    "verbose",
    "when",
    "where",
    "window",
    "with",
];

/// An address to listen on. A name would be resolved once and then be wrong for ever, so
/// that only `localhost`, which never changes, is read as one.
pub(super) fn host(value: &Value) -> Result<IpAddr, Expected> {
    match value.as_str() {
        Some("localhost") => Ok(Ipv4Addr::LOCALHOST.into()),
        other => other
            .and_then(|text| match text.strip_prefix('[') {
                Some(rest) => rest
                    .strip_suffix(']')?
                    .parse::<Ipv6Addr>()
                    .ok()
                    .map(IpAddr::V6),
                None => text.parse().ok(),
            })
            .filter(|address| !address.is_multicast() && *address != Ipv4Addr::BROADCAST)
            .ok_or_else(|| {
                "an IP address of this machine, such as 127.0.0.1, 0.0.0.0 (all) or ::".into()
            }),
    }
}

pub(super) fn port(value: &Value) -> Result<u16, Expected> {
    value
        .as_u64()
        .and_then(|port| port.try_into().ok())
        .ok_or_else(|| "a port from 1 to 65535, or 0 for any that is free".into())
}

pub(super) fn count<const MIN: u64, const MAX: u64>(value: &Value) -> Result<usize, Expected> {
    value
        .as_u64()
        .filter(|count| (MIN..=MAX).contains(count))
        .and_then(|count| count.try_into().ok())
        .ok_or_else(|| format!("a whole number from {MIN} to {MAX}"))
}

/// A part of a whole, from 0 to 1.
pub(super) fn share(value: &Value) -> Result<f64, Expected> {
    value
        .as_f64()
        .filter(|share| (0.0..=1.0).contains(share))
        .ok_or_else(|| "a number from 0 (none) to 1 (all)".into())
}

/// How many times as much.
pub(super) fn factor(value: &Value) -> Result<f64, Expected> {
    value
        .as_f64()
        .filter(|factor| (1.0..=1000.0).contains(factor))
        .ok_or_else(|| "a number from 1 (as much) to 1000".into())
}

/// Public keys, none of which is shown where it cannot be read: it may be a secret.
pub(super) fn trusted_keys(value: &Value) -> Result<Vec<TrustedKey>, Expected> {
    let key = |value: &Value| value.as_str().and_then(|text| text.parse().ok());
    let keys = value.as_array();
    keys.and_then(|keys| keys.iter().map(key).collect())
        .ok_or_else(|| {
            "a list of public keys, each the base64 of 32 octets that `heplake component keygen` prints"
                .into()
        })
}

/// A duration from `MIN_MS` to `MAX_S`, as text with a unit or as a number of seconds.
pub(super) fn duration<const MIN_MS: u64, const MAX_S: u64>(
    value: &Value,
) -> Result<Duration, Expected> {
    let (min, max) = (Duration::from_millis(MIN_MS), Duration::from_secs(MAX_S));
    let duration = match value {
        Value::Number(seconds) => seconds
            .as_f64()
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
        Value::String(text) => humantime::parse_duration(text).ok(),
        _ => None,
    };
    duration
        .filter(|duration| (min..=max).contains(duration))
        .ok_or_else(|| {
            format!(
                "a duration from {} to {}, such as \"15s\", \"500ms\", \"2m\" or a number of seconds",
                humantime::format_duration(min),
                humantime::format_duration(max)
            )
        })
}

/// A number of bytes from `MIN` to `MAX`, as text with a unit or as a number.
pub(super) fn byte_count<const MIN: u64, const MAX: u64>(value: &Value) -> Result<u64, Expected> {
    let bytes = match value {
        Value::Number(bytes) => bytes.as_u64(),
        Value::String(text) => parse_byte_count(text),
        _ => None,
    };
    bytes
        .filter(|bytes| (MIN..=MAX).contains(bytes))
        .ok_or_else(|| {
            format!("a number of bytes from {MIN} to {MAX}, such as \"64MiB\", \"2GB\" or 67108864")
        })
}

fn parse_byte_count(text: &str) -> Option<u64> {
    const UNITS: [(&str, u64); 10] = [
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("TiB", 1 << 40),
        ("kB", 1_000),
        ("KB", 1_000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("TB", 1_000_000_000_000),
        ("B", 1),
    ];
    let text = text.trim();
    let (number, factor) = UNITS
        .iter()
        .find_map(|&(unit, factor)| text.strip_suffix(unit).map(|number| (number, factor)))
        .unwrap_or((text, 1));
    number.trim().parse::<u64>().ok()?.checked_mul(factor)
}

/// How the pages of a data file are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Snappy: quick, and what the storage layout says.
    Snappy,
    /// Zstandard: about a third smaller, at more than twice the processor time.
    Zstd,
}

pub(super) fn compression(value: &Value) -> Result<Compression, Expected> {
    match value.as_str() {
        Some("snappy") => Ok(Compression::Snappy),
        Some("zstd") => Ok(Compression::Zstd),
        _ => Err("\"snappy\" or \"zstd\"".into()),
    }
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line, for machines.
    Json,
}

pub(super) fn log_format(value: &Value) -> Result<LogFormat, Expected> {
    match value.as_str() {
        Some("text") => Ok(LogFormat::Text),
        Some("json") => Ok(LogFormat::Json),
        _ => Err("\"text\" or \"json\"".into()),
    }
}

/// Sections that are handed on as they are: a table of tables.
pub(super) fn sections(value: &Value) -> Result<BTreeMap<String, Value>, Expected> {
    let sections = value.as_object().filter(|sections| {
        sections
            .values()
            .all(|section| section.is_object() && !holds_null(section))
    });
    sections
        .map(|sections| {
            let owned = |(name, section): (&String, &Value)| (name.clone(), section.clone());
            sections.iter().map(owned).collect()
        })
        .ok_or_else(|| "a table for each component, without nulls".into())
}

/// TOML has no null, so that what holds one could not be printed again.
fn holds_null(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.iter().any(holds_null),
        Value::Object(fields) => fields.values().any(holds_null),
        _ => false,
    }
}
