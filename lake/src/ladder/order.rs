//! The order of the steps of a call.

use super::{Content, Step};
use std::collections::BTreeMap;

const MILLISECOND_US: i64 = 1000;

/// Sorts by time, and within a millisecond by transaction: request, provisional responses,
/// final response, ACK. Some senders stamp what they receive in whole milliseconds and what
/// they send in microseconds (Asterisk does), so that an answer would stand before its
/// request.
pub(super) fn by_time_and_transaction(mut steps: Vec<Step>) -> Vec<Step> {
    // Stable: at the same time, in the order they were given.
    steps.sort_by_key(|step| step.time_us);
    let mut place_of_transaction = BTreeMap::new();
    let mut keyed: Vec<_> = steps
        .into_iter()
        .enumerate()
        .map(|(place, step)| {
            let millisecond = step.time_us.div_euclid(MILLISECOND_US);
            let place = match transaction(&step) {
                Some(transaction) => *place_of_transaction
                    .entry((millisecond, transaction))
                    .or_insert(place),
                None => place,
            };
            ((millisecond, place, rank(&step)), step)
        })
        .collect();
    keyed.sort_by_key(|(key, _)| *key);
    keyed.into_iter().map(|(_, step)| step).collect()
}

/// The transaction, by CSeq; an ACK belongs to its INVITE.
fn transaction(step: &Step) -> Option<(u64, String)> {
    let method = match step.cseq_method.as_deref()? {
        "ACK" => "INVITE",
        method => method,
    };
    Some((step.cseq_number?, method.into()))
}

/// The place within a transaction.
fn rank(step: &Step) -> u32 {
    match &step.content {
        Content::Request { method, .. } if method == "ACK" => 1000,
        Content::Response { code, .. } => code.parse().unwrap_or(999),
        Content::Request { .. } | Content::Note(_) => 0,
    }
}
