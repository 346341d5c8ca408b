//! Samples of the traffic on disk, so that a restart does not forget them.
//!
//! They are written when the edge ends in order, and read when it starts: a line of JSON each, in
//! the store's directory, which is its owner's alone as they are. After a crash those of the last
//! orderly end are there.

use super::store::{ComponentStoreError, io_error, write_whole};
use crate::live_samples::{LiveSamples, Sample};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};
use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
};

/// Bytes of packets that are written: thousands of SIP messages, and some hundred milliseconds of
/// a slow disk, which the end of an edge waits for.
const PACKET_BYTES_MAX: usize = 4 << 20;
/// Largest file that is read: base64 is a third longer than the packets, and a line has some more.
const FILE_BYTES_MAX: u64 = 16 << 20;

const FILE: &str = "samples.ndjson";

/// A sample as it is written.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    /// HEP protocol type; none for what was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    proto_type: Option<u64>,
    /// When it was received, µs since 1970, UTC.
    received: u64,
    /// Who sent it.
    peer: SocketAddr,
    /// The packet in base64.
    packet: String,
}

/// Where samples are kept in the directory of a store.
pub(super) fn path_in(store_directory: &Path) -> PathBuf {
    store_directory.join(FILE)
}

/// Writes samples, as many as there is room for: some of each protocol type.
///
/// # Errors
/// When the file cannot be written: then there is the one before.
pub(super) fn write(path: &Path, samples: &LiveSamples) -> Result<(), ComponentStoreError> {
    let (mut text, mut bytes) = (String::new(), 0);
    for (proto_type, sample) in samples.all_by_type() {
        bytes += sample.bytes.len();
        if bytes > PACKET_BYTES_MAX {
            break;
        }
        let line = Line {
            proto_type,
            received: sample.received,
            peer: sample.peer,
            packet: BASE64_STANDARD.encode(&sample.bytes),
        };
        let line = serde_json::to_string(&line);
        text.push_str(&line.map_err(|error| io_error(path, error.into()))?);
        text.push('\n');
    }
    write_whole(path, text.as_bytes())
}

/// Reads samples that were written before, if there are any. A line that is none is left out.
///
/// # Errors
/// When the file is there and cannot be read.
pub(super) fn read(path: &Path, samples: &LiveSamples) -> Result<(), ComponentStoreError> {
    let failed = |source| io_error(path, source);
    match fs::metadata(path) {
        Ok(metadata) if metadata.len() > FILE_BYTES_MAX => {
            let what = format!("it has {} bytes, more than are written", metadata.len());
            return Err(failed(io::Error::new(io::ErrorKind::FileTooLarge, what)));
        }
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
    }
    let text = fs::read(path).map_err(failed)?;
    let lines = text.split(|byte| *byte == b'\n');
    samples.restore(lines.filter_map(|line| {
        let line: Line = serde_json::from_slice(line).ok()?;
        let sample = Sample {
            bytes: BASE64_STANDARD.decode(&line.packet).ok()?,
            received: line.received,
            peer: line.peer,
        };
        Some((line.proto_type, sample))
    }));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn sample(bytes: &[u8], received: u64) -> Sample {
        Sample {
            bytes: bytes.to_vec(),
            received,
            peer: ([192, 0, 2, 9], 4000).into(),
        }
    }

    #[test]
    fn samples_survive_a_restart_and_are_their_owners_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = path_in(directory.path());
        let samples = LiveSamples::new(1);
        read(&path, &samples).unwrap();
        assert_eq!(samples.all(), []);
        samples.restore(
            [
                (Some(1), sample(b"INVITE\0\xff", 7)),
                (Some(200), sample(b"roof wind 3", 8)),
                (None, sample(b"refused", 9)),
            ]
            .into_iter(),
        );
        write(&path, &samples).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);

        let restarted = LiveSamples::new(2);
        read(&path, &restarted).unwrap();
        assert_eq!(restarted.all_by_type(), samples.all_by_type());
        assert_eq!(restarted.all().len(), 3);
    }

    #[test]
    fn lines_that_are_no_samples_are_left_out() {
        let directory = tempfile::tempdir().unwrap();
        let path = path_in(directory.path());
        let samples = LiveSamples::new(1);
        samples.restore([(Some(1), sample(b"good", 7))].into_iter());
        write(&path, &samples).unwrap();
        let good = fs::read(&path).unwrap();
        let cut_off = &good[..good.len() / 2];
        let bad = br#"{"proto_type":1,"received":1,"peer":"192.0.2.9:4000","packet":"%"}"#;
        let all = [b"\xff\n[]\n".as_slice(), bad, b"\n", &good, cut_off].concat();
        fs::write(&path, all).unwrap();
        let restarted = LiveSamples::new(1);
        read(&path, &restarted).unwrap();
        assert_eq!(restarted.all(), samples.all());
    }

    #[test]
    fn no_more_is_written_than_is_read_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = path_in(directory.path());
        let samples = LiveSamples::new(1);
        let large = vec![b'x'; 60_000];
        let many = (0..200).map(|place| (Some(place % 16), sample(&large, place)));
        samples.restore(many);
        write(&path, &samples).unwrap();
        assert!(fs::metadata(&path).unwrap().len() < FILE_BYTES_MAX);
        let restarted = LiveSamples::new(1);
        read(&path, &restarted).unwrap();
        assert_eq!(restarted.all().len(), PACKET_BYTES_MAX / large.len());

        fs::write(&path, vec![b'\n'; FILE_BYTES_MAX as usize + 1]).unwrap();
        read(&path, &restarted).unwrap_err();
    }
}
