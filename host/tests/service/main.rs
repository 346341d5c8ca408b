//! Edges as processes: who gets a name, which signals end one, and what is written at the end.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![allow(clippy::panic, reason = "a test that cannot go on has failed")]

mod edge;

use edge::{Edge, Site, commits, is_whole, rows, wait_until};
use std::{fs, thread, time::Duration};

#[test]
fn a_second_edge_of_one_name_and_data_directory_is_refused_and_the_first_goes_on() {
    let site = Site::new();
    let one = Edge::start(&site, "");
    let (code, said) = Edge::spawn(&site, "").ended();
    assert_eq!(code, Some(1), "{said}");
    let holder = format!(
        "in use on this host by the edge `one`, process {}",
        one.id()
    );
    assert!(said.contains(&holder), "{said}");
    assert!(said.contains("edge.name"), "{said}");
    one.send(60);
    let (code, said) = one.stopped("TERM");
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(rows(&site.data_path()), 60);
}

#[test]
fn a_second_edge_of_one_name_with_another_data_directory_is_refused_until_the_first_has_ended() {
    let (site, other) = (Site::new(), Site::new());
    let path = site.data_path();
    let shared = format!("ducklake.data_path = {:?}\n", path.display().to_string());
    let one = Edge::start(&site, &shared);
    let (code, said) = Edge::spawn(&other, &shared).ended();
    assert_eq!(code, Some(1), "{said}");
    let holder = format!("process {} on host", one.id());
    for part in [&*holder, "--take-over-name", "claims/one.json"] {
        assert!(said.contains(part), "{part} is not in: {said}");
    }
    one.send(10);
    // Killed, it still has the name; and it alone starts again.
    wait_until("it is committed", || rows(&path) == 10);
    one.killed();
    let (code, said) = Edge::spawn(&other, &shared).ended();
    assert_eq!(code, Some(1), "{said}");
    let one = Edge::start(&site, &shared);
    let (code, said) = one.stopped("TERM");
    assert_eq!(code, Some(0), "{said}");
    let other = Edge::start(&other, &shared);
    other.send(5);
    let (code, said) = other.stopped("INT");
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(rows(&path), 15);
}

#[test]
fn a_name_is_taken_over_by_the_argument_and_both_lose_nothing() {
    let (site, other) = (Site::new(), Site::new());
    let path = site.data_path();
    let shared = format!("ducklake.data_path = {:?}\n", path.display().to_string());
    let one = Edge::start(&site, &shared);
    let other = Edge::start_with(&other, &shared, &["--take-over-name"]);
    for _ in 0..5 {
        let before = rows(&path);
        one.send(3);
        other.send(7);
        wait_until("both have committed", || rows(&path) == before + 10);
    }
    let (_, said) = one.stopped("TERM");
    let (_, others) = other.stopped("TERM");
    assert!(others.contains("the edge's name is taken over"), "{others}");
    let both = said + &others;
    assert!(
        both.contains("another writer uses this edge's name"),
        "{both}"
    );
    assert_eq!(rows(&path), 50);
    is_whole(&path);
}

#[test]
fn an_edge_that_is_killed_again_and_again_goes_on_and_replaces_nothing() {
    let site = Site::new();
    let path = site.data_path();
    let mut seen = Vec::new();
    for round in 0..6 {
        let edge = Edge::start(&site, "");
        for _ in 0..20 {
            edge.send(50);
            thread::sleep(Duration::from_millis(7));
        }
        thread::sleep(Duration::from_millis(13 * round));
        edge.killed();
        is_whole(&path);
        // No commit of before is another now.
        let now = commits(&path);
        for (name, text) in &seen {
            assert!(
                now.contains(&(String::clone(name), String::clone(text))),
                "{name}"
            );
        }
        seen = now;
    }
    let edge = Edge::start(&site, "");
    let before = rows(&path);
    edge.send(10);
    let (code, said) = edge.stopped("TERM");
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(rows(&path), before + 10);
}

#[test]
fn a_hang_up_is_said_and_ignored_and_loses_nothing() {
    let site = Site::new();
    let edge = Edge::start(&site, "[ducklake]\nflush_interval = '1h'\n");
    edge.send(60);
    edge.received(60);
    for _ in 0..3 {
        edge.signal("HUP");
        thread::sleep(Duration::from_millis(50));
    }
    edge.send(40);
    edge.received(100);
    assert_eq!(rows(&site.data_path()), 0);
    let (code, said) = edge.stopped("TERM");
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("SIGHUP is ignored"), "{said}");
    assert_eq!(rows(&site.data_path()), 100);
}

#[test]
fn an_edge_whose_terminal_is_gone_goes_on_and_drains() {
    let site = Site::new();
    let edge = Edge::start_unheard(&site, "[ducklake]\nflush_interval = '1h'\n");
    edge.signal("HUP");
    thread::sleep(Duration::from_millis(200));
    edge.send(60);
    edge.received(60);
    let (code, _) = edge.stopped("TERM");
    assert_eq!(code, Some(0));
    assert_eq!(rows(&site.data_path()), 60);
}

/// An edge that has received so many packets, and whose store takes no data file.
fn with_a_full_store(site: &Site, more: &str) -> Edge {
    let edge = Edge::start(site, more);
    // There can be no directory below a file.
    fs::write(site.data_path().join("main"), "").unwrap();
    edge.send(107);
    edge.received(107);
    edge
}

#[test]
fn a_drain_that_cannot_finish_says_how_many_rows_wait_and_then_how_many_are_lost() {
    let site = Site::new();
    let edge = with_a_full_store(&site, "drain_timeout = '5s'\n");
    let (code, said) = edge.stopped("TERM");
    assert_eq!(code, Some(1), "{said}");
    let waits = said.lines().find(|line| line.contains("still writing"));
    let waits = waits.unwrap_or_else(|| panic!("nothing was said: {said}"));
    for part in ["packets=107", "rows=107", "main", "left_s="] {
        assert!(waits.contains(part), "{part} is not in: {waits}");
    }
    let lost = said.lines().last().unwrap();
    for part in [
        "stopped after 5s, the time that drain_timeout allows",
        "lost are 107 packets, 107 rows, ",
        " files",
        "could not be written",
    ] {
        assert!(lost.contains(part), "{part} is not in: {lost}");
    }
}

#[test]
fn a_second_signal_ends_a_drain_and_says_how_many_rows_are_lost() {
    let site = Site::new();
    let edge = with_a_full_store(&site, "drain_timeout = '1h'\n");
    edge.signal("TERM");
    thread::sleep(Duration::from_millis(300));
    // systemd may send it right behind SIGTERM: it is no second signal.
    edge.signal("HUP");
    thread::sleep(Duration::from_millis(300));
    let (code, said) = edge.stopped("INT");
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("stopped by a second signal (SIGINT) before everything was written; lost are 107 packets, 107 rows, "),
        "{said}"
    );
}

#[test]
fn a_drain_goes_on_once_the_store_takes_files_again() {
    let site = Site::new();
    let edge = with_a_full_store(&site, "");
    edge.signal("TERM");
    thread::sleep(Duration::from_millis(500));
    fs::remove_file(site.data_path().join("main")).unwrap();
    let (code, said) = edge.ended();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("packets=107 rows=107"), "{said}");
    assert_eq!(rows(&site.data_path()), 107);
}

#[test]
fn two_edges_with_one_store_of_components_are_refused_by_it() {
    let site = Site::new();
    let store = site.path().join("shared-components").display().to_string();
    let shared = format!("components.store_directory = {store:?}\n");
    let one = Edge::start(&site, &shared);
    let other = format!("edge.name = 'other'\n{shared}");
    let (code, said) = Edge::spawn(&site, &other).ended();
    assert_eq!(code, Some(1), "{said}");
    let holder = format!("in use by heplake, process {}", one.id());
    assert!(said.contains(&holder), "{said}");
    assert!(said.contains("components.store_directory"), "{said}");
    // With a name of its own and no store named, it has its own.
    let other = Edge::start(&site, "edge.name = 'other'\n");
    assert!(site.path().join("components/other/state.json").exists());
    assert_eq!(other.stopped("TERM").0, Some(0));
    assert_eq!(one.stopped("TERM").0, Some(0));
}
