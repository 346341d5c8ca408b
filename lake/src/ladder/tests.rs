use super::*;

const A: (&str, u32) = ("10.0.0.1", 5060);
const B: (&str, u32) = ("10.0.0.2", 5060);
const C: (&str, u32) = ("2001:db8::3", 5080);
/// 2026-11-22 06:41:03 UTC.
const START_US: i64 = 1_795_329_663_000_000;

fn endpoint((ip, port): (&str, u32)) -> Endpoint {
    Endpoint {
        ip: ip.into(),
        port: Some(port),
    }
}

fn step(after_us: i64, source: (&str, u32), destination: (&str, u32), said: &str) -> Step {
    let (said, has_sdp) = match said.strip_suffix(" SDP") {
        Some(said) => (said, true),
        None => (said, false),
    };
    let (said, method) = said.rsplit_once(" of ").unwrap_or((said, said));
    let content = match said.split_once(' ') {
        Some((code, reason)) => Content::Response {
            code: code.into(),
            reason: reason.into(),
            has_sdp,
        },
        None => Content::Request {
            method: said.into(),
            has_sdp,
        },
    };
    Step {
        time_us: START_US + after_us,
        source: endpoint(source),
        destination: endpoint(destination),
        cseq_number: Some(1),
        cseq_method: Some(method.into()),
        content,
    }
}

fn note(after_us: i64, text: &str) -> Step {
    Step {
        content: Content::Note(text.into()),
        cseq_number: None,
        ..step(after_us, A, B, "X")
    }
}

fn check(steps: Vec<Step>, width: usize, expected: &str) {
    let drawn = draw(steps, width);
    assert_eq!(drawn, expected.trim_start_matches('\n'), "\n{drawn}");
    for line in drawn.lines() {
        assert!(line.width() <= width, "{} columns: {line}", line.width());
    }
}

#[test]
fn draws_a_call_of_two() {
    check(
        vec![
            step(0, A, B, "INVITE SDP"),
            step(2_000, B, A, "100 Trying of INVITE"),
            step(1_500_000, B, A, "200 OK of INVITE SDP"),
            step(1_501_000, A, B, "ACK"),
            note(5_000_000, "RTCP jitter 3"),
            step(9_000_001, B, A, "BYE"),
            step(9_000_900, A, B, "200 OK of BYE"),
        ],
        100,
        r#"
UTC                     after    10.0.0.1:5060     10.0.0.2:5060
2026-11-22
06:41:03.000000                         |-- INVITE SDP -->|
06:41:03.002000     +0.002000           |<- 100 Trying ---|
06:41:04.500000     +1.498000           |<- 200 OK SDP ---|
06:41:04.501000     +0.001000           |-- ACK --------->|
06:41:08.000000     +3.499000  * RTCP jitter 3
06:41:12.000001     +4.000001           |<- BYE ----------|
06:41:12.000900     +0.000899           |-- 200 OK ------>|
"#,
    );
}

#[test]
fn draws_arrows_over_lanes_and_to_oneself() {
    check(
        vec![
            step(0, A, B, "INVITE"),
            step(1_000, B, C, "INVITE"),
            step(2_000, C, A, "200 OK of INVITE"),
            step(3_000, A, C, "ACK"),
            step(4_000, B, B, "OPTIONS"),
        ],
        100,
        r#"
UTC                     after     10.0.0.1:5060       10.0.0.2:5060     [2001:db8::3]:5080
2026-11-22
06:41:03.000000                          |-- INVITE -------->|                   |
06:41:03.001000     +0.001000            |                   |-- INVITE -------->|
06:41:03.002000     +0.001000            |<- 200 OK -----------------------------|
06:41:03.003000     +0.001000            |-- ACK ------------------------------->|
06:41:03.004000     +0.001000            |                   |<> OPTIONS         |
"#,
    );
}

#[test]
fn orders_a_transaction_within_a_millisecond() {
    let steps = vec![
        step(0, B, A, "200 OK of INVITE"),
        step(0, B, A, "100 Trying of INVITE"),
        step(56, A, B, "INVITE"),
        step(900, A, B, "ACK"),
        step(1_000, A, B, "BYE"),
    ];
    let ordered: Vec<_> = order::by_time_and_transaction(steps)
        .iter()
        .map(label)
        .collect();
    assert_eq!(ordered, ["INVITE", "100 Trying", "200 OK", "ACK", "BYE"]);
}

#[test]
fn keeps_the_time_order_of_other_hops_within_a_millisecond() {
    let steps = vec![
        step(16, A, B, "INVITE"),
        step(45, B, A, "100 Trying of INVITE"),
        step(424, B, C, "INVITE SDP"),
        step(425, C, B, "180 Ringing of INVITE"),
        step(807, B, A, "180 Ringing of INVITE"),
    ];
    assert_eq!(order::by_time_and_transaction(steps.clone()), steps);
}

#[test]
fn merges_parties_by_address_and_then_lists_them() {
    let many = |parties: u32, same_address: bool| -> Vec<Step> {
        (0..parties)
            .map(|n| {
                let address = if same_address {
                    "10.0.0.1".to_string()
                } else {
                    format!("10.0.1.{n}")
                };
                step(i64::from(n) * 1000, (&address, n), B, "INVITE")
            })
            .collect()
    };
    check(
        many(5, true),
        80,
        r#"
UTC                     after       10.0.0.1          10.0.0.2
2026-11-22
06:41:03.000000                         |-- INVITE ------>|
06:41:03.001000     +0.001000           |-- INVITE ------>|
06:41:03.002000     +0.001000           |-- INVITE ------>|
06:41:03.003000     +0.001000           |-- INVITE ------>|
06:41:03.004000     +0.001000           |-- INVITE ------>|
"#,
    );
    check(
        many(5, false),
        80,
        r#"
2026-11-22
06:41:03.000000                10.0.1.0:0 > 10.0.0.2:5060  INVITE
06:41:03.001000     +0.001000  10.0.1.1:1 > 10.0.0.2:5060  INVITE
06:41:03.002000     +0.001000  10.0.1.2:2 > 10.0.0.2:5060  INVITE
06:41:03.003000     +0.001000  10.0.1.3:3 > 10.0.0.2:5060  INVITE
06:41:03.004000     +0.001000  10.0.1.4:4 > 10.0.0.2:5060  INVITE
"#,
    );
}

#[test]
fn text_of_strangers_cannot_act_on_the_terminal() {
    check(
        vec![
            step(0, A, B, "INV\u{1b}[2J\u{202e}ITE"),
            step(1_000, B, A, "486 Bésetzt\r\n漢字 of INVITE"),
            note(2_000, "log\u{7}\u{9b}31m line\n2"),
        ],
        110,
        r#"
UTC                     after           10.0.0.1:5060                  10.0.0.2:5060
2026-11-22
06:41:03.000000                               |-- INV\u{1b}[2J\u{202e}ITE -->|
06:41:03.001000     +0.001000                 |<- 486 Bésetzt\r\n漢字 -------|
06:41:03.002000     +0.001000  * log\u{7}\u{9b}31m line\n2
"#,
    );
}

#[test]
fn says_when_the_day_changes() {
    check(
        vec![step(0, A, B, "INVITE"), step(64_737_000_000, A, B, "BYE")],
        80,
        r#"
UTC                     after    10.0.0.1:5060     10.0.0.2:5060
2026-11-22
06:41:03.000000                         |-- INVITE ------>|
2026-11-23
00:40:00.000000 +64737.000000           |-- BYE --------->|
"#,
    );
}

#[test]
fn a_call_without_rows_is_empty() {
    assert_eq!(draw(Vec::new(), 80), "");
}

#[test]
fn reads_steps_from_the_rows_of_a_call() {
    use arrow::array::{RecordBatch, StringArray, TimestampMicrosecondArray, UInt32Array};
    use std::sync::Arc;
    let texts = |values: [Option<&str>; 3]| Arc::new(StringArray::from(values.to_vec()));
    let batch = RecordBatch::try_from_iter_with_nullable([
        (
            "timestamp",
            Arc::new(TimestampMicrosecondArray::from(vec![START_US; 3])) as _,
            true,
        ),
        (
            "table",
            texts([None, None, Some("hep_proto_5_default")]) as _,
            true,
        ),
        (
            "src_ip",
            texts([Some(A.0), Some(B.0), Some(A.0)]) as _,
            true,
        ),
        (
            "src_port",
            Arc::new(UInt32Array::from(vec![5060; 3])) as _,
            true,
        ),
        ("dst_ip", texts([Some(B.0), Some(A.0), None]) as _, true),
        ("method", texts([Some("INVITE"), None, None]) as _, true),
        ("response_code", texts([None, Some("183"), None]) as _, true),
        (
            "payload",
            texts([None, None, Some("{\"type\":200}\n")]) as _,
            true,
        ),
        (
            "data_extra",
            texts([
                Some(r#"{"cseq":"7  INVITE","content_type":"Application/SDP"}"#),
                Some(r#"{"cseq":"7 INVITE","response_reason":"Session Progress"}"#),
                Some("not JSON"),
            ]) as _,
            true,
        ),
    ])
    .unwrap();
    let steps = Step::of_batch(&batch);
    let found: Vec<_> = steps
        .iter()
        .map(|step| (label(step), step.cseq_number, step.destination.name()))
        .collect();
    assert_eq!(
        found,
        [
            ("INVITE SDP".into(), Some(7), B.0.into()),
            ("183 Session Progress".into(), Some(7), A.0.into()),
            (r#"RTCP {"type":200}"#.into(), None, "?".into()),
        ]
    );
}
