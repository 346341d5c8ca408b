//! The edge: listeners, workers and the committer, started and drained together.
//!
//! ```text
//!  UDP socket ─▶ receiver ─┐ bounded   ┌──────────┐ sealed files  ┌───────────┐
//!  UDP socket ─▶ receiver ─┼─▶ queue ─▶│ worker   │──────────────▶│ committer │─▶ store
//!  TCP ─▶ connections ─────┘           └──────────┘  every flush  └───────────┘
//! ```

mod monitor;

pub use monitor::{EdgeMonitor, Unwritten};

use crate::{
    batch::BATCH_PACKETS_MAX,
    claim::{HeldName, NameError},
    commit::{CommitFailed, Committed, Committer, KeptSequence, now_us},
    components::{Control, ControlError, WorkerLink, watch},
    configuration::EdgeSettings,
    health::{Code, Health},
    listener::{ListenError, TcpListener, UdpListener},
    store::{Store, StoreError},
    worker::{Amount, Backlog, Work, Worker},
};
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};
use tokio::{
    sync::mpsc,
    task::JoinHandle,
    time::{Instant, MissedTickBehavior},
};
use tokio_util::sync::CancellationToken;

/// How often the committer looks whether there are enough rows for a commit.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Commits' worth of rows, or of bytes, that may wait in memory while the store is slow or
/// away.
const BACKLOG_BATCHES_MAX: u64 = 2;

/// How long a drained edge waits for what has nothing to commit: who stages or exchanges
/// components takes seconds, and what is half done then is begun anew at the next start.
const ENDS_WITHIN: Duration = Duration::from_secs(2);

/// Why an edge could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Another edge has its name.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A component is refused.
    #[error(transparent)]
    Components(#[from] ControlError),
    /// An address cannot be had.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No thread could be started.
    #[error("no thread could be started: {0}")]
    Thread(#[from] std::io::Error),
}

/// A running edge.
#[derive(Debug)]
pub struct Edge {
    udp_address: Option<SocketAddr>,
    tcp_address: Option<SocketAddr>,
    stop_receivers: Arc<AtomicBool>,
    stop: CancellationToken,
    stop_commits: CancellationToken,
    worker_stopped: CancellationToken,
    receivers: Vec<thread::JoinHandle<()>>,
    tcp: Option<JoinHandle<()>>,
    committing: JoinHandle<Committer>,
    control: Arc<Control>,
    health: Arc<Health>,
    backlog: Arc<Backlog>,
    queues: Vec<mpsc::WeakSender<Work>>,
    watching: JoinHandle<()>,
    workers: Vec<thread::JoinHandle<()>>,
    monitor: EdgeMonitor,
}

impl Edge {
    /// Opens the store, takes the edge's name, loads the components and listens.
    ///
    /// # Errors
    /// Says what is in the way; nothing has been received then.
    pub async fn start(settings: EdgeSettings) -> Result<Self, StartError> {
        let store = Store::open(&settings.data_path)?;
        let name = Arc::new(HeldName::take(store.clone(), &settings).await?);
        let started = Self::start_named(settings, store, name.clone()).await;
        if started.is_err() {
            name.release().await;
        }
        started
    }

    async fn start_named(
        settings: EdgeSettings,
        store: Store,
        name: Arc<HeldName>,
    ) -> Result<Self, StartError> {
        let loading = settings.clone();
        let loaded = tokio::task::spawn_blocking(move || Control::open(&loading)).await;
        let control = Arc::new(loaded.map_err(|_| ControlError::Stopping)??);
        let commit_at = Amount {
            rows: settings.batch_size as u64,
            bytes: settings.batch_bytes,
        };
        let health = Health::new();
        let backlog_max = Amount {
            rows: commit_at.rows * BACKLOG_BATCHES_MAX,
            bytes: commit_at.bytes * BACKLOG_BATCHES_MAX,
        };
        let backlog = Backlog::reporting(backlog_max, health.clone());
        let worker_stopped = CancellationToken::new();
        let batches_max = settings
            .queue_size
            .div_ceil(BATCH_PACKETS_MAX * settings.worker_count);
        let mut senders = Vec::new();
        let (mut workers, mut links) = (Vec::new(), Vec::new());
        for index in 0..settings.worker_count {
            let (sender, receiver) = mpsc::channel(batches_max.max(2));
            let worker = Worker::new(
                control.pipeline(now_us() ^ (index as u64) << 56)?,
                settings.name.clone(),
                settings.compression,
                backlog.clone(),
            );
            links.push(WorkerLink {
                exchange: worker.exchange().clone(),
                work: sender.downgrade(),
                tally: worker.tally().clone(),
            });
            let thread = thread::Builder::new().name(format!("worker-{index}"));
            let (stopped, told) = (worker_stopped.clone(), health.clone());
            workers.push(thread.spawn(move || {
                if !worker.work(receiver) {
                    told.raise(Code::WorkerStopped, "the log says why");
                    stopped.cancel();
                }
            })?);
            senders.push(sender);
        }

        let queues = links.iter().map(|link| link.work.clone()).collect();
        control.attach(links);
        let mut committer = Committer::open(
            store,
            settings.name.clone(),
            senders.clone(),
            backlog.clone(),
        )
        .await?
        .keeping(KeptSequence::below(name.directory()))
        .await
        .holding(name);
        let mut monitor = EdgeMonitor {
            received: Vec::new(),
            backlog: backlog.clone(),
            commits: committer.monitor().clone(),
        };
        let stop_receivers = Arc::new(AtomicBool::new(false));
        let mut receivers = Vec::new();
        let mut udp_listeners = Vec::new();
        if let Some(address) = settings.udp {
            let first = UdpListener::bind(address, settings.udp_receive_buffer_bytes)?;
            for _ in 1..senders.len() {
                udp_listeners.push(first.another()?);
            }
            udp_listeners.push(first);
        }
        let udp_address = udp_listeners.first().map(UdpListener::address);
        for (index, (listener, sender)) in udp_listeners.into_iter().zip(&senders).enumerate() {
            let listener = listener.reporting(health.clone());
            monitor.received.push(listener.received().clone());
            let (sender, stop) = (sender.clone(), stop_receivers.clone());
            let thread = thread::Builder::new().name(format!("udp-{index}"));
            receivers.push(thread.spawn(move || listener.run(&sender, &stop))?);
        }
        let stop = CancellationToken::new();
        let (mut tcp, mut tcp_address) = (None, None);
        if let Some(address) = settings.tcp {
            let (connections, idle) = (settings.tcp_connections_max, settings.tcp_idle_timeout);
            let listener = TcpListener::bind(address, connections, idle)
                .await?
                .reporting(health.clone());
            tcp_address = Some(listener.address());
            monitor.received.push(listener.received().clone());
            tcp = Some(tokio::spawn(listener.run(senders, stop.clone())));
        }
        let flush = Flush {
            interval: settings.flush_interval,
            at: commit_at,
            backlog: backlog.clone(),
        };
        let stop_commits = CancellationToken::new();
        let stop_flush = stop_commits.clone();
        let committing = tokio::spawn(async move {
            flush.run(&mut committer, stop_flush).await;
            committer
        });
        let watching = tokio::spawn(watch(control.clone(), health.clone(), stop.clone()));
        let cut_off = Arc::downgrade(&control);
        health.probe(Code::ComponentCutOff, move || {
            cut_off.upgrade()?.cut_off_now()
        });
        let not_loaded = Arc::downgrade(&control);
        health.probe(Code::ComponentNotLoaded, move || {
            not_loaded.upgrade()?.not_loaded_now()
        });
        Ok(Self {
            control,
            health,
            backlog,
            queues,
            watching,
            udp_address,
            tcp_address,
            stop_receivers,
            stop,
            stop_commits,
            worker_stopped,
            receivers,
            tcp,
            committing,
            workers,
            monitor,
        })
    }

    /// Watches it, also while it drains.
    #[must_use]
    pub fn monitor(&self) -> &EdgeMonitor {
        &self.monitor
    }

    /// Its components.
    #[must_use]
    pub fn control(&self) -> &Arc<Control> {
        &self.control
    }

    /// Where it reports how it is.
    #[must_use]
    pub fn health(&self) -> &Arc<Health> {
        &self.health
    }

    /// Publishes how much waits for the workers, and for the store. It may outlive the edge.
    pub fn queues(&self) -> impl Fn() + Send + Sync + 'static {
        let (backlog, queues) = (self.backlog.clone(), self.queues.clone());
        move || {
            let Amount { rows, bytes } = backlog.waiting();
            metrics::gauge!("heplake_rows_waiting").set(rows as f64);
            metrics::gauge!("heplake_bytes_waiting").set(bytes as f64);
            for (worker, queue) in queues.iter().enumerate() {
                let waiting = queue
                    .upgrade()
                    .map_or(0, |queue| queue.max_capacity() - queue.capacity());
                metrics::gauge!("heplake_worker_queue_batches", "worker" => worker.to_string())
                    .set(waiting as f64);
            }
        }
    }

    /// Where HEP is received over UDP.
    #[must_use]
    pub fn udp_address(&self) -> Option<SocketAddr> {
        self.udp_address
    }

    /// Where HEP is received over TCP.
    #[must_use]
    pub fn tcp_address(&self) -> Option<SocketAddr> {
        self.tcp_address
    }

    /// Waits until a worker stops, as none does while this program has no fault. What comes
    /// for it from then on is lost: drain the edge, and start another.
    pub async fn worker_stopped(&self) {
        self.worker_stopped.cancelled().await;
    }

    /// Stops receiving, stores what has been received, and commits it.
    ///
    /// # Errors
    /// When a worker had stopped before: what the others had is committed nevertheless.
    pub async fn drain(self) -> Result<Committed, CommitFailed> {
        self.stop_receivers.store(true, Ordering::Relaxed);
        self.control.stop();
        self.stop.cancel();
        if let Some(tcp) = self.tcp {
            // It ends by itself; a panic in it has been reported.
            let _ = tcp.await;
        }
        let receivers = self.receivers;
        let _ = tokio::task::spawn_blocking(move || {
            for receiver in receivers {
                let _ = receiver.join();
            }
        })
        .await;
        // Until here there were commits: without them memory has no bound, and what the
        // receivers still bring may be as much as all before.
        self.stop_commits.cancel();
        let Ok(mut committer) = self.committing.await else {
            return Err(CommitFailed::CommitterGone);
        };
        committer.commit().await;
        let (total, is_worker_gone) = (committer.total(), committer.is_worker_gone());
        committer.close().await;
        // What has been received is stored by now, whatever becomes of the rest.
        let (watching, control, workers) = (self.watching, self.control, self.workers);
        let rest = async {
            let _ = watching.await;
            let _ = tokio::task::spawn_blocking(move || {
                control.detach();
                for worker in workers {
                    let _ = worker.join();
                }
            })
            .await;
        };
        if tokio::time::timeout(ENDS_WITHIN, rest).await.is_err() {
            tracing::info!("what is being done to components is not waited for");
        }
        match is_worker_gone {
            true => Err(CommitFailed::WorkerGone),
            false => Ok(total),
        }
    }
}

/// When to commit.
struct Flush {
    interval: Duration,
    /// What does not wait for it.
    at: Amount,
    backlog: Arc<Backlog>,
}

impl Flush {
    async fn run(&self, committer: &mut Committer, stop: CancellationToken) {
        let mut look = tokio::time::interval(LOOK_EVERY.min(self.interval));
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last = Instant::now();
        loop {
            tokio::select! {
                _ = look.tick() => {}
                () = stop.cancelled() => return,
            }
            let waiting = self.backlog.waiting();
            let due = last.elapsed() >= self.interval;
            if !due && !waiting.reaches(self.at) {
                continue;
            }
            last = Instant::now();
            committer.commit().await;
        }
    }
}

#[cfg(test)]
mod tests;
