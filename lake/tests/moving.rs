//! A lake that moved opens at its new place; another lake's place is no place for it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod support;

use heplake_lake::{DataPathError, Lake, LakeSettings, OpenError};
use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};
use support::{DAY, Row, Site, ask, duckdb, row, settings, table};

fn calls(count: i64) -> Vec<Row<'static>> {
    (0..count)
        .map(|n| row(n, &[("session_id", "a@b"), ("method", "INVITE")]))
        .collect()
}

/// A lake with four files of five rows each, which is closed.
fn site() -> Site {
    let site = Site::new();
    let lake = site.open();
    let call = table("hep_proto_1_call");
    for sequence in 1..=4 {
        site.commit("e", sequence, &[(&call, DAY, calls(5))]);
    }
    assert_eq!(lake.register_new().unwrap().rows, 20);
    site
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &target),
            false => fs::copy(entry.path(), target).map(|_| ()).unwrap(),
        }
    }
}

/// What a DuckDB that knows nothing of Heplake counts.
fn plain(catalog: &Path) -> i64 {
    let duckdb = duckdb();
    let attach = format!(
        "ATTACH 'ducklake:sqlite:{}' AS lake (READ_ONLY)",
        catalog.display()
    );
    duckdb.execute_batch(&attach).unwrap();
    let sql = "SELECT count(uuid IS NULL) FROM lake.hep_proto_1_call";
    duckdb.query_row(sql, [], |row| row.get(0)).unwrap()
}

/// Opens a lake where it is now, registers one commit more, and asks Heplake and DuckDB.
fn goes_on(settings: &LakeSettings, sequence: u64) {
    let lake = Lake::open(settings).unwrap();
    let count = "SELECT count(uuid IS NULL) FROM hep_proto_1_call";
    let before: u64 = ask(&lake, count).parse().unwrap();
    let call = table("hep_proto_1_call");
    Site::with(settings).commit("e", sequence, &[(&call, DAY, calls(1))]);
    assert_eq!(lake.register_new().unwrap().rows, 1);
    assert_eq!(ask(&lake, count), (before + 1).to_string());
    drop(lake);
    assert_eq!(plain(&settings.catalog_path), before as i64 + 1);
}

#[test]
fn opens_through_a_link_and_through_the_place_itself_again() {
    let site = site();
    let link = tempfile::tempdir().unwrap();
    let link = link.path().join("link");
    symlink(site.path(), &link).unwrap();
    goes_on(&settings(&link), 5);
    goes_on(&site.settings(), 6);
}

#[test]
fn opens_where_it_was_renamed_to() {
    let site = site();
    let target = tempfile::tempdir().unwrap();
    let target = target.path().join("moved");
    fs::rename(site.path(), &target).unwrap();
    goes_on(&settings(&target), 5);
}

#[test]
fn opens_as_a_copy_beside_the_lake_that_it_is_a_copy_of() {
    let site = site();
    let target = tempfile::tempdir().unwrap();
    copy(site.path(), target.path());
    goes_on(&settings(target.path()), 5);
    goes_on(&site.settings(), 5);
    assert_eq!(
        ask(&site.open(), "SELECT count(*) FROM hep_proto_1_call"),
        "21"
    );
}

#[test]
fn opens_when_its_catalog_has_a_relative_data_path() {
    let site = site();
    {
        let duckdb = duckdb();
        let catalog = site.settings().catalog_path;
        let attach = format!("ATTACH '{}' AS c (TYPE sqlite)", catalog.display());
        duckdb.execute_batch(&attach).unwrap();
        let update = "UPDATE c.ducklake_metadata SET value = 'parquet/' WHERE key = 'data_path'";
        duckdb.execute_batch(update).unwrap();
    }
    goes_on(&site.settings(), 5);
}

#[test]
fn two_names_of_one_catalog_have_one_lock() {
    let site = site();
    let lake = site.open();
    let link = site.path().join("other.sqlite");
    symlink(site.settings().catalog_path, &link).unwrap();
    let settings = LakeSettings {
        catalog_path: link,
        ..site.settings()
    };
    assert!(matches!(Lake::open(&settings), Err(OpenError::Lock(_))));
    drop(lake);
}

fn refused(settings: &LakeSettings) -> String {
    match Lake::open(settings) {
        Ok(_) => panic!("it was opened with {}", settings.data_path.display()),
        Err(error @ OpenError::DataPath(_)) => error.to_string(),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn is_not_taken_for_another_lake() {
    let site = site();
    let other = Site::new();
    let lake = other.open();
    let call = table("hep_proto_1_call");
    // Files of the same names, and of another size.
    for sequence in 1..=4 {
        other.commit("e", sequence, &[(&call, DAY, calls(6))]);
    }
    lake.register_new().unwrap();
    drop(lake);
    let empty = tempfile::tempdir().unwrap();
    for wrong in [
        other.data_path(),
        empty.path().to_path_buf(),
        PathBuf::from("/nonexistent/heplake"),
    ] {
        let settings = LakeSettings {
            data_path: wrong.clone(),
            ..site.settings()
        };
        let error = refused(&settings);
        for said in [
            "4 of 4 files",
            "main/hep_proto_1_call/date=2026-11-22/e-00000000000000000001-0000.parquet",
            "ducklake.data_path",
            &site.data_path().display().to_string(),
        ] {
            assert!(error.contains(said), "{said}: {error}");
        }
    }
    assert!(!Path::new("/nonexistent").exists(), "a wrong path was made");
    goes_on(&site.settings(), 5);
}

#[test]
fn says_which_files_are_elsewhere() {
    let site = site();
    let away = site.path().join("parquet/away.parquet");
    {
        let duckdb = duckdb();
        let catalog = site.settings().catalog_path;
        let attach = format!("ATTACH '{}' AS c (TYPE sqlite)", catalog.display());
        duckdb.execute_batch(&attach).unwrap();
        duckdb
            .execute_batch(&format!(
                "UPDATE c.ducklake_data_file SET path = '{}', path_is_relative = 0
                 WHERE data_file_id = (SELECT min(data_file_id) FROM c.ducklake_data_file)",
                away.display()
            ))
            .unwrap();
    }
    let target = tempfile::tempdir().unwrap();
    let target = target.path().join("moved");
    fs::rename(site.path(), &target).unwrap();
    let error = refused(&settings(&target));
    assert!(error.contains(&away.display().to_string()), "{error}");
}

#[test]
fn a_lake_without_files_is_not_guessed_while_its_old_place_is_there() {
    let site = Site::new();
    drop(site.open());
    let elsewhere = site.path().join("elsewhere");
    let settings = LakeSettings {
        data_path: elsewhere.clone(),
        ..site.settings()
    };
    let Err(OpenError::DataPath(DataPathError::Unknown { .. })) = Lake::open(&settings) else {
        panic!("it was opened");
    };
    fs::rename(site.data_path(), elsewhere).unwrap();
    drop(Lake::open(&settings).unwrap());
}
