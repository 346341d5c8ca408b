//! Cells as JSON values, and back.

use super::span_behind;
use crate::{Cell, Kind};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde_json::{Value, json};
use std::net::IpAddr;

/// The value of a cell of this kind.
pub(super) fn of_cell(kind: Kind, cell: Cell, bytes: &[u8], scratch: &[u8]) -> Value {
    if cell.is_null() {
        return Value::Null;
    }
    match kind {
        Kind::Number | Kind::Time => cell.0.into(),
        Kind::Signed => cell.as_signed().into(),
        Kind::Flag => (cell.0 != 0).into(),
        Kind::Real => of_real(f64::from_bits(cell.0)),
        Kind::Text | Kind::Bytes | Kind::Address => match cell.resolve(bytes, scratch) {
            Some(octets) => of_octets(kind, octets),
            None => json!({"span_out_of_range": cell.0}),
        },
    }
}

/// The one way in which a value of this kind is written, of all in which it may be.
pub(super) fn canonical(kind: Kind, value: &Value) -> Result<Value, String> {
    match (kind, value) {
        (_, Value::Null) => Ok(Value::Null),
        (Kind::Number | Kind::Time, Value::Number(number)) => match number.as_u64() {
            Some(u64::MAX) => Err("all ones is null, and no number".into()),
            Some(number) => Ok(number.into()),
            None => Err(format!("{number} is no whole number from 0 on")),
        },
        (Kind::Signed, Value::Number(number)) => match number.as_i64() {
            Some(i64::MAX) => Err("the greatest signed number is null, and no number".into()),
            Some(number) => Ok(number.into()),
            None => Err(format!(
                "{number} is no whole number of 64 bits with a sign"
            )),
        },
        (Kind::Flag, Value::Bool(_)) => Ok(value.clone()),
        (Kind::Real, Value::Number(number)) => Ok(of_real(number.as_f64().unwrap_or(f64::NAN))),
        (Kind::Real, Value::String(text)) if ["NaN", "inf", "-inf"].contains(&text.as_str()) => {
            Ok(value.clone())
        }
        (Kind::Address, Value::String(text)) => match text.parse::<IpAddr>() {
            Ok(address) => Ok(address.to_string().into()),
            Err(_) => Err(format!("\"{text}\" is no address")),
        },
        (Kind::Text | Kind::Bytes, _) => Ok(of_octets(kind, &octets(value)?)),
        (kind, value) => {
            let wanted = match kind {
                Kind::Number | Kind::Signed => "a number",
                Kind::Flag => "true or false",
                Kind::Time => "a time in µs since 1970",
                Kind::Real => "a number, or \"NaN\", \"inf\", \"-inf\"",
                Kind::Address => "an address",
                Kind::Text | Kind::Bytes => "a text",
            };
            Err(format!("{value} is not {wanted}"))
        }
    }
}

/// The cell of a context field. Its kind is the envelope's, so the value has to tell it.
pub(super) fn context_cell(value: &Value, bytes: &mut Vec<u8>) -> Result<Cell, String> {
    match value {
        Value::Null => Ok(Cell::NULL),
        Value::Bool(flag) => Ok(Cell(u64::from(*flag))),
        Value::Number(number) => match (number.as_u64(), number.as_i64()) {
            (Some(number), _) => Ok(Cell(number)),
            (None, Some(negative)) => Ok(Cell::signed(negative)),
            (None, None) => Err(format!("{number} is no whole number of 64 bits")),
        },
        Value::Object(members) if members.contains_key("signed") => {
            match members["signed"].as_i64() {
                Some(number) => Ok(Cell::signed(number)),
                None => Err(format!(
                    "{} is no whole number of 64 bits with a sign",
                    members["signed"]
                )),
            }
        }
        Value::Object(members) if members.contains_key("address") => {
            let address = members["address"].as_str().map(str::parse);
            match address {
                Some(Ok(IpAddr::V4(address))) => Ok(span_behind(bytes, &address.octets())),
                Some(Ok(IpAddr::V6(address))) => Ok(span_behind(bytes, &address.octets())),
                _ => Err(format!("{} is no address", members["address"])),
            }
        }
        value => Ok(span_behind(bytes, &octets(value)?)),
    }
}

pub(super) fn from_hex(text: &str) -> Result<Vec<u8>, String> {
    let digits: Option<Vec<u8>> = text
        .chars()
        .filter(|c| !c.is_ascii_whitespace())
        .map(|c| c.to_digit(16).map(|digit| digit as u8))
        .collect();
    match digits {
        Some(digits) if digits.len() % 2 == 0 => Ok(digits
            .chunks_exact(2)
            .map(|pair| pair[0] << 4 | pair[1])
            .collect()),
        Some(digits) => Err(format!("`hex` has {} digits, an odd number", digits.len())),
        None => Err("`hex` has something else than hexadecimal digits and blanks".into()),
    }
}

pub(super) fn from_base64(text: &str) -> Result<Vec<u8>, String> {
    BASE64
        .decode(text.trim())
        .map_err(|error| format!("`base64` is none: {error}"))
}

fn of_octets(kind: Kind, octets: &[u8]) -> Value {
    if kind == Kind::Address {
        let address = match (<[u8; 4]>::try_from(octets), <[u8; 16]>::try_from(octets)) {
            (Ok(octets), _) => Some(IpAddr::from(octets)),
            (_, Ok(octets)) => Some(IpAddr::from(octets)),
            _ => None,
        };
        if let Some(address) = address {
            return address.to_string().into();
        }
    }
    match std::str::from_utf8(octets) {
        Ok(text) => text.into(),
        Err(_) => json!({ "hex": hex(octets) }),
    }
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

fn octets(value: &Value) -> Result<Vec<u8>, String> {
    let member = |name| value.get(name).and_then(Value::as_str);
    match (value, member("hex"), member("base64")) {
        (Value::String(text), _, _) => Ok(text.clone().into_bytes()),
        (_, Some(text), None) => from_hex(text),
        (_, None, Some(text)) => from_base64(text),
        _ => Err(format!(
            "{value} is not a text; octets are {{\"hex\": \"…\"}} or {{\"base64\": \"…\"}}"
        )),
    }
}

/// A double; what JSON has no number for as a text.
fn of_real(real: f64) -> Value {
    match serde_json::Number::from_f64(real) {
        Some(number) => number.into(),
        None => real.to_string().into(),
    }
}
