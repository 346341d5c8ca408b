//! Connections: a bounded number of them, and a place for a new one whatever the others do.
//!
//! ```text
//!  accept ─▶ head ─▶ request in hand ─▶ answer ─▶ next head, or the end
//!  └──── head_max ───┘                  └─ idle_max after every write ─┘
//! ```
//!
//! A head must be there `head_max` after its connection, and `idle_max` after the answer before it, however it trickles
//! in. While a request is in hand its connection waits: how long that may take is for the handler to say.
//!
//! If all places are taken, a new connection takes that of another which has no request in hand: one that never had a
//! request goes first, then one that is kept alive, then one whose peer does not read its answer; of each kind the one
//! that did nothing for the longest time. So half-open connections, however many, keep nobody out. Requests in hand
//! have fewer places than connections, so that there is always a connection that can go: a request beyond them is
//! answered with 503 at once, but for those that tell how the service is.

use super::ApiError;
use axum::{
    extract::{ConnectInfo, Request, State, connect_info::Connected},
    middleware::Next,
    response::{IntoResponse, Response},
    serve::{IncomingStream, Listener},
};
use std::{
    collections::BTreeMap,
    fmt, io,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, Sleep, sleep_until, timeout},
};

/// Connections at a time. Without a bound, connections could use up the file descriptors that the data files need.
const CONNECTIONS_MAX: usize = 256;

/// Requests in hand at a time. The other places are for connections that can be closed for a new one.
const REQUESTS_MAX: usize = 192;

/// Pages that are answered though all places of requests are taken: they wait for nothing.
const ALWAYS_ANSWERED: [&str; 2] = ["/health", "/metrics"];

/// How long a new connection may take for its first head. Clients send it at once.
const HEAD_MAX: Duration = Duration::from_secs(10);

/// How long a connection that had a request may have none in hand.
const IDLE_MAX: Duration = Duration::from_secs(30);

/// How long a connection that was told to give its place up is waited for. It may have got a request in that moment,
/// and keeps its place then: another is told.
const GIVES_UP_WITHIN: Duration = Duration::from_millis(50);

/// What the connections of a listener may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct ConnectionLimits {
    /// Connections at a time.
    pub(super) connections_max: usize,
    /// Requests in hand at a time.
    pub(super) requests_max: usize,
    /// How long the first head may take.
    pub(super) head_max: Duration,
    /// How long a connection may have no request in hand after that.
    pub(super) idle_max: Duration,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            connections_max: CONNECTIONS_MAX,
            requests_max: REQUESTS_MAX,
            head_max: HEAD_MAX,
            idle_max: IDLE_MAX,
        }
    }
}

/// Accepts connections, each as soon as there is a place for it.
pub(super) struct BoundedListener {
    listener: TcpListener,
    free: Arc<Semaphore>,
    places: Arc<Places>,
    limits: ConnectionLimits,
}

impl BoundedListener {
    pub(super) fn new(listener: TcpListener, limits: ConnectionLimits) -> Self {
        Self {
            listener,
            free: Arc::new(Semaphore::new(limits.connections_max)),
            places: Arc::default(),
            limits,
        }
    }

    /// A place that is free, or that another connection gives up.
    async fn place(&self) -> Option<OwnedSemaphorePermit> {
        loop {
            if let Ok(place) = Arc::clone(&self.free).try_acquire_owned() {
                return Some(place);
            }
            self.places.give_one_up();
            let freed = Arc::clone(&self.free).acquire_owned();
            if let Ok(place) = timeout(GIVES_UP_WITHIN, freed).await {
                // The semaphore is never closed: without a place there is none yet.
                return place.ok();
            }
        }
    }
}

impl Listener for BoundedListener {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        // axum's own implementation waits and tries again where accepting fails.
        let (stream, peer) = Listener::accept(&mut self.listener).await;
        let place = self.place().await;
        let now = Instant::now();
        let activity = Activity(Arc::new(Mutex::new(Doing::new(now))));
        let number = self.places.enter(&activity);
        let connection = Connection {
            stream,
            head_max: self.limits.head_max,
            idle_max: self.limits.idle_max,
            activity,
            timer: Box::pin(sleep_until(now + self.limits.head_max)),
            places: Arc::clone(&self.places),
            number,
            _place: place,
        };
        (connection, peer)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// The connections that have a place.
#[derive(Default)]
struct Places {
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    next: u64,
    by: BTreeMap<u64, Activity>,
}

impl Places {
    fn enter(&self, activity: &Activity) -> u64 {
        let mut taken = lock(&self.taken);
        let number = taken.next;
        taken.next += 1;
        taken.by.insert(number, activity.clone());
        number
    }

    fn leave(&self, number: u64) {
        lock(&self.taken).by.remove(&number);
    }

    /// Tells one connection that has no request in hand to give its place up.
    fn give_one_up(&self) {
        let taken = lock(&self.taken);
        let first = taken
            .by
            .values()
            .filter_map(|activity| Some((activity.state().goes_after()?, activity)))
            .min_by_key(|(after, _)| *after);
        if let Some((_, activity)) = first {
            activity.give_up();
        }
    }
}

/// The state of a connection: shared by the connection, its requests, and the listener.
#[derive(Clone)]
pub(super) struct Activity(Arc<Mutex<Doing>>);

struct Doing {
    /// Since when there is no request in hand; none while there is one.
    idle_since: Option<Instant>,
    /// It had a request.
    had_request: bool,
    /// Its peer does not take what is written.
    is_writing: bool,
    /// It was told to give its place up.
    gives_up: bool,
    /// Wakes the connection.
    waker: Option<Waker>,
}

impl Doing {
    fn new(now: Instant) -> Self {
        Self {
            idle_since: Some(now),
            had_request: false,
            is_writing: false,
            gives_up: false,
            waker: None,
        }
    }

    /// Its turn to give its place up; none if it keeps it.
    fn goes_after(&self) -> Option<(bool, bool, Instant)> {
        if self.gives_up {
            return None;
        }
        Some((self.is_writing, self.had_request, self.idle_since?))
    }
}

impl Activity {
    fn state(&self) -> MutexGuard<'_, Doing> {
        lock(&self.0)
    }

    fn give_up(&self) {
        let mut state = self.state();
        state.gives_up = true;
        if let Some(waker) = state.waker.take() {
            waker.wake();
        }
    }

    /// A request is in hand: from now on the connection keeps its place.
    fn begin(&self) {
        let mut state = self.state();
        state.had_request = true;
        state.gives_up = false;
        state.idle_since = None;
    }

    fn end(&self) {
        self.state().idle_since = Some(Instant::now());
    }
}

impl Connected<IncomingStream<'_, BoundedListener>> for Activity {
    fn connect_info(stream: IncomingStream<'_, BoundedListener>) -> Self {
        stream.io().activity.clone()
    }
}

/// Places of requests in hand.
#[derive(Clone)]
pub(super) struct Requests {
    free: Arc<Semaphore>,
    max: usize,
}

impl Requests {
    pub(super) fn new(limits: ConnectionLimits) -> Self {
        Self {
            free: Arc::new(Semaphore::new(limits.requests_max)),
            max: limits.requests_max,
        }
    }
}

/// Marks a connection as having a request in hand, until its answer is there or nobody waits
/// for it any more. Turns the request away if all places of requests are taken.
pub(super) async fn hold(
    State(requests): State<Requests>,
    ConnectInfo(activity): ConnectInfo<Activity>,
    request: Request,
    next: Next,
) -> Response {
    struct InHand(Activity);

    impl Drop for InHand {
        fn drop(&mut self) {
            self.0.end();
        }
    }

    let is_always_answered = ALWAYS_ANSWERED.contains(&request.uri().path());
    let _place = match requests.free.try_acquire_owned() {
        Ok(place) => Some(place),
        Err(_) if is_always_answered => None,
        Err(_) => {
            let what = format!("{} requests are in hand", requests.max);
            return ApiError::busy(&what).into_response();
        }
    };
    activity.begin();
    let _in_hand = InHand(activity);
    next.run(request).await
}

/// A connection that gives its place back when it is closed, and fails when it is idle for
/// too long or told to give its place up.
pub(super) struct Connection {
    stream: TcpStream,
    head_max: Duration,
    idle_max: Duration,
    activity: Activity,
    timer: Pin<Box<Sleep>>,
    places: Arc<Places>,
    number: u64,
    _place: Option<OwnedSemaphorePermit>,
}

impl Connection {
    /// Waits for the end of the time that it may be idle, and to be told to give its place up. The end of a request
    /// wakes it too.
    fn poll_idle<T>(&mut self, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        let mut state = self.activity.state();
        let Some(since) = state.idle_since else {
            return Poll::Pending;
        };
        if state.gives_up {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        let is_same = |waker: &Waker| waker.will_wake(context.waker());
        if !state.waker.as_ref().is_some_and(is_same) {
            state.waker = Some(context.waker().clone());
        }
        let idle_max = match state.had_request {
            true => self.idle_max,
            false => self.head_max,
        };
        drop(state);
        let end = since + idle_max;
        if self.timer.deadline() != end {
            self.timer.as_mut().reset(end);
        }
        let over = self.timer.as_mut().poll(context);
        over.map(|()| Err(io::ErrorKind::TimedOut.into()))
    }

    /// Notes what became of a write: an idle connection is one that does not get on with its answer.
    fn written(
        &mut self,
        written: Poll<io::Result<usize>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let mut state = self.activity.state();
        state.is_writing = written.is_pending();
        if written.is_ready() && state.idle_since.is_some() {
            state.idle_since = Some(Instant::now());
        }
        drop(state);
        match written.is_pending() {
            true => self.poll_idle(context),
            false => written,
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.places.leave(self.number);
    }
}

/// A panic elsewhere leaves nothing half done here.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
