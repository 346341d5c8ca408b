//! Components are taken out of the store.

use crate::{
    site::Site,
    swaps::{GRAPHITE, activate, active, bytes, events, stage},
};
use heplake_host::{Control, ControlError, Edge, KeptBecause, Remove, Removed};
use heplake_tests::variants::relabelled;
use tokio::runtime::Runtime;

fn remove(control: &Control, key: &str, force: bool) -> Result<Removed, ControlError> {
    control.remove(&Remove {
        key: key.into(),
        force,
        by: "test".into(),
    })
}

fn kept_because(refused: ControlError) -> Option<KeptBecause> {
    match refused {
        ControlError::Kept(kept) => Some(kept.reason),
        _ => None,
    }
}

fn digests(removed: &Removed) -> Vec<&str> {
    let removed = removed.removed.iter();
    removed.map(|gone| gone.digest.as_str()).collect()
}

#[test]
fn neither_what_serves_nor_what_is_shipped_nor_what_is_gone_back_to_is_removed_by_mistake() {
    let site = Site::open();
    let control = site.control();
    let shipped = active(control, "sip").unwrap();
    let versions: Vec<String> = ["one", "two", "three"]
        .iter()
        .map(|label| stage(control, relabelled(bytes("sip"), label)).digest)
        .collect();
    for version in &versions[..2] {
        activate(control, &[version], false).unwrap();
    }
    let refused = |key: &str, force| kept_because(remove(control, key, force).unwrap_err());
    for (key, force, expected) in [
        (&versions[1], true, KeptBecause::Serves),
        (&shipped, true, KeptBecause::Shipped),
        (&versions[0], false, KeptBecause::RollbackTarget),
    ] {
        assert_eq!(refused(key, force), Some(expected));
    }
    // That which nobody needs goes by its digest's start.
    let gone = remove(control, &versions[2][..12], false).unwrap();
    assert_eq!(digests(&gone), [&versions[2]]);
    let unknown = remove(control, &versions[2], false).unwrap_err();
    assert!(matches!(unknown, ControlError::Unknown(_)), "{unknown}");
    assert_eq!(events(control, "removed"), 1);

    // By force the one before goes, and a rollback goes past it.
    remove(control, &versions[0], true).unwrap();
    control.roll_back("sip", "test").unwrap();
    assert_eq!(active(control, "sip"), Some(shipped));
}

#[test]
fn a_name_that_nothing_needs_is_removed_with_all_its_versions_for_good() {
    let site = Site::open();
    let (settings, runtime) = (site.settings(), Runtime::new().unwrap());
    let control = site.control().clone();
    let versions: Vec<String> = ["one", "two"]
        .iter()
        .map(|label| stage(&control, relabelled(GRAPHITE, label)).digest)
        .collect();
    activate(&control, &[&versions[0]], false).unwrap();
    activate(&control, &[&versions[1]], true).unwrap();
    let refused = remove(&control, "graphite", false).unwrap_err();
    assert!(matches!(refused, ControlError::Kept(_)), "{refused}");
    // What serves stays, and says so beside what goes.
    let done = remove(&control, "graphite", true).unwrap();
    assert_eq!(digests(&done), [&versions[0]]);
    assert_eq!(done.kept[0].reason, KeptBecause::Serves);
    let event = control.history().pop().unwrap();
    assert_eq!((&*event.event, &*event.by), ("removed", "test"));
    assert_eq!((&*event.name, &*event.version), ("graphite", "0.1.0"));
    drop(control);
    let (_directory, _) = site.drain();

    let edge = runtime.block_on(Edge::start(settings.clone())).unwrap();
    let (slots, entries) = edge.control().list();
    assert_eq!(slots["graphite"].active.as_ref(), Some(&versions[1]));
    assert!(entries.iter().all(|entry| entry.digest != versions[0]));
    runtime.block_on(edge.drain()).unwrap();
}

#[test]
fn a_parser_that_was_taken_out_frees_its_name() {
    let site = Site::open();
    let control = site.control();
    let digest = stage(control, GRAPHITE.to_vec()).digest;
    activate(control, &[&digest], false).unwrap();
    control.roll_back("graphite", "test").unwrap();
    let done = remove(control, "graphite", false).unwrap();
    assert_eq!(digests(&done), [&digest]);
    let (slots, entries) = control.list();
    assert!(!slots.contains_key("graphite"));
    assert!(entries.iter().all(|entry| entry.name != "graphite"));
    let unknown = remove(control, "graphite", false).unwrap_err();
    assert!(matches!(unknown, ControlError::Unknown(_)), "{unknown}");
    // And it may come again.
    stage(control, GRAPHITE.to_vec());
}
