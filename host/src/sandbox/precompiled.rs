//! Machine code of components, kept so that a start or a swap need not compile.
//!
//! Loading it is the one unsafe thing that the host does: code is run as it stands, and
//! whoever can write it can do what this process can. So it is only ever code that this
//! program compiled, from a directory that only its own user may write, held to the digest
//! that was noted when it was written. It never comes from the network.

use wasmtime::component::Component;

/// Code of which the caller knows that [`super::Compiled::code`] gave it.
#[derive(Clone, Copy)]
pub struct TrustedCode<'a>(&'a [u8]);

impl<'a> TrustedCode<'a> {
    /// Trusts these bytes: the caller has compared them with the digest of what it wrote,
    /// and nobody else may write that digest.
    #[must_use]
    pub(crate) fn new(code: &'a [u8]) -> Self {
        Self(code)
    }

    #[allow(
        unsafe_code,
        reason = "precompiled code is trusted, under the conditions of this module"
    )]
    pub(super) fn load(self, engine: &wasmtime::Engine) -> wasmtime::Result<Component> {
        // SAFETY: the bytes are what `Component::serialize` of this program gave, which is
        // what `TrustedCode` stands for; the engine refuses those of another version or
        // configuration of itself.
        unsafe { Component::deserialize(engine, self.0) }
    }
}
