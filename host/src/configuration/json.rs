//! A JSON document in which no key stands twice: the second would silently win.

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Number, Value};
use std::fmt;

/// The object that a text holds.
pub(super) fn parse(text: &str) -> Result<Map<String, Value>, serde_json::Error> {
    match serde_json::from_str::<Unique>(text)?.0 {
        Value::Object(object) => Ok(object),
        other => Err(Error::custom(format_args!("{other} is no object"))),
    }
}

/// A value whose objects have each key once.
struct Unique(Value);

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Unique(Value::Null))
    }
}

impl<'de> Visitor<'de> for Unique {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(Self(Value::Null))
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Self, E> {
        Ok(Self(flag.into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Self, E> {
        Ok(Self(number.into()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Self, E> {
        Ok(Self(number.into()))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Self, E> {
        let number = Number::from_f64(number);
        let number = number.ok_or_else(|| E::custom("a number is too large"))?;
        Ok(Self(number.into()))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self, E> {
        Ok(Self(text.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self, A::Error> {
        let mut list = Vec::new();
        while let Some(Unique(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Self(list.into()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Self, A::Error> {
        let mut object = Map::new();
        while let Some(key) = fields.next_key::<String>()? {
            if object.contains_key(&key) {
                return Err(A::Error::custom(format_args!(
                    "the key {key:?} stands twice"
                )));
            }
            let Unique(value) = fields.next_value()?;
            object.insert(key, value);
        }
        Ok(Self(object.into()))
    }
}
