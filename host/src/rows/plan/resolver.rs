//! What the sources of a column are: names become places, once a configuration.

use super::{
    super::{
        json::{ENVELOPE_CUT_NAME, Key},
        source::{HostField, Source, Stage},
    },
    ColumnPlan, MemberPlan, PlanError,
};
use crate::checked::shown;
use heplake_format::{Column, ColumnType, TableName};
use heplake_sdk::{Field, Kind};
use std::collections::BTreeSet;

/// Longest key of a member of a JSON column, in bytes.
const KEY_BYTES_MAX: usize = 256;

/// What stands between two fields of a source: the first fills the column unless the second
/// holds the same.
const UNLESS: &str = " unless ";

/// The field that a source may fill a column from.
pub(super) fn filled_from(source: &str) -> &str {
    source.split_once(UNLESS).map_or(source, |(value, _)| value)
}

/// Finds the sources of one table.
pub(super) struct Resolver<'a> {
    pub(super) table: &'a TableName,
    pub(super) envelope: &'a [Field],
    pub(super) payload: &'a [Field],
}

impl Resolver<'_> {
    pub(super) fn column(
        &self,
        column: Column,
        described: &heplake_sdk::Column,
        used: &[&str],
    ) -> Result<ColumnPlan, PlanError> {
        let name = column.name.as_str();
        let mut from = Vec::with_capacity(described.from.len());
        for (text, (source, kind)) in described
            .from
            .iter()
            .zip(self.sources(name, &described.from)?)
        {
            if !holds(column.column_type, kind) {
                return Err(PlanError::Kind {
                    table: self.table.clone(),
                    column: name.into(),
                    column_type: column.column_type,
                    from: text.clone(),
                    kind,
                });
            }
            from.push(source);
        }
        let mut keyed: Vec<(String, Vec<Source>)> = Vec::with_capacity(described.members.len());
        for member in &described.members {
            self.members(name, member, used, &mut keyed)?;
        }
        if keyed.iter().any(|(key, _)| key == ENVELOPE_CUT_NAME) {
            return Err(PlanError::Shape {
                table: self.table.clone(),
                reason: format!("the JSON key `{ENVELOPE_CUT_NAME}` is the host's: use another"),
            });
        }
        let mut keys = BTreeSet::new();
        if let Some((key, _)) = keyed.iter().find(|(key, _)| !keys.insert(key)) {
            return Err(PlanError::Shape {
                table: self.table.clone(),
                reason: format!("the JSON key `{}` is doubled", shown(key)),
            });
        }
        let members = keyed.into_iter().map(|(key, from)| self.member(&key, from));
        let members: Vec<MemberPlan> = members.collect::<Result<_, _>>()?;
        // Members of one nested object stand together, in the order of their first.
        let firsts: Vec<usize> = members
            .iter()
            .map(|member| {
                let first = |other: &MemberPlan| other.key.has_nest_of(&member.key);
                members.iter().position(first).unwrap_or_default()
            })
            .collect();
        let mut ordered: Vec<(usize, MemberPlan)> = firsts.into_iter().zip(members).collect();
        ordered.sort_by_key(|(first, _)| *first);
        let members = ordered.into_iter().map(|(_, member)| member).collect();
        Ok(ColumnPlan {
            column,
            from,
            members,
            like: None,
        })
    }

    /// A member, or all that a `*` stands for.
    fn members(
        &self,
        column: &str,
        member: &heplake_sdk::Member,
        used: &[&str],
        keyed: &mut Vec<(String, Vec<Source>)>,
    ) -> Result<(), PlanError> {
        let Some(nest) = member.key.strip_suffix('*') else {
            let from = self.sources(column, &member.from)?.into_iter();
            let from = from.map(|(source, _)| source).collect();
            keyed.push((member.key.clone(), from));
            return Ok(());
        };
        for pattern in &member.from {
            let unknown = || self.unknown(column, pattern);
            let prefix = pattern.strip_suffix('*').ok_or_else(unknown)?;
            let (stage, prefix) = prefix.split_once('.').ok_or_else(unknown)?;
            let fields = match stage {
                "envelope" => self.envelope,
                "payload" => self.payload,
                _ => return Err(unknown()),
            };
            for (index, field) in fields.iter().enumerate() {
                let full = format!("{stage}.{}", field.name);
                let Some(rest) = field.name.strip_prefix(prefix) else {
                    continue;
                };
                let own = matches!(field.kind, Kind::Bytes | Kind::Time);
                if own || used.contains(&full.as_str()) {
                    continue;
                }
                let stage = match stage {
                    "envelope" => Stage::Envelope,
                    _ => Stage::Payload,
                };
                let source = Source::Field(stage, index, field.kind);
                keyed.push((format!("{nest}{rest}"), vec![source]));
            }
        }
        Ok(())
    }

    fn member(&self, key: &str, from: Vec<Source>) -> Result<MemberPlan, PlanError> {
        let shape = |reason| PlanError::Shape {
            table: self.table.clone(),
            reason,
        };
        if key.is_empty() || key.len() > KEY_BYTES_MAX {
            return Err(shape(format!(
                "a JSON key has {} bytes, not 1 to {KEY_BYTES_MAX}",
                key.len()
            )));
        }
        let key = match key.split_once('.') {
            Some((nest, key)) => Key::new(Some(nest), key),
            None => Key::new(None, key),
        };
        let only = match *from.as_slice() {
            [Source::Field(stage, field, kind)] => Some((stage, field, kind)),
            _ => None,
        };
        Ok(MemberPlan { key, only, from })
    }

    /// What sources are called, and of which kind their values are.
    fn sources(&self, column: &str, texts: &[String]) -> Result<Vec<(Source, Kind)>, PlanError> {
        let sources = texts.iter().map(|text| self.source(column, text));
        let sources: Vec<(Source, Kind)> = sources.collect::<Result<_, _>>()?;
        let never = sources
            .iter()
            .zip(texts)
            .rev()
            .skip(1)
            .find(|((source, _), _)| source.ends_the_search());
        if let Some((_, text)) = never {
            return Err(PlanError::Shape {
                table: self.table.clone(),
                reason: format!(
                    "what follows `{text}` in the sources of `{column}` is never looked at: name it last"
                ),
            });
        }
        Ok(sources)
    }

    fn source(&self, column: &str, text: &str) -> Result<(Source, Kind), PlanError> {
        if let Some((value, other)) = text.split_once(UNLESS) {
            return self.unless(column, value, other);
        }
        let unknown = || self.unknown(column, text);
        let (stage, name) = text.split_once('.').ok_or_else(unknown)?;
        let find = |stage, fields: &[Field]| {
            let index = fields.iter().position(|field| field.name == name)?;
            let kind = fields[index].kind;
            Some((Source::Field(stage, index, kind), kind))
        };
        match stage {
            "envelope" => find(Stage::Envelope, self.envelope),
            "payload" => find(Stage::Payload, self.payload),
            "host" => HostField::named(name).map(|(field, kind)| (Source::Host(field), kind)),
            _ => None,
        }
        .ok_or_else(unknown)
    }

    /// A field that counts unless another one holds the same.
    fn unless(&self, column: &str, value: &str, other: &str) -> Result<(Source, Kind), PlanError> {
        let place = |text: &str| match self.source(column, text)? {
            (Source::Field(stage, field, kind), _) if kind.is_span() => Ok((stage, field, kind)),
            _ => Err(PlanError::Shape {
                table: self.table.clone(),
                reason: format!(
                    "`{}` in the sources of `{column}` cannot be compared: name fields of text, bytes or an address on both sides of `{}`",
                    shown(text),
                    UNLESS.trim()
                ),
            }),
        };
        let (value, other) = (place(value)?, place(other)?);
        Ok((Source::Unless(value, other), value.2))
    }

    fn unknown(&self, column: &str, from: &str) -> PlanError {
        let (table, column, from) = (self.table.clone(), column.into(), from.into());
        PlanError::UnknownSource {
            table,
            column,
            from,
        }
    }
}

/// Whether a column of this type can hold values of this kind.
fn holds(column_type: ColumnType, kind: Kind) -> bool {
    match column_type {
        ColumnType::Varchar => !matches!(kind, Kind::Real | Kind::Time | Kind::Flag),
        ColumnType::Blob => matches!(kind, Kind::Bytes | Kind::Text),
        ColumnType::UInteger | ColumnType::UBigInt => kind == Kind::Number,
        ColumnType::BigInt => kind == Kind::Signed,
        ColumnType::Double => kind == Kind::Real,
        ColumnType::Timestamp | ColumnType::Date => kind == Kind::Time,
        // A JSON column is made of members.
        ColumnType::Json => false,
    }
}
