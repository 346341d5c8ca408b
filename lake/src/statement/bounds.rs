//! Bounds on what one call of a function computes.
//!
//! DuckDB looks at the deadline between two vectors of rows and counts the memory of its buffers, not
//! of each value. So a call that makes a gigabyte, or runs for an hour, can be stopped by nothing. The
//! functions that can do so with a small argument are held to arguments whose cost shows in the tree.

use super::names::{Place, Verdict, verdict};
use serde_json::Value;

/// Bytes that a text made by repeating or padding may have: as many as the largest payload.
const TEXT_BYTES_MAX: u64 = 1 << 16;
/// How often text of an unknown length may be repeated.
const REPEATS_MAX: u64 = 16;
/// Elements of a list that is made of nothing but numbers.
const LIST_LENGTH_MAX: u64 = 10_000;
/// Bytes of a LIKE pattern or of a replacement: longer than what anybody types.
const PATTERN_BYTES_MAX: usize = 256;
/// Bytes of a regular expression. RE2 takes time in proportion to it.
const REGEX_BYTES_MAX: usize = 1024;
/// Width or precision in a format.
const WIDTH_DIGITS_MAX: usize = 3;
/// Steps of a distance between two texts: of 256 bytes each.
const DISTANCE_STEPS_MAX: u64 = 1 << 16;
/// The largest offset of `lag` and `lead`: DuckDB ends the process at the smallest 64-bit number, and
/// no answer has as many rows.
const OFFSET_MAX: u64 = 1_000_000_000;
/// Says how a path into JSON must be written.
pub(super) const PATH_DEMAND: &str = "write a constant path, or a list of constant paths, with at most one wildcard (`*` or `..`) each";
/// Types that a JSON structure may not name: a cast to them recurses, or takes very long in one step.
const STRUCTURE_TYPES_REFUSED: [&str; 4] = ["bignum", "varint", "variant", "geometry"];
/// Levels of a JSON structure. DuckDB recurses on it.
const STRUCTURE_LEVELS_MAX: usize = 8;

/// A rule for the arguments of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    Repeated,
    Padded,
    Series,
    Resized,
    Like,
    Regex,
    Format,
    Replacement,
    Distance,
    Structure,
    Path,
    Aggregate,
}

impl Rule {
    /// The rule of a name in the list.
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "repeated" => Self::Repeated,
            "padded" => Self::Padded,
            "series" => Self::Series,
            "resized" => Self::Resized,
            "like" => Self::Like,
            "regex" => Self::Regex,
            "format" => Self::Format,
            "replacement" => Self::Replacement,
            "distance" => Self::Distance,
            "structure" => Self::Structure,
            "path" => Self::Path,
            "aggregate" => Self::Aggregate,
            _ => return None,
        })
    }

    /// Whether the function makes a large value of a small one.
    pub(super) fn grows(self) -> bool {
        matches!(self, Self::Repeated | Self::Series | Self::Resized)
    }

    /// Whether the call keeps the rule.
    ///
    /// # Errors
    /// Says what an argument must be.
    pub(super) fn check(self, function: &str, arguments: &[Value]) -> Result<(), String> {
        let second = arguments.get(1);
        let kept = match self {
            Self::Repeated => is_short_when_repeated(arguments),
            Self::Padded => second
                .and_then(integer_max)
                .is_some_and(|n| n <= TEXT_BYTES_MAX),
            Self::Series => is_short_series(arguments),
            Self::Resized => second
                .and_then(integer_max)
                .is_some_and(|n| n <= LIST_LENGTH_MAX),
            Self::Like => {
                let pattern = second.and_then(text);
                pattern.is_some_and(|pattern| is_cheap_pattern(function, pattern))
            }
            Self::Regex => {
                let pattern = second.and_then(text).map(str::len);
                let replacement = match function {
                    "regexp_replace" => arguments.get(2).and_then(text).map(str::len),
                    _ => Some(0),
                };
                pattern.is_some_and(|bytes| bytes <= REGEX_BYTES_MAX)
                    && replacement.is_some_and(|bytes| bytes <= PATTERN_BYTES_MAX)
            }
            Self::Format => arguments
                .first()
                .and_then(text)
                .is_some_and(has_small_widths),
            Self::Replacement => {
                let bytes = arguments.get(2).and_then(text_bytes_max);
                bytes.is_some_and(|bytes| bytes <= PATTERN_BYTES_MAX as u64)
            }
            Self::Distance => {
                let bytes = |place: usize| arguments.get(place).and_then(text_bytes_max);
                bytes(0)
                    .zip(bytes(1))
                    .is_some_and(|(a, b)| a.saturating_mul(b) <= DISTANCE_STEPS_MAX)
            }
            Self::Structure => second.and_then(text).is_some_and(is_flat_structure),
            Self::Path => arguments.iter().skip(1).all(is_cheap_path),
            Self::Aggregate => {
                let named = second.and_then(text);
                named.is_some_and(|name| verdict(Place::Expression, name) == Verdict::Allowed)
            }
        };
        // An argument with a name may stand in another place than the one it is for.
        let is_named = |argument: &Value| {
            let name = argument.get("alias").and_then(Value::as_str);
            name.is_some_and(|name| !name.is_empty())
        };
        match kept && !arguments.iter().any(is_named) {
            true => Ok(()),
            false => Err(self.demand()),
        }
    }

    fn demand(self) -> String {
        match self {
            Self::Repeated => format!(
                "write a constant count: a constant text repeated to at most {TEXT_BYTES_MAX} bytes, or any text at most {REPEATS_MAX} times"
            ),
            Self::Padded => format!("write a constant length of at most {TEXT_BYTES_MAX}"),
            Self::Series => format!(
                "write constant whole numbers that make at most {LIST_LENGTH_MAX} elements; a longer series, or one of times, stands in FROM, where it gives rows"
            ),
            Self::Resized => format!("write a constant length of at most {LIST_LENGTH_MAX}"),
            Self::Like => format!(
                "write a constant pattern of at most {PATTERN_BYTES_MAX} bytes; with `_`, ILIKE, GLOB or ESCAPE only one wildcard may stand before its end. contains(), starts_with() and regexp_matches() do the rest"
            ),
            Self::Regex => format!(
                "write a constant pattern of at most {REGEX_BYTES_MAX} bytes, and a constant replacement of at most {PATTERN_BYTES_MAX}"
            ),
            Self::Format => "write a constant format whose widths have at most 3 digits, without `*` or nested braces".into(),
            Self::Replacement => {
                format!("write a constant replacement of at most {PATTERN_BYTES_MAX} bytes")
            }
            Self::Distance => {
                "its time grows with both lengths multiplied: write constants, or left(column, 64)".into()
            }
            Self::Path => PATH_DEMAND.into(),
            Self::Aggregate => "write the name of an aggregate as a constant".into(),
            Self::Structure => format!(
                "write a constant structure of at most {STRUCTURE_LEVELS_MAX} levels"
            ),
        }
    }
}

/// The text of a constant.
fn text(node: &Value) -> Option<&str> {
    node.get("value")?.get("value")?.as_str()
}

/// The largest whole number that an expression gives; none if that does not show.
fn integer_max(node: &Value) -> Option<u64> {
    if node.get("class")?.as_str()? == "CONSTANT" {
        let value = node.get("value")?.get("value")?;
        // A negative number means another thing to each function: left(x, -1) is nearly all of x.
        return value.as_u64();
    }
    let arguments = node.get("children")?.as_array()?;
    match node.get("function_name")?.as_str()? {
        "least" => arguments.iter().filter_map(integer_max).min(),
        _ => None,
    }
}

/// The most bytes that a text has; none if that does not show.
fn text_bytes_max(node: &Value) -> Option<u64> {
    /// Bytes of the longest character in UTF-8.
    const CHARACTER_BYTES_MAX: u64 = 4;
    if node.get("class")?.as_str()? == "CONSTANT" {
        return text(node).map(|text| text.len() as u64);
    }
    let arguments = node.get("children")?.as_array()?;
    let characters = match node.get("function_name")?.as_str()? {
        "left" | "right" => arguments.get(1).and_then(integer_max),
        "substr" | "substring" => arguments.get(2).and_then(integer_max),
        "upper" | "lower" | "ucase" | "lcase" | "reverse" | "trim" | "ltrim" | "rtrim" => {
            arguments.first().and_then(text_bytes_max)
        }
        "md5" | "chr" => Some(32),
        _ => None,
    };
    characters.map(|count| count.saturating_mul(CHARACTER_BYTES_MAX))
}

fn is_short_when_repeated(arguments: &[Value]) -> bool {
    let Some(count) = arguments.get(1).and_then(integer_max) else {
        return false;
    };
    let bytes = arguments.first().and_then(text_bytes_max);
    count <= REPEATS_MAX || bytes.is_some_and(|bytes| bytes.saturating_mul(count) <= TEXT_BYTES_MAX)
}

/// Whether a list of numbers is short, or no longer than a value that is there already.
fn is_short_series(arguments: &[Value]) -> bool {
    let constant = |node: &Value| node.get("value")?.get("value")?.as_i64();
    let numbers: Option<Vec<i64>> = arguments.iter().map(constant).collect();
    let length = |from: i64, to: i64, step: i64| from.abs_diff(to).checked_div(step.unsigned_abs());
    let length = match numbers.as_deref() {
        Some([to]) => length(0, *to, 1),
        Some([from, to]) => length(*from, *to, 1),
        Some([from, to, step]) => length(*from, *to, *step),
        Some(_) => None,
        None => {
            return matches!(arguments, [to] | [_, to] if is_a_length(to))
                && begins_at_a_constant(arguments);
        }
    };
    length.is_some_and(|length| length <= LIST_LENGTH_MAX)
}

fn begins_at_a_constant(arguments: &[Value]) -> bool {
    match arguments {
        [from, _] => from
            .get("value")
            .and_then(|value| value.get("value")?.as_i64())
            .is_some_and(|from| from >= 0),
        _ => true,
    }
}

/// Whether an expression is the length of something, with or without a number added.
fn is_a_length(node: &Value) -> bool {
    let name = node.get("function_name").and_then(Value::as_str);
    let arguments = node.get("children").and_then(Value::as_array);
    match (name, arguments.map(Vec::as_slice)) {
        (Some("len" | "length" | "array_length" | "json_array_length" | "strlen"), Some(_)) => true,
        (Some("+" | "-"), Some([length, number])) => {
            is_a_length(length)
                && integer_max(number).is_some_and(|number| number <= LIST_LENGTH_MAX)
        }
        _ => false,
    }
}

/// Whether a pattern is matched in time that grows with the text, or nearly so. DuckDB searches for
/// the pieces between the `%` of a plain LIKE one after the other. All other patterns are matched by
/// trying every place again at each wildcard.
fn is_cheap_pattern(function: &str, pattern: &str) -> bool {
    let plain = matches!(function, "~~" | "!~~") && !pattern.contains('_');
    let wildcard = if function == "~~~" { '*' } else { '%' };
    let pieces = pattern.trim_end_matches(wildcard).split(wildcard);
    // Wildcards in a row are one.
    let wildcards = pieces.skip(1).filter(|piece| !piece.is_empty()).count();
    pattern.len() <= PATTERN_BYTES_MAX && (plain || wildcards <= 1)
}

/// Whether all widths and precisions of a format of `printf` or `format` are small.
fn has_small_widths(format: &str) -> bool {
    let mut rest = format;
    while let Some(at) = rest.find(['%', '{']) {
        let brace = rest[at..].starts_with('{');
        rest = &rest[at + 1..];
        let end = match brace {
            true => rest.find(['}', '{']),
            false => rest.find(|c: char| c.is_ascii_alphabetic() || c == '%'),
        };
        let (place, after) = rest.split_at(end.unwrap_or(rest.len()));
        let long = |digits: &str| digits.len() > WIDTH_DIGITS_MAX;
        let nested = brace && !place.is_empty() && after.starts_with('{');
        if nested || place.contains('*') || place.split(|c: char| !c.is_ascii_digit()).any(long) {
            return false;
        }
        rest = after.get(1..).unwrap_or_default();
    }
    true
}

/// Whether a path into JSON, or each of a list of them, is a constant with one wildcard at most.
pub(super) fn is_cheap_path(node: &Value) -> bool {
    let field = |key: &str| node.get(key).and_then(Value::as_str);
    match (field("class"), field("function_name")) {
        (Some("CONSTANT"), _) => text(node)
            .is_none_or(|path| path.matches('*').count() + path.matches("..").count() <= 1),
        (Some("FUNCTION"), Some("list_value")) => node
            .get("children")
            .and_then(Value::as_array)
            .is_some_and(|paths| paths.iter().all(is_cheap_path)),
        _ => false,
    }
}

/// Whether the offset of `lag` or `lead`, if there is one, is a constant of a sensible size.
pub(super) fn is_small_offset(offset: &Value) -> bool {
    let constant = || offset.get("value")?.get("value")?.as_i64();
    offset.is_null() || constant().is_some_and(|rows| rows.unsigned_abs() <= OFFSET_MAX)
}

fn is_flat_structure(structure: &str) -> bool {
    let lower = structure.to_lowercase();
    if STRUCTURE_TYPES_REFUSED
        .iter()
        .any(|name| lower.contains(name))
    {
        return false;
    }
    let mut levels = 0_usize;
    let flat = structure.bytes().all(|byte| {
        match byte {
            b'[' | b'{' => levels += 1,
            b']' | b'}' => levels = levels.saturating_sub(1),
            _ => {}
        }
        levels <= STRUCTURE_LEVELS_MAX
    });
    flat && structure.len() <= 4096
}
