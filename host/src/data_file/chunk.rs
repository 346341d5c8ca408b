//! A column of a row group: values become pages, and pages a column chunk.
//!
//! ```text
//!  values ─┬─▶ dictionary ─▶ indices ─┬─▶ page ─▶ codec ─▶ pages so far ─▶ column chunk
//!          └─▶ plain ─────────────────┘
//! ```
//!
//! Source: the Apache Parquet format, "Data Pages" (version 1: what every reader takes) and
//! "Encodings" (PLAIN = 0, RLE_DICTIONARY = 8).

use super::{
    bounds::{Bounds, Order},
    codec::Codec,
    dictionary::{Dictionary, short_key},
    hybrid,
    levels::Levels,
};
use crate::rows::Values;
use bytes::Bytes;
use heplake_format::ColumnType;
use parquet::{
    basic::{Compression, Encoding, PageType},
    bloom_filter::Sbbf,
    column::{
        page::{CompressedPage, Page, PageWriter as _},
        writer::ColumnCloseResult,
    },
    errors::ParquetError,
    file::{
        metadata::{ColumnChunkMetaData, PageEncodingStats},
        reader::{ChunkReader, Length},
        writer::{SerializedPageWriter, TrackedWrite},
    },
    schema::types::ColumnDescPtr,
};
use std::io::{Chain, Read as _};

/// Bytes after which a page of plain values is full. It is compressed while it is still in
/// the second-level cache; Snappy sees no further than 64 KiB anyway.
const PAGE_BYTES_MAX: usize = 128 << 10;
/// Values after which a page of indices is full.
const PAGE_INDICES_MAX: usize = 20_000;
/// Bytes of a dictionary. What a reader has to hold to read anything of the chunk.
const DICTIONARY_BYTES_MAX: usize = 1 << 20;
/// Values after which a dictionary has to have proved its worth.
const DICTIONARY_TRIAL: usize = 4096;
/// Room in front of a page's plain values for its levels, where none of them is null: four
/// octets of length, up to five of a count, one of a level.
const LEVELS_ROOM: usize = 16;
/// One in a hundred row groups is read for nothing; halving that doubles the filter.
const BLOOM_FALSE_POSITIVES: f64 = 0.01;

/// How a column is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ChunkOptions {
    pub(super) column_type: ColumnType,
    /// Whether values are looked for in a dictionary first.
    pub(super) dictionary: bool,
    /// Whether a filter tells which values the chunk does not hold.
    pub(super) bloom_filter: bool,
    pub(super) compression: Compression,
    /// Most values that there can be.
    pub(super) rows_max: usize,
}

/// Values of a column on their way to a column chunk.
pub(super) struct ColumnChunk {
    descriptor: ColumnDescPtr,
    options: ChunkOptions,
    width: Width,
    /// Values of the page in the making: their places in the dictionary, or the values
    /// themselves behind [`LEVELS_ROOM`].
    levels: Levels,
    indices: Vec<u32>,
    /// Where the indices of the last rows begin.
    last_from: usize,
    /// By the index of a value of the column that this one is like, its index here.
    like: Vec<u32>,
    plain: Vec<u8>,
    by_index: bool,
    dictionary: Option<Dictionary>,
    bounds: Bounds,
    /// Of all values, once they are not in the dictionary alone.
    filter: Option<Sbbf>,
    pages: TrackedWrite<Vec<u8>>,
    count: Counts,
}

/// Octets of a plain value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Width {
    Text,
    Four,
    Eight,
}

/// What the footer says of a chunk.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    values: usize,
    nulls: usize,
    uncompressed_bytes: usize,
    indexed_pages: i32,
    plain_pages: i32,
}

impl ColumnChunk {
    /// An empty one.
    pub(super) fn new(descriptor: ColumnDescPtr, options: ChunkOptions) -> Self {
        let (width, order) = match options.column_type {
            ColumnType::Varchar | ColumnType::Json => (Width::Text, Order::Text { utf8: true }),
            ColumnType::Blob => (Width::Text, Order::Text { utf8: false }),
            ColumnType::UInteger | ColumnType::Date => (Width::Four, Order::Unsigned32),
            ColumnType::UBigInt => (Width::Eight, Order::Unsigned64),
            ColumnType::BigInt | ColumnType::Timestamp => (Width::Eight, Order::Signed64),
            ColumnType::Double => (Width::Eight, Order::Double),
        };
        Self {
            descriptor,
            options,
            width,
            levels: Levels::default(),
            indices: Vec::new(),
            last_from: 0,
            like: Vec::new(),
            plain: vec![0; LEVELS_ROOM],
            by_index: options.dictionary,
            dictionary: options
                .dictionary
                .then(|| Dictionary::new(width == Width::Text)),
            bounds: Bounds::new(order),
            filter: None,
            pages: TrackedWrite::new(Vec::new()),
            count: Counts::default(),
        }
    }

    /// Bytes that it holds.
    pub(super) fn size_bytes(&self) -> usize {
        let dictionary = self.dictionary.as_ref();
        self.pages.bytes_written()
            + self.plain.len()
            + self.indices.len() * size_of::<u32>()
            + dictionary.map_or(0, |dictionary| dictionary.plain().len())
    }

    /// Where the values of so many rows are put. `like` is the column that it may have values
    /// in common with, which has its own of these rows.
    pub(super) fn filling<'a>(
        &'a mut self,
        codec: &'a mut PageCodec,
        like: Option<&'a Self>,
        rows: usize,
    ) -> Filling<'a> {
        self.last_from = self.indices.len();
        Filling {
            chunk: self,
            codec,
            like: like.map_or(&[], |like| like.last_indices(rows)),
            failed: None,
        }
    }

    /// The indices of the last rows, if all of them have one and stand in one page.
    fn last_indices(&self, rows: usize) -> &[u32] {
        let last = self.indices.get(self.last_from..);
        last.filter(|last| self.by_index && last.len() == rows)
            .unwrap_or_default()
    }

    /// Ends the chunk, hands it to `append`, and begins the next in the same memory.
    ///
    /// # Errors
    /// Only a fault of this program.
    pub(super) fn close(
        &mut self,
        codec: &mut PageCodec,
        append: impl FnOnce(&ClosedPages<'_>, ColumnCloseResult) -> Result<(), ParquetError>,
    ) -> Result<(), ParquetError> {
        self.end_page(codec)?;
        let mut dictionary_page = Vec::new();
        if self.count.indexed_pages > 0 {
            dictionary_page = self.dictionary_page(codec)?;
        }
        let pages = std::mem::replace(&mut self.pages, TrackedWrite::new(Vec::new()));
        let mut pages = pages.into_inner()?;
        let closed = ClosedPages {
            dictionary: &dictionary_page,
            data: &pages,
        };
        let filter = self.bloom_filter()?;
        let count = std::mem::take(&mut self.count);
        let mut encodings = vec![Encoding::PLAIN, Encoding::RLE];
        let mut stats = Vec::new();
        let mut page_stats = |page_type, encoding, count| {
            stats.push(PageEncodingStats {
                page_type,
                encoding,
                count,
            });
        };
        if count.indexed_pages > 0 {
            encodings.push(Encoding::RLE_DICTIONARY);
            page_stats(PageType::DICTIONARY_PAGE, Encoding::PLAIN, 1);
            page_stats(
                PageType::DATA_PAGE,
                Encoding::RLE_DICTIONARY,
                count.indexed_pages,
            );
        }
        if count.plain_pages > 0 {
            page_stats(PageType::DATA_PAGE, Encoding::PLAIN, count.plain_pages);
        }
        let metadata = ColumnChunkMetaData::builder(self.descriptor.clone())
            .set_compression(self.options.compression)
            .set_encodings(encodings)
            .set_page_encoding_stats(stats)
            .set_num_values(count.values as i64)
            .set_total_compressed_size(closed.len() as i64)
            .set_total_uncompressed_size(count.uncompressed_bytes as i64)
            .set_dictionary_page_offset((count.indexed_pages > 0).then_some(0))
            .set_data_page_offset(dictionary_page.len() as i64)
            .set_statistics(self.bounds.statistics(count.nulls))
            .build()?;
        let close = ColumnCloseResult {
            bytes_written: closed.len(),
            rows_written: count.values as u64,
            metadata,
            bloom_filter: filter,
            column_index: None,
            offset_index: None,
        };
        append(&closed, close)?;
        pages.clear();
        self.pages = TrackedWrite::new(pages);
        self.by_index = self.options.dictionary;
        self.like.clear();
        if let Some(dictionary) = &mut self.dictionary {
            dictionary.clear();
        }
        self.bounds.clear();
        Ok(())
    }

    fn dictionary_page(&mut self, codec: &mut PageCodec) -> Result<Vec<u8>, ParquetError> {
        let Some(dictionary) = &self.dictionary else {
            return Ok(Vec::new());
        };
        let page = dictionary.plain();
        let buf = codec.compress(page)?;
        let dictionary_page = Page::DictionaryPage {
            buf,
            num_values: dictionary.len() as u32,
            encoding: Encoding::PLAIN,
            is_sorted: false,
        };
        let mut sink = TrackedWrite::new(Vec::new());
        let written = SerializedPageWriter::new(&mut sink)
            .write_page(CompressedPage::new(dictionary_page, page.len()))?;
        self.count.uncompressed_bytes += written.uncompressed_size;
        sink.into_inner()
    }

    /// The filter of all values, no larger than they need.
    fn bloom_filter(&mut self) -> Result<Option<Sbbf>, ParquetError> {
        if !self.options.bloom_filter {
            return Ok(None);
        }
        if let Some(mut filter) = self.filter.take() {
            filter.fold_to_target_fpp(BLOOM_FALSE_POSITIVES);
            return Ok(Some(filter));
        }
        let distinct = self.dictionary.as_ref().map_or(0, Dictionary::len);
        self.filter_of_dictionary(distinct.max(1)).map(Some)
    }

    /// A filter with room for so many values, and those of the dictionary in it.
    fn filter_of_dictionary(&self, values: usize) -> Result<Sbbf, ParquetError> {
        let mut filter = Sbbf::new_with_ndv_fpp(values as u64, BLOOM_FALSE_POSITIVES)?;
        for value in self.dictionary.iter().flat_map(Dictionary::values) {
            filter.insert(value);
        }
        Ok(filter)
    }

    /// Whether the dictionary has grown too large, or its values hardly repeat.
    fn dictionary_is_full(&self) -> bool {
        self.dictionary.as_ref().is_some_and(|dictionary| {
            let values = self.count.values + self.levels.count();
            dictionary.plain().len() > DICTIONARY_BYTES_MAX
                || (values > DICTIONARY_TRIAL && dictionary.len() > values / 2)
        })
    }

    /// From here on values are written plain.
    fn retire_dictionary(&mut self, codec: &mut PageCodec) -> Result<(), ParquetError> {
        self.end_page(codec)?;
        self.by_index = false;
        if self.options.bloom_filter {
            self.filter = Some(self.filter_of_dictionary(self.options.rows_max)?);
        }
        Ok(())
    }

    /// Compresses the page in the making, if there is one.
    fn end_page(&mut self, codec: &mut PageCodec) -> Result<(), ParquetError> {
        if self.levels.count() == 0 {
            return Ok(());
        }
        let mut levels = std::mem::take(&mut codec.levels);
        levels.clear();
        self.levels.encode(&mut levels);
        let mut page = std::mem::take(&mut codec.page);
        page.clear();
        let encoding = if self.by_index {
            let width = self.dictionary.as_ref().map_or(1, Dictionary::index_width);
            page.extend_from_slice(&levels);
            page.push(width as u8);
            hybrid::encode(&self.indices, width, &mut page);
            self.count.indexed_pages += 1;
            Encoding::RLE_DICTIONARY
        } else {
            self.count.plain_pages += 1;
            Encoding::PLAIN
        };
        let whole: &[u8] = if self.by_index {
            &page
        } else if let Some(begin) = LEVELS_ROOM.checked_sub(levels.len()) {
            // Nothing is moved: the levels go to the room in front of the values.
            self.plain[begin..LEVELS_ROOM].copy_from_slice(&levels);
            &self.plain[begin..]
        } else {
            page.extend_from_slice(&levels);
            page.extend_from_slice(&self.plain[LEVELS_ROOM..]);
            &page
        };
        let data_page = Page::DataPage {
            buf: codec.compress(whole)?,
            num_values: self.levels.count() as u32,
            encoding,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        };
        let written = SerializedPageWriter::new(&mut self.pages)
            .write_page(CompressedPage::new(data_page, whole.len()))?;
        self.count.uncompressed_bytes += written.uncompressed_size;
        self.count.values += self.levels.count();
        self.count.nulls += self.levels.null_count();
        self.levels.clear();
        self.indices.clear();
        self.plain.truncate(LEVELS_ROOM);
        codec.levels = levels;
        codec.page = page;
        Ok(())
    }
}

/// The pages of a column chunk that is at its end.
pub(super) struct ClosedPages<'a> {
    dictionary: &'a [u8],
    data: &'a [u8],
}

impl<'a> ClosedPages<'a> {
    fn rest(&self, start: u64) -> (&'a [u8], &'a [u8]) {
        let start = usize::try_from(start).unwrap_or(usize::MAX);
        let in_data = start.saturating_sub(self.dictionary.len());
        (
            self.dictionary.get(start..).unwrap_or_default(),
            self.data.get(in_data..).unwrap_or_default(),
        )
    }
}

impl Length for ClosedPages<'_> {
    fn len(&self) -> u64 {
        (self.dictionary.len() + self.data.len()) as u64
    }
}

impl<'a> ChunkReader for ClosedPages<'a> {
    type T = Chain<&'a [u8], &'a [u8]>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        let (dictionary, data) = self.rest(start);
        Ok(dictionary.chain(data))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let mut bytes = Vec::new();
        let mut rest = self.get_read(start)?.take(length as u64);
        rest.read_to_end(&mut bytes)?;
        Ok(bytes.into())
    }
}

/// What all columns of a file compress their pages with.
pub(super) struct PageCodec {
    codec: Codec,
    levels: Vec<u8>,
    page: Vec<u8>,
    compressed: Vec<u8>,
}

impl PageCodec {
    pub(super) fn new(codec: Codec) -> Self {
        Self {
            codec,
            levels: Vec::new(),
            page: Vec::new(),
            compressed: Vec::new(),
        }
    }

    fn compress(&mut self, page: &[u8]) -> Result<Bytes, ParquetError> {
        let length = self.codec.compress(page, &mut self.compressed)?;
        Ok(Bytes::copy_from_slice(
            self.compressed.get(..length).unwrap_or_default(),
        ))
    }
}

/// Not the index of a value: a dictionary has fewer.
const NO_INDEX: u32 = u32::MAX;

/// A column chunk while values are put into it.
pub(super) struct Filling<'a> {
    chunk: &'a mut ColumnChunk,
    codec: &'a mut PageCodec,
    /// For each row, the index of the value in the column that this one is like.
    like: &'a [u32],
    failed: Option<ParquetError>,
}

impl Filling<'_> {
    /// Ends it.
    ///
    /// # Errors
    /// The first that a page failed with.
    pub(super) fn end(self) -> Result<(), ParquetError> {
        self.failed.map_or(Ok(()), Err)
    }

    /// A value that the dictionary has, or takes.
    #[inline]
    fn index(&mut self, index: u32, is_new: bool) {
        self.chunk.indices.push(index);
        if is_new || self.chunk.indices.len() >= PAGE_INDICES_MAX {
            self.indexed(index, is_new);
        }
    }

    fn indexed(&mut self, index: u32, is_new: bool) {
        let chunk = &mut *self.chunk;
        if is_new && let Some(dictionary) = &chunk.dictionary {
            let value = dictionary.value(index);
            match chunk.width {
                Width::Text => chunk.bounds.text(value),
                Width::Four | Width::Eight => chunk.bounds.number(little_endian(value)),
            }
        }
        if is_new && chunk.dictionary_is_full() {
            let retired = chunk.retire_dictionary(self.codec);
            self.note(retired);
        } else if chunk.indices.len() >= PAGE_INDICES_MAX {
            let ended = chunk.end_page(self.codec);
            self.note(ended);
        }
    }

    /// A plain text has been put at the end, behind its length.
    #[inline]
    fn plain_text(&mut self, begin: usize) {
        let chunk = &mut *self.chunk;
        let value = &chunk.plain[begin..];
        chunk.bounds.text(value);
        if let Some(filter) = &mut chunk.filter {
            filter.insert(value);
        }
        self.plain();
    }

    #[inline]
    fn plain(&mut self) {
        if self.chunk.plain.len() >= PAGE_BYTES_MAX {
            let ended = self.chunk.end_page(self.codec);
            self.note(ended);
        }
    }

    fn note(&mut self, result: Result<(), ParquetError>) {
        if let Err(error) = result {
            self.failed.get_or_insert(error);
        }
    }

    /// The place of a value, by the key that determines it if it is short.
    #[inline]
    fn place(&mut self, key: Option<u64>, write: impl FnOnce(&mut Vec<u8>)) {
        let Some(dictionary) = &mut self.chunk.dictionary else {
            return;
        };
        let mut is_new = false;
        let known = key.and_then(|key| dictionary.recent(key));
        let index = known.unwrap_or_else(|| {
            let value = &mut self.codec.page;
            value.clear();
            write(value);
            let place = dictionary.place(value);
            if let Some(key) = key {
                dictionary.remember(key, place.index);
            }
            is_new = place.is_new;
            place.index
        });
        self.index(index, is_new);
    }
}

impl Values for Filling<'_> {
    fn null(&mut self) {
        self.chunk.levels.null();
    }

    #[inline]
    fn number(&mut self, number: u64) {
        self.chunk.levels.present();
        let octets = number.to_le_bytes();
        let octets = match self.chunk.width {
            Width::Four => &octets[..4],
            Width::Eight | Width::Text => &octets[..],
        };
        if self.chunk.by_index {
            self.place(Some(number), |value| value.extend_from_slice(octets));
        } else {
            self.chunk.bounds.number(number);
            self.chunk.plain.extend_from_slice(octets);
            self.plain();
        }
    }

    #[inline]
    fn bytes(&mut self, bytes: &[u8]) {
        self.chunk.levels.present();
        if self.chunk.by_index {
            match (short_key(bytes), &mut self.chunk.dictionary) {
                (None, Some(dictionary)) => {
                    let place = dictionary.place(bytes);
                    self.index(place.index, place.is_new);
                }
                (key, _) => self.place(key, |value| value.extend_from_slice(bytes)),
            }
        } else {
            let plain = &mut self.chunk.plain;
            plain.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
            let begin = plain.len();
            plain.extend_from_slice(bytes);
            self.plain_text(begin);
        }
    }

    #[inline]
    fn like(&mut self, row: usize, bytes: &[u8]) {
        let chunk = &mut *self.chunk;
        let (Some(&other), Some(dictionary)) = (self.like.get(row), &mut chunk.dictionary) else {
            return self.bytes(bytes);
        };
        if !chunk.by_index {
            return self.bytes(bytes);
        }
        chunk.levels.present();
        let other = other as usize;
        if let Some(&index) = chunk.like.get(other)
            && index != NO_INDEX
        {
            return self.index(index, false);
        }
        let place = dictionary.place(bytes);
        if other >= chunk.like.len() {
            chunk.like.resize(other + 1, NO_INDEX);
        }
        chunk.like[other] = place.index;
        self.index(place.index, place.is_new);
    }

    #[inline]
    fn made(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        self.chunk.levels.present();
        if self.chunk.by_index {
            self.place(None, write);
        } else {
            let plain = &mut self.chunk.plain;
            let length_at = plain.len();
            plain.extend_from_slice(&[0; 4]);
            let begin = plain.len();
            write(plain);
            let length = (plain.len() - begin) as u32;
            plain[length_at..begin].copy_from_slice(&length.to_le_bytes());
            self.plain_text(begin);
        }
    }

    #[inline]
    fn keyed(&mut self, key: u32, write: impl FnOnce(&mut Vec<u8>)) {
        if self.chunk.by_index {
            self.chunk.levels.present();
            // No length of a short value is 255: these keys are apart from those.
            self.place(Some(u64::from(key) | 0xff << 56), write);
        } else {
            self.made(write);
        }
    }
}

/// A number of up to eight octets.
fn little_endian(octets: &[u8]) -> u64 {
    octets
        .iter()
        .rev()
        .fold(0, |number, octet| number << 8 | u64::from(*octet))
}
