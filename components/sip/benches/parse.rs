//! Time to parse one SIP message natively: `cargo bench -p heplake-sip`.

use std::hint::black_box;
use std::time::Instant;

use heplake_sdk::{Batch, run};
use heplake_sip::Sip;

/// Messages in a batch, as the host hands them on.
const BATCH: usize = 1024;
/// Batches in a run; the best of several runs is told.
const BATCHES: usize = 100;

const INVITE: &str = "INVITE sip:1000@127.0.0.1:25060 SIP/2.0\r\n\
Via: SIP/2.0/UDP 127.0.0.1:25061;branch=z9hG4bK-9-1-0;rport\r\n\
From: \"Alice\" <sip:alice@127.0.0.1:25061>;tag=9SIPpTag001\r\n\
To: <sip:1000@127.0.0.1:25060>\r\n\
Call-ID: 1-9@127.0.0.1\r\n\
CSeq: 1 INVITE\r\n\
Contact: <sip:alice@127.0.0.1:25061>\r\n\
Max-Forwards: 70\r\n\
Subject: Performance Test\r\n\
User-Agent: SIPp/3.7\r\n\
Allow: INVITE, ACK, BYE, CANCEL, OPTIONS\r\n\
Content-Type: application/sdp\r\n\
Content-Length: 129\r\n\
\r\n\
v=0\r\no=user1 53655765 2353687637 IN IP4 127.0.0.1\r\ns=-\r\n\
c=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 6000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n";

fn main() {
    let items = vec![INVITE; BATCH];
    let batch = Batch::of(&items, 0);
    let mut sip = Sip::default();
    let rows = run(&mut sip, &batch).items.len();
    let best = (0..10)
        .map(|_| {
            let start = Instant::now();
            for _ in 0..BATCHES {
                black_box(run(&mut sip, black_box(&batch)));
            }
            start.elapsed().as_nanos() / (BATCHES * BATCH) as u128
        })
        .min()
        .unwrap_or_default();
    println!("{} bytes, {rows} rows: {best} ns a message", INVITE.len());
}
