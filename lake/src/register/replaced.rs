//! Documents under numbers that the ledger has, but with another document: an edge that
//! lost its commits counts from the beginning, and nobody would miss its rows.

use super::{Refusal, RegisterError, Registered, Registrar};
use crate::store::Document;
use heplake_format::{Commit, CommitPath, EdgeName, Sequence};
use std::time::Instant;

/// Documents of an edge that one comparison reads again, at most: some ten milliseconds. The
/// next goes on behind them, and begins anew at the end.
const DOCUMENTS_AT_ONCE: usize = 256;
/// An edge is compared again after this many times what comparing took.
const PAUSE_FACTOR: u32 = 100;

/// How far the documents of an edge are compared with the ledger.
pub(super) struct Comparison {
    /// Not to go on before.
    due: Option<Instant>,
    /// Where the next comparison begins.
    next: Sequence,
    /// The first that an edge which began again has not written yet.
    begun: Sequence,
}

impl Default for Comparison {
    fn default() -> Self {
        Self {
            due: None,
            next: Sequence::FIRST,
            begun: Sequence::FIRST,
        }
    }
}

impl Registrar {
    /// Compares some documents of registered commits with what was registered.
    pub(super) fn compare(
        &mut self,
        edge: &EdgeName,
        registered: &mut Registered,
    ) -> Result<(), RegisterError> {
        let Some(state) = self.edges.get(edge) else {
            return Ok(());
        };
        let Comparison { due, next, begun } = state.comparison;
        let now = Instant::now();
        if due.is_some_and(|due| now < due) {
            return Ok(());
        }
        // An edge that began again has written its first document anew, and goes on from there.
        let mut begun_now = begun;
        for (sequence, created_us) in self.catalog.created(edge, begun, DOCUMENTS_AT_ONCE)? {
            if !self.is_replaced(edge, sequence, created_us, registered)? {
                break;
            }
            begun_now = Sequence(sequence.0.saturating_add(1));
        }
        let known = self.catalog.created(edge, next, DOCUMENTS_AT_ONCE)?;
        for (sequence, created_us) in &known {
            self.is_replaced(edge, *sequence, *created_us, registered)?;
        }
        let last = known.last().filter(|_| known.len() == DOCUMENTS_AT_ONCE);
        let comparison = Comparison {
            due: Some(Instant::now() + now.elapsed() * PAUSE_FACTOR),
            next: last.map_or(Sequence::FIRST, |(sequence, _)| {
                Sequence(sequence.0.saturating_add(1))
            }),
            begun: begun_now,
        };
        if let Some(state) = self.edges.get_mut(edge) {
            state.comparison = comparison;
        }
        Ok(())
    }

    /// Whether a document is another than the one that was registered. One that is gone, or
    /// that cannot be read any more, is no other: its rows are registered.
    fn is_replaced(
        &mut self,
        edge: &EdgeName,
        sequence: Sequence,
        created_us: u64,
        registered: &mut Registered,
    ) -> Result<bool, RegisterError> {
        let path = CommitPath {
            edge: edge.clone(),
            sequence,
        };
        let Some(Document::Read(json)) = self.store.commit(&path)? else {
            return Ok(false);
        };
        let Ok(parts) = Commit::parts_from_json(&json) else {
            return Ok(false);
        };
        let is_replaced = kept(parts.commit.created_us) != created_us;
        let state = self.edges.get(edge);
        let was_refused = state.is_some_and(|state| state.refused.contains_key(&sequence));
        if is_replaced && !was_refused {
            let refused = self.refuse(edge, sequence, Refusal::Replaced);
            registered.refused.push(refused);
        }
        if !is_replaced && was_refused {
            // The document that was registered is back.
            self.note_registered(edge, sequence)?;
        }
        Ok(is_replaced)
    }
}

/// A time as the ledger keeps it.
pub(super) fn kept(created_us: u64) -> u64 {
    created_us.min(crate::catalog::NUMBER_MAX)
}
