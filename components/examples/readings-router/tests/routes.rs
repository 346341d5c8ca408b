//! Which table a row goes to, natively. Samples are for parsers: a router is shown fields.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use heplake_readings_router::ReadingsRouter;
use heplake_sdk::{Cell, RouteBatch, Router, RouterDescription, route};
use std::collections::BTreeSet;

/// The tables of rows with these sensors, in one batch as the host sends it.
fn tables_of(sensors: &[Option<&str>]) -> Vec<String> {
    let mut bytes = Vec::new();
    let mut cells = Vec::new();
    for sensor in sensors {
        let start = bytes.len() as u32;
        bytes.extend_from_slice(sensor.unwrap_or_default().as_bytes());
        cells.push(match sensor {
            Some(text) => Cell::span(start, text.len() as u32).0,
            None => Cell::NULL.0,
        });
    }
    let batch = RouteBatch {
        bytes: &bytes,
        cells: &cells,
        rows: sensors.len() as u32,
    };
    let tables = ReadingsRouter.describe().tables;
    let places = route(&mut ReadingsRouter, &batch);
    let name = |place: u32| tables[place as usize].name.clone();
    places.into_iter().map(name).collect()
}

#[test]
fn temperatures_go_to_a_table_of_their_own_and_all_else_to_the_other() {
    let tables = tables_of(&[
        Some("temperature"),
        Some("wind"),
        Some("temperature"),
        Some(""),
        None,
    ]);
    let kinds: Vec<&str> = tables
        .iter()
        .map(|table| table.rsplit('_').next().unwrap())
        .collect();
    assert_eq!(
        kinds,
        ["temperature", "other", "temperature", "other", "other"]
    );
}

#[test]
fn every_table_has_the_columns_that_the_host_asks_for_and_each_name_once() {
    let RouterDescription { reads, tables, .. } = ReadingsRouter.describe();
    assert_eq!(reads, ["sensor"]);
    for table in tables {
        let names: Vec<&str> = table.columns.iter().map(|c| c.name.as_str()).collect();
        let distinct: BTreeSet<&str> = names.iter().copied().collect();
        assert_eq!(names.len(), distinct.len(), "{names:?}");
        for name in ["uuid", "date", "timestamp"] {
            assert!(distinct.contains(name), "{}: {names:?}", table.name);
        }
    }
}
