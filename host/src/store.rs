//! Where data files and commits go: the one home of object_store in the host.

use bytes::Bytes;
use futures_util::TryStreamExt;
use heplake_format::{COMMITS_DIRECTORY, CommitPath, EdgeName, Sequence};
use object_store::{
    ObjectStore, ObjectStoreExt, PutPayload, local::LocalFileSystem, path::Path as ObjectPath,
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
    /// The commits could not be listed.
    #[error("the commits of this edge could not be listed: {0}")]
    List(object_store::Error),
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

    /// Writes an object whole, or not at all; one that is there is replaced.
    ///
    /// # Errors
    /// When the store refuses it.
    pub async fn put(&self, path: String, bytes: Bytes) -> Result<(), StoreError> {
        let location = ObjectPath::from(path.as_str());
        let put = self.objects.put(&location, PutPayload::from(bytes)).await;
        put.map(drop)
            .map_err(|source| StoreError::Put { path, source })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_last_sequence_is_that_of_this_edge() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        let (fra, ams): (EdgeName, EdgeName) = ("fra".parse().unwrap(), "ams".parse().unwrap());
        assert_eq!(store.last_sequence(&fra).await.unwrap(), None);
        for (edge, sequence) in [(&fra, 1), (&fra, 10), (&fra, 9), (&ams, 30)] {
            let path = CommitPath {
                edge: edge.clone(),
                sequence: Sequence(sequence),
            };
            store
                .put(path.to_string(), Bytes::from_static(b"{}"))
                .await
                .unwrap();
        }
        store
            .put("commits/fra/notes.txt".into(), Bytes::new())
            .await
            .unwrap();
        assert_eq!(store.last_sequence(&fra).await.unwrap(), Some(Sequence(10)));
    }

    #[test]
    fn a_path_that_is_no_directory_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        std::fs::write(&file, "").unwrap();
        let error = Store::open(&file).unwrap_err().to_string();
        assert!(error.contains(&file.display().to_string()), "{error}");
    }
}
