use crate::{Lake, database::Session, settings::LakeSettings};
use heplake_host::configuration::{Configuration, Machine, RESERVED_IN_SQL};
use serde::Deserialize;
use std::{fs, path::Path};

fn settings(directory: &Path, text: &str) -> LakeSettings {
    let machine = Machine {
        directory: directory.into(),
        host_name: "here".into(),
        processors: 1,
    };
    let path = directory.join("heplake.toml");
    let text = format!("data_dir = 'lake'\n{text}");
    LakeSettings::resolve(&Configuration::parse(&path, &text, [], machine).unwrap()).unwrap()
}

#[test]
fn a_wrong_directory_of_extensions_is_named_with_its_setting() {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir_all(directory.path().join("extensions/v1.5.5/linux")).unwrap();
    let settings = settings(
        directory.path(),
        "duckdb.extension_directory = 'extensions'",
    );
    let error = match Lake::open(&settings) {
        Ok(_) => panic!("it has no extensions"),
        Err(error) => error.to_string(),
    };
    let named = directory.path().join("extensions").display().to_string();
    for part in [
        &*named,
        "(duckdb.extension_directory is ",
        "`sqlite_scanner`",
    ] {
        assert!(error.contains(part), "{part}: {error}");
    }
    assert!(!error.contains('\n'), "{error}");
    let error = settings.check_extensions().unwrap_err();
    assert!(error.starts_with("duckdb.extension_directory: "), "{error}");
    assert!(error.contains(&named), "{error}");
}

#[test]
fn a_directory_that_has_the_extensions_passes() {
    let directory = tempfile::tempdir().unwrap();
    let of_platform = directory.path().join("extensions/v1.5.5/linux_amd64");
    fs::create_dir_all(&of_platform).unwrap();
    for extension in super::EXTENSIONS {
        fs::write(
            of_platform.join(format!("{extension}.duckdb_extension")),
            "",
        )
        .unwrap();
    }
    let settings = |text: &str| settings(directory.path(), text);
    assert_eq!(
        settings("duckdb.extension_directory = 'extensions'").check_extensions(),
        Ok(())
    );
    assert_eq!(settings("").check_extensions(), Ok(()));
}

/// Every keyword of DuckDB either names a lake, or is refused as a name of one.
#[test]
fn a_lake_can_have_every_name_that_is_accepted() {
    #[derive(Deserialize)]
    struct Keyword {
        keyword_name: String,
    }
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path(), "");
    fs::create_dir_all(&settings.data_path).unwrap();
    let session = Session::writer(&settings).unwrap();
    let select = "SELECT keyword_name FROM duckdb_keywords()";
    let keywords = session.rows::<Keyword>(select, &[]).unwrap();
    assert!(keywords.len() > 300);
    let mut refused = Vec::new();
    for Keyword { keyword_name: name } in keywords {
        let uses = format!(
            "ATTACH ':memory:' AS {name}; CREATE TABLE {name}.main.t (i INTEGER);
             SELECT * FROM {name}.t; USE {name}; USE memory; DETACH {name}"
        );
        let accepts = !RESERVED_IN_SQL.contains(&&*name);
        if accepts && session.execute(&uses).is_err() {
            refused.push(name);
        }
    }
    assert!(refused.is_empty(), "not in RESERVED_IN_SQL: {refused:?}");
}
