//! Compressed frames and payloads, with a bound on what they inflate to.

use std::io::Read;

use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};

use crate::Rejection;

/// Most bytes that one item may inflate to: four times the longest HEP packet. Deflate
/// packs up to 1032 to 1, so without a bound one datagram could ask for 64 MB.
pub(crate) const INFLATED_BYTES_MAX: usize = 256 * 1024;

/// What a gzip member begins with (RFC 1952 section 2.3.1).
pub(crate) const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Inflates a whole frame, of one or more gzip members, onto the end of `out`.
///
/// # Errors
/// The stream is broken, has something after it, or gives more than `bytes_max`.
pub(crate) fn gzip(bytes: &[u8], bytes_max: usize, out: &mut Vec<u8>) -> Result<(), Rejection> {
    read(
        MultiGzDecoder::new(bytes),
        bytes_max,
        out,
        Rejection::BadGzip,
    )
}

/// Inflates a payload onto the end of `out`. The HEP 3 specification says "gzip/inflate"
/// and agents send zlib streams, so zlib, gzip and raw deflate are taken.
///
/// # Errors
/// It is none of these, or gives more than `bytes_max`.
pub(crate) fn payload(bytes: &[u8], bytes_max: usize, out: &mut Vec<u8>) -> Result<(), Rejection> {
    const BAD: Rejection = Rejection::BadCompressedPayload;
    if bytes.starts_with(&GZIP_MAGIC) {
        return read(MultiGzDecoder::new(bytes), bytes_max, out, BAD);
    }
    let start = out.len();
    match read(ZlibDecoder::new(bytes), bytes_max, out, BAD) {
        Err(BAD) => {
            out.truncate(start);
            read(DeflateDecoder::new(bytes), bytes_max, out, BAD)
        }
        done => done,
    }
}

fn read(
    decoder: impl Read,
    bytes_max: usize,
    out: &mut Vec<u8>,
    bad: Rejection,
) -> Result<(), Rejection> {
    match decoder.take(bytes_max as u64 + 1).read_to_end(out) {
        Ok(length) if length > bytes_max => Err(Rejection::InflatesTooFar),
        Ok(_) => Ok(()),
        Err(_) => Err(bad),
    }
}
