//! SIP in, rows out: the contract holds, and no byte of an item is lost or doubled.
#![no_main]

use std::cell::RefCell;

use heplake_sdk::{Cell, Parser};
use heplake_sip::{Sip, field};
use libfuzzer_sys::fuzz_target;

thread_local! {
    /// As in a worker, one parser sees all messages.
    static SIP: RefCell<Sip> = RefCell::new(configured());
}

/// A parser with configured headers, so that their path is seen too.
fn configured() -> Sip {
    let mut sip = Sip::default();
    sip.configure(r#"{"correlation_headers": ["X-CID", "r"], "custom_headers": ["Subject"]}"#)
        .expect("the configuration is fine");
    sip
}

fuzz_target!(|data: &[u8]| {
    SIP.with_borrow_mut(|sip| {
        let (batch, parsed) = heplake_fuzz::parse(sip, data);
        let width = sip.describe().fields.len();
        let mut start = 0;
        for (item, end) in batch.ends.iter().enumerate() {
            let bytes = &batch.bytes[start..*end as usize];
            start = *end as usize;
            if parsed.verdicts[item] != 0 {
                continue;
            }
            let pieces: Vec<u8> = parsed
                .cells
                .chunks_exact(width)
                .zip(&parsed.items)
                .filter(|(_, of)| **of as usize == item)
                .flat_map(|(row, _)| {
                    let message = Cell(row[field::MESSAGE]);
                    message
                        .resolve(&batch.bytes, &parsed.scratch)
                        .expect("every row has a message")
                })
                .copied()
                .collect();
            assert_eq!(pieces, bytes, "the pieces of an item are the item");
        }
    });
});
