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
    thread,
    time::{Duration, Instant},
};
use tokio::sync::oneshot;

/// How long a worker keeps a batch for the version that takes over from one that was cut off.
/// That takes some 20 ms; longer only if the version before has to be compiled first. Meanwhile
/// packets wait in the worker's queue, and then at the socket.
const SUCCESSOR_WITHIN: Duration = Duration::from_secs(2);
/// Time between two looks for it.
const LOOK_EVERY: Duration = Duration::from_micros(500);

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

impl Exchange {
    /// Waits until the pipeline of the version that takes over is there, and takes it. Without
    /// one in time the worker goes on with the pipeline that it has, which stores raw what its
    /// component was cut off from.
    pub(crate) fn await_successor(&self, pipeline: &mut Box<Pipeline>) {
        let (taken, began) = (self.taken(), Instant::now());
        loop {
            self.meet(pipeline);
            if self.taken() != taken || !pipeline.awaits_successor() {
                return;
            }
            if began.elapsed() >= SUCCESSOR_WITHIN {
                pipeline.expect_no_successor();
                tracing::warn!(
                    "the version before a component that was cut off does not take over in time: payloads are stored raw until it does"
                );
                return;
            }
            thread::sleep(LOOK_EVERY);
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
