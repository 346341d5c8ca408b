//! Data files: the one home of parquet in the host.
//!
//! ```text
//!  values, column by column ─▶ column chunks ─▶ row group ─▶ file
//! ```
//!
//! One writer for each table and date. Rows are encoded as they come, so what waits in
//! memory is compressed; sealing a writer gives the bytes of a Parquet file.
//!
//! The chunks are written by ourselves: values are copied once, from where they were
//! received to the page that is compressed, and text that has to be made is made there.
//! Parquet's own writer would have them as Arrow arrays first. The frame around them (page
//! headers, footer, bloom filters) is the parquet crate's.

mod bounds;
mod chunk;
mod codec;
mod dictionary;
mod hybrid;
mod levels;
mod schema;
mod spare;

#[cfg(test)]
mod tests;

use self::{
    chunk::{ChunkOptions, ColumnChunk, PageCodec},
    codec::Codec,
    spare::Spare,
};
use crate::{configuration::Compression, rows::TableRows};
use bytes::Bytes;
use heplake_format::{Column, ColumnType, ComponentDigest, EdgeName, Sequence, Table};
use parquet::{
    errors::ParquetError,
    file::{
        metadata::KeyValue,
        properties::{WriterProperties, WriterPropertiesPtr},
        writer::SerializedFileWriter,
    },
    schema::types::TypePtr,
};
use std::sync::Arc;

/// Rows of a row group, as the storage layout says.
const ROW_GROUP_ROWS_MAX: usize = 100_000;
/// Bytes of a row group: what a reader has to hold of it.
const ROW_GROUP_BYTES_MAX: usize = 128 << 20;
/// Bytes after which a file is full: the storage layout aims at 128 to 256 MiB.
pub const FILE_BYTES_MAX: usize = 256 << 20;
/// Columns that are asked for by equality: a bloom filter tells that a row group has none.
const BLOOM_FILTERED: [&str; 4] = ["session_id", "cid", "caller", "callee"];
/// Columns whose values hardly repeat: a dictionary would be built for nothing.
const WITHOUT_DICTIONARY: [&str; 4] = ["uuid", "timestamp", "payload", "data_extra"];

/// Why rows could not be written: only a fault of this program, or no memory.
#[derive(Debug, thiserror::Error)]
#[error("rows of {table} could not be encoded: {source}")]
pub struct DataFileError {
    table: String,
    source: ParquetError,
}

/// Rows of one table and date on their way to a file, and to the file after it: memory that
/// has been written to is kept, since what the kernel takes to hand out new memory is a
/// tenth of what a row costs.
pub struct DataFileWriter {
    table: Table,
    schema: TypePtr,
    properties: WriterPropertiesPtr,
    columns: Vec<ColumnChunk>,
    codec: PageCodec,
    /// Begun with its first row group.
    file: Option<SerializedFileWriter<Vec<u8>>>,
    spare: Spare,
    group_rows: usize,
    record_count: u64,
}

/// All rows of a file, encoded; only what its footer says is missing.
pub(crate) struct EndedFile {
    table: Table,
    file: SerializedFileWriter<Vec<u8>>,
    record_count: u64,
}

/// A whole Parquet file in memory.
#[derive(Debug)]
pub struct SealedFile {
    /// Its bytes. Once nobody has them any more, their memory is the writer's again.
    pub bytes: Bytes,
    /// Its rows.
    pub record_count: u64,
}

impl DataFileWriter {
    /// Starts a file for rows of a table.
    ///
    /// # Errors
    /// Only if the table makes no schema, which a table always does.
    pub fn new(table: &Table, compression: Compression) -> Result<Self, DataFileError> {
        Self::start(table, compression).map_err(|source| failed(table, source))
    }

    fn start(table: &Table, compression: Compression) -> Result<Self, ParquetError> {
        let stored: Vec<&Column> = table
            .columns
            .iter()
            .filter(|c| c.column_type != ColumnType::Date)
            .collect();
        let schema = schema::of(&stored)?;
        let properties = WriterProperties::builder()
            .set_created_by(concat!("heplake ", env!("CARGO_PKG_VERSION")).into())
            .set_offset_index_disabled(true);
        let columns = stored.iter().enumerate().map(|(index, column)| {
            let name = column.name.as_str();
            let options = ChunkOptions {
                column_type: column.column_type,
                dictionary: !WITHOUT_DICTIONARY.contains(&name)
                    && column.column_type != ColumnType::Blob,
                bloom_filter: BLOOM_FILTERED.contains(&name),
                compression: Codec::named(compression),
                rows_max: ROW_GROUP_ROWS_MAX,
            };
            ColumnChunk::new(schema.column(index), options)
        });
        Ok(Self {
            table: table.clone(),
            columns: columns.collect(),
            schema: schema.root_schema_ptr(),
            properties: Arc::new(properties.build()),
            codec: PageCodec::new(Codec::new(compression)?),
            file: None,
            spare: Spare::default(),
            group_rows: 0,
            record_count: 0,
        })
    }

    /// The table.
    #[must_use]
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// Rows of the file so far.
    #[must_use]
    pub fn record_count(&self) -> u64 {
        self.record_count
    }

    /// Whether the file has the size that it should have.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.size_bytes() >= FILE_BYTES_MAX
    }

    /// Bytes that it holds, encoded.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        let written = self.file.as_ref().map_or(0, |file| file.bytes_written());
        written + self.group_bytes()
    }

    fn group_bytes(&self) -> usize {
        self.columns.iter().map(ColumnChunk::size_bytes).sum()
    }

    /// Encodes rows of the table.
    ///
    /// # Errors
    /// Only a fault of this program.
    pub fn write(&mut self, rows: &TableRows<'_>) -> Result<(), DataFileError> {
        let is_full = self.group_rows + rows.len() > ROW_GROUP_ROWS_MAX
            || self.group_bytes() >= ROW_GROUP_BYTES_MAX;
        let written = match is_full {
            true => self.end_group(|| {}).and_then(|()| self.encode(rows)),
            false => self.encode(rows),
        };
        written.map_err(|source| failed(&self.table, source))
    }

    fn encode(&mut self, rows: &TableRows<'_>) -> Result<(), ParquetError> {
        for index in 0..self.columns.len() {
            let (before, from) = self.columns.split_at_mut(index);
            let Some(column) = from.first_mut() else {
                break;
            };
            let like = rows.like(index).and_then(|like| before.get(like));
            let mut filling = column.filling(&mut self.codec, like, rows.len());
            rows.fill(index, &mut filling);
            filling.end()?;
        }
        self.group_rows += rows.len();
        self.record_count += rows.len() as u64;
        Ok(())
    }

    /// Ends the row group, if it has any row.
    /// Ends a row group; does what else is to be done after each column.
    fn end_group(&mut self, mut meanwhile: impl FnMut()) -> Result<(), ParquetError> {
        if self.group_rows == 0 {
            return Ok(());
        }
        let mut file = self.take_file()?;
        let mut group = file.next_row_group()?;
        for column in &mut self.columns {
            column.close(&mut self.codec, |pages, close| {
                group.append_column(pages, close)
            })?;
            meanwhile();
        }
        group.close()?;
        self.file = Some(file);
        self.group_rows = 0;
        Ok(())
    }

    /// The file that is open, or one that is begun.
    fn take_file(&mut self) -> Result<SerializedFileWriter<Vec<u8>>, ParquetError> {
        match self.file.take() {
            Some(file) => Ok(file),
            None => SerializedFileWriter::new(
                self.spare.take(),
                self.schema.clone(),
                self.properties.clone(),
            ),
        }
    }

    /// Ends the file, says in it who made it, and begins the next. That may take as long as a
    /// dozen batches: `meanwhile` is called now and then.
    ///
    /// # Errors
    /// Only a fault of this program.
    pub fn seal(
        &mut self,
        edge: &EdgeName,
        sequence: Sequence,
        components: &[ComponentDigest],
        meanwhile: impl FnMut(),
    ) -> Result<SealedFile, DataFileError> {
        self.end_file(says(edge, sequence, components), meanwhile)
            .map_err(|source| failed(&self.table, source))
    }

    fn end_file(
        &mut self,
        says: Says,
        meanwhile: impl FnMut(),
    ) -> Result<SealedFile, ParquetError> {
        self.end_group(meanwhile)?;
        let file = self.take_file()?;
        Ok(SealedFile {
            bytes: self.spare.lend(finish(file, says)?),
            record_count: std::mem::take(&mut self.record_count),
        })
    }

    /// Encodes all rows of the file, and leaves nothing but their bytes: a file that gets no
    /// more rows before it is sealed does not need what a writer has.
    ///
    /// # Errors
    /// Only a fault of this program.
    pub(crate) fn end(mut self) -> Result<EndedFile, DataFileError> {
        let file = self.end_group(|| {}).and_then(|()| self.take_file());
        Ok(EndedFile {
            file: file.map_err(|source| failed(&self.table, source))?,
            table: self.table,
            record_count: self.record_count,
        })
    }
}

impl EndedFile {
    /// The table.
    pub(crate) fn table(&self) -> &Table {
        &self.table
    }

    /// Bytes that it holds.
    pub(crate) fn size_bytes(&self) -> usize {
        self.file.bytes_written()
    }

    /// Ends the file, and says in it who made it.
    ///
    /// # Errors
    /// Only a fault of this program.
    pub(crate) fn seal(
        self,
        edge: &EdgeName,
        sequence: Sequence,
        components: &[ComponentDigest],
    ) -> Result<SealedFile, DataFileError> {
        let bytes = finish(self.file, says(edge, sequence, components));
        Ok(SealedFile {
            bytes: bytes.map_err(|source| failed(&self.table, source))?.into(),
            record_count: self.record_count,
        })
    }
}

/// What a footer says of where the file is from.
type Says = [(&'static str, String); 3];

fn says(edge: &EdgeName, sequence: Sequence, components: &[ComponentDigest]) -> Says {
    let made_by: Vec<String> = components
        .iter()
        .map(|c| format!("{}@{} sha256:{}", c.name, c.version, c.digest))
        .collect();
    [
        ("heplake.edge", edge.to_string()),
        ("heplake.sequence", sequence.0.to_string()),
        ("heplake.components", made_by.join("\n")),
    ]
}

fn finish(mut file: SerializedFileWriter<Vec<u8>>, says: Says) -> Result<Vec<u8>, ParquetError> {
    for (key, value) in says {
        file.append_key_value_metadata(KeyValue::new(key.into(), value));
    }
    file.into_inner()
}

fn failed(table: &Table, source: ParquetError) -> DataFileError {
    DataFileError {
        table: table.name.to_string(),
        source,
    }
}
