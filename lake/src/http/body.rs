//! An answer on its way: from the thread on which DuckDB makes it to the client, with a few chunks in
//! between.
//!
//! ```text
//!  DuckDB ─▶ Sink: rendered ─▶ held back until there is much of it, or its end ─▶ head and status
//!                     └─▶ chunks ─▶ a channel of a few ─▶ body; a client that is gone cancels the query
//! ```
//!
//! A short answer is there whole before its head is sent: then the head says how long it is and whether
//! it is cut, and an error has a status. Of a longer one the end says so.

use super::{error::ApiError, format::Format, render::Writer};
use crate::{Cancellation, Columns, Coverage, Cut, End, Flow, QueryError, Receiver};
use arrow::{array::RecordBatch, error::ArrowError};
use axum::{
    body::{Body, Bytes},
    http::{HeaderName, HeaderValue, header},
    response::{IntoResponse, Response},
};
use futures_util::stream;
use std::{io, time::Instant};
use tokio::{
    runtime::Handle,
    sync::{mpsc, oneshot},
    time::{Duration, sleep, timeout_at},
};

/// Bytes of an answer that are held back, so that its head can tell of the whole of most answers.
const HELD_BYTES: usize = 1 << 20;
/// Bytes of a chunk.
const CHUNK_BYTES: usize = 256 << 10;
/// Chunks that wait for the client. The query waits for the client beyond that.
const CHUNKS_WAITING: usize = 4;
/// Time for the last bytes of an answer to leave before its connection is closed.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// Whether the answer is cut: `true`, `false`, or `unknown` where it is sent before that is known.
const TRUNCATED: HeaderName = HeaderName::from_static("x-heplake-truncated");
/// How many rows the answer has at most.
const ROW_LIMIT: HeaderName = HeaderName::from_static("x-heplake-row-limit");
/// The tables that a search looked through.
const TABLES_SEARCHED: HeaderName = HeaderName::from_static("x-heplake-tables-searched");

/// What is told of an answer before its rows.
pub(super) struct About {
    pub(super) format: Format,
    pub(super) width: usize,
    pub(super) row_limit: usize,
    pub(super) bytes_max: u64,
    pub(super) coverage: Option<Coverage>,
}

/// A part of an answer that was begun.
enum Part {
    Chunk(Vec<u8>),
    /// It is all there.
    End,
}

/// The beginning of an answer.
enum Start {
    Whole(Vec<u8>, Option<Cut>),
    First(Vec<u8>),
}

/// Cancels a query when nobody waits for it any more.
struct Waiting(Cancellation);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// The two ends of an answer: `Sink` on the query's thread, `Pending` where the client waits.
pub(super) fn channel(about: About) -> (Sink, Pending) {
    let (start, started) = oneshot::channel();
    let (parts, rest) = mpsc::channel(CHUNKS_WAITING);
    let cancellation = Cancellation::default();
    let headers = headers(&about);
    let sink = Sink {
        writer: Writer::new(about.format, about.width, about.coverage),
        format: about.format,
        out: Vec::new(),
        bytes_left: about.bytes_max,
        rows: 0,
        start: Some(start),
        parts,
        deadline: None,
        unprintable: None,
        runtime: Handle::current(),
        cancellation: cancellation.clone(),
    };
    let pending = Pending {
        started,
        rest,
        waiting: Waiting(cancellation),
        headers,
    };
    (sink, pending)
}

type Headers = Vec<(HeaderName, HeaderValue)>;

fn headers(about: &About) -> Headers {
    let mut headers = vec![
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static(about.format.content_type()),
        ),
        (ROW_LIMIT, HeaderValue::from(about.row_limit)),
        // A call's data is nobody else's to keep.
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        ),
    ];
    let coverage = about.coverage.as_ref();
    let searched = coverage.map(|coverage| HeaderValue::from_str(&coverage.searched.join(", ")));
    if let Some(Ok(searched)) = searched {
        headers.push((TABLES_SEARCHED, searched));
    }
    headers
}

/// Takes an answer on the query's thread.
pub(super) struct Sink {
    writer: Writer,
    format: Format,
    /// Rendered and not sent yet.
    out: Vec<u8>,
    bytes_left: u64,
    rows: usize,
    start: Option<oneshot::Sender<Result<Start, ApiError>>>,
    parts: mpsc::Sender<Part>,
    deadline: Option<Instant>,
    /// Why a row could not be rendered.
    unprintable: Option<ArrowError>,
    runtime: Handle,
    cancellation: Cancellation,
}

impl Receiver for Sink {
    fn columns(&mut self, columns: &Columns, deadline: Instant) -> Flow {
        self.deadline = Some(deadline);
        let begun = self.writer.begin(columns, &mut self.out);
        self.checked(begun)
    }

    fn rows(&mut self, batch: &RecordBatch) -> Flow {
        self.rows += batch.num_rows();
        for part in self.writer.parts(batch) {
            let before = self.out.len();
            let written = self.writer.rows(&part, &mut self.out);
            let more = self.out.len().saturating_sub(before) as u64;
            if more > self.bytes_left {
                // A row is whole or not there.
                self.out.truncate(before);
                return Flow::Full;
            }
            self.bytes_left -= more;
            let flow = match self.checked(written) {
                Flow::More => self.send_what_is_much(),
                flow => flow,
            };
            if flow != Flow::More {
                return flow;
            }
        }
        Flow::More
    }
}

impl Sink {
    pub(super) fn cancellation(&self) -> Cancellation {
        self.cancellation.clone()
    }

    /// Number of rows that were taken.
    pub(super) fn row_count(&self) -> usize {
        self.rows
    }

    /// Ends the answer as the query ended.
    pub(super) fn end(mut self, ended: Result<End, ApiError>) {
        let ended = match self.unprintable.take() {
            Some(error) => Err(unprintable(&error, self.format)),
            None => ended,
        };
        let ended = ended.and_then(|end| {
            let written = self.writer.end(&end, &mut self.out);
            let format = self.format;
            written.map_err(|error| unprintable(&error, format))?;
            Ok(end)
        });
        match (self.start.take(), ended) {
            (Some(start), Ok(end)) => {
                // Nobody waits for it where this fails.
                let _ = start.send(Ok(Start::Whole(self.out, end.cut)));
            }
            (Some(start), Err(error)) => {
                let _ = start.send(Err(error));
            }
            (None, Ok(end)) if end.cut == Some(Cut::Bytes) && self.format != Format::Json => {
                let message = "the answer has more bytes than query.max_bytes: ask for less";
                self.break_off(&ApiError::new(
                    axum::http::StatusCode::INSUFFICIENT_STORAGE,
                    "answer_too_large",
                    message,
                ));
            }
            (None, Ok(_)) => {
                let out = std::mem::take(&mut self.out);
                if self.send(Part::Chunk(out)) == Flow::More {
                    self.send(Part::End);
                }
            }
            (None, Err(error)) => self.break_off(&error),
        }
    }

    /// Says what went wrong, where the format has a place for it, and ends without the end.
    fn break_off(&mut self, error: &ApiError) {
        error.record();
        self.writer
            .fail(error.code(), error.message(), &mut self.out);
        let out = std::mem::take(&mut self.out);
        self.send(Part::Chunk(out));
    }

    fn checked(&mut self, written: Result<(), ArrowError>) -> Flow {
        match written {
            Ok(()) => Flow::More,
            Err(error) => {
                self.unprintable = Some(error);
                Flow::Gone
            }
        }
    }

    fn send_what_is_much(&mut self) -> Flow {
        let much = match self.start {
            Some(_) => HELD_BYTES,
            None => CHUNK_BYTES,
        };
        if self.out.len() < much {
            return Flow::More;
        }
        let out = std::mem::take(&mut self.out);
        match self.start.take() {
            Some(start) => match start.send(Ok(Start::First(out))) {
                Ok(()) => Flow::More,
                Err(_) => Flow::Gone,
            },
            None => self.send(Part::Chunk(out)),
        }
    }

    /// Waits for room in the channel, until the deadline.
    fn send(&self, part: Part) -> Flow {
        let deadline = self.deadline.unwrap_or_else(Instant::now);
        let sent = self
            .runtime
            .block_on(async { timeout_at(deadline.into(), self.parts.send(part)).await });
        match sent {
            Ok(Ok(())) => Flow::More,
            Ok(Err(_)) => Flow::Gone,
            Err(_) => Flow::Late,
        }
    }
}

fn unprintable(error: &ArrowError, format: Format) -> ApiError {
    ApiError::from(QueryError::Internal(format!(
        "the answer cannot be written as {}: {error}",
        format.content_type()
    )))
}

/// An answer that a client waits for. If it is dropped the query is cancelled.
pub(super) struct Pending {
    started: oneshot::Receiver<Result<Start, ApiError>>,
    rest: mpsc::Receiver<Part>,
    waiting: Waiting,
    headers: Headers,
}

impl Pending {
    /// The response, once there is enough of the answer.
    pub(super) async fn response(self) -> Result<Response, ApiError> {
        let ended_abnormally = |_| {
            let message = "the request ended abnormally; the log says how";
            ApiError::from(QueryError::Internal(message.into()))
        };
        let start = self.started.await.map_err(ended_abnormally)??;
        let (body, truncated) = match start {
            Start::Whole(bytes, cut) => {
                let truncated = if cut.is_some() { "true" } else { "false" };
                (Body::from(bytes), truncated)
            }
            Start::First(bytes) => (body(bytes, self.rest, self.waiting), "unknown"),
        };
        let mut response = body.into_response();
        response.headers_mut().extend(self.headers);
        let truncated = HeaderValue::from_static(truncated);
        response.headers_mut().insert(TRUNCATED, truncated);
        Ok(response)
    }
}

/// The body of an answer that is still being made. It ends by an error, which closes the connection
/// without the last chunk, if the answer does not come to its end.
fn body(first: Vec<u8>, rest: mpsc::Receiver<Part>, waiting: Waiting) -> Body {
    let state = Some((Some(first), rest, waiting));
    Body::from_stream(stream::unfold(state, |state| async {
        let (first, mut rest, waiting) = state?;
        let part = match first {
            Some(first) => Some(Part::Chunk(first)),
            None => rest.recv().await,
        };
        match part {
            Some(Part::Chunk(bytes)) => Some((Ok(Bytes::from(bytes)), Some((None, rest, waiting)))),
            Some(Part::End) => None,
            None => {
                // What was sent before is written while this waits.
                sleep(LAST_WORDS).await;
                let broken = io::Error::other("the answer was broken off");
                Some((Err(broken), None))
            }
        }
    }))
}
