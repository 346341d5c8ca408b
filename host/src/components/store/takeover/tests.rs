use super::super::{
    ComponentStore,
    tests::{entry, event},
};
use super::*;
use crate::configuration::{Configuration, Machine};
use std::path::PathBuf;

struct Site {
    directory: tempfile::TempDir,
}

impl Site {
    /// A data directory with a store that version 0.1 wrote.
    fn of_0_1() -> Self {
        let site = Self {
            directory: tempfile::tempdir().unwrap(),
        };
        let mut store = ComponentStore::open(&site.path("components")).unwrap();
        let one = entry(b"one", "pairs", 1);
        store.put(one.clone(), b"one").unwrap();
        store
            .change(|state| {
                let slot = state.slots.entry("pairs".into()).or_default();
                slot.active = Some(one.digest.clone());
            })
            .unwrap();
        store.record(event("activated"));
        drop(store);
        fs::remove_file(site.path("components/lock")).unwrap();
        site
    }

    fn path(&self, path: &str) -> PathBuf {
        self.directory.path().join(path)
    }

    fn settings(&self, name: &str, more: &str) -> EdgeSettings {
        let machine = Machine {
            directory: "/".into(),
            host_name: name.into(),
            processors: 2,
        };
        let data_dir = self.directory.path().display();
        let text = format!("data_dir = '{data_dir}'\n{more}");
        let configuration =
            Configuration::parse(Path::new("heplake.toml"), &text, [], machine).unwrap();
        EdgeSettings::resolve(&configuration).unwrap()
    }

    /// How many components an edge finds in its store, and whether one serves.
    fn opened(&self, name: &str, more: &str) -> (usize, bool) {
        let store = ComponentStore::open_for(&self.settings(name, more)).unwrap();
        let serves = store.state().slots.get("pairs").cloned();
        let is_told = store
            .history()
            .iter()
            .any(|event| event.reason == "activated");
        let serves = serves.is_some_and(|slot| slot.active.is_some());
        assert_eq!(serves, is_told);
        (store.entries().len(), serves)
    }
}

#[test]
fn a_store_of_0_1_goes_on_as_that_of_the_one_edge_that_had_it() {
    let site = Site::of_0_1();
    fs::create_dir_all(site.path("parquet/commits/fra")).unwrap();
    assert_eq!(site.opened("fra", ""), (1, true));
    assert_eq!(site.opened("fra", ""), (1, true));
    assert!(!site.path("components/state.json").exists());
    // Another edge that comes later begins with nothing.
    assert_eq!(site.opened("ams", ""), (0, false));
}

#[test]
fn a_takeover_that_was_interrupted_goes_on_at_the_next_start() {
    let whole = Site::of_0_1();
    let mut names: Vec<String> = digests(&whole.path("components")).unwrap();
    names.push(HISTORY.into());
    for moved in 0..=names.len() {
        let site = Site::of_0_1();
        let own = site.path("components/fra");
        fs::create_dir(&own).unwrap();
        for name in &names[..moved] {
            fs::rename(site.path("components").join(name), own.join(name)).unwrap();
        }
        assert_eq!(site.opened("fra", ""), (1, true), "{moved}");
    }
}

#[test]
fn a_store_of_0_1_that_may_be_anothers_is_left_where_it_is() {
    for other in ["parquet/commits/ams", "components/ams"] {
        let site = Site::of_0_1();
        fs::create_dir_all(site.path(other)).unwrap();
        fs::write(site.path(other).join(STATE), "{}").unwrap();
        assert_eq!(site.opened("fra", ""), (0, false), "{other}");
        assert!(site.path("components/state.json").exists());
    }
}

#[test]
fn edges_of_other_hosts_that_write_to_the_same_lake_do_not_matter() {
    let site = Site::of_0_1();
    let shared = tempfile::tempdir().unwrap();
    fs::create_dir_all(shared.path().join("commits/ams")).unwrap();
    let data_path = format!("ducklake.data_path = '{}'\n", shared.path().display());
    assert_eq!(site.opened("fra", &data_path), (1, true));
}

#[test]
fn a_store_that_the_settings_name_is_used_where_it_is() {
    let site = Site::of_0_1();
    let named = site.path("components");
    let named = format!("components.store_directory = '{}'\n", named.display());
    assert_eq!(site.opened("fra", &named), (1, true));
    assert!(site.path("components/state.json").exists());
}
