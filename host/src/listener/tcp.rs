//! HEP over TCP: packets back to back on a connection.

use super::{FrameError, Framing, ListenError};
use crate::{
    batch::PacketBatch,
    commit::now_us,
    health::{Code, Health},
    log_limit::LogLimit,
    worker::Work,
};
use socket2::{SockRef, TcpKeepalive};
use std::{
    cell::RefCell,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, ReadBuf},
    net::TcpStream,
    sync::{Semaphore, mpsc},
    time::{Instant, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// What one read may bring: a few hundred packets, so that a fast sender costs few calls.
const READ_BYTES: usize = 256 << 10;
/// Longest packet: HEP's length field has 16 bits.
const PACKET_BYTES_MAX: usize = 65_535;
/// How long a drained connection is waited for in all, for what is under way: a sender need not
/// stop. What is there is read without waiting.
const DRAIN_WAIT: Duration = Duration::from_millis(200);
/// What may be there when a connection is drained, in the kernels of both sides: Linux lets them
/// have 6 and 4 MiB unless told otherwise. What comes beyond was sent after that.
const DRAIN_BYTES_MAX: usize = 16 << 20;
/// Wait before the next connection is accepted after one could not be.
const ACCEPT_AGAIN: Duration = Duration::from_millis(200);
/// How long it stands in health that a connection was closed for want of a place.
const FULL_LASTS: Duration = Duration::from_secs(60);
/// Finds peers that are gone without a word: load balancers close after a minute's silence.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

thread_local! {
    /// What a read brings. It goes on to a batch at once, so that it is a thread's and no
    /// connection's: thousands of them have nothing to say most of the time.
    static READ: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_BYTES]);
}

/// A TCP socket, and its connections.
#[derive(Debug)]
pub struct TcpListener {
    listener: tokio::net::TcpListener,
    address: SocketAddr,
    connections: Arc<Semaphore>,
    connections_max: usize,
    idle_timeout: Duration,
    health: Arc<Health>,
    /// Packets that were received.
    received: Arc<AtomicU64>,
}

impl TcpListener {
    /// Binds a socket that serves so many connections at a time.
    ///
    /// # Errors
    /// When the address cannot be had.
    pub async fn bind(
        address: SocketAddr,
        connections_max: usize,
        idle_timeout: Duration,
    ) -> Result<Self, ListenError> {
        let failed = |error: std::io::Error| ListenError {
            transport: "tcp",
            address,
            reason: error.to_string(),
        };
        let listener = tokio::net::TcpListener::bind(address)
            .await
            .map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let connections = Arc::new(Semaphore::new(connections_max));
        Ok(Self {
            listener,
            address,
            connections,
            connections_max,
            idle_timeout,
            health: Health::new(),
            received: Arc::default(),
        })
    }

    /// Has it report to `health` when all places are taken.
    #[must_use]
    pub fn reporting(self, health: Arc<Health>) -> Self {
        Self { health, ..self }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Packets that it has received so far.
    #[must_use]
    pub fn received(&self) -> &Arc<AtomicU64> {
        &self.received
    }

    /// Serves connections until `stop`, then lets each bring what it has under way. Those that
    /// the kernel has made by then, and that nobody has accepted yet, are served as well: their
    /// peers believe that what they sent was received.
    pub async fn run(self, workers: Vec<mpsc::Sender<Work>>, stop: CancellationToken) {
        let Self {
            listener,
            address,
            connections,
            connections_max,
            idle_timeout,
            health,
            received,
        } = self;
        let mut serving = Serving {
            workers,
            next_worker: 0,
            connections,
            connections_max,
            idle_timeout,
            health,
            received,
            stop: stop.clone(),
            tracker: TaskTracker::new(),
            refused: LogLimit::default(),
            ended: Arc::default(),
        };
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = stop.cancelled() => break,
            };
            match accepted {
                Ok((stream, peer)) => serving.serve(stream, peer),
                Err(error) => {
                    // Out of descriptors, most likely: trying at once would only spin.
                    tracing::error!(%error, "a TCP connection could not be accepted");
                    tokio::time::sleep(ACCEPT_AGAIN).await;
                }
            }
        }
        match waiting(listener, connections_max) {
            Ok(streams) => streams
                .into_iter()
                .for_each(|(stream, peer)| serving.serve(stream, peer)),
            Err(error) => {
                tracing::error!(%error, %address, "the TCP connections that wait cannot be had");
            }
        }
        serving.tracker.close();
        serving.tracker.wait().await;
    }
}

/// Connections that the kernel has made and nobody has accepted, as many as may be served. The
/// socket itself is asked: the runtime may not have heard of them yet.
fn waiting(
    listener: tokio::net::TcpListener,
    connections_max: usize,
) -> io::Result<Vec<(TcpStream, SocketAddr)>> {
    let listener = listener.into_std()?;
    let mut streams = Vec::new();
    while streams.len() < connections_max {
        match listener.accept() {
            Ok((stream, peer)) => match of_the_runtime(stream) {
                Ok(stream) => streams.push((stream, peer)),
                Err(error) => tracing::error!(%error, %peer, "a TCP connection cannot be served"),
            },
            // A peer may be gone again before it is accepted.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) => {
                tracing::error!(%error, "a TCP connection that waits could not be accepted");
                break;
            }
        }
    }
    Ok(streams)
}

fn of_the_runtime(stream: std::net::TcpStream) -> io::Result<TcpStream> {
    stream.set_nonblocking(true)?;
    TcpStream::from_std(stream)
}

/// What the connections of a listener share.
struct Serving {
    workers: Vec<mpsc::Sender<Work>>,
    next_worker: usize,
    connections: Arc<Semaphore>,
    connections_max: usize,
    idle_timeout: Duration,
    health: Arc<Health>,
    received: Arc<AtomicU64>,
    stop: CancellationToken,
    tracker: TaskTracker,
    /// How often it is said that there was no place.
    refused: LogLimit,
    /// How often it is said why a connection ended.
    ended: Arc<Mutex<LogLimit>>,
}

impl Serving {
    /// Serves a connection in a task of its own, or closes it if all places are taken.
    fn serve(&mut self, stream: TcpStream, peer: SocketAddr) {
        let Ok(permit) = self.connections.clone().try_acquire_owned() else {
            metrics::counter!("heplake_tcp_connections_refused_total").increment(1);
            let text = format!("all {} TCP connections are in use", self.connections_max);
            self.health
                .raise_for(Code::TcpConnectionsFull, FULL_LASTS, text);
            if let Some(left_out) = self.refused.line(Instant::now().into()) {
                tracing::warn!(%peer, left_out,
                    "closed at once: all ingest.tcp.max_connections are in use");
            }
            return;
        };
        // A connection stays with one worker, so that its packets stay in order.
        let index = self.next_worker % self.workers.len().max(1);
        self.next_worker = self.next_worker.wrapping_add(1);
        let Some(worker) = self.workers.get(index).cloned() else {
            return;
        };
        let connection = Connection {
            stream,
            peer,
            worker,
            received: self.received.clone(),
            buffer: Vec::new(),
            lines: Arc::clone(&self.ended),
        };
        let (stop, idle_timeout) = (self.stop.clone(), self.idle_timeout);
        self.tracker.spawn(async move {
            metrics::gauge!("heplake_tcp_connections").increment(1.0);
            connection.serve(stop, idle_timeout).await;
            metrics::gauge!("heplake_tcp_connections").decrement(1.0);
            drop(permit);
        });
    }
}

struct Connection {
    stream: TcpStream,
    peer: SocketAddr,
    worker: mpsc::Sender<Work>,
    /// Packets that all connections have received.
    received: Arc<AtomicU64>,
    /// The start of a packet whose end is still to come.
    buffer: Vec<u8>,
    /// Of all connections: how often it is said why one ended.
    lines: Arc<Mutex<LogLimit>>,
}

/// What a read brought: the packets that end in it, and why there can be no more.
type Split = (PacketBatch, Option<FrameError>);

/// What is left of a connection that is drained.
struct Draining {
    wait: Duration,
    bytes: usize,
}

impl Draining {
    /// What may be under way on a connection.
    fn of(stream: &TcpStream) -> Self {
        // Where buffers were made larger, those of the peer may be as large.
        let buffered = SockRef::from(stream).recv_buffer_size().unwrap_or(0);
        Self {
            wait: DRAIN_WAIT,
            bytes: DRAIN_BYTES_MAX.max(2 * buffered),
        }
    }

    /// Takes what a read took, and says whether there may be more.
    fn goes_on(&mut self, waited: Duration, bytes: usize) -> bool {
        self.wait = self.wait.saturating_sub(waited);
        self.bytes = self.bytes.saturating_sub(bytes);
        self.bytes > 0
    }
}

impl Connection {
    /// Reads until the peer closes, is silent for too long, sends what is no HEP, or the
    /// edge drains. Nothing is ever written: some senders read to see whether we live.
    async fn serve(mut self, stop: CancellationToken, idle_timeout: Duration) {
        let keep_alive = TcpKeepalive::new()
            .with_time(KEEP_ALIVE)
            .with_interval(KEEP_ALIVE);
        if let Err(error) = SockRef::from(&self.stream).set_tcp_keepalive(&keep_alive) {
            tracing::debug!(%error, peer = %self.peer, "no TCP keep-alive");
        }
        let peer = self.peer;
        let mut draining: Option<Draining> = None;
        loop {
            if draining.is_none() && stop.is_cancelled() {
                draining = Some(Draining::of(&self.stream));
            }
            let wait = draining.as_ref().map_or(idle_timeout, |left| left.wait);
            let begun = Instant::now();
            let next = tokio::select! {
                // What is there is read, though there is no time left.
                next = timeout(wait, self.read()) => next,
                () = stop.cancelled(), if draining.is_none() => continue,
            };
            let waited = begun.elapsed();
            let (bytes, (batch, end)) = match next {
                Ok(Ok(Some(read))) => read,
                Ok(Err(error)) => {
                    if let Some(left_out) = self.line() {
                        tracing::info!(%error, %peer, left_out, "a TCP connection broke");
                    }
                    break;
                }
                Ok(Ok(None)) | Err(_) => break,
            };
            if !self.hand_on(batch).await {
                break;
            }
            if let Some(error) = end {
                metrics::counter!("heplake_tcp_streams_refused_total", "reason" => error.kind())
                    .increment(1);
                if let Some(left_out) = self.line() {
                    tracing::warn!(%error, %peer, left_out, "a TCP connection is closed");
                }
                break;
            }
            if draining
                .as_mut()
                .is_some_and(|left| !left.goes_on(waited, bytes))
            {
                break;
            }
        }
        // A packet cut short is stored as it came: the envelope says what is wrong with it.
        let rest = std::mem::take(&mut self.buffer);
        if !rest.is_empty() {
            let mut batch = PacketBatch::default();
            batch.push_unfinished(&rest, now_us(), peer);
            self.hand_on(batch).await;
        }
    }

    /// What comes next, and how many bytes that were; nothing where the peer has closed.
    async fn read(&mut self) -> io::Result<Option<(usize, Split)>> {
        std::future::poll_fn(|context| self.poll_read(context)).await
    }

    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Option<(usize, Split)>>> {
        READ.with_borrow_mut(|read| {
            let mut read = ReadBuf::new(read);
            ready!(Pin::new(&mut self.stream).poll_read(context, &mut read))?;
            let bytes = read.filled();
            if bytes.is_empty() {
                return Poll::Ready(Ok(None));
            }
            metrics::counter!("heplake_bytes_received_total", "transport" => "tcp")
                .increment(bytes.len() as u64);
            let split = split(&mut self.buffer, bytes, now_us(), self.peer);
            Poll::Ready(Ok(Some((bytes.len(), split))))
        })
    }

    /// Whether a line may be logged now; if so, how many were left out before it.
    fn line(&self) -> Option<u64> {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.line(Instant::now().into())
    }

    /// Waits while the worker has enough to do: the peer's TCP then waits as well.
    async fn hand_on(&self, batch: PacketBatch) -> bool {
        if batch.is_empty() {
            return true;
        }
        let packets = batch.len() as u64;
        self.received.fetch_add(packets, Ordering::Relaxed);
        metrics::counter!("heplake_packets_received_total", "transport" => "tcp")
            .increment(packets);
        let sent = self.worker.send(Work::Packets(batch)).await.is_ok();
        if !sent {
            metrics::counter!("heplake_packets_lost_total", "reason" => "worker_stopped")
                .increment(packets);
        }
        sent
    }
}

/// Splits what was read into packets; keeps the start of one in `buffer`, in no more memory
/// than a packet may need. After an error `buffer` holds all that could not be split.
fn split(buffer: &mut Vec<u8>, read: &[u8], received: u64, peer: SocketAddr) -> Split {
    let mut batch = PacketBatch::default();
    let is_carried = !buffer.is_empty();
    if is_carried {
        let room = PACKET_BYTES_MAX.saturating_sub(buffer.len());
        buffer.reserve_exact(read.len().max(room));
        buffer.extend_from_slice(read);
    }
    let bytes = if is_carried { &**buffer } else { read };
    let mut rest = bytes;
    let error = loop {
        if rest.is_empty() {
            break None;
        }
        match Framing::packet_length(rest) {
            Ok(Some(length)) => {
                if batch.is_empty() {
                    batch.bytes.reserve(bytes.len());
                }
                let (packet, others) = rest.split_at(length);
                batch.push(packet, received, peer);
                rest = others;
            }
            Ok(None) => break None,
            Err(error) => break Some(error),
        }
    };
    if !is_carried || !batch.is_empty() {
        *buffer = rest.to_vec();
    }
    (batch, error)
}

#[cfg(test)]
mod tests;
