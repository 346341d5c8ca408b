//! Listeners: bytes from a socket to batches for workers. They understand nothing of what
//! they carry but the length field by which HEP marks packets on a stream.

mod framing;
mod tcp;
mod udp;

pub use framing::{FrameError, Framing};
pub use tcp::TcpListener;
pub use udp::UdpListener;

use std::net::SocketAddr;

/// Why nothing can be received.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot listen on {transport} {address} (ingest.{transport}.host and ingest.{transport}.port set it): {reason}"
)]
pub struct ListenError {
    transport: &'static str,
    address: SocketAddr,
    reason: String,
}
