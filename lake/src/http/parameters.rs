//! What a request asks, checked: an unknown parameter is an error that names it, since a
//! filter that was mistyped and silently not applied shows calls that nobody asked for.

use super::error::ApiError;
use crate::{
    Search,
    ladder::{WIDTH_COLUMNS_MAX, WIDTH_COLUMNS_MIN},
};
use axum::{extract::Query, http::Uri};
use chrono::{DateTime, NaiveDate, NaiveTime};
use serde::Deserialize;
use std::collections::BTreeMap;

/// Numbers below this are no milliseconds of this century, and most likely seconds.
const MILLISECONDS_MIN: i64 = 100_000_000_000;

/// Numbers from this on are microseconds: as milliseconds they would be after year 5138.
const MICROSECONDS_MIN: i64 = 100_000_000_000_000;

/// The body of `POST /api/v1/sql`.
#[derive(Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub(super) struct SqlRequest {
    /// One statement.
    pub(super) sql: String,
    /// Most rows to give.
    #[serde(default)]
    pub(super) limit: Option<usize>,
}

impl SqlRequest {
    pub(super) fn parse(body: &[u8]) -> Result<Self, ApiError> {
        serde_json::from_slice(body).map_err(|error| {
            ApiError::bad_request(format!(
                "the body must be {{\"sql\": \"SELECT …\", \"limit\": 100}}, where limit may be left out: {error}"
            ))
        })
    }
}

/// Longest text of a parameter, in bytes: longer than what any header of SIP has that is a column.
const TEXT_BYTES_MAX: usize = 1024;
/// Places in a text where any text may stand.
const WILDCARDS_MAX: usize = 8;

/// Refuses the id of a call that no row can have.
pub(super) fn check_session_id(session_id: &str) -> Result<(), ApiError> {
    check_text("the id of a call", session_id)
}

/// Refuses a text that no row can have.
fn check_text(name: &str, value: &str) -> Result<(), ApiError> {
    if value.contains('\0') {
        // DuckLake ends a text there that it hands to the catalog.
        let message = format!("{name} has a NUL character, which no row has");
        return Err(ApiError::bad_request(message));
    }
    if value.len() > TEXT_BYTES_MAX {
        let bytes = value.len();
        let message =
            format!("{name} has {bytes} bytes, but at most {TEXT_BYTES_MAX} are looked for");
        return Err(ApiError::bad_request(message));
    }
    Ok(())
}

/// The query parameters of `GET /api/v1/calls/{session_id}`.
pub(super) struct CallParameters {
    /// Columns of the ladder.
    pub(super) width: Option<usize>,
}

/// Query parameters, each of which must be taken.
#[derive(Debug)]
pub(super) struct Parameters {
    given: BTreeMap<String, String>,
    known: Vec<&'static str>,
}

impl Parameters {
    pub(super) fn of(uri: &Uri) -> Result<Self, ApiError> {
        let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri)
            .map_err(|refused| ApiError::bad_request(refused.body_text()))?;
        let mut given = BTreeMap::new();
        for (name, value) in pairs {
            if given.contains_key(&name) {
                return Err(ApiError::bad_request(format!(
                    "the parameter {name} is given twice"
                )));
            }
            given.insert(name, value);
        }
        Ok(Self {
            given,
            known: Vec::new(),
        })
    }

    /// What is searched for.
    pub(super) fn search(mut self) -> Result<Search, ApiError> {
        let search = Search {
            from_us: self.time_us("from")?,
            to_us: self.time_us("to")?,
            caller: self.pattern("caller")?,
            callee: self.pattern("callee")?,
            session_id: self.pattern("session_id")?,
            method: self.pattern("method")?,
            response_code: self.pattern("response_code")?,
            src_ip: self.pattern("src_ip")?,
            dst_ip: self.pattern("dst_ip")?,
            limit: self.number("limit", 1, Search::LIMIT_MAX)?,
        };
        if let (Some(from), Some(to)) = (search.from_us, search.to_us)
            && from > to
        {
            return Err(ApiError::bad_request("from is later than to".into()));
        }
        self.finish()?;
        Ok(search)
    }

    /// How a call is shown.
    pub(super) fn call(mut self) -> Result<CallParameters, ApiError> {
        let width = self.number("width", WIDTH_COLUMNS_MIN, WIDTH_COLUMNS_MAX)?;
        self.finish()?;
        Ok(CallParameters { width })
    }

    /// Refuses what was not taken.
    pub(super) fn finish(self) -> Result<(), ApiError> {
        let Some(unknown) = self.given.keys().next() else {
            return Ok(());
        };
        let known = match self.known.as_slice() {
            [] => "there are none here".into(),
            known => format!("there are {}", known.join(", ")),
        };
        let searched = match self.known.contains(&"caller") {
            true => {
                "; other columns, and tables that are not of SIP, are searched with POST /api/v1/sql"
            }
            false => "",
        };
        Err(ApiError::bad_request(format!(
            "unknown parameter {unknown}; {known}{searched}"
        )))
    }

    /// A value; an empty one is none, as a form sends it that was left blank.
    fn text(&mut self, name: &'static str) -> Option<String> {
        self.known.push(name);
        self.given.remove(name).filter(|value| !value.is_empty())
    }

    /// A text that is looked for; `%` stands for any text.
    fn pattern(&mut self, name: &'static str) -> Result<Option<String>, ApiError> {
        let Some(value) = self.text(name) else {
            return Ok(None);
        };
        check_text(name, &value)?;
        let wildcards = value.matches('%').count();
        if wildcards > WILDCARDS_MAX {
            return Err(ApiError::bad_request(format!(
                "{name} has % {wildcards} times, but at most {WILDCARDS_MAX} are looked for"
            )));
        }
        Ok(Some(value))
    }

    fn number(
        &mut self,
        name: &'static str,
        min: usize,
        max: usize,
    ) -> Result<Option<usize>, ApiError> {
        let Some(value) = self.text(name) else {
            return Ok(None);
        };
        match value.parse() {
            Ok(number) if (min..=max).contains(&number) => Ok(Some(number)),
            _ => Err(ApiError::bad_request(format!(
                "{name} is {value:?}, but must be a whole number from {min} to {max}"
            ))),
        }
    }

    fn time_us(&mut self, name: &'static str) -> Result<Option<i64>, ApiError> {
        let Some(value) = self.text(name) else {
            return Ok(None);
        };
        parse_time_us(&value).map(Some).ok_or_else(|| {
            ApiError::bad_request(format!(
                "{name} is {value:?}, but must be a time: RFC 3339 such as 2026-11-22T06:41:03Z, a date such as 2026-11-22 (its beginning, UTC), or milliseconds or microseconds since 1970, not seconds"
            ))
        })
    }
}

/// A time, in µs since 1970, UTC.
fn parse_time_us(text: &str) -> Option<i64> {
    if let Ok(number) = text.parse::<i64>() {
        return match number {
            MICROSECONDS_MIN.. => Some(number),
            MILLISECONDS_MIN.. => number.checked_mul(1000),
            _ => None,
        };
    }
    if let Ok(date) = text.parse::<NaiveDate>() {
        return Some(date.and_time(NaiveTime::MIN).and_utc().timestamp_micros());
    }
    // An unescaped + of an offset arrives as a blank.
    let offset_at = text.len().checked_sub("+01:00".len());
    let restored = match offset_at.and_then(|at| text.split_at_checked(at)) {
        Some((time, offset)) if offset.starts_with(' ') => {
            format!("{time}+{}", offset.trim_start())
        }
        _ => text.into(),
    };
    let time = DateTime::parse_from_rfc3339(&restored).ok()?;
    Some(time.timestamp_micros())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(query: &str) -> Result<Parameters, ApiError> {
        Parameters::of(&format!("/x?{query}").parse().unwrap())
    }

    fn message(result: Result<Search, ApiError>) -> String {
        format!("{:?}", result.unwrap_err())
    }

    #[test]
    fn times_are_rfc_3339_or_since_1970() {
        for (text, expected_us) in [
            ("2026-11-22T06:41:03Z", Some(1_795_329_663_000_000)),
            ("2026-11-22t06:41:03.25z", Some(1_795_329_663_250_000)),
            ("2026-11-22 06:41:03.000001Z", Some(1_795_329_663_000_001)),
            ("2026-11-22T07:41:03+01:00", Some(1_795_329_663_000_000)),
            ("2026-11-22T07:41:03 01:00", Some(1_795_329_663_000_000)),
            ("2026-11-22", Some(1_795_305_600_000_000)),
            ("1795329663000", Some(1_795_329_663_000_000)),
            ("1795329663000001", Some(1_795_329_663_000_001)),
            ("1795329663", None),
            ("-1", None),
            ("yesterday", None),
            ("2026-11-22T06:41:03", None),
            ("2026-13-22", None),
            ("é01:00", None),
        ] {
            assert_eq!(parse_time_us(text), expected_us, "{text}");
        }
    }

    #[test]
    fn reads_a_search() {
        let search = parameters("from=2026-11-22&caller=%2B49%25&callee=&limit=5&method=INVITE");
        let search = search.unwrap().search().unwrap();
        let expected = Search {
            from_us: Some(1_795_305_600_000_000),
            caller: Some("+49%".into()),
            method: Some("INVITE".into()),
            limit: Some(5),
            ..Search::default()
        };
        assert_eq!(search, expected);
    }

    #[test]
    fn names_what_is_wrong() {
        for (query, expected) in [
            (
                "form=1",
                "unknown parameter form; there are from, to, caller",
            ),
            (
                "limit=0",
                "limit is \\\"0\\\", but must be a whole number from 1",
            ),
            ("from=2026-11-23&to=2026-11-22", "from is later than to"),
            ("to=1795329663", "since 1970, not seconds"),
        ] {
            let said = message(parameters(query).unwrap().search());
            assert!(said.contains(expected), "{said}");
        }
        let said = format!("{:?}", parameters("a=1&a=2").unwrap_err());
        assert!(said.contains("the parameter a is given twice"), "{said}");
        let said = parameters("width=1").unwrap().call().err();
        let said = format!("{said:?}");
        assert!(said.contains("a whole number from 60 to 500"), "{said}");
        let said = format!("{:?}", parameters("x=1").unwrap().finish().unwrap_err());
        assert!(
            said.contains("unknown parameter x; there are none here"),
            "{said}"
        );
    }

    #[test]
    fn a_body_must_be_sql_and_no_more() {
        let request = SqlRequest::parse(br#"{"sql": "SELECT 1"}"#).unwrap();
        let expected = SqlRequest {
            sql: "SELECT 1".into(),
            limit: None,
        };
        assert_eq!(request, expected);
        for body in [
            "",
            "{}",
            "[]",
            r#"{"sql": 1}"#,
            r#"{"sql": "x", "limt": 1}"#,
            r#"{"sql": "x", "limit": -1}"#,
        ] {
            let said = format!("{:?}", SqlRequest::parse(body.as_bytes()).unwrap_err());
            assert!(said.contains("the body must be"), "{said}");
        }
    }
}
