use super::*;
use metrics_exporter_prometheus::PrometheusBuilder;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn packet(content: &[u8]) -> Vec<u8> {
    let length = (content.len() + 6) as u16;
    [&b"HEP3"[..], &length.to_be_bytes(), content].concat()
}

proptest! {
    #[test]
    fn packets_survive_any_cuts(
        contents in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..20),
        cuts in prop::collection::vec(1usize..50, 1..60),
    ) {
        let packets: Vec<Vec<u8>> = contents.iter().map(|content| packet(content)).collect();
        let stream = packets.concat();
        let peer = SocketAddr::from(([127, 0, 0, 1], 5060));
        let (mut buffer, mut found, mut at) = (Vec::new(), Vec::new(), 0);
        for cut in cuts.iter().cycle() {
            if at == stream.len() {
                break;
            }
            let end = stream.len().min(at + cut);
            let (batch, error) = split(&mut buffer, &stream[at..end], 0, peer);
            prop_assert_eq!(error, None);
            prop_assert!(buffer.capacity() <= PACKET_BYTES_MAX);
            found.extend((0..batch.len()).map(|index| batch.packet(index).to_vec()));
            at = end;
        }
        prop_assert_eq!(found, packets);
        prop_assert!(buffer.is_empty());
    }
}

#[test]
fn captured_streams_give_the_same_packets_in_pieces_of_every_size_up_to_64_kib() {
    let peer = SocketAddr::from(([127, 0, 0, 1], 5060));
    for capture in ["heplify-2.0.25-tcp", "kamailio-5.6.3-hep3-tcp-mode1"] {
        let path = format!(
            "{}/../tests/captures/{capture}.stream",
            env!("CARGO_MANIFEST_DIR")
        );
        let stream = std::fs::read(path).unwrap();
        let (whole, error) = split(&mut Vec::new(), &stream, 0, peer);
        assert_eq!((whole.bytes.len(), error), (stream.len(), None));
        for size in 1..=64 << 10 {
            let (mut buffer, mut found) = (Vec::new(), PacketBatch::default());
            for piece in stream.chunks(size) {
                let (batch, error) = split(&mut buffer, piece, 0, peer);
                assert_eq!(error, None, "{capture} in pieces of {size}");
                assert!(buffer.capacity() <= PACKET_BYTES_MAX);
                found.append(&batch);
            }
            assert!(
                found.bytes == whole.bytes && found.ends == whole.ends,
                "{capture}: {size}"
            );
        }
    }
}

#[test]
fn what_cannot_be_split_is_kept_whole() {
    let peer = SocketAddr::from(([127, 0, 0, 1], 5060));
    let mut buffer = b"HE".to_vec();
    let (batch, error) = split(&mut buffer, b"P3\x00\x07xGET /", 0, peer);
    assert_eq!((batch.len(), error), (1, Some(FrameError::Magic)));
    assert_eq!(buffer, b"GET /");
}

/// How long connections may take to end: many times what they should.
const PATIENCE: Duration = Duration::from_secs(5);

#[tokio::test]
async fn connections_end_when_told_to_though_their_peers_go_on_sending() {
    let stream_of_packets = packet(&[7; 1000]).repeat(1000);
    // A byte now and then, and more than can be read.
    for (bytes, pause) in [(1, Duration::from_millis(20)), (usize::MAX, Duration::ZERO)] {
        let bytes_to_send = stream_of_packets.clone();
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        let listener = TcpListener::bind(loopback, 4, PATIENCE).await.unwrap();
        let mut stream = TcpStream::connect(listener.address()).await.unwrap();
        let (work, mut taken) = mpsc::channel(4);
        let stop = CancellationToken::new();
        let running = tokio::spawn(listener.run(vec![work], stop.clone()));
        let sending = tokio::spawn(async move {
            for part in bytes_to_send.chunks(bytes).cycle() {
                if stream.write_all(part).await.is_err() {
                    break;
                }
                tokio::time::sleep(pause).await;
            }
        });
        let taking = tokio::spawn(async move {
            let mut packets = 0;
            while let Some(Work::Packets(batch)) = taken.recv().await {
                packets += batch.len();
            }
            packets
        });
        tokio::time::sleep(Duration::from_millis(200)).await;
        stop.cancel();
        let ended = tokio::time::timeout(PATIENCE, running).await;
        assert!(ended.is_ok(), "{pause:?} between writes");
        // The last packet is cut, and handed on as it is.
        assert!(taking.await.unwrap() > 0);
        sending.abort();
    }
}

#[test]
fn what_a_connection_holds_when_its_worker_is_gone_is_counted() {
    let recorder = PrometheusBuilder::new().build_recorder();
    // On this thread, whose counters are looked at.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let connection = async {
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        let listener = TcpListener::bind(loopback, 4, PATIENCE).await.unwrap();
        let mut stream = TcpStream::connect(listener.address()).await.unwrap();
        let (work, _) = mpsc::channel(4);
        let stop = CancellationToken::new();
        let running = tokio::spawn(listener.run(vec![work], stop.clone()));
        let cut = packet(b"cut short");
        let sent = [&packet(b"whole")[..], &cut[..cut.len() - 1]].concat();
        stream.write_all(&sent).await.unwrap();
        // It is closed then.
        let _ = stream.read_to_end(&mut Vec::new()).await;
        stop.cancel();
        running.await.unwrap();
    };
    metrics::with_local_recorder(&recorder, || runtime.block_on(connection));
    let rendered = recorder.handle().render();
    let counted = "heplake_packets_lost_total{reason=\"worker_stopped\"} 2";
    assert!(rendered.contains(counted), "{rendered}");
}

#[tokio::test]
async fn what_a_connection_ends_with_is_no_datagram() {
    let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
    let listener = TcpListener::bind(loopback, 4, PATIENCE).await.unwrap();
    let mut stream = TcpStream::connect(listener.address()).await.unwrap();
    let (work, mut taken) = mpsc::channel(4);
    let stop = CancellationToken::new();
    let running = tokio::spawn(listener.run(vec![work], stop.clone()));
    let cut = packet(b"cut short");
    let sent = [&packet(b"whole")[..], &cut[..cut.len() - 1]].concat();
    stream.write_all(&sent).await.unwrap();
    drop(stream);
    let mut all = PacketBatch::default();
    while all.len() < 2 {
        let Some(Work::Packets(batch)) = taken.recv().await else {
            panic!("two packets");
        };
        all.append(&batch);
    }
    assert_eq!((all.len(), all.unfinished), (2, vec![1]));
    stop.cancel();
    running.await.unwrap();
}

#[tokio::test]
async fn all_that_was_sent_before_is_read_however_slow_a_worker_is() {
    let sent = 4000;
    let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
    let listener = TcpListener::bind(loopback, 4, PATIENCE).await.unwrap();
    let mut stream = TcpStream::connect(listener.address()).await.unwrap();
    let (work, mut taken) = mpsc::channel(1);
    let stop = CancellationToken::new();
    let running = tokio::spawn(listener.run(vec![work], stop.clone()));
    {
        use tokio::io::AsyncWriteExt;
        let all = packet(&[7; 1000]).repeat(sent);
        // In the kernels, as far as they take it.
        let written = tokio::time::timeout(PATIENCE, stream.write_all(&all));
        let taking = async {
            let mut packets = 0;
            tokio::time::sleep(Duration::from_millis(100)).await;
            stop.cancel();
            while let Some(Work::Packets(batch)) = taken.recv().await {
                // Longer in all than a connection is waited for.
                tokio::time::sleep(Duration::from_millis(40)).await;
                packets += batch.len();
            }
            packets
        };
        let (written, packets) = tokio::join!(written, taking);
        written.unwrap().unwrap();
        assert_eq!(packets, sent);
    }
    running.await.unwrap();
}

#[tokio::test]
async fn connections_that_are_closed_for_want_of_a_place_stand_in_health() {
    let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
    let health = Health::new();
    let listener = TcpListener::bind(loopback, 1, PATIENCE).await.unwrap();
    let listener = listener.reporting(health.clone());
    let address = listener.address();
    let (work, _taken) = mpsc::channel(1);
    let stop = CancellationToken::new();
    let running = tokio::spawn(listener.run(vec![work], stop.clone()));
    let _first = TcpStream::connect(address).await.unwrap();
    let mut second = TcpStream::connect(address).await.unwrap();
    // It is closed at once.
    let _ = second.read_to_end(&mut Vec::new()).await;
    assert!(health.report().has(Code::TcpConnectionsFull));
    stop.cancel();
    running.await.unwrap();
}

#[tokio::test]
async fn an_address_that_is_taken_is_refused_by_the_name_of_its_setting() {
    let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
    let first = TcpListener::bind(loopback, 1, PATIENCE).await.unwrap();
    let second = TcpListener::bind(first.address(), 1, PATIENCE).await;
    let error = second.unwrap_err().to_string();
    assert!(
        error.contains("(ingest.tcp.host and ingest.tcp.port set it)"),
        "{error}"
    );
}

#[tokio::test]
async fn connections_that_nobody_had_accepted_when_told_to_stop_are_read() {
    let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
    let listener = TcpListener::bind(loopback, 100, PATIENCE).await.unwrap();
    for number in 0..50 {
        let mut stream = TcpStream::connect(listener.address()).await.unwrap();
        stream.write_all(&packet(&[number; 10])).await.unwrap();
    }
    let (work, mut taken) = mpsc::channel(100);
    let stop = CancellationToken::new();
    stop.cancel();
    listener.run(vec![work], stop).await;
    let mut packets = 0;
    while let Some(Work::Packets(batch)) = taken.recv().await {
        packets += batch.len();
    }
    assert_eq!(packets, 50);
}
