//! What a validation found.

use super::{
    replay::{RenderedRow, Replayed},
    validation::Changed,
};
use crate::configuration::Thresholds;
use heplake_format::TableName;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Longest value that a report quotes, in bytes.
const QUOTED_BYTES_MAX: usize = 512;

/// What a validation found: how golden packets fared against the components that serve.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// When, µs since 1970, UTC.
    pub at_us: u64,
    /// The digests that served then, by name and sorted: a report holds as long as they do.
    pub against: Vec<String>,
    /// Golden packets.
    pub packets: u64,
    /// Those of them that came to the new components, or to those in whose place they come:
    /// what they do is measured by these.
    #[serde(default)]
    pub packets_reached: u64,
    /// Whether there are any in whose place they come.
    #[serde(default)]
    pub replaces: bool,
    /// Rows that are the same.
    pub rows_same: u64,
    /// Rows that are not: other values, another table, or none.
    pub rows_different: u64,
    /// Rows that a candidate would make of payloads and packets that nothing reads now, since they
    /// are refused or stored raw: what a correction, and a new parser, is for.
    #[serde(default)]
    pub rows_rescued: u64,
    /// The first of those that differ, field by field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_difference: Option<Difference>,
    /// Packets and payloads that are rejected now.
    pub rejected_active: u64,
    /// Packets and payloads that would be.
    pub rejected_candidate: u64,
    /// Faults on golden packets now.
    #[serde(default)]
    pub faults_active: u64,
    /// Faults then.
    pub faults: u64,
    /// Time for a packet now, in the whole pipeline before files, ns.
    pub ns_per_packet_active: f64,
    /// Time for a packet then, ns.
    pub ns_per_packet_candidate: f64,
    /// Memory of all instances of a pipeline now, in bytes.
    pub memory_bytes_active: u64,
    /// Memory then, in bytes.
    pub memory_bytes_candidate: u64,
    /// Columns that would be new, as `table.column TYPE`: null in the rows that are there.
    pub new_columns: Vec<String>,
    /// How long compiling took, ms; 0 if it was compiled before.
    pub compile_ms: f64,
    /// Why it should not serve, by the thresholds of the configuration; empty if it may.
    pub objections: Vec<String>,
    /// Why it cannot serve, whatever the thresholds are; empty if it can.
    pub impediments: Vec<String>,
}

/// A row that would be another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// The packet, by its number among the golden ones.
    pub packet: u64,
    /// Its table now; none if it has no row now.
    pub table_active: Option<String>,
    /// Its table then.
    pub table_candidate: Option<String>,
    /// Fields that differ.
    pub fields: Vec<FieldDifference>,
}

/// A field that would have another value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldDifference {
    /// The column, and the member where it is an object.
    pub field: String,
    /// Its value now; none for null.
    pub active: Option<String>,
    /// Its value then.
    pub candidate: Option<String>,
}

impl Report {
    /// Whether it may serve without being forced to.
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        self.objections.is_empty() && self.impediments.is_empty()
    }

    /// Compares rows. To fill a column that only the candidate's tables have is no difference.
    pub(super) fn compare(&mut self, active: &Replayed, candidate: &Replayed, changed: &Changed) {
        self.packets = active.rows.len() as u64;
        self.replaces = changed.replaces;
        self.rejected_active = active.rejected;
        self.rejected_candidate = candidate.rejected;
        self.faults_active = active.faults;
        self.faults = candidate.faults;
        self.memory_bytes_active = active.memory_bytes;
        self.memory_bytes_candidate = candidate.memory_bytes;
        let reached = |rows: &[RenderedRow]| {
            let mut made_by = rows.iter().flat_map(|row| row.made_by.iter());
            made_by.any(|component| changed.components.contains(component))
        };
        for (packet, (now, then)) in active.rows.iter().zip(&candidate.rows).enumerate() {
            if reached(now) || reached(then) {
                self.packets_reached += 1;
            }
            for [now, then] in by_payload(now, then) {
                self.compare_payload(packet as u64, &now, &then, changed);
            }
        }
    }

    /// Compares the rows of one payload. A payload that nothing reads now can only gain, however
    /// many rows a parser makes of it: they are rescued. Only if it is refused then, that counts
    /// against the candidate.
    fn compare_payload(
        &mut self,
        packet: u64,
        now: &[&RenderedRow],
        then: &[&RenderedRow],
        changed: &Changed,
    ) {
        let is_unread = !now.is_empty() && now.iter().all(|row| row.is_unread());
        for place in 0..now.len().max(then.len()) {
            let (now, then) = (now.get(place).copied(), then.get(place).copied());
            let is_read_then = then.is_some_and(|row| !row.is_unread());
            // Without a component before it, the candidate takes nothing away: a new router sends
            // rows elsewhere.
            let is_new = now.is_some() && !changed.replaces;
            let is_welcome = (is_unread || is_new) && !then.is_some_and(RenderedRow::is_rejected);
            match difference(packet, now, then, &changed.columns) {
                _ if is_unread && is_read_then => self.rows_rescued += 1,
                None => self.rows_same += 1,
                Some(_) if is_welcome => self.rows_rescued += 1,
                Some(difference) => {
                    self.rows_different += 1;
                    self.first_difference.get_or_insert(difference);
                }
            }
        }
    }

    /// Holds what was found against the thresholds.
    pub(super) fn judge(&mut self, thresholds: &Thresholds) {
        let reached = self.packets_reached.max(1) as f64;
        let mut object = |wrong: bool, text: String| {
            if wrong {
                self.objections.push(text);
            }
        };
        object(
            self.replaces && self.packets_reached == 0,
            format!(
                "none of {} golden packets came to it, so that nothing is known of it: let some of its traffic pass first",
                self.packets
            ),
        );
        object(
            self.rows_different as f64 / reached > thresholds.rows_different_max,
            format!(
                "{} rows of {reached} packets that came to it differ, more than {}",
                self.rows_different,
                percent(thresholds.rows_different_max)
            ),
        );
        let more = self.rejected_candidate.saturating_sub(self.rejected_active);
        object(
            more as f64 / reached > thresholds.rejected_more_max,
            format!(
                "{more} of {reached} packets more are rejected, more than {}",
                percent(thresholds.rejected_more_max)
            ),
        );
        object(
            self.faults > self.faults_active,
            match self.faults_active {
                0 => format!("it faults on golden packets ({} times)", self.faults),
                active => format!(
                    "it faults on golden packets {} times, and what serves {active} times",
                    self.faults
                ),
            },
        );
        let slower = self.ns_per_packet_candidate / self.ns_per_packet_active.max(1.0);
        object(
            slower > thresholds.slowdown_max,
            format!(
                "a packet takes {slower:.2} times as long, more than {}",
                thresholds.slowdown_max
            ),
        );
    }
}

/// The rows of a packet now and then, those of each of its payloads for themselves.
fn by_payload<'a>(
    now: &'a [RenderedRow],
    then: &'a [RenderedRow],
) -> impl Iterator<Item = [Vec<&'a RenderedRow>; 2]> {
    let mut by_payload: BTreeMap<usize, [Vec<&RenderedRow>; 2]> = BTreeMap::new();
    for (side, rows) in [now, then].into_iter().enumerate() {
        for row in rows {
            by_payload.entry(row.payload).or_default()[side].push(row);
        }
    }
    by_payload.into_values()
}

fn percent(share: f64) -> String {
    format!("{} %", share * 100.0)
}

fn difference(
    packet: u64,
    now: Option<&RenderedRow>,
    then: Option<&RenderedRow>,
    new: &BTreeSet<(TableName, String)>,
) -> Option<Difference> {
    let mut fields = Vec::new();
    if let (Some(now), Some(then)) = (now, then) {
        let names = now.values.keys().chain(then.values.keys());
        let mut names: Vec<&String> = names.collect();
        names.sort();
        names.dedup();
        for name in names {
            let (a, b) = (now.values.get(name), then.values.get(name));
            let is_new = new.contains(&(then.table.clone(), name.clone()));
            if a != b && !is_new {
                fields.push(FieldDifference {
                    field: name.clone(),
                    active: a.map(|text| quoted(text)),
                    candidate: b.map(|text| quoted(text)),
                });
            }
        }
        if fields.is_empty() && now.table == then.table {
            return None;
        }
    }
    let table = |row: Option<&RenderedRow>| row.map(|row| row.table.to_string());
    Some(Difference {
        packet,
        table_active: table(now),
        table_candidate: table(then),
        fields,
    })
}

fn quoted(text: &str) -> String {
    let mut end = text.len().min(QUOTED_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use heplake_format::ComponentDigest;

    fn row(table: &str, values: &[(&str, &str)]) -> RenderedRow {
        let value = |(name, value): &(&str, &str)| ((*name).into(), (*value).into());
        RenderedRow {
            table: table.parse().unwrap(),
            payload: 0,
            made_by: [component("hep"), component("gauges")].into(),
            values: values.iter().map(value).collect::<BTreeMap<_, _>>(),
        }
    }

    fn component(name: &str) -> ComponentDigest {
        ComponentDigest {
            name: name.into(),
            version: "1.0.0".into(),
            digest: name.into(),
        }
    }

    fn changed() -> Changed {
        Changed {
            columns: [("a".parse().unwrap(), "new".into())].into(),
            components: vec![component("gauges")],
            replaces: true,
        }
    }

    fn replayed(rows: Vec<Vec<RenderedRow>>, rejected: u64) -> Replayed {
        Replayed {
            rows,
            rejected,
            faults: 0,
            memory_bytes: 0,
        }
    }

    const THRESHOLDS: Thresholds = Thresholds {
        rows_different_max: 0.5,
        rejected_more_max: 0.5,
        slowdown_max: 2.0,
    };

    #[test]
    fn the_first_row_that_differs_is_shown_field_by_field() {
        let now = vec![
            vec![row("a", &[("x", "1")])],
            vec![row("a", &[("x", "1"), ("y", "2"), ("z", "3")])],
            vec![row("a", &[("x", "1")])],
        ];
        let then = vec![
            vec![row("a", &[("x", "1")])],
            vec![row("a", &[("x", "9"), ("z", "3"), ("new", "4")])],
            vec![],
        ];
        let mut report = Report::default();
        report.compare(&replayed(now, 0), &replayed(then, 0), &changed());
        assert_eq!((report.rows_same, report.rows_different), (1, 2));
        assert_eq!(report.packets_reached, 3);
        let first = report.first_difference.clone().unwrap();
        assert_eq!(first.packet, 1);
        let fields: Vec<_> = first
            .fields
            .iter()
            .map(|f| {
                (
                    f.field.as_str(),
                    f.active.as_deref(),
                    f.candidate.as_deref(),
                )
            })
            .collect();
        assert_eq!(
            fields,
            [("x", Some("1"), Some("9")), ("y", Some("2"), None)]
        );
        report.judge(&THRESHOLDS);
        assert!(!report.is_accepted());
        assert!(
            report.objections[0].contains("2 rows of 3 packets"),
            "{report:?}"
        );
    }

    #[test]
    fn another_table_or_no_row_at_all_is_a_difference() {
        let rows = |table: &str| vec![vec![row(table, &[("x", "1")])]];
        for (now, then) in [
            (rows("a"), rows("b")),
            (rows("a"), vec![vec![]]),
            (vec![vec![]], rows("a")),
        ] {
            let mut report = Report::default();
            report.compare(&replayed(now, 0), &replayed(then, 0), &changed());
            assert_eq!(report.rows_different, 1);
        }
    }

    #[test]
    fn a_packet_that_was_rejected_and_gives_rows_then_is_what_a_correction_is_for() {
        let rows = |table: &str| vec![vec![row(table, &[("x", "1")])]];
        let mut report = Report::default();
        report.compare(
            &replayed(rows("hep_rejected"), 1),
            &replayed(rows("a"), 0),
            &changed(),
        );
        assert_eq!((report.rows_rescued, report.rows_different), (1, 0));
        report.judge(&THRESHOLDS);
        assert!(report.is_accepted(), "{report:?}");
        // The other way round it is none.
        let mut report = Report::default();
        report.compare(
            &replayed(rows("a"), 0),
            &replayed(rows("hep_rejected"), 1),
            &changed(),
        );
        assert_eq!((report.rows_rescued, report.rows_different), (0, 1));
    }

    /// A payload that no parser takes.
    fn raw(payload: usize) -> RenderedRow {
        RenderedRow {
            payload,
            made_by: [component("hep")].into(),
            ..row("hep_proto_200_default", &[("payload", "roof wind 3")])
        }
    }

    #[test]
    fn several_rows_of_a_payload_that_nobody_reads_now_are_held_against_nobody() {
        let reading = |payload: usize, value: &str| RenderedRow {
            payload,
            ..row("hep_proto_200_default", &[("value", value)])
        };
        let rejected = || row("hep_rejected", &[("payload", "roof wind 3")]);
        let readings = || vec![reading(0, "21.5"), reading(0, "3"), reading(0, "4")];
        for replaces in [false, true] {
            // Stored raw, or refused by the version before.
            for now in [raw(0), rejected()] {
                let changed = Changed {
                    replaces,
                    ..changed()
                };
                let mut report = Report::default();
                let now = replayed(vec![vec![now]], 0);
                report.compare(&now, &replayed(vec![readings()], 0), &changed);
                report.judge(&THRESHOLDS);
                assert_eq!((report.rows_rescued, report.rows_different), (3, 0));
                assert_eq!(report.first_difference, None);
                assert!(report.is_accepted(), "{report:?}");
            }
        }
    }

    #[test]
    fn a_payload_that_nobody_reads_does_not_excuse_the_others_of_its_packet() {
        let read = |value: &str| row("a", &[("x", value)]);
        let reading = || RenderedRow {
            payload: 1,
            ..row("hep_proto_200_default", &[("value", "3")])
        };
        let mut report = Report::default();
        report.compare(
            &replayed(vec![vec![read("1"), raw(1)]], 0),
            &replayed(vec![vec![read("2"), reading(), reading()]], 0),
            &changed(),
        );
        assert_eq!((report.rows_rescued, report.rows_different), (2, 1));
        let first = report.first_difference.unwrap();
        assert_eq!(first.fields[0].field, "x");
    }

    #[test]
    fn a_new_parser_that_refuses_what_was_stored_raw_is_objected_to() {
        let rejected = RenderedRow {
            made_by: [component("hep"), component("gauges")].into(),
            ..row("hep_rejected", &[("reason", "not_a_reading")])
        };
        let mut report = Report::default();
        report.compare(
            &replayed(vec![vec![raw(0)]], 0),
            &replayed(vec![vec![rejected]], 1),
            &Changed {
                replaces: false,
                ..changed()
            },
        );
        assert_eq!((report.rows_rescued, report.rows_different), (0, 1));
        report.judge(&THRESHOLDS);
        assert!(!report.is_accepted());
    }

    #[test]
    fn what_is_new_takes_nothing_away_and_what_nothing_came_to_is_not_known() {
        let rows = |table: &str| vec![vec![row(table, &[("x", "1")])]];
        let compared = |changed: &Changed| {
            let mut report = Report::default();
            report.compare(&replayed(rows("a"), 0), &replayed(rows("b"), 0), changed);
            report.judge(&THRESHOLDS);
            report
        };
        // Payloads that nothing has read so far.
        let replaces = false;
        let report = compared(&Changed {
            replaces,
            ..changed()
        });
        assert_eq!((report.rows_rescued, report.rows_different), (1, 0));
        assert!(report.is_accepted(), "{report:?}");
        // None of its packets are golden.
        let others = vec![component("radio")];
        let report = compared(&Changed {
            components: others.clone(),
            ..changed()
        });
        assert_eq!(report.packets_reached, 0);
        assert!(
            report.objections[0].contains("none of 1 golden"),
            "{report:?}"
        );
        let report = compared(&Changed {
            components: others,
            replaces,
            ..changed()
        });
        assert!(report.is_accepted(), "{report:?}");
    }

    #[test]
    fn each_threshold_objects_for_itself() {
        let fine = Report {
            packets: 1000,
            packets_reached: 100,
            replaces: true,
            rows_same: 100,
            ns_per_packet_active: 100.0,
            ns_per_packet_candidate: 100.0,
            ..Report::default()
        };
        let cases: [(Report, &str); 6] = [
            (fine.clone(), ""),
            (
                Report {
                    faults: 2,
                    faults_active: 2,
                    ..fine.clone()
                },
                "",
            ),
            (
                Report {
                    rows_different: 51,
                    ..fine.clone()
                },
                "differ, more",
            ),
            (
                Report {
                    rejected_candidate: 60,
                    rejected_active: 9,
                    ..fine.clone()
                },
                "are rejected",
            ),
            (
                Report {
                    faults: 1,
                    ..fine.clone()
                },
                "faults",
            ),
            (
                Report {
                    ns_per_packet_candidate: 201.0,
                    ..fine
                },
                "times as long",
            ),
        ];
        for (mut report, expected) in cases {
            report.judge(&THRESHOLDS);
            match expected {
                "" => assert!(report.is_accepted(), "{report:?}"),
                expected => {
                    assert_eq!(report.objections.len(), 1, "{report:?}");
                    assert!(report.objections[0].contains(expected), "{report:?}");
                }
            }
        }
    }
}
