//! Components that take each other's place while packets flow.

use crate::site::Site;
use heplake_components::shipped;
use heplake_format::Commit;
use heplake_host::{
    Activate, Activated, Control, ControlError, Entry, Stage,
    signature::{Signature, SigningKey},
};
use heplake_lake::Lake;
use heplake_tests::{
    poison,
    traffic::{Traffic, hep3, now_us, set_times},
    variants::{relabelled, with_text},
};
use std::{
    collections::BTreeSet,
    fs,
    io::Write,
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

/// Messages of a write: little enough that swaps fall between them.
const WRITE: usize = 64;
/// One message of so many traps the parser of [`poison`]: enough of each write that no canary
/// can miss them all.
const POISONED_ONE_OF: u32 = 16;

pub(crate) fn stage(control: &Control, bytes: Vec<u8>) -> Entry {
    let by = "test".into();
    control
        .stage(Stage {
            bytes,
            by,
            ..Stage::default()
        })
        .unwrap()
}

pub(crate) fn activate(
    control: &Control,
    digests: &[&str],
    force: bool,
) -> Result<Activated, ControlError> {
    control.activate(&Activate {
        digests: digests.iter().map(|digest| (*digest).into()).collect(),
        force,
        by: "test".into(),
    })
}

pub(crate) fn bytes(name: &str) -> &'static [u8] {
    shipped(name).unwrap().bytes
}

pub(crate) fn active(control: &Control, name: &str) -> Option<String> {
    control.list().0[name].active.clone()
}

pub(crate) fn events(control: &Control, event: &str) -> usize {
    let history = control.history();
    history.iter().filter(|one| one.event == event).count()
}

/// Sends made-up traffic until it is stopped, over as many TCP connections as there are
/// workers: each connection goes to the next of them. The time of a message is its number, after
/// `first_us`. Some messages of each write trap the parser of [`poison`], and are messages like
/// others to the shipped one.
pub(crate) struct Sender {
    first_us: u64,
    sent: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Sender {
    pub(crate) fn start(target: SocketAddr, connections: usize) -> Self {
        let first_us = now_us();
        let (sent, stop) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let threads = (0..connections as u64)
            .map(|seed| {
                let (sent, stop) = (sent.clone(), stop.clone());
                thread::spawn(move || {
                    let mut traffic = Traffic::new(seed, first_us);
                    let mut random = fastrand::Rng::with_seed(seed);
                    let mut connection = TcpStream::connect(target).unwrap();
                    while !stop.load(Ordering::Relaxed) {
                        let mut batch = traffic.batch(WRITE);
                        poison::poison(&mut batch, POISONED_ONE_OF, &mut random);
                        let number = sent.fetch_add(WRITE as u64, Ordering::Relaxed);
                        set_times(&mut batch, first_us + number);
                        connection.write_all(&batch.bytes).unwrap();
                    }
                })
            })
            .collect();
        Self {
            first_us,
            sent,
            stop,
            threads,
        }
    }

    /// Stops; the time of the first message, and how many were sent.
    pub(crate) fn stop(self) -> (u64, u64) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().unwrap();
        }
        (self.first_us, self.sent.load(Ordering::Relaxed))
    }
}

#[test]
fn swaps_canaries_and_rollbacks_lose_no_row_and_double_none() {
    let site = Site::open_with(|settings| {
        // However busy the machine is, a canary sees packets.
        settings.component_settings.canary_time = Duration::from_secs(60);
    });
    let control = site.control().clone();
    let sips = [bytes("sip").to_vec(), relabelled(bytes("sip"), "b")];
    let sips = sips.map(|bytes| stage(&control, bytes).digest);
    let router = stage(&control, relabelled(bytes("sip-router"), "b")).digest;
    // One that does well on the golden packets, and not in the field.
    let bad = stage(&control, poison::COMPONENT.to_vec());
    assert!(bad.report.unwrap().is_accepted());

    let workers = site.settings().worker_count;
    let sender = Sender::start(site.tcp_address(), workers);
    thread::sleep(Duration::from_millis(300));
    for round in 0..4 {
        activate(&control, &[&sips[1]], false).unwrap();
        assert_eq!(active(&control, "sip").as_ref(), Some(&sips[1]));
        match round % 2 {
            0 => drop(control.roll_back("sip", "test").unwrap()),
            _ => drop(activate(&control, &[&sips[0]], false).unwrap()),
        }
        assert_eq!(active(&control, "sip").as_ref(), Some(&sips[0]));
        // Both at once, and both back at once.
        activate(&control, &[&sips[1], &router], false).unwrap();
        control.roll_back("sip-router", "test").unwrap();
        assert_eq!(active(&control, "sip").as_ref(), Some(&sips[0]));
        let taken_back = activate(&control, &[&bad.digest], true).unwrap_err();
        assert!(
            matches!(taken_back, ControlError::CanaryFailed { .. }),
            "{taken_back}"
        );
        thread::sleep(Duration::from_millis(50));
    }
    let (first_us, sent) = sender.stop();
    assert_eq!(events(&control, "canary_failed"), 4);
    assert_eq!(events(&control, "rolled_back"), 2 + 4 * 2);

    let (directory, lake) = site.drain();
    let tables: Vec<String> = lake
        .tables()
        .unwrap()
        .into_iter()
        .filter(|table| table.record_count > 0)
        .map(|table| table.name)
        .collect();
    // Every message is there once, by its number: of those that are lost and those that are
    // doubled there might be as many.
    let numbers: Vec<String> = tables
        .iter()
        .map(|table| {
            format!("SELECT uuid, epoch_us(timestamp) - {first_us} AS number FROM {table}")
        })
        .collect();
    let counted = format!(
        "SELECT count(*) || ' rows of ' || count(DISTINCT number) || ' messages, ' ||
            min(number) || ' to ' || max(number) || ', ' || count(DISTINCT uuid) || ' UUIDs' FROM ({})",
        numbers.join(" UNION ALL ")
    );
    let last = sent - 1;
    let expected = format!("\"{sent} rows of {sent} messages, 0 to {last}, {sent} UUIDs\"");
    assert_eq!(first_value(&lake, &counted), expected);

    // Commits say which components made which file.
    let (mut made_by, mut rows_by_part) = (BTreeSet::new(), vec![0; workers]);
    for entry in fs::read_dir(directory.path().join("parquet/commits/test")).unwrap() {
        let commit = Commit::from_json(&fs::read(entry.unwrap().path()).unwrap()).unwrap();
        for file in &commit.files {
            assert!(!file.components.is_empty(), "{}", file.path);
            made_by.extend(file.components.clone());
            rows_by_part[usize::from(file.path.part)] += file.record_count;
        }
    }
    // A worker has one file for a table and date, and each has worked.
    assert!(
        rows_by_part.iter().all(|rows| *rows > 0),
        "{rows_by_part:?}"
    );
    for digest in sips.iter().chain([&router]) {
        assert!(made_by.contains(digest), "{digest}");
    }
}

fn number(site: &Site, sql: &str) -> String {
    first_value(&site.lake, sql)
}

/// The value of an answer of one row and one column, as Arrow shows it.
pub(crate) fn first_value(lake: &Lake, sql: &str) -> String {
    let answer = lake.sql(sql, None).unwrap();
    let [batch] = answer.batches.as_slice() else {
        return String::new();
    };
    let text = format!("{:?}", batch.column(0));
    let value = text.lines().find(|line| line.starts_with("  "));
    value
        .unwrap_or_default()
        .trim()
        .trim_matches(',')
        .to_owned()
}

pub(crate) fn send(site: &Site, packets: &[Vec<u8>]) {
    let mut connection = TcpStream::connect(site.tcp_address()).unwrap();
    connection.write_all(&packets.concat()).unwrap();
}

/// Waits until something is so, which it must be soon.
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let mut looks = 0;
    while !is_so() {
        looks += 1;
        assert!(looks < 2000, "{what}: not within twenty seconds");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Messages of SIP, each of which traps the parser of [`poison`].
pub(crate) fn bad_messages(count: usize) -> Vec<Vec<u8>> {
    let mut batch = Traffic::new(5, now_us()).batch(count);
    let mut random = fastrand::Rng::with_seed(5);
    assert_eq!(poison::poison(&mut batch, 1, &mut random), count);
    (0..count)
        .map(|index| batch.packet(index).to_vec())
        .collect()
}

/// A parser of another language, without a router; see its README.
pub(crate) const GRAPHITE: &[u8] =
    include_bytes!("../../../components/examples/c-graphite/graphite.wasm");
const GRAPHITE_TYPE: u8 = 201;

pub(crate) fn metric(text: &str) -> Vec<u8> {
    let (source, target) = (([10, 0, 0, 1], 2003), ([10, 0, 0, 2], 2003));
    hep3(source, target, now_us(), GRAPHITE_TYPE, 1, text.as_bytes())
}

#[test]
fn a_component_that_faults_too_often_with_none_before_it_is_cut_off_until_somebody_acts() {
    let site = Site::open_with(|settings| {
        settings.worker_count = 1;
        settings.component_settings.breaker.faults_max = 20;
    });
    let control = site.control().clone();
    // It gives blank lines a verdict that it does not declare.
    let verdict = r#",{"name":"blank","class":"aside"}]"#;
    let without = format!("]{}", " ".repeat(verdict.len() - 1));
    let bad = stage(&control, with_text(GRAPHITE, verdict, &without)).digest;
    activate(&control, &[&bad], false).unwrap();
    send(&site, &vec![metric("\n"); 64]);
    wait_until("it is cut off", || control.is_tripped(&bad));
    wait_until("that is told", || events(&control, "breaker_tripped") == 1);
    let health = control.cut_off_now().unwrap_or_default();
    assert!(health.starts_with("graphite@"), "{health}");
    assert!(health.ends_with(" is not called any more"), "{health}");

    // What it was for is stored raw.
    let good = vec![metric("web.load 0.5 1767225600\n"); 64];
    send(&site, &good);
    let rows = site.rows_by_table(2 * 64);
    let table = format!("hep_proto_{GRAPHITE_TYPE}_default");
    let (raw, rejected) = (rows[&table], rows["hep_rejected"]);
    assert_eq!(raw + rejected, 2 * 64, "{rows:?}");
    assert!(raw >= 64 && rejected > 20, "{rows:?}");
    let read = format!("SELECT count(*) FROM {table} WHERE path IS NOT NULL");
    assert_eq!(number(&site, &read), "0");
    let of_others = "SELECT count(*) FROM hep_rejected WHERE component NOT LIKE 'graphite@%'";
    assert_eq!(number(&site, of_others), "0");
    assert_eq!(active(&control, "graphite").as_ref(), Some(&bad));
    assert_eq!(events(&control, "rolled_back"), 0);
    // Nor is that news whenever another is activated.
    let other = stage(&control, relabelled(bytes("sip"), "b")).digest;
    activate(&control, &[&other], false).unwrap();
    thread::sleep(Duration::from_millis(100));
    assert_eq!(events(&control, "breaker_tripped"), 1);

    let mended = stage(&control, GRAPHITE.to_vec()).digest;
    activate(&control, &[&mended], false).unwrap();
    assert!(!control.is_tripped(&mended));
    send(&site, &good);
    let after = site.rows_by_table(3 * 64);
    assert_eq!(after["hep_rejected"], rejected);
    assert_eq!(number(&site, &read), "64");
}

#[test]
fn a_new_parser_and_a_new_field_add_columns_and_older_rows_read_null() {
    let site = Site::open();
    let control = site.control().clone();
    // Nobody reads it yet.
    send(&site, &[metric("web.load 0.25 1767225600\n")]);
    site.rows_by_table(1);

    let first = stage(&control, GRAPHITE.to_vec());
    let report = first.report.clone().unwrap();
    assert!(report.is_accepted(), "{report:?}");
    let table = format!("hep_proto_{GRAPHITE_TYPE}_default");
    let new = report
        .new_columns
        .iter()
        .any(|new| *new == format!("{table}.value DOUBLE"));
    assert!(new, "{report:?}");
    activate(&control, &[&first.digest], false).unwrap();
    send(&site, &[metric("web.load 0.5 1767225600\n")]);
    site.rows_by_table(2);
    let sum = format!("SELECT sum(value) FROM {table}");
    assert_eq!(number(&site, &sum), "0.5");
    let nulls = format!("SELECT count(*) FROM {table} WHERE path IS NULL");
    assert_eq!(number(&site, &nulls), "1");

    // Its next version calls a field otherwise: a column more.
    let renamed = with_text(GRAPHITE, "\"path\"", "\"name\"");
    let second = stage(&control, renamed);
    activate(&control, &[&second.digest], true).unwrap();
    send(&site, &[metric("web.load 0.75 1767225600\n")]);
    site.rows_by_table(3);
    assert_eq!(number(&site, &sum), "1.25");
    let count = format!("SELECT count(*) FROM {table} WHERE name = 'web.load' AND path IS NULL");
    assert_eq!(number(&site, &count), "1");

    // And one that changes a type cannot serve, by force neither.
    let changed = with_text(
        GRAPHITE,
        "\"value\",\"kind\":\"real\"",
        "\"value\",\"kind\":\"text\"",
    );
    let third = stage(&control, changed);
    let refused = activate(&control, &[&third.digest], true).unwrap_err();
    assert!(matches!(refused, ControlError::Impeded(_)), "{refused}");
    assert!(refused.to_string().contains("was DOUBLE"), "{refused}");

    // Back to the first, and then to none.
    control.roll_back("graphite", "test").unwrap();
    assert_eq!(active(&control, "graphite"), Some(first.digest));
    control.roll_back("graphite", "test").unwrap();
    assert_eq!(active(&control, "graphite"), None);
    send(&site, &[metric("web.load 1 1767225600\n")]);
    site.rows_by_table(4);
    assert_eq!(number(&site, &nulls), "3");
}

#[test]
fn what_serves_survives_a_restart_and_what_cannot_be_loaded_does_not_keep_an_edge_down() {
    let site = Site::open();
    let (runtime, settings) = (tokio::runtime::Runtime::new().unwrap(), site.settings());
    let control = site.control().clone();
    let shipped = active(&control, "sip").unwrap();
    let second = stage(&control, relabelled(bytes("sip"), "b")).digest;
    activate(&control, &[&second], false).unwrap();
    drop(control);
    let (_directory, _) = site.drain();

    let restarted = |expected: &str| {
        let edge = runtime
            .block_on(heplake_host::Edge::start(settings.clone()))
            .unwrap();
        let control = edge.control().clone();
        assert_eq!(active(&control, "sip").as_deref(), Some(expected));
        runtime.block_on(edge.drain()).unwrap();
        control
    };
    let control = restarted(&second);
    assert_eq!(control.list().0["sip"].previous.as_ref(), Some(&shipped));
    // Its bytes and its machine code are damaged: the one before serves.
    let directory = settings.component_settings.store_directory.join(&second);
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path
            .extension()
            .is_some_and(|extension| extension != "json")
        {
            fs::write(path, "damaged").unwrap();
        }
    }
    let control = restarted(&shipped);
    assert_eq!(events(&control, "load_failed"), 1);
    let said = control.not_loaded_now().unwrap();
    assert!(said.starts_with("sip "), "{said}");

    // What serves in its place is what is gone back to, rather than what could not be loaded.
    let edge = runtime.block_on(heplake_host::Edge::start(settings.clone()));
    let edge = edge.unwrap();
    let control = edge.control().clone();
    let third = stage(&control, relabelled(bytes("sip"), "c")).digest;
    activate(&control, &[&third], false).unwrap();
    assert_eq!(control.not_loaded_now(), None);
    control.roll_back("sip", "test").unwrap();
    assert_eq!(active(&control, "sip").as_ref(), Some(&shipped));
    runtime.block_on(edge.drain()).unwrap();
    let control = restarted(&shipped);
    assert_eq!(control.not_loaded_now(), None);

    // The record of what is active is gone, and the edge says so.
    let state = settings
        .component_settings
        .store_directory
        .join("state.json");
    drop(control);
    fs::remove_file(state).unwrap();
    let control = restarted(&shipped);
    assert!(control.not_loaded_now().unwrap().contains("state.json"));
}

#[test]
fn what_is_not_signed_by_a_trusted_key_is_not_staged() {
    let keys: Vec<SigningKey> = (1..=2)
        .map(|byte| SigningKey::from_seed(&[byte; 32]))
        .collect();
    let site = Site::open_with(|settings| {
        settings.component_settings.trusted_keys = vec![keys[0].trusted_key()];
    });
    let control = site.control();
    let bytes = relabelled(bytes("sip"), "signed");
    let stage = |signature: Option<Signature>| {
        control.stage(Stage {
            bytes: bytes.clone(),
            by: "test".into(),
            signature,
            ..Stage::default()
        })
    };
    assert!(matches!(stage(None), Err(ControlError::Unsigned)));
    let refused = stage(Some(keys[1].sign(&bytes)));
    assert!(matches!(refused, Err(ControlError::Signature(_))));
    let other_bytes = stage(Some(keys[0].sign(b"other bytes")));
    assert!(matches!(other_bytes, Err(ControlError::Signature(_))));
    assert_eq!(events(control, "refused"), 3);
    let entry = stage(Some(keys[0].sign(&bytes))).unwrap();
    assert_eq!(entry.signed_by, Some(keys[0].trusted_key().to_string()));
}
