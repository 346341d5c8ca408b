//! A parser in the sandbox, given samples.

use heplake_host::{
    BATCH_PACKETS_MAX, ComponentError, Fault, Items, Parse, Parser, ParserComponent, Quoted,
};
use heplake_sdk::{
    Batch, Parsed,
    samples::{self, Answer, Sample, SampleError},
};

/// A parser under trial.
pub(super) struct Trial<'a> {
    component: &'a ParserComponent,
    instance: Parser,
}

/// Why a sample has no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum TrialError {
    /// It cannot be given to this parser.
    #[error(transparent)]
    Sample(#[from] SampleError),
    /// The parser faulted.
    #[error("the component {0}")]
    Fault(Fault),
    /// No instance can be made.
    #[error(transparent)]
    Component(#[from] ComponentError),
}

impl<'a> Trial<'a> {
    /// Makes the first instance.
    pub(super) fn new(component: &'a ParserComponent) -> Result<Self, ComponentError> {
        let instance = component.instantiate()?;
        Ok(Self {
            component,
            instance,
        })
    }

    /// What it says of a sample that is alone in its batch.
    pub(super) fn answer(&mut self, sample: &Sample) -> Result<Answer, TrialError> {
        let mut answers = self.answer_together(&[sample])?;
        // The validator has seen to it that there is one for each item.
        answers.pop().ok_or_else(|| {
            let reason = "no answer".into();
            TrialError::Fault(Fault::Trap(reason))
        })
    }

    /// What it says of samples that stand in one batch.
    pub(super) fn answer_together(
        &mut self,
        samples: &[&Sample],
    ) -> Result<Vec<Answer>, TrialError> {
        let description = self.component.description();
        let mut answers = Vec::with_capacity(samples.len());
        for samples in samples.chunks(BATCH_PACKETS_MAX) {
            let batch = samples::batch(samples, description)?;
            let parsed = self.parse(&batch)?;
            answers.extend(samples::answers(description, &batch, &parsed));
        }
        Ok(answers)
    }

    /// Has a batch parsed. After a fault the instance is another one.
    pub(super) fn parse(&mut self, batch: &Batch<'_>) -> Result<Parsed, TrialError> {
        let checked = Parse::parse(&mut self.instance, &items(batch));
        match checked {
            Ok(checked) => Ok(Parsed {
                cells: (0..checked.rows())
                    .flat_map(|row| checked.row(row).iter().copied())
                    .collect(),
                items: checked.items().to_vec(),
                verdicts: checked.verdicts().to_vec(),
                scratch: checked.scratch().to_vec(),
            }),
            Err(fault) => {
                self.instance = self.component.instantiate()?;
                Err(TrialError::Fault(fault))
            }
        }
    }

    /// Has a batch parsed for the time that it takes, and for nothing else.
    pub(super) fn drive(&mut self, batch: &Batch<'_>) -> Result<usize, TrialError> {
        let checked = Parse::parse(&mut self.instance, &items(batch));
        checked
            .map(|checked| checked.rows())
            .map_err(TrialError::Fault)
    }
}

fn items<'a>(batch: &'a Batch<'_>) -> Items<'a> {
    Items {
        bytes: &batch.bytes,
        ends: &batch.ends,
        received: &batch.received,
        context: Quoted {
            cells: &batch.context,
            bytes: &batch.context_bytes,
            ..Quoted::default()
        },
    }
}
