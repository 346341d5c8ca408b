//! Connections: a bounded number of them, and none that keeps its place for nothing.
//!
//! ```text
//!  accept ─▶ head ─▶ request in hand ─▶ answer ─▶ next head, or the end
//!  └──── idle_max ───┘                  └─ idle_max after every write ─┘
//! ```
//!
//! A head must be there `idle_max` after its connection, or after the answer before it, however
//! it trickles in. While a request is in hand its connection waits: how long that may take is
//! for whoever answers to say.

use axum::{
    extract::{ConnectInfo, Request, connect_info::Connected},
    middleware::Next,
    response::Response,
    serve::{IncomingStream, Listener},
};
use std::{
    fmt, io,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, Sleep, sleep_until},
};

/// Connections at a time. Further ones wait in the kernel's queue; without a bound, whoever
/// opens connections could use up the file descriptors that the data files need.
const CONNECTIONS_MAX: usize = 256;

/// How long a connection may have no request in hand. It is open to whoever has no token yet:
/// without a bound, as many idle ones as there are places would keep everybody else out.
const IDLE_MAX: Duration = Duration::from_secs(30);

/// What the connections of a listener may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct ConnectionLimits {
    /// Connections at a time.
    pub(super) connections_max: usize,
    /// How long one may have no request in hand.
    pub(super) idle_max: Duration,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            connections_max: CONNECTIONS_MAX,
            idle_max: IDLE_MAX,
        }
    }
}

/// Accepts a connection when a place is free.
pub(super) struct BoundedListener {
    listener: TcpListener,
    free: Arc<Semaphore>,
    idle_max: Duration,
}

impl BoundedListener {
    pub(super) fn new(listener: TcpListener, limits: ConnectionLimits) -> Self {
        Self {
            listener,
            free: Arc::new(Semaphore::new(limits.connections_max)),
            idle_max: limits.idle_max,
        }
    }
}

impl Listener for BoundedListener {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        // The semaphore is never closed: without a place there is none yet.
        let place = Arc::clone(&self.free).acquire_owned().await.ok();
        // axum's own implementation waits and tries again where accepting fails.
        let (stream, peer) = Listener::accept(&mut self.listener).await;
        let now = Instant::now();
        let connection = Connection {
            stream,
            idle_max: self.idle_max,
            idle: Idle(Arc::new(Mutex::new(Some(now)))),
            timer: Box::pin(sleep_until(now + self.idle_max)),
            _place: place,
        };
        (connection, peer)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// Since when a connection has had no request in hand; none while it has one.
#[derive(Clone, Debug)]
pub(super) struct Idle(Arc<Mutex<Option<Instant>>>);

impl Idle {
    fn since(&self) -> Option<Instant> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, since: Option<Instant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }
}

impl Connected<IncomingStream<'_, BoundedListener>> for Idle {
    fn connect_info(stream: IncomingStream<'_, BoundedListener>) -> Self {
        stream.io().idle.clone()
    }
}

/// Marks a connection as having a request in hand, until its answer is there or nobody waits
/// for it any more.
pub(super) async fn hold(
    ConnectInfo(idle): ConnectInfo<Idle>,
    request: Request,
    next: Next,
) -> Response {
    struct InHand(Idle);

    impl Drop for InHand {
        fn drop(&mut self) {
            self.0.set(Some(Instant::now()));
        }
    }

    idle.set(None);
    let _in_hand = InHand(idle);
    next.run(request).await
}

/// A connection that gives its place back when it is closed, and fails when it is idle for
/// too long.
pub(super) struct Connection {
    stream: TcpStream,
    idle_max: Duration,
    idle: Idle,
    timer: Pin<Box<Sleep>>,
    _place: Option<OwnedSemaphorePermit>,
}

impl Connection {
    /// Waits for the end of the time that it may be idle. Who is answered polls again.
    fn poll_idle<T>(&mut self, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        let Some(since) = self.idle.since() else {
            return Poll::Pending;
        };
        let end = since + self.idle_max;
        if self.timer.deadline() != end {
            self.timer.as_mut().reset(end);
        }
        let over = self.timer.as_mut().poll(context);
        over.map(|()| Err(io::ErrorKind::TimedOut.into()))
    }

    /// What became of a write: one that got on is what an idle connection does not do.
    fn written(
        &mut self,
        written: Poll<io::Result<usize>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if written.is_pending() {
            return self.poll_idle(context);
        }
        if self.idle.since().is_some() {
            self.idle.set(Some(Instant::now()));
        }
        written
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Connection").field(&self.stream).finish()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.stream).poll_read(context, buffer) {
            Poll::Pending => self.poll_idle(context),
            read => read,
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.written(written, context)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.written(written, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
