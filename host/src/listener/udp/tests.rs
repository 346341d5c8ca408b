use super::*;
use metrics_exporter_prometheus::PrometheusBuilder;
use std::{thread, time::Instant};

/// How long a receiver may take to end: many times what it should.
const PATIENCE: Duration = Duration::from_secs(5);

fn listener(receive_buffer_bytes: usize) -> UdpListener {
    let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
    UdpListener::bind(loopback, receive_buffer_bytes).unwrap()
}

fn sender(listener: &UdpListener) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(listener.address()).unwrap();
    socket
}

fn packets(work: Work) -> u64 {
    match work {
        Work::Packets(batch) => batch.len() as u64,
        other => panic!("{other:?}"),
    }
}

/// Packets that come until nobody is left to send any.
fn all_packets(taken: &mut mpsc::Receiver<Work>) -> u64 {
    let mut all = 0;
    while let Some(work) = taken.blocking_recv() {
        all += packets(work);
    }
    all
}

#[test]
fn a_receiver_ends_though_its_senders_do_not() {
    // Some that it could wait for, and one that is faster than it is.
    for pause in [Duration::from_millis(5), Duration::ZERO] {
        let listener = listener(1 << 20);
        let sender = sender(&listener);
        let (work, mut taken) = mpsc::channel(1024);
        let (stop, over) = (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
        let (stopped, is_over) = (stop.clone(), over.clone());
        let sending = thread::spawn(move || {
            while !is_over.load(Ordering::Relaxed) {
                // Once the receiver has ended nobody listens there.
                let _ = sender.send(b"a packet");
                thread::sleep(pause);
            }
        });
        let receiving = thread::spawn(move || listener.run(&work, &stopped));
        let taking = thread::spawn(move || all_packets(&mut taken));
        thread::sleep(Duration::from_millis(200));
        stop.store(true, Ordering::Relaxed);
        let stopped = Instant::now();
        while !receiving.is_finished() && stopped.elapsed() < PATIENCE {
            thread::sleep(Duration::from_millis(10));
        }
        let has_ended = receiving.is_finished();
        over.store(true, Ordering::Relaxed);
        sending.join().unwrap();
        assert!(has_ended, "with {pause:?} between datagrams");
        assert!(taking.join().unwrap() > 0);
    }
}

#[test]
fn what_a_receiver_holds_when_it_is_stopped_is_handed_on() {
    let listener = listener(1 << 20);
    let sender = sender(&listener);
    // As many as one call brings, so that it looks for more before it hands them on.
    for _ in 0..DATAGRAMS_PER_CALL {
        sender.send(b"a packet").unwrap();
    }
    let (work, mut taken) = mpsc::channel(8);
    listener.run(&work, &Arc::new(AtomicBool::new(true)));
    drop(work);
    assert_eq!(all_packets(&mut taken), DATAGRAMS_PER_CALL as u64);
}

#[test]
fn what_the_kernel_drops_is_counted_after_any_number_of_datagrams_that_it_did_not() {
    let listener = listener(256 << 10);
    let sender = sender(&listener);
    let send =
        |count: usize| (0..count).for_each(|_| assert_eq!(sender.send(&[1; 100]).unwrap(), 100));
    let (work, mut taken) = mpsc::channel(1);
    let stop = Arc::<AtomicBool>::default();
    let recorder = PrometheusBuilder::new().build_recorder();
    // One call brings all of them: each of its headers has been used once.
    send(DATAGRAMS_PER_CALL);
    let (mut sent, mut received) = (DATAGRAMS_PER_CALL as u64, 0);
    thread::scope(|scope| {
        scope.spawn(|| {
            metrics::with_local_recorder(&recorder, || listener.run(&work, &stop));
        });
        // Nobody takes them, so that the buffer fills.
        send(20_000);
        sent += 20_000;
        let mut idle = 0;
        while idle < 5 {
            match taken.try_recv() {
                Ok(work) => {
                    received += packets(work);
                    idle = 0;
                }
                Err(_) => {
                    idle += 1;
                    thread::sleep(Duration::from_millis(50));
                }
            }
        }
        // It is told with the next that is not dropped.
        send(1);
        sent += 1;
        received += packets(taken.blocking_recv().unwrap());
        stop.store(true, Ordering::Relaxed);
    });
    assert!(received < sent, "nothing was dropped");
    let rendered = recorder.handle().render();
    let counted = format!(
        "heplake_packets_lost_total{{reason=\"udp_kernel_buffer_full\"}} {}",
        sent - received
    );
    assert!(rendered.contains(&counted), "{counted}:\n{rendered}");
}

#[test]
fn an_address_that_another_edge_has_is_refused_by_the_name_of_its_setting() {
    let first = listener(64 << 10);
    let error = UdpListener::bind(first.address(), 64 << 10).unwrap_err();
    let address = first.address();
    let expected = format!(
        "cannot listen on udp {address} (ingest.udp.host and ingest.udp.port set it): Address already in use"
    );
    assert!(error.to_string().starts_with(&expected), "{error}");
    // The other workers of the same edge share it.
    assert_eq!(first.another().unwrap().address(), address);
}

#[test]
fn a_buffer_that_is_smaller_than_asked_is_a_notice() {
    for (asked, is_small) in [(4096, false), (1 << 40, true)] {
        let health = Health::new();
        let _listener = listener(asked).reporting(health.clone());
        let report = health.report();
        assert_eq!(report.has(Code::UdpReceiveBufferSmall), is_small, "{asked}");
        assert_eq!(report.status, crate::health::Status::Ok);
    }
}
