//! What a pipeline makes of golden packets: rows as text, to be compared.

use super::{ComponentSet, ComponentsError, PipelineOptions, corpus::Corpus};
use crate::{
    pipeline::Pipeline,
    rows::{PlanError, TableRows},
};
use heplake_format::{ColumnType, ComponentDigest, TableName};
use nix::time::{ClockId, clock_gettime};
use serde_json::Value;
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// Rounds that are timed, in turns; the quickest counts.
const ROUNDS: usize = 3;

/// Chance of a trial: none, so that a trial can be repeated.
const SEED: u64 = 1;

/// A row: its columns by name, the members of an object each for itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RenderedRow {
    pub(super) table: TableName,
    /// The place of its payload among those of its packet.
    pub(super) payload: usize,
    /// The components that it is of.
    pub(super) made_by: Arc<[ComponentDigest]>,
    pub(super) values: BTreeMap<String, String>,
}

impl RenderedRow {
    /// Whether it stands for bytes that no component has read: a payload that no parser takes is
    /// stored raw, and only the envelope has made its row; what is refused is stored as it came.
    pub(super) fn is_unread(&self) -> bool {
        self.made_by.len() < 2 || self.is_rejected()
    }

    /// Whether its packet or payload is refused.
    pub(super) fn is_rejected(&self) -> bool {
        self.table == TableName::rejected()
    }
}

/// What a pipeline made of golden packets.
#[derive(Debug)]
pub(super) struct Replayed {
    /// For each packet, its rows.
    pub(super) rows: Vec<Vec<RenderedRow>>,
    /// Rows of `hep_rejected` among them.
    pub(super) rejected: u64,
    /// Faults of all its components.
    pub(super) faults: u64,
    /// Memory of its instances, in bytes.
    pub(super) memory_bytes: u64,
}

/// A pipeline that is tried.
pub(super) struct Trial {
    set: ComponentSet,
    pipeline: Pipeline,
}

impl Trial {
    /// Makes a pipeline whose faults count for nothing outside of the trial.
    pub(super) fn new(
        set: &ComponentSet,
        options: &PipelineOptions,
    ) -> Result<Self, ComponentsError> {
        let set = set.afresh();
        let options = PipelineOptions {
            samples: None,
            ..options.clone()
        };
        let pipeline = quietly(|| set.pipeline(&options, SEED))?;
        Ok(Self { set, pipeline })
    }

    /// The pipeline.
    pub(super) fn pipeline(&self) -> &Pipeline {
        &self.pipeline
    }

    /// Runs golden packets through it.
    pub(super) fn replay(&mut self, corpus: &Corpus) -> Replayed {
        let mut rows = Vec::with_capacity(corpus.len());
        for batch in corpus.batches() {
            let first = rows.len();
            rows.resize_with(first + batch.len(), Vec::new);
            let of_batch = &mut rows[first..];
            let write = |table: TableRows<'_>| -> Result<(), PlanError> {
                render(&table, of_batch);
                Ok(())
            };
            // Only `write` can fail, and this one does not.
            let _ = quietly(|| self.pipeline.process(batch.clone(), write));
        }
        let rejected = rows.iter().flatten().filter(|row| row.is_rejected());
        let rejected = rejected.count() as u64;
        let versions = self.set.versions();
        Replayed {
            rejected,
            faults: versions.map(|version| version.breaker().faults()).sum(),
            memory_bytes: self.pipeline.memory_bytes(),
            rows,
        }
    }

    /// Time of the processor that each of two takes for a packet of these, ns: that of its
    /// quickest round.
    pub(super) fn ns_per_packet(mut sides: [&mut Self; 2], corpus: &Corpus) -> [f64; 2] {
        let mut quickest = [Duration::MAX; 2];
        for _ in 0..ROUNDS {
            for (side, quickest) in sides.iter_mut().zip(&mut quickest) {
                let pipeline = &mut side.pipeline;
                *quickest = (*quickest).min(quietly(|| run(pipeline, corpus)));
            }
        }
        quickest.map(|quickest| quickest.as_nanos() as f64 / corpus.len().max(1) as f64)
    }
}

/// Runs golden packets through a pipeline that is going to serve, so that the memory of its
/// instances is there when the first batch comes.
pub(super) fn warm_up(pipeline: &mut Pipeline, corpus: &Corpus) {
    quietly(|| run(pipeline, corpus));
}

fn run(pipeline: &mut Pipeline, corpus: &Corpus) -> Duration {
    let mut taken = Duration::ZERO;
    for batch in corpus.batches() {
        let batch = batch.clone();
        let started = processor_time();
        let _ = pipeline.process(batch, |_| Ok::<(), PlanError>(()));
        taken += processor_time().saturating_sub(started);
    }
    taken
}

/// What this thread has had of the processor: a machine that is busy with packets makes no
/// component slower. Nothing where the machine does not count it.
fn processor_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}

/// Does something that is neither counted nor logged: golden packets are no traffic.
fn quietly<T>(work: impl FnOnce() -> T) -> T {
    let nowhere = tracing::subscriber::NoSubscriber::default();
    tracing::subscriber::with_default(nowhere, || {
        metrics::with_local_recorder(&metrics::NoopRecorder, work)
    })
}

fn render(rows: &TableRows<'_>, packets: &mut [Vec<RenderedRow>]) {
    let table = rows.plan.table();
    let mut rendered = vec![BTreeMap::new(); rows.len()];
    for (column, values) in rows.as_text() {
        let name = column.name.as_str();
        // Chance, and who refused: another digest is not another row.
        let differs_by_itself =
            name == "uuid" || (name == "component" && table.name == TableName::rejected());
        for (row, value) in rendered.iter_mut().zip(values) {
            match value {
                Some(_) if differs_by_itself => {}
                Some(value) if column.column_type == ColumnType::Json => {
                    members(name, &value, row);
                }
                Some(value) => {
                    row.insert(name.into(), value);
                }
                None => {}
            }
        }
    }
    for (index, values) in rendered.into_iter().enumerate() {
        if let Some(packet) = packets.get_mut(rows.packet(index)) {
            packet.push(RenderedRow {
                table: table.name.clone(),
                payload: rows.payload_of_packet(index),
                made_by: rows.made_by.clone(),
                values,
            });
        }
    }
}

/// The members of an object, each under a name of its own.
fn members(name: &str, json: &str, row: &mut BTreeMap<String, String>) {
    match serde_json::from_str(json) {
        Ok(Value::Object(object)) => {
            for (key, value) in object {
                row.insert(format!("{name}.{key}"), value.to_string());
            }
        }
        _ => {
            row.insert(name.into(), json.into());
        }
    }
}
