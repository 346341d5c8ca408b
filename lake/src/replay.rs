//! Replay: sends what a capture holds to a receiver, at a given rate.
//!
//! ```text
//!  .pcap, .pcapng ─▶ UDP payloads ─▶ one datagram each, or back to back over TCP
//!  .stream        ─▶ bytes        ─▶ TCP, as they are, cut where told
//! ```

mod capture;
#[cfg(test)]
mod tests;

pub use capture::{Capture, CaptureError};

use std::{
    io::{self, Write},
    net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpStream, UdpSocket},
    time::{Duration, Instant},
};

/// A receiver that takes nothing for so long is given up.
const TCP_WRITE_TIMEOUT: Duration = Duration::from_secs(60);

/// How long a receiver may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A pause shorter than this is not worth a system call: sleeping takes longer.
const PAUSE_MIN: Duration = Duration::from_micros(200);

/// How often progress is told.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(500);

/// How a capture is sent.
#[derive(Clone, Debug)]
pub struct Replay {
    /// To whom.
    pub target: SocketAddr,
    /// Over what.
    pub transport: Transport,
    /// Sends a second: datagrams, or writes over TCP. None: as fast as they go.
    pub rate: Option<f64>,
    /// How often the whole is sent.
    pub times: u64,
    /// Over TCP: bytes a write. None: a packet a write, and a stream in one.
    pub chunk_bytes: Option<usize>,
}

/// What a packet is carried by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// A packet a datagram.
    Udp,
    /// Back to back in one connection.
    Tcp,
}

/// What has been sent.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sent {
    /// Datagrams, or writes over TCP.
    pub sends: u64,
    /// Bytes of payload.
    pub bytes: u64,
    /// Since the first send.
    pub elapsed: Duration,
}

/// Why a replay stopped.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// There is no way to the receiver.
    #[error("cannot connect to {transport} {target}: {source}; is the receiver running there?")]
    Connect {
        /// Over what.
        transport: &'static str,
        /// To whom.
        target: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The receiver is gone.
    #[error(
        "send {number} to {transport} {target} failed: {source}; is the receiver running there?"
    )]
    Send {
        /// Which, from 1.
        number: u64,
        /// Over what.
        transport: &'static str,
        /// To whom.
        target: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// A stream has no datagrams.
    #[error("{0} is what a TCP connection carried, and cannot be sent over UDP: use --tcp")]
    StreamOverUdp(String),
}

impl Replay {
    /// Sends the captures, one after the other, and tells `progress` twice a second how
    /// much has been sent. Blocks until all is sent.
    ///
    /// # Errors
    /// Says what could not be sent to whom.
    pub fn send(
        &self,
        captures: &[Capture],
        progress: impl FnMut(Sent),
    ) -> Result<Sent, ReplayError> {
        let mut pieces = Vec::new();
        for capture in captures {
            self.cut(capture, &mut pieces)?;
        }
        let mut sender = Sender::connect(self)?;
        let mut pace = Pace::start(self.rate, progress);
        for _ in 0..self.times {
            for piece in &pieces {
                pace.wait();
                sender.send(piece).map_err(|source| ReplayError::Send {
                    number: pace.sent.sends + 1,
                    transport: self.transport.name(),
                    target: self.target,
                    source,
                })?;
                pace.count(piece.len());
            }
        }
        sender.finish();
        Ok(pace.finish())
    }

    /// The pieces of a capture, each of which is one send.
    fn cut<'c>(
        &self,
        capture: &'c Capture,
        pieces: &mut Vec<std::borrow::Cow<'c, [u8]>>,
    ) -> Result<(), ReplayError> {
        match (self.transport, capture) {
            (Transport::Udp, Capture::Stream { name, .. }) => {
                return Err(ReplayError::StreamOverUdp(name.clone()));
            }
            (Transport::Udp, Capture::Packets { packets, .. }) => {
                pieces.extend(packets.iter().map(Into::into));
            }
            (Transport::Tcp, Capture::Packets { packets, .. }) => match self.chunk_bytes {
                None => pieces.extend(packets.iter().map(Into::into)),
                Some(bytes) => {
                    let whole = packets.concat();
                    pieces.extend(
                        whole
                            .chunks(bytes.max(1))
                            .map(|chunk| chunk.to_vec().into()),
                    );
                }
            },
            (Transport::Tcp, Capture::Stream { bytes, .. }) => {
                let length = self.chunk_bytes.unwrap_or(bytes.len()).max(1);
                pieces.extend(bytes.chunks(length).map(Into::into));
            }
        }
        Ok(())
    }
}

impl Transport {
    /// `udp` or `tcp`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
        }
    }
}

impl Sent {
    /// Sends a second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.sends as f64 / self.elapsed.as_secs_f64().max(1e-6)
    }
}

enum Sender {
    Udp(UdpSocket),
    Tcp(TcpStream),
}

impl Sender {
    fn connect(replay: &Replay) -> Result<Self, ReplayError> {
        let connected = match replay.transport {
            Transport::Udp => Self::udp(replay.target),
            Transport::Tcp => Self::tcp(replay.target),
        };
        connected.map_err(|source| ReplayError::Connect {
            transport: replay.transport.name(),
            target: replay.target,
            source,
        })
    }

    fn udp(target: SocketAddr) -> io::Result<Self> {
        let any = match target {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let socket = UdpSocket::bind(SocketAddr::new(any, 0))?;
        // Connected, so that "port unreachable" comes back as an error of a later send.
        socket.connect(target)?;
        Ok(Self::Udp(socket))
    }

    fn tcp(target: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&target, CONNECT_TIMEOUT)?;
        // Where a write ends must be where a segment ends.
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(TCP_WRITE_TIMEOUT))?;
        Ok(Self::Tcp(stream))
    }

    fn send(&mut self, piece: &[u8]) -> io::Result<()> {
        match self {
            Self::Udp(socket) => socket.send(piece).map(drop),
            Self::Tcp(stream) => stream.write_all(piece),
        }
    }

    fn finish(self) {
        if let Self::Tcp(stream) = self {
            // All is written; a receiver that has closed by now has no more to say.
            let _ = stream.shutdown(Shutdown::Write);
        }
    }
}

/// Keeps the rate, and counts.
struct Pace<P> {
    interval: Duration,
    started: Instant,
    told: Instant,
    sent: Sent,
    progress: P,
}

impl<P: FnMut(Sent)> Pace<P> {
    fn start(rate: Option<f64>, progress: P) -> Self {
        let now = Instant::now();
        let interval = rate
            .filter(|rate| *rate > 0.0)
            .and_then(|rate| Duration::try_from_secs_f64(1.0 / rate).ok())
            .unwrap_or_default();
        Self {
            interval,
            started: now,
            told: now,
            sent: Sent::default(),
            progress,
        }
    }

    /// Waits until the next send is due.
    fn wait(&self) {
        let due = self.interval.as_secs_f64() * self.sent.sends as f64;
        let early = Duration::try_from_secs_f64(due)
            .unwrap_or_default()
            .saturating_sub(self.started.elapsed());
        if early >= PAUSE_MIN {
            std::thread::sleep(early);
        }
    }

    fn count(&mut self, bytes: usize) {
        self.sent.sends += 1;
        self.sent.bytes += bytes as u64;
        if self.told.elapsed() >= PROGRESS_INTERVAL {
            self.told = Instant::now();
            self.sent.elapsed = self.started.elapsed();
            (self.progress)(self.sent);
        }
    }

    fn finish(mut self) -> Sent {
        self.sent.elapsed = self.started.elapsed();
        self.sent
    }
}
