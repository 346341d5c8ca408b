//! The envelope's rows, on their way to who parses them.

use super::protocol::Protocol;
use crate::rows::Row;
use heplake_sdk::Cell;

/// One of the envelope's rows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unpacked {
    pub(super) row: Row,
    pub(super) payload: Cell,
    pub(super) proto_type: u64,
}

/// The envelope's rows, by who parses them.
pub(super) struct Groups {
    pub(super) by_protocol: Vec<Vec<Unpacked>>,
    pub(super) without_parser: Vec<Unpacked>,
}

impl Groups {
    pub(super) fn of(unpacked: &[Unpacked], protocols: &[Protocol]) -> Self {
        let mut groups = Self {
            by_protocol: vec![Vec::new(); protocols.len()],
            without_parser: Vec::new(),
        };
        for one in unpacked {
            let accepts = |protocol: &Protocol| {
                protocol
                    .proto_types
                    .iter()
                    .any(|accepted| u64::from(*accepted) == one.proto_type)
            };
            match protocols.iter().position(accepts) {
                Some(index) => groups.by_protocol[index].push(*one),
                None => groups.without_parser.push(*one),
            }
        }
        groups
    }
}
