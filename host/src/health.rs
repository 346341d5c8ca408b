//! Health: whether a service does its work, and if not, why.
//!
//! Each part of a service reports a [`Code`] here when something is wrong, and takes the report back when it is
//! right again. `/health` answers the list, and the worst [`Severity`] in it is the status. Both halves use this
//! one type. The table of codes below is the only place where a code has its severity and its advice;
//! docs/health.md is made of it.

mod words;

pub use words::{cause, for_strangers};

use serde::{Serialize, Serializer};
use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

/// Subjects that one code may have at a time: edges and components are tens. More would only make
/// the answer long.
const SUBJECTS_MAX: usize = 32;

/// How much a reason matters. The worst of all reasons decides the status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing; the status stays `ok`.
    Notice,
    /// The service works, but somebody should look.
    Degraded,
    /// The service does not do its work, or is about to lose packets: `/health` answers 503.
    Failing,
}

/// The answer of `/health` in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// All is well.
    Ok,
    /// Somebody should look.
    Degraded,
    /// The service does not do its work.
    Failing,
}

/// Declares the codes, and the one table that says what each means.
macro_rules! codes {
    ($($code:ident = $name:literal, $severity:ident, $of:ident, $means:literal, $to_do:literal;)*) => {
        /// A reason why a service is not well. Clients compare [`Code::name`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $(#[doc = $means] $code,)*
        }

        impl Code {
            /// Every code, in the order of the page.
            pub const ALL: &'static [Self] = &[$(Self::$code),*];

            /// Its name in JSON and in metrics.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$code => $name,)* }
            }

            /// How much it matters.
            #[must_use]
            pub fn severity(self) -> Severity {
                match self { $(Self::$code => Severity::$severity,)* }
            }

            /// The half that reports it.
            #[must_use]
            pub fn of(self) -> Half {
                match self { $(Self::$code => Half::$of,)* }
            }

            /// A sentence that says what is wrong when it is reported.
            #[must_use]
            pub fn means(self) -> &'static str {
                match self { $(Self::$code => $means,)* }
            }

            /// A sentence that says what to do about it.
            #[must_use]
            pub fn to_do(self) -> &'static str {
                match self { $(Self::$code => $to_do,)* }
            }
        }
    };
}

codes! {
StoreUnwritable = "store_unwritable", Degraded, Edge,
"The store does not take a data file or a commit. The rows wait in memory and are written as soon as it does.",
"Make room on the disk of `ducklake.data_path`, or correct its owner and rights. Do not end the process before: that loses the rows that wait.";

BacklogFull = "backlog_full", Failing, Edge,
"As many rows or bytes wait for the store as may, so that the workers stand still. TCP senders wait, and the kernel drops UDP packets once its buffer is full.",
"As for `store_unwritable`. If the store is only slow, give it a faster disk.";

WorkerStopped = "worker_stopped", Failing, Edge,
"A worker stopped by a fault of Heplake. The edge writes what the others have, and ends with a failure.",
"Let the service manager start it again, and report the line of the log that says `a worker stopped`.";

Draining = "draining", Failing, Edge,
"The service was told to stop and is writing what it received. New packets are not received any more.",
"Wait for its end. The log says what it waits for.";

EdgeNameTaken = "edge_name_taken", Degraded, Edge,
"Another process wrote under the name of this edge within the last ten minutes: a copy of its machine, or an edge that took its name over. Nothing is lost, because both only create files.",
"Give each edge a name of its own by `edge.name`, and restart the one that is wrong. A copy of a machine starts without `<data_dir>/edges` of the original.";

PacketsLost = "packets_lost", Degraded, Edge,
"Packets were lost within the last minute.",
"See `heplake_packets_lost_total` for the reason. `udp_kernel_buffer_full`: raise `net.core.rmem_max` and `ingest.udp.receive_buffer_bytes`, add workers (`writer.worker_count`), or let senders use TCP.";

ComponentCutOff = "component_cut_off", Degraded, Edge,
"A component faulted too often and is not called any more. The version before it serves, or its payloads are stored raw.",
"`heplake component history` says what happened. Correct the component, then stage and activate it; any activation of that name ends this reason.";

ComponentNotLoaded = "component_not_loaded", Degraded, Edge,
"What was active when the edge ended does not serve: a component in the store could not be loaded, or the store has lost its record of what was active. The version before it or the shipped one serves, or its payloads are stored raw.",
"Stage the component again and activate it: that ends this reason. `heplake component history` says what was active.";

TcpConnectionsFull = "tcp_connections_full", Degraded, Edge,
"As many TCP connections are open as may be. Further ones are closed at once.",
"Raise `ingest.tcp.max_connections`, or shorten `ingest.tcp.idle_timeout` if senders leave connections behind.";

WatchDirectoryUnreadable = "watch_directory_unreadable", Degraded, Edge,
"`components.watch_directory` cannot be read, so that nothing is staged from it.",
"Make the directory, or correct its rights.";

UdpReceiveBufferSmall = "udp_receive_buffer_small", Notice, Edge,
"The kernel grants a smaller UDP receive buffer than `ingest.udp.receive_buffer_bytes` asks for. Bursts may be dropped.",
"`sysctl -w net.core.rmem_max=33554432`, and the same in /etc/sysctl.d to keep it; or ask for less.";

CannotRegister = "cannot_register", Failing, Lake,
"Commits cannot be registered, so that new packets cannot be queried. They are safe in the store.",
"The text says why: most often the disk of `ducklake.catalog_path` is full, or another program holds the catalog.";

CommitsRefused = "commits_refused", Degraded, Lake,
"Commits cannot be read, and nothing of them is registered: their rows cannot be queried. They are looked at again later.",
"`heplake repair list` says which, and why. [repair.md](repair.md#refused) says what to do.";

RowsSetAside = "rows_set_aside", Degraded, Lake,
"Rows of commits do not fit their tables and are set aside until somebody decides what becomes of them.",
"Decide by `heplake repair`, as [repair.md](repair.md#set-aside) has it.";

FilesChanged = "files_changed", Degraded, Lake,
"A data file of the lake is missing, or is not the one that was registered. Queries that need it fail.",
"The text names the files. Put them back, or take them up anew or out of the lake, as [repair.md](repair.md#changed-files) has it.";

CommitsMissing = "commits_missing", Notice, Lake,
"Commits of an edge are missing between others that are there: the rows in them are lost unless they appear.",
"Look whether the edge lost its disk, or whether `commits/<edge>/` was copied in part. If they appear they are registered.";

DiskSpaceLow = "disk_space_low", Degraded, Both,
"Less room is left on a disk than a few commits need.",
"Make room before writing fails.";
}

/// Which half of Heplake something belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Half {
    /// The edge.
    Edge,
    /// The lake.
    Lake,
    /// Either.
    Both,
}

impl Half {
    /// Its name in the pages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Edge => "edge",
            Self::Lake => "lake",
            Self::Both => "both",
        }
    }
}

/// Why a service is not well, as `/health` says it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// The code that programs compare.
    pub code: Code,
    /// How much it matters.
    pub severity: Severity,
    /// The reason for people: one line without paths of this machine.
    pub text: String,
    /// Since when, UTC.
    pub since: String,
}

/// How a service is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The worst of all reasons.
    pub status: Status,
    /// The worst first.
    pub reasons: Vec<Reason>,
}

/// The list of what is wrong with a service at present. Every part of the service reports here.
#[derive(Default)]
pub struct Health {
    board: Mutex<Board>,
    probes: Mutex<Vec<Probe>>,
}

/// Looks for one code when somebody asks.
struct Probe {
    code: Code,
    look: Box<dyn Fn() -> Option<String> + Send + Sync>,
}

/// The reasons at present, by code and subject.
type Board = BTreeMap<(Code, String), Entry>;

struct Entry {
    text: String,
    since: SystemTime,
    /// When it ends by itself.
    until: Option<SystemTime>,
}

impl Health {
    /// A service with which nothing is wrong.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Reports that something is wrong. A report that is there keeps its time and gets the new text.
    pub fn raise(&self, code: Code, text: impl Into<String>) {
        self.raise_about(code, "", text);
    }

    /// Reports that something is wrong with one of several: an edge, a component, a disk.
    pub fn raise_about(&self, code: Code, subject: &str, text: impl Into<String>) {
        self.put(code, subject, text.into(), None);
    }

    /// Reports something that counts for so long, and is then forgotten.
    pub fn raise_for(&self, code: Code, lasts: Duration, text: impl Into<String>) {
        self.put(code, "", text.into(), Some(SystemTime::now() + lasts));
    }

    /// Takes back all reports of a code.
    pub fn settle(&self, code: Code) {
        lock(&self.board).retain(|(raised, _), _| *raised != code);
    }

    /// Takes back the report about one of several.
    pub fn settle_about(&self, code: Code, subject: &str) {
        lock(&self.board).remove(&(code, subject.into()));
    }

    /// Has `look` say, whenever somebody asks for health, whether something is wrong. It must not block.
    pub fn probe(&self, code: Code, look: impl Fn() -> Option<String> + Send + Sync + 'static) {
        let look = Box::new(look);
        lock(&self.probes).push(Probe { code, look });
    }

    /// How the service is now.
    #[must_use]
    pub fn report(&self) -> Report {
        let found: Vec<(Code, Option<String>)> = lock(&self.probes)
            .iter()
            .map(|probe| (probe.code, (probe.look)()))
            .collect();
        for (code, text) in found {
            match text {
                Some(text) => self.raise(code, text),
                None => self.settle(code),
            }
        }
        let now = SystemTime::now();
        let mut board = lock(&self.board);
        board.retain(|_, entry| entry.until.is_none_or(|until| now < until));
        let mut reasons: Vec<Reason> = board
            .iter()
            .map(|((code, _), entry)| Reason {
                code: *code,
                severity: code.severity(),
                text: entry.text.clone(),
                since: humantime::format_rfc3339_seconds(entry.since).to_string(),
            })
            .collect();
        reasons.sort_by_key(|reason| std::cmp::Reverse(reason.severity));
        let worst = reasons.first().map(|reason| reason.severity);
        Report {
            status: worst.map_or(Status::Ok, Status::of),
            reasons,
        }
    }

    fn put(&self, code: Code, subject: &str, text: String, until: Option<SystemTime>) {
        let text = words::for_strangers(&text);
        let mut board = lock(&self.board);
        let of_code = board.keys().filter(|(raised, _)| *raised == code).count();
        let key = (code, subject.to_owned());
        if of_code >= SUBJECTS_MAX && !board.contains_key(&key) {
            return;
        }
        let entry = board.entry(key).or_insert_with(|| Entry {
            text: String::new(),
            since: SystemTime::now(),
            until,
        });
        (entry.text, entry.until) = (text, until);
    }
}

impl Status {
    fn of(worst: Severity) -> Self {
        match worst {
            Severity::Notice => Self::Ok,
            Severity::Degraded => Self::Degraded,
            Severity::Failing => Self::Failing,
        }
    }

    /// Its number as a metric.
    #[must_use]
    pub fn number(self) -> f64 {
        match self {
            Self::Ok => 0.0,
            Self::Degraded => 1.0,
            Self::Failing => 2.0,
        }
    }
}

impl Report {
    /// Whether a code is among the reasons.
    #[must_use]
    pub fn has(&self, code: Code) -> bool {
        self.reasons.iter().any(|reason| reason.code == code)
    }
}

impl Severity {
    /// Its name in JSON and in the page.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Notice => "notice",
            Self::Degraded => "degraded",
            Self::Failing => "failing",
        }
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Health")
    }
}

/// A panic elsewhere leaves no report half written.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
