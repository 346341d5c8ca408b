//! Where a worker meets whoever has another pipeline for it.
//!
//! Not the worker's queue: under load that is full, and a component that does harm must be
//! gone within a batch. The worker looks here between two batches, at the cost of reading
//! a flag.

use crate::pipeline::Pipeline;
use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::oneshot;

/// Where one worker's pipeline can be exchanged.
#[derive(Default)]
pub struct Exchange {
    waiting: AtomicBool,
    offer: Mutex<Option<Offer>>,
    taken: AtomicU64,
}

struct Offer {
    pipeline: Box<Pipeline>,
    reply: oneshot::Sender<Exchanged>,
}

/// A pipeline that was exchanged.
pub struct Exchanged {
    /// The worker's before.
    pub before: Box<Pipeline>,
    /// How long the exchange itself took. What the first batch takes longer than others, on
    /// instances that no cache knows, is not in it.
    pub pause: Duration,
}

impl Exchange {
    /// Offers a pipeline; the answer comes once the worker has taken it, between two batches.
    /// An offer that was not taken yet is withdrawn.
    pub fn offer(&self, pipeline: Box<Pipeline>) -> oneshot::Receiver<Exchanged> {
        let (reply, answer) = oneshot::channel();
        let offer = Some(Offer { pipeline, reply });
        *self.offer.lock().unwrap_or_else(PoisonError::into_inner) = offer;
        self.waiting.store(true, Ordering::Release);
        answer
    }

    /// Withdraws what is offered, if it was not taken yet.
    pub fn withdraw(&self) {
        drop(
            self.offer
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take(),
        );
    }

    /// Pipelines that were taken so far: whoever counts before and after a batch knows whether
    /// it was the first of another pipeline.
    #[must_use]
    pub fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }

    /// Takes what is offered in the place of `pipeline`.
    pub(crate) fn meet(&self, pipeline: &mut Box<Pipeline>) {
        if !self.waiting.load(Ordering::Acquire) {
            return;
        }
        let started = Instant::now();
        self.waiting.store(false, Ordering::Relaxed);
        let offer = self
            .offer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(mut offer) = offer {
            offer.pipeline.succeed(pipeline);
            let before = std::mem::replace(pipeline, offer.pipeline);
            self.taken.fetch_add(1, Ordering::Relaxed);
            let pause = started.elapsed();
            // Nobody waits only when the process is on its way out.
            let _ = offer.reply.send(Exchanged { before, pause });
        }
    }
}

impl std::fmt::Debug for Exchange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let waiting = self.waiting.load(Ordering::Relaxed);
        f.debug_struct("Exchange")
            .field("waiting", &waiting)
            .finish()
    }
}
