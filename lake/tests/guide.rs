//! The guide to components says what is so.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use heplake_host::{BATCH_BYTES_MAX, BATCH_PACKETS_MAX, Limits, RowShape, signature::TrustedKey};
use heplake_sdk::{Description, RouterDescription, samples};
use std::{fs, path::Path, time::Duration};

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)).unwrap()
}

/// The blocks of a language.
fn blocks(guide: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    let after = guide.split(&fence).skip(1);
    after
        .map(|text| text.split("```").next().unwrap().to_owned())
        .collect()
}

#[test]
fn every_json_of_the_guide_is_what_it_shows() {
    let mut seen = [0; 3];
    for json in blocks(&read("docs/components.md"), "json") {
        if json.starts_with('[') {
            assert!(!samples::read(&json).unwrap().is_empty());
            seen[0] += 1;
        } else if json.contains("\"tables\"") {
            let described: RouterDescription = serde_json::from_str(&json).unwrap();
            let columns = described.tables.iter().flat_map(|table| &table.columns);
            for column in columns {
                let known: Result<heplake_format::ColumnType, _> = column.column_type.parse();
                assert!(known.is_ok(), "{}", column.column_type);
            }
            seen[1] += 1;
        } else {
            let described: Description = serde_json::from_str(&json).unwrap();
            RowShape::of(&described).unwrap();
            seen[2] += 1;
        }
    }
    assert_eq!(seen, [1, 1, 1], "samples, a router, a parser");
}

#[test]
fn the_code_of_the_guide_is_that_of_a_new_crate() {
    let plain = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let source = read("components/examples/readings/src/lib.rs");
    let source = plain(&source.replace("\"readings\"", "\"gauges\""));
    let blocks = blocks(&read("docs/components.md"), "rust");
    let [fields, describe, parse, ..] = blocks.as_slice() else {
        panic!("the guide shows less than fields, description and parser");
    };
    assert!(source.contains(&plain(fields)), "{fields}");
    assert!(source.contains(&plain(describe)), "{describe}");
    for line in parse.lines().filter(|line| !line.contains('…')) {
        assert!(source.contains(line.trim()), "{line}");
    }
}

#[test]
fn the_limits_of_the_guide_are_those_in_force() {
    let guide = read("docs/components.md");
    let limits = Limits::default();
    assert_eq!(limits.deadline, Duration::from_secs(1));
    assert_eq!(limits.memory_bytes_max, 64 << 20);
    assert_eq!((BATCH_PACKETS_MAX, BATCH_BYTES_MAX), (512, 1 << 20));
    for line in [
        "| a call | 1 s, unless configured otherwise |",
        "| linear memory | 64 MiB, unless configured otherwise |",
        "| a batch | 512 packets, and 1 MiB and one packet |",
    ] {
        assert!(guide.contains(line), "{line}");
    }
}

#[test]
fn the_key_of_the_guide_is_one() {
    let guide = read("docs/components.md");
    let key = guide.split("trusted_keys = [\"").nth(1).unwrap();
    let key = key.split('"').next().unwrap();
    assert!(key.parse::<TrustedKey>().is_ok(), "{key}");
}
