//! Decides which table a SIP message goes to, and says what the tables of SIP look like.
//!
//! ```text
//!  method, or of a response the method in CSeq ─▶ call │ registration │ default
//! ```
//!
//! It sees two fields of a message and nothing else.

mod tables;

use heplake_sdk::{RouteRow, Router, RouterDescription};

/// Places of the fields that the router reads.
const METHOD: usize = 0;
const CSEQ_METHOD: usize = 1;

/// The router of SIP messages.
#[derive(Debug, Default)]
pub struct SipRouter;

impl Router for SipRouter {
    fn describe(&self) -> RouterDescription {
        RouterDescription {
            name: "sip-router".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            routes: "sip".into(),
            reads: vec!["method".into(), "cseq_method".into()],
            tables: vec![tables::call(), tables::registration(), tables::default()],
        }
    }

    fn route(&mut self, row: &RouteRow<'_>) -> u32 {
        Table::of(row.text(METHOD).or_else(|| row.text(CSEQ_METHOD))) as u32
    }
}

heplake_sdk::export_router!(SipRouter);

/// A table, by its place in the description.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Table {
    Call,
    Registration,
    Default,
}

impl Table {
    /// The table of a method. Methods are case-sensitive (RFC 3261 section 7.1).
    fn of(method: Option<&[u8]>) -> Self {
        match method {
            Some(b"INVITE" | b"ACK" | b"PRACK" | b"UPDATE" | b"BYE" | b"CANCEL" | b"INFO") => {
                Self::Call
            }
            Some(b"REGISTER") => Self::Registration,
            _ => Self::Default,
        }
    }
}

#[cfg(test)]
mod tests;
