use super::*;
use std::{
    io::Read,
    net::{TcpListener, UdpSocket},
    path::PathBuf,
};

fn bundled(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "../tests/captures", name]
        .iter()
        .collect()
}

fn packets(name: &str) -> Vec<Vec<u8>> {
    match Capture::read(&bundled(name)).unwrap() {
        Capture::Packets { packets, .. } => packets,
        Capture::Stream { .. } => panic!("{name} is read as a stream"),
    }
}

fn problem(bytes: &[u8]) -> String {
    Capture::parse("x", bytes.to_vec()).unwrap_err().to_string()
}

/// A pcap file, microseconds, little-endian.
fn pcap(link: u32, frames: &[&[u8]]) -> Vec<u8> {
    let mut file = vec![0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    file.extend(65535_u32.to_le_bytes());
    file.extend(link.to_le_bytes());
    for frame in frames {
        let length = u32::try_from(frame.len()).unwrap().to_le_bytes();
        file.extend([0; 8]);
        file.extend(length);
        file.extend(length);
        file.extend(*frame);
    }
    file
}

/// A pcapng file of one interface, little-endian.
fn pcapng(link: u16, frame: &[u8]) -> Vec<u8> {
    let block = |kind: u32, body: &[u8]| {
        let mut body = body.to_vec();
        body.resize(body.len().next_multiple_of(4), 0);
        let length = u32::try_from(body.len() + 12).unwrap().to_le_bytes();
        [&kind.to_le_bytes()[..], &length, &body, &length].concat()
    };
    let mut interface = link.to_le_bytes().to_vec();
    interface.extend([0, 0, 0, 0, 4, 0]);
    let mut packet = vec![0; 12];
    let length = u32::try_from(frame.len()).unwrap().to_le_bytes();
    packet.extend(length);
    packet.extend(length);
    packet.extend(frame);
    let section = [
        0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255,
    ];
    [
        block(0x0a0d_0d0a, &section),
        block(1, &interface),
        block(6, &packet),
    ]
    .concat()
}

/// IPv4 and UDP around a payload, 10.0.0.1:1 to 10.0.0.2:2.
fn ipv4(payload: &[u8], fragment: u16) -> Vec<u8> {
    let udp_length = u16::try_from(8 + payload.len()).unwrap();
    let mut packet = vec![0x45, 0];
    packet.extend((20 + udp_length).to_be_bytes());
    packet.extend([0, 0]);
    packet.extend(fragment.to_be_bytes());
    packet.extend([64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 0, 1, 0, 2]);
    packet.extend(udp_length.to_be_bytes());
    packet.extend([0, 0]);
    packet.extend(payload);
    packet
}

#[test]
fn reads_each_link_type() {
    let ip = ipv4(b"HEP3", 0);
    let ethernet = [&[0; 12][..], &[8, 0], &ip].concat();
    let vlan = [&[0; 12][..], &[0x81, 0, 0, 7, 8, 0], &ip].concat();
    for (link, frame) in [
        (1, ethernet),
        (1, vlan),
        (101, ip.clone()),
        (228, ip.clone()),
        (0, [&[2, 0, 0, 0][..], &ip].concat()),
        (108, [&[0, 0, 0, 2][..], &ip].concat()),
        (113, [&[0; 14][..], &[8, 0], &ip].concat()),
        (276, [&[8, 0][..], &[0; 18], &ip].concat()),
    ] {
        for file in [
            pcap(link, &[&frame]),
            pcapng(u16::try_from(link).unwrap(), &frame),
        ] {
            let capture = Capture::parse("x", file).unwrap();
            let expected = Capture::Packets {
                name: "x".into(),
                packets: vec![b"HEP3".to_vec()],
                skipped: 0,
            };
            assert_eq!(capture, expected, "link type {link}");
        }
    }
}

#[test]
fn counts_what_carries_no_whole_udp_payload() {
    let (whole, first) = (ipv4(b"a", 0), ipv4(b"b", 0x2000));
    let mut tcp = ipv4(b"c", 0);
    tcp[9] = 6;
    let file = pcap(101, &[&first, &whole, &tcp, b"\x45"]);
    let Capture::Packets {
        packets, skipped, ..
    } = Capture::parse("x", file).unwrap()
    else {
        panic!("no packets");
    };
    assert_eq!((packets, skipped), (vec![b"a".to_vec()], 3));
}

#[test]
fn says_why_a_file_is_no_capture() {
    let ip = ipv4(b"HEP3", 0);
    let whole = pcap(101, &[&ip, &ip]);
    assert_eq!(
        problem(b"INVITE sip:x"),
        "x: is no capture: it starts with 49 4e 56 49 54 45 20 73 (\"INVITE s\"), where a pcap, a pcapng, or a stream of HEP packets (HEP3, EEP3 or gzip) is expected"
    );
    assert!(problem(b"").contains("it starts with nothing"));
    assert!(problem(&pcap(101, &[])).ends_with("holds no UDP packet; 0 of other protocols"));
    assert!(problem(&pcap(147, &[&ip])).contains("captured on a link of type"));
    let cut = problem(&whole[..whole.len() - 1]);
    assert!(cut.starts_with("x: is damaged in packet 2: "), "{cut}");
    let missing = Capture::read(&bundled("none.pcap"))
        .unwrap_err()
        .to_string();
    assert!(missing.contains("none.pcap: cannot be read: "), "{missing}");
}

#[test]
fn every_prefix_of_a_capture_is_read_or_refused() {
    for file in [
        pcap(101, &[&ipv4(b"HEP3", 0)]),
        pcapng(101, &ipv4(b"HEP3", 0)),
    ] {
        for length in 0..file.len() {
            let _ = Capture::parse("x", file[..length].to_vec());
        }
    }
}

#[test]
fn sends_each_packet_as_a_datagram() {
    let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
    receiver
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    let sent = packets("sngrep-1.6.0-hep3.pcap");
    assert_eq!(sent.len(), 18);
    let replay = Replay {
        target: receiver.local_addr().unwrap(),
        transport: Transport::Udp,
        rate: Some(1000.0),
        times: 2,
        chunk_bytes: None,
    };
    let capture = Capture::read(&bundled("sngrep-1.6.0-hep3.pcap")).unwrap();
    let counted = replay.send(&[capture], |_| ()).unwrap();
    assert_eq!(counted.sends, 36);
    assert!(counted.elapsed >= Duration::from_millis(34), "{counted:?}");
    let mut buffer = [0; 65536];
    for expected in sent.iter().chain(&sent) {
        let length = receiver.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], expected.as_slice());
    }
}

#[test]
fn sends_a_stream_whole_however_it_is_cut() {
    let name = "heplify-2.0.25-tcp.stream";
    let whole = std::fs::read(bundled(name)).unwrap();
    for chunk_bytes in [None, Some(1), Some(7), Some(65536)] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let target = listener.local_addr().unwrap();
        let received = std::thread::spawn(move || {
            let mut received = Vec::new();
            listener
                .accept()
                .unwrap()
                .0
                .read_to_end(&mut received)
                .unwrap();
            received
        });
        let replay = Replay {
            target,
            transport: Transport::Tcp,
            rate: None,
            times: 1,
            chunk_bytes,
        };
        let capture = Capture::read(&bundled(name)).unwrap();
        replay.send(&[capture], |_| ()).unwrap();
        assert!(received.join().unwrap() == whole, "{chunk_bytes:?}");
    }
}

#[test]
fn a_stream_is_not_sent_over_udp_and_nobody_is_an_error() {
    let capture = Capture::read(&bundled("heplify-2.0.25-tcp.stream")).unwrap();
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut replay = Replay {
        target: free.local_addr().unwrap(),
        transport: Transport::Udp,
        rate: None,
        times: 1,
        chunk_bytes: None,
    };
    drop(free);
    let error = replay
        .send(std::slice::from_ref(&capture), |_| ())
        .unwrap_err();
    assert!(matches!(error, ReplayError::StreamOverUdp(_)), "{error}");
    replay.transport = Transport::Tcp;
    let error = replay.send(&[capture], |_| ()).unwrap_err();
    assert!(matches!(error, ReplayError::Connect { .. }), "{error}");
}
