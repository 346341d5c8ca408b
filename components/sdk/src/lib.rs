//! Guest SDK for Heplake components.
//!
//! ```text
//!  host ──batch──▶ [ driver ] ──packet──▶ your Parser::parse ──row, fields──▶ [ driver ] ──cells──▶ host
//! ```
//!
//! An author writes one function from a [`Packet`] to [`Rows`], and a [`Description`] of
//! the fields; the SDK hides the batch interface of `wit/heplake.wit`. The same crate
//! builds natively, where [`run`] and [`route`] drive it as the sandbox would: for tests,
//! fuzzing and as the baseline of measurements.
//!
//! The SDK knows no protocol, reads no clock and does no IO.
//!
//! ```
//! use heplake_sdk::{Accepts, Description, Field, Kind, Packet, Parser, Rows, Verdict};
//!
//! /// A protocol whose packets are `key=value`.
//! #[derive(Default)]
//! struct Pairs;
//!
//! impl Parser for Pairs {
//!     fn describe(&self) -> Description {
//!         Description::new("pairs", "0.1.0", Accepts::ProtocolTypes(vec![200]))
//!             .fields([Field::new("key", Kind::Text), Field::new("value", Kind::Text)])
//!             .refuses(["no_equals_sign"])
//!     }
//!     fn parse(&mut self, packet: &Packet<'_>, rows: &mut Rows<'_>) -> Verdict {
//!         let Some(at) = packet.bytes.iter().position(|byte| *byte == b'=') else {
//!             return Verdict::named(0);
//!         };
//!         let mut row = rows.row();
//!         row.text(0, &packet.bytes[..at]);
//!         row.text(1, &packet.bytes[at + 1..]);
//!         Verdict::PARSED
//!     }
//! }
//!
//! let parsed = heplake_sdk::run(&mut Pairs, &heplake_sdk::Batch::of(&["a=1", "oops"], 0));
//! assert_eq!(parsed.verdicts, [0, 2]);
//! assert_eq!(parsed.items, [0]);
//! ```

mod batch;
mod description;
mod export;
mod fields;
mod router;

#[cfg(feature = "samples")]
pub mod samples;

pub use batch::{Batch, Fields, Origin, Packet, Parsed, Row, Rows, Verdict, run};
pub use description::{
    Accepts, Column, Description, Field, Kind, Member, RouterDescription, TableDescription,
    VerdictClass, VerdictDescription,
};
pub use router::{RouteBatch, RouteRow, Router, route};

#[cfg(target_arch = "wasm32")]
#[doc(hidden)]
pub use export::bindings;

use std::fmt;

/// A payload protocol, or an envelope, as a component author writes it.
pub trait Parser: Default {
    /// Takes this component's section of the configuration, a JSON object.
    ///
    /// # Errors
    /// A sentence that names the setting and says why it is refused.
    fn configure(&mut self, configuration: &str) -> Result<(), String> {
        nothing_to_configure(configuration)
    }

    /// Name, version, what is accepted, fields and verdicts. Asked after
    /// [`configure`](Parser::configure), and the same at every call.
    fn describe(&self) -> Description;

    /// Reads one packet and adds its rows. Malformed input is a [`Verdict`], never a panic.
    fn parse(&mut self, packet: &Packet<'_>, rows: &mut Rows<'_>) -> Verdict;
}

/// Accepts an empty configuration, and says so of any other.
///
/// # Errors
/// Names the first setting that is there.
pub fn nothing_to_configure(configuration: &str) -> Result<(), String> {
    if configuration.trim().is_empty() {
        return Ok(());
    }
    match serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(configuration) {
        Ok(map) => match map.keys().next() {
            None => Ok(()),
            Some(key) => Err(format!("unknown setting `{key}`: this component has none")),
        },
        Err(error) => Err(format!("the configuration is not a JSON object: {error}")),
    }
}

/// One 64-bit cell of a row, as `wit/heplake.wit` lays it out.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Cell(pub u64);

impl Cell {
    /// No value.
    pub const NULL: Self = Self(u64::MAX);
    /// Set in the offset of a span that points into scratch.
    pub const SCRATCH: u32 = 1 << 31;

    /// A span of `length` bytes from `offset`; [`Cell::SCRATCH`] in the offset says where.
    #[must_use]
    pub const fn span(offset: u32, length: u32) -> Self {
        Self((length as u64) << 32 | offset as u64)
    }

    /// A signed number. Its sign bit is flipped, so that −1 is not null and cells compare as
    /// their numbers do. [`i64::MAX`] would be null: that number cannot be stored.
    #[must_use]
    pub const fn signed(number: i64) -> Self {
        Self(number as u64 ^ Self::SIGN)
    }

    /// The number of a cell that [`signed`](Self::signed) made, unless it is null.
    #[must_use]
    pub const fn as_signed(self) -> Option<i64> {
        match self.is_null() {
            true => None,
            false => Some((self.0 ^ Self::SIGN) as i64),
        }
    }

    const SIGN: u64 = 1 << 63;

    /// Whether this is null.
    #[must_use]
    pub const fn is_null(self) -> bool {
        self.0 == u64::MAX
    }

    /// The bytes that this span names, unless it is null or out of range.
    #[must_use]
    pub fn resolve<'a>(self, bytes: &'a [u8], scratch: &'a [u8]) -> Option<&'a [u8]> {
        if self.is_null() {
            return None;
        }
        let offset = self.0 as u32;
        let length = (self.0 >> 32) as usize;
        let from = if offset & Self::SCRATCH == 0 {
            bytes
        } else {
            scratch
        };
        let start = (offset & !Self::SCRATCH) as usize;
        from.get(start..start.checked_add(length)?)
    }
}

impl fmt::Debug for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_null() {
            return f.write_str("null");
        }
        write!(f, "{:#x}", self.0)
    }
}

/// A description as JSON text. Descriptions have string keys only, so nothing can fail.
#[doc(hidden)]
#[must_use]
pub fn json(description: &impl serde::Serialize) -> String {
    serde_json::to_string(description).unwrap_or_default()
}
