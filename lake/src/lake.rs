//! The lake as its callers have it.

use crate::{
    answer::{Answer, End, Held, Receiver},
    call,
    catalog::{Catalog, DUCKLAKE_VERSION, DataPathError, TableConflict},
    condition::Condition,
    database::DatabaseError,
    lock::{CatalogLock, LockError},
    query::{Asker, Cancellation, QueryError, Readers},
    register::{Decision, Given, RegisterError, Registered, Registrar, RepairError, Repaired},
    search::{Coverage, Search},
    settings::LakeSettings,
    store::{Store, StoreError},
    tables::{self, TableSummary},
};
use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError, TryLockError},
};

/// Files of a repair that are asked for at a time.
const REPAIRED_AT_ONCE: usize = 64;

/// An open lake: it alone writes the catalog.
///
/// All calls block and may be made from many threads. Queries never wait for registering,
/// nor registering for queries.
pub struct Lake {
    // Dropped in this order: the lock goes last.
    readers: Readers,
    registrar: Mutex<Registrar>,
    /// Held by the repair that is running.
    repairing: Mutex<()>,
    lake_name: String,
    _lock: CatalogLock,
}

/// Why a lake cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Its name cannot be one.
    #[error("`{0}` cannot name a lake: use letters, digits and _, and do not start with a digit")]
    LakeName(String),
    /// A directory cannot be made or named.
    #[error("{path} cannot be used: {source}")]
    Directory {
        /// Which one.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Another service has it.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The catalog is of another version.
    #[error(
        "the catalog is of DuckLake version {found}, and this Heplake writes {known}: use the Heplake that made it, or another catalog"
    )]
    Version {
        /// As the catalog says.
        found: String,
        /// As is known here.
        known: &'static str,
    },
    /// The data files of this catalog are not in the data path.
    #[error(transparent)]
    DataPath(#[from] DataPathError),
    /// The lake holds other tables by the names of ours.
    #[error("the lake cannot take the tables of the storage layout: {0}")]
    Table(#[from] TableConflict),
    /// The catalog cannot be attached, or an extension not be loaded.
    #[error("the catalog cannot be opened: {0}")]
    Database(#[from] DatabaseError),
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl OpenError {
    pub(crate) fn unknown_version(found: Option<String>) -> Self {
        Self::Version {
            found: found.unwrap_or_else(|| "none".into()),
            known: DUCKLAKE_VERSION,
        }
    }
}

impl Lake {
    /// Opens a lake, making what is missing: directories, catalog, tables.
    ///
    /// # Errors
    /// Says what stands in the way, and what to do.
    pub fn open(settings: &LakeSettings) -> Result<Self, OpenError> {
        let settings = LakeSettings {
            catalog_path: absolute(&settings.catalog_path)?,
            data_path: absolute(&settings.data_path)?,
            ..settings.clone()
        };
        if !is_name(&settings.lake_name) {
            return Err(OpenError::LakeName(settings.lake_name));
        }
        if let Some(parent) = settings.catalog_path.parent() {
            make_directory(parent)?;
        }
        // Two names of one catalog must not have two locks.
        let catalog_path = fs::canonicalize(&settings.catalog_path);
        let catalog_path = catalog_path.unwrap_or_else(|_| settings.catalog_path.clone());
        let lock = CatalogLock::take(&catalog_path)?;
        let catalog = Catalog::open(&settings)?;
        // Not before: a wrong path is not made.
        make_directory(&settings.data_path)?;
        let readers = Readers::open(&settings)?;
        let store = Store::in_directory(&settings.data_path)?;
        Ok(Self {
            registrar: Mutex::new(Registrar::new(
                catalog,
                store,
                &settings.data_path,
                readers.suspects(),
            )?),
            repairing: Mutex::new(()),
            readers,
            lake_name: settings.lake_name,
            _lock: lock,
        })
    }

    /// Registers all commits that are in the store and not yet in the catalog.
    ///
    /// Each is registered exactly once, whatever is interrupted in between, in order for
    /// each edge but for gaps (see [`Registered::gaps`]). A file that does not fit is set
    /// aside and costs no other file anything. A commit that cannot be read is refused as a
    /// whole and looked at again later; it blocks no other.
    ///
    /// # Errors
    /// When store or catalog fail: nothing is lost, what is not registered is found again by
    /// the next call.
    pub fn register_new(&self) -> Result<Registered, RegisterError> {
        self.registrar().register_new()
    }

    /// What waits for a person: files set aside, refused commits, changed files.
    ///
    /// # Errors
    /// When the catalog cannot be read.
    pub fn condition(&self) -> Result<Condition, RegisterError> {
        Ok(self.registrar().condition()?)
    }

    /// Carries out what somebody decided of what waits for a person. Registering goes on
    /// meanwhile.
    ///
    /// # Errors
    /// Nothing was done, or what was done before the store or the catalog failed. What could
    /// not be done with single files is in the answer.
    pub fn repair(&self, given: &Given) -> Result<Repaired, RepairError> {
        let _one_at_a_time = match self.repairing.try_lock() {
            Ok(guard) => guard,
            Err(TryLockError::Poisoned(guard)) => guard.into_inner(),
            Err(TryLockError::WouldBlock) => return Err(RepairError::Busy),
        };
        let Some(mut filter) = self.registrar().set_aside_filter(given)? else {
            return self.registrar().decide_other(given);
        };
        let mut repaired = Repaired::default();
        loop {
            let rows = self
                .registrar()
                .next_set_aside(&mut filter, REPAIRED_AT_ONCE)?;
            if rows.is_empty() {
                break;
            }
            for row in &rows {
                self.registrar()
                    .decide(row, &given.decision, &mut repaired)?;
            }
        }
        if let Decision::Retry { table: None, edge } = &given.decision {
            let refused = self.registrar().retry_refused(edge.as_ref());
            if refused > 0 {
                repaired.note = Some(format!("{refused} refused commits are looked at again"));
            }
        }
        Ok(repaired)
    }

    fn registrar(&self) -> MutexGuard<'_, Registrar> {
        self.registrar
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The tables, and how much is in them, from the catalog alone.
    ///
    /// # Errors
    /// See [`QueryError`].
    pub fn tables(&self) -> Result<Vec<TableSummary>, QueryError> {
        tables::summaries(&self.readers, &self.lake_name)
    }

    /// Answers a question part by part, as DuckDB finds the answer. It stops when `cancellation` says
    /// that nobody waits any more.
    ///
    /// # Errors
    /// See [`QueryError`]. Some of the answer may have been taken before.
    pub fn ask(
        &self,
        question: &Question,
        cancellation: &Cancellation,
        receiver: &mut dyn Receiver,
    ) -> Result<End, QueryError> {
        let asker = Asker {
            receiver,
            cancellation,
        };
        match question {
            Question::Sql { sql, limit } => self.readers.judged(sql, *limit, asker),
            Question::Search(search) => search.run(&self.readers, asker),
            Question::Call(session_id) => call::messages(&self.readers, session_id, asker),
        }
    }

    /// Answers one statement that only reads. Tables can be named with and without the
    /// lake's name. `limit` is the most rows to give: 10 000 if nothing is said, never more
    /// than [`LakeSettings::query_rows_max`].
    ///
    /// # Errors
    /// See [`QueryError`].
    pub fn sql(&self, sql: &str, limit: Option<usize>) -> Result<Answer, QueryError> {
        let sql = sql.to_owned();
        self.held(&Question::Sql { sql, limit })
    }

    /// Searches SIP messages, newest first.
    ///
    /// # Errors
    /// See [`QueryError`].
    pub fn search(&self, search: &Search) -> Result<Answer, QueryError> {
        self.held(&Question::Search(search.clone()))
    }

    /// The tables that a search looks through, and those that it does not.
    ///
    /// # Errors
    /// See [`QueryError`].
    pub fn coverage(&self, search: &Search) -> Result<Coverage, QueryError> {
        search.coverage(&self.readers)
    }

    /// All messages of a dialog, in order: by Call-ID, or the correlation id of HEP.
    ///
    /// # Errors
    /// See [`QueryError`].
    pub fn call(&self, session_id: &str) -> Result<Answer, QueryError> {
        self.held(&Question::Call(session_id.to_owned()))
    }

    /// Most rows of the answer to a question.
    #[must_use]
    pub fn row_limit(&self, question: &Question) -> usize {
        self.readers.limit(Some(match question {
            Question::Sql { limit, .. } => return self.readers.limit(*limit),
            Question::Search(search) => search.limit(),
            Question::Call(_) => call::MESSAGES_MAX,
        }))
    }

    /// Most bytes of an answer.
    #[must_use]
    pub fn bytes_max(&self) -> u64 {
        self.readers.bytes_max()
    }

    fn held(&self, question: &Question) -> Result<Answer, QueryError> {
        let mut held = Held::default();
        let end = self.ask(question, &Cancellation::default(), &mut held)?;
        Ok(held.answer(end))
    }
}

/// What is asked of a lake.
#[derive(Clone, Debug)]
pub enum Question {
    /// The rows of a statement.
    Sql {
        /// The statement.
        sql: String,
        /// Most rows to give.
        limit: Option<usize>,
    },
    /// The newest messages that match.
    Search(Search),
    /// The messages of a dialog, by its Call-ID or correlation id.
    Call(String),
}

fn absolute(path: &Path) -> Result<PathBuf, OpenError> {
    std::path::absolute(path).map_err(|source| OpenError::Directory {
        path: path.into(),
        source,
    })
}

fn make_directory(path: &Path) -> Result<(), OpenError> {
    fs::create_dir_all(path).map_err(|source| OpenError::Directory {
        path: path.into(),
        source,
    })
}

/// Whether a name needs no quoting in SQL.
fn is_name(text: &str) -> bool {
    text.bytes()
        .next()
        .is_some_and(|byte| !byte.is_ascii_digit())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
