//! Router: decides which table a reading of the parser `readings` goes to.
//!
//! ```text
//!  sensor ─▶ temperature │ other
//! ```
//!
//! It sees the fields that it names in `reads`, and nothing else of a row. Temperatures have a
//! table of their own, whose columns suit them; all other readings share one.

use heplake_sdk::{Column, Member, RouteRow, Router, RouterDescription, TableDescription};

/// Name of the parser whose rows are routed.
const ROUTES: &str = "readings";

/// HEP protocol type of the parser's payloads: the names of the tables begin with it.
const PROTO_TYPE: u32 = 200;

/// Places of the fields that the router reads.
const SENSOR: usize = 0;

/// Places of the tables in the description.
const TEMPERATURE: u32 = 0;
const OTHER: u32 = 1;

/// The router.
#[derive(Debug, Default)]
pub struct ReadingsRouter;

impl Router for ReadingsRouter {
    fn describe(&self) -> RouterDescription {
        RouterDescription {
            name: "readings-router".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            routes: ROUTES.into(),
            reads: vec!["sensor".into()],
            tables: vec![temperature(), other()],
        }
    }

    fn route(&mut self, row: &RouteRow<'_>) -> u32 {
        match row.text(SENSOR) {
            Some(b"temperature") => TEMPERATURE,
            _ => OTHER,
        }
    }
}

heplake_sdk::export_router!(ReadingsRouter);

/// Readings of temperature sensors.
fn temperature() -> TableDescription {
    table(
        "temperature",
        [column("celsius", "DOUBLE", &["payload.value"])],
    )
}

/// Readings of all other sensors.
fn other() -> TableDescription {
    table(
        "other",
        [
            column("sensor", "VARCHAR", &["payload.sensor"]),
            column("value", "DOUBLE", &["payload.value"]),
        ],
    )
}

/// A table with the columns that every reading has, and its own. The names and types of columns
/// reach storage: only ever add some.
fn table<const N: usize>(name: &str, own: [Column; N]) -> TableDescription {
    // Every table has the first three.
    let mut columns = vec![
        column("uuid", "VARCHAR", &["host.uuid"]),
        column("date", "DATE", &["host.date"]),
        column("timestamp", "TIMESTAMP", &["host.timestamp"]),
        column("session_id", "VARCHAR", &["envelope.correlation_id"]),
        column("src_ip", "VARCHAR", &["envelope.src_ip"]),
        column("dst_ip", "VARCHAR", &["envelope.dst_ip"]),
        column("station", "VARCHAR", &["payload.station"]),
    ];
    columns.extend(own);
    columns.extend([
        column("sequence", "UBIGINT", &["payload.sequence"]),
        column("payload", "VARCHAR", &["envelope.payload"]),
        Column {
            members: vec![
                member("original_timestamp", "host.original_timestamp"),
                member("payload_base64", "host.payload_base64"),
                // All that the envelope knows besides.
                member("*", "envelope.*"),
            ],
            ..column("data_extra", "JSON", &[])
        },
    ]);
    TableDescription {
        name: format!("hep_proto_{PROTO_TYPE}_{name}"),
        columns,
    }
}

/// A column, and the fields that fill it: the first that is not null.
fn column(name: &str, column_type: &str, from: &[&str]) -> Column {
    Column {
        name: name.into(),
        column_type: column_type.into(),
        from: from.iter().map(ToString::to_string).collect(),
        members: Vec::new(),
    }
}

/// A member of an object.
fn member(key: &str, from: &str) -> Member {
    Member {
        key: key.into(),
        from: vec![from.into()],
    }
}
