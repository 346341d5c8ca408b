//! The store as the lake sees it: commits to list, data files to look into. The one place
//! that knows `object_store`.

use crate::footer::{FOOTER_END_BYTES, FooterError, footer_length};
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use heplake_format::{
    ASIDE_DIRECTORY, COMMIT_BYTES_MAX, COMMITS_DIRECTORY, CommitPath, DataFilePath, EdgeName,
    Sequence,
};
use object_store::{
    GetOptions, GetRange, ObjectStore, ObjectStoreExt, local::LocalFileSystem, path::Path,
};
use std::{path::Path as FilePath, sync::Arc};
use tokio::runtime::{Handle, Runtime};

/// Bytes read from the end of a data file at first: holds the footer of all but very large
/// files, so that one request is enough.
const TAIL_BYTES: u64 = 64 << 10;
/// Files of one path that can be moved aside, one after the other.
const ASIDE_NAMES_MAX: u32 = 100;
/// Files that are looked into at once: hides the latency of a remote store.
const READS_AT_ONCE: usize = 32;

/// Why the store did not answer.
#[derive(Debug, thiserror::Error)]
#[error("the store failed at {path}: {source}")]
pub struct StoreError {
    path: String,
    source: Box<object_store::Error>,
}

impl StoreError {
    /// What failed, without a path of this machine.
    pub(crate) fn without_path(&self) -> String {
        let mut cause: &dyn std::error::Error = &self.source;
        while let Some(source) = cause.source() {
            cause = source;
        }
        format!("it cannot be looked at: {cause}")
    }
}

/// The end of a data file.
pub(crate) struct Tail {
    /// Its last bytes: at least the whole footer.
    pub(crate) bytes: Bytes,
    /// Length of the footer's metadata, without the eight bytes at the end.
    pub(crate) footer_bytes: u64,
    /// Size of the whole file.
    pub(crate) file_size_bytes: u64,
}

/// What came of looking at the end of a file.
pub(crate) enum Look {
    /// Here it is.
    Tail(Tail),
    /// There is no such file.
    Absent,
    /// It is no Parquet file.
    NotParquet(FooterError),
}

/// What came of looking at the document of a commit.
pub(crate) enum Document {
    /// Here it is.
    Read(Bytes),
    /// It has so many bytes, more than are read.
    TooLarge(u64),
}

pub(crate) struct Store {
    objects: Arc<dyn ObjectStore>,
    handle: Handle,
    /// There until dropped.
    runtime: Option<Runtime>,
}

impl Store {
    /// The store in a local directory, which exists.
    pub(crate) fn in_directory(data_path: &FilePath) -> Result<Self, StoreError> {
        let failed = |source| StoreError {
            path: data_path.display().to_string(),
            source: Box::new(source),
        };
        let objects = LocalFileSystem::new_with_prefix(data_path).map_err(failed)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("heplake-store")
            .enable_all()
            .build()
            .map_err(|error| {
                failed(object_store::Error::Generic {
                    store: "runtime",
                    source: Box::new(error),
                })
            })?;
        Ok(Self {
            objects: Arc::new(objects),
            handle: runtime.handle().clone(),
            runtime: Some(runtime),
        })
    }

    /// The edges that ever committed.
    pub(crate) fn edges(&self) -> Result<Vec<EdgeName>, StoreError> {
        let prefix = Path::from(COMMITS_DIRECTORY);
        let listed = self
            .wait(self.objects.list_with_delimiter(Some(&prefix)))
            .map_err(|source| failed(&prefix, source))?;
        let names = listed.common_prefixes.iter().filter_map(Path::filename);
        Ok(names.filter_map(|name| name.parse().ok()).collect())
    }

    /// The document of a commit, if there is one.
    pub(crate) fn commit(&self, commit: &CommitPath) -> Result<Option<Document>, StoreError> {
        let path = Path::from(commit.to_string());
        let read = async {
            let found = self.objects.get(&path).await?;
            match found.meta.size {
                size if size > COMMIT_BYTES_MAX as u64 => Ok(Document::TooLarge(size)),
                _ => Ok(Document::Read(found.bytes().await?)),
            }
        };
        match self.wait(read) {
            Ok(document) => Ok(Some(document)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(source) => Err(failed(&path, source)),
        }
    }

    /// The sequences of an edge's commits from `first` on, in order.
    pub(crate) fn sequences_from(
        &self,
        edge: &EdgeName,
        first: Sequence,
    ) -> Result<Vec<Sequence>, StoreError> {
        let prefix = Path::from(format!("{COMMITS_DIRECTORY}/{edge}"));
        // The offset is exclusive. Directory and digits alone sort before every document
        // of that sequence, as it has `.json` behind them.
        let offset = Path::from(format!("{prefix}/{first}"));
        let listing = self.objects.list_with_offset(Some(&prefix), &offset);
        let listed = self
            .wait(listing.map_ok(|meta| meta.location).try_collect::<Vec<_>>())
            .map_err(|source| failed(&prefix, source))?;
        let paths = listed.iter().filter_map(|path| path.as_ref().parse().ok());
        let mut sequences: Vec<_> = paths.map(|path: CommitPath| path.sequence).collect();
        sequences.sort_unstable();
        Ok(sequences)
    }

    /// The ends of files, in the order asked.
    pub(crate) fn looks(&self, files: &[DataFilePath]) -> Result<Vec<Look>, StoreError> {
        let looks = stream::iter(files).map(|file| self.look(file));
        self.wait(looks.buffered(READS_AT_ONCE).try_collect())
    }

    /// Size of a file, and when it was last written, µs since 1970; none if it is not there.
    pub(crate) fn facts(&self, file: &str) -> Result<Option<(u64, i64)>, StoreError> {
        let path = Path::from(file);
        match self.wait(self.objects.head(&path)) {
            Ok(meta) => Ok(Some((meta.size, meta.last_modified.timestamp_micros()))),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(source) => Err(failed(&path, source)),
        }
    }

    /// Gives a file another path. Whether it was there: nothing is done if it was not, and
    /// nothing is overwritten.
    pub(crate) fn rename(&self, from: &str, to: &str) -> Result<bool, StoreError> {
        let (from, to) = (Path::from(from), Path::from(to));
        match self.wait(self.objects.rename_if_not_exists(&from, &to)) {
            Ok(()) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(source) => Err(failed(&to, source)),
        }
    }

    /// Moves a data file out of the tables' directories. Whether it was there.
    pub(crate) fn move_aside(&self, file: &str) -> Result<bool, StoreError> {
        // One that stands there already was taken out of the lake before.
        for turn in 0..ASIDE_NAMES_MAX {
            let suffix = match turn {
                0 => String::new(),
                turn => format!(".{turn}"),
            };
            match self.rename(file, &format!("{ASIDE_DIRECTORY}/{file}{suffix}")) {
                Err(StoreError { source, .. })
                    if matches!(*source, object_store::Error::AlreadyExists { .. }) => {}
                done => return done,
            }
        }
        Err(failed(
            &Path::from(file),
            object_store::Error::Generic {
                store: ASIDE_DIRECTORY,
                source: format!("{ASIDE_NAMES_MAX} files of this name are there").into(),
            },
        ))
    }

    /// Deletes a file that is in no catalog, if it is there.
    pub(crate) fn delete(&self, file: &str) -> Result<(), StoreError> {
        let path = Path::from(file);
        match self.wait(self.objects.delete(&path)) {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(source) => Err(failed(&path, source)),
        }
    }

    async fn look(&self, file: &DataFilePath) -> Result<Look, StoreError> {
        let path = Path::from(file.to_string());
        let (mut tail, size) = match self.tail(&path, TAIL_BYTES).await {
            Ok(tail) => tail,
            Err(object_store::Error::NotFound { .. }) => return Ok(Look::Absent),
            Err(source) => return Err(failed(&path, source)),
        };
        let footer_bytes = match footer_length(&tail, size) {
            Ok(length) => length,
            Err(error) => return Ok(Look::NotParquet(error)),
        };
        let needed = footer_bytes + FOOTER_END_BYTES;
        if needed > tail.len() as u64 {
            (tail, _) = self
                .tail(&path, needed)
                .await
                .map_err(|source| failed(&path, source))?;
        }
        Ok(Look::Tail(Tail {
            bytes: tail,
            footer_bytes,
            file_size_bytes: size,
        }))
    }

    /// The last bytes of an object, all of it if it is smaller, and its size.
    async fn tail(&self, path: &Path, bytes: u64) -> object_store::Result<(Bytes, u64)> {
        let options = GetOptions {
            range: Some(GetRange::Suffix(bytes)),
            ..GetOptions::default()
        };
        match self.objects.get_opts(path, options).await {
            Ok(found) => {
                let size = found.meta.size;
                Ok((found.bytes().await?, size))
            }
            // Some stores have no suffix of an empty object.
            Err(error) => match self.objects.head(path).await? {
                meta if meta.size == 0 => Ok((Bytes::new(), 0)),
                _ => Err(error),
            },
        }
    }

    fn wait<F: Future>(&self, future: F) -> F::Output {
        self.handle.block_on(future)
    }
}

impl Drop for Store {
    /// A runtime waits for its threads when dropped, which is forbidden where the lake may
    /// be dropped: in a task.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn failed(path: &Path, source: object_store::Error) -> StoreError {
    StoreError {
        path: path.to_string(),
        source: Box::new(source),
    }
}
