//! Writes the corpora that fuzzing starts from, out of the captures of real senders.

use std::path::{Path, PathBuf};
use std::{fs, io};

use heplake_hep::{Hep, field};
use heplake_sdk::{Batch, Cell, run};

fn main() -> io::Result<()> {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut captures: Vec<PathBuf> = fs::read_dir(fuzz.join("../tests/captures"))?
        .map(|entry| Ok(entry?.path()))
        .collect::<io::Result<_>>()?;
    captures.retain(|path| {
        path.extension()
            .is_some_and(|extension| extension == "pcap")
    });
    captures.sort();

    let mut seeds = 0;
    for path in captures {
        let capture = fs::read(&path)?;
        let items: Vec<&[u8]> = datagrams(&capture).collect();
        let batch = Batch::of(&items, heplake_fuzz::RECEIVED);
        let parsed = run(&mut Hep::default(), &batch);
        for item in &items {
            write(fuzz, "hep", seeds, item)?;
            seeds += 1;
        }
        for row in parsed.cells.chunks_exact(field::COUNT) {
            let payload = Cell(row[field::PAYLOAD]).resolve(&batch.bytes, &parsed.scratch);
            if let (1, Some(payload)) = (row[field::PROTO_TYPE], payload) {
                write(fuzz, "sip", seeds, payload)?;
                seeds += 1;
            }
        }
    }
    println!("{seeds} seeds in fuzz/corpus");
    Ok(())
}

/// Writes one input of a target: a zero byte (one item, not two) and the item.
fn write(fuzz: &Path, target: &str, number: usize, item: &[u8]) -> io::Result<()> {
    let corpus = fuzz.join("corpus").join(target);
    fs::create_dir_all(&corpus)?;
    fs::write(
        corpus.join(format!("capture-{number}")),
        [&[0], item].concat(),
    )
}

/// The UDP payloads of a little-endian pcap of raw IPv4 packets, as all captures are.
fn datagrams(capture: &[u8]) -> impl Iterator<Item = &[u8]> {
    const FILE_HEADER: usize = 24;
    const RECORD_HEADER: usize = 16;
    const UDP_HEADER: usize = 8;
    let mut rest = capture.get(FILE_HEADER..).unwrap_or_default();
    std::iter::from_fn(move || {
        let (header, records) = rest.split_first_chunk::<RECORD_HEADER>()?;
        let length = u32::from_le_bytes([header[8], header[9], header[10], header[11]]);
        let (packet, after) = records.split_at_checked(length as usize)?;
        rest = after;
        packet.get(usize::from(packet.first()? & 0x0f) * 4 + UDP_HEADER..)
    })
}
