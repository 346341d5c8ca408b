//! The guide's own example: readings of measuring stations, several of them a packet.

use crate::{
    site::Site,
    swaps::{activate, active, events, first_value, send, stage, wait_until},
};
use heplake_host::{Control, ControlError, Edge};
use heplake_tests::{
    readings::{PARSER, PROTO_TYPE, ROUTER},
    traffic::{hep3, now_us},
};
use std::{fs, thread, time::Duration};
use tokio::runtime::Runtime;

/// Between two packets: samples of the traffic are taken every 50 ms.
const PAUSE: Duration = Duration::from_millis(60);
/// Packets that are there before the parser.
const BEFORE: u64 = 10;

/// The packet of the guide: two readings.
fn packet() -> Vec<u8> {
    let (source, target) = (([192, 0, 2, 1], 7000), ([192, 0, 2, 2], 7001));
    let readings = b"roof temperature 21.5 17\nroof wind 3\n";
    hep3(source, target, now_us(), PROTO_TYPE, 1, readings)
}

/// A site that has received readings before there was a parser of them.
fn site_with_readings() -> Site {
    let site = Site::open();
    send_readings(&site);
    site
}

fn send_readings(site: &Site) {
    for _ in 0..BEFORE {
        send(site, &[packet()]);
        thread::sleep(PAUSE);
    }
    assert_eq!(site.rows_by_table(BEFORE)["hep_proto_200_default"], BEFORE);
}

fn staged(control: &Control, bytes: &[u8]) -> String {
    let entry = stage(control, bytes.to_vec());
    let report = entry.report.unwrap();
    assert!(report.is_accepted(), "{report:?}");
    entry.digest
}

#[test]
fn a_parser_of_several_rows_a_packet_needs_no_force_though_its_traffic_was_there_first() {
    let site = site_with_readings();
    let control = site.control();
    let entry = stage(control, PARSER.to_vec());
    let report = entry.report.unwrap();
    assert!(report.is_accepted(), "{report:?}");
    assert!(report.packets_reached > 0, "{report:?}");
    assert_eq!(report.rows_rescued, 2 * report.packets_reached);
    assert_eq!(report.rows_different, 0);
    activate(control, &[&entry.digest], false).unwrap();
    // There and back: what was read meanwhile is read by nobody again.
    control.roll_back("readings", "test").unwrap();
    activate(control, &[&entry.digest], false).unwrap();
    send(&site, &[packet()]);
    site.rows_by_table(BEFORE + 2);
    let read = "SELECT count(*) FROM hep_proto_200_default WHERE station = 'roof'";
    assert_eq!(first_value(&site.lake, read), "2");
}

#[test]
fn samples_of_the_traffic_survive_a_restart() {
    let site = site_with_readings();
    let settings = site.settings();
    let (_directory, _) = site.drain();
    let runtime = Runtime::new().unwrap();
    let edge = runtime.block_on(Edge::start(settings)).unwrap();
    let report = stage(edge.control(), PARSER.to_vec()).report.unwrap();
    assert!(report.packets_reached > 0, "{report:?}");
    runtime.block_on(edge.drain()).unwrap();
}

#[test]
fn a_watched_directory_activates_a_parser_whose_traffic_was_there_first() {
    let watched = tempfile::tempdir().unwrap();
    let site = Site::open_with(|settings| {
        settings.component_settings.watch_directory = Some(watched.path().into());
        settings.component_settings.watch_activates = true;
    });
    send_readings(&site);
    fs::write(watched.path().join("readings.wasm"), PARSER).unwrap();
    wait_until("it serves", || events(site.control(), "activated") == 1);
    assert!(active(site.control(), "readings").is_some());
}

#[test]
fn a_router_sends_the_readings_of_a_packet_to_two_tables() {
    let site = site_with_readings();
    let control = site.control();
    // Without its parser it cannot serve.
    let early = stage(control, ROUTER.to_vec());
    let refused = activate(control, &[&early.digest], true).unwrap_err();
    assert!(matches!(refused, ControlError::Impeded(_)), "{refused}");
    assert!(refused.to_string().contains("`readings`"), "{refused}");

    let parser = staged(control, PARSER);
    activate(control, &[&parser], false).unwrap();
    let router = staged(control, ROUTER);
    activate(control, &[&router], false).unwrap();
    send(&site, &[packet()]);
    let rows = site.rows_by_table(BEFORE + 2);
    assert_eq!(rows["hep_proto_200_temperature"], 1);
    assert_eq!(rows["hep_proto_200_other"], 1);
    let celsius = "SELECT celsius FROM hep_proto_200_temperature";
    assert_eq!(first_value(&site.lake, celsius), "21.5");
}

#[test]
fn a_parser_and_its_router_are_activated_together() {
    let site = site_with_readings();
    let control = site.control();
    let digests = [PARSER, ROUTER].map(|bytes| stage(control, bytes.to_vec()).digest);
    activate(control, &[&digests[0], &digests[1]], false).unwrap();
    send(&site, &[packet()]);
    assert_eq!(
        site.rows_by_table(BEFORE + 2)["hep_proto_200_temperature"],
        1
    );
}
