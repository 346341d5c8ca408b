//! The workers that components are exchanged in.

#![allow(
    clippy::vec_box,
    reason = "a worker is handed a pipeline as a box: it pauses for a pointer, not for a copy"
)]

use super::ControlError;
use crate::{
    pipeline::{Pipeline, Tally},
    worker::{Exchange, Exchanged, Work},
};
use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};
use tokio::sync::{
    mpsc,
    oneshot::{Receiver, error::TryRecvError},
};

/// How long a worker may take to look for its pipeline: longer than it can be in a batch
/// that is cut into halves again and again.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks at a worker.
pub(super) const LOOK_EVERY: Duration = Duration::from_micros(200);

/// A worker, as components are exchanged in it.
#[derive(Clone, Debug)]
pub struct WorkerLink {
    /// Where its pipeline can be exchanged.
    pub exchange: Arc<Exchange>,
    /// Wakes it. Weak: a worker ends when there is nobody left to give it work.
    pub work: mpsc::WeakSender<Work>,
    /// What becomes of its packets.
    pub tally: Arc<Tally>,
}

/// All workers of an edge.
#[derive(Default)]
pub(super) struct Workers {
    links: Vec<WorkerLink>,
    /// A worker may not have taken back yet what it was given back.
    unsettled: bool,
}

impl Workers {
    pub(super) fn new(links: Vec<WorkerLink>) -> Self {
        Self {
            links,
            unsettled: false,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.links.len()
    }

    /// The one that had most packets since its pipeline was exchanged last: what serves all
    /// is best seen where the traffic is.
    pub(super) fn busiest(&self) -> Option<usize> {
        let packets = |link: &WorkerLink| link.tally.packets();
        let links = self.links.iter().enumerate();
        links
            .max_by_key(|(place, link)| (packets(link), usize::MAX - place))
            .map(|(place, _)| place)
    }

    /// Whether what workers had until their last exchange is surely what served: a worker that
    /// was given a pipeline back and had not come to take it may have had another.
    pub(super) fn take_settled(&mut self) -> bool {
        !std::mem::take(&mut self.unsettled)
    }

    /// Exchanges the pipelines of the workers at these places, all at the same time. If one
    /// does not take it, the others get theirs back.
    ///
    /// # Errors
    /// Names the worker that did not.
    pub(super) fn exchange(
        &mut self,
        places: &[usize],
        pipelines: Vec<Box<Pipeline>>,
    ) -> Result<Vec<Exchanged>, ControlError> {
        let tallies: Vec<Arc<Tally>> = pipelines.iter().map(|one| one.tally().clone()).collect();
        let mut offers: Vec<Receiver<Exchanged>> = places
            .iter()
            .zip(pipelines)
            .map(|(place, pipeline)| self.offer(*place, pipeline))
            .collect();
        let deadline = Instant::now() + PATIENCE;
        let mut exchanged: Vec<Exchanged> = Vec::with_capacity(offers.len());
        let mut stuck = None;
        for (at, offer) in offers.iter_mut().enumerate() {
            match wait(offer, deadline) {
                Ok(one) => {
                    metrics::histogram!("heplake_component_swap_pause_seconds")
                        .record(one.pause.as_secs_f64());
                    exchanged.push(one);
                }
                Err(is_stuck) => {
                    stuck = Some((at, is_stuck));
                    break;
                }
            }
        }
        let Some((at, is_stuck)) = stuck else {
            for (place, tally) in places.iter().zip(tallies) {
                self.links[*place].tally = tally;
            }
            return Ok(exchanged);
        };
        for place in &places[at..] {
            self.links[*place].exchange.withdraw();
        }
        // Some of the others have theirs by now, and the stuck one may have taken it at last:
        // an offer that was withdrawn is closed, and waits for nobody.
        let late = offers.iter_mut().skip(at);
        let late = late.map(|offer| wait(offer, Instant::now() + PATIENCE).ok());
        let have_theirs: Vec<_> = exchanged.into_iter().map(Some).chain(late).collect();
        for (place, one) in places.iter().zip(have_theirs) {
            if let Some(one) = one {
                self.give_back(*place, one.before);
            }
        }
        Err(match is_stuck {
            true => ControlError::WorkerStuck(places[at]),
            false => ControlError::Stopping,
        })
    }

    /// Gives a worker the pipeline that it had before. This is never withdrawn: one that is
    /// still in a batch takes it once that is done.
    pub(super) fn give_back(&mut self, place: usize, pipeline: Box<Pipeline>) {
        self.links[place].tally = pipeline.tally().clone();
        let mut offer = self.offer(place, pipeline);
        if wait(&mut offer, Instant::now() + PATIENCE).is_err() {
            self.unsettled = true;
            tracing::warn!(
                worker = place,
                "a worker is to take back what it had before, and is still in a batch: it takes it after that"
            );
        }
    }

    fn offer(&self, place: usize, pipeline: Box<Pipeline>) -> Receiver<Exchanged> {
        let link = &self.links[place];
        let answer = link.exchange.offer(pipeline);
        if let Some(work) = link.work.upgrade() {
            // A full queue is one that wakes it.
            let _ = work.try_send(Work::Wake);
        }
        answer
    }
}

/// Waits for a worker; the error says whether it is stuck rather than gone.
fn wait(offer: &mut Receiver<Exchanged>, deadline: Instant) -> Result<Exchanged, bool> {
    loop {
        match offer.try_recv() {
            Ok(exchanged) => return Ok(exchanged),
            Err(TryRecvError::Closed) => return Err(false),
            Err(TryRecvError::Empty) if Instant::now() >= deadline => return Err(true),
            Err(TryRecvError::Empty) => thread::sleep(LOOK_EVERY),
        }
    }
}
