//! The part of a batch that a pipeline leaves to its successor.
//!
//! A breaker trips in the middle of a batch. If the component has a version before it, that
//! version takes over within some milliseconds, as a pipeline of its own. Until then nothing is
//! stored raw: the packets that nobody has opened yet, and the payloads that nobody has parsed
//! yet, wait here for the next pipeline of the same worker.

use super::{
    Pipeline, TableRows,
    groups::{Unpacked, by_proto_type},
    opened::Opened,
    write_rows,
};
use crate::{
    batch::PacketBatch,
    rows::{EnvelopeFields, PlanError, Space, TablePlans},
};
use heplake_format::ComponentDigest;
use heplake_sdk::Description;
use std::sync::Arc;

/// The part of a batch that waits for the pipeline that takes over.
pub struct Unfinished {
    pub(super) payloads: Option<UnfinishedPayloads>,
    /// Packets that the envelope has not answered for.
    pub(super) packets: Option<PacketBatch>,
}

/// Payloads of an opened batch whose parser or router was cut off before it answered for them.
pub(super) struct UnfinishedPayloads {
    pub(super) opened: Opened,
    pub(super) payloads: Vec<Unpacked>,
    /// The envelope that opened them: rows name its fields by their places.
    pub(super) envelope: Description,
    pub(super) enveloped_by: Arc<[ComponentDigest]>,
}

impl Pipeline {
    /// Whether one of its components was cut off, and the version before is about to take over.
    #[must_use]
    pub fn awaits_successor(&self) -> bool {
        let breakers = self.breakers();
        breakers
            .into_iter()
            .any(|breaker| breaker.awaits_successor())
    }

    /// No version takes over in time: what its components were cut off from is stored raw.
    pub fn expect_no_successor(&self) {
        for breaker in self.breakers() {
            if breaker.is_tripped() {
                breaker.expect_successor(false);
            }
        }
    }

    /// Goes on with the payloads that the pipeline before has left. Gives those that this one
    /// leaves in its turn.
    pub(super) fn finish_payloads<E: From<PlanError>>(
        &mut self,
        left: UnfinishedPayloads,
        write: &mut impl FnMut(TableRows<'_>) -> Result<(), E>,
    ) -> Result<Option<UnfinishedPayloads>, E> {
        // Another version of the envelope may have the same fields.
        if self.envelope.description().fields != left.envelope.fields {
            self.store_raw(&left, write)?;
            return Ok(None);
        }
        let payloads = self.parse_payloads(&left.opened.received(), &left.payloads, write)?;
        Ok((!payloads.is_empty()).then_some(UnfinishedPayloads { payloads, ..left }))
    }

    /// Stores payloads raw that an envelope with other fields has opened: this pipeline's parsers
    /// cannot find in its rows what they ask for.
    fn store_raw<E: From<PlanError>>(
        &mut self,
        left: &UnfinishedPayloads,
        write: &mut impl FnMut(TableRows<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let (plans, nothing) = (TablePlans::new(&left.envelope), Space::new(Vec::new()));
        let fields = EnvelopeFields::of(&left.envelope)?;
        let received = left.opened.received();
        let origin = received.origin(&fields, None, &nothing, &nothing, &[]);
        // Parsers accept numbers within bounds only, and these payloads had one.
        let (rows, _) = by_proto_type(&left.payloads);
        for (proto_type, rows) in rows {
            let plan = plans.of_protocol(proto_type)?;
            write_rows(
                &origin,
                &plan,
                &left.enveloped_by,
                rows,
                &mut self.uuids,
                write,
            )?;
        }
        Ok(())
    }
}
