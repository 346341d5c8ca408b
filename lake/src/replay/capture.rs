//! A capture file, taken apart.

use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use pcap_file::{
    DataLink, PcapError,
    pcap::PcapReader,
    pcapng::{Block, PcapNgReader},
};
use std::{fmt, io, path::Path};

/// Largest file that is read: it is held in memory, so that the disk does not set the pace.
const FILE_BYTES_MAX: u64 = 2 << 30;

/// What a file holds to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Capture {
    /// Payloads of UDP packets, of a pcap or pcapng file.
    Packets {
        /// The file.
        name: String,
        /// The payloads, in order.
        packets: Vec<Vec<u8>>,
        /// Packets that carry no whole UDP payload: other protocols, fragments.
        skipped: u64,
    },
    /// What a TCP connection carried.
    Stream {
        /// The file.
        name: String,
        /// The bytes.
        bytes: Vec<u8>,
    },
}

/// Why a file is not a capture.
#[derive(Debug, thiserror::Error)]
#[error("{name}: {problem}")]
pub struct CaptureError {
    /// The file.
    pub name: String,
    problem: Problem,
}

#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error("cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    #[error("is larger than {FILE_BYTES_MAX} bytes: cut it, with editcap -c for example")]
    TooLarge,
    #[error(
        "is no capture: it starts with {0}, where a pcap, a pcapng, or a stream of HEP packets (HEP3, EEP3 or gzip) is expected"
    )]
    Unknown(FirstBytes),
    #[error("is damaged in packet {number}: {source}")]
    Damaged { number: u64, source: PcapError },
    #[error(
        "was captured on a link of type {0:?}; Ethernet, raw IP, loopback and Linux cooked (SLL, SLL2) can be read"
    )]
    Link(DataLink),
    #[error("holds no UDP packet; {0} of other protocols")]
    Nothing(u64),
}

#[derive(Debug)]
struct FirstBytes(Vec<u8>);

impl fmt::Display for FirstBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("nothing");
        }
        for byte in &self.0 {
            write!(f, "{byte:02x} ")?;
        }
        write!(f, "(\"{}\")", self.0.escape_ascii())
    }
}

impl Capture {
    /// Reads a file.
    ///
    /// # Errors
    /// Says why it is not a capture, and where it is damaged.
    pub fn read(path: &Path) -> Result<Self, CaptureError> {
        let name = path.display().to_string();
        match read(path) {
            Ok(bytes) => Self::parse(&name, bytes),
            Err(problem) => Err(CaptureError { name, problem }),
        }
    }

    /// Takes the bytes of a file apart.
    ///
    /// # Errors
    /// Says why they are not a capture, and where they are damaged.
    pub fn parse(name: &str, bytes: Vec<u8>) -> Result<Self, CaptureError> {
        parse(name, bytes).map_err(|problem| CaptureError {
            name: name.into(),
            problem,
        })
    }

    /// The file.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Packets { name, .. } | Self::Stream { name, .. } => name,
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Problem> {
    if std::fs::metadata(path)?.len() > FILE_BYTES_MAX {
        return Err(Problem::TooLarge);
    }
    Ok(std::fs::read(path)?)
}

fn parse(name: &str, bytes: Vec<u8>) -> Result<Capture, Problem> {
    let mut found = Found::default();
    match bytes.as_slice() {
        // Magic numbers: microseconds and nanoseconds, in both byte orders; a section header.
        [0xa1, 0xb2, 0xc3, 0xd4, ..]
        | [0xd4, 0xc3, 0xb2, 0xa1, ..]
        | [0xa1, 0xb2, 0x3c, 0x4d, ..]
        | [0x4d, 0x3c, 0xb2, 0xa1, ..] => found.read_pcap(&bytes)?,
        [0x0a, 0x0d, 0x0d, 0x0a, ..] => found.read_pcapng(&bytes)?,
        [b'H' | b'E', b'E', b'P', b'3', ..] | [0x1f, 0x8b, ..] => {
            let name = name.into();
            return Ok(Capture::Stream { name, bytes });
        }
        _ => {
            let first = bytes.get(..8).unwrap_or(&bytes).to_vec();
            return Err(Problem::Unknown(FirstBytes(first)));
        }
    }
    if found.packets.is_empty() {
        return Err(Problem::Nothing(found.skipped));
    }
    Ok(Capture::Packets {
        name: name.into(),
        packets: found.packets,
        skipped: found.skipped,
    })
}

#[derive(Default)]
struct Found {
    packets: Vec<Vec<u8>>,
    skipped: u64,
}

impl Found {
    fn read_pcap(&mut self, bytes: &[u8]) -> Result<(), Problem> {
        let mut reader = PcapReader::new(bytes).map_err(|error| self.damaged(error))?;
        let link = reader.header().datalink;
        while let Some(packet) = reader.next_raw_packet() {
            let packet = packet.map_err(|error| self.damaged(error))?;
            self.take(link, &packet.data)?;
        }
        Ok(())
    }

    fn read_pcapng(&mut self, bytes: &[u8]) -> Result<(), Problem> {
        let mut reader = PcapNgReader::new(bytes).map_err(|error| self.damaged(error))?;
        while let Some(block) = reader.next_block() {
            let block = block.map_err(|error| self.damaged(error))?.into_owned();
            let (interface, data) = match &block {
                Block::EnhancedPacket(packet) => (packet.interface_id as usize, &packet.data),
                Block::SimplePacket(packet) => (0, &packet.data),
                _ => continue,
            };
            match reader.interfaces().get(interface) {
                Some(interface) => self.take(interface.linktype, data)?,
                None => self.skipped += 1,
            }
        }
        Ok(())
    }

    fn damaged(&self, source: PcapError) -> Problem {
        Problem::Damaged {
            number: self.packets.len() as u64 + self.skipped + 1,
            source,
        }
    }

    fn take(&mut self, link: DataLink, frame: &[u8]) -> Result<(), Problem> {
        match udp_payload(link, frame)? {
            Some(payload) => self.packets.push(payload.to_vec()),
            None => self.skipped += 1,
        }
        Ok(())
    }
}

/// The payload of the UDP packet in a frame, if there is a whole one.
fn udp_payload(link: DataLink, frame: &[u8]) -> Result<Option<&[u8]>, Problem> {
    // Lengths of the headers before IP: libpcap's LINKTYPE_ registry.
    let ip_at = |length: usize| frame.get(length..).map(SlicedPacket::from_ip);
    let packet = match link {
        DataLink::ETHERNET => Some(SlicedPacket::from_ethernet(frame)),
        DataLink::RAW | DataLink::IPV4 | DataLink::IPV6 => ip_at(0),
        DataLink::NULL | DataLink::LOOP => ip_at(4),
        DataLink::LINUX_SLL => ip_at(16),
        DataLink::LINUX_SLL2 => ip_at(20),
        other => return Err(Problem::Link(other)),
    };
    let Some(Ok(packet)) = packet else {
        return Ok(None);
    };
    let fragment = match &packet.net {
        Some(NetSlice::Ipv4(ip)) => ip.payload().fragmented,
        Some(NetSlice::Ipv6(ip)) => ip.payload().fragmented,
        _ => false,
    };
    match packet.transport {
        Some(TransportSlice::Udp(udp)) if !fragment => Ok(Some(udp.payload())),
        _ => Ok(None),
    }
}
