//! Traffic with bad packets in it, and a pipeline whose SIP parser panics on them.

use heplake_components::shipped;
use heplake_host::{
    Breaker, ContainedParser, ContainedRouter, Engine, Limits, PacketBatch, ParserComponent,
    Pipeline, RouterComponent, TimeWindow,
};
use std::{error::Error, sync::Arc, time::Duration};

/// The SIP parser that panics on a message that starts with the word POISON.
pub const COMPONENT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/poison.wasm"));

const POISON: &[u8] = b"POISON";

/// The shipped pipeline, in the sandbox, with that parser in the place of SIP's.
///
/// # Errors
/// When a component cannot be loaded, or they do not fit together.
pub fn pipeline(engine: &Engine) -> Result<Pipeline, Box<dyn Error>> {
    let limits = Limits::default();
    let breaker = || Arc::new(Breaker::new(0, Duration::ZERO));
    let bytes = |name: &str| {
        shipped(name)
            .map(|shipped| shipped.bytes)
            .unwrap_or_default()
    };
    let contain = |bytes: &[u8]| -> Result<ContainedParser, Box<dyn Error>> {
        let component = ParserComponent::load(engine, bytes, "{}", limits)?;
        Ok(ContainedParser::new(Arc::new(component), breaker())?)
    };
    let router = RouterComponent::load(engine, bytes("sip-router"), "{}", limits)?;
    let router = ContainedRouter::new(Arc::new(router), breaker())?;
    let parsers = vec![(contain(COMPONENT)?, Some(router))];
    let window = TimeWindow::default();
    Ok(Pipeline::new(
        contain(bytes("hep"))?,
        parsers,
        window,
        false,
        1,
    )?)
}

/// Makes one packet of so many, by chance, one that the parser panics on. They stay as long
/// as they were. Returns how many there are.
pub fn poison(batch: &mut PacketBatch, one_of: u32, random: &mut fastrand::Rng) -> usize {
    /// How HEP's chunk with the payload starts (HEP3 specification): vendor 0, type 15.
    const PAYLOAD: &[u8] = &[0, 0, 0, 15];
    let mut poisoned = 0;
    let mut start = 0;
    for end in &batch.ends {
        let packet = &mut batch.bytes[start..*end as usize];
        start = *end as usize;
        if random.u32(..one_of) != 0 {
            continue;
        }
        let chunk = packet.windows(PAYLOAD.len()).rposition(|at| at == PAYLOAD);
        // Its length has two octets more.
        let payload = chunk.and_then(|at| packet.get_mut(at + 6..at + 6 + POISON.len()));
        if let Some(payload) = payload {
            payload.copy_from_slice(POISON);
            poisoned += 1;
        }
    }
    poisoned
}
