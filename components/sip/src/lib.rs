//! Payload parser: SIP (RFC 3261), as it is on the wire.
//!
//! ```text
//!  payload ─▶ start line ─▶ header lines ─▶ where the next message starts ─▶ a row each
//! ```
//!
//! It takes what phones and proxies send, not only what the RFC allows: any line ends,
//! folded lines, compact names, rubbish in front, several messages in one payload, wrong
//! or missing Content-Length, missing and doubled headers, bytes that are no UTF-8. What
//! has no start line is set aside (keep-alives) or refused by what it looks like.
//!
//! Fields are spans of the payload. Nothing is copied except folded values, the values of
//! lists that take several lines, users that have to be unescaped, and what a secret is left
//! out of. Bodies are not looked into, and nothing is validated: a capture tells what was sent.

mod authorization;
mod configuration;
mod header;
mod lines;
mod message;
mod not_sip;
mod occurrence;
mod odd_lines;
mod password;
mod start_line;
mod text;
mod uri;
mod user;
mod value;
mod via;

pub mod field;

use heplake_sdk::{Accepts, Description, Field, Kind, Packet, Parser, Rows, Verdict};

use configuration::{Configuration, Watched};
use message::Reader;
use not_sip::NotSip;
use odd_lines::OddLines;
use start_line::StartLine;
use text::{SLACK, Span, Text};

/// HEP protocol type of SIP.
const PROTO_TYPE_SIP: u32 = 1;

/// Most messages in one payload; what follows stays part of the last. Agents that join
/// segments of a stream send a handful.
const MESSAGES_MAX: usize = 64;

/// The parser of SIP.
#[derive(Debug, Default)]
pub struct Sip {
    configuration: Configuration,
    watched: Watched,
    odd: OddLines,
    /// A packet that has too few bytes behind it.
    padded: Vec<u8>,
}

impl Parser for Sip {
    fn configure(&mut self, configuration: &str) -> Result<(), String> {
        self.configuration = Configuration::parse(configuration)?;
        self.watched = Watched::of(&self.configuration);
        Ok(())
    }

    fn describe(&self) -> Description {
        let accepts = Accepts::ProtocolTypes(vec![PROTO_TYPE_SIP]);
        let custom = self
            .configuration
            .custom_headers
            .iter()
            .map(|name| Field::new(&format!("{}{name}", field::CUSTOM_PREFIX), Kind::Text));
        Description::new("sip", env!("CARGO_PKG_VERSION"), accepts)
            .fields(field::fields().chain(custom))
            .sets_aside(NotSip::ASIDE.map(NotSip::name))
            .refuses(NotSip::REFUSED.map(NotSip::name))
    }

    fn parse(&mut self, packet: &Packet<'_>, rows: &mut Rows<'_>) -> Verdict {
        let has_slack = packet.ahead().len() >= packet.bytes.len() + SLACK;
        if !has_slack {
            // The last of a batch.
            self.padded.clear();
            self.padded.extend_from_slice(packet.bytes);
            self.padded.resize(packet.bytes.len() + SLACK, 0);
        }
        let text = Text {
            bytes: packet.bytes,
            ahead: if has_slack {
                packet.ahead()
            } else {
                &self.padded
            },
            origin: packet.origin(),
        };
        let Some(mut start_line) = StartLine::find(&text) else {
            return NotSip::of(packet.bytes).verdict();
        };
        let mut piece = Span::new(0, packet.bytes.len());
        for messages_left in (0..MESSAGES_MAX).rev() {
            let mut row = rows.row();
            let Some(fields) = row.split() else {
                // A row has the fields that were described.
                return Verdict::NOT_MINE;
            };
            let reader = Reader::new(&self.watched, &mut self.odd, fields);
            let extent = reader.read(&text, &start_line);
            let next = match messages_left {
                0 => None,
                _ => extent.next_message(&text),
            };
            let end = next.map_or(piece.end, |next| next.begin);
            row.span(field::MESSAGE, text.origin, piece.begin, end);
            let Some(next) = next else { break };
            piece.begin = end;
            start_line = next;
        }
        Verdict::PARSED
    }
}

#[cfg(feature = "component")]
heplake_sdk::export_parser!(Sip);

#[cfg(test)]
mod address_tests;
#[cfg(test)]
mod list_tests;
#[cfg(test)]
mod shortcut_tests;
#[cfg(test)]
mod tests;
