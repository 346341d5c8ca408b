//! The SIP parser with a fault in it: it does all that SIP does, at SIP's cost, and then
//! panics if the message starts with the word POISON. Tests and benchmarks send some.

use heplake_sdk::{Description, Packet, Parser, Rows, Verdict};
use heplake_sip::Sip;

/// What a message starts with that makes it panic.
pub const POISON: &[u8] = b"POISON";

/// SIP with a fault.
#[derive(Default)]
pub struct Poisonable(Sip);

impl Parser for Poisonable {
    fn configure(&mut self, configuration: &str) -> Result<(), String> {
        self.0.configure(configuration)
    }

    fn describe(&self) -> Description {
        self.0.describe()
    }

    #[allow(clippy::panic, reason = "that is what it is for")]
    fn parse(&mut self, packet: &Packet<'_>, rows: &mut Rows<'_>) -> Verdict {
        let verdict = self.0.parse(packet, rows);
        if packet.bytes.starts_with(POISON) {
            panic!("poison");
        }
        verdict
    }
}

heplake_sdk::export_parser!(Poisonable);
