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
pub(super) struct Workers {
    links: Vec<WorkerLink>,
    /// What was given back to workers at these places, which they have not taken yet.
    given_back: Vec<(usize, Receiver<Exchanged>)>,
    /// How long a worker may take.
    patience: Duration,
}

impl Default for Workers {
    fn default() -> Self {
        Self::new(Vec::new())
    }
}

impl Workers {
    pub(super) fn new(links: Vec<WorkerLink>) -> Self {
        Self {
            links,
            given_back: Vec::new(),
            patience: PATIENCE,
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

    /// Exchanges the pipelines of the workers at these places, all at the same time. If one
    /// does not take it, the others get theirs back. One that has not taken back yet what it
    /// was given back is offered nothing: it would come to nothing but what it should not have.
    ///
    /// # Errors
    /// Names the worker that did not.
    pub(super) fn exchange(
        &mut self,
        places: &[usize],
        pipelines: Vec<Box<Pipeline>>,
    ) -> Result<Vec<Exchanged>, ControlError> {
        let deadline = Instant::now() + self.patience;
        for at in (0..self.given_back.len()).rev() {
            let (place, answer) = &mut self.given_back[at];
            if !places.contains(place) {
                continue;
            }
            if matches!(wait(answer, deadline), Err(true)) {
                return Err(ControlError::WorkerStuck(*place));
            }
            self.given_back.remove(at);
        }
        let tallies: Vec<Arc<Tally>> = pipelines.iter().map(|one| one.tally().clone()).collect();
        let mut offers: Vec<Receiver<Exchanged>> = places
            .iter()
            .zip(pipelines)
            .map(|(place, pipeline)| self.offer(*place, pipeline))
            .collect();
        let deadline = Instant::now() + self.patience;
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
        let deadline = Instant::now() + self.patience;
        let late = offers.iter_mut().skip(at);
        let late = late.map(|offer| wait(offer, deadline).ok());
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
        if matches!(wait(&mut offer, Instant::now() + self.patience), Err(true)) {
            self.given_back.push((place, offer));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::tests::pipeline;
    use std::sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    };

    /// A worker without packets: it looks for a pipeline unless it is in a batch.
    struct Idle {
        has: Arc<Mutex<Box<Pipeline>>>,
        in_a_batch: Arc<AtomicBool>,
        ends: Arc<AtomicBool>,
        thread: Option<thread::JoinHandle<()>>,
        link: WorkerLink,
    }

    impl Idle {
        fn start() -> Self {
            let pipeline = Box::new(pipeline(false));
            let exchange = Arc::new(Exchange::default());
            // Nobody wakes this one: it looks all the time.
            let work = mpsc::channel(1).0.downgrade();
            let tally = pipeline.tally().clone();
            let link = WorkerLink {
                exchange: exchange.clone(),
                work,
                tally,
            };
            let has = Arc::new(Mutex::new(pipeline));
            let (in_a_batch, ends) = (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
            let thread = thread::spawn({
                let (has, in_a_batch, ends) = (has.clone(), in_a_batch.clone(), ends.clone());
                move || {
                    while !ends.load(Ordering::Acquire) {
                        if !in_a_batch.load(Ordering::Acquire) {
                            exchange.meet(&mut has.lock().unwrap());
                        }
                        thread::sleep(Duration::from_micros(100));
                    }
                }
            });
            Self {
                has,
                in_a_batch,
                ends,
                thread: Some(thread),
                link,
            }
        }

        fn is_in_a_batch(&self, is: bool) {
            self.in_a_batch.store(is, Ordering::Release);
            // What it began before that ends within this.
            drop(self.has.lock().unwrap());
        }

        fn has(&self, tally: &Arc<Tally>) -> bool {
            Arc::ptr_eq(self.has.lock().unwrap().tally(), tally)
        }

        fn comes_to_have(&self, tally: &Arc<Tally>) -> bool {
            let deadline = Instant::now() + PATIENCE;
            while !self.has(tally) && Instant::now() < deadline {
                thread::sleep(LOOK_EVERY);
            }
            self.has(tally)
        }
    }

    impl Drop for Idle {
        fn drop(&mut self) {
            self.ends.store(true, Ordering::Release);
            if let Some(thread) = self.thread.take() {
                thread.join().unwrap();
            }
        }
    }

    fn two_workers() -> (Workers, [Idle; 2]) {
        let idle = [Idle::start(), Idle::start()];
        let links = idle.iter().map(|idle| idle.link.clone()).collect();
        let workers = Workers {
            patience: Duration::from_secs(1),
            ..Workers::new(links)
        };
        (workers, idle)
    }

    fn new_pipelines() -> (Vec<Box<Pipeline>>, Vec<Arc<Tally>>) {
        let pipelines = vec![Box::new(pipeline(false)), Box::new(pipeline(false))];
        let tallies = pipelines.iter().map(|one| one.tally().clone()).collect();
        (pipelines, tallies)
    }

    #[test]
    fn if_a_worker_is_stuck_all_have_what_they_had_before() {
        let (mut workers, idle) = two_workers();
        let before = [0, 1].map(|place: usize| idle[place].link.tally.clone());
        idle[1].is_in_a_batch(true);
        let (pipelines, _) = new_pipelines();
        let error = workers.exchange(&[0, 1], pipelines).err().unwrap();
        assert!(matches!(error, ControlError::WorkerStuck(1)), "{error}");
        assert!(idle[0].comes_to_have(&before[0]));
        idle[1].is_in_a_batch(false);
        thread::sleep(Duration::from_millis(5));
        assert!(idle[1].has(&before[1]));
        assert!(Arc::ptr_eq(&workers.links[0].tally, &before[0]));

        let (pipelines, new) = new_pipelines();
        let exchanged = workers.exchange(&[0, 1], pipelines).ok().unwrap();
        for (place, one) in exchanged.iter().enumerate() {
            assert!(Arc::ptr_eq(one.before.tally(), &before[place]));
            assert!(idle[place].has(&new[place]));
        }
    }

    #[test]
    fn a_stuck_worker_gets_back_what_it_had_whatever_is_offered_meanwhile() {
        let (mut workers, idle) = two_workers();
        let before = idle[1].link.tally.clone();
        let (mut pipelines, _) = new_pipelines();
        let mut one = workers
            .exchange(&[1], vec![pipelines.remove(1)])
            .ok()
            .unwrap();
        // A canary that failed in a long batch.
        idle[1].is_in_a_batch(true);
        workers.give_back(1, one.remove(0).before);
        let (pipelines, _) = new_pipelines();
        let error = workers.exchange(&[0, 1], pipelines).err().unwrap();
        assert!(matches!(error, ControlError::WorkerStuck(1)), "{error}");
        // The other one is not in its way.
        let (mut pipelines, new) = new_pipelines();
        assert!(workers.exchange(&[0], vec![pipelines.remove(0)]).is_ok());
        assert!(idle[0].has(&new[0]));

        idle[1].is_in_a_batch(false);
        assert!(idle[1].comes_to_have(&before));
        let (pipelines, new) = new_pipelines();
        let exchanged = workers.exchange(&[0, 1], pipelines).ok().unwrap();
        assert!(Arc::ptr_eq(exchanged[1].before.tally(), &before));
        assert!(idle[1].has(&new[1]));
    }
}
