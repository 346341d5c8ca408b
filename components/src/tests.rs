//! Reads the encoded components and finds nothing that they could reach out with.

use wasmparser::{Parser, Payload, Validator};

use super::{SHIPPED, shipped};

/// What the worlds of `wit/heplake.wit` export.
const PARSER_EXPORTS: &[&str] = &["configure", "describe", "parse"];
const ROUTER_EXPORTS: &[&str] = &["configure", "describe", "route"];

/// Names imported and exported by the component itself, not by the modules nested in it.
fn imports_and_exports(bytes: &[u8]) -> (Vec<String>, Vec<String>) {
    let (mut imports, mut exports) = (Vec::new(), Vec::new());
    let mut depth = 0_u32;
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.unwrap() {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(section) if depth == 0 => {
                for import in section {
                    imports.push(import.unwrap().name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(section) if depth == 0 => {
                for export in section {
                    exports.push(export.unwrap().name.name.to_owned());
                }
            }
            _ => {}
        }
    }
    exports.sort();
    (imports, exports)
}

#[test]
fn every_component_is_valid_and_imports_nothing() {
    assert!(!SHIPPED.is_empty());
    for component in SHIPPED {
        if let Err(error) = Validator::new().validate_all(component.bytes) {
            panic!("{}: {error}", component.name);
        }
        let (imports, _) = imports_and_exports(component.bytes);
        assert!(
            imports.is_empty(),
            "{} imports {imports:?}: a component has no clock, no files, no network",
            component.name
        );
    }
}

#[test]
fn every_component_exports_the_contract_and_nothing_else() {
    for component in SHIPPED {
        let (_, exports) = imports_and_exports(component.bytes);
        assert!(
            exports == PARSER_EXPORTS || exports == ROUTER_EXPORTS,
            "{} exports {exports:?}",
            component.name
        );
    }
}

#[test]
fn no_component_names_a_path_of_the_machine_that_built_it() {
    let home = std::env::var("HOME").unwrap();
    for component in SHIPPED {
        assert!(
            !component
                .bytes
                .windows(home.len() + 1)
                .any(|window| window == format!("{home}/").as_bytes()),
            "{} names {home}",
            component.name
        );
    }
}

#[test]
fn finds_a_component_by_name() {
    assert_eq!(shipped("hep").unwrap().name, "hep");
    assert!(shipped("nothing").is_none());
}
