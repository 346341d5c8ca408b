//! A cell of an answer as JSON.
//!
//! | DuckDB | JSON |
//! |---|---|
//! | integers | a number; beyond ±2^53, where readers would round it, a string |
//! | DECIMAL, HUGEINT, INTERVAL, TIME | a string; HUGEINT a number while it is exact |
//! | DOUBLE, FLOAT | a number; `"NaN"`, `"Infinity"`, `"-Infinity"` |
//! | TIMESTAMP (UTC, as all times of a lake), TIMESTAMPTZ | RFC 3339 with microseconds: `2026-11-22T06:41:03.120000Z` |
//! | DATE | `2026-11-22` |
//! | times beyond the calendar | `infinity`, `-infinity`, `-9223372022400000000 us after 1970-01-01` |
//! | BLOB | Base64 (RFC 4648, section 4) |
//! | JSON | a string that holds JSON, as it was stored |
//! | lists, STRUCT, MAP | arrays, objects, arrays of `{"key", "value"}` |

use arrow::{
    array::{Array, ArrayRef, AsArray},
    datatypes::{
        DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type,
        Int32Type, Int64Type, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
        TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type, UInt32Type,
        UInt64Type,
    },
    util::display::{ArrayFormatter, FormatOptions},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono::DateTime;
use serde_json::{Map, Value, json};

/// The largest number that every reader of JSON has exactly.
const EXACT_MAX: i128 = 1 << 53;

/// The cell of a row, which the array has.
pub(super) fn value(array: &dyn Array, row: usize) -> Value {
    if array.is_null(row) {
        return Value::Null;
    }
    match array.data_type() {
        DataType::Null => Value::Null,
        DataType::Boolean => Value::Bool(array.as_boolean().value(row)),
        DataType::Int8 => array.as_primitive::<Int8Type>().value(row).into(),
        DataType::Int16 => array.as_primitive::<Int16Type>().value(row).into(),
        DataType::Int32 => array.as_primitive::<Int32Type>().value(row).into(),
        DataType::Int64 => integer(array.as_primitive::<Int64Type>().value(row).into()),
        DataType::UInt8 => array.as_primitive::<UInt8Type>().value(row).into(),
        DataType::UInt16 => array.as_primitive::<UInt16Type>().value(row).into(),
        DataType::UInt32 => array.as_primitive::<UInt32Type>().value(row).into(),
        DataType::UInt64 => integer(array.as_primitive::<UInt64Type>().value(row).into()),
        DataType::Decimal128(_, 0) => integer(array.as_primitive::<Decimal128Type>().value(row)),
        DataType::Float32 => float(array.as_primitive::<Float32Type>().value(row).into()),
        DataType::Float64 => float(array.as_primitive::<Float64Type>().value(row)),
        DataType::Utf8 => array.as_string::<i32>().value(row).into(),
        DataType::LargeUtf8 => array.as_string::<i64>().value(row).into(),
        DataType::Utf8View => array.as_string_view().value(row).into(),
        DataType::Binary => STANDARD.encode(array.as_binary::<i32>().value(row)).into(),
        DataType::LargeBinary => STANDARD.encode(array.as_binary::<i64>().value(row)).into(),
        DataType::BinaryView => STANDARD.encode(array.as_binary_view().value(row)).into(),
        DataType::Timestamp(unit, _) => timestamp(array, *unit, row),
        DataType::Date32 => date(array.as_primitive::<Date32Type>().value(row)),
        DataType::List(_) => list(&array.as_list::<i32>().value(row)),
        DataType::LargeList(_) => list(&array.as_list::<i64>().value(row)),
        DataType::FixedSizeList(..) => list(&array.as_fixed_size_list().value(row)),
        DataType::Map(..) => {
            let entries: ArrayRef = std::sync::Arc::new(array.as_map().value(row));
            list(&entries)
        }
        DataType::Struct(fields) => {
            let columns = array.as_struct().columns();
            let cells = fields.iter().zip(columns);
            let cells = cells.map(|(field, column)| (field.name().clone(), value(column, row)));
            Value::Object(cells.collect::<Map<_, _>>())
        }
        _ => text(array, row),
    }
}

fn list(items: &ArrayRef) -> Value {
    (0..items.len()).map(|item| value(items, item)).collect()
}

fn integer(number: i128) -> Value {
    if (-EXACT_MAX..=EXACT_MAX).contains(&number) {
        json!(number)
    } else {
        Value::String(number.to_string())
    }
}

fn float(number: f64) -> Value {
    let unsayable = match number {
        f64::INFINITY => "Infinity",
        f64::NEG_INFINITY => "-Infinity",
        _ => "NaN",
    };
    serde_json::Number::from_f64(number)
        .map_or_else(|| Value::String(unsayable.into()), Value::Number)
}

fn timestamp(array: &dyn Array, unit: TimeUnit, row: usize) -> Value {
    let (count, time, of) = match unit {
        TimeUnit::Second => {
            let count = array.as_primitive::<TimestampSecondType>().value(row);
            (count, DateTime::from_timestamp_secs(count), "s")
        }
        TimeUnit::Millisecond => {
            let count = array.as_primitive::<TimestampMillisecondType>().value(row);
            (count, DateTime::from_timestamp_millis(count), "ms")
        }
        TimeUnit::Microsecond => {
            let count = array.as_primitive::<TimestampMicrosecondType>().value(row);
            (count, DateTime::from_timestamp_micros(count), "us")
        }
        TimeUnit::Nanosecond => {
            let count = array.as_primitive::<TimestampNanosecondType>().value(row);
            (count, Some(DateTime::from_timestamp_nanos(count)), "ns")
        }
    };
    Value::String(match (count, time) {
        (i64::MAX, _) => "infinity".into(),
        (count, _) if count == -i64::MAX => "-infinity".into(),
        (_, Some(time)) => time.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string(),
        // Beyond the calendar, which a file of an edge may be.
        (count, None) => format!("{count} {of} after 1970-01-01"),
    })
}

fn date(days: i32) -> Value {
    let time = i64::from(days)
        .checked_mul(24 * 60 * 60)
        .and_then(DateTime::from_timestamp_secs);
    match time {
        Some(time) => Value::String(time.format("%Y-%m-%d").to_string()),
        None => Value::String(format!("{days} days after 1970-01-01")),
    }
}

/// As Arrow writes it.
fn text(array: &dyn Array, row: usize) -> Value {
    let options = FormatOptions::default();
    let text = ArrayFormatter::try_new(array, &options)
        .and_then(|formatter| formatter.value(row).try_to_string());
    Value::String(text.unwrap_or_else(|error| error.to_string()))
}
