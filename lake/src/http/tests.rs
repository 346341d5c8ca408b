use super::{
    body::{self, About, Sink},
    error::ApiError,
    format::Format,
    render::Writer,
};
use crate::{Columns, Coverage, Cut, End, Flow, Receiver};
use arrow::{
    array::{
        ArrayRef, BinaryArray, Date32Array, Float64Array, Int64Array, ListArray, RecordBatch,
        StringArray, TimestampMicrosecondArray, UInt64Array,
    },
    datatypes::Int32Type,
    ipc::reader::StreamReader,
};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::{
    body::to_bytes,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use futures_util::StreamExt;
use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::task::{JoinHandle, spawn_blocking};

fn rows() -> RecordBatch {
    let columns: [(&str, ArrayRef); 8] = [
        (
            "time",
            Arc::new(TimestampMicrosecondArray::from(vec![
                Some(1_795_329_663_120_000),
                None,
            ])),
        ),
        ("day", Arc::new(Date32Array::from(vec![20_779, -1]))),
        ("text", Arc::new(StringArray::from(vec!["a,\"b\"\r\n", ""]))),
        (
            "bytes",
            Arc::new(BinaryArray::from_vec(vec![b"\x00\xff", b""])),
        ),
        (
            "large",
            Arc::new(Int64Array::from(vec![-(1 << 53), (1 << 53) + 1])),
        ),
        ("larger", Arc::new(UInt64Array::from(vec![7, u64::MAX]))),
        ("real", Arc::new(Float64Array::from(vec![f64::NAN, -0.5]))),
        (
            "list",
            Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>([
                Some(vec![Some(1), None]),
                None,
            ])),
        ),
    ];
    let columns = columns.map(|(name, column)| (name, column, true));
    RecordBatch::try_from_iter_with_nullable(columns).unwrap()
}

fn columns(batch: &RecordBatch) -> Columns {
    Columns {
        schema: batch.schema(),
        types: vec!["T".into(); batch.num_columns()],
    }
}

fn end(cut: Option<Cut>) -> End {
    End {
        cut,
        elapsed: Duration::from_micros(1_234),
    }
}

/// An answer of these rows, as a whole.
fn rendered(format: Format, batch: &RecordBatch, end: &End) -> Vec<u8> {
    let mut writer = Writer::new(format, 80, None);
    let mut out = Vec::new();
    writer.begin(&columns(batch), &mut out).unwrap();
    for part in writer.parts(batch) {
        writer.rows(&part, &mut out).unwrap();
    }
    writer.end(end, &mut out).unwrap();
    out
}

fn rendered_text(format: Format, batch: &RecordBatch) -> String {
    String::from_utf8(rendered(format, batch, &end(Some(Cut::Rows)))).unwrap()
}

#[test]
fn json_has_columns_rows_and_whether_they_are_all() {
    let text = rendered_text(Format::Json, &rows());
    let (columns, rest) = text.split_once(",\"rows\":").unwrap();
    assert!(
        columns.starts_with(r#"{"columns":[{"name":"time","type":"T"},"#),
        "{columns}"
    );
    assert_eq!(
        rest,
        concat!(
            r#"[["2026-11-22T06:41:03.120000Z","2026-11-22","a,\"b\"\r\n","AP8=",-9007199254740992,7,"NaN",[1,null]],"#,
            r#"[null,"1969-12-31","","","9007199254740993","18446744073709551615",-0.5,null]],"#,
            r#""truncated":true,"truncated_by":"rows","elapsed_ms":1.234}"#
        )
    );
    let whole = rendered(Format::Json, &rows().slice(0, 0), &end(None));
    let whole = String::from_utf8(whole).unwrap();
    assert!(
        whole.ends_with(r#""rows":[],"truncated":false,"elapsed_ms":1.234}"#),
        "{whole}"
    );
}

#[test]
fn csv_tells_null_from_empty() {
    let text = rendered_text(Format::Csv, &rows());
    assert_eq!(
        text,
        "time,day,text,bytes,large,larger,real,list\r\n\
         2026-11-22T06:41:03.120000Z,2026-11-22,\"a,\"\"b\"\"\r\n\",AP8=,-9007199254740992,7,NaN,\"[1,null]\"\r\n\
         ,1969-12-31,\"\",\"\",9007199254740993,18446744073709551615,-0.5,\r\n"
    );
}

#[test]
fn ndjson_is_an_object_a_line() {
    let text = rendered_text(Format::Ndjson, &rows());
    let rows: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0]["text"], "a,\"b\"\r\n");
    assert_eq!(rows[1]["larger"], "18446744073709551615");
}

#[test]
fn ndjson_keeps_the_order_of_columns_and_all_of_one_name() {
    let one = |value: i64| Arc::new(Int64Array::from(vec![value])) as ArrayRef;
    let names = ["b", "a", "a", "a_1", "a"].into_iter();
    let batch = RecordBatch::try_from_iter(names.zip(1..).map(|(name, n)| (name, one(n)))).unwrap();
    assert_eq!(
        rendered_text(Format::Ndjson, &batch),
        "{\"b\":1,\"a\":2,\"a_2\":3,\"a_1\":4,\"a_3\":5}\n"
    );
}

#[test]
fn an_arrow_stream_is_read_back_as_the_same() {
    let batch = rows();
    let stream = rendered(Format::Arrow, &batch, &end(None));
    let reader = StreamReader::try_new(stream.as_slice(), None).unwrap();
    let batches: Vec<_> = reader.map(Result::unwrap).collect();
    // NaN equals nothing, itself neither: compare as text.
    assert_eq!(format!("{batches:?}"), format!("{:?}", [batch]));
}

#[test]
fn a_large_arrow_batch_is_written_in_parts() {
    let text = StringArray::from(vec!["x".repeat(10_000); 1000]);
    let batch = RecordBatch::try_from_iter([("x", Arc::new(text) as ArrayRef)]).unwrap();
    let stream = rendered(Format::Arrow, &batch, &end(None));
    assert!(stream.len() < 11_000_000, "{}", stream.len());
    let reader = StreamReader::try_new(stream.as_slice(), None).unwrap();
    let counts: Vec<_> = reader.map(|batch| batch.unwrap().num_rows()).collect();
    assert_eq!(counts.iter().sum::<usize>(), 1000);
    assert!(counts.len() > 5, "{counts:?}");
}

fn about(format: Format, bytes_max: u64) -> About {
    About {
        format,
        width: 80,
        row_limit: 7,
        bytes_max,
        coverage: None,
    }
}

/// An answer of batches of 100 rows with 1000 bytes each, made while it is sent. Says how many batches
/// were taken so far, and how the taking ended.
fn sent(
    about: About,
    batches: usize,
    ended: Result<Option<Cut>, ApiError>,
    patience: Duration,
) -> (body::Pending, Arc<AtomicUsize>, JoinHandle<Flow>) {
    let (mut sink, pending) = body::channel(about);
    let taken = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&taken);
    let work = spawn_blocking(move || {
        let text = StringArray::from(vec!["x".repeat(1000); 100]);
        let batch = RecordBatch::try_from_iter([("x", Arc::new(text) as ArrayRef)]).unwrap();
        let mut flow = sink.columns(&columns(&batch), Instant::now() + patience);
        for _ in 0..batches {
            if flow != Flow::More {
                break;
            }
            flow = sink.rows(&batch);
            count.fetch_add(1, Ordering::Relaxed);
        }
        let cut_by_bytes = (flow == Flow::Full).then_some(Cut::Bytes);
        Sink::end(sink, ended.map(|cut| end(cut.or(cut_by_bytes))));
        flow
    });
    (pending, taken, work)
}

const PATIENCE: Duration = Duration::from_secs(60);
const BYTES_MAX: u64 = 256 << 20;

fn header_of<'r>(response: &'r Response, name: &str) -> &'r str {
    response.headers()[name].to_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_short_answer_says_in_its_head_whether_it_is_cut() {
    for (cut, expected) in [(None, "false"), (Some(Cut::Rows), "true")] {
        let (pending, _, work) = sent(about(Format::Csv, BYTES_MAX), 2, Ok(cut), PATIENCE);
        let response = pending.response().await.unwrap();
        assert_eq!(header_of(&response, "x-heplake-truncated"), expected);
        assert_eq!(header_of(&response, "x-heplake-row-limit"), "7");
        let bytes = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        assert_eq!(bytes.len(), 3 + 200 * 1002);
        assert_eq!(work.await.unwrap(), Flow::More);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_answer_is_sent_whole_and_says_at_its_end_whether_it_is_cut() {
    for format in [Format::Json, Format::Ndjson, Format::Csv, Format::Arrow] {
        let (pending, _, work) = sent(about(format, BYTES_MAX), 100, Ok(Some(Cut::Rows)), PATIENCE);
        let response = pending.response().await.unwrap();
        assert_eq!(header_of(&response, "x-heplake-truncated"), "unknown");
        let bytes = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        assert!(bytes.len() > 10_000_000, "{}", bytes.len());
        if format == Format::Json {
            let document: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
            assert_eq!(document["rows"].as_array().unwrap().len(), 10_000);
            assert_eq!(document["truncated"], true);
        }
        assert_eq!(work.await.unwrap(), Flow::More);
    }
}

/// A client that reads nothing: no more is made of the answer than what may wait for it.
#[tokio::test(flavor = "multi_thread")]
async fn no_more_of_an_answer_is_held_than_a_few_chunks() {
    let (pending, taken, work) = sent(about(Format::Json, BYTES_MAX), 1000, Ok(None), PATIENCE);
    let response = pending.response().await.unwrap();
    let mut body = response.into_body().into_data_stream();
    let first = body.next().await.unwrap().unwrap();
    assert!(first.len() < 2 << 20, "{}", first.len());
    let mut before = usize::MAX;
    while before != taken.load(Ordering::Relaxed) {
        before = taken.load(Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    // 1 MiB that was held back, 4 chunks that wait, one that has no place, and the first.
    assert!(before < 40, "{before} batches of 100 kB");
    drop(body);
    assert_eq!(work.await.unwrap(), Flow::Gone);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_nobody_reads_ends_at_the_deadline() {
    let patience = Duration::from_millis(300);
    let (pending, _, work) = sent(about(Format::Json, BYTES_MAX), 1000, Ok(None), patience);
    let response = pending.response().await.unwrap();
    assert_eq!(work.await.unwrap(), Flow::Late);
    let read = to_bytes(response.into_body(), usize::MAX).await;
    assert!(
        read.is_err(),
        "the end of an answer that was broken off is not seen"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_ends_at_its_bytes_and_says_so() {
    let limit = 5 << 20;
    for format in [Format::Json, Format::Ndjson, Format::Csv, Format::Arrow] {
        let (pending, _, work) = sent(about(format, limit), 1000, Ok(None), PATIENCE);
        let response = pending.response().await.unwrap();
        let mut body = response.into_body().into_data_stream();
        let (mut bytes, mut broken) = (Vec::new(), false);
        while let Some(chunk) = body.next().await {
            match chunk {
                Ok(chunk) => bytes.extend(chunk),
                Err(_) => broken = true,
            }
        }
        assert_eq!(work.await.unwrap(), Flow::Full);
        assert!(
            bytes.len() < 6 << 20 && bytes.len() > 4 << 20,
            "{}",
            bytes.len()
        );
        match format {
            Format::Json => {
                let document: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
                assert_eq!(document["truncated_by"], "bytes");
                assert!(!broken);
            }
            Format::Ndjson => {
                let text = String::from_utf8(bytes).unwrap();
                let last: serde_json::Value =
                    serde_json::from_str(text.lines().last().unwrap()).unwrap();
                assert_eq!(last["error"]["code"], "answer_too_large");
                assert!(broken);
            }
            _ => assert!(broken),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_has_a_status_before_the_first_rows_leave_and_is_seen_afterwards() {
    let error = || ApiError::new(StatusCode::GATEWAY_TIMEOUT, "deadline_exceeded", "too late");
    let (pending, _, _) = sent(about(Format::Json, BYTES_MAX), 1, Err(error()), PATIENCE);
    let refused = pending.response().await.unwrap_err().into_response();
    assert_eq!(refused.status(), StatusCode::GATEWAY_TIMEOUT);

    let (pending, _, _) = sent(about(Format::Json, BYTES_MAX), 100, Err(error()), PATIENCE);
    let response = pending.response().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let mut body = response.into_body().into_data_stream();
    let mut bytes = Vec::new();
    let mut broken = false;
    while let Some(chunk) = body.next().await {
        match chunk {
            Ok(chunk) => bytes.extend(chunk),
            Err(_) => broken = true,
        }
    }
    let document: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(document["error"]["code"], "deadline_exceeded");
    assert_eq!(document["truncated"], true);
    assert!(broken);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_says_which_tables_it_looked_through() {
    let coverage = Coverage {
        searched: vec!["a".into(), "b".into()],
        left_out: vec!["c".into()],
    };
    for format in [Format::Json, Format::Csv] {
        let about = About {
            coverage: Some(coverage.clone()),
            ..about(format, BYTES_MAX)
        };
        let (pending, _, _) = sent(about, 1, Ok(None), PATIENCE);
        let response = pending.response().await.unwrap();
        assert_eq!(header_of(&response, "x-heplake-tables-searched"), "a, b");
        let bytes = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        if format == Format::Json {
            let document: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
            assert_eq!(document["tables_searched"], serde_json::json!(["a", "b"]));
            assert_eq!(document["tables_not_searched"], serde_json::json!(["c"]));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_stops_its_query() {
    let (sink, pending) = body::channel(about(Format::Json, BYTES_MAX));
    let cancellation = sink.cancellation();
    assert!(!cancellation.is_cancelled());
    drop(pending);
    assert!(cancellation.is_cancelled());
}

/// The reference has every route that there is, and errors list the same.
#[test]
fn the_reference_has_every_route_and_no_other() {
    let documented = include_str!("../../../docs/http.md");
    let documented: BTreeSet<&str> = documented
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
        .map(|(route, _)| route)
        .filter(|route| route.starts_with("GET /") || route.starts_with("POST /"))
        .collect();
    let listed: BTreeSet<&str> = super::ROUTES.split(", ").collect();
    assert_eq!(documented, listed);
    let source = include_str!("../http.rs");
    let calls = source
        .split(".route(")
        .skip(1)
        .filter(|call| call.starts_with('"'));
    let served: BTreeSet<String> = calls
        .map(|call| {
            let mut parts = call
                .split(['"', '('])
                .filter(|part| !part.trim().is_empty());
            let path = parts.next().unwrap().replace("{*", "{");
            let method = parts
                .next()
                .unwrap()
                .trim_matches([',', ' '])
                .to_uppercase();
            format!("{method} {path}")
        })
        .collect();
    let served: BTreeSet<&str> = served.iter().map(String::as_str).collect();
    assert_eq!(served, listed);
}

#[test]
fn the_format_is_the_most_wanted_of_those_there_are() {
    for (accept, expected) in [
        (None, Some(Format::Json)),
        (Some("*/*"), Some(Format::Json)),
        (Some("text/csv"), Some(Format::Csv)),
        (Some("TEXT/CSV; charset=utf-8"), Some(Format::Csv)),
        (Some("text/*"), Some(Format::Csv)),
        (Some("text/plain"), Some(Format::Text)),
        (
            Some("application/*;q=0.5, application/x-ndjson"),
            Some(Format::Ndjson),
        ),
        (Some("text/html, */*;q=0.1"), Some(Format::Json)),
        (Some("application/json;q=0, */*"), Some(Format::Ndjson)),
        (
            Some("application/vnd.apache.arrow.stream"),
            Some(Format::Arrow),
        ),
        (Some("image/png"), None),
        (Some(""), None),
    ] {
        let mut headers = HeaderMap::new();
        if let Some(accept) = accept {
            headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
        }
        let found = Format::accepted(&headers, &Format::OF_A_CALL).ok();
        assert_eq!(found, expected, "{accept:?}");
    }
    let headers = HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static("text/plain"))]);
    assert!(Format::accepted(&headers, &Format::OF_ROWS).is_err());
}
