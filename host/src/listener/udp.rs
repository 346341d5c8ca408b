//! HEP over UDP: one packet a datagram.

use super::ListenError;
use crate::{
    batch::{BATCH_PACKETS_MAX, PacketBatch},
    commit::now_us,
    health::{Code, Health},
    worker::Work,
};
use nix::{
    cmsg_space,
    errno::Errno,
    sys::socket::{
        ControlMessageOwned, MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg, setsockopt, sockopt,
    },
};
use socket2::{Domain, Protocol, Socket, Type};
use std::{
    io::IoSliceMut,
    net::{IpAddr, SocketAddr, UdpSocket},
    os::fd::AsRawFd,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::sync::mpsc;

/// Datagrams that one system call brings.
const DATAGRAMS_PER_CALL: usize = 64;
/// Longest datagram: the length field of UDP has 16 bits.
const DATAGRAM_BYTES_MAX: usize = 65_535;
/// How long a receiver waits before it looks whether it should stop.
const WAIT: Duration = Duration::from_millis(100);
/// How long it stands in health that packets were lost.
const LOSS_LASTS: Duration = Duration::from_secs(60);
/// What the kernel counts for a datagram beside its bytes, at the least: what it keeps of it
/// has more than 512.
const DATAGRAM_OVERHEAD_BYTES: usize = 512;

/// A UDP socket of one worker.
#[derive(Debug)]
pub struct UdpListener {
    socket: UdpSocket,
    address: SocketAddr,
    /// What the kernel keeps for it, at the most.
    buffer_bytes: usize,
    asked_bytes: usize,
    granted_bytes: usize,
    health: Arc<Health>,
    /// Packets that were received.
    received: Arc<AtomicU64>,
}

impl UdpListener {
    /// Binds the first socket of an address, and asks for a receive buffer of so many bytes.
    ///
    /// # Errors
    /// When the address cannot be had, or somebody else has it.
    pub fn bind(address: SocketAddr, receive_buffer_bytes: usize) -> Result<Self, ListenError> {
        Self::open(address, receive_buffer_bytes, false)
    }

    /// Binds another socket of the same address, for another worker.
    ///
    /// # Errors
    /// As [`Self::bind`].
    pub fn another(&self) -> Result<Self, ListenError> {
        Self::open(self.address, self.asked_bytes, true)
    }

    fn open(
        address: SocketAddr,
        receive_buffer_bytes: usize,
        shares: bool,
    ) -> Result<Self, ListenError> {
        let failed = |error: std::io::Error| ListenError {
            transport: "udp",
            address,
            reason: error.to_string(),
        };
        // Sockets of one user share a port if all of them want to, so that a second edge would take half of the
        // packets of the first: a socket that does not want to finds out. The other workers' share it then.
        if !shares {
            UdpSocket::bind(address).map_err(failed)?;
        }
        let open = || -> std::io::Result<UdpSocket> {
            let socket = Socket::new(
                Domain::for_address(address),
                Type::DGRAM,
                Some(Protocol::UDP),
            )?;
            socket.set_reuse_port(true)?;
            // The kernel grants up to net.core.rmem_max; what it granted is logged.
            socket.set_recv_buffer_size(receive_buffer_bytes)?;
            socket.bind(&address.into())?;
            socket.set_read_timeout(Some(WAIT))?;
            Ok(socket.into())
        };
        let socket = open().map_err(failed)?;
        // Has the kernel tell with each datagram how many were dropped before it.
        if let Err(error) = setsockopt(&socket, sockopt::RxqOvfl, &1) {
            tracing::warn!(%error, "the kernel does not tell how many datagrams it drops");
        }
        let granted = socket2::SockRef::from(&socket)
            .recv_buffer_size()
            .unwrap_or(0);
        metrics::gauge!("heplake_udp_receive_buffer_bytes").set(granted as f64);
        if granted < receive_buffer_bytes {
            tracing::warn!(
                asked = receive_buffer_bytes,
                granted,
                "the kernel grants a smaller UDP receive buffer: raise net.core.rmem_max"
            );
        }
        let address = socket.local_addr().map_err(failed)?;
        Ok(Self {
            socket,
            address,
            buffer_bytes: granted.max(receive_buffer_bytes),
            asked_bytes: receive_buffer_bytes,
            granted_bytes: granted,
            health: Health::new(),
            received: Arc::default(),
        })
    }

    /// Has it report to `health` that its buffer is smaller than asked, and what the kernel drops.
    #[must_use]
    pub fn reporting(self, health: Arc<Health>) -> Self {
        let (asked, granted) = (self.asked_bytes, self.granted_bytes);
        if granted < asked {
            let text = format!("the kernel grants {granted} of {asked} bytes");
            health.raise(Code::UdpReceiveBufferSmall, text);
        }
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

    /// Hands on what comes, until `stop` is set and what was there by then is taken: not
    /// until the socket is empty, since senders need not stop. Waits when the worker has
    /// enough to do: then it is the kernel's buffer that fills, and the kernel that drops and
    /// counts.
    pub fn run(&self, work: &mpsc::Sender<Work>, stop: &Arc<AtomicBool>) {
        let mut slots = vec![0; DATAGRAMS_PER_CALL * DATAGRAM_BYTES_MAX];
        let mut dropped_before = 0;
        let mut batch = PacketBatch::default();
        // Once it is to stop: what may still be of before, as the kernel counts.
        let mut left = None;
        loop {
            if left.is_none() && stop.load(Ordering::Relaxed) {
                left = Some(self.buffer_bytes);
            }
            let mut ends = false;
            match self.receive(&mut slots, &mut batch, left.is_none()) {
                Ok(received) => {
                    if let Some(dropped) = received.dropped {
                        let lost = dropped.wrapping_sub(dropped_before);
                        dropped_before = dropped;
                        metrics::counter!("heplake_packets_lost_total", "reason" => "udp_kernel_buffer_full")
                            .increment(lost.into());
                        if lost > 0 {
                            let text = format!("the kernel's buffer was full: {lost} UDP packets");
                            self.health.raise_for(Code::PacketsLost, LOSS_LASTS, text);
                        }
                    }
                    left = left.map(|left| left.saturating_sub(received.buffered_bytes()));
                    ends = left == Some(0);
                    let drained = received.datagrams < DATAGRAMS_PER_CALL;
                    let room = BATCH_PACKETS_MAX - batch.len().min(BATCH_PACKETS_MAX);
                    if !ends && !drained && !batch.is_full() && room >= DATAGRAMS_PER_CALL {
                        continue;
                    }
                }
                Err(Errno::EAGAIN) => ends = left.is_some(),
                Err(Errno::EINTR) => {}
                Err(error) => {
                    metrics::counter!("heplake_udp_errors_total").increment(1);
                    tracing::error!(%error, address = %self.address, "receiving over UDP failed");
                    ends = left.is_some();
                    std::thread::sleep(WAIT);
                }
            }
            if !batch.is_empty() {
                let packets = batch.len() as u64;
                self.received.fetch_add(packets, Ordering::Relaxed);
                metrics::counter!("heplake_packets_received_total", "transport" => "udp")
                    .increment(packets);
                metrics::counter!("heplake_bytes_received_total", "transport" => "udp")
                    .increment(batch.bytes.len() as u64);
                if work
                    .blocking_send(Work::Packets(std::mem::take(&mut batch)))
                    .is_err()
                {
                    metrics::counter!("heplake_packets_lost_total", "reason" => "worker_stopped")
                        .increment(packets);
                    return;
                }
            }
            if ends {
                return;
            }
        }
    }

    /// One system call's worth of datagrams.
    fn receive(
        &self,
        slots: &mut [u8],
        batch: &mut PacketBatch,
        waits: bool,
    ) -> Result<Received, Errno> {
        let mut buffers: Vec<[IoSliceMut<'_>; 1]> = slots
            .chunks_exact_mut(DATAGRAM_BYTES_MAX)
            .map(|slot| [IoSliceMut::new(slot)])
            .collect();
        // Waits for the first, takes what is there.
        let flags = match waits {
            true => MsgFlags::MSG_WAITFORONE,
            false => MsgFlags::MSG_DONTWAIT,
        };
        // New ones each time: a header keeps the length of what was told with the last
        // datagram, and would have room for nothing after one without a word of drops.
        let mut headers = MultiHeaders::<SockaddrStorage>::preallocate(
            DATAGRAMS_PER_CALL,
            Some(cmsg_space!(u32)),
        );
        let socket = self.socket.as_raw_fd();
        let messages = recvmmsg(socket, &mut headers, &mut buffers, flags, None)?;
        let received = now_us();
        let (mut datagrams, mut bytes) = (0, 0);
        let mut dropped = None;
        let unknown = SocketAddr::new(IpAddr::from([0; 4]), 0);
        let mut seen = Vec::with_capacity(DATAGRAMS_PER_CALL);
        for message in messages {
            let peer = message
                .address
                .as_ref()
                .and_then(peer_of)
                .unwrap_or(unknown);
            if let Ok(cmsgs) = message.cmsgs() {
                for cmsg in cmsgs {
                    if let ControlMessageOwned::RxqOvfl(count) = cmsg {
                        dropped = Some(count);
                    }
                }
            }
            seen.push((message.bytes, peer));
        }
        for ((length, peer), slot) in seen.into_iter().zip(slots.chunks_exact(DATAGRAM_BYTES_MAX)) {
            batch.push(slot.get(..length).unwrap_or(slot), received, peer);
            datagrams += 1;
            bytes += length;
        }
        Ok(Received {
            datagrams,
            bytes,
            dropped,
        })
    }
}

struct Received {
    datagrams: usize,
    bytes: usize,
    /// Datagrams that the kernel has dropped since the socket was bound, if it says so.
    dropped: Option<u32>,
}

impl Received {
    /// What they had of the kernel's buffer, at the least.
    fn buffered_bytes(&self) -> usize {
        self.bytes + self.datagrams * DATAGRAM_OVERHEAD_BYTES
    }
}

fn peer_of(address: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = address
        .as_sockaddr_in()
        .map(|v4| SocketAddr::from((v4.ip(), v4.port())));
    v4.or_else(|| {
        address
            .as_sockaddr_in6()
            .map(|v6| SocketAddr::from((v6.ip(), v6.port())))
    })
}

#[cfg(test)]
mod tests;
