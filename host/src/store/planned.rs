//! A store that fails by plan, for tests.

use super::{Error, ObjectPath, ObjectStore, PutPayload, Store};
use futures_util::stream::BoxStream;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    PutMultipartOptions, PutOptions, PutResult, memory::InMemory,
};
use std::{
    collections::VecDeque,
    fmt, io,
    sync::{Arc, Mutex},
};

type Result<T> = std::result::Result<T, Error>;

/// What happens to one object that is to be written.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    /// It is written.
    Writes,
    /// Nothing is written, and an error is answered.
    Fails,
    /// It is written, and an error is answered.
    WritesAndFails,
}

/// Objects in memory, of which the first are written as planned and the others without trouble.
#[derive(Debug, Default)]
pub(crate) struct Planned {
    objects: InMemory,
    steps: Mutex<VecDeque<Step>>,
}

impl Planned {
    pub(crate) fn store(steps: impl IntoIterator<Item = Step>) -> Store {
        let steps = Mutex::new(steps.into_iter().collect());
        Store {
            objects: Arc::new(Self {
                steps,
                ..Self::default()
            }),
        }
    }
}

impl fmt::Display for Planned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Planned")
    }
}

fn full() -> Error {
    Error::Generic {
        store: "planned",
        source: Box::new(io::Error::from(io::ErrorKind::StorageFull)),
    }
}

#[async_trait::async_trait]
impl ObjectStore for Planned {
    async fn put_opts(
        &self,
        location: &ObjectPath,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        let step = self.steps.lock().unwrap().pop_front();
        match step.unwrap_or(Step::Writes) {
            Step::Fails => Err(full()),
            Step::Writes => self.objects.put_opts(location, payload, options).await,
            Step::WritesAndFails => {
                self.objects.put_opts(location, payload, options).await?;
                Err(full())
            }
        }
    }

    async fn put_multipart_opts(
        &self,
        location: &ObjectPath,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.objects.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &ObjectPath, options: GetOptions) -> Result<GetResult> {
        self.objects.get_opts(location, options).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<ObjectPath>>,
    ) -> BoxStream<'static, Result<ObjectPath>> {
        self.objects.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&ObjectPath>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.objects.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&ObjectPath>) -> Result<ListResult> {
        self.objects.list_with_delimiter(prefix).await
    }

    async fn copy_opts(
        &self,
        from: &ObjectPath,
        to: &ObjectPath,
        options: CopyOptions,
    ) -> Result<()> {
        self.objects.copy_opts(from, to, options).await
    }
}
