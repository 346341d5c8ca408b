//! The instances of a component that is held to its job.

use crate::sandbox::{ComponentError, Fault};
use heplake_format::ComponentDigest;

type Make<I> = dyn Fn() -> Result<Box<I>, ComponentError> + Send;

/// Where a worker has its instance of a component from: an instance that faulted is thrown
/// away, since a trap poisons it, and the next call is another's.
pub(super) struct Instances<I: ?Sized> {
    make: Box<Make<I>>,
    named: ComponentDigest,
    working: Option<Box<I>>,
}

impl<I: ?Sized> Instances<I> {
    /// Makes the first instance.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(super) fn new(
        named: ComponentDigest,
        make: impl Fn() -> Result<Box<I>, ComponentError> + Send + 'static,
    ) -> Result<Self, ComponentError> {
        let working = Some(make()?);
        Ok(Self {
            make: Box::new(make),
            named,
            working,
        })
    }

    /// Calls an instance; counts it if it faults.
    ///
    /// # Errors
    /// As the instance did, or when none can be made.
    pub(super) fn call<R>(
        &mut self,
        call: impl FnOnce(&mut I) -> Result<R, Fault>,
    ) -> Result<R, Fault> {
        let mut instance = match self.working.take() {
            Some(instance) => instance,
            None => (self.make)().map_err(|error| Fault::Trap(error.to_string()))?,
        };
        let result = call(&mut instance);
        match &result {
            Ok(_) => self.working = Some(instance),
            Err(fault) => {
                metrics::counter!("heplake_component_faults_total",
                    "component" => self.named.name.clone(), "kind" => fault.kind())
                .increment(1);
            }
        }
        result
    }
}
