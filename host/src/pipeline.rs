//! One worker's way from packets to rows of tables.
//!
//! ```text
//!  packets ─▶ envelope ─▶ by protocol type ─▶ parser ─▶ router ─▶ rows by table and date
//!                 │               │              └─ none ──▶ hep_proto_<N>_default, a column a field
//!                 │               └─ none ──▶ hep_proto_<N>_default
//!                 └─ refused ──▶ hep_rejected ◀── refused
//! ```
//!
//! Every packet that comes in goes out as at least one row, or is counted as set aside.
//! The pipeline knows no protocol, no socket and no file; time and chance are handed in.

mod groups;
mod opened;
mod payloads;
mod protocol;
mod repeats;
mod tally;
mod unfinished;
mod uuids;

pub use self::{protocol::PipelineError, tally::Tally, unfinished::Unfinished};

use self::{
    groups::{Groups, Unpacked, by_proto_type},
    opened::{Opened, Received, split_off},
    payloads::{Payloads, gather, of_one_batch},
    protocol::Protocol,
    repeats::Repeats,
    unfinished::UnfinishedPayloads,
    uuids::Uuids,
};
use crate::{
    batch::{PacketBatch, item_bounds},
    contained::{Breaker, ContainedParser, ContainedRouter, Items, Outcome},
    live_samples::LiveSamples,
    rows::{
        EnvelopeFields, NONE, Origin, PlanError, Refusal, Row, Space, TablePlan, TablePlans,
        TableRows, WHOLE,
    },
};
use heplake_format::{ComponentDigest, PartitionDate, Table, TableName};
use heplake_sdk::{Accepts, Cell};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use uuid::Uuid;

/// HEP's protocol type is one octet (HEP3 specification, chunk 0x000b). A number beyond
/// would make a table of its own, and there could be any number of them.
const PROTO_TYPE_MAX: u64 = 255;
/// The reason to refuse a packet with such a number.
const OUT_OF_RANGE: &str = "proto_type_out_of_range";
/// The reason to refuse what a stream ended with, though an envelope can read it: of a datagram
/// that is cut short, HEP takes what arrived. Who sent the rest of a packet to a connection that
/// broke sends all of it again to the next.
const UNFINISHED: &str = "truncated_packet";
/// The reason to refuse a packet that the envelope calls another's: there is no other.
const NOT_MINE: &str = "not_mine";

/// What a packet's own time is held against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeWindow {
    /// How far before its arrival a packet may have been seen.
    pub max_age: Duration,
    /// How far after its arrival a packet may claim to have been seen.
    pub max_skew: Duration,
}

impl Default for TimeWindow {
    /// Ten years back, for captures that are replayed; a day ahead, for clocks that are wrong.
    fn default() -> Self {
        const DAY: u64 = 24 * 60 * 60;
        Self {
            max_age: Duration::from_secs(3650 * DAY),
            max_skew: Duration::from_secs(DAY),
        }
    }
}

impl TimeWindow {
    /// The packet's time if it can be, else that of its arrival; µs since 1970.
    fn timestamp(&self, claimed: Cell, received: u64) -> i64 {
        let earliest = received.saturating_sub(self.max_age.as_micros() as u64);
        let latest = received.saturating_add(self.max_skew.as_micros() as u64);
        let possible =
            !claimed.is_null() && claimed.0 != 0 && (earliest..=latest).contains(&claimed.0);
        i64::try_from(if possible { claimed.0 } else { received }).unwrap_or(i64::MAX)
    }
}

/// One worker's pipeline.
pub struct Pipeline {
    envelope: ContainedParser,
    fields: EnvelopeFields,
    protocols: Vec<Protocol>,
    plans: TablePlans,
    defaults: BTreeMap<u32, TablePlan>,
    rejected: TablePlan,
    enveloped_by: Arc<[ComponentDigest]>,
    window: TimeWindow,
    store_keep_alives: bool,
    uuids: Uuids,
    tally: Arc<Tally>,
    samples: Option<Arc<LiveSamples>>,
}

impl Pipeline {
    /// Joins components to a pipeline. `seed` is where its UUIDs take their chance from.
    ///
    /// # Errors
    /// Says which components do not fit together, and why.
    pub fn new(
        envelope: ContainedParser,
        parsers: Vec<(ContainedParser, Option<ContainedRouter>)>,
        window: TimeWindow,
        store_keep_alives: bool,
        seed: u64,
    ) -> Result<Self, PipelineError> {
        let description = envelope.description();
        if description.accepts != Accepts::Datagrams || !description.context.is_empty() {
            return Err(PipelineError::Accepts(description.name.clone()));
        }
        let fields = EnvelopeFields::of(description)?;
        let plans = TablePlans::new(description);
        let rejected = plans.rejected()?;
        // The envelope must have what the default tables are made of, whatever comes.
        plans.of_protocol(0)?;
        let mut defaults = BTreeMap::new();
        let mut protocols: Vec<Protocol> = Vec::with_capacity(parsers.len());
        for (parser, router) in parsers {
            let protocol = Protocol::new(&envelope, parser, router, &plans)?;
            for proto_type in &protocol.proto_types {
                if protocols
                    .iter()
                    .any(|other| other.proto_types.contains(proto_type))
                {
                    return Err(PipelineError::Doubled(*proto_type));
                }
            }
            protocols.push(protocol);
        }
        let mut tables: BTreeMap<&TableName, &Table> = BTreeMap::new();
        for table in protocols.iter().flat_map(|protocol| &protocol.plans) {
            let table = table.table();
            if *tables.entry(&table.name).or_insert(table) != table {
                return Err(PipelineError::Table(table.name.clone()));
            }
        }
        for proto_type in 0..=PROTO_TYPE_MAX as u32 {
            if let Some(table) = tables.get(&TableName::of_protocol(proto_type)) {
                defaults.insert(proto_type, plans.of_protocol_like(proto_type, table)?);
            }
        }
        Ok(Self {
            enveloped_by: [envelope.named().clone()].into(),
            envelope,
            fields,
            protocols,
            plans,
            defaults,
            rejected,
            window,
            store_keep_alives,
            uuids: Uuids::new(seed),
            tally: Arc::default(),
            samples: None,
        })
    }

    /// Has it keep samples of what passes.
    #[must_use]
    pub fn sampled(mut self, samples: Arc<LiveSamples>) -> Self {
        self.samples = Some(samples);
        self
    }

    /// The tables that components decide on, with all their columns: not those of protocol
    /// types without a parser, which are the storage layout's.
    pub fn tables(&self) -> impl Iterator<Item = &Table> {
        let plans = self.protocols.iter().flat_map(|protocol| &protocol.plans);
        plans.map(TablePlan::table)
    }

    /// What became of its packets.
    #[must_use]
    pub fn tally(&self) -> &Arc<Tally> {
        &self.tally
    }

    /// Begins to count anew: golden packets that it was warmed up with are no traffic.
    pub(crate) fn count_anew(&mut self) {
        self.tally = Arc::default();
    }

    /// Memory of all its instances, in bytes.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        let protocols = self.protocols.iter().map(Protocol::memory_bytes);
        (self.envelope.memory_bytes() + protocols.sum::<usize>()) as u64
    }

    /// Takes the place of another pipeline of the same worker: its UUIDs go on rising.
    pub fn succeed(&mut self, before: &mut Self) {
        std::mem::swap(&mut self.uuids, &mut before.uuids);
    }

    /// Turns packets into rows, and hands them to `write` by table and date.
    ///
    /// # Errors
    /// Only what `write` fails with, or a fault of this program: input cannot fail it.
    pub fn process<E: From<PlanError>>(
        &mut self,
        batch: PacketBatch,
        mut write: impl FnMut(TableRows<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut unfinished = self.process_until_cut_off(batch, &mut write)?;
        while let Some(left) = unfinished {
            self.expect_no_successor();
            unfinished = self.go_on(left, &mut write)?;
        }
        Ok(())
    }

    /// Turns packets into rows until a component is cut off whose version before is about to take
    /// over. Gives the part of the batch that it leaves to the pipeline of that version.
    ///
    /// # Errors
    /// Only what `write` fails with, or a fault of this program: input cannot fail it.
    pub fn process_until_cut_off<E: From<PlanError>>(
        &mut self,
        batch: PacketBatch,
        write: &mut impl FnMut(TableRows<'_>) -> Result<(), E>,
    ) -> Result<Option<Unfinished>, E> {
        self.tally.count_packets(batch.len());
        let unfinished = Unfinished {
            payloads: None,
            packets: Some(batch),
        };
        self.go_on(unfinished, write)
    }

    /// Goes on with what another pipeline has left of a batch. Gives what this one leaves in its
    /// turn.
    ///
    /// # Errors
    /// Only what `write` fails with, or a fault of this program: input cannot fail it.
    pub fn go_on<E: From<PlanError>>(
        &mut self,
        unfinished: Unfinished,
        write: &mut impl FnMut(TableRows<'_>) -> Result<(), E>,
    ) -> Result<Option<Unfinished>, E> {
        let mut payloads = match unfinished.payloads {
            Some(left) => self.finish_payloads(left, write)?,
            None => None,
        };
        let mut packets = unfinished.packets;
        while payloads.is_none()
            && let Some(batch) = packets.take()
        {
            (payloads, packets) = self.process_first(batch, write)?;
            if self.envelope.is_cut_off() {
                break;
            }
        }
        if payloads.is_some() || packets.is_some() {
            return Ok(Some(Unfinished { payloads, packets }));
        }
        self.tally.count_batch();
        Ok(None)
    }

    /// Turns as many of the first packets into rows as one batch may give rows. Gives the
    /// payloads that are left to the next pipeline, and the other packets.
    fn process_first<E: From<PlanError>>(
        &mut self,
        mut batch: PacketBatch,
        write: &mut impl FnMut(TableRows<'_>) -> Result<(), E>,
    ) -> Result<(Option<UnfinishedPayloads>, Option<PacketBatch>), E> {
        let packets = Space::new(std::mem::take(&mut batch.bytes));
        let mut envelope = self.envelope.parse(&Items {
            bytes: packets.bytes(),
            ends: &batch.ends,
            received: &batch.received,
            ..Items::default()
        });
        let first = self.envelope.answered(&envelope);
        let others = split_off(&mut batch, packets.bytes(), first);
        let envelope_scratch = Space::new(envelope.take_scratch());
        let opened = Opened {
            packets,
            envelope_scratch,
            envelope,
            batch,
        };
        let received = opened.received();

        let unpacked = self.unpacked(&received);
        if let Some(samples) = &self.samples {
            samples.offer(
                received.batch,
                received.packets.bytes(),
                unpacked.iter().map(|one| (one.row.packet, one.proto_type)),
            );
        }
        self.write_refused(&received, write)?;
        let payloads = self.parse_payloads(&received, &unpacked, write)?;
        let left = (!payloads.is_empty()).then(|| UnfinishedPayloads {
            opened,
            payloads,
            envelope: self.envelope.description().clone(),
            enveloped_by: self.enveloped_by.clone(),
        });
        Ok((left, others))
    }

    /// Has payloads parsed and routed. Gives those that are left to the next pipeline, since their
    /// parser or router was cut off.
    fn parse_payloads<E: From<PlanError>>(
        &mut self,
        received: &Received<'_>,
        unpacked: &[Unpacked],
        write: &mut impl FnMut(TableRows<'_>) -> Result<(), E>,
    ) -> Result<Vec<Unpacked>, E> {
        let mut groups = Groups::of(unpacked, &self.protocols);
        let mut unfinished = Vec::new();
        for index in 0..self.protocols.len() {
            let group = std::mem::take(&mut groups.by_protocol[index]);
            let mut left = group.as_slice();
            while !left.is_empty() {
                let (first, others) = self.parse_first(index, received, left, write)?;
                groups.without_parser.extend(others);
                left = left.get(first..).unwrap_or_default();
                if self.protocols[index].is_cut_off() {
                    unfinished.extend_from_slice(left);
                    break;
                }
            }
        }
        if !groups.without_parser.is_empty() {
            self.write_unparsed(received, &groups.without_parser, write)?;
        }
        Ok(unfinished)
    }

    /// What cuts its components off.
    fn breakers(&self) -> Vec<&Arc<Breaker>> {
        let protocols = self.protocols.iter().flat_map(Protocol::breakers);
        std::iter::once(self.envelope.breaker())
            .chain(protocols)
            .collect()
    }

    /// The envelope's rows, with what the host reads of them.
    fn unpacked(&mut self, received: &Received<'_>) -> Vec<Unpacked> {
        let fields = self.fields;
        let mut unpacked = Vec::with_capacity(received.envelope.rows());
        for (index, &packet) in received.envelope.items().iter().enumerate() {
            if received.batch.unfinished.contains(&packet) {
                continue;
            }
            let arrived = received.arrived(packet);
            let claimed = received.envelope.cell(index, fields.timestamp);
            let proto_type = received.envelope.cell(index, fields.proto_type);
            unpacked.push(Unpacked {
                row: Row {
                    packet,
                    envelope: index as u32,
                    payload: NONE,
                    refusal: NONE,
                    timestamp: self.window.timestamp(claimed, arrived),
                    uuid: Uuid::nil(),
                    envelope_text_max: WHOLE,
                },
                payload: received.envelope.cell(index, fields.payload),
                // Without a type it is of type 0, which no specification gives away.
                proto_type: if proto_type.is_null() {
                    0
                } else {
                    proto_type.0
                },
            });
        }
        unpacked
    }

    /// Packets that the envelope gave no row for.
    fn write_refused<E: From<PlanError>>(
        &mut self,
        received: &Received<'_>,
        write: &mut impl FnMut(TableRows<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let (mut refusals, mut refused) = (Vec::new(), Vec::new());
        let mut rows = Vec::new();
        for packet in 0..received.batch.len() {
            let outcome = self.envelope.outcome(received.envelope.verdicts(), packet);
            let outcome = match received.batch.unfinished.contains(&(packet as u32)) {
                true if outcome == Outcome::Parsed => Outcome::Refused(UNFINISHED),
                _ => outcome,
            };
            let Some(reason) = refusal(outcome, self.store_keep_alives, &self.envelope) else {
                continue;
            };
            if !matches!(outcome, Outcome::Aside(_)) {
                refused.push(packet as u32);
            }
            let (start, end) = item_bounds(&received.batch.ends, packet);
            let refusal = refusals.len() as u32;
            refusals.push(Refusal {
                reason,
                component: self.envelope.label().clone(),
                bytes: Cell::span(start as u32, (end - start) as u32),
                packet: true,
            });
            let arrived = received.arrived(packet as u32);
            rows.push(Row {
                packet: packet as u32,
                envelope: NONE,
                payload: NONE,
                refusal,
                timestamp: self.window.timestamp(Cell::NULL, arrived),
                uuid: Uuid::nil(),
                envelope_text_max: WHOLE,
            });
        }
        if rows.is_empty() {
            return Ok(());
        }
        received.tell_refused(&refused, &self.tally, self.samples.as_deref());
        let nothing = Space::new(Vec::new());
        let origin = received.origin(&self.fields, None, &nothing, &nothing, &refusals);
        let made_by = &self.enveloped_by;
        write_rows(
            &origin,
            &self.rejected,
            made_by,
            rows,
            &mut self.uuids,
            write,
        )
    }

    /// Has the first of one protocol's payloads parsed and routed: as many as make a batch,
    /// and as one may give rows. Says how many, and gives back those that are not its.
    fn parse_first<E: From<PlanError>>(
        &mut self,
        index: usize,
        received: &Received<'_>,
        group: &[Unpacked],
        write: &mut impl FnMut(TableRows<'_>) -> Result<(), E>,
    ) -> Result<(usize, Vec<Unpacked>), E> {
        let Self {
            protocols,
            rejected,
            fields,
            uuids,
            store_keep_alives,
            tally,
            samples,
            ..
        } = self;
        let Some(Protocol {
            parser,
            router,
            plans,
            context,
            reads,
            proto_types,
            rows_by,
            refused_by,
        }) = protocols.get_mut(index)
        else {
            return Ok((group.len(), Vec::new()));
        };
        let group = group.get(..of_one_batch(group)).unwrap_or(group);
        let payloads = Payloads::of(group, received, context);
        let mut parsed = parser.parse(&payloads.items());
        let mut first = parser.answered(&parsed);
        let scratch = Space::new(parsed.take_scratch());
        let tables = match router {
            Some(router) => {
                let fields = gather(&parsed, reads, payloads.space.bytes(), scratch.bytes());
                router.route(fields.quoted(), parsed.rows())
            }
            None => {
                let table = |item: &u32| {
                    let proto_type = group.get(*item as usize)?.proto_type;
                    let at = proto_types
                        .iter()
                        .position(|t| u64::from(*t) == proto_type)?;
                    u32::try_from(at).ok()
                };
                parsed.items().iter().map(table).collect()
            }
        };
        // A router that was cut off has not answered for the rows of this payload and of those
        // behind it.
        if let Some(&item) = parsed.items().get(tables.len()) {
            first = first.min(item as usize);
        }
        let group = group.get(..first).unwrap_or(group);

        let mut others = Vec::new();
        let mut refusals = Vec::new();
        let (mut refused, mut stored) = (Vec::new(), Vec::new());
        for (item, unpacked) in group.iter().enumerate() {
            let outcome = parser.outcome(parsed.verdicts(), item);
            if outcome == Outcome::NotMine {
                others.push(*unpacked);
            } else if let Some(reason) = refusal(outcome, *store_keep_alives, parser) {
                if !matches!(outcome, Outcome::Aside(_)) {
                    refused.push(unpacked.row.packet);
                }
                let (start, end) = item_bounds(&payloads.ends, item);
                stored.push(Row {
                    refusal: refusals.len() as u32,
                    ..unpacked.row
                });
                refusals.push(Refusal {
                    reason,
                    component: parser.label().clone(),
                    bytes: Cell::span(start as u32, (end - start) as u32),
                    packet: false,
                });
            }
        }

        let mut by_table: Vec<Vec<Row>> = vec![Vec::new(); plans.len()];
        let mut last_unrouted = None;
        let mut repeats = Repeats::of(&parsed);
        for (payload, (&item, table)) in parsed.items().iter().zip(tables).enumerate() {
            let Some(unpacked) = group.get(item as usize) else {
                continue;
            };
            let envelope_text_max = repeats.next(payload);
            match table.and_then(|table| by_table.get_mut(table as usize)) {
                Some(rows) => rows.push(Row {
                    payload: payload as u32,
                    envelope_text_max,
                    ..unpacked.row
                }),
                // Its payload is stored whole, once, however many rows it gave.
                None if last_unrouted != Some(item) => {
                    last_unrouted = Some(item);
                    others.push(*unpacked);
                }
                None => {}
            }
        }

        let origin = received.origin(fields, Some(&parsed), &payloads.space, &scratch, &refusals);
        for (plan, rows) in plans.iter().zip(by_table) {
            write_rows(&origin, plan, rows_by, rows, uuids, write)?;
        }
        received.tell_refused(&refused, tally, samples.as_deref());
        write_rows(&origin, rejected, refused_by, stored, uuids, write)?;
        if !others.is_empty() {
            tally.count_passed_over(others.len());
        }
        Ok((group.len(), others))
    }

    /// Payloads without a parser, by protocol type.
    fn write_unparsed<E: From<PlanError>>(
        &mut self,
        received: &Received<'_>,
        group: &[Unpacked],
        write: &mut impl FnMut(TableRows<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let nothing = Space::new(Vec::new());
        let (by_type, out_of_range) = by_proto_type(group);
        let mut refusals = Vec::with_capacity(out_of_range.len());
        let mut refused: Vec<Row> = Vec::with_capacity(out_of_range.len());
        for unpacked in out_of_range {
            let packet = unpacked.row.packet;
            let (start, end) = item_bounds(&received.batch.ends, packet as usize);
            // All bytes of a packet once, however many rows of it are refused.
            let bytes = match refused.last() {
                Some(Row { packet: last, .. }) if *last == packet => unpacked.payload,
                _ => Cell::span(start as u32, (end - start) as u32),
            };
            refused.push(Row {
                refusal: refusals.len() as u32,
                ..unpacked.row
            });
            refusals.push(Refusal {
                reason: OUT_OF_RANGE.into(),
                component: self.envelope.label().clone(),
                bytes,
                packet: true,
            });
        }
        if !refused.is_empty() {
            count_refused(&self.envelope, OUT_OF_RANGE, refused.len());
            let packets: Vec<u32> = refused.iter().map(|row| row.packet).collect();
            received.tell_refused(&packets, &self.tally, self.samples.as_deref());
        }
        let origin = received.origin(&self.fields, None, &nothing, &nothing, &refusals);
        for (proto_type, rows) in by_type {
            if let std::collections::btree_map::Entry::Vacant(vacant) =
                self.defaults.entry(proto_type)
            {
                let plan = self.plans.of_protocol(proto_type);
                vacant.insert(plan?);
            }
            if let Some(plan) = self.defaults.get(&proto_type) {
                write_rows(
                    &origin,
                    plan,
                    &self.enveloped_by,
                    rows,
                    &mut self.uuids,
                    write,
                )?;
            }
        }
        let made_by = &self.enveloped_by;
        write_rows(
            &origin,
            &self.rejected,
            made_by,
            refused,
            &mut self.uuids,
            write,
        )
    }
}

/// The reason to store an item as rejected, if it is to be; counts it either way.
fn refusal(
    outcome: Outcome<'_>,
    store_keep_alives: bool,
    parser: &ContainedParser,
) -> Option<String> {
    let reason = match outcome {
        Outcome::Parsed => return None,
        Outcome::NotMine => NOT_MINE,
        Outcome::Refused(reason) => reason,
        Outcome::Faulted(kind) => kind,
        Outcome::Aside(kind) => {
            metrics::counter!("heplake_packets_set_aside_total",
                "component" => parser.named().name.clone(), "kind" => kind.to_owned())
            .increment(1);
            return store_keep_alives.then(|| kind.into());
        }
    };
    count_refused(parser, reason, 1);
    Some(reason.into())
}

fn count_refused(parser: &ContainedParser, reason: &str, packets: usize) {
    metrics::counter!("heplake_packets_refused_total",
        "component" => parser.named().name.clone(), "reason" => reason.to_owned())
    .increment(packets as u64);
}

/// Hands rows on, those of each date for themselves.
fn write_rows<E: From<PlanError>>(
    origin: &Origin<'_>,
    plan: &TablePlan,
    made_by: &Arc<[ComponentDigest]>,
    mut rows: Vec<Row>,
    uuids: &mut Uuids,
    write: &mut impl FnMut(TableRows<'_>) -> Result<(), E>,
) -> Result<(), E> {
    for row in &mut rows {
        row.uuid = uuids.next(
            origin
                .received
                .get(row.packet as usize)
                .copied()
                .unwrap_or(0),
        );
    }
    let date = |row: &Row| PartitionDate::of_micros(row.timestamp);
    while let Some(first) = rows.first().map(date) {
        let later = match rows.iter().position(|row| date(row) != first) {
            // Nearly always: all of one day.
            None => Vec::new(),
            Some(_) => rows.extract_if(.., |row| date(row) != first).collect(),
        };
        write(TableRows {
            plan,
            date: first,
            made_by,
            origin,
            rows: &rows,
        })?;
        rows = later;
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests;
