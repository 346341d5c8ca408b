//! Queries: who answers them, for how long, and how much.
//!
//! ```text
//!  caller ─▶ turn ─▶ thread with a large stack: parse, judge, run ─▶ Receiver, batch by batch
//!     └────── watches the deadline, and whether anybody waits still ──┘
//! ```

use crate::{
    answer::{Cut, End, Flow, Receiver},
    database::{DatabaseError, Session},
    redaction::Redaction,
    settings::LakeSettings,
    statement::{Statement, StatementRefusal},
    suspects::Suspects,
};
use arrow::array::RecordBatch;
use serde::de::DeserializeOwned;
use std::{
    path::PathBuf,
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

/// Queries that run at once; others wait for their turn. More would only share the same
/// threads and memory.
const QUERIES_AT_ONCE: usize = 8;
/// Rows of an answer when nobody says how many.
const ROWS_DEFAULT: usize = 10_000;
/// How often a query beyond its deadline is told to stop. Once might fall into the moment
/// between two of its steps, where DuckDB forgets it.
const INTERRUPT_AGAIN: Duration = Duration::from_millis(50);
/// Stack of the thread that runs a query. DuckDB recurses on statements and on some data. Memory is
/// taken only for what is used of it.
const STACK_BYTES: usize = 64 << 20;

/// Why a query has no answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The statement is not let through.
    #[error(transparent)]
    Refused(#[from] StatementRefusal),
    /// The statement is wrong: a name, a type, a value. Fix it.
    #[error("{0}")]
    Statement(String),
    /// It took too long, or its answer was not taken in time. Ask for less.
    #[error(
        "the query was stopped after its deadline of {0:?}, in which its answer must be read, too: ask for less, such as fewer dates"
    )]
    Deadline(Duration),
    /// All that may run at once did, for the whole deadline. Try again later.
    #[error("no turn within {0:?}: {QUERIES_AT_ONCE} other queries are running; try again later")]
    Busy(Duration),
    /// The memory of all queries together was used up.
    #[error("the query needs more memory than there is for queries: {0}")]
    OutOfMemory(String),
    /// Nobody waits for the answer any more.
    #[error("the query was stopped, because nobody waits for its answer")]
    Abandoned,
    /// A fault that is not the query's.
    #[error("the lake could not answer: {0}")]
    Internal(String),
}

/// Says that nobody waits for a query any more. A clone speaks of the same query.
#[derive(Clone, Debug, Default)]
pub struct Cancellation(Arc<(Mutex<State>, Condvar)>);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Wanted,
    Cancelled,
    Done,
}

impl Cancellation {
    /// Stops the query, if it has not ended.
    pub fn cancel(&self) {
        self.leave(State::Cancelled);
    }

    /// Whether the query was told to stop.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.wait(Duration::ZERO) == State::Cancelled
    }

    fn leave(&self, next: State) {
        let (state, changed) = &*self.0;
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        if *state == State::Wanted {
            *state = next;
        }
        changed.notify_all();
    }

    /// The state, once it is another than wanted or some time has passed.
    fn wait(&self, time: Duration) -> State {
        let (state, changed) = &*self.0;
        let state = state.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = changed.wait_timeout_while(state, time, |state| *state == State::Wanted);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// Those who answer queries: a session each, all of one instance.
pub(crate) struct Readers {
    first: Mutex<Session>,
    /// Queries that may still begin.
    free: Mutex<usize>,
    returned: Condvar,
    lake_name: String,
    redaction: Redaction,
    suspects: Suspects,
    data_path: PathBuf,
    deadline: Duration,
    rows_max: usize,
    bytes_max: u64,
}

/// Who asked, and who takes the answer.
pub(crate) struct Asker<'a> {
    pub(crate) receiver: &'a mut dyn Receiver,
    pub(crate) cancellation: &'a Cancellation,
}

impl Readers {
    /// Opens the instance; the catalog exists.
    pub(crate) fn open(settings: &LakeSettings) -> Result<Self, DatabaseError> {
        Ok(Self {
            first: Mutex::new(Session::reader(settings)?),
            free: Mutex::new(QUERIES_AT_ONCE),
            returned: Condvar::new(),
            lake_name: settings.lake_name.clone(),
            redaction: Redaction::new(settings),
            suspects: Suspects::default(),
            data_path: settings.data_path.clone(),
            deadline: settings.query_deadline,
            rows_max: settings.query_rows_max,
            bytes_max: settings.query_bytes_max,
        })
    }

    /// The data files that queries could not read.
    pub(crate) fn suspects(&self) -> Suspects {
        self.suspects.clone()
    }

    /// Answers a statement of a stranger.
    pub(crate) fn judged(
        &self,
        sql: &str,
        limit: Option<usize>,
        asker: Asker<'_>,
    ) -> Result<End, QueryError> {
        let statement = Statement::of(sql)?;
        let Asker {
            receiver,
            cancellation,
        } = asker;
        self.within_deadline(sql, cancellation, |session, deadline| {
            let tree = session.parse(statement.query())?;
            let judged = statement.judge(&tree, &self.lake_name)?;
            self.stream(session, judged.sql(), &[], limit, deadline, receiver)
        })
    }

    /// Answers a statement of our own.
    pub(crate) fn answer(
        &self,
        sql: &str,
        parameters: &[String],
        limit: Option<usize>,
        asker: Asker<'_>,
    ) -> Result<End, QueryError> {
        let Asker {
            receiver,
            cancellation,
        } = asker;
        let written = parameters.join("\n");
        self.within_deadline(&written, cancellation, |session, deadline| {
            self.stream(session, sql, parameters, limit, deadline, receiver)
        })
    }

    /// The rows of a statement of our own.
    pub(crate) fn rows<T: DeserializeOwned + Send>(&self, sql: &str) -> Result<Vec<T>, QueryError> {
        self.within_deadline("", &Cancellation::default(), |session, _| {
            Ok(session.rows(sql, &[])?)
        })
    }

    /// Most rows of an answer to a client that asks for so many.
    pub(crate) fn limit(&self, asked: Option<usize>) -> usize {
        asked.unwrap_or(ROWS_DEFAULT).min(self.rows_max)
    }

    pub(crate) fn lake_name(&self) -> &str {
        &self.lake_name
    }

    pub(crate) fn bytes_max(&self) -> u64 {
        self.bytes_max
    }

    fn stream(
        &self,
        session: &Session,
        sql: &str,
        parameters: &[String],
        limit: Option<usize>,
        deadline: Instant,
        receiver: &mut dyn Receiver,
    ) -> Result<End, QueryError> {
        let started = Instant::now();
        let running = session.run(sql, parameters)?;
        let columns = running.columns();
        let mut flow = receiver.columns(&columns, deadline);
        let (mut rows_left, mut bytes_left) = (self.limit(limit), self.bytes_max);
        let mut cut = None;
        while flow == Flow::More && cut.is_none() {
            let Some(batch) = running.next()? else {
                break;
            };
            let (part, cut_by) = fitting(&batch, rows_left, bytes_left);
            cut = cut_by;
            rows_left -= part.num_rows();
            bytes_left = bytes_left.saturating_sub(batch.get_array_memory_size() as u64);
            if part.num_rows() > 0 {
                flow = receiver.rows(&part);
            }
        }
        match flow {
            Flow::More => {}
            Flow::Full => cut = Some(Cut::Bytes),
            Flow::Late => return Err(QueryError::Deadline(self.deadline)),
            Flow::Gone => return Err(QueryError::Abandoned),
        }
        Ok(End {
            cut,
            elapsed: started.elapsed(),
        })
    }

    /// Waits for a session and works with it, both within the deadline, and no longer than somebody
    /// waits for it. `written` is what the client wrote, for its error.
    fn within_deadline<T: Send>(
        &self,
        written: &str,
        cancellation: &Cancellation,
        work: impl FnOnce(&Session, Instant) -> Result<T, QueryError> + Send,
    ) -> Result<T, QueryError> {
        let started = Instant::now();
        let deadline = started + self.deadline;
        let _turn = Turn::wait(self)?;
        let session = {
            let first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
            first.another(&self.lake_name)?
        };
        let interrupt = session.interrupt();
        let outcome = thread::scope(|scope| {
            let worker = thread::Builder::new().stack_size(STACK_BYTES);
            let worker = worker.spawn_scoped(scope, move || {
                /// Ends the watch also by a panic.
                struct Done<'a>(&'a Cancellation);

                impl Drop for Done<'_> {
                    fn drop(&mut self) {
                        self.0.leave(State::Done);
                    }
                }

                let done = Done(cancellation);
                let outcome = work(&session, deadline);
                drop(done);
                outcome
            });
            let worker = worker.map_err(|error| {
                QueryError::Internal(format!("no thread to run the query: {error}"))
            })?;
            let mut state = cancellation.wait(deadline.saturating_duration_since(Instant::now()));
            let late = state == State::Wanted;
            while !worker.is_finished() && state != State::Done {
                interrupt.now();
                thread::sleep(INTERRUPT_AGAIN);
                state = cancellation.wait(Duration::ZERO);
            }
            let outcome = worker
                .join()
                .unwrap_or_else(|_| Err(QueryError::Internal("the query ended abnormally".into())));
            match outcome {
                Err(QueryError::Internal(_)) if late => Err(QueryError::Deadline(self.deadline)),
                Err(QueryError::Internal(_)) if state == State::Cancelled => {
                    Err(QueryError::Abandoned)
                }
                outcome => outcome,
            }
        });
        // The client does not see the path, which says where the lake has to look.
        if let Err(error) = &outcome {
            self.suspects.note(&error.to_string(), &self.data_path);
        }
        outcome.map_err(|error| self.redaction.of(error, written))
    }
}

/// As many of the first rows as the limits leave room for, and the limit that cut the others off.
fn fitting(batch: &RecordBatch, rows_left: usize, bytes_left: u64) -> (RecordBatch, Option<Cut>) {
    let rows = batch.num_rows();
    let bytes = batch.get_array_memory_size() as u64;
    if bytes > bytes_left {
        // Rows of one batch are taken to be of one size.
        let room = u128::from(bytes_left) * rows as u128 / u128::from(bytes);
        let room = usize::try_from(room).unwrap_or(rows).min(rows_left);
        (batch.slice(0, room), Some(Cut::Bytes))
    } else if rows > rows_left {
        (batch.slice(0, rows_left), Some(Cut::Rows))
    } else {
        (batch.clone(), None)
    }
}

impl From<DatabaseError> for QueryError {
    fn from(error: DatabaseError) -> Self {
        match error {
            DatabaseError::Statement(message) => Self::Statement(message),
            DatabaseError::OutOfMemory(message) => Self::OutOfMemory(message),
            error => Self::Internal(error.to_string()),
        }
    }
}

/// A place among the queries that run: gives it back when dropped, also by a panic.
struct Turn<'a>(&'a Readers);

impl<'a> Turn<'a> {
    fn wait(readers: &'a Readers) -> Result<Self, QueryError> {
        let free = readers.free.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = readers
            .returned
            .wait_timeout_while(free, readers.deadline, |free| *free == 0);
        let (mut free, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if *free == 0 {
            return Err(QueryError::Busy(readers.deadline));
        }
        *free -= 1;
        Ok(Self(readers))
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        *self.0.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.returned.notify_one();
    }
}
