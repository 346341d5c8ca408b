//! The watcher: registers new commits, again and again, and knows how that goes.

use crate::{Condition, ConditionReason, Lake, RegisterError, Registered, Waiting};
use heplake_host::health::{Code, Health, for_strangers};
use metrics::{counter, gauge};
use serde::Serialize;
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use tokio::{task::spawn_blocking, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;

/// Registers what is new at an interval, and once more when it is told to stop.
#[derive(Debug)]
pub struct Watcher {
    status: Mutex<WatcherStatus>,
    health: Arc<Health>,
    /// What of the lake is reported to `health` at present.
    reported: Mutex<BTreeSet<(Code, String)>>,
}

/// How registering goes.
#[derive(Clone, Debug, Default, Serialize)]
pub struct WatcherStatus {
    /// Commits registered since the start.
    pub commits: u64,
    /// Their data files.
    pub files: u64,
    /// Their rows.
    pub rows: u64,
    /// When something was last registered, seconds since 1970.
    pub last_registered_s: Option<u64>,
    /// What waits for a person.
    #[serde(flatten)]
    pub condition: Condition,
    /// Gaps in the sequences of edges, since the start.
    pub gaps: u64,
    /// Why nothing can be registered now; none if it can.
    pub error: Option<String>,
}

impl Watcher {
    /// One that has seen nothing yet, and reports to `health`.
    #[must_use]
    pub fn new(health: Arc<Health>) -> Arc<Self> {
        Arc::new(Self {
            status: Mutex::default(),
            health,
            reported: Mutex::default(),
        })
    }

    /// How registering goes.
    #[must_use]
    pub fn status(&self) -> WatcherStatus {
        let status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        status.clone()
    }

    /// Registers at the interval until `stop`, and then what has come since.
    pub async fn run(
        self: Arc<Self>,
        lake: Arc<Lake>,
        interval: Duration,
        stop: CancellationToken,
    ) {
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut stopping = false;
        while !stopping {
            tokio::select! {
                _ = ticks.tick() => {}
                () = stop.cancelled() => stopping = true,
            }
            self.look(&lake).await;
        }
    }

    async fn look(&self, lake: &Arc<Lake>) {
        let lake = Arc::clone(lake);
        let started = Instant::now();
        match spawn_blocking(move || lake.register_new()).await {
            Ok(outcome) => self.note(outcome, started.elapsed()),
            Err(panic) => {
                tracing::error!(%panic, "registering ended abnormally");
                self.fail(panic.to_string());
            }
        }
    }

    fn note(&self, outcome: Result<Registered, RegisterError>, took: Duration) {
        match outcome {
            Ok(registered) => self.succeed(&registered, took),
            Err(error) => {
                if self.fail(error.to_string()) {
                    tracing::error!(%error, "commits cannot be registered; trying again");
                }
            }
        }
    }

    fn succeed(&self, registered: &Registered, took: Duration) {
        let Registered {
            commits,
            files,
            rows,
            gaps,
            gaps_now,
            condition,
            ..
        } = registered;
        if *commits > 0 {
            tracing::info!(
                commits,
                files,
                rows,
                took_ms = took.as_millis() as u64,
                "registered"
            );
            metrics::histogram!("heplake_register_seconds").record(took.as_secs_f64());
        }
        gauge!("heplake_register_failing").set(0.0);
        gauge!("heplake_set_aside_files").set(condition.set_aside_files as f64);
        gauge!("heplake_set_aside_rows").set(condition.set_aside_rows as f64);
        gauge!("heplake_refused_commits").set(condition.refused_commits as f64);
        gauge!("heplake_changed_files").set(condition.changed_files as f64);

        let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        if status.error.take().is_some() {
            tracing::info!("commits can be registered again");
        }
        status.commits += commits;
        status.files += files;
        status.rows += rows;
        status.gaps += gaps.len() as u64;
        status.condition.clone_from(condition);
        self.health.settle(Code::CannotRegister);
        self.report(condition.reasons());
        match gaps_now {
            0 => self.health.settle(Code::CommitsMissing),
            count => {
                let text = format!("{count} gaps in the commits of edges");
                self.health.raise(Code::CommitsMissing, text);
            }
        }
        if *commits > 0 {
            status.last_registered_s = seconds_since_1970();
        }
    }

    /// Reports what waits for a person, and takes back what does not any more. A report that
    /// goes on keeps its time.
    fn report(&self, reasons: Vec<ConditionReason>) {
        let lock = self.reported.lock();
        let mut reported = lock.unwrap_or_else(PoisonError::into_inner);
        let mut now = BTreeSet::new();
        for ConditionReason { of, subject, text } in reasons {
            let code = match of {
                Waiting::Changed => Code::FilesChanged,
                Waiting::SetAside => Code::RowsSetAside,
                Waiting::Refused => Code::CommitsRefused,
            };
            self.health.raise_about(code, &subject, text);
            now.insert((code, subject));
        }
        for (code, subject) in reported.difference(&now) {
            self.health.settle_about(*code, subject);
        }
        *reported = now;
    }

    /// Notes the error; whether it is another than before.
    fn fail(&self, error: String) -> bool {
        let error = for_strangers(&error);
        self.health.raise(Code::CannotRegister, &*error);
        counter!("heplake_register_failures_total").increment(1);
        gauge!("heplake_register_failing").set(1.0);
        let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = status.error.as_ref() != Some(&error);
        status.error = Some(error);
        is_new
    }
}

fn seconds_since_1970() -> Option<u64> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    Some(since.as_secs())
}
