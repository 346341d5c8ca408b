use super::*;
use declared::{Key, Metric, Values};
use metrics_exporter_prometheus::PrometheusRecorder;
use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

/// Metrics of their own: those of the process are another test's.
fn recorder(half: Half) -> PrometheusRecorder {
    let recorder = builder().unwrap().build_recorder();
    metrics::with_local_recorder(&recorder, || begin(half));
    recorder
}

/// Name, labels and value of each series.
fn series(rendered: &str) -> Vec<(&str, &str, f64)> {
    let lines = rendered.lines();
    let samples = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    samples
        .map(|line| {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
            (
                name,
                labels.strip_suffix('}').unwrap(),
                value.parse().unwrap(),
            )
        })
        .collect()
}

/// Of a line `# HELP name text` or `# TYPE name kind`: by name.
fn comments<'a>(rendered: &'a str, start: &str) -> BTreeMap<&'a str, &'a str> {
    let mut found = BTreeMap::new();
    for line in rendered.lines() {
        if let Some(rest) = line.strip_prefix(start) {
            let (name, text) = rest.split_once(' ').unwrap();
            assert!(found.insert(name, text).is_none(), "{name} twice");
        }
    }
    found
}

#[test]
fn each_series_of_a_fresh_process_has_help_type_and_a_valid_name() {
    let rendered = recorder(Half::Both).handle().render();
    let (help, kind) = (
        comments(&rendered, "# HELP "),
        comments(&rendered, "# TYPE "),
    );
    let is_name = |name: &str| {
        name.bytes()
            .all(|b| b.is_ascii_lowercase() || b == b'_' || b.is_ascii_digit())
    };
    for (name, _, value) in series(&rendered) {
        let ends = ["_bucket", "_sum", "_count"];
        let of = ends.iter().find_map(|end| name.strip_suffix(end));
        let of = of
            .filter(|of| kind.get(of) == Some(&"histogram"))
            .unwrap_or(name);
        assert!(is_name(of), "{of}");
        assert!(
            help.get(of).is_some_and(|help| help.ends_with('.')),
            "{of} has no HELP"
        );
        let is_counter = kind[of] == "counter";
        assert_eq!(of.ends_with("_total"), is_counter, "{of} is a {}", kind[of]);
        assert!(value >= 0.0, "{name} is {value}");
    }
    assert_eq!(
        help.keys().collect::<Vec<_>>(),
        kind.keys().collect::<Vec<_>>()
    );
}

#[test]
fn what_is_known_beforehand_is_there_from_the_start_as_zero() {
    let rendered = recorder(Half::Both).handle().render();
    let series = series(&rendered);
    let value = |name: &str, labels: &str| {
        let found = series
            .iter()
            .find(|(of, has, _)| *of == name && *has == labels);
        found
            .unwrap_or_else(|| panic!("{name}{{{labels}}} is not there"))
            .2
    };
    for (name, labels) in [
        (
            "heplake_packets_lost_total",
            "reason=\"udp_kernel_buffer_full\"",
        ),
        ("heplake_packets_lost_total", "reason=\"worker_stopped\""),
        ("heplake_packets_received_total", "transport=\"tcp\""),
        ("heplake_store_errors_total", ""),
        ("heplake_register_refused_total", ""),
        ("heplake_register_oldest_waiting_seconds", ""),
        ("heplake_commit_seconds_count", ""),
        (
            "heplake_component_swap_pause_seconds_bucket",
            "le=\"0.000002\"",
        ),
        ("heplake_http_errors_total", "code=\"busy\""),
        ("heplake_health_reason", "code=\"store_unwritable\""),
    ] {
        assert_eq!(value(name, labels), 0.0, "{name}{{{labels}}}");
    }
    let version = format!("version=\"{}\"", env!("CARGO_PKG_VERSION"));
    assert_eq!(value("heplake_build_info", &version), 1.0);
    for metric in METRICS.iter().filter(|metric| !metric.series().is_empty()) {
        let name = metric.name;
        let is_there = series.iter().any(|(of, _, _)| of.starts_with(name));
        assert!(is_there, "{name} is not there");
    }
}

#[test]
fn a_half_has_its_own_metrics_and_not_those_of_the_other() {
    for (half, has, has_not) in [
        (
            Half::Edge,
            "heplake_commits_total",
            "heplake_register_commits_total",
        ),
        (
            Half::Lake,
            "heplake_register_commits_total",
            "heplake_commits_total",
        ),
    ] {
        let rendered = recorder(half).handle().render();
        let names: HashSet<&str> = series(&rendered).iter().map(|(name, _, _)| *name).collect();
        assert!(names.contains(has), "{half:?}");
        assert!(names.contains("process_open_fds"), "{half:?}");
        assert!(!names.contains(has_not), "{half:?}");
    }
}

#[test]
fn names_and_units_follow_prometheus() {
    let mut names = HashSet::new();
    for metric in METRICS {
        let name = metric.name;
        assert!(names.insert(name), "{name} is declared twice");
        assert!(
            name.starts_with("heplake_") || name.starts_with("process_"),
            "{name}"
        );
        let of = name.strip_suffix("_total").unwrap_or(name);
        assert_eq!(metric.kind == Kind::Counter, of != name, "{name}");
        let unit = match metric.unit {
            metrics::Unit::Seconds => of.ends_with("_seconds"),
            metrics::Unit::Bytes => of.contains("bytes"),
            _ => !of.contains("bytes") && !of.contains("seconds"),
        };
        assert!(unit, "{name} and its unit");
        if let Kind::Histogram(buckets) = metric.kind {
            assert!(buckets.is_sorted(), "{name}");
        }
    }
}

#[test]
fn health_is_published_when_somebody_asks() {
    let recorder = recorder(Half::Edge);
    let (metrics, health) = (Metrics::of(recorder.handle()), Health::new());
    metrics.measure_health(health.clone());
    let render = || metrics::with_local_recorder(&recorder, || metrics.render());
    assert!(render().contains("heplake_health_status 0\n"));
    health.raise(Code::BacklogFull, "full");
    let rendered = render();
    assert!(rendered.contains("heplake_health_status 2\n"), "{rendered}");
    assert!(
        rendered.contains("heplake_health_reason{code=\"backlog_full\"} 1\n"),
        "{rendered}"
    );
    health.settle(Code::BacklogFull);
    assert!(render().contains("heplake_health_reason{code=\"backlog_full\"} 0\n"));
}

/// A use of a metric in the code.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Use {
    name: String,
    kind: &'static str,
    labels: Vec<String>,
}

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") && !path.ends_with("tests.rs") {
            found.push(path);
        }
    }
}

/// Where a source writes a metric, by the macros of the metrics crate. Labels are the texts before `=>`.
fn uses(text: &str) -> Vec<Use> {
    let mut found = Vec::new();
    let text = text.split("#[cfg(test)]").next().unwrap();
    for (kind, start) in [
        ("counter", "counter!("),
        ("gauge", "gauge!("),
        ("histogram", "histogram!("),
    ] {
        for (at, _) in text.match_indices(start) {
            if text[..at].ends_with("describe_") {
                continue;
            }
            let call = text[at + start.len()..].trim_start();
            let Some(literal) = call.strip_prefix('"') else {
                continue;
            };
            let name = literal.split('"').next().unwrap().to_owned();
            let mut depth = 1;
            let end = call.find(|c| {
                depth += i32::from(c == '(') - i32::from(c == ')');
                depth == 0
            });
            let arguments = &call[..end.unwrap()];
            let labels = arguments
                .split("=>")
                .map(|before| before.rsplit('"').nth(1));
            let labels = labels.take(arguments.matches("=>").count());
            let labels = labels.map(|label| label.unwrap().to_owned()).collect();
            found.push(Use { name, kind, labels });
        }
    }
    found
}

#[test]
fn uses_are_found_in_sources() {
    let text = r#"metrics::counter!("a_total", "x" => y.clone(), "z" =>
        "1").increment(1); gauge!("b").set(f(1)); describe_gauge!("c", "d"); histogram!("e")"#;
    let of = |name: &str, kind, labels: &[&str]| Use {
        name: name.into(),
        kind,
        labels: labels.iter().map(|label| (*label).into()).collect(),
    };
    let expected = [
        of("a_total", "counter", &["x", "z"]),
        of("b", "gauge", &[]),
        of("e", "histogram", &[]),
    ];
    assert_eq!(uses(text), expected);
}

#[test]
fn the_code_writes_the_metrics_that_are_declared_and_no_others() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    sources(&root.join("src"), &mut files);
    sources(&root.join("../lake/src"), &mut files);
    let mut written = BTreeSet::new();
    for file in files {
        for found in uses(&fs::read_to_string(&file).unwrap()) {
            let metric = METRICS.iter().find(|metric| metric.name == found.name);
            let Some(metric) = metric else {
                panic!(
                    "{}: the metric {} is not declared: add it to host/src/telemetry/declared.rs",
                    file.display(),
                    found.name
                );
            };
            assert_eq!(
                found.kind,
                kind(metric),
                "{}: {}",
                file.display(),
                found.name
            );
            for label in &found.labels {
                let is_declared = metric.labels.iter().any(|key| key.name == label);
                assert!(is_declared, "{}: {}: {label}", file.display(), found.name);
            }
            written.insert(metric.name);
        }
    }
    for metric in METRICS {
        assert!(
            written.contains(metric.name),
            "nothing writes {}",
            metric.name
        );
    }
}

/// Every code of an error over HTTP is a value of the label of the metric that counts them.
#[test]
fn the_codes_of_errors_are_known_beforehand() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    sources(&root.join("src/http"), &mut files);
    sources(&root.join("../lake/src/http"), &mut files);
    let metric = METRICS
        .iter()
        .find(|metric| metric.name == "heplake_http_errors_total");
    let Values::Known(known) = metric.unwrap().labels[0].values else {
        panic!("they are known");
    };
    assert!(known.is_sorted());
    let mut count = 0;
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        for after in text.split("StatusCode::").skip(1) {
            let after = after.trim_start_matches(|c: char| c.is_ascii_uppercase() || c == '_');
            let Some(literal) = after.strip_prefix(',').map(str::trim_start) else {
                continue;
            };
            let Some(code) = literal
                .strip_prefix('"')
                .and_then(|rest| rest.split('"').next())
            else {
                continue;
            };
            assert!(
                known.contains(&code),
                "{}: {code} is not in HTTP_ERROR_CODES",
                file.display()
            );
            count += 1;
        }
    }
    assert!(count > 20, "only {count} were found");
}

fn kind(metric: &Metric) -> &'static str {
    match metric.kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Histogram(_) => "histogram",
    }
}

fn label(key: &Key) -> String {
    match key.values {
        Values::Known(values) if values.len() > 6 => format!("`{}`: see below", key.name),
        Values::Known(values) => format!("`{}`: {}", key.name, values.join(", ")),
        Values::Open(whose) => format!("`{}`: {whose}", key.name),
    }
}

/// docs/metrics.md lists every metric as it is declared. `HEPLAKE_BLESS=1` writes it anew.
#[test]
fn the_page_about_metrics_lists_every_metric() {
    let mut rows = String::from(
        "| metric | kind | unit | half | labels | what it says |\n|---|---|---|---|---|---|\n",
    );
    let mut long = String::new();
    for metric in METRICS {
        let unit = match metric.unit {
            metrics::Unit::Seconds => "s",
            metrics::Unit::Bytes => "B",
            _ => "",
        };
        let labels: Vec<String> = metric.labels.iter().map(label).collect();
        let _ = writeln!(
            rows,
            "| `{}` | {} | {unit} | {} | {} | {} |",
            metric.name,
            kind(metric),
            metric.of.name(),
            labels.join("; "),
            metric.help
        );
        for key in metric.labels {
            if let Values::Known(values) = key.values
                && values.len() > 6
            {
                let _ = writeln!(
                    long,
                    "\nValues of `{}` of `{}`: {}.",
                    key.name,
                    metric.name,
                    values.join(", ")
                );
            }
        }
    }
    rows.push_str(&long);
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/metrics.md");
    crate::page::hold(&path, "metrics", &rows);
}
