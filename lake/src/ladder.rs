//! The ladder of a call, in text: a lane for each party, an arrow for each message.
//!
//! ```text
//! UTC               after       10.0.0.1:5060     10.0.0.2:5060
//! 06:41:03.120000                     |                 |
//!                                     |-- INVITE SDP -->|
//! ```
//!
//! Pure: rows in, text out. SIP text comes from strangers and ends in a terminal, hence
//! control characters and those that turn the direction of text are escaped.

mod order;
mod steps;
#[cfg(test)]
mod tests;

pub use steps::{Content, Endpoint, Step};

use heplake_format::PartitionDate;
use std::fmt::Write as _;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Columns that a ladder may use: narrower shows nothing, wider is no terminal.
pub const WIDTH_COLUMNS_MIN: usize = 60;
/// See [`WIDTH_COLUMNS_MIN`].
pub const WIDTH_COLUMNS_MAX: usize = 500;

/// Time and delta before the lanes: `06:41:03.120000 +99999.999999  `.
const GUTTER_COLUMNS: usize = 31;

/// Lanes narrower than this cannot show a method: parties are merged by address instead,
/// and if that is not enough, there are no lanes.
const LANE_COLUMNS_MIN: usize = 18;

/// Lanes wider than this only pull the eyes apart.
const LANE_COLUMNS_MAX: usize = 44;

/// What an arrow needs beside its text: `-- ` and ` ->`.
const ARROW_COLUMNS: usize = 6;

/// Draws the steps of a call, in any order, `width` columns wide.
#[must_use]
pub fn draw(steps: Vec<Step>, width: usize) -> String {
    let width = width.clamp(WIDTH_COLUMNS_MIN, WIDTH_COLUMNS_MAX);
    let steps = order::by_time_and_transaction(steps);
    let Some(lanes) = Lanes::fit(&steps, width) else {
        return lines(&steps, width, list_entry);
    };
    let mut text = format!("{:<15} {:>13}  ", "UTC", "after");
    text.push_str(&lanes.header());
    end_line(&mut text);
    text + &lines(&steps, width, |step| lanes.arrow(step))
}

/// A line a step: time, time since the step before, and what `show` makes of it.
fn lines(steps: &[Step], width: usize, show: impl Fn(&Step) -> String) -> String {
    let mut text = String::new();
    let mut before: Option<&Step> = None;
    for step in steps {
        let date = PartitionDate::of_micros(step.time_us);
        if before.is_none_or(|before| PartitionDate::of_micros(before.time_us) != date) {
            let _ = writeln!(text, "{date}");
        }
        let after = before.map_or_else(String::new, |before| {
            seconds(step.time_us.saturating_sub(before.time_us))
        });
        let shown = match &step.content {
            Content::Note(note) => format!("* {}", printable(note)),
            Content::Request { .. } | Content::Response { .. } => show(step),
        };
        let shown = truncated(shown.trim_end_matches(' '), width - GUTTER_COLUMNS);
        let _ = write!(text, "{} {after:>13}  {shown}", clock(step.time_us));
        end_line(&mut text);
        before = Some(step);
    }
    text
}

/// Ends a line without blanks at its end.
fn end_line(text: &mut String) {
    text.truncate(text.trim_end_matches(' ').len());
    text.push('\n');
}

fn list_entry(step: &Step) -> String {
    format!(
        "{} > {}  {}",
        step.source.name(),
        step.destination.name(),
        label(step)
    )
}

/// The parties, from left to right as they first appear, and where their lanes stand.
struct Lanes {
    names: Vec<String>,
    by_address: bool,
    columns: usize,
}

impl Lanes {
    /// Lanes by address and port, else by address; none if even they are too many.
    fn fit(steps: &[Step], width: usize) -> Option<Self> {
        let room = width - GUTTER_COLUMNS;
        [false, true].into_iter().find_map(|by_address| {
            let mut names: Vec<String> = Vec::new();
            let messages = steps.iter().filter(|step| !step.is_note());
            for endpoint in messages.flat_map(|step| [&step.source, &step.destination]) {
                let name = Self::name(endpoint, by_address);
                if !names.contains(&name) {
                    names.push(name);
                }
                if names.len() * LANE_COLUMNS_MIN > room {
                    return None;
                }
            }
            let labels = steps
                .iter()
                .filter(|step| !step.is_note())
                .map(|step| label(step).width() + ARROW_COLUMNS);
            let wanted = names.iter().map(|name| name.width()).chain(labels).max()?;
            let columns = (wanted + 2)
                .clamp(LANE_COLUMNS_MIN, LANE_COLUMNS_MAX)
                .min(room / names.len().max(1));
            Some(Self {
                names,
                by_address,
                columns,
            })
        })
    }

    fn name(endpoint: &Endpoint, by_address: bool) -> String {
        if by_address {
            printable(&endpoint.ip)
        } else {
            endpoint.name()
        }
    }

    fn header(&self) -> String {
        let mut text = String::new();
        for name in &self.names {
            let name = truncated(name, self.columns - 1);
            let free = self.columns - name.width();
            let _ = write!(
                text,
                "{:left$}{name}{:right$}",
                "",
                "",
                left = free / 2,
                right = free - free / 2
            );
        }
        text
    }

    fn lane(&self, endpoint: &Endpoint) -> usize {
        let name = Self::name(endpoint, self.by_address);
        self.names
            .iter()
            .position(|known| *known == name)
            .unwrap_or(0)
    }

    /// `|-- INVITE SDP -->|` between the lanes of the step, `|` in the others.
    fn arrow(&self, step: &Step) -> String {
        let (source, destination) = (self.lane(&step.source), self.lane(&step.destination));
        let (left, right) = (source.min(destination), source.max(destination));
        let half = self.columns / 2;
        let mut text = " ".repeat(half);
        for lane in 0..self.names.len() {
            text.push('|');
            let between = self.columns - 1;
            if lane == left && left == right {
                let said = truncated(&format!("<> {}", label(step)), between);
                let _ = write!(text, "{said}{:1$}", "", between - said.width());
            } else if lane == left {
                let room = (right - left) * self.columns - 1;
                text.push_str(&shaft(&label(step), room, source < destination));
            } else if lane < left || lane >= right {
                text.push_str(&" ".repeat(between));
            } else {
                // The arrow passes over this lane, and was drawn at its left end.
                text.pop();
            }
        }
        text
    }
}

/// `-- INVITE -->` or `<-- 200 OK --`, `room` columns wide.
fn shaft(label: &str, room: usize, rightwards: bool) -> String {
    let label = truncated(label, room.saturating_sub(ARROW_COLUMNS));
    let dashes = "-".repeat(room.saturating_sub(label.width() + ARROW_COLUMNS - 1));
    if rightwards {
        format!("-- {label} {dashes}>")
    } else {
        format!("<- {label} {dashes}-")
    }
}

/// What an arrow says: the method, or the code with its reason; `SDP` if it carries one.
fn label(step: &Step) -> String {
    let (said, has_sdp) = match &step.content {
        Content::Request { method, has_sdp } => (method.clone(), *has_sdp),
        Content::Response {
            code,
            reason,
            has_sdp,
        } => (format!("{code} {reason}"), *has_sdp),
        Content::Note(note) => (note.clone(), false),
    };
    let said = printable(said.trim());
    if has_sdp { format!("{said} SDP") } else { said }
}

/// Time of day: `06:41:03.120000`.
fn clock(time_us: i64) -> String {
    const DAY_US: i64 = 86_400_000_000;
    let of_day = time_us.rem_euclid(DAY_US);
    let (seconds, micros) = (of_day / 1_000_000, of_day % 1_000_000);
    format!(
        "{:02}:{:02}:{:02}.{micros:06}",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60
    )
}

/// A difference of times: `+0.000056`; negative where senders' clocks disagree.
fn seconds(difference_us: i64) -> String {
    let sign = if difference_us < 0 { '-' } else { '+' };
    let difference = difference_us.unsigned_abs();
    format!(
        "{sign}{}.{:06}",
        difference / 1_000_000,
        difference % 1_000_000
    )
}

/// The text with everything escaped that would move a cursor, change a terminal or turn the
/// direction of what follows.
#[must_use]
pub fn printable(text: &str) -> String {
    let acts = |c: char| {
        c.is_control()
            || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{feff}')
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
            || matches!(c, '\u{2060}'..='\u{206f}' | '\u{fff9}'..='\u{fffb}')
            || matches!(c, '\u{e0000}'..='\u{e007f}')
    };
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if acts(c) {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// The beginning of a text, at most `columns` wide, and `…` where something is missing.
#[must_use]
pub fn truncated(text: &str, columns: usize) -> String {
    if text.width() <= columns {
        return text.into();
    }
    let mut used = 1;
    let fits = |c: &char| {
        used += c.width().unwrap_or(0);
        used <= columns
    };
    let mut kept: String = text.chars().take_while(fits).collect();
    kept.push('…');
    kept
}
