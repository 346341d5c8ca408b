//! Compression of pages.

use crate::configuration::Compression as Setting;
use parquet::{
    basic::{Compression, ZstdLevel},
    errors::ParquetError,
};

/// Compresses pages, and keeps what it needs for the next.
pub(super) enum Codec {
    /// Snappy.
    Snappy(Box<snap::raw::Encoder>),
    /// Zstandard, at its own default level.
    Zstd(zstd::bulk::Compressor<'static>),
}

impl Codec {
    /// The codec of a setting.
    ///
    /// # Errors
    /// No memory.
    pub(super) fn new(setting: Setting) -> Result<Self, ParquetError> {
        Ok(match setting {
            Setting::Snappy => Self::Snappy(Box::new(snap::raw::Encoder::new())),
            Setting::Zstd => {
                let level = ZstdLevel::default().compression_level();
                let compressor = zstd::bulk::Compressor::new(level);
                Self::Zstd(compressor.map_err(|error| ParquetError::External(error.into()))?)
            }
        })
    }

    /// Its name in a footer.
    pub(super) fn named(setting: Setting) -> Compression {
        match setting {
            Setting::Snappy => Compression::SNAPPY,
            Setting::Zstd => Compression::ZSTD(ZstdLevel::default()),
        }
    }

    /// Compresses `page` to the beginning of `out`, whose length only ever grows, and says
    /// how long it is then.
    ///
    /// # Errors
    /// Only a fault of this program: there is room for whatever a page is compressed to.
    pub(super) fn compress(
        &mut self,
        page: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<usize, ParquetError> {
        let most = match self {
            Self::Snappy(_) => snap::raw::max_compress_len(page.len()),
            Self::Zstd(_) => zstd::zstd_safe::compress_bound(page.len()),
        };
        if out.len() < most {
            out.resize(most, 0);
        }
        match self {
            Self::Snappy(encoder) => {
                let compressed = encoder.compress(page, out);
                compressed.map_err(|error| ParquetError::External(error.into()))
            }
            Self::Zstd(compressor) => {
                let compressed = compressor.compress_to_buffer(page, out.as_mut_slice());
                compressed.map_err(|error| ParquetError::External(error.into()))
            }
        }
    }
}
