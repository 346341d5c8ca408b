//! The way back from a component, and what a restart makes of it.

use crate::{
    site::Site,
    swaps::{
        GRAPHITE, Sender, activate, active, bad_messages, bytes, events, first_value, metric, send,
        stage, wait_until,
    },
};
use heplake_host::{
    Control, ControlError, Edge, Stage, configuration::EdgeSettings, signature::SigningKey,
};
use heplake_tests::{poison, variants::relabelled};
use serde_json::{Value, json};
use std::{fs, path::Path, sync::Arc, thread, time::Duration};
use tokio::runtime::Runtime;

/// Starts the edge again, has a look at its components, and stops it.
fn restarted<T>(settings: &EdgeSettings, look: impl FnOnce(&Arc<Control>) -> T) -> T {
    let runtime = Runtime::new().unwrap();
    let edge = runtime.block_on(Edge::start(settings.clone())).unwrap();
    let seen = look(edge.control());
    runtime.block_on(edge.drain()).unwrap();
    seen
}

/// Changes a document of the store of components.
fn rewrite(path: &Path, change: impl FnOnce(&mut Value)) {
    let mut document = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    change(&mut document);
    fs::write(path, document.to_string()).unwrap();
}

#[test]
fn another_program_brings_its_components_and_what_is_gone_back_from_stays_so() {
    let site = Site::open();
    let settings = site.settings();
    let store = settings.component_settings.store_directory.clone();
    let embedded = active(site.control(), "sip").unwrap();
    let other = stage(site.control(), relabelled(bytes("sip"), "other")).digest;
    activate(site.control(), &[&other], false).unwrap();
    let (_directory, _) = site.drain();
    // As if that had been the one of the program that ran before.
    rewrite(&store.join(&other).join("entry.json"), |entry| {
        entry["shipped"] = json!(true);
    });
    rewrite(&store.join("state.json"), |state| {
        state["shipped"]["sip"] = json!(other);
    });
    restarted(&settings, |control| {
        assert_eq!(active(control, "sip").as_ref(), Some(&embedded));
        let history = control.history();
        let last = history.last().unwrap();
        assert_eq!((&*last.event, &*last.by), ("activated", "heplake"));
        control.roll_back("sip", "test").unwrap();
        assert_eq!(active(control, "sip").as_ref(), Some(&other));
    });
    restarted(&settings, |control| {
        assert_eq!(active(control, "sip").as_ref(), Some(&other));
    });
}

#[test]
fn what_a_user_of_any_name_stages_is_not_taken_for_a_shipped_one() {
    let site = Site::open();
    let settings = site.settings();
    let control = site.control().clone();
    let by = |bytes: Vec<u8>| {
        let by = "heplake".into();
        control
            .stage(Stage {
                bytes,
                by,
                ..Stage::default()
            })
            .unwrap()
    };
    let own = by(relabelled(bytes("sip"), "own"));
    assert!(!own.is_shipped());
    // Nor is a shipped one another for being staged by somebody.
    let again = stage(&control, bytes("sip").to_vec());
    assert!(again.is_shipped());
    activate(&control, &[&own.digest], false).unwrap();
    drop(control);
    let (_directory, _) = site.drain();
    restarted(&settings, |control| {
        assert_eq!(active(control, "sip"), Some(own.digest.clone()));
        control.roll_back("sip", "test").unwrap();
        assert_eq!(active(control, "sip"), Some(again.digest.clone()));
    });
}

#[test]
fn a_parser_and_its_router_go_back_together_after_a_restart_and_other_activations() {
    let site = Site::open();
    let settings = site.settings();
    let control = site.control().clone();
    let shipped = ["sip", "sip-router"].map(|name| active(&control, name));
    let pair = ["sip", "sip-router"].map(|name| stage(&control, relabelled(bytes(name), "b")));
    activate(&control, &[&pair[0].digest, &pair[1].digest], false).unwrap();
    let graphite = stage(&control, GRAPHITE.to_vec()).digest;
    activate(&control, &[&graphite], false).unwrap();
    drop(control);
    let (_directory, _) = site.drain();
    restarted(&settings, |control| {
        let back = control.roll_back("sip-router", "test").unwrap();
        assert_eq!(back.changed.len(), 2, "{back:?}");
        assert_eq!(
            ["sip", "sip-router"].map(|name| active(control, name)),
            shipped
        );
        assert_eq!(active(control, "graphite"), Some(graphite));
    });
}

#[test]
fn a_component_that_is_cut_off_goes_back_though_another_was_activated_since() {
    let site = Site::open_with(|settings| {
        settings.component_settings.breaker.faults_max = 5;
    });
    let control = site.control().clone();
    let shipped = active(&control, "sip");
    let bad = stage(&control, poison::COMPONENT.to_vec()).digest;
    activate(&control, &[&bad], false).unwrap();
    let graphite = stage(&control, GRAPHITE.to_vec()).digest;
    activate(&control, &[&graphite], false).unwrap();
    send(&site, &bad_messages(10));
    wait_until("the one before serves", || {
        active(&control, "sip") == shipped
    });
    assert_eq!(events(&control, "breaker_tripped"), 1);
    assert_eq!(control.list().0["sip"].failed, Some(bad));
    assert_eq!(active(&control, "graphite"), Some(graphite));
    site.rows_by_table(10);
    // Health says so until somebody activates another.
    wait_until("health says so", || {
        control.cut_off_now().as_deref() == Some("the version before serves as sip")
    });
    let good = stage(&control, relabelled(bytes("sip"), "good")).digest;
    activate(&control, &[&good], false).unwrap();
    assert_eq!(control.cut_off_now(), None);
}

#[test]
fn no_good_packet_is_stored_raw_while_the_version_before_takes_over_from_one_that_is_cut_off() {
    let site = Site::open_with(|settings| {
        settings.component_settings.breaker.faults_max = 20;
    });
    let control = site.control().clone();
    let shipped = active(&control, "sip");
    let bad = stage(&control, poison::COMPONENT.to_vec()).digest;
    activate(&control, &[&bad], false).unwrap();
    // Some messages of each write trap it; they are messages like others to the shipped one.
    let workers = site.settings().worker_count;
    let sender = Sender::start(site.tcp_address(), workers);
    wait_until("the one before serves", || {
        active(&control, "sip") == shipped
    });
    thread::sleep(Duration::from_millis(100));
    let (first_us, sent) = sender.stop();
    assert_eq!(events(&control, "breaker_tripped"), 1);

    let (_directory, lake) = site.drain();
    let tables = "SELECT timestamp FROM hep_proto_1_call UNION ALL SELECT timestamp FROM hep_proto_1_registration \
        UNION ALL SELECT timestamp FROM hep_proto_1_default UNION ALL SELECT timestamp FROM hep_rejected";
    let counted = format!(
        "SELECT count(*) || ' rows of ' || count(DISTINCT epoch_us(timestamp) - {first_us}) || ' messages' FROM ({tables})"
    );
    let expected = format!("\"{sent} rows of {sent} messages\"");
    assert_eq!(first_value(&lake, &counted), expected);
    // A message that no parser has read has neither. The bad ones are not SIP, as the version before
    // sees them.
    let raw = "SELECT count(*) FROM hep_proto_1_default \
        WHERE method IS NULL AND response_code IS NULL AND payload NOT LIKE 'POISON%'";
    assert_eq!(first_value(&lake, raw), "0");
    let rejected = "SELECT count(*) FROM hep_rejected WHERE payload::VARCHAR NOT LIKE 'POISON%'";
    assert_eq!(first_value(&lake, rejected), "0");
}

#[test]
fn what_the_breaker_goes_back_to_may_be_cut_off_too() {
    let site = Site::open_with(|settings| {
        settings.component_settings.breaker.faults_max = 5;
    });
    let control = site.control().clone();
    let shipped = active(&control, "sip");
    for label in ["one", "two"] {
        let bad = relabelled(poison::COMPONENT, label);
        let bad = stage(&control, bad).digest;
        activate(&control, &[&bad], false).unwrap();
    }
    let mut sent = 0;
    wait_until("the shipped one serves", || {
        send(&site, &bad_messages(10));
        sent += 10;
        active(&control, "sip") == shipped
    });
    assert_eq!(events(&control, "breaker_tripped"), 2);
    // Nothing is lost in between, and the shipped one refuses none of them.
    let before = site.rows_by_table(sent);
    assert_eq!(before.values().sum::<u64>(), sent, "{before:?}");
    send(&site, &bad_messages(10));
    let after = site.rows_by_table(sent + 10);
    assert_eq!(after["hep_rejected"], before["hep_rejected"]);
    assert!(before["hep_rejected"] > 2 * 5, "{before:?}");
}

#[test]
fn a_rollback_that_comes_twice_goes_back_once() {
    let site = Site::open();
    let control = site.control();
    let versions: Vec<String> = ["one", "two"]
        .iter()
        .map(|label| stage(control, relabelled(bytes("sip"), label)).digest)
        .collect();
    for version in &versions {
        activate(control, &[version], false).unwrap();
    }
    let from = Some(&versions[1][..12]);
    for nearly_none in ["", "a"] {
        let vague = control.roll_back_from("sip", Some(nearly_none), "test");
        assert!(matches!(vague, Err(ControlError::Ambiguous(_))));
    }
    control.roll_back_from("sip", from, "test").unwrap();
    let again = control.roll_back_from("sip", from, "test").unwrap_err();
    assert!(matches!(again, ControlError::NotActive { .. }), "{again}");
    assert_eq!(active(control, "sip").as_ref(), Some(&versions[0]));
    // One that goes further is one that says nothing, or what is there now.
    control.roll_back("sip", "test").unwrap();
    let nothing = control.roll_back("sip", "test").unwrap_err();
    assert!(
        matches!(nothing, ControlError::NothingBefore(_)),
        "{nothing}"
    );
}

#[test]
fn a_rollback_waits_for_no_canary_and_neither_does_the_end() {
    let site = Site::open_with(|settings| {
        settings.component_settings.canary_time = Duration::from_secs(3600);
    });
    let control = site.control().clone();
    let shipped = active(&control, "sip");
    let second = stage(&control, relabelled(bytes("sip"), "b")).digest;
    let order = || {
        let (control, second) = (control.clone(), second.clone());
        thread::spawn(move || activate(&control, &[&second], false).unwrap_err())
    };
    let activating = order();
    // Until the canary has it there is nothing to roll back.
    wait_until("the canary has it", || {
        let back = control.roll_back_from("sip", shipped.as_deref(), "test");
        back.is_ok_and(|back| back.changed == [("sip".into(), shipped.clone())])
    });
    let error = activating.join().unwrap();
    assert!(matches!(error, ControlError::Interrupted), "{error}");
    assert_eq!(active(&control, "sip"), shipped);
    assert_eq!(control.list().0["sip"].failed, None);

    let activating = order();
    thread::sleep(Duration::from_millis(500));
    site.drain();
    let error = activating.join().unwrap();
    assert!(matches!(error, ControlError::Stopping), "{error}");
}

#[test]
fn activations_and_rollbacks_at_the_same_time_leave_one_truth() {
    let site = Site::open_with(|settings| {
        settings.component_settings.canary_time = Duration::from_millis(5);
    });
    let settings = site.settings();
    let control = site.control().clone();
    let versions: Vec<String> = ["one", "two", "three"]
        .iter()
        .map(|label| stage(&control, relabelled(bytes("sip"), label)).digest)
        .collect();
    let threads: Vec<_> = versions
        .iter()
        .map(|version| {
            let (control, version) = (control.clone(), version.clone());
            thread::spawn(move || {
                for round in 0..8 {
                    // Whichever comes first; what is too late is told so.
                    drop(activate(&control, &[&version], false));
                    if round % 2 == 0 {
                        drop(control.roll_back("sip", "test"));
                    }
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    let serves = active(&control, "sip");
    let state = settings
        .component_settings
        .store_directory
        .join("state.json");
    let state: Value = serde_json::from_slice(&fs::read(state).unwrap()).unwrap();
    assert_eq!(json!(serves), state["slots"]["sip"]["active"]);
    drop(control);
    let (_directory, _) = site.drain();
    restarted(&settings, |control| {
        assert_eq!(active(control, "sip"), serves);
    });
}

#[test]
fn what_cannot_be_written_down_does_not_serve_but_a_rollback_does() {
    let site = Site::open();
    let control = site.control().clone();
    let shipped = active(&control, "sip");
    let second = stage(&control, relabelled(bytes("sip"), "b")).digest;
    let store = site.settings().component_settings.store_directory;
    // What a document is written to first cannot be made.
    let full = store.join("state.begun");
    fs::create_dir(&full).unwrap();
    let error = activate(&control, &[&second], false).unwrap_err();
    assert!(matches!(error, ControlError::Store(_)), "{error}");
    assert_eq!(active(&control, "sip"), shipped);
    fs::remove_dir(&full).unwrap();
    activate(&control, &[&second], false).unwrap();

    fs::create_dir(&full).unwrap();
    let back = control.roll_back("sip", "test").unwrap();
    assert!(back.warning.unwrap().contains("could not be written down"));
    assert_eq!(active(&control, "sip"), shipped);
    let written = || -> Value {
        let state = fs::read(store.join("state.json")).unwrap();
        serde_json::from_slice(&state).unwrap()
    };
    assert_eq!(written()["slots"]["sip"]["active"], json!(second));
    // Once there is room it is written down by itself.
    fs::remove_dir(&full).unwrap();
    wait_until("it is written down", || {
        written()["slots"]["sip"]["active"] == json!(shipped)
    });
}

#[test]
fn what_is_not_signed_serves_no_more_once_keys_are_trusted() {
    let site = Site::open();
    let mut settings = site.settings();
    let shipped = active(site.control(), "sip");
    let unsigned = stage(site.control(), relabelled(bytes("sip"), "b")).digest;
    activate(site.control(), &[&unsigned], false).unwrap();
    let (_directory, _) = site.drain();
    let key = SigningKey::from_seed(&[1; 32]);
    settings.component_settings.trusted_keys = vec![key.trusted_key()];
    restarted(&settings, |control| {
        assert_eq!(active(control, "sip"), shipped);
        let refused = activate(control, &[&unsigned], true).unwrap_err();
        assert!(
            matches!(refused, ControlError::Untrusted { .. }),
            "{refused}"
        );
    });
}

#[test]
fn a_watched_directory_does_not_undo_a_rollback_when_the_edge_is_started_again() {
    let watched = tempfile::tempdir().unwrap();
    let drop_into = |name: &str, bytes: Vec<u8>| {
        fs::write(watched.path().join(name), bytes).unwrap();
    };
    let site = Site::open_with(|settings| {
        settings.component_settings.watch_directory = Some(watched.path().into());
        settings.component_settings.watch_activates = true;
    });
    let settings = site.settings();
    let control = site.control().clone();
    let shipped = active(&control, "sip");
    drop_into("sip.wasm", relabelled(bytes("sip"), "watched"));
    wait_until("it serves", || active(&control, "sip") != shipped);
    control.roll_back("sip", "test").unwrap();
    drop(control);
    let (_directory, _) = site.drain();

    restarted(&settings, |control| {
        let router = active(control, "sip-router");
        drop_into("router.wasm", relabelled(bytes("sip-router"), "watched"));
        wait_until("what came later serves", || {
            active(control, "sip-router") != router
        });
        assert_eq!(active(control, "sip"), shipped);
    });
}

#[test]
fn what_is_taken_back_while_a_watched_directory_activates_it_stays_so() {
    let watched = tempfile::tempdir().unwrap();
    let site = Site::open_with(|settings| {
        settings.component_settings.watch_directory = Some(watched.path().into());
        settings.component_settings.watch_activates = true;
        settings.component_settings.canary_time = Duration::from_secs(3600);
    });
    let control = site.control().clone();
    let names = ["sip", "sip-router"];
    let shipped = names.map(|name| active(&control, name));
    for name in names {
        let path = watched.path().join(name).with_extension("wasm");
        fs::write(path, relabelled(bytes(name), "watched")).unwrap();
    }
    wait_until("both are staged", || events(&control, "staged") == 2);
    // Until the canary has them there is nothing to go back from.
    wait_until("they are taken back", || {
        drop(control.roll_back("sip-router", "test"));
        events(&control, "canary_failed") == 2
    });
    // Neither of them is tried by itself then.
    thread::sleep(Duration::from_secs(2));
    assert_eq!(names.map(|name| active(&control, name)), shipped);
    control.roll_back("sip", "test").unwrap_err();
    assert_eq!(events(&control, "canary_failed"), 2);
    assert_eq!(events(&control, "activated"), 0);
}

#[test]
fn a_section_of_the_configuration_may_wait_for_its_component() {
    let site = Site::open_with(|settings| {
        let section = json!({ "any": "setting" });
        settings.components.insert("gauges".into(), section);
    });
    send(&site, &[metric("web.load 0.25 1767225600\n")]);
    let mut settings = site.settings();
    site.rows_by_table(1);
    let section = settings.components.remove("gauges").unwrap();
    settings.components.insert("sip_router".into(), section);
    let (_directory, _) = site.drain();
    let runtime = Runtime::new().unwrap();
    let error = runtime.block_on(Edge::start(settings)).err().unwrap();
    assert!(
        error.to_string().contains("[components.sip-router]"),
        "{error}"
    );
}
