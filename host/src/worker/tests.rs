use super::*;
use crate::{commit::Committer, pipeline::tests::pipeline, store::Store};
use metrics_exporter_prometheus::PrometheusBuilder;
use std::{net::SocketAddr, thread};

fn batch(packets: &[&str]) -> Work {
    let mut batch = PacketBatch::default();
    for packet in packets {
        let peer = SocketAddr::from(([192, 0, 2, 9], 4000));
        batch.push(packet.as_bytes(), 1_795_305_600_000_000, peer);
    }
    Work::Packets(batch)
}

#[test]
fn a_worker_that_stops_takes_nothing_with_it_but_what_it_had() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let directory = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let backlog = Backlog::new(Amount::MAX);
    thread::scope(|scope| {
        let recorder = &recorder;
        let start = || {
            let (sender, receiver) = mpsc::channel(8);
            let edge = "here".parse().unwrap();
            let worker = Worker::new(pipeline(false), edge, Compression::Snappy, backlog.clone());
            let work = move || metrics::with_local_recorder(recorder, || worker.work(receiver));
            (sender, scope.spawn(work))
        };
        let ((one, stops), (other, goes_on)) = (start(), start());
        let store = Store::open(directory.path()).unwrap();
        let workers = vec![one.clone(), other.clone()];
        let edge = "here".parse().unwrap();
        let opening = Committer::open(store, edge, workers, backlog.clone());
        let mut committer = runtime.block_on(opening).unwrap();

        for sender in [&one, &other] {
            sender.blocking_send(batch(&["9||a", "9||b"])).unwrap();
        }
        // It panics on the second.
        one.blocking_send(batch(&["9||c", "@"])).unwrap();
        let is_late = one.blocking_send(batch(&["9||d"])).is_err();
        assert!(!stops.join().unwrap(), "it had a fault");
        assert!(one.blocking_send(batch(&[])).is_err(), "nobody takes it");

        for _ in 0..2 {
            let committed = runtime.block_on(committer.commit());
            assert_eq!((committed.packets, committed.rows), (2, 2));
            assert!(committer.is_worker_gone());
            assert_eq!(backlog.waiting(), Amount::default());
            other.blocking_send(batch(&["9||e", "9||f"])).unwrap();
        }
        let lost = if is_late { 4 } else { 5 };
        let counted = format!("heplake_packets_lost_total{{reason=\"worker_stopped\"}} {lost}");
        let rendered = recorder.handle().render();
        assert!(rendered.contains(&counted), "{rendered}");
        drop((other, committer));
        assert!(goes_on.join().unwrap(), "nobody gave it work any more");
    });
}

#[test]
fn workers_are_held_up_by_many_rows_and_by_large_ones() {
    let amount = |rows, bytes| Amount { rows, bytes };
    for (waiting, is_held_up) in [
        (amount(9, 99), false),
        (amount(10, 0), true),
        (amount(1, 100), true),
    ] {
        let backlog = Backlog::new(amount(10, 100));
        backlog.change(Amount::default(), waiting);
        // Never while the committer waits for them.
        backlog.hold_up(|| panic!("held up"));
        backlog.begin_storing();
        let mut times = 0;
        backlog.hold_up(|| {
            times += 1;
            if times == 3 {
                backlog.end_storing(waiting);
            }
        });
        assert_eq!(times > 0, is_held_up, "{waiting:?}");
    }
}

#[test]
fn workers_that_stand_still_say_so_in_health() {
    let amount = Amount {
        rows: 10,
        bytes: 100,
    };
    let health = Health::new();
    let backlog = Backlog::reporting(amount, health.clone());
    backlog.change(Amount::default(), amount);
    backlog.begin_storing();
    let mut was_reported = false;
    backlog.hold_up(|| {
        if health.report().has(Code::BacklogFull) {
            was_reported = true;
            backlog.end_storing(amount);
        }
    });
    assert!(was_reported);
    assert!(!health.report().has(Code::BacklogFull));
}
