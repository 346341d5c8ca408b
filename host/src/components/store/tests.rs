use super::*;
use crate::sandbox::World;
use serde_json::json;

pub(super) fn entry(bytes: &[u8], name: &str, staged_us: u64) -> Entry {
    Entry {
        name: name.into(),
        version: "0.1.0".into(),
        digest: hexadecimal(&Sha256::digest(bytes)),
        world: World::Parser,
        size_bytes: bytes.len() as u64,
        staged_us,
        staged_by: "ann".into(),
        shipped: false,
        signed_by: None,
        description: json!({ "name": name }),
        report: None,
        code: None,
    }
}

pub(super) fn event(reason: &str) -> Event {
    Event {
        at_us: 1,
        event: "staged".into(),
        name: "pairs".into(),
        version: "0.1.0".into(),
        digest: "00".repeat(32),
        by: "ann".into(),
        forced: false,
        reason: reason.into(),
    }
}

#[test]
fn what_is_put_into_a_store_survives_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("components");
    let (one, two) = (entry(b"one", "pairs", 1), entry(b"two", "pairs", 2));
    let mut store = ComponentStore::open(&path).unwrap();
    store.put(one.clone(), b"one").unwrap();
    store.put(two.clone(), b"two").unwrap();
    store
        .change(|state| {
            let slot = state.slots.entry("pairs".into()).or_default();
            slot.active = Some(one.digest.clone());
            slot.staged = Some(two.digest.clone());
        })
        .unwrap();
    store.record(event("first"));
    store.record(event("second"));
    let state = store.state().clone();
    drop(store);

    let store = ComponentStore::open(&path).unwrap();
    assert_eq!(*store.state(), state);
    assert_eq!(store.entries().len(), 2);
    assert_eq!(store.entries()[&two.digest], two);
    assert_eq!(store.bytes(&one.digest).unwrap(), b"one");
    let reasons = store.history().iter().map(|event| event.reason.as_str());
    assert_eq!(reasons.collect::<Vec<_>>(), ["first", "second"]);
}

#[test]
fn bytes_that_were_changed_are_not_given_out() {
    let directory = tempfile::tempdir().unwrap();
    let one = entry(b"one", "pairs", 1);
    let mut store = ComponentStore::open(directory.path()).unwrap();
    store.put(one.clone(), b"one").unwrap();
    let path = directory.path().join(&one.digest).join(BYTES);
    fs::write(&path, "another").unwrap();
    let error = store.bytes(&one.digest).unwrap_err();
    assert!(
        matches!(error, ComponentStoreError::Digest { .. }),
        "{error}"
    );
}

#[test]
fn a_store_that_others_can_write_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    for mode in [0o770, 0o707, 0o777] {
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(mode)).unwrap();
        let error = ComponentStore::open(directory.path()).err().unwrap();
        assert!(error.to_string().contains("chmod 700"), "{error}");
    }
}

#[test]
fn a_store_has_one_edge_until_it_is_given_up() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("components");
    let mut store = ComponentStore::open(&path).unwrap();
    let error = ComponentStore::open(&path).err().unwrap().to_string();
    let holder = format!("in use by heplake, process {}", std::process::id());
    assert!(error.contains(&holder), "{error}");
    assert!(error.contains("components.store_directory"), "{error}");
    store.unlock();
    ComponentStore::open(&path).unwrap();
}

#[test]
fn a_component_that_was_not_written_to_its_end_is_as_if_it_was_not_there() {
    let directory = tempfile::tempdir().unwrap();
    let one = entry(b"one", "pairs", 1);
    let mut store = ComponentStore::open(directory.path()).unwrap();
    store.put(one.clone(), b"one").unwrap();
    let path = directory.path().join(&one.digest).join(ENTRY);
    let whole = fs::read(&path).unwrap();
    drop(store);
    for length in 0..whole.len() - 1 {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &whole[..length]).unwrap();
        let store = ComponentStore::open(directory.path()).unwrap();
        assert!(store.entries().is_empty(), "{length} bytes");
        assert!(!path.parent().unwrap().exists(), "{length} bytes");
    }
}

#[test]
fn opening_removes_what_a_crash_left_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    let one = entry(b"one", "pairs", 1);
    let mut store = ComponentStore::open(root).unwrap();
    store.put(one.clone(), b"one").unwrap();
    let serving = "5".repeat(64);
    store
        .change(|state| {
            let slot = state.slots.entry("pairs".into()).or_default();
            slot.active = Some(serving.clone());
        })
        .unwrap();
    drop(store);
    let newer = format!("{}/entry.json", "2".repeat(64));
    let files = [
        // What goes …
        (format!("{}/component.wasm", "0".repeat(64)), "bytes"),
        (format!("{}/entry.begun", "1".repeat(64)), "{"),
        (format!("{}/component.begun", one.digest), "on"),
        (format!("{}/code-key.begun", one.digest), "code"),
        ("state.begun".into(), "{"),
        // … and what stays: a newer program's, what serves, what is not ours.
        (newer.clone(), r#"{"of": "a newer program"}"#),
        (format!("{serving}/component.wasm"), "bytes"),
        (format!("{}/notes", "3".repeat(63)), "mine"),
        (format!("{}/notes", "G".repeat(64)), "mine"),
        ("notes/entry.begun".into(), "mine"),
        ("notes.begun".into(), "mine"),
        ("4".repeat(64), "a file"),
    ];
    for (path, text) in &files {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let store = ComponentStore::open(root).unwrap();
    assert_eq!(store.entries().len(), 1);
    assert_eq!(store.bytes(&one.digest).unwrap(), b"one");
    for (place, (path, _)) in files.iter().enumerate() {
        assert_eq!(root.join(path).exists(), place >= 5, "{path}");
    }
    assert!(!root.join("0".repeat(64)).exists());
}

#[test]
fn bytes_that_are_missing_or_changed_are_written_again() {
    let directory = tempfile::tempdir().unwrap();
    let one = entry(b"one", "pairs", 1);
    let mut store = ComponentStore::open(directory.path()).unwrap();
    store.put(one.clone(), b"one").unwrap();
    let path = directory.path().join(&one.digest).join(BYTES);
    for damage in [None, Some(""), Some("on"), Some("another")] {
        match damage {
            None => fs::remove_file(&path).unwrap(),
            Some(damage) => fs::write(&path, damage).unwrap(),
        }
        store.put(one.clone(), b"one").unwrap();
        assert_eq!(store.bytes(&one.digest).unwrap(), b"one", "{damage:?}");
    }
}

#[test]
fn names_are_bounded_and_the_shipped_have_theirs() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = ComponentStore::open(directory.path()).unwrap();
    // Slots keep a name when its component is long gone.
    store
        .change(|state| {
            for number in 0..NAMES_MAX {
                state.slots.entry(format!("name-{number}")).or_default();
            }
        })
        .unwrap();
    let error = store.put(entry(b"one", "another", 1), b"one").unwrap_err();
    assert!(error.to_string().contains("`another`"), "{error}");
    assert!(store.entries().is_empty());
    store.put(entry(b"one", "name-7", 1), b"one").unwrap();
    for shipped in SHIPPED {
        let bytes = shipped.name.as_bytes();
        store.put(entry(bytes, shipped.name, 2), bytes).unwrap();
    }
}

#[test]
fn a_state_of_a_newer_program_is_refused_rather_than_misread() {
    let directory = tempfile::tempdir().unwrap();
    let state = json!({ "format": STATE_FORMAT + 1, "slots": {}, "tables": [] });
    fs::write(directory.path().join(STATE), state.to_string()).unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let error = ComponentStore::open(directory.path()).err().unwrap();
    assert!(error.to_string().contains("update Heplake"), "{error}");
}

#[test]
fn a_line_of_history_that_was_cut_off_is_left_out_and_swallows_no_other() {
    let mut line = serde_json::to_vec(&event("für Jürgen")).unwrap();
    line.push(b'\n');
    let whole = |length: usize| length >= line.len() - 1;
    // Cut anywhere, within a character too.
    for length in 0..=line.len() {
        let directory = tempfile::tempdir().unwrap();
        let mut store = ComponentStore::open(directory.path()).unwrap();
        store.record(event("first"));
        drop(store);
        let path = directory.path().join(HISTORY);
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(&line[..length]).unwrap();
        let mut store = ComponentStore::open(directory.path()).unwrap();
        store.record(event("last"));
        let before = store.history().to_vec();
        drop(store);
        let reopened = ComponentStore::open(directory.path()).unwrap();
        assert_eq!(reopened.history(), before, "{length} bytes");
        let count = 2 + usize::from(whole(length));
        assert_eq!(before.len(), count, "{length} bytes");
        assert_eq!(before[count - 1].reason, "last");
    }
}

#[test]
fn history_goes_on_when_its_file_is_begun_anew() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = ComponentStore::open(directory.path()).unwrap();
    store.record(event("before"));
    let path = directory.path().join(HISTORY);
    let file = OpenOptions::new().append(true).open(&path).unwrap();
    file.set_len(HISTORY_BYTES_MAX + 1).unwrap();
    store.record(event("after"));
    drop(store);
    let store = ComponentStore::open(directory.path()).unwrap();
    let reasons = store.history().iter().map(|event| event.reason.as_str());
    assert_eq!(reasons.collect::<Vec<_>>(), ["before", "after"]);
}

#[test]
fn the_oldest_that_nothing_names_go_and_those_in_use_stay() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = ComponentStore::open(directory.path()).unwrap();
    let kept = entry(b"kept", "pairs", 0);
    store.put(kept.clone(), b"kept").unwrap();
    store
        .change(|state| {
            let slot = state.slots.entry("pairs".into()).or_default();
            slot.previous = Some(kept.digest.clone());
        })
        .unwrap();
    for number in 1..=UNUSED_MAX as u64 + 5 {
        let bytes = number.to_be_bytes();
        store.put(entry(&bytes, "pairs", number), &bytes).unwrap();
    }
    assert_eq!(store.entries().len(), UNUSED_MAX + 1);
    assert!(store.entries().contains_key(&kept.digest));
    let oldest = store.entries().values().map(|entry| entry.staged_us);
    assert_eq!(oldest.filter(|staged| *staged > 0).min(), Some(6));
    let directories = fs::read_dir(directory.path()).unwrap();
    let directories = directories.filter(|found| found.as_ref().unwrap().path().is_dir());
    assert_eq!(directories.count(), UNUSED_MAX + 1);
}

#[test]
fn what_is_removed_is_gone_after_a_restart_too_and_leaves_its_place() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = ComponentStore::open(directory.path()).unwrap();
    for number in 0..NAMES_MAX as u32 {
        let bytes = number.to_be_bytes();
        let name = format!("name-{number}");
        store.put(entry(&bytes, &name, 1), &bytes).unwrap();
        let digest = entry(&bytes, &name, 1).digest;
        let slot = |state: &mut State| state.slots.entry(name).or_default().staged = Some(digest);
        store.change(slot).unwrap();
    }
    let another = entry(b"another", "another", 1);
    store.put(another.clone(), b"another").unwrap_err();
    let gone = entry(&0_u32.to_be_bytes(), "name-0", 1).digest;
    let forget = |state: &mut State| {
        state.forget(&gone);
        state.slots.remove("name-0");
    };
    store.change(forget).unwrap();
    store.remove(&gone).unwrap();
    store.remove(&gone).unwrap();
    assert!(!directory.path().join(&gone).exists());
    store.put(another, b"another").unwrap();
    drop(store);
    let store = ComponentStore::open(directory.path()).unwrap();
    assert!(!store.entries().contains_key(&gone));
    assert_eq!(store.entries().len(), NAMES_MAX);
}

#[test]
fn texts_of_others_are_cut_before_they_are_written_down() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = ComponentStore::open(directory.path()).unwrap();
    store.record(event(&"ä".repeat(1 << 20)));
    assert!(store.history()[0].reason.len() <= 1024);
}
