//! The order of the steps of a call.

use super::{Content, Step};
use std::collections::BTreeMap;

const MILLISECOND_US: i64 = 1000;

/// Sorts by time. What one transaction of two parties says within a millisecond is put in
/// its natural order: request, provisional responses, final response, ACK. Some senders
/// stamp what they receive in whole milliseconds and what they send in microseconds
/// (Asterisk does), so that an answer would stand before its request. All else stays where
/// its time puts it.
pub(super) fn by_time_and_transaction(mut steps: Vec<Step>) -> Vec<Step> {
    // Stable: at the same time, in the order they were given.
    steps.sort_by_key(|step| step.time_us);
    let mut transactions = BTreeMap::<_, Vec<(usize, u32)>>::new();
    for (place, step) in steps.iter().enumerate() {
        if let Some(transaction) = transaction(step) {
            let members = transactions.entry(transaction).or_default();
            members.push((place, rank(step)));
        }
    }
    let mut places: BTreeMap<usize, usize> = BTreeMap::new();
    for members in transactions.into_values() {
        let mut natural = members.clone();
        natural.sort_by_key(|(_, rank)| *rank);
        let moves = natural.iter().zip(&members);
        places.extend(moves.map(|((from, _), (to, _))| (*from, *to)));
    }
    let mut placed: Vec<_> = steps.into_iter().enumerate().collect();
    placed.sort_by_key(|(place, _)| places.get(place).copied().unwrap_or(*place));
    placed.into_iter().map(|(_, step)| step).collect()
}

/// The transaction within a millisecond: number and method of CSeq, where an ACK belongs to
/// its INVITE, and the two parties.
fn transaction(step: &Step) -> Option<(i64, u64, String, [String; 2])> {
    let method = match step.cseq_method.as_deref()? {
        "ACK" => "INVITE",
        method => method,
    };
    let mut parties = [step.source.name(), step.destination.name()];
    parties.sort();
    let millisecond = step.time_us.div_euclid(MILLISECOND_US);
    Some((millisecond, step.cseq_number?, method.into(), parties))
}

/// The place within a transaction.
fn rank(step: &Step) -> u32 {
    match &step.content {
        Content::Request { method, .. } if method == "ACK" => 1000,
        Content::Response { code, .. } => code.parse().unwrap_or(999),
        Content::Request { .. } | Content::Note(_) => 0,
    }
}
