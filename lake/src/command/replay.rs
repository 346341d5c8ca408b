//! `heplake replay`: sends captures.

use clap::Args;
use heplake_host::process::Failure;
use heplake_lake::replay::{Capture, Replay, Sent, Transport};
use std::{
    io::{IsTerminal, Write},
    net::{SocketAddr, ToSocketAddrs},
    path::PathBuf,
};

/// Arguments of `heplake replay`.
#[derive(Args)]
#[command(
    after_help = "A pcap or pcapng file is sent over UDP, a datagram for each UDP packet in it. What a TCP\n\
        connection carried (a file that starts with HEP3) is sent over TCP.\n\n\
        Examples:\n  \
        heplake replay calls.pcap\n  \
        heplake replay calls.pcapng --to collector.example:9060 --tcp --rate 0\n  \
        heplake replay heplify.stream --chunk 1000 --times 50"
)]
pub(crate) struct ReplayArguments {
    /// Capture files: pcap, pcapng, or the bytes of a TCP connection
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Receiver
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:9060")]
    to: String,
    /// Send over UDP, whatever the file is
    #[arg(long, conflicts_with = "tcp")]
    udp: bool,
    /// Send over TCP: the packets of a capture go back to back
    #[arg(long)]
    tcp: bool,
    /// Datagrams, or writes over TCP, a second; 0 for as fast as they go, where UDP may lose
    #[arg(long, value_name = "PPS", default_value_t = 5000.0, value_parser = rate)]
    rate: f64,
    /// How often each file is sent
    #[arg(long, value_name = "N", default_value_t = 1)]
    times: u64,
    /// Over TCP, bytes a write: cuts packets wherever that falls
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(1..))]
    chunk: Option<u32>,
}

pub(crate) fn run(arguments: &ReplayArguments) -> Result<(), Failure> {
    let target = resolve(&arguments.to)?;
    let captures = arguments.files.iter().map(|file| Capture::read(file));
    let captures: Vec<_> = captures
        .collect::<Result<_, _>>()
        .map_err(|error| Failure::of("nothing was sent", &error))?;
    let interactive = std::io::stderr().is_terminal();
    for capture in &captures {
        let replay = arguments.replay(target, capture);
        let sent = replay
            .send(std::slice::from_ref(capture), |sent| {
                if interactive {
                    say(&format!("\r{}: {}", capture.name(), amount(sent)));
                }
            })
            .map_err(|error| Failure::of(capture.name(), &error))?;
        let skipped = match capture {
            Capture::Packets { skipped, .. } if *skipped > 0 => {
                format!("; {skipped} packets in it carry no whole UDP payload")
            }
            _ => String::new(),
        };
        let start = if interactive { "\r" } else { "" };
        say(&format!(
            "{start}{}: {} to {} {target}{skipped}\n",
            capture.name(),
            amount(sent),
            replay.transport.name()
        ));
    }
    Ok(())
}

impl ReplayArguments {
    fn replay(&self, target: SocketAddr, capture: &Capture) -> Replay {
        let transport = match capture {
            _ if self.udp => Transport::Udp,
            _ if self.tcp => Transport::Tcp,
            Capture::Packets { .. } => Transport::Udp,
            Capture::Stream { .. } => Transport::Tcp,
        };
        Replay {
            target,
            transport,
            rate: (self.rate > 0.0).then_some(self.rate),
            times: self.times,
            chunk_bytes: self.chunk.map(|bytes| bytes as usize),
        }
    }
}

fn resolve(address: &str) -> Result<SocketAddr, Failure> {
    let mut addresses = address.to_socket_addrs().map_err(|error| {
        Failure::Usage(format!(
            "--to {address} cannot be resolved: {error}; give HOST:PORT, such as 127.0.0.1:9060"
        ))
    })?;
    addresses
        .next()
        .ok_or_else(|| Failure::Usage(format!("--to {address} has no address")))
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if rate.is_finite() && rate >= 0.0 => Ok(rate),
        _ => Err("a number of sends a second, or 0 for as fast as they go".into()),
    }
}

fn amount(sent: Sent) -> String {
    format!(
        "{} sends, {} bytes in {:.1} s ({:.0} a second)",
        sent.sends,
        sent.bytes,
        sent.elapsed.as_secs_f64(),
        sent.rate()
    )
}

/// Tells progress; where standard error is closed nobody wants to know.
fn say(text: &str) {
    let mut error = std::io::stderr().lock();
    let _ = error
        .write_all(text.as_bytes())
        .and_then(|()| error.flush());
}
