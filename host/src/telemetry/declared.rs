//! Every metric, declared once. `/metrics` takes HELP, TYPE, buckets and the series that are 0 at the start from
//! here, docs/metrics.md its table, and a test holds the code to it: a name that is not here fails it, and so does one
//! that nothing writes.
//!
//! Names follow Prometheus: a prefix, the thing, its unit, `_total` for a counter.

use crate::health::{Code, Half};
use metrics::{Label, Unit, counter, gauge, histogram};

/// Buckets of durations, in seconds: from a batch in a sandbox to a query's deadline.
const DURATION_BUCKETS_S: &[f64] = &[
    0.000_1, 0.000_5, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 10.0, 30.0,
];

/// Buckets of a worker's pause, in seconds: a pointer is exchanged in a microsecond, and a worker that lost the
/// processor meanwhile takes milliseconds.
const PAUSE_BUCKETS_S: &[f64] = &[
    0.000_000_5,
    0.000_001,
    0.000_002,
    0.000_005,
    0.000_01,
    0.000_025,
    0.000_05,
    0.000_1,
    0.001,
    0.01,
    0.1,
];

/// A metric.
pub(crate) struct Metric {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) unit: Unit,
    /// The half that has it.
    pub(crate) of: Half,
    pub(crate) labels: &'static [Key],
    pub(crate) help: &'static str,
}

/// Its kind.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// How often values were how large, in these buckets.
    Histogram(&'static [f64]),
}

/// The key of a label, and its values.
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) values: Values,
}

/// The values of a label.
#[derive(Clone, Copy)]
pub(crate) enum Values {
    /// These, each of which has a series from the start.
    Known(&'static [&'static str]),
    /// Others, as they come: whose they are, and so how many there can be.
    #[allow(dead_code, reason = "a test makes the page of it")]
    Open(&'static str),
}

use Kind::{Counter, Gauge, Histogram};
use Values::{Known, Open};

const fn key(name: &'static str, values: Values) -> Key {
    Key { name, values }
}

const fn metric(
    of: Half,
    name: &'static str,
    kind: Kind,
    unit: Unit,
    labels: &'static [Key],
    help: &'static str,
) -> Metric {
    Metric {
        name,
        kind,
        unit,
        of,
        labels,
        help,
    }
}

const TRANSPORT: &[Key] = &[key("transport", Known(&["udp", "tcp"]))];
const COMPONENT: Values = Open("names of components");
const VERSION: Values = Open("versions of components");

const HEALTH_CODES: &[&str] = &{
    let mut names = [""; Code::ALL.len()];
    let mut at = 0;
    while at < names.len() {
        names[at] = Code::ALL[at].name();
        at += 1;
    }
    names
};

/// Codes of errors over HTTP, of all listeners.
const HTTP_ERROR_CODES: &[&str] = &[
    "abandoned",
    "ambiguous",
    "answer_too_large",
    "bad_request",
    "body_too_large",
    "body_too_slow",
    "busy",
    "canary_failed",
    "changed",
    "deadline_exceeded",
    "does_not_fit",
    "forbidden",
    "impeded",
    "internal",
    "interrupted",
    "kept",
    "no_such_call",
    "no_such_route",
    "not_acceptable",
    "not_active",
    "nothing_before",
    "nothing_there",
    "objected",
    "out_of_memory",
    "refused",
    "statement_invalid",
    "statement_refused",
    "stopping",
    "store",
    "too_many_names",
    "unauthorized",
    "unconfirmed",
    "unknown",
    "untrusted",
    "worker_stuck",
    "wrong_content_type",
    "wrong_host",
    "wrong_method",
];

/// Every metric, in the order of the page.
#[rustfmt::skip]
pub(crate) const METRICS: &[Metric] = &[
    metric(Half::Both, "heplake_build_info", Gauge, Unit::Count, &[key("version", Open("the version of this program"))],
        "Always 1; the labels say which Heplake this is."),
    metric(Half::Both, "heplake_health_status", Gauge, Unit::Count, &[],
        "Status of /health: 0 is ok, 1 degraded, 2 failing."),
    metric(Half::Both, "heplake_health_reason", Gauge, Unit::Count, &[key("code", Known(HEALTH_CODES))],
        "1 while /health gives this reason, else 0."),
    metric(Half::Both, "heplake_http_errors_total", Counter, Unit::Count, &[key("code", Known(HTTP_ERROR_CODES))],
        "Requests over HTTP that were answered with an error, by the code of the error."),
    metric(Half::Both, "process_cpu_seconds_total", Counter, Unit::Seconds, &[],
        "Processor time of this process, in whole seconds."),
    metric(Half::Both, "process_resident_memory_bytes", Gauge, Unit::Bytes, &[],
        "Memory that this process has."),
    metric(Half::Both, "process_open_fds", Gauge, Unit::Count, &[],
        "Files and sockets that this process has open."),
    metric(Half::Both, "process_max_fds", Gauge, Unit::Count, &[],
        "Files and sockets that this process may have open."),
    metric(Half::Both, "process_start_time_seconds", Gauge, Unit::Seconds, &[],
        "When this process started, in seconds since 1970."),

    metric(Half::Both, "heplake_disk_free_bytes", Gauge, Unit::Bytes, &[key("setting", Known(&["ducklake.data_path", "ducklake.catalog_path"]))],
        "Room left on the disk of the path that the setting names; 0 until it is looked at."),

    metric(Half::Edge, "heplake_packets_received_total", Counter, Unit::Count, TRANSPORT,
        "Packets received."),
    metric(Half::Edge, "heplake_bytes_received_total", Counter, Unit::Bytes, TRANSPORT,
        "Bytes received."),
    metric(Half::Edge, "heplake_packets_processed_total", Counter, Unit::Count, &[],
        "Packets that a worker has taken from its queue."),
    metric(Half::Edge, "heplake_packets_lost_total", Counter, Unit::Count, &[key("reason", Known(&["udp_kernel_buffer_full", "worker_stopped"]))],
        "Packets that are not stored and never will be."),
    metric(Half::Edge, "heplake_packets_refused_total", Counter, Unit::Count, &[key("component", COMPONENT), key("reason", Open("reasons of components, and of faults"))],
        "Packets that a component did not read. They are stored in hep_rejected, or raw."),
    metric(Half::Edge, "heplake_packets_set_aside_total", Counter, Unit::Count, &[key("component", COMPONENT), key("kind", Open("kinds that components tell apart"))],
        "Packets that are no messages, such as keep-alives. They are stored only if ingest.store_keep_alives says so."),
    metric(Half::Edge, "heplake_udp_receive_buffer_bytes", Gauge, Unit::Bytes, &[],
        "Receive buffer that the kernel grants a UDP socket."),
    metric(Half::Edge, "heplake_udp_errors_total", Counter, Unit::Count, &[],
        "System calls that should have brought UDP packets and failed."),
    metric(Half::Edge, "heplake_tcp_connections", Gauge, Unit::Count, &[],
        "TCP connections of senders that are open."),
    metric(Half::Edge, "heplake_tcp_connections_refused_total", Counter, Unit::Count, &[],
        "TCP connections that were closed at once, because ingest.tcp.max_connections were open."),
    metric(Half::Edge, "heplake_tcp_streams_refused_total", Counter, Unit::Count, &[key("reason", Known(&["stream_magic", "stream_length"]))],
        "TCP connections that were closed because HEP could not be read on."),

    metric(Half::Edge, "heplake_worker_queue_batches", Gauge, Unit::Count, &[key("worker", Open("numbers of workers, from 0"))],
        "Batches of packets that wait for a worker."),
    metric(Half::Edge, "heplake_workers_held_up_total", Counter, Unit::Count, &[],
        "Times that a worker had to wait for the store."),
    metric(Half::Edge, "heplake_rows_waiting", Gauge, Unit::Count, &[],
        "Rows in memory that no commit holds yet."),
    metric(Half::Edge, "heplake_bytes_waiting", Gauge, Unit::Bytes, &[],
        "Bytes of these rows, as data files hold them."),
    metric(Half::Edge, "heplake_rows_written_total", Counter, Unit::Count, &[key("table", Open("tables"))],
        "Rows written to data files, by table."),
    metric(Half::Edge, "heplake_commits_total", Counter, Unit::Count, &[],
        "Commits written to the store."),
    metric(Half::Edge, "heplake_committed_rows_total", Counter, Unit::Count, &[],
        "Rows in these commits."),
    metric(Half::Edge, "heplake_committed_files_total", Counter, Unit::Count, &[],
        "Data files in these commits."),
    metric(Half::Edge, "heplake_commit_seconds", Histogram(DURATION_BUCKETS_S), Unit::Seconds, &[],
        "How long a commit took, from the sealing of files to the written commit."),
    metric(Half::Edge, "heplake_store_errors_total", Counter, Unit::Count, &[],
        "Writes and reads that the store refused. Each is tried again."),
    metric(Half::Edge, "heplake_commit_sequences_taken_total", Counter, Unit::Count, &[],
        "Commits whose number another writer under this edge's name had used. Each got the next free number."),
    metric(Half::Edge, "heplake_data_file_names_taken_total", Counter, Unit::Count, &[],
        "Data files whose name was taken, mostly by a run of this edge that was killed. Each got the next free name."),

    metric(Half::Edge, "heplake_component_active", Gauge, Unit::Count, &[key("component", COMPONENT), key("version", VERSION), key("digest", Open("digests of components"))],
        "1 for a component that serves, 0 for one that did."),
    metric(Half::Edge, "heplake_component_events_total", Counter, Unit::Count, &[key("event", Open("kinds of events")), key("component", COMPONENT)],
        "Events in the history of components. A refused upload has no component."),
    metric(Half::Edge, "heplake_component_faults_total", Counter, Unit::Count, &[key("component", COMPONENT), key("version", VERSION), key("kind", Open("kinds of faults"))],
        "Faults of components."),
    metric(Half::Edge, "heplake_component_instances_replaced_total", Counter, Unit::Count, &[key("component", COMPONENT), key("version", VERSION), key("reason", Known(&["fault", "memory"]))],
        "Instances of components that were thrown away: after a fault, or because they had become large."),
    metric(Half::Edge, "heplake_component_swap_pause_seconds", Histogram(PAUSE_BUCKETS_S), Unit::Seconds, &[],
        "How long a worker stood still when its components were exchanged."),

    metric(Half::Lake, "heplake_register_commits_total", Counter, Unit::Count, &[],
        "Commits registered."),
    metric(Half::Lake, "heplake_register_files_total", Counter, Unit::Count, &[],
        "Data files registered."),
    metric(Half::Lake, "heplake_register_rows_total", Counter, Unit::Count, &[],
        "Rows registered."),
    metric(Half::Lake, "heplake_register_seconds", Histogram(DURATION_BUCKETS_S), Unit::Seconds, &[],
        "How long it took to register what was new, where there was something."),
    metric(Half::Lake, "heplake_register_oldest_waiting_seconds", Gauge, Unit::Seconds, &[],
        "How long the oldest commit has been waiting that the lake found and could not register; 0 if there is none."),
    metric(Half::Lake, "heplake_register_failing", Gauge, Unit::Count, &[],
        "1 while nothing can be registered, else 0."),
    metric(Half::Lake, "heplake_register_failures_total", Counter, Unit::Count, &[],
        "Times that nothing could be registered."),
    metric(Half::Lake, "heplake_register_refused_total", Counter, Unit::Count, &[],
        "Times that a commit was refused as a whole, or for another reason than before."),
    metric(Half::Lake, "heplake_register_gaps_total", Counter, Unit::Count, &[],
        "Gaps found in the commits of edges."),
    metric(Half::Lake, "heplake_register_set_aside_rows_total", Counter, Unit::Count, &[key("reason", Known(&["absent", "claim", "column_type", "description", "file", "table"]))],
        "Rows of commits that did not fit the lake and were set aside."),
    metric(Half::Lake, "heplake_set_aside_files", Gauge, Unit::Count, &[],
        "Files that are set aside until somebody decides."),
    metric(Half::Lake, "heplake_set_aside_rows", Gauge, Unit::Count, &[],
        "Rows in these files."),
    metric(Half::Lake, "heplake_refused_commits", Gauge, Unit::Count, &[],
        "Commits of which nothing is registered, because they cannot be read."),
    metric(Half::Lake, "heplake_changed_files", Gauge, Unit::Count, &[],
        "Registered data files that were found changed or gone."),
];

impl Metric {
    /// Whether a process that runs this half, or both, has it.
    pub(crate) fn is_of(&self, half: Half) -> bool {
        self.of == Half::Both || half == Half::Both || self.of == half
    }

    /// Tells the recorder what it is.
    pub(super) fn describe(&self) {
        match self.kind {
            Counter => metrics::describe_counter!(self.name, self.unit, self.help),
            Gauge => metrics::describe_gauge!(self.name, self.unit, self.help),
            Histogram(_) => metrics::describe_histogram!(self.name, self.unit, self.help),
        }
    }

    /// Makes the series whose labels are known, with the value 0.
    pub(super) fn begin(&self) {
        for labels in self.series() {
            match self.kind {
                Counter => counter!(self.name, labels).increment(0),
                Gauge => gauge!(self.name, labels).set(0.0),
                Histogram(_) => drop(histogram!(self.name, labels)),
            }
        }
    }

    /// The labels of the series that are known beforehand: none if one of the labels is open.
    pub(crate) fn series(&self) -> Vec<Vec<Label>> {
        let known = self.labels.iter().filter_map(|key| match key.values {
            Known(values) => Some((key.name, values)),
            Open(_) => None,
        });
        if known.clone().count() < self.labels.len() {
            return Vec::new();
        }
        let mut series = vec![Vec::new()];
        for (name, values) in known {
            let with = |labels: &Vec<Label>, value: &'static str| {
                let mut labels = labels.clone();
                labels.push(Label::new(name, value));
                labels
            };
            series = values
                .iter()
                .flat_map(|value| {
                    series
                        .iter()
                        .map(|labels| with(labels, value))
                        .collect::<Vec<_>>()
                })
                .collect();
        }
        series
    }
}
