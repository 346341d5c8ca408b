//! A Python with DuckDB and its official extensions, which knows nothing of us, reads the
//! lake while the service runs, and finds what an independent reading of the bytes expects.

use crate::site::Site;
use heplake_tests::captures;
use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::Command,
};

fn house(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// Runs a script of `tests/independent` on a site's lake.
fn python<A: AsRef<OsStr>>(script: &str, site: &Site, arguments: &[A]) -> String {
    let python = house(".setup/python/bin/python");
    assert!(
        python.exists(),
        "no {}: `cargo xtask test` sets it up",
        python.display()
    );
    let output = Command::new(python)
        .arg(house("tests/independent").join(script))
        .arg("--catalog")
        .arg(site.catalog_path())
        .arg("--data")
        .arg(site.data_path())
        .arg("--extensions")
        .arg(house(".setup/duckdb/extensions"))
        .args(arguments)
        .output()
        .unwrap();
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(
        output.status.success(),
        "{script} found a difference:\n{text}"
    );
    text
}

#[test]
fn every_field_of_every_message_is_as_an_independent_reading_gives_it() {
    let site = Site::open();
    let expected = captures::expected_rows().unwrap();
    let mut rows: u64 = expected.values().flat_map(|tables| tables.values()).sum();
    let mut files = captures::files("pcap").unwrap();
    for file in &files {
        site.send_udp(file);
    }
    for stream in captures::files("stream").unwrap() {
        let capture = stream.with_extension("pcap");
        let name = capture.file_name().unwrap().to_str().unwrap();
        rows += expected[name].values().sum::<u64>();
        site.send_tcp(&stream, 1000);
        files.push(stream);
    }
    let found = site.rows_by_table(rows);
    assert_eq!(found.values().sum::<u64>(), rows);
    // The service goes on running.
    println!("{}", python("compare.py", &site, &files));
}

#[test]
fn other_readers_of_parquet_find_in_the_files_what_duckdb_finds() {
    let site = Site::open();
    for file in captures::files("pcap").unwrap() {
        site.send_udp(&file);
    }
    let expected = captures::expected_rows().unwrap();
    let rows = expected.values().flat_map(|tables| tables.values()).sum();
    site.rows_by_table(rows);
    println!("{}", python::<&str>("readers.py", &site, &[]));
}

#[test]
fn a_query_on_one_date_reads_only_the_files_of_that_date() {
    let site = Site::open();
    for file in captures::files("pcap").unwrap() {
        site.send_udp(&file);
    }
    let expected = captures::expected_rows().unwrap();
    let rows = expected.values().flat_map(|tables| tables.values()).sum();
    site.rows_by_table(rows);
    // HEP 1 has no time and is stored under today, so the captures span two dates at least
    // on any later day; a date without files is there on every day.
    println!("{}", python("one_date.py", &site, &["hep_proto_1_call"]));
}
