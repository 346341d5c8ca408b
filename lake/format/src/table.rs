//! Tables of the storage layout: names, columns and types are Homer 11's.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// Longest name of a table or column, in bytes: what every engine that reads the lake takes.
const NAME_BYTES_MAX: usize = 63;

/// Name of a table or column: 1 to 63 of `a-z`, `0-9` and `_`, starting with a letter, so
/// that it needs no quoting in SQL and no escaping in a path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct TableName(String);

/// Why a table is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    /// The name cannot be one.
    #[error(
        "`{0}` cannot name a table or column: use 1 to 63 of a-z, 0-9 and _, and start with a letter"
    )]
    Name(String),
    /// The type is none that the layout stores.
    #[error("`{0}` is no column type of the layout: use {names}", names = ColumnType::NAMES)]
    Type(String),
}

impl TableName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Where payloads of a HEP protocol type go that no router sends elsewhere.
    #[must_use]
    pub fn of_protocol(proto_type: u32) -> Self {
        Self(format!("hep_proto_{proto_type}_default"))
    }

    /// Where what no component can read goes.
    #[must_use]
    pub fn rejected() -> Self {
        Self("hep_rejected".into())
    }
}

impl FromStr for TableName {
    type Err = TableError;

    fn from_str(text: &str) -> Result<Self, TableError> {
        if is_name(text) {
            Ok(Self(text.into()))
        } else {
            Err(TableError::Name(text.into()))
        }
    }
}

fn is_name(text: &str) -> bool {
    text.len() <= NAME_BYTES_MAX
        && text
            .bytes()
            .next()
            .is_some_and(|byte| byte.is_ascii_lowercase())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<TableName> for String {
    fn from(name: TableName) -> Self {
        name.0
    }
}

impl TryFrom<String> for TableName {
    type Error = TableError;

    fn try_from(text: String) -> Result<Self, TableError> {
        text.parse()
    }
}

/// Type of a column. The text forms are DuckDB's names and are persisted in commits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "&'static str", try_from = "String")]
pub enum ColumnType {
    /// Text.
    Varchar,
    /// A day; only the partition column has it, and it stands in the path, not in the file.
    Date,
    /// Microseconds since 1970, UTC, without a zone.
    Timestamp,
    /// Unsigned 32-bit number.
    UInteger,
    /// Unsigned 64-bit number.
    UBigInt,
    /// Signed 64-bit number.
    BigInt,
    /// IEEE 754 double.
    Double,
    /// Text that is JSON.
    Json,
    /// Bytes.
    Blob,
}

impl ColumnType {
    const NAMES: &str = "VARCHAR, DATE, TIMESTAMP, UINTEGER, UBIGINT, BIGINT, DOUBLE, JSON or BLOB";

    /// DuckDB's name of the type.
    #[must_use]
    pub const fn sql(self) -> &'static str {
        match self {
            Self::Varchar => "VARCHAR",
            Self::Date => "DATE",
            Self::Timestamp => "TIMESTAMP",
            Self::UInteger => "UINTEGER",
            Self::UBigInt => "UBIGINT",
            Self::BigInt => "BIGINT",
            Self::Double => "DOUBLE",
            Self::Json => "JSON",
            Self::Blob => "BLOB",
        }
    }
}

impl FromStr for ColumnType {
    type Err = TableError;

    fn from_str(text: &str) -> Result<Self, TableError> {
        Ok(match text {
            "VARCHAR" => Self::Varchar,
            "DATE" => Self::Date,
            "TIMESTAMP" => Self::Timestamp,
            "UINTEGER" => Self::UInteger,
            "UBIGINT" => Self::UBigInt,
            "BIGINT" => Self::BigInt,
            "DOUBLE" => Self::Double,
            "JSON" => Self::Json,
            "BLOB" => Self::Blob,
            other => return Err(TableError::Type(other.into())),
        })
    }
}

impl From<ColumnType> for &'static str {
    fn from(column_type: ColumnType) -> Self {
        column_type.sql()
    }
}

impl TryFrom<String> for ColumnType {
    type Error = TableError;

    fn try_from(text: String) -> Result<Self, TableError> {
        text.parse()
    }
}

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Column {
    /// Its name; of the same form as a table's.
    pub name: TableName,
    /// Its type.
    #[serde(rename = "type")]
    pub column_type: ColumnType,
}

/// A table: partitioned by its column `date`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Table {
    /// Its name.
    pub name: TableName,
    /// Its columns, in order.
    pub columns: Vec<Column>,
}

/// Most tables that edges may make: a lake reads each at every change of the schema.
pub const TABLES_MAX: usize = 1000;
/// Most columns of a table.
pub const COLUMNS_MAX: usize = 1000;

impl Table {
    /// The tables that a new lake is created with: those of the storage layout that
    /// Heplake fills, and `hep_rejected`.
    #[must_use]
    pub fn of_a_new_lake() -> Vec<Self> {
        let mut tables = Self::of_sip();
        tables.extend([5, 34, 35, 53, 100].map(Self::of_protocol));
        tables.push(Self::rejected());
        tables
    }

    /// The tables of SIP, by the method of the transaction.
    #[must_use]
    pub fn of_sip() -> Vec<Self> {
        vec![
            Self::parse(
                "hep_proto_1_call",
                &[
                    IDENTITY,
                    "session_id VARCHAR, caller VARCHAR, callee VARCHAR",
                    ADDRESSES,
                    "method VARCHAR, response_code VARCHAR, cseq_method VARCHAR",
                    NODE,
                    CID,
                    CONTENT,
                ],
            ),
            Self::parse(
                "hep_proto_1_registration",
                &[
                    IDENTITY,
                    "session_id VARCHAR, aor VARCHAR, contact VARCHAR, expires VARCHAR, user_agent VARCHAR",
                    ADDRESSES,
                    "method VARCHAR, response_code VARCHAR",
                    NODE,
                    CONTENT,
                ],
            ),
            Self::parse(
                "hep_proto_1_default",
                &[
                    IDENTITY,
                    "session_id VARCHAR",
                    ADDRESSES,
                    "method VARCHAR, response_code VARCHAR",
                    NODE,
                    CID,
                    CONTENT,
                ],
            ),
        ]
    }

    /// The table of a HEP protocol type that no router sends elsewhere.
    #[must_use]
    pub fn of_protocol(proto_type: u32) -> Self {
        let columns: &[&str] = match proto_type {
            53 => &[IDENTITY, ADDRESSES, NODE, CONTENT],
            100 => &[
                IDENTITY,
                "session_id VARCHAR, src_ip VARCHAR, dst_ip VARCHAR, node_id VARCHAR",
                CONTENT,
            ],
            _ => &[
                IDENTITY,
                "session_id VARCHAR",
                ADDRESSES,
                NODE,
                CID,
                CONTENT,
            ],
        };
        Self::parse(TableName::of_protocol(proto_type).as_str(), columns)
    }

    /// The table of what no component can read: who sent it, why it is here, and all its
    /// bytes. `peer_ip` and `peer_port` are the sender's; the envelope's addresses are
    /// known when it was the payload that was refused, which `payload` then holds.
    #[must_use]
    pub fn rejected() -> Self {
        Self::parse(
            "hep_rejected",
            &[
                IDENTITY,
                "peer_ip VARCHAR, peer_port UINTEGER, reason VARCHAR, proto_type UINTEGER",
                "component VARCHAR, session_id VARCHAR",
                ADDRESSES,
                NODE,
                "payload BLOB, data_extra JSON",
            ],
        )
    }

    /// Adds the columns of `other` that it lacks, at its end.
    pub fn widen(&mut self, other: &Self) {
        for column in &other.columns {
            if !self.columns.iter().any(|own| own.name == column.name) {
                self.columns.push(column.clone());
            }
        }
    }

    /// Reads `name TYPE, …` lists: for the constants of this file only, all of which a test
    /// reads, hence what does not parse is left out rather than reported.
    fn parse(name: &str, columns: &[&str]) -> Self {
        let columns = columns
            .iter()
            .flat_map(|list| list.split(", "))
            .filter_map(|column| {
                let (name, column_type) = column.split_once(' ')?;
                Some(Column {
                    name: name.parse().ok()?,
                    column_type: column_type.parse().ok()?,
                })
            })
            .collect();
        Self {
            name: TableName(name.into()),
            columns,
        }
    }
}

const IDENTITY: &str = "uuid VARCHAR, date DATE, timestamp TIMESTAMP";
const ADDRESSES: &str = "src_ip VARCHAR, dst_ip VARCHAR, src_port UINTEGER, dst_port UINTEGER";
const NODE: &str = "protocol UINTEGER, node_id VARCHAR";
const CID: &str = "cid VARCHAR";
const CONTENT: &str = "payload VARCHAR, data_extra JSON";

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(name: &str) -> String {
        let tables = Table::of_a_new_lake();
        let table = tables
            .iter()
            .find(|table| table.name.as_str() == name)
            .unwrap();
        let columns = table
            .columns
            .iter()
            .map(|c| format!("{} {}", c.name, c.column_type.sql()));
        columns.collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn tables_are_those_of_the_storage_layout() {
        for (name, expected) in [
            (
                "hep_proto_1_call",
                "uuid VARCHAR, date DATE, timestamp TIMESTAMP, session_id VARCHAR, caller VARCHAR, callee VARCHAR, src_ip VARCHAR, dst_ip VARCHAR, src_port UINTEGER, dst_port UINTEGER, method VARCHAR, response_code VARCHAR, cseq_method VARCHAR, protocol UINTEGER, node_id VARCHAR, cid VARCHAR, payload VARCHAR, data_extra JSON",
            ),
            (
                "hep_proto_1_registration",
                "uuid VARCHAR, date DATE, timestamp TIMESTAMP, session_id VARCHAR, aor VARCHAR, contact VARCHAR, expires VARCHAR, user_agent VARCHAR, src_ip VARCHAR, dst_ip VARCHAR, src_port UINTEGER, dst_port UINTEGER, method VARCHAR, response_code VARCHAR, protocol UINTEGER, node_id VARCHAR, payload VARCHAR, data_extra JSON",
            ),
            (
                "hep_proto_1_default",
                "uuid VARCHAR, date DATE, timestamp TIMESTAMP, session_id VARCHAR, src_ip VARCHAR, dst_ip VARCHAR, src_port UINTEGER, dst_port UINTEGER, method VARCHAR, response_code VARCHAR, protocol UINTEGER, node_id VARCHAR, cid VARCHAR, payload VARCHAR, data_extra JSON",
            ),
            (
                "hep_proto_5_default",
                "uuid VARCHAR, date DATE, timestamp TIMESTAMP, session_id VARCHAR, src_ip VARCHAR, dst_ip VARCHAR, src_port UINTEGER, dst_port UINTEGER, protocol UINTEGER, node_id VARCHAR, cid VARCHAR, payload VARCHAR, data_extra JSON",
            ),
            (
                "hep_proto_53_default",
                "uuid VARCHAR, date DATE, timestamp TIMESTAMP, src_ip VARCHAR, dst_ip VARCHAR, src_port UINTEGER, dst_port UINTEGER, protocol UINTEGER, node_id VARCHAR, payload VARCHAR, data_extra JSON",
            ),
            (
                "hep_proto_100_default",
                "uuid VARCHAR, date DATE, timestamp TIMESTAMP, session_id VARCHAR, src_ip VARCHAR, dst_ip VARCHAR, node_id VARCHAR, payload VARCHAR, data_extra JSON",
            ),
            (
                "hep_rejected",
                "uuid VARCHAR, date DATE, timestamp TIMESTAMP, peer_ip VARCHAR, peer_port UINTEGER, reason VARCHAR, proto_type UINTEGER, component VARCHAR, session_id VARCHAR, src_ip VARCHAR, dst_ip VARCHAR, src_port UINTEGER, dst_port UINTEGER, protocol UINTEGER, node_id VARCHAR, payload BLOB, data_extra JSON",
            ),
        ] {
            assert_eq!(columns(name), expected, "{name}");
        }
    }

    #[test]
    fn refuses_names_that_need_quoting() {
        for text in ["", "1a", "A", "a b", "a\"", "a-b", "ä", &"a".repeat(64)] {
            assert!(text.parse::<TableName>().is_err(), "{text}");
        }
    }
}
