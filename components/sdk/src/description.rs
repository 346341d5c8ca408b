//! What a component says of itself: data, so that it can grow without a new contract.

use serde::{Deserialize, Serialize};

/// What a parser says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// Short lower-case name, unique among the host's components.
    pub name: String,
    /// Semantic version of the component.
    pub version: String,
    /// What the host hands to it.
    pub accepts: Accepts,
    /// Fields of the stage before it that it wants to see, by name.
    #[serde(default)]
    pub context: Vec<String>,
    /// The cells of a row, in order.
    pub fields: Vec<Field>,
    /// What it may say of an item besides "parsed" and "not mine".
    #[serde(default)]
    pub verdicts: Vec<VerdictDescription>,
}

impl Description {
    /// A description without fields and verdicts.
    #[must_use]
    pub fn new(name: &str, version: &str, accepts: Accepts) -> Self {
        Self {
            name: name.into(),
            version: version.into(),
            accepts,
            context: Vec::new(),
            fields: Vec::new(),
            verdicts: Vec::new(),
        }
    }

    /// Sets the fields.
    #[must_use]
    pub fn fields(mut self, fields: impl IntoIterator<Item = Field>) -> Self {
        self.fields = fields.into_iter().collect();
        self
    }

    /// Asks for these fields of the stage before.
    #[must_use]
    pub fn context<'a>(mut self, names: impl IntoIterator<Item = &'a str>) -> Self {
        self.context = names.into_iter().map(String::from).collect();
        self
    }

    /// Adds reasons for refusing an item, which the host keeps in `hep_rejected`.
    #[must_use]
    pub fn refuses<'a>(self, names: impl IntoIterator<Item = &'a str>) -> Self {
        self.verdicts_of(VerdictClass::Refused, names)
    }

    /// Adds kinds of item that carry nothing, which the host counts (keep-alives).
    #[must_use]
    pub fn sets_aside<'a>(self, names: impl IntoIterator<Item = &'a str>) -> Self {
        self.verdicts_of(VerdictClass::Aside, names)
    }

    fn verdicts_of<'a>(
        mut self,
        class: VerdictClass,
        names: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        self.verdicts
            .extend(names.into_iter().map(|name| VerdictDescription {
                name: name.into(),
                class,
            }));
        self
    }
}

/// What the host hands to a component.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Accepts {
    /// Datagrams and stream frames as they came from the socket: an envelope.
    Datagrams,
    /// Payloads of these HEP protocol types.
    ProtocolTypes(Vec<u32>),
}

/// One cell of a row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    /// Lower-case name with underscores.
    pub name: String,
    /// How its cell is read.
    pub kind: Kind,
}

impl Field {
    /// A field of this name and kind.
    #[must_use]
    pub fn new(name: &str, kind: Kind) -> Self {
        Self {
            name: name.into(),
            kind,
        }
    }
}

/// How a cell is read; see `wit/heplake.wit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A span of text. What is not UTF-8 in the packet is stored with U+FFFD in its place.
    Text,
    /// A span of bytes, stored as they are.
    Bytes,
    /// A span of 4 (IPv4) or 16 (IPv6) octets in network order, stored as text.
    Address,
    /// An unsigned number.
    Number,
    /// A signed number; see [`Cell::signed`](crate::Cell::signed).
    Signed,
    /// The bits of a double.
    Real,
    /// Microseconds since 1970, UTC.
    Time,
    /// 1 for true, 0 for false. It fills members of JSON columns and no column of its own.
    Flag,
}

impl Kind {
    /// Whether a cell of this kind is a span; all others hold their value themselves.
    #[must_use]
    pub const fn is_span(self) -> bool {
        match self {
            Self::Text | Self::Bytes | Self::Address => true,
            Self::Number | Self::Signed | Self::Real | Self::Time | Self::Flag => false,
        }
    }
}

/// A named verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerdictDescription {
    /// Lower-case name with underscores: it is the label of a metric and stored as reason.
    pub name: String,
    /// What the host does with such an item.
    pub class: VerdictClass,
}

/// What the host does with an item that gave no row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VerdictClass {
    /// Stored in `hep_rejected`, with the reason and all its bytes.
    Refused,
    /// Counted, and stored only if configured.
    Aside,
}

/// What a router says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouterDescription {
    /// Short lower-case name, unique among the host's components.
    pub name: String,
    /// Semantic version of the component.
    pub version: String,
    /// Name of the parser whose rows it routes.
    pub routes: String,
    /// The parser's fields that it reads, in the order of its cells.
    pub reads: Vec<String>,
    /// The tables that it writes; `route` answers with places in this list.
    pub tables: Vec<TableDescription>,
}

/// A table that a router writes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableDescription {
    /// Name of the table.
    pub name: String,
    /// Its columns, in order.
    pub columns: Vec<Column>,
}

/// A column and where its values come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// Name of the column.
    pub name: String,
    /// DuckDB's name of the type: `VARCHAR`, `UINTEGER`, `TIMESTAMP`, `DATE`, `JSON`, …
    #[serde(rename = "type")]
    pub column_type: String,
    /// Names of fields, the first that is not null fills the column. `payload.x` is the
    /// parser's field, `envelope.x` the envelope's, `host.x` the host's own.
    #[serde(default)]
    pub from: Vec<String>,
    /// For a JSON column: the members of its object.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<Member>,
}

/// A member of the object in a JSON column. One that would be null is left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its key; a dot nests (`custom_headers.X-Trunk`). `*` stands for all fields of
    /// `from` that fill nothing else in the table, under their own names.
    pub key: String,
    /// As in [`Column::from`]; `envelope.*` with the key `*`.
    pub from: Vec<String>,
}
