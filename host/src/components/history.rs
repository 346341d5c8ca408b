//! What was done to components, when, and by whom.

use serde::{Deserialize, Serialize};

/// Events that are kept: years of a careful site, a day of a watched directory gone wrong.
pub(super) const EVENTS_MAX: usize = 4096;

/// Longest text that somebody else may put into an event, in bytes.
const TEXT_BYTES_MAX: usize = 1024;

/// The event of an upload that was not taken.
const REFUSED: &str = "refused";

/// Something that was done to a component.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When, µs since 1970, UTC.
    pub at_us: u64,
    /// What: `staged`, `refused`, `activated`, `canary_failed`, `rolled_back`, `taken_out`,
    /// `breaker_tripped`, `load_failed`, `removed`.
    pub event: String,
    /// The component's name; empty if it has none that can be read.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its digest.
    pub digest: String,
    /// Who did it: a name that was given, `watch` or `breaker`.
    pub by: String,
    /// Whether objections were overridden.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub forced: bool,
    /// Why, where there is more to say.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

impl Event {
    /// Logs it, counts it, and cuts its texts to a bounded length.
    pub(super) fn tell(mut self) -> Self {
        for text in [
            &mut self.name,
            &mut self.version,
            &mut self.by,
            &mut self.reason,
        ] {
            let mut end = text.len().min(TEXT_BYTES_MAX);
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            text.truncate(end);
        }
        let Self {
            event,
            name,
            version,
            digest,
            by,
            forced,
            reason,
            ..
        } = &self;
        // What is refused may be called anything: a series for each would be without end.
        match event.as_str() {
            REFUSED => metrics::counter!("heplake_component_events_total", "event" => REFUSED),
            _ => metrics::counter!("heplake_component_events_total",
                "component" => name.clone(), "event" => event.clone()),
        }
        .increment(1);
        match event.as_str() {
            "staged" | "activated" | "rolled_back" | "taken_out" | "removed" => {
                tracing::info!(
                    event,
                    name,
                    version,
                    digest,
                    by,
                    forced,
                    reason,
                    "component"
                );
            }
            _ => tracing::warn!(
                event,
                name,
                version,
                digest,
                by,
                forced,
                reason,
                "component"
            ),
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use metrics_exporter_prometheus::PrometheusBuilder;

    #[test]
    fn whatever_is_refused_is_one_series() {
        let recorder = PrometheusBuilder::new().build_recorder();
        metrics::with_local_recorder(&recorder, || {
            for (number, event) in ["refused", "refused", "refused", "staged"]
                .iter()
                .enumerate()
            {
                let told = Event {
                    at_us: 1,
                    event: (*event).into(),
                    name: format!("name-{number}"),
                    version: format!("{number}.0.0"),
                    digest: format!("{number:064}"),
                    by: "ann".into(),
                    forced: false,
                    reason: String::new(),
                };
                told.tell();
            }
        });
        let rendered = recorder.handle().render();
        let series: Vec<&str> = rendered
            .lines()
            .filter(|line| line.starts_with("heplake_component_events_total"))
            .collect();
        assert_eq!(series.len(), 2, "{rendered}");
        let refused = "heplake_component_events_total{event=\"refused\"} 3";
        assert!(series.contains(&refused), "{rendered}");
    }
}
