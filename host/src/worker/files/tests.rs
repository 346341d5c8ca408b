use super::*;
use crate::{
    checked::{Checked, RowShape},
    rows::{EnvelopeFields, NONE, Origin, Space, TablePlan, TablePlans, WHOLE},
};
use heplake_sdk::{Accepts, Cell, Description, Field, Kind, Parsed};
use uuid::Uuid;

const DAY: u64 = 86_400_000_000;
const ARRIVED: u64 = 20_000 * DAY;
/// The envelope's field that holds a packet's own time.
const TIMESTAMP: usize = 6;

fn envelope() -> Description {
    let fields = [
        ("version", Kind::Number),
        ("protocol", Kind::Number),
        ("src_ip", Kind::Address),
        ("dst_ip", Kind::Address),
        ("src_port", Kind::Number),
        ("dst_port", Kind::Number),
        ("timestamp", Kind::Time),
        ("proto_type", Kind::Number),
        ("node_id", Kind::Text),
        ("correlation_id", Kind::Text),
        ("payload", Kind::Bytes),
    ];
    Description::new("wrapped", "0.1.0", Accepts::Datagrams)
        .fields(fields.map(|(name, kind)| Field::new(name, kind)))
}

/// Packets without a payload: of each its protocol type and its own time.
struct Packets {
    checked: Checked,
    plans: Vec<TablePlan>,
    rows: Vec<(usize, Row)>,
}

impl Packets {
    fn of(packets: &[(u32, u64)]) -> Self {
        let description = envelope();
        let width = description.fields.len();
        let mut cells = vec![Cell::NULL.0; width * packets.len()];
        let plans = TablePlans::new(&description);
        let mut types: Vec<u32> = packets.iter().map(|(proto_type, _)| *proto_type).collect();
        types.sort_unstable();
        types.dedup();
        let mut rows = Vec::new();
        for (packet, (proto_type, time)) in packets.iter().enumerate() {
            cells[packet * width + TIMESTAMP] = *time;
            let row = Row {
                packet: packet as u32,
                envelope: packet as u32,
                payload: NONE,
                refusal: NONE,
                timestamp: *time as i64,
                uuid: Uuid::nil(),
                envelope_text_max: WHOLE,
            };
            rows.push((types.binary_search(proto_type).unwrap(), row));
        }
        let parsed = Parsed {
            cells,
            items: (0..packets.len() as u32).collect(),
            verdicts: vec![0; packets.len()],
            scratch: Vec::new(),
        };
        let shape = RowShape::of(&description).unwrap();
        Self {
            checked: Checked::new(parsed, &vec![0; packets.len()], &shape).unwrap(),
            plans: types
                .iter()
                .map(|proto_type| plans.of_protocol(*proto_type).unwrap())
                .collect(),
            rows,
        }
    }

    /// Writes each row for itself, as the last packet of many batches may.
    fn write_to(&self, files: &mut Files) {
        let nothing = Space::new(Vec::new());
        let received = vec![ARRIVED; self.rows.len()];
        let origin = Origin {
            envelope: &self.checked,
            payload: None,
            spaces: [&nothing; 4],
            received: &received,
            peers: &[],
            timestamp_field: EnvelopeFields::of(&envelope()).unwrap().timestamp,
            refusals: &[],
        };
        let made_by: Arc<[ComponentDigest]> = Arc::new([]);
        for (plan, row) in &self.rows {
            let rows = TableRows {
                plan: &self.plans[*plan],
                date: PartitionDate::of_micros(row.timestamp),
                made_by: &made_by,
                origin: &origin,
                rows: std::slice::from_ref(row),
            };
            files.write(&rows).unwrap();
        }
    }
}

fn files() -> Files {
    files_with(&Backlog::new(Amount::MAX))
}

fn files_with(backlog: &Arc<Backlog>) -> Files {
    let edge = "here".parse().unwrap();
    Files::new(edge, Compression::Snappy, backlog.clone())
}

fn holds(file: &WorkedFile, text: &str) -> bool {
    let mut windows = file.sealed.bytes.windows(text.len());
    windows.any(|window| window == text.as_bytes())
}

#[test]
fn times_of_any_number_of_days_open_a_bounded_number_of_files_and_no_row_is_lost() {
    let most = OPEN_FILES_MAX + CLOSED_EARLY_MAX;
    for (days, tables) in [(1, 1), (60, 1), (100, 1), (3000, 1), (40, 70), (1, 256)] {
        let packets: Vec<(u32, u64)> = (0..days * tables)
            .map(|packet| {
                let (day, table) = (packet / tables, packet % tables);
                (table as u32, ARRIVED - day as u64 * DAY)
            })
            .collect();
        let mut files = files();
        for sequence in 1..=2 {
            Packets::of(&packets).write_to(&mut files);
            // Those of the day of arrival come on top: one for each table.
            assert!(files.full.len() <= CLOSED_EARLY_MAX);
            assert!(files.open.len() <= OPEN_FILES_MAX + tables);
            let sealed = files.seal(Sequence(sequence), || {}).unwrap();
            let rows: u64 = sealed.iter().map(|file| file.sealed.record_count).sum();
            assert_eq!(rows, packets.len() as u64, "{days} days, {tables} tables");
            let late = sealed
                .iter()
                .filter(|file| holds(file, "original_timestamp"))
                .map(|file| file.date);
            let arrived = PartitionDate::of_micros(ARRIVED as i64);
            let late: Vec<PartitionDate> = late.collect();
            assert!(late.iter().all(|date| *date == arrived));
            let is_beyond = days > most || (days > 1 && days * tables > most + tables);
            assert_eq!(!late.is_empty(), is_beyond, "{days} days, {tables} tables");
        }
    }
}

#[test]
fn what_files_hold_is_in_the_backlog_until_it_is_stored_or_lost() {
    // In one file; in as many as there may be, and some that were closed early.
    for days in [1, 100] {
        let packets: Vec<(u32, u64)> = (0..1000)
            .map(|packet| (1, ARRIVED - packet % days * DAY))
            .collect();
        let packets = Packets::of(&packets);
        let backlog = Backlog::new(Amount::MAX);
        let mut files = files_with(&backlog);
        for sequence in 1..=2 {
            packets.write_to(&mut files);
            let waiting = backlog.waiting();
            assert_eq!(waiting.rows, 1000);
            // A UUID and a time at least.
            assert!(waiting.bytes > 1000 * 24, "{waiting:?}");
            let sealed = files.seal(Sequence(sequence), || {}).unwrap();
            let bytes = sealed.iter().map(|file| file.sealed.bytes.len() as u64);
            let stored = Amount {
                rows: 1000,
                bytes: bytes.sum(),
            };
            assert_eq!(backlog.waiting(), stored);
            backlog.end_storing(stored);
            assert_eq!(backlog.waiting(), Amount::default());
        }
        packets.write_to(&mut files);
        drop(files);
        assert_eq!(
            backlog.waiting(),
            Amount::default(),
            "of a worker that is gone"
        );
    }
}

#[test]
fn what_arrives_at_midnight_is_stored_under_both_days() {
    let packets = Packets::of(&[(1, 5 * DAY), (1, 6 * DAY), (1, 7 * DAY)]);
    let nothing = Space::new(Vec::new());
    let origin = Origin {
        envelope: &packets.checked,
        payload: None,
        spaces: [&nothing; 4],
        received: &[ARRIVED - 1, ARRIVED, ARRIVED - 2],
        peers: &[],
        timestamp_field: TIMESTAMP,
        refusals: &[],
    };
    let rows: Vec<Row> = packets.rows.iter().map(|(_, row)| *row).collect();
    let by_day = by_arrival(&TableRows {
        plan: &packets.plans[0],
        date: PartitionDate::of_micros(0),
        made_by: &(Arc::new([]) as Arc<[ComponentDigest]>),
        origin: &origin,
        rows: &rows,
    });
    let found: Vec<(String, Vec<i64>)> = by_day
        .iter()
        .map(|(day, rows)| {
            let times = rows.iter().map(|row| row.timestamp);
            (day.to_string(), times.collect())
        })
        .collect();
    let arrived = ARRIVED as i64;
    assert_eq!(
        found,
        [
            ("2024-10-03".into(), vec![arrived - 1, arrived - 2]),
            ("2024-10-04".into(), vec![arrived]),
        ]
    );
}
