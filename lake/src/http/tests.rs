use super::{format::Format, render};
use crate::Answer;
use arrow::{
    array::{
        ArrayRef, BinaryArray, Date32Array, Float64Array, Int64Array, ListArray, RecordBatch,
        StringArray, TimestampMicrosecondArray, UInt64Array,
    },
    datatypes::Int32Type,
    ipc::reader::StreamReader,
};
use axum::http::{HeaderMap, HeaderValue, header};
use std::{sync::Arc, time::Duration};

fn answer() -> Answer {
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
    let batch = RecordBatch::try_from_iter_with_nullable(
        columns.map(|(name, column)| (name, column, true)),
    )
    .unwrap();
    Answer {
        schema: batch.schema(),
        types: vec!["T".into(); 8],
        batches: vec![batch],
        truncated: true,
        elapsed: Duration::from_micros(1_234),
    }
}

#[test]
fn json_has_columns_rows_and_whether_they_are_all() {
    let text = String::from_utf8(render::json(&answer())).unwrap();
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
            r#""truncated":true,"elapsed_ms":1.234}"#
        )
    );
}

#[test]
fn csv_tells_null_from_empty() {
    let text = String::from_utf8(render::csv(&answer())).unwrap();
    assert_eq!(
        text,
        "time,day,text,bytes,large,larger,real,list\r\n\
         2026-11-22T06:41:03.120000Z,2026-11-22,\"a,\"\"b\"\"\r\n\",AP8=,-9007199254740992,7,NaN,\"[1,null]\"\r\n\
         ,1969-12-31,\"\",\"\",9007199254740993,18446744073709551615,-0.5,\r\n"
    );
}

#[test]
fn ndjson_is_an_object_a_line() {
    let text = String::from_utf8(render::ndjson(&answer())).unwrap();
    let rows: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0]["text"], "a,\"b\"\r\n");
    assert_eq!(rows[1]["larger"], "18446744073709551615");
}

#[test]
fn an_arrow_stream_is_read_back_as_the_same() {
    let answer = answer();
    let stream = render::arrow_stream(&answer).unwrap();
    let reader = StreamReader::try_new(stream.as_slice(), None).unwrap();
    let batches: Vec<_> = reader.map(Result::unwrap).collect();
    // NaN equals nothing, itself neither: compare as text.
    assert_eq!(format!("{batches:?}"), format!("{:?}", answer.batches));
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
