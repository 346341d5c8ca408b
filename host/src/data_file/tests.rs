//! What is written is what Parquet's own reader reads, and the footer says so.

use super::*;
use crate::rows::Values as _;
use arrow::{
    array::{Array as _, AsArray as _, RecordBatch},
    datatypes::{Float64Type, Int64Type, TimestampMicrosecondType, UInt32Type, UInt64Type},
};
use bytes::Bytes;
use parquet::{
    arrow::arrow_reader::ParquetRecordBatchReaderBuilder,
    basic::Encoding,
    file::{
        metadata::ParquetMetaData,
        reader::{FileReader as _, SerializedFileReader},
    },
};
use proptest::prelude::*;
use std::ops::Range;

/// A value of a column as the test knows it.
#[derive(Clone, Debug, PartialEq)]
enum Value {
    Null,
    Number(u64),
    Text(Vec<u8>),
    /// Made in place.
    Made(Vec<u8>),
    /// Four octets as text.
    Keyed(u32),
    /// Text that the column `session_id` has in the same row.
    Like(Vec<u8>),
}

impl Value {
    fn text(&self) -> Option<Vec<u8>> {
        match self {
            Self::Null | Self::Number(_) => None,
            Self::Text(text) | Self::Made(text) | Self::Like(text) => Some(text.clone()),
            Self::Keyed(key) => Some(key.to_string().into_bytes()),
        }
    }
}

/// Columns of text that are written by index.
const INDEXED: [usize; 2] = [2, 8];
const TYPES: [(&str, ColumnType); 10] = [
    ("uuid", ColumnType::Varchar),
    ("timestamp", ColumnType::Timestamp),
    ("session_id", ColumnType::Varchar),
    ("src_port", ColumnType::UInteger),
    ("large", ColumnType::UBigInt),
    ("real", ColumnType::Double),
    ("payload", ColumnType::Blob),
    ("data_extra", ColumnType::Json),
    ("cid", ColumnType::Varchar),
    ("lost", ColumnType::BigInt),
];

fn table() -> Table {
    let column = |(name, column_type): (&str, ColumnType)| Column {
        name: name.parse().unwrap(),
        column_type,
    };
    Table {
        name: "of_a_test".parse().unwrap(),
        columns: TYPES.map(column).into(),
    }
}

/// Rows that are handed to a writer at once.
const BATCH: usize = 700;

/// Writes columns in row groups of so many rows, and seals the file.
fn file(columns: &[Vec<Value>], compression: Compression, group: usize) -> Bytes {
    let mut writer = DataFileWriter::new(&table(), compression).unwrap();
    write(&mut writer, columns, group);
    let edge = "here".parse().unwrap();
    writer
        .seal(&edge, Sequence::FIRST, &[], || {})
        .unwrap()
        .bytes
}

fn write(writer: &mut DataFileWriter, columns: &[Vec<Value>], group: usize) {
    let rows = columns[0].len();
    for from in (0..rows).step_by(group.max(1)) {
        let until = (from + group).min(rows);
        for from in (from..until).step_by(BATCH) {
            write_batch(writer, columns, from..until.min(from + BATCH));
        }
        writer.end_group(|| {}).unwrap();
    }
}

fn write_batch(writer: &mut DataFileWriter, columns: &[Vec<Value>], rows: Range<usize>) {
    for (index, values) in columns.iter().enumerate() {
        let (before, chunk) = writer.columns.split_at_mut(index);
        let like = (index == INDEXED[1]).then(|| &before[INDEXED[0]]);
        let mut filling = chunk[0].filling(&mut writer.codec, like, rows.len());
        for (row, value) in values[rows.clone()].iter().enumerate() {
            match value {
                Value::Null => filling.null(),
                Value::Number(number) => filling.number(*number),
                Value::Text(text) => filling.bytes(text),
                Value::Like(text) => filling.like(row, text),
                Value::Made(text) => filling.made(|out| out.extend_from_slice(text)),
                Value::Keyed(key) => filling.keyed(*key, |out| {
                    out.extend_from_slice(key.to_string().as_bytes());
                }),
            }
        }
        filling.end().unwrap();
    }
    writer.group_rows += rows.len();
    writer.record_count += rows.len() as u64;
}

fn read(file: Bytes) -> (RecordBatch, ParquetMetaData) {
    let metadata = SerializedFileReader::new(file.clone())
        .unwrap()
        .metadata()
        .clone();
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
    let schema = reader.schema().clone();
    let rows = usize::try_from(metadata.file_metadata().num_rows()).unwrap();
    let mut batches = reader.with_batch_size(rows.max(1)).build().unwrap();
    let batch = batches
        .next()
        .map_or_else(|| RecordBatch::new_empty(schema), Result::unwrap);
    assert!(batches.next().is_none());
    (batch, metadata)
}

/// Holds what is read against what was written, and the bounds against both.
fn hold(columns: &[Vec<Value>], file: Bytes, group: usize) {
    let (batch, metadata) = read(file);
    assert_eq!(batch.num_rows(), columns[0].len());
    for (index, values) in columns.iter().enumerate() {
        let array = batch.column(index);
        for (row, value) in values.iter().enumerate() {
            if *value == Value::Null {
                assert!(array.is_null(row), "row {row} of {}", TYPES[index].0);
                continue;
            }
            assert!(array.is_valid(row), "row {row} of {}", TYPES[index].0);
            match TYPES[index].1 {
                ColumnType::Varchar | ColumnType::Json => {
                    let text = array.as_string::<i32>().value(row);
                    assert_eq!(Some(text.as_bytes().to_vec()), value.text());
                }
                ColumnType::Blob => {
                    let bytes = array.as_binary::<i32>().value(row);
                    assert_eq!(Some(bytes.to_vec()), value.text());
                }
                other => {
                    let number = match other {
                        ColumnType::UInteger => {
                            array.as_primitive::<UInt32Type>().value(row).into()
                        }
                        ColumnType::UBigInt => array.as_primitive::<UInt64Type>().value(row),
                        ColumnType::BigInt => array.as_primitive::<Int64Type>().value(row) as u64,
                        ColumnType::Double => {
                            array.as_primitive::<Float64Type>().value(row).to_bits()
                        }
                        _ => array.as_primitive::<TimestampMicrosecondType>().value(row) as u64,
                    };
                    assert_eq!(Value::Number(number), *value);
                }
            }
        }
        for (of, chunk) in metadata.row_groups().iter().enumerate() {
            let values = values.chunks(group.max(1)).nth(of).unwrap();
            let column = chunk.column(index);
            let nulls = values.iter().filter(|value| **value == Value::Null).count();
            let statistics = column.statistics().unwrap();
            assert_eq!(statistics.null_count_opt(), Some(nulls as u64));
            assert_eq!(column.num_values(), values.len() as i64);
            let texts = || values.iter().filter_map(Value::text);
            if let (Some(least), Some(min)) = (texts().min(), statistics.min_bytes_opt()) {
                assert!(min <= least.as_slice());
            }
            if let (Some(greatest), Some(max)) = (texts().max(), statistics.max_bytes_opt()) {
                assert!(greatest.as_slice() <= max);
            }
            let filter = column.bloom_filter_offset().is_some();
            assert_eq!(filter, INDEXED.contains(&index));
        }
    }
}

fn texts() -> impl Strategy<Value = Value> {
    let text = "[a-c]{0,9}|[\\x00-\u{10ffff}]{0,20}|[a-z]{60,80}";
    prop_oneof![
        1 => Just(Value::Null),
        4 => text.prop_map(|text| Value::Text(text.into_bytes())),
        2 => text.prop_map(|text| Value::Made(text.into_bytes())),
        2 => (0..300u32).prop_map(Value::Keyed),
    ]
}

fn numbers(most: u64) -> impl Strategy<Value = Value> {
    prop_oneof![
        1 => Just(Value::Null),
        3 => (0..10u64).prop_map(Value::Number),
        3 => (0..=most).prop_map(Value::Number),
    ]
}

fn row() -> impl Strategy<Value = [Value; 10]> {
    let bytes = prop_oneof![
        Just(Value::Null),
        prop::collection::vec(any::<u8>(), 0..80).prop_map(Value::Text),
    ];
    (
        texts(),
        numbers(i64::MAX as u64),
        texts(),
        numbers(u32::MAX.into()),
        numbers(u64::MAX - 1),
        numbers(u64::MAX - 1),
        bytes,
        texts(),
        prop::option::of(texts()),
        numbers(u64::MAX),
    )
        .prop_map(|(a, b, c, d, e, f, g, h, i, j)| {
            let i = i.unwrap_or_else(|| like(&c));
            [a, b, c, d, e, f, g, h, i, j]
        })
}

/// The value of a column that has what `other` is.
fn like(other: &Value) -> Value {
    other.text().map_or(Value::Null, Value::Like)
}

fn columns(rows: &[[Value; 10]]) -> Vec<Vec<Value>> {
    let column = |index: usize| rows.iter().map(|row| row[index].clone()).collect();
    (0..TYPES.len()).map(column).collect()
}

proptest! {
    #[test]
    fn any_values_are_read_as_they_were_written(
        rows in prop::collection::vec(row(), 1..60),
        group in 1..80usize,
        zstd: bool,
    ) {
        let columns = columns(&rows);
        let compression = if zstd { Compression::Zstd } else { Compression::Snappy };
        hold(&columns, file(&columns, compression, group), group);
    }
}

#[test]
fn a_writer_writes_the_next_file_as_it_wrote_the_first() {
    let columns = many(3_000, |row| {
        Value::Text(format!("call-{}@example.net", row / 8).into_bytes())
    });
    let mut writer = DataFileWriter::new(&table(), Compression::Snappy).unwrap();
    let edge = "here".parse().unwrap();
    let mut files = Vec::new();
    for of in 0..3 {
        write(&mut writer, &columns, 2_000);
        let sealed = writer.seal(&edge, Sequence::FIRST, &[], || {}).unwrap();
        assert_eq!(sealed.record_count, 3_000);
        assert_eq!(writer.record_count(), 0);
        hold(&columns, sealed.bytes.clone(), 2_000);
        // The first is still there when the second is written, and gone before the third.
        files.push(sealed.bytes);
        if of == 1 {
            assert!(files.iter().all(|file| *file == files[0]));
            files.clear();
        }
    }
}

/// Many rows, made by a rule: text by `text`, the rest counted.
fn many(rows: usize, text: impl Fn(usize) -> Value) -> Vec<Vec<Value>> {
    let rows: Vec<[Value; 10]> = (0..rows)
        .map(|row| {
            let number = || match row % 7 {
                0 => Value::Null,
                _ => Value::Number(row as u64 % 1000),
            };
            let (a, b, c, d) = (text(row), text(row), text(row), text(row));
            let e = like(&b);
            [
                a,
                number(),
                b,
                number(),
                number(),
                number(),
                c,
                d,
                e,
                number(),
            ]
        })
        .collect();
    columns(&rows)
}

/// The encodings of the data pages of a column's chunks.
fn encodings(file: Bytes, column: &str) -> Vec<Encoding> {
    let reader = SerializedFileReader::new(file).unwrap();
    let index = TYPES.iter().position(|(name, _)| *name == column).unwrap();
    let mut encodings = Vec::new();
    for group in 0..reader.num_row_groups() {
        let pages = reader.get_row_group(group).unwrap();
        for page in pages.get_column_page_reader(index).unwrap() {
            let page = page.unwrap();
            if page.is_data_page() {
                encodings.push(page.encoding());
            }
        }
    }
    encodings.dedup();
    encodings
}

#[test]
fn values_that_repeat_stay_in_the_dictionary_over_many_pages() {
    let columns = many(50_000, |row| {
        Value::Text(format!("call-{}@example.net", row % 500).into_bytes())
    });
    let file = file(&columns, Compression::Snappy, 30_000);
    assert_eq!(
        encodings(file.clone(), "session_id"),
        [Encoding::RLE_DICTIONARY]
    );
    assert_eq!(encodings(file.clone(), "uuid"), [Encoding::PLAIN]);
    hold(&columns, file, 30_000);
}

#[test]
fn values_that_do_not_repeat_leave_the_dictionary_after_a_trial() {
    let columns = many(20_000, |row| {
        Value::Made(format!("call-{row}@example.net").into_bytes())
    });
    let file = file(&columns, Compression::Snappy, 20_000);
    for column in ["session_id", "cid"] {
        assert_eq!(
            encodings(file.clone(), column),
            [Encoding::RLE_DICTIONARY, Encoding::PLAIN]
        );
    }
    hold(&columns, file, 20_000);
}

#[test]
fn a_dictionary_that_grows_too_large_is_left() {
    // Each value twice: they repeat, but there are many, and they are long.
    let columns = many(12_000, |row| {
        Value::Text(format!("{:0400}", row / 2 % 4000).into_bytes())
    });
    let file = file(&columns, Compression::Snappy, 12_000);
    for column in ["session_id", "cid"] {
        assert_eq!(
            encodings(file.clone(), column),
            [Encoding::RLE_DICTIONARY, Encoding::PLAIN]
        );
    }
    hold(&columns, file, 12_000);
}

#[test]
fn a_bloom_filter_has_every_value_and_few_others() {
    for distinct in [3, 100, 20_000] {
        let columns = many(20_000, |row| {
            Value::Text(format!("call-{}", row % distinct).into_bytes())
        });
        let file = file(&columns, Compression::Snappy, 20_000);
        let options = parquet::file::serialized_reader::ReadOptionsBuilder::new()
            .with_reader_properties(
                parquet::file::properties::ReaderProperties::builder()
                    .set_read_bloom_filter(true)
                    .build(),
            )
            .build();
        let reader = SerializedFileReader::new_with_options(file, options).unwrap();
        let group = reader.get_row_group(0).unwrap();
        let filter = group.get_column_bloom_filter(2).unwrap();
        for value in 0..distinct {
            assert!(filter.check(format!("call-{value}").as_str()));
        }
        let false_positives = (0..2000)
            .filter(|value| filter.check(format!("other-{value}").as_str()))
            .count();
        assert!(
            false_positives < 60,
            "{false_positives} of 2000 with {distinct}"
        );
    }
}

#[test]
fn a_column_without_values_has_no_bounds() {
    let columns = many(10, |_| Value::Null);
    let (batch, metadata) = read(file(&columns, Compression::Snappy, 10));
    assert_eq!(batch.column(2).null_count(), 10);
    let statistics = metadata.row_group(0).column(2).statistics().unwrap();
    assert_eq!(statistics.null_count_opt(), Some(10));
    assert_eq!(
        (statistics.min_bytes_opt(), statistics.max_bytes_opt()),
        (None, None)
    );
}
