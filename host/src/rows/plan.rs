//! Which field fills which column of a table: resolved once a configuration, so that a
//! row only looks things up by number.

mod resolver;

use self::resolver::{Resolver, filled_from};
use super::{
    json::Key,
    source::{FieldPlace, HostField, Source, Stage},
};
use crate::checked::COLUMNS_MAX;
use heplake_format::{Column, ColumnType, Table, TableError, TableName};
use heplake_sdk::{Description, Field, Kind, RouterDescription};
use std::collections::BTreeMap;

/// How many columns and members of a table may have one and the same field: text is quoted
/// once by a parser, within bounds, and copied as often as a router says.
const COPIES_MAX: usize = 16;

/// Why a table cannot be filled as a component describes it.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The table or a column is misnamed or has a type that is not stored.
    #[error(transparent)]
    Table(#[from] TableError),
    /// A source that nothing provides.
    #[error("column `{column}` of `{table}` is filled from `{from}`, which nothing provides")]
    UnknownSource {
        /// The table.
        table: TableName,
        /// The column.
        column: String,
        /// The source.
        from: String,
    },
    /// A source of a kind that the column's type cannot hold.
    #[error("column `{column}` of `{table}` is {column_type} and cannot hold the {kind:?} of `{from}`", column_type = .column_type.sql())]
    Kind {
        /// The table.
        table: TableName,
        /// The column.
        column: String,
        /// Its type.
        column_type: ColumnType,
        /// The source.
        from: String,
        /// Its kind.
        kind: Kind,
    },
    /// The table is too wide, has a doubled column, or lacks one that every table has.
    #[error("table `{table}`: {reason}")]
    Shape {
        /// The table.
        table: TableName,
        /// What is wrong.
        reason: String,
    },
    /// The storage layout has this table with a column that is lacking, or of another type.
    #[error("table `{table}` is part of the storage layout and must have its column `{column}` {column_type} there", column_type = .column_type.sql())]
    Layout {
        /// The table.
        table: TableName,
        /// The column.
        column: String,
        /// Its type in the layout.
        column_type: ColumnType,
    },
    /// The envelope lacks a field that the host cannot do without.
    #[error("the envelope `{component}` has no field `{field}` of kind {kind:?}")]
    Envelope {
        /// The component.
        component: String,
        /// The field.
        field: &'static str,
        /// Its kind.
        kind: Kind,
    },
}

/// The fields of an envelope that the host itself reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EnvelopeFields {
    /// What the envelope carries.
    pub payload: usize,
    /// HEP's protocol type of it.
    pub proto_type: usize,
    /// When the packet was seen, µs since 1970, UTC.
    pub timestamp: usize,
}

impl EnvelopeFields {
    /// Finds them.
    ///
    /// # Errors
    /// Names the one that is missing.
    pub fn of(description: &Description) -> Result<Self, PlanError> {
        let find = |field: &'static str, kind: Kind| {
            description
                .fields
                .iter()
                .position(|f| f.name == field && f.kind == kind)
                .ok_or_else(|| PlanError::Envelope {
                    component: description.name.clone(),
                    field,
                    kind,
                })
        };
        Ok(Self {
            payload: find("payload", Kind::Bytes)?,
            proto_type: find("proto_type", Kind::Number)?,
            timestamp: find("timestamp", Kind::Time)?,
        })
    }
}

/// A member of a JSON column.
#[derive(Clone, Debug)]
pub(super) struct MemberPlan {
    pub(super) key: Key,
    /// The field that alone fills it, which is what most members have.
    pub(super) only: Option<FieldPlace>,
    pub(super) from: Vec<Source>,
}

/// A column of a data file.
#[derive(Clone, Debug)]
pub(super) struct ColumnPlan {
    pub(super) column: Column,
    pub(super) from: Vec<Source>,
    pub(super) members: Vec<MemberPlan>,
    /// The column before it that it may have a value in common with, and what fills that.
    pub(super) like: Option<(usize, Vec<Source>)>,
}

/// A table and what fills it.
#[derive(Clone, Debug)]
pub struct TablePlan {
    table: Table,
    /// The columns that stand in the file: all but the partition's.
    pub(super) columns: Vec<ColumnPlan>,
    /// What fills the column `payload`, if it is text.
    pub(super) payload_text: Option<Vec<Source>>,
}

impl TablePlan {
    /// The table.
    #[must_use]
    pub fn table(&self) -> &Table {
        &self.table
    }
}

/// Makes plans for what an envelope carries.
#[derive(Clone, Debug)]
pub struct TablePlans {
    envelope: Vec<Field>,
}

impl TablePlans {
    /// Plans for this envelope.
    #[must_use]
    pub fn new(envelope: &Description) -> Self {
        Self {
            envelope: envelope.fields.clone(),
        }
    }

    /// The tables that a router declares for a parser's rows.
    ///
    /// # Errors
    /// Says which table, column or source cannot be.
    pub fn of_router(
        &self,
        router: &RouterDescription,
        parser: &Description,
    ) -> Result<Vec<TablePlan>, PlanError> {
        let layout = Table::of_a_new_lake();
        let mut plans = Vec::with_capacity(router.tables.len());
        for described in &router.tables {
            let plan = self.plan(described, &parser.fields)?;
            if plan.table.name == TableName::rejected() {
                return Err(PlanError::Shape {
                    table: plan.table.name,
                    reason: "it is the host's: let the parser refuse what belongs there".into(),
                });
            }
            // More columns than the layout's are welcome, fewer or others would break its users.
            let of_layout = layout.iter().find(|table| table.name == plan.table.name);
            let mut columns = of_layout.iter().flat_map(|table| &table.columns);
            if let Some(lacking) = columns.find(|column| !plan.table.columns.contains(column)) {
                return Err(PlanError::Layout {
                    table: plan.table.name,
                    column: lacking.name.to_string(),
                    column_type: lacking.column_type,
                });
            }
            plans.push(plan);
        }
        Ok(plans)
    }

    /// The table of a protocol type that has no parser.
    ///
    /// # Errors
    /// When the envelope lacks a field that the storage layout has a column for.
    pub fn of_protocol(&self, proto_type: u32) -> Result<TablePlan, PlanError> {
        let table = Table::of_protocol(proto_type);
        self.of_layout(&table, of_unparsed, &DEFAULT_MEMBERS, &[])
    }

    /// Likewise where that table has more columns, by what a router or a parser declares of
    /// it: those are null. A table has one set of columns, whoever writes to it.
    ///
    /// # Errors
    /// As [`Self::of_protocol`].
    pub fn of_protocol_like(&self, proto_type: u32, table: &Table) -> Result<TablePlan, PlanError> {
        let layout = Table::of_protocol(proto_type);
        let from = |column: &str| match has_column(&layout, column) {
            true => of_unparsed(column),
            false => Vec::new(),
        };
        self.of_layout(table, from, &DEFAULT_MEMBERS, &[])
    }

    /// The table of a protocol type whose parser has no router: the layout's columns, and one
    /// for each field.
    ///
    /// # Errors
    /// When a field cannot be a column.
    pub fn of_parser(&self, parser: &Description, proto_type: u32) -> Result<TablePlan, PlanError> {
        let layout = Table::of_protocol(proto_type);
        let mut table = layout.clone();
        for field in &parser.fields {
            let Some(column_type) = column_type_of(field.kind) else {
                continue;
            };
            let name: TableName = field.name.parse()?;
            match layout.columns.iter().find(|column| column.name == name) {
                Some(_) if OWN.contains(&name.as_str()) => {
                    return Err(PlanError::Shape {
                        table: table.name,
                        reason: format!(
                            "the host fills the column `{name}`: call the field of `{}` otherwise",
                            parser.name
                        ),
                    });
                }
                Some(_) => {}
                None => table.columns.push(Column { name, column_type }),
            }
        }
        let from = |column: &str| {
            let mut from = Vec::new();
            if parser.fields.iter().any(|field| field.name == column) {
                from.push(format!("payload.{column}"));
            }
            if has_column(&layout, column) {
                from.extend(of_unparsed(column));
            }
            from
        };
        let flags: Vec<(&str, String)> = parser
            .fields
            .iter()
            .filter(|field| column_type_of(field.kind).is_none())
            .map(|field| (field.name.as_str(), format!("payload.{}", field.name)))
            .collect();
        let flags = flags.iter().map(|(key, from)| (*key, from.as_str()));
        let members: Vec<_> = DEFAULT_MEMBERS.into_iter().chain(flags).collect();
        self.of_layout(&table, from, &members, &parser.fields)
    }

    /// The table of what is refused.
    ///
    /// # Errors
    /// When the envelope lacks a field that the storage layout has a column for.
    pub fn rejected(&self) -> Result<TablePlan, PlanError> {
        let from = |column: &str| match column {
            "session_id" => vec!["envelope.correlation_id".into()],
            "payload" => vec!["host.refused".into()],
            own @ ("uuid" | "date" | "timestamp" | "peer_ip" | "peer_port" | "reason"
            | "component") => vec![format!("host.{own}")],
            other => vec![format!("envelope.{other}")],
        };
        let members = [("version", "envelope.version")];
        self.of_layout(&Table::rejected(), from, &members, &[])
    }

    /// A table of the storage layout that the host fills without a router.
    fn of_layout(
        &self,
        table: &Table,
        from: impl Fn(&str) -> Vec<String>,
        members: &[(&str, &str)],
        payload: &[Field],
    ) -> Result<TablePlan, PlanError> {
        let own = [
            ("original_timestamp", "host.original_timestamp"),
            ("payload_base64", "host.payload_base64"),
            ("*", "envelope.*"),
        ];
        let columns = table
            .columns
            .iter()
            .map(|column| heplake_sdk::Column {
                name: column.name.to_string(),
                column_type: column.column_type.sql().into(),
                from: match column.column_type {
                    ColumnType::Json => Vec::new(),
                    _ => from(column.name.as_str()),
                },
                members: match column.column_type {
                    ColumnType::Json => members
                        .iter()
                        .chain(&own)
                        .map(|(key, from)| heplake_sdk::Member {
                            key: (*key).into(),
                            from: vec![(*from).into()],
                        })
                        .collect(),
                    _ => Vec::new(),
                },
            })
            .collect();
        let name = table.name.to_string();
        self.plan(&heplake_sdk::TableDescription { name, columns }, payload)
    }

    fn plan(
        &self,
        described: &heplake_sdk::TableDescription,
        payload: &[Field],
    ) -> Result<TablePlan, PlanError> {
        let name: TableName = described.name.parse()?;
        let shape = |reason: String| PlanError::Shape {
            table: name.clone(),
            reason,
        };
        if described.columns.len() > COLUMNS_MAX {
            return Err(shape(format!(
                "{} columns, more than {COLUMNS_MAX}",
                described.columns.len()
            )));
        }
        let resolver = Resolver {
            table: &name,
            envelope: &self.envelope,
            payload,
        };
        let used: Vec<&str> = described
            .columns
            .iter()
            .flat_map(|column| {
                column
                    .from
                    .iter()
                    .chain(column.members.iter().flat_map(|member| &member.from))
            })
            .map(|from| filled_from(from))
            .collect();
        let mut table = Table {
            name: name.clone(),
            columns: Vec::new(),
        };
        let mut columns = Vec::new();
        for described in &described.columns {
            let column = Column {
                name: described.name.parse()?,
                column_type: described.column_type.parse()?,
            };
            if table.columns.iter().any(|other| other.name == column.name) {
                return Err(shape(format!("column `{}` is doubled", column.name)));
            }
            table.columns.push(column.clone());
            let mut plan = resolver.column(column, described, &used)?;
            plan.like = columns.iter().enumerate().find_map(|(index, before)| {
                is_like(before, &plan).then(|| (index, before.from.clone()))
            });
            if plan.column.column_type != ColumnType::Date {
                columns.push(plan);
            } else if plan.from != [Source::Host(HostField::Date)] {
                return Err(shape(
                    "a DATE can only be `host.date`, the partition".into(),
                ));
            }
        }
        for needed in ["uuid", "date", "timestamp"] {
            if !table
                .columns
                .iter()
                .any(|column| column.name.as_str() == needed)
            {
                return Err(shape(format!("it lacks the column `{needed}`")));
            }
        }
        if copies_of_a_field(&columns) > COPIES_MAX {
            return Err(shape(format!(
                "a field fills more than {COPIES_MAX} of its columns and JSON members"
            )));
        }
        let is_payload = |column: &&ColumnPlan| {
            column.column.name.as_str() == "payload"
                && column.column.column_type == ColumnType::Varchar
        };
        let payload_text = columns.iter().find(is_payload).map(|c| c.from.clone());
        Ok(TablePlan {
            table,
            columns,
            payload_text,
        })
    }
}

/// Columns that the host fills, and no component.
const OWN: [&str; 4] = ["uuid", "date", "timestamp", "data_extra"];

/// Members of `data_extra` where no router decides.
const DEFAULT_MEMBERS: [(&str, &str); 2] = [
    ("version", "envelope.version"),
    ("proto_type", "envelope.proto_type"),
];

/// What fills a column of the layout where there is no parser.
fn of_unparsed(column: &str) -> Vec<String> {
    match column {
        "session_id" | "cid" => vec!["envelope.correlation_id".into()],
        own @ ("uuid" | "date" | "timestamp") => vec![format!("host.{own}")],
        other => vec![format!("envelope.{other}")],
    }
}

fn has_column(table: &Table, name: &str) -> bool {
    let mut columns = table.columns.iter();
    columns.any(|column| column.name.as_str() == name)
}

/// The type of the column that a field makes, if it makes one.
fn column_type_of(kind: Kind) -> Option<ColumnType> {
    match kind {
        Kind::Text | Kind::Address => Some(ColumnType::Varchar),
        Kind::Bytes => Some(ColumnType::Blob),
        Kind::Number => Some(ColumnType::UBigInt),
        Kind::Signed => Some(ColumnType::BigInt),
        Kind::Real => Some(ColumnType::Double),
        Kind::Time => Some(ColumnType::Timestamp),
        Kind::Flag => None,
    }
}

/// How often the field is copied at most that is copied most.
fn copies_of_a_field(columns: &[ColumnPlan]) -> usize {
    let mut copies: BTreeMap<(Stage, usize), usize> = BTreeMap::new();
    let sources = columns.iter().flat_map(|column| {
        let of_members = column.members.iter().flat_map(|member| &member.from);
        column.from.iter().chain(of_members)
    });
    for source in sources {
        if let Some((stage, field, _)) = source.field() {
            *copies.entry((stage, field)).or_default() += 1;
        }
    }
    copies.into_values().max().unwrap_or(0)
}

/// Whether two columns of text can be filled from one field, and from nothing of the host's.
fn is_like(one: &ColumnPlan, other: &ColumnPlan) -> bool {
    let is_text = |source: &Source| matches!(source, Source::Field(_, _, Kind::Text));
    let mut all = one.from.iter().chain(&other.from);
    all.all(|source| source.field().is_some())
        && one.column.column_type == ColumnType::Varchar
        && other.column.column_type == ColumnType::Varchar
        && other
            .from
            .iter()
            .any(|source| is_text(source) && one.from.contains(source))
}
