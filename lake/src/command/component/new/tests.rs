//! What `new` writes is whole, and what it was made of is what is tested in this checkout.

use super::{
    files::{PARSER, ROUTER, VENDORED},
    *,
};
use std::collections::BTreeSet;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// All files below a directory, relative to it.
fn files_below(directory: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut waiting = vec![directory.to_owned()];
    while let Some(here) = waiting.pop() {
        for entry in fs::read_dir(here).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
            } else {
                let relative = path.strip_prefix(directory).unwrap();
                found.insert(relative.to_str().unwrap().to_owned());
            }
        }
    }
    found
}

fn listed(list: &[(&str, &str)], below: &str) -> BTreeSet<String> {
    let paths = list.iter().filter_map(|(path, _)| path.strip_prefix(below));
    paths.map(str::to_owned).collect()
}

#[test]
fn every_source_of_the_sdk_the_contract_and_the_example_is_in_this_program() {
    for (list, below, of) in [
        (VENDORED, "sdk/src/", "components/sdk/src"),
        (VENDORED, "wit/", "wit"),
        (PARSER, "src/", "components/examples/readings/src"),
        (PARSER, "samples/", "components/examples/readings/samples"),
        (PARSER, "tests/", "components/examples/readings/tests"),
        (PARSER, "benches/", "components/examples/readings/benches"),
        (ROUTER, "src/", "components/examples/readings-router/src"),
        (
            ROUTER,
            "tests/",
            "components/examples/readings-router/tests",
        ),
    ] {
        assert_eq!(
            listed(list, below),
            files_below(&root().join(of)),
            "{of} and the list in new/files.rs differ"
        );
    }
}

#[test]
fn the_sdk_of_a_new_crate_stands_on_what_the_sdk_stands_on_here() {
    let read = |path: &str| fs::read_to_string(root().join(path)).unwrap();
    let (workspace, sdk) = (read("Cargo.toml"), read("components/sdk/Cargo.toml"));
    let own = VENDORED.iter().find(|(path, _)| *path == "sdk/Cargo.toml");
    let own = own.unwrap().1;
    let here = |name: &str| {
        let line = workspace
            .lines()
            .find(|line| line.starts_with(&format!("{name} = ")));
        line.unwrap().to_owned()
    };
    let mut names = 0;
    for line in sdk.lines() {
        if let Some((name, rest)) = line.split_once(".workspace = ") {
            assert_eq!(rest, "true");
            assert!(own.contains(&here(name)), "{}", here(name));
            names += 1;
        } else if let Some(name) = line.strip_suffix(" = { workspace = true, optional = true }") {
            let version = here(name).replace(&format!("{name} = "), "");
            let optional = format!("{name} = {{ version = {version}, optional = true }}");
            assert!(own.contains(&optional), "{optional}");
            names += 1;
        } else if !["", "[lints]", "workspace = true"].contains(&line) {
            assert!(own.contains(line), "{line}");
        }
    }
    assert!(names > 7, "{names} inherited lines were found");
}

#[test]
fn a_crate_has_its_name_and_type_everywhere_and_the_examples_nowhere() {
    let name: Name = "rtp-report".parse().unwrap();
    let files = Template::Parser.files(&name, 34);
    for (path, text) in &files {
        assert!(!text.contains("heplake-readings"), "{path}");
        assert!(!text.contains("heplake_readings"), "{path}");
        assert!(!text.contains("\"readings\""), "{path}");
        assert!(!text.contains("{proto_type}"), "{path}");
        assert!(!text.contains("../../wit"), "{path}");
    }
    let text = |of: &str| &files.iter().find(|(path, _)| *path == of).unwrap().1;
    assert!(text("Cargo.toml").contains("name = \"rtp-report\"\n"));
    assert!(text("src/lib.rs").contains("const PROTO_TYPE: u32 = 34;"));
    assert!(text("src/lib.rs").contains("Description::new(\"rtp-report\","));
    assert!(text("tests/samples.rs").contains("use rtp_report::Readings;"));
    assert!(text("benches/native.rs").contains("use rtp_report::Readings;"));
    assert!(text("README.md").contains("HEP protocol type 34"));
    assert_eq!(
        text("sdk/src/export.rs")
            .matches("path: \"../wit\"")
            .count(),
        2
    );
}

#[test]
fn a_routers_crate_has_its_name_its_parser_and_its_type_everywhere() {
    let (name, routes): (Name, Name) = ("by-site".parse().unwrap(), "gauges".parse().unwrap());
    let files = Template::Router(&routes).files(&name, 34);
    for (path, text) in &files {
        assert!(!text.contains("heplake-readings"), "{path}");
        assert!(!text.contains("heplake_readings"), "{path}");
        assert!(!text.contains("\"readings"), "{path}");
        assert!(!text.contains("`readings"), "{path}");
    }
    let text = |of: &str| &files.iter().find(|(path, _)| *path == of).unwrap().1;
    assert!(text("Cargo.toml").contains("name = \"by-site\"\n"));
    assert!(text("src/lib.rs").contains("const PROTO_TYPE: u32 = 34;"));
    assert!(text("src/lib.rs").contains("const ROUTES: &str = \"gauges\";"));
    assert!(text("src/lib.rs").contains("name: \"by-site\".into()"));
    assert!(text("tests/routes.rs").contains("use by_site::ReadingsRouter;"));
    assert!(text("README.md").contains("the parser `gauges`"));
}

#[test]
fn a_router_belongs_to_the_parser_that_its_name_or_the_author_tells() {
    let name = |text: &str| -> Name { text.parse().unwrap() };
    let (by_name, by_site) = (name("gauges-router"), name("by-site"));
    assert_eq!(parser_of(&by_name, None).unwrap(), "gauges");
    assert_eq!(parser_of(&by_name, Some("radio")).unwrap(), "radio");
    let missing = parser_of(&by_site, None).unwrap_err();
    assert!(missing.to_string().contains("--routes"), "{missing}");
}

#[test]
fn the_names_that_are_warned_of_are_those_of_the_shipped_components() {
    let shipped: Vec<&str> = heplake_components::SHIPPED
        .iter()
        .map(|shipped| shipped.name)
        .collect();
    assert_eq!(shipped, SHIPPED);
}

#[test]
fn what_the_next_commands_do_stands_in_one_column() {
    for name in ["a", "gauges", "a-name-that-is-longer-than-others"] {
        for is_router in [false, true] {
            let told = next_steps("there", &name.parse().unwrap(), is_router);
            let whats = ["natively", "builds it", "what the edge"];
            let columns: BTreeSet<usize> = told
                .lines()
                .filter(|line| whats.iter().any(|what| line.contains(what)))
                .map(|line| line.rfind("  ").unwrap())
                .collect();
            assert_eq!(columns.len(), 1, "{told}");
        }
    }
}

#[test]
fn a_crate_named_as_the_example_is_the_example() {
    let name = Name("heplake-readings".into());
    for (path, text) in Template::Parser.files(&name, 200) {
        let Some((part, _)) = path.split_once('/') else {
            continue;
        };
        if ["samples", "tests", "benches"].contains(&part) {
            let example = root().join("components/examples/readings").join(path);
            assert_eq!(text, fs::read_to_string(example).unwrap(), "{path}");
        }
    }
    let (name, routes) = (
        Name("heplake-readings-router".into()),
        Name("readings".into()),
    );
    for (path, text) in Template::Router(&routes).files(&name, 200) {
        if path.starts_with("tests/") {
            let example = root()
                .join("components/examples/readings-router")
                .join(path);
            assert_eq!(text, fs::read_to_string(example).unwrap(), "{path}");
        }
    }
}

#[test]
fn names_that_cannot_be_are_refused() {
    for good in ["a", "sip", "rtp-report", "h264", "a-1"] {
        assert_eq!(good.parse(), Ok(Name(good.into())));
    }
    for bad in [
        "", "-", "a-", "-a", "a--b", "1a", "A", "a_b", "a b", "a/b", "ä", ".", "..", "a.b", "a\n",
    ] {
        assert!(
            matches!(bad.parse::<Name>(), Err(NameError::Form(_))),
            "{bad}"
        );
    }
    assert_eq!("x".repeat(65).parse::<Name>(), Err(NameError::Long(65)));
    for word in ["test", "fn", "serde", "std"] {
        assert_eq!(word.parse::<Name>(), Err(NameError::Reserved(word.into())));
    }
}

#[test]
fn writes_all_files_and_touches_nothing_that_was_there() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("below/gauges");
    let name: Name = "gauges".parse().unwrap();
    let files = Template::Parser.files(&name, 200);
    write(&path, &files).unwrap();
    assert_eq!(files_below(&path).len(), files.len());
    fs::write(path.join("src/lib.rs"), "my work").unwrap();
    let refused = write(&path, &files).unwrap_err();
    assert!(
        refused.to_string().contains("is there already"),
        "{refused}"
    );
    assert_eq!(
        fs::read_to_string(path.join("src/lib.rs")).unwrap(),
        "my work"
    );
}
