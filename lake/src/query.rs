//! Queries: who answers them, for how long, and how much.

use crate::{
    answer::Answer,
    database::{DatabaseError, Session},
    settings::LakeSettings,
    statement::{Statement, StatementRefusal},
};
use arrow::array::RecordBatch;
use serde::de::DeserializeOwned;
use std::{
    sync::{Condvar, Mutex, PoisonError, mpsc},
    thread,
    time::{Duration, Instant},
};

/// Queries that run at once; others wait for their turn. More would only share the same
/// threads and memory.
const QUERIES_AT_ONCE: usize = 8;
/// Rows of an answer when nobody says how many.
const ROWS_DEFAULT: usize = 10_000;
/// Bytes of an answer beyond which it is cut, whatever its rows: all of it is held in
/// memory, and a single payload may have 64 KiB.
const ANSWER_BYTES_MAX: usize = 256 << 20;
/// How often a query beyond its deadline is told to stop. Once might fall into the moment
/// between two of its steps, where DuckDB forgets it.
const INTERRUPT_AGAIN: Duration = Duration::from_millis(50);

/// Why a query has no answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The statement is not let through.
    #[error(transparent)]
    Refused(#[from] StatementRefusal),
    /// The statement is wrong: a name, a type, a value. Fix it.
    #[error("{0}")]
    Statement(String),
    /// It took too long. Ask for fewer dates, or fewer columns.
    #[error("the query was stopped after its deadline of {0:?}: ask for less, such as fewer dates")]
    Deadline(Duration),
    /// All that may run at once did, for the whole deadline. Try again later.
    #[error("no turn within {0:?}: {QUERIES_AT_ONCE} other queries are running; try again later")]
    Busy(Duration),
    /// The memory of all queries together was used up.
    #[error("the query needs more memory than there is for queries: {0}")]
    OutOfMemory(String),
    /// A fault that is not the query's.
    #[error("the lake could not answer: {0}")]
    Internal(String),
}

/// Those who answer queries: a session each, all of one instance.
pub(crate) struct Readers {
    first: Mutex<Session>,
    /// Queries that may still begin.
    free: Mutex<usize>,
    returned: Condvar,
    lake_name: String,
    deadline: Duration,
    rows_max: usize,
}

impl Readers {
    /// Opens the instance; the catalog exists.
    pub(crate) fn open(settings: &LakeSettings) -> Result<Self, DatabaseError> {
        Ok(Self {
            first: Mutex::new(Session::reader(settings)?),
            free: Mutex::new(QUERIES_AT_ONCE),
            returned: Condvar::new(),
            lake_name: settings.lake_name.clone(),
            deadline: settings.query_deadline,
            rows_max: settings.query_rows_max,
        })
    }

    /// Answers a statement of a stranger.
    pub(crate) fn judged(&self, sql: &str, limit: Option<usize>) -> Result<Answer, QueryError> {
        let statement = Statement::of(sql)?;
        self.within_deadline(|session| {
            let tree = session.parse(statement.query)?;
            statement.judge(&tree, &self.lake_name)?;
            self.stream(session, sql, &[], limit)
        })
    }

    /// Answers a statement of our own.
    pub(crate) fn answer(
        &self,
        sql: &str,
        parameters: &[String],
        limit: Option<usize>,
    ) -> Result<Answer, QueryError> {
        self.within_deadline(|session| self.stream(session, sql, parameters, limit))
    }

    /// The rows of a statement of our own.
    pub(crate) fn rows<T: DeserializeOwned>(&self, sql: &str) -> Result<Vec<T>, QueryError> {
        self.within_deadline(|session| Ok(session.rows(sql, &[])?))
    }

    fn stream(
        &self,
        session: &Session,
        sql: &str,
        parameters: &[String],
        limit: Option<usize>,
    ) -> Result<Answer, QueryError> {
        let limit = limit.unwrap_or(ROWS_DEFAULT).min(self.rows_max);
        let started = Instant::now();
        let mut batches = Vec::new();
        let (mut rows, mut bytes, mut truncated) = (0, 0, false);
        let (schema, types) = session.stream(sql, parameters, |batch: RecordBatch| {
            let room = limit - rows;
            truncated = batch.num_rows() > room;
            let batch = if truncated {
                batch.slice(0, room)
            } else {
                batch
            };
            rows += batch.num_rows();
            bytes += batch.get_array_memory_size();
            batches.push(batch);
            truncated |= bytes > ANSWER_BYTES_MAX;
            !truncated
        })?;
        Ok(Answer {
            types,
            schema,
            batches,
            truncated,
            elapsed: started.elapsed(),
        })
    }

    /// Waits for a session and works with it, both within the deadline.
    fn within_deadline<T>(
        &self,
        work: impl FnOnce(&Session) -> Result<T, QueryError>,
    ) -> Result<T, QueryError> {
        let started = Instant::now();
        let _turn = Turn::wait(self)?;
        let session = {
            let first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
            first.another(&self.lake_name)?
        };
        let left = self.deadline.saturating_sub(started.elapsed());
        let interrupt = session.interrupt();
        thread::scope(|scope| {
            let (done, watch) = mpsc::channel::<()>();
            let watcher = thread::Builder::new().spawn_scoped(scope, move || {
                let mut late = false;
                let mut wait = left;
                while watch.recv_timeout(wait) == Err(mpsc::RecvTimeoutError::Timeout) {
                    late = true;
                    wait = INTERRUPT_AGAIN;
                    interrupt.now();
                }
                late
            });
            let watcher = watcher.map_err(|error| {
                QueryError::Internal(format!("no thread to watch the deadline: {error}"))
            })?;
            let outcome = work(&session);
            drop(done);
            let late = watcher.join().unwrap_or(false);
            match outcome {
                Err(QueryError::Internal(_)) if late => Err(QueryError::Deadline(self.deadline)),
                outcome => outcome,
            }
        })
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
