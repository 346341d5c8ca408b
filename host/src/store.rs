//! Where data files and commits go: the one home of object_store in the host.
//!
//! Data files and commits are only ever created. An object that is there is never replaced, on
//! no kind of store: it may be registered in a lake, or belong to another writer. Only the data
//! files of a commit that did not come about are deleted.

use bytes::Bytes;
use futures_util::TryStreamExt;
use heplake_format::{COMMITS_DIRECTORY, CommitPath, EdgeName, Sequence};
use object_store::{
    Error, ObjectStore, ObjectStoreExt, PutMode, PutPayload, local::LocalFileSystem,
    path::Path as ObjectPath,
};
use std::{path::Path, sync::Arc};

/// Why the store could not be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The directory cannot be made or opened.
    #[error(
        "the data path {path} cannot be used: {reason}: make it a directory that this user may write"
    )]
    Open {
        /// The directory.
        path: String,
        /// Why.
        reason: String,
    },
    /// An object could not be written.
    #[error("{path} could not be written: {source}")]
    Put {
        /// The object.
        path: String,
        /// Why.
        source: object_store::Error,
    },
    /// An object could not be read.
    #[error("{path} could not be read: {source}")]
    Get {
        /// The object.
        path: String,
        /// Why.
        source: object_store::Error,
    },
    /// An object could not be deleted.
    #[error("{path} could not be deleted: {source}")]
    Delete {
        /// The object.
        path: String,
        /// Why.
        source: object_store::Error,
    },
    /// The commits could not be listed.
    #[error("the commits of this edge could not be listed: {0}")]
    List(object_store::Error),
}

/// What became of an object that was to be created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Creation {
    /// It is there, with these bytes.
    Written,
    /// Another object has its path.
    Taken,
}

/// What was read of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Contents {
    /// All of it.
    Whole(Bytes),
    /// Nothing, because it has so many bytes.
    TooLarge(u64),
}

/// A store of objects, by path.
#[derive(Clone, Debug)]
pub struct Store {
    objects: Arc<dyn ObjectStore>,
}

impl Store {
    /// Opens a local directory, and makes it if it is not there. What is written is on
    /// disk before it counts as written: a commit must not survive a power cut that its
    /// files did not.
    ///
    /// # Errors
    /// When it cannot be made or is no directory.
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        let failed = |reason: String| StoreError::Open {
            path: directory.display().to_string(),
            reason,
        };
        std::fs::create_dir_all(directory).map_err(|error| failed(error.to_string()))?;
        let objects = LocalFileSystem::new_with_prefix(directory)
            .map_err(|error| failed(error.to_string()))?
            .with_fsync(true);
        Ok(Self {
            objects: Arc::new(objects),
        })
    }

    /// Writes an object whole, or not at all, if there is none of its path.
    ///
    /// An object that is there with exactly these bytes counts as written: an earlier try
    /// may have come to its end after all, though an error was answered.
    ///
    /// # Errors
    /// When the store refuses it.
    pub async fn create(&self, path: &str, bytes: Bytes) -> Result<Creation, StoreError> {
        let location = ObjectPath::from(path);
        let payload = PutPayload::from(bytes.clone());
        let put = self
            .objects
            .put_opts(&location, payload, PutMode::Create.into())
            .await;
        match put {
            Ok(_) => Ok(Creation::Written),
            Err(Error::AlreadyExists { .. }) => match self.holds(path, &bytes).await? {
                true => Ok(Creation::Written),
                false => Ok(Creation::Taken),
            },
            Err(source) => Err(put_error(path, source)),
        }
    }

    /// Writes an object whole, or not at all, in the place of the one that is there. For
    /// documents that change, which data files and commits never do.
    ///
    /// # Errors
    /// When the store refuses it.
    pub async fn replace(&self, path: &str, bytes: Bytes) -> Result<(), StoreError> {
        let location = ObjectPath::from(path);
        let put = self.objects.put(&location, PutPayload::from(bytes)).await;
        put.map(drop).map_err(|source| put_error(path, source))
    }

    /// The bytes of an object; none if it is not there.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn read(&self, path: &str) -> Result<Option<Bytes>, StoreError> {
        let location = ObjectPath::from(path);
        let read = async { self.objects.get(&location).await?.bytes().await };
        found(path, read.await)
    }

    /// The bytes of an object that is not larger than it may be; none if it is not there. Its
    /// size is looked at first: what stands in a store may be of any size.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn read_up_to(
        &self,
        path: &str,
        bytes_max: usize,
    ) -> Result<Option<Contents>, StoreError> {
        let read = async {
            let object = self.objects.get(&ObjectPath::from(path)).await?;
            if object.meta.size > bytes_max as u64 {
                return Ok(Contents::TooLarge(object.meta.size));
            }
            object.bytes().await.map(Contents::Whole)
        };
        found(path, read.await)
    }

    /// Deletes an object, if it is there. For data files that no commit names and none will, and
    /// for nothing else.
    ///
    /// # Errors
    /// When the store refuses it.
    pub async fn delete(&self, path: &str) -> Result<(), StoreError> {
        match self.objects.delete(&ObjectPath::from(path)).await {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(source) => {
                let path = path.into();
                Err(StoreError::Delete { path, source })
            }
        }
    }

    /// Whether there is an object.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn exists(&self, path: &str) -> Result<bool, StoreError> {
        let head = self.objects.head(&ObjectPath::from(path)).await;
        Ok(found(path, head)?.is_some())
    }

    /// Whether an object has exactly these bytes.
    async fn holds(&self, path: &str, bytes: &Bytes) -> Result<bool, StoreError> {
        let head = self.objects.head(&ObjectPath::from(path)).await;
        // Most objects that are not the same differ in size, and need not be read.
        let is_as_long = found(path, head)?.is_some_and(|meta| meta.size == bytes.len() as u64);
        Ok(is_as_long && self.read(path).await?.is_some_and(|there| there == bytes))
    }

    /// The last commit of an edge, if it has any.
    ///
    /// # Errors
    /// When the store cannot be listed.
    pub async fn last_sequence(&self, edge: &EdgeName) -> Result<Option<Sequence>, StoreError> {
        let prefix = ObjectPath::from(format!("{COMMITS_DIRECTORY}/{edge}"));
        let mut objects = self.objects.list(Some(&prefix));
        let mut last = None;
        while let Some(object) = objects.try_next().await.map_err(StoreError::List)? {
            if let Ok(path) = object.location.as_ref().parse::<CommitPath>() {
                last = last.max(Some(path.sequence));
            }
        }
        Ok(last)
    }
}

fn put_error(path: &str, source: Error) -> StoreError {
    let path = path.into();
    StoreError::Put { path, source }
}

fn found<T>(path: &str, result: Result<T, Error>) -> Result<Option<T>, StoreError> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(Error::NotFound { .. }) => Ok(None),
        Err(source) => {
            let path = path.into();
            Err(StoreError::Get { path, source })
        }
    }
}

#[cfg(test)]
pub(crate) mod planned;
#[cfg(test)]
mod tests;
