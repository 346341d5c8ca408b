//! Made-up traffic of a busy proxy: calls and registrations, each message different.

use heplake_host::PacketBatch;
use std::{fmt::Write as _, net::SocketAddr, ops::Range};

/// Makes HEP 3 packets with SIP in them, about 600 bytes each.
pub struct Traffic {
    random: fastrand::Rng,
    time_us: u64,
    waiting: Vec<Vec<u8>>,
}

/// A message of a dialog: its start line, its CSeq, which way it goes, and its body.
type Step = (&'static str, &'static str, bool, bool);

/// A call as a proxy sees it.
const CALL: [Step; 8] = [
    ("INVITE", "1 INVITE", true, true),
    ("SIP/2.0 100 Trying", "1 INVITE", false, false),
    ("SIP/2.0 180 Ringing", "1 INVITE", false, false),
    ("SIP/2.0 200 OK", "1 INVITE", false, true),
    ("ACK", "1 ACK", true, false),
    ("INFO", "2 INFO", true, false),
    ("BYE", "3 BYE", true, false),
    ("SIP/2.0 200 OK", "3 BYE", false, false),
];
/// A registration with its challenge.
const REGISTRATION: [Step; 4] = [
    ("REGISTER", "1 REGISTER", true, false),
    ("SIP/2.0 401 Unauthorized", "1 REGISTER", false, false),
    ("REGISTER", "2 REGISTER", true, false),
    ("SIP/2.0 200 OK", "2 REGISTER", false, false),
];

impl Traffic {
    /// Traffic that starts at a time (µs since 1970); the same seed makes the same.
    #[must_use]
    pub fn new(seed: u64, time_us: u64) -> Self {
        Self {
            random: fastrand::Rng::with_seed(seed),
            time_us,
            waiting: Vec::new(),
        }
    }

    /// The next packet.
    pub fn packet(&mut self) -> Vec<u8> {
        loop {
            if let Some(packet) = self.waiting.pop() {
                return packet;
            }
            let dialogs: Vec<Vec<Vec<u8>>> = (0..32).map(|_| self.dialog()).collect();
            // Dialogs overlap on the wire: take them message by message.
            let longest = dialogs.iter().map(Vec::len).max().unwrap_or(0);
            for step in (0..longest).rev() {
                self.waiting.extend(
                    dialogs
                        .iter()
                        .filter_map(|dialog| dialog.get(step).cloned()),
                );
            }
        }
    }

    /// A batch of so many packets.
    pub fn batch(&mut self, packets: usize) -> PacketBatch {
        let mut batch = PacketBatch::default();
        let peer = SocketAddr::from(([10, 0, 0, 9], 9060));
        for _ in 0..packets {
            let packet = self.packet();
            batch.push(&packet, self.time_us, peer);
        }
        batch
    }

    fn dialog(&mut self) -> Vec<Vec<u8>> {
        let steps: &[Step] = if self.random.u8(..) < 200 {
            &CALL
        } else {
            &REGISTRATION
        };
        let random = &mut self.random;
        let call_id = format!(
            "{:016x}{:08x}@10.1.{}.{}",
            random.u64(..),
            random.u32(..),
            random.u8(..),
            random.u8(..)
        );
        let (caller, callee) = (
            random.u32(20_000_000..99_999_999),
            random.u32(20_000_000..99_999_999),
        );
        let (from_tag, to_tag) = (random.u32(..), random.u32(..));
        let client = [10, 1, random.u8(..16), random.u8(..)];
        let server = [10, 2, 0, random.u8(1..9)];
        let (port, node) = (random.u16(1024..), 2000 + random.u32(..4));
        let mut packets = Vec::with_capacity(steps.len());
        for &(start, cseq, forward, has_body) in steps {
            let branch = self.random.u64(..);
            let [a, b, c, d] = client;
            let domain = format!("sip{}.example.net", server[3]);
            let mut sip = match start.starts_with("SIP/2.0") {
                true => format!("{start}\r\n"),
                false => format!("{start} sip:+49{callee}@{domain} SIP/2.0\r\n"),
            };
            // Writing to a string cannot fail.
            let _ = write!(
                sip,
                "Via: SIP/2.0/UDP {a}.{b}.{c}.{d}:{port};branch=z9hG4bK{branch:016x};rport\r\n\
                 From: \"{caller}\" <sip:+49{caller}@{domain}>;tag={from_tag:08x}\r\n\
                 To: <sip:+49{callee}@{domain}>{}\r\n\
                 Call-ID: {call_id}\r\nCSeq: {cseq}\r\n",
                if forward {
                    String::new()
                } else {
                    format!(";tag={to_tag:08x}")
                },
            );
            if forward {
                sip.push_str("Max-Forwards: 70\r\nUser-Agent: Heplake Traffic 1.0\r\n");
            } else {
                sip.push_str("Server: Heplake Proxy 1.0\r\n");
            }
            let _ = write!(
                sip,
                "Contact: <sip:{caller}@{a}.{b}.{c}.{d}:{port};transport=udp>\r\n"
            );
            let body = match has_body {
                true => format!(
                    "v=0\r\no=- {0} {0} IN IP4 {a}.{b}.{c}.{d}\r\ns=-\r\nc=IN IP4 {a}.{b}.{c}.{d}\r\n\
                     t=0 0\r\nm=audio {port} RTP/AVP 8 0 101\r\na=rtpmap:8 PCMA/8000\r\n\
                     a=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\na=sendrecv\r\n",
                    branch >> 32
                ),
                false => String::new(),
            };
            if has_body {
                sip.push_str("Content-Type: application/sdp\r\n");
            } else {
                sip.push_str("Allow: INVITE, ACK, CANCEL, OPTIONS, BYE, REFER, NOTIFY, INFO\r\nSupported: replaces, timer\r\n");
            }
            let _ = write!(sip, "Content-Length: {}\r\n\r\n{body}", body.len());
            self.time_us += 1 + self.random.u64(..20);
            let (source, target) = if forward {
                ((client, port), (server, 5060))
            } else {
                ((server, 5060), (client, port))
            };
            packets.push(hep3(source, target, self.time_us, 1, node, sip.as_bytes()));
        }
        packets
    }
}

/// A HEP 3 packet (HEP3 specification) over IPv4 and UDP.
#[must_use]
pub fn hep3(
    (source, source_port): ([u8; 4], u16),
    (target, target_port): ([u8; 4], u16),
    time_us: u64,
    proto_type: u8,
    node: u32,
    payload: &[u8],
) -> Vec<u8> {
    let seconds = (time_us / 1_000_000) as u32;
    let micros = (time_us % 1_000_000) as u32;
    let mut packet = b"HEP3\0\0".to_vec();
    for (chunk_type, value) in [
        (1u16, &[2u8][..]),
        (2, &[17]),
        (3, &source),
        (4, &target),
        (7, &source_port.to_be_bytes()),
        (8, &target_port.to_be_bytes()),
        (9, &seconds.to_be_bytes()),
        (10, &micros.to_be_bytes()),
        (11, &[proto_type]),
        (12, &node.to_be_bytes()),
        (15, payload),
    ] {
        packet.extend_from_slice(&[0, 0]);
        packet.extend_from_slice(&chunk_type.to_be_bytes());
        packet.extend_from_slice(&(value.len() as u16 + 6).to_be_bytes());
        packet.extend_from_slice(value);
    }
    let length = (packet.len() as u16).to_be_bytes();
    packet[4..6].copy_from_slice(&length);
    packet
}

/// Gives a packet of [`hep3`] another time, µs since 1970; no other byte of it changes.
fn set_time(packet: &mut [u8], time_us: u64) {
    /// Where the values of chunks 9 and 10 stand, after HEP's head and six chunks of fixed size.
    const SECONDS: Range<usize> = 62..66;
    const MICROS: Range<usize> = 72..76;
    for (at, value) in [
        (SECONDS, time_us / 1_000_000),
        (MICROS, time_us % 1_000_000),
    ] {
        if let Some(place) = packet.get_mut(at) {
            place.copy_from_slice(&(value as u32).to_be_bytes());
        }
    }
}

/// Gives packets of [`hep3`] times one after the other, µs since 1970. A time that no other
/// message has is its number: it comes out as the `timestamp` of its row, whatever the table.
pub fn set_times(batch: &mut PacketBatch, first_us: u64) {
    let mut start = 0;
    for (time_us, end) in (first_us..).zip(&batch.ends) {
        let end = *end as usize;
        set_time(&mut batch.bytes[start..end], time_us);
        start = end;
    }
}

/// Now, µs since 1970.
#[must_use]
pub fn now_us() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_micros() as u64)
}

#[cfg(test)]
mod tests {
    use super::{hep3, set_time};

    #[test]
    fn a_packet_with_another_time_is_as_if_it_had_been_made_then() {
        let made = |time_us| {
            let ends = (([10, 0, 0, 1], 5060), ([10, 0, 0, 2], 5060));
            hep3(ends.0, ends.1, time_us, 1, 2001, b"OPTIONS")
        };
        let mut packet = made(0);
        for time_us in [1, 999_999, 1_000_000, 1_795_305_600_123_456] {
            set_time(&mut packet, time_us);
            assert_eq!(packet, made(time_us));
        }
    }
}
