//! The lake as its callers have it.

use crate::{
    answer::{Answer, End, Held, Receiver},
    call,
    catalog::{Catalog, TableConflict},
    database::DatabaseError,
    lock::{CatalogLock, LockError},
    query::{Asker, Cancellation, QueryError, Readers},
    register::{RegisterError, Registered, Registrar},
    search::{Coverage, Search},
    settings::LakeSettings,
    store::{Store, StoreError},
    tables::{self, TableSummary},
};
use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

/// An open lake: it alone writes the catalog.
///
/// All calls block and may be made from many threads. Queries never wait for registering,
/// nor registering for queries.
pub struct Lake {
    // Dropped in this order: the lock goes last.
    readers: Readers,
    registrar: Mutex<Registrar>,
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
        make_directory(&settings.data_path)?;
        if let Some(parent) = settings.catalog_path.parent() {
            make_directory(parent)?;
        }
        let lock = CatalogLock::take(&settings.catalog_path)?;
        let catalog = Catalog::open(&settings)?;
        let readers = Readers::open(&settings)?;
        let store = Store::in_directory(&settings.data_path)?;
        Ok(Self {
            readers,
            registrar: Mutex::new(Registrar::new(catalog, store)?),
            lake_name: settings.lake_name,
            _lock: lock,
        })
    }

    /// Registers all commits that are in the store and not yet in the catalog.
    ///
    /// Each is registered exactly once, whatever is interrupted in between, in order for
    /// each edge but for gaps (see [`Registered::gaps`]). A commit that fails its checks is
    /// refused as a whole and looked at again later; it blocks no other.
    ///
    /// # Errors
    /// When store or catalog fail: nothing is lost, what is not registered is found again by
    /// the next call.
    pub fn register_new(&self) -> Result<Registered, RegisterError> {
        let mut registrar = self
            .registrar
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        registrar.register_new()
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
