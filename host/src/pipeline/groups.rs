//! The envelope's rows, on their way to who parses them.

use super::{PROTO_TYPE_MAX, protocol::Protocol};
use crate::rows::Row;
use heplake_sdk::Cell;
use std::collections::BTreeMap;

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

/// The rows of payloads by their protocol type, and the payloads whose type is out of range.
pub(super) fn by_proto_type(group: &[Unpacked]) -> (BTreeMap<u32, Vec<Row>>, Vec<Unpacked>) {
    let mut by_type: BTreeMap<u32, Vec<Row>> = BTreeMap::new();
    let mut out_of_range = Vec::new();
    for unpacked in group {
        match u32::try_from(unpacked.proto_type) {
            Ok(proto_type) if unpacked.proto_type <= PROTO_TYPE_MAX => {
                by_type.entry(proto_type).or_default().push(unpacked.row);
            }
            _ => out_of_range.push(*unpacked),
        }
    }
    (by_type, out_of_range)
}
