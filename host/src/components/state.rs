//! Which version of each component serves, served before, and waits.

use heplake_format::{COLUMNS_MAX, Column, ColumnType, TABLES_MAX, Table, TableName};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Version of the document.
pub(super) const STATE_FORMAT: u32 = 1;

/// Activations that can be undone one after the other. Each keeps a component in the store.
const CHANGES_MAX: usize = 16;

/// The versions of one name, by digest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slot {
    /// The one that serves; none if it was taken out.
    pub active: Option<String>,
    /// The one that is gone back to.
    pub previous: Option<String>,
    /// The one that was staged last and does not serve yet.
    pub staged: Option<String>,
    /// The last one that was cut off or failed as a canary: it never serves again by itself.
    #[serde(default)]
    pub failed: Option<String>,
}

impl Slot {
    fn names(&self, digest: &str) -> bool {
        [&self.active, &self.previous, &self.staged]
            .into_iter()
            .flatten()
            .any(|own| own == digest)
    }
}

/// All that survives a restart besides the components themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    /// [`STATE_FORMAT`] of the writer.
    pub(super) format: u32,
    /// By name.
    pub(super) slots: BTreeMap<String, Slot>,
    /// What was activated and can be undone, the latest last.
    #[serde(default)]
    pub(super) changes: Vec<Change>,
    /// What the program that ran last embedded, by name: another program's succeed them.
    #[serde(default)]
    pub(super) shipped: BTreeMap<String, String>,
    /// All tables that components have ever declared here, with all their columns: a column
    /// keeps its type for good, since the lake has rows with it.
    pub(super) tables: Vec<Table>,
}

/// Versions that took the place of others together, and go back together: by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Change(BTreeMap<String, Step>);

/// What became of one name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Step {
    /// What served before, if anything did.
    from: Option<String>,
    /// What served from then on.
    to: String,
}

/// Why tables do not fit those that there have been so far: no lake would take their rows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TableMisfit {
    /// A column is to have another type than it has had.
    #[error(
        "column `{column}` of `{table}` was {was} and would be {brought}: give the new one another name",
        was = .was.sql(),
        brought = .brought.sql()
    )]
    Type {
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// Its type so far.
        was: ColumnType,
        /// The type that it would have.
        brought: ColumnType,
    },
    /// A table has had too many columns, taken together.
    #[error("`{0}` would come to more than {COLUMNS_MAX} columns, with those that it had before")]
    Columns(String),
    /// There have been too many tables.
    #[error("`{0}` would be one table more than the {TABLES_MAX} that there may be")]
    Tables(String),
}

impl State {
    /// Whether a digest serves, waits, or may be gone back to.
    pub(super) fn names(&self, digest: &str) -> bool {
        let steps = self.changes.iter().flat_map(|change| change.0.values());
        self.slots.values().any(|slot| slot.names(digest))
            || steps
                .filter_map(|step| step.from.as_ref())
                .any(|from| from == digest)
    }

    /// Takes it that of some names what serves is active, by name: where what was written down
    /// could not be loaded that is another.
    pub(super) fn follow<'a>(
        &mut self,
        names: impl Iterator<Item = &'a String>,
        serving: &BTreeMap<String, String>,
    ) {
        for name in names {
            if let Some(slot) = self.slots.get_mut(name) {
                slot.active = serving.get(name).cloned();
            }
        }
    }

    /// The digests of these names and digests serve from now on.
    pub(super) fn activate(&mut self, versions: &[(String, String)]) {
        let mut change = Change::default();
        for (name, digest) in versions {
            let slot = self.slots.entry(name.clone()).or_default();
            // Whoever activates it again means it.
            slot.failed.take_if(|failed| failed == digest);
            slot.staged.take_if(|staged| staged == digest);
            if slot.active.as_ref() != Some(digest) {
                let from = slot.active.replace(digest.clone());
                let to = digest.clone();
                change.0.insert(name.clone(), Step { from, to });
            }
        }
        if !change.0.is_empty() {
            self.changes.push(change);
        }
        let too_many = self.changes.len().saturating_sub(CHANGES_MAX);
        self.changes.drain(..too_many);
        self.derive_previous();
    }

    /// What would serve if the last activation of a name was undone: of each name that was
    /// activated together with it and still serves, the digest before; none if nothing was.
    /// Nothing if there is no activation to undo.
    pub(super) fn before(&self, name: &str) -> Option<BTreeMap<String, Option<String>>> {
        let change = &self.changes[self.last_change(name)?];
        let serves = |name: &String, step: &Step| {
            let slot = self.slots.get(name);
            slot.is_some_and(|slot| slot.active.as_ref() == Some(&step.to))
        };
        let steps = change.0.iter().filter(|(name, step)| serves(name, step));
        Some(
            steps
                .map(|(name, step)| (name.clone(), step.from.clone()))
                .collect(),
        )
    }

    /// Undoes the last activation of a name, of which `before` told what it comes to. What goes
    /// waits from then on; that of the name that failed is noted as such.
    pub(super) fn undo(
        &mut self,
        name: &str,
        before: &BTreeMap<String, Option<String>>,
        failed: Option<&str>,
    ) {
        if let Some(place) = self.last_change(name) {
            self.changes.remove(place);
        }
        for (name, from) in before {
            let slot = self.slots.entry(name.clone()).or_default();
            let gone = std::mem::replace(&mut slot.active, from.clone());
            if failed == Some(name) {
                slot.failed = gone;
            } else if slot.staged.is_none() {
                slot.staged = gone;
            }
        }
        self.derive_previous();
    }

    /// Whether a rollback may go back to a digest.
    pub(super) fn is_gone_back_to(&self, digest: &str) -> bool {
        let steps = self.changes.iter().flat_map(|change| change.0.values());
        let is_previous = |slot: &Slot| slot.previous.as_deref() == Some(digest);
        steps
            .filter_map(|step| step.from.as_deref())
            .any(|from| from == digest)
            || self.slots.values().any(is_previous)
    }

    /// Forgets a digest that does not serve. A rollback that would have gone back to it goes to
    /// the version before it.
    pub(super) fn forget(&mut self, digest: &str) {
        let is_its = |other: &Option<String>| other.as_deref() == Some(digest);
        for slot in self.slots.values_mut() {
            for own in [&mut slot.staged, &mut slot.previous] {
                own.take_if(|own| own == digest);
            }
        }
        for place in 0..self.changes.len() {
            let (earlier, rest) = self.changes.split_at_mut(place);
            let Some(Change(steps)) = rest.first_mut() else {
                break;
            };
            let names: Vec<String> = steps
                .iter()
                .filter(|(_, step)| is_its(&step.from))
                .map(|(name, _)| name.clone())
                .collect();
            for name in names {
                // The latest activation of it, which is not undone by itself any more.
                let came = earlier.iter_mut().rev().find_map(|change| {
                    let is_it = change.0.get(&name).is_some_and(|step| step.to == digest);
                    is_it.then(|| change.0.remove(&name)).flatten()
                });
                match (came, steps.get_mut(&name)) {
                    (Some(came), Some(step)) => step.from = came.from,
                    _ => {
                        steps.remove(&name);
                    }
                }
            }
        }
        for Change(steps) in &mut self.changes {
            steps.retain(|_, step| step.to != digest);
        }
        self.changes.retain(|change| !change.0.is_empty());
        self.derive_previous();
    }

    fn last_change(&self, name: &str) -> Option<usize> {
        let active = self.slots.get(name)?.active.as_ref()?;
        let is_its = |change: &Change| change.0.get(name).is_some_and(|step| &step.to == active);
        self.changes.iter().rposition(is_its)
    }

    fn derive_previous(&mut self) {
        let names: Vec<String> = self.slots.keys().cloned().collect();
        for name in names {
            let before = self.before(&name);
            let previous = before.and_then(|before| before.get(&name).cloned().flatten());
            if let Some(slot) = self.slots.get_mut(&name) {
                slot.previous = previous;
            }
        }
    }

    /// Columns that these tables would add, as `table.column TYPE`.
    ///
    /// # Errors
    /// When one of their columns has another type so far, or there are too many.
    pub(super) fn new_columns<'a>(
        &self,
        tables: impl Iterator<Item = &'a Table>,
    ) -> Result<Vec<String>, TableMisfit> {
        let layout = Table::of_a_new_lake();
        let mut added = Vec::new();
        let mut names: BTreeSet<&TableName> = self.tables.iter().map(|table| &table.name).collect();
        for table in tables {
            names.insert(&table.name);
            if names.len() > TABLES_MAX {
                return Err(TableMisfit::Tables(table.name.to_string()));
            }
            let so_far = self.tables.iter().filter(|known| known.name == table.name);
            let columns = so_far.chain([table]).flat_map(|table| &table.columns);
            let columns: BTreeSet<&TableName> = columns.map(|column| &column.name).collect();
            if columns.len() > COLUMNS_MAX {
                return Err(TableMisfit::Columns(table.name.to_string()));
            }
            let known = |columns: &[Table], column: &Column| {
                let mut tables = columns.iter().filter(|known| known.name == table.name);
                tables.find_map(|known| {
                    let mut columns = known.columns.iter();
                    columns
                        .find(|other| other.name == column.name)
                        .map(|other| other.column_type)
                })
            };
            // What nothing reads is stored in such a table already.
            let of_protocol = (0..=u32::from(u8::MAX))
                .find(|proto_type| TableName::of_protocol(*proto_type) == table.name)
                .map(Table::of_protocol);
            for column in &table.columns {
                let stored =
                    || known(&layout, column).or_else(|| known(of_protocol.as_slice(), column));
                match known(&self.tables, column).or_else(stored) {
                    Some(was) if was != column.column_type => {
                        return Err(TableMisfit::Type {
                            table: table.name.to_string(),
                            column: column.name.to_string(),
                            was,
                            brought: column.column_type,
                        });
                    }
                    Some(_) => {}
                    None => added.push(format!(
                        "{}.{} {}",
                        table.name,
                        column.name,
                        column.column_type.sql()
                    )),
                }
            }
        }
        Ok(added)
    }

    /// Remembers tables that are written from now on.
    pub(super) fn remember<'a>(&mut self, tables: impl Iterator<Item = &'a Table>) {
        for table in tables {
            match self
                .tables
                .iter_mut()
                .find(|known| known.name == table.name)
            {
                Some(known) => known.widen(table),
                None => self.tables.push(table.clone()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(name: &str, columns: &[(&str, ColumnType)]) -> Table {
        let column = |(name, column_type): &(&str, ColumnType)| Column {
            name: name.parse().unwrap(),
            column_type: *column_type,
        };
        Table {
            name: name.parse().unwrap(),
            columns: columns.iter().map(column).collect(),
        }
    }

    fn activate(state: &mut State, versions: &[(&str, &str)]) {
        let owned = |(name, digest): &(&str, &str)| ((*name).into(), (*digest).into());
        let versions: Vec<(String, String)> = versions.iter().map(owned).collect();
        state.activate(&versions);
    }

    fn undo(state: &mut State, name: &str, failed: bool) {
        let before = state.before(name).unwrap_or_default();
        state.undo(name, &before, failed.then_some(name));
    }

    fn active<'a>(state: &'a State, name: &str) -> Option<&'a str> {
        state.slots.get(name)?.active.as_deref()
    }

    #[test]
    fn activations_are_undone_one_after_the_other() {
        let mut state = State::default();
        for digest in ["s0", "s1", "s2"] {
            activate(&mut state, &[("sip", digest)]);
        }
        // Activating what serves is no change.
        activate(&mut state, &[("sip", "s2")]);
        assert_eq!(state.slots["sip"].previous.as_deref(), Some("s1"));
        undo(&mut state, "sip", true);
        assert_eq!(active(&state, "sip"), Some("s1"));
        assert_eq!(state.slots["sip"].failed.as_deref(), Some("s2"));
        assert_eq!(state.slots["sip"].previous.as_deref(), Some("s0"));
        undo(&mut state, "sip", false);
        assert_eq!(active(&state, "sip"), Some("s0"));
        assert_eq!(state.slots["sip"].staged.as_deref(), Some("s1"));
        undo(&mut state, "sip", false);
        assert_eq!(active(&state, "sip"), None);
        undo(&mut state, "sip", false);
        assert_eq!(state.before("sip"), None);
        // Activated again by somebody who means it.
        activate(&mut state, &[("sip", "s2")]);
        assert_eq!(state.slots["sip"].failed, None);
    }

    #[test]
    fn a_rollback_goes_past_a_version_that_was_removed() {
        let mut state = State::default();
        for digest in ["s0", "s1", "s2"] {
            activate(&mut state, &[("sip", digest)]);
        }
        assert!(state.is_gone_back_to("s1") && !state.is_gone_back_to("s2"));
        state.forget("s1");
        assert!(!state.names("s1"));
        assert_eq!(state.slots["sip"].previous.as_deref(), Some("s0"));
        undo(&mut state, "sip", false);
        assert_eq!(active(&state, "sip"), Some("s0"));
        undo(&mut state, "sip", false);
        assert_eq!(active(&state, "sip"), None);
    }

    #[test]
    fn what_was_activated_together_with_a_version_that_was_removed_goes_back_nevertheless() {
        let mut state = State::default();
        activate(&mut state, &[("sip", "s0"), ("router", "r0")]);
        activate(&mut state, &[("sip", "s1"), ("router", "r1")]);
        state.forget("r0");
        undo(&mut state, "sip", false);
        assert_eq!(active(&state, "sip"), Some("s0"));
        // Its activation is the first that anybody remembers now.
        assert_eq!(active(&state, "router"), None);
        let mut state = State::default();
        activate(&mut state, &[("sip", "s0")]);
        state.changes.clear();
        activate(&mut state, &[("sip", "s1")]);
        state.forget("s0");
        assert_eq!(state.before("sip"), None);
        assert_eq!(active(&state, "sip"), Some("s1"));
    }

    #[test]
    fn what_was_activated_together_goes_back_together() {
        let mut state = State::default();
        activate(&mut state, &[("sip", "s0")]);
        activate(&mut state, &[("router", "r0")]);
        activate(&mut state, &[("sip", "s1"), ("router", "r1")]);
        // Of something else, in between.
        activate(&mut state, &[("gauges", "g0")]);
        let restarted: State =
            serde_json::from_str(&serde_json::to_string(&state).unwrap()).unwrap();
        assert_eq!(restarted, state);
        let mut alone = state.clone();
        undo(&mut state, "router", false);
        assert_eq!(
            (active(&state, "sip"), active(&state, "router")),
            (Some("s0"), Some("r0"))
        );
        assert_eq!(active(&state, "gauges"), Some("g0"));
        // A router that was replaced since by itself stays.
        activate(&mut alone, &[("router", "r2")]);
        undo(&mut alone, "sip", false);
        assert_eq!(
            (active(&alone, "sip"), active(&alone, "router")),
            (Some("s0"), Some("r2"))
        );
    }

    #[test]
    fn what_can_be_gone_back_to_is_bounded_and_named() {
        let mut state = State::default();
        for number in 0..CHANGES_MAX + 10 {
            activate(&mut state, &[("sip", &format!("s{number}"))]);
        }
        assert_eq!(state.changes.len(), CHANGES_MAX);
        assert!(!state.names("s8"));
        assert!(state.names("s9") && state.names("s25"));
        for _ in 0..CHANGES_MAX {
            undo(&mut state, "sip", false);
        }
        assert_eq!(active(&state, "sip"), Some("s9"));
        assert_eq!(state.before("sip"), None);
    }

    #[test]
    fn a_column_keeps_the_type_that_it_was_first_written_with() {
        use ColumnType::{UBigInt, Varchar};
        let mut state = State::default();
        let first = [table("gauges", &[("name", Varchar)])];
        assert_eq!(
            state.new_columns(first.iter()).unwrap(),
            ["gauges.name VARCHAR"]
        );
        state.remember(first.iter());
        let wider = [table("gauges", &[("name", Varchar), ("value", UBigInt)])];
        assert_eq!(
            state.new_columns(wider.iter()).unwrap(),
            ["gauges.value UBIGINT"]
        );
        state.remember(wider.iter());
        // What a version lacks is not forgotten.
        state.remember(first.iter());
        assert_eq!(state.new_columns(wider.iter()).unwrap(), [""; 0]);
        let changed = [table("gauges", &[("value", Varchar)])];
        let error = state.new_columns(changed.iter()).unwrap_err();
        assert!(error.to_string().contains("was UBIGINT"), "{error}");
        assert!(error.to_string().contains("another name"), "{error}");
    }

    #[test]
    fn versions_may_not_bring_more_columns_or_tables_than_a_lake_takes() {
        let mut state = State::default();
        let columns = |version: usize| -> Vec<Column> {
            let column = |number: usize| Column {
                name: format!("v{version}_{number}").parse().unwrap(),
                column_type: ColumnType::Varchar,
            };
            (0..COLUMNS_MAX / 2).map(column).collect()
        };
        for version in 0..3 {
            let mut table = table("gauges", &[]);
            table.columns = columns(version);
            let new = state.new_columns([&table].into_iter());
            assert_eq!(new.is_ok(), version < 2, "{version}");
            if new.is_ok() {
                state.remember([&table].into_iter());
            }
        }
        let tables: Vec<Table> = (0..TABLES_MAX)
            .map(|number| table(&format!("table_{number}"), &[("a", ColumnType::Varchar)]))
            .collect();
        let misfit = state.new_columns(tables.iter()).unwrap_err();
        assert!(matches!(misfit, TableMisfit::Tables(_)), "{misfit}");
        assert!(state.new_columns(tables[1..].iter()).is_ok());
    }

    #[test]
    fn what_serves_in_place_of_what_could_not_be_loaded_is_what_is_gone_back_to() {
        let mut state = State::default();
        for digest in ["s0", "s1", "s2"] {
            activate(&mut state, &[("sip", digest)]);
        }
        // "s2" cannot be loaded, and "s1" serves.
        let serving = BTreeMap::from([("sip".to_owned(), "s1".to_owned())]);
        let names = ["sip".to_owned()];
        let mut alone = state.clone();
        alone.follow(names.iter(), &serving);
        undo(&mut alone, "sip", false);
        assert_eq!(active(&alone, "sip"), Some("s0"));
        state.follow(names.iter(), &serving);
        activate(&mut state, &[("sip", "s3")]);
        undo(&mut state, "sip", true);
        assert_eq!(active(&state, "sip"), Some("s1"));
        undo(&mut state, "sip", false);
        assert_eq!(active(&state, "sip"), Some("s0"));
    }

    #[test]
    fn what_nothing_has_read_so_far_has_its_columns_already() {
        let mut table = Table::of_protocol(201);
        table.columns.push(Column {
            name: "value".parse().unwrap(),
            column_type: ColumnType::Double,
        });
        let new = State::default().new_columns([&table].into_iter()).unwrap();
        assert_eq!(new, ["hep_proto_201_default.value DOUBLE"]);
    }

    #[test]
    fn the_storage_layout_holds_before_anything_was_written() {
        let state = State::default();
        let changed = [table(
            "hep_proto_1_call",
            &[("caller", ColumnType::UBigInt)],
        )];
        assert!(state.new_columns(changed.iter()).is_err());
    }
}
