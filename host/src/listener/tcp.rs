//! HEP over TCP: packets back to back on a connection.

use super::{FrameError, Framing, ListenError};
use crate::{batch::PacketBatch, commit::now_us, worker::Work};
use socket2::{SockRef, TcpKeepalive};
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::AsyncReadExt,
    net::TcpStream,
    sync::{Semaphore, mpsc},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// What one read may bring: a few hundred packets, so that a fast sender costs few calls.
const READ_BYTES: usize = 256 << 10;
/// Longest time that a drained connection may still send what it has under way.
const DRAIN_WAIT: Duration = Duration::from_millis(200);
/// Finds peers that are gone without a word: load balancers close after a minute's silence.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// A TCP socket, and its connections.
#[derive(Debug)]
pub struct TcpListener {
    listener: tokio::net::TcpListener,
    address: SocketAddr,
    connections: Arc<Semaphore>,
    idle_timeout: Duration,
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
            idle_timeout,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves connections until `stop`, then lets each bring what it has under way.
    pub async fn run(self, workers: Vec<mpsc::Sender<Work>>, stop: CancellationToken) {
        let tracker = TaskTracker::new();
        let next_worker = AtomicUsize::new(0);
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                () = stop.cancelled() => break,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of descriptors, most likely: trying at once would only spin.
                    tracing::error!(%error, "a TCP connection could not be accepted");
                    tokio::time::sleep(DRAIN_WAIT).await;
                    continue;
                }
            };
            let Ok(permit) = self.connections.clone().try_acquire_owned() else {
                metrics::counter!("heplake_tcp_connections_refused_total").increment(1);
                tracing::warn!(%peer, "closed at once: all ingest.tcp.max_connections are in use");
                continue;
            };
            // A connection stays with one worker, so that its packets stay in order.
            let index = next_worker.fetch_add(1, Ordering::Relaxed) % workers.len().max(1);
            let Some(worker) = workers.get(index).cloned() else {
                break;
            };
            let connection = Connection {
                stream,
                peer,
                worker,
                buffer: Vec::new(),
            };
            let (stop, idle_timeout) = (stop.clone(), self.idle_timeout);
            tracker.spawn(async move {
                metrics::gauge!("heplake_tcp_connections").increment(1.0);
                connection.serve(stop, idle_timeout).await;
                metrics::gauge!("heplake_tcp_connections").decrement(1.0);
                drop(permit);
            });
        }
        tracker.close();
        tracker.wait().await;
    }
}

struct Connection {
    stream: TcpStream,
    peer: SocketAddr,
    worker: mpsc::Sender<Work>,
    /// The start of a packet whose end is still to come.
    buffer: Vec<u8>,
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
        let mut read = vec![0; READ_BYTES];
        loop {
            let wait = if stop.is_cancelled() {
                DRAIN_WAIT
            } else {
                idle_timeout
            };
            let result = tokio::select! {
                result = timeout(wait, self.stream.read(&mut read)) => result,
                // Once stopping, only the shorter wait ends a connection.
                () = stop.cancelled(), if !stop.is_cancelled() => continue,
            };
            let bytes = match result {
                Ok(Ok(0)) => break,
                Ok(Ok(length)) => read.get(..length).unwrap_or_default(),
                Ok(Err(error)) => {
                    tracing::info!(%error, %peer, "a TCP connection broke");
                    break;
                }
                Err(_) => break,
            };
            metrics::counter!("heplake_bytes_received_total", "transport" => "tcp")
                .increment(bytes.len() as u64);
            let (batch, end) = split(&mut self.buffer, bytes, now_us(), peer);
            if !self.hand_on(batch).await {
                return;
            }
            if let Some(error) = end {
                metrics::counter!("heplake_tcp_streams_refused_total", "reason" => error.kind())
                    .increment(1);
                tracing::warn!(%error, %peer, "a TCP connection is closed");
                break;
            }
        }
        // A packet cut short is stored as it came: the envelope says what is wrong with it.
        let rest = std::mem::take(&mut self.buffer);
        if !rest.is_empty() {
            let mut batch = PacketBatch::default();
            batch.push(&rest, now_us(), peer);
            self.hand_on(batch).await;
        }
    }

    /// Waits while the worker has enough to do: the peer's TCP then waits as well.
    async fn hand_on(&self, batch: PacketBatch) -> bool {
        if batch.is_empty() {
            return true;
        }
        let packets = batch.len() as u64;
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

/// Splits what was read into packets; keeps the start of one in `buffer`. After an error
/// `buffer` holds all that could not be split.
fn split(
    buffer: &mut Vec<u8>,
    read: &[u8],
    received: u64,
    peer: SocketAddr,
) -> (PacketBatch, Option<FrameError>) {
    let mut batch = PacketBatch::default();
    let carried = std::mem::take(buffer);
    let joined;
    let mut bytes = read;
    if !carried.is_empty() {
        joined = [&carried, read].concat();
        bytes = &joined;
    }
    batch.bytes.reserve(bytes.len());
    let error = loop {
        if bytes.is_empty() {
            break None;
        }
        match Framing::packet_length(bytes) {
            Ok(Some(length)) => {
                let (packet, rest) = bytes.split_at(length);
                batch.push(packet, received, peer);
                bytes = rest;
            }
            Ok(None) => break None,
            Err(error) => break Some(error),
        }
    };
    buffer.extend_from_slice(bytes);
    (batch, error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn packet(content: &[u8]) -> Vec<u8> {
        let length = (content.len() + 6) as u16;
        [&b"HEP3"[..], &length.to_be_bytes(), content].concat()
    }

    proptest! {
        #[test]
        fn packets_survive_any_cuts(
            contents in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..20),
            cuts in prop::collection::vec(1usize..50, 1..60),
        ) {
            let packets: Vec<Vec<u8>> = contents.iter().map(|content| packet(content)).collect();
            let stream = packets.concat();
            let peer = SocketAddr::from(([127, 0, 0, 1], 5060));
            let (mut buffer, mut found, mut at) = (Vec::new(), Vec::new(), 0);
            for cut in cuts.iter().cycle() {
                if at == stream.len() {
                    break;
                }
                let end = stream.len().min(at + cut);
                let (batch, error) = split(&mut buffer, &stream[at..end], 0, peer);
                prop_assert_eq!(error, None);
                found.extend((0..batch.len()).map(|index| batch.packet(index).to_vec()));
                at = end;
            }
            prop_assert_eq!(found, packets);
            prop_assert!(buffer.is_empty());
        }
    }

    #[test]
    fn captured_streams_give_the_same_packets_in_pieces_of_every_size_up_to_64_kib() {
        let peer = SocketAddr::from(([127, 0, 0, 1], 5060));
        for capture in ["heplify-2.0.25-tcp", "kamailio-5.6.3-hep3-tcp-mode1"] {
            let path = format!(
                "{}/../tests/captures/{capture}.stream",
                env!("CARGO_MANIFEST_DIR")
            );
            let stream = std::fs::read(path).unwrap();
            let (whole, error) = split(&mut Vec::new(), &stream, 0, peer);
            assert_eq!((whole.bytes.len(), error), (stream.len(), None));
            for size in 1..=64 << 10 {
                let (mut buffer, mut found) = (Vec::new(), PacketBatch::default());
                for piece in stream.chunks(size) {
                    let (batch, error) = split(&mut buffer, piece, 0, peer);
                    assert_eq!(error, None, "{capture} in pieces of {size}");
                    found.append(&batch);
                }
                assert!(
                    found.bytes == whole.bytes && found.ends == whole.ends,
                    "{capture}: {size}"
                );
            }
        }
    }

    #[test]
    fn what_cannot_be_split_is_kept_whole() {
        let peer = SocketAddr::from(([127, 0, 0, 1], 5060));
        let mut buffer = b"HE".to_vec();
        let (batch, error) = split(&mut buffer, b"P3\x00\x07xGET /", 0, peer);
        assert_eq!((batch.len(), error), (1, Some(FrameError::Magic)));
        assert_eq!(buffer, b"GET /");
    }
}
