//! `heplake component`, as an author types it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use heplake_host::signature::{Signature, SignatureError, TrustedKey, verify};
use serde_json::Value;
use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, Output},
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn c_example() -> PathBuf {
    root().join("components/examples/c-graphite")
}

/// What `heplake component …` answers in a directory.
fn component(directory: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_heplake"))
        .current_dir(directory)
        .arg("component")
        .args(arguments)
        // What is built here has been fetched for this checkout.
        .env("CARGO_NET_OFFLINE", "true")
        .output()
        .unwrap()
}

fn said(output: &Output) -> String {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}

/// What a command prints that must succeed.
fn succeeds(directory: &Path, arguments: &[&str]) -> String {
    let output = component(directory, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", said(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// What a command says that must fail with this code.
fn fails(directory: &Path, arguments: &[&str], code: i32) -> String {
    let output = component(directory, arguments);
    let said = said(&output);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    said
}

/// Writes a crate that can be built here.
fn new_crate(directory: &Path, name: &str, arguments: &[&str]) -> PathBuf {
    let told = succeeds(directory, &[&["new", name], arguments].concat());
    assert!(told.contains(&format!("cd {name}")), "{told}");
    let path = directory.join(name);
    // Versions that are in this checkout's lock file, and what the shipped components were built
    // of: a crate elsewhere fetches and builds both.
    fs::copy(root().join("Cargo.lock"), path.join("Cargo.lock")).unwrap();
    let built = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../components");
    symlink(built, path.join("target")).unwrap();
    path
}

#[test]
fn a_new_router_builds_and_says_whose_rows_it_routes() {
    let directory = tempfile::tempdir().unwrap();
    let arguments = ["--router", "--proto-type", "202"];
    let router = new_crate(directory.path(), "gauges-router", &arguments);
    let built = component(&router, &["build"]);
    assert!(built.status.success(), "{}", said(&built));
    // The first build takes a while, and is not silent.
    let words = String::from_utf8_lossy(&built.stderr).into_owned();
    assert!(words.contains("building gauges-router"), "{words}");
    let told = succeeds(&router, &["inspect", "--json", "target/gauges-router.wasm"]);
    let facts: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(facts["world"], "router");
    assert_eq!(facts["imports"], serde_json::json!([]));
    let description = &facts["description"];
    assert_eq!(description["name"], "gauges-router");
    assert_eq!(description["routes"], "gauges");
    let table = &description["tables"][0]["name"];
    assert_eq!(table, "hep_proto_202_temperature");
    // Samples are for parsers.
    let told = fails(&router, &["test"], 1);
    assert!(told.contains("`cargo test`"), "{told}");
}

#[test]
fn new_warns_of_a_name_that_ships_with_heplake_and_asks_whose_rows_a_router_routes() {
    let directory = tempfile::tempdir().unwrap();
    let made = component(directory.path(), &["new", "sip"]);
    assert!(made.status.success(), "{}", said(&made));
    let warned = String::from_utf8_lossy(&made.stderr).into_owned();
    assert!(warned.contains("ships with Heplake"), "{warned}");
    let made = component(directory.path(), &["new", "gauges"]);
    assert!(made.stderr.is_empty(), "{}", said(&made));
    let told = fails(directory.path(), &["new", "by-site", "--router"], 64);
    assert!(told.contains("--routes"), "{told}");
    let arguments = ["new", "by-site", "--routes", "gauges"];
    let told = fails(directory.path(), &arguments, 64);
    assert!(told.contains("--router"), "{told}");
}

#[test]
fn a_new_crate_builds_and_its_samples_are_good_in_the_sandbox() {
    let directory = tempfile::tempdir().unwrap();
    let gauges = new_crate(directory.path(), "gauges", &["--proto-type", "202"]);

    let told = succeeds(&gauges, &["test"]);
    assert!(told.contains("7 of 7 samples are as expected"), "{told}");
    let told = succeeds(&gauges, &["inspect", "--json", "target/gauges.wasm"]);
    let facts: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(facts["world"], "parser");
    assert_eq!(facts["imports"], serde_json::json!([]));
    let description = &facts["description"];
    assert_eq!(description["name"], "gauges");
    assert_eq!(
        description["accepts"]["protocol_types"],
        serde_json::json!([202])
    );

    // The same sources give the same component.
    let built = fs::read(gauges.join("target/gauges.wasm")).unwrap();
    let told = succeeds(directory.path(), &["build", "gauges"]);
    assert!(told.contains("gauges 0.1.0"), "{told}");
    assert_eq!(fs::read(gauges.join("target/gauges.wasm")).unwrap(), built);

    let told = succeeds(
        &gauges,
        &["bench", "--no-native", "--against", "target/gauges.wasm"],
    );
    assert!(told.contains("this over the other"), "{told}");

    // A sample that is wrong is told by field, and the exit code is 1.
    let samples = gauges.join("samples/readings.json");
    let wrong = fs::read_to_string(&samples)
        .unwrap()
        .replace("21.5, \"seq", "21.4, \"seq");
    fs::write(&samples, wrong).unwrap();
    let told = fails(&gauges, &["test"], 1);
    assert!(
        told.contains("row 1, field `value`: expected 21.4, but it is 21.5"),
        "{told}"
    );
    assert!(told.contains("1 of 7 samples failed"), "{told}");

    // An error of the author's is the compiler's to tell.
    fs::write(gauges.join("src/lib.rs"), "fn parse() { no_such_thing() }").unwrap();
    let told = fails(&gauges, &["build"], 1);
    assert!(told.contains("no_such_thing"), "{told}");
    assert!(told.contains("gauges does not build"), "{told}");
    // And a library that exports nothing is no component.
    fs::write(gauges.join("src/lib.rs"), "//! Nothing.").unwrap();
    let told = fails(&gauges, &["build"], 1);
    assert!(told.contains("export_parser!"), "{told}");
}

#[test]
fn new_refuses_a_directory_that_is_there_and_a_name_that_is_none() {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("gauges")).unwrap();
    let told = fails(directory.path(), &["new", "gauges"], 1);
    assert!(told.contains("is there already"), "{told}");
    for name in ["Gauges", "1", "a_b", "test"] {
        let told = fails(directory.path(), &["new", name], 64);
        assert!(told.contains("give"), "{told}");
    }
    let told = fails(
        directory.path(),
        &["new", "gauges", "--proto-type", "256"],
        64,
    );
    assert!(told.contains("256"), "{told}");
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[test]
fn what_is_no_component_of_the_contract_is_refused_with_the_reason() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    fs::write(path.join("text.wasm"), "not a component").unwrap();
    fs::write(path.join("module.wasm"), b"\0asm\x01\0\0\0").unwrap();
    fs::write(path.join("empty.wasm"), b"\0asm\x0d\0\x01\0").unwrap();
    for (file, reason) in [
        ("none.wasm", "cannot read none.wasm"),
        ("text.wasm", "not a valid WebAssembly component"),
        ("module.wasm", "not a valid WebAssembly component"),
        (
            "empty.wasm",
            "does not export the contract's parser or router",
        ),
    ] {
        let told = fails(path, &["inspect", file], 1);
        assert!(told.contains(reason), "{file}: {told}");
    }
    let told = fails(
        path,
        &["encode", "text.wasm", "--world", "parser", "-o", "x"],
        1,
    );
    assert!(told.contains("not a core WebAssembly module"), "{told}");
    let told = fails(
        path,
        &["encode", "empty.wasm", "--world", "parser", "-o", "x"],
        1,
    );
    assert!(told.contains("a component already"), "{told}");
    let told = fails(
        path,
        &["encode", "module.wasm", "--world", "envelope", "-o", "x"],
        64,
    );
    assert!(told.contains("there are parser and router"), "{told}");
    let told = fails(path, &["build"], 1);
    assert!(told.contains("heplake component new"), "{told}");
}

#[test]
fn what_is_signed_is_believed_by_the_key_that_is_printed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    fs::copy(
        c_example().join("graphite.wasm"),
        path.join("graphite.wasm"),
    )
    .unwrap();
    let printed = succeeds(path, &["keygen", "release.key"]);
    let key: TrustedKey = printed.parse().unwrap();
    let again = succeeds(path, &["sign", "--key", "release.key", "graphite.wasm"]);
    assert_eq!(again, printed);

    let bytes = fs::read(path.join("graphite.wasm")).unwrap();
    let signature = fs::read_to_string(path.join("graphite.wasm.sig")).unwrap();
    let signature: Signature = signature.parse().unwrap();
    assert_eq!(verify(&[key], &bytes, &signature).unwrap(), key);
    let longer = [&*bytes, b"\0"].concat();
    assert!(matches!(
        verify(&[key], &longer, &signature),
        Err(SignatureError::Untrusted { .. })
    ));

    let told = fails(path, &["keygen", "release.key"], 1);
    assert!(
        told.contains("cannot write the key file release.key"),
        "{told}"
    );
    let told = fails(
        path,
        &["sign", "--key", "graphite.wasm", "graphite.wasm"],
        1,
    );
    assert!(told.contains("graphite.wasm"), "{told}");
}

/// The contract and not the SDK: this one was written in C, by hand.
#[test]
fn a_component_in_c_imports_nothing_and_its_samples_are_good() {
    hold_the_c_example(&c_example().join("graphite.wasm"));
}

#[test]
fn the_component_in_c_is_what_its_source_builds() {
    let directory = tempfile::tempdir().unwrap();
    let Some(compiler) = c_compiler(directory.path()) else {
        eprintln!(
            "skipped: there is no C compiler for wasm32; clang with wasm-ld, zig, or the command in \
             HEPLAKE_WASM_CC would do"
        );
        return;
    };
    let module = directory.path().join("graphite.module.wasm");
    let source = c_example().join("graphite.c");
    let output = compile(&compiler, &source, &module).unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let told = succeeds(
        directory.path(),
        &[
            "encode",
            "graphite.module.wasm",
            "--world",
            "parser",
            "--output",
            "graphite.wasm",
        ],
    );
    assert!(told.starts_with("graphite.wasm: "), "{told}");
    hold_the_c_example(&directory.path().join("graphite.wasm"));
}

fn hold_the_c_example(component: &Path) {
    let (example, component) = (c_example(), component.to_str().unwrap());
    let told = succeeds(&example, &["inspect", "--json", component]);
    let facts: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(facts["imports"], serde_json::json!([]));
    assert_eq!(facts["description"]["name"], "graphite");
    assert!(facts["size_bytes"].as_u64().unwrap() < 8192, "{told}");
    let told = succeeds(&example, &["test", "--component", component]);
    assert!(told.contains("samples are as expected"), "{told}");
    assert!(!told.contains("FAILED"), "{told}");
}

/// A command that compiles C for wasm32, if this machine has one.
fn c_compiler(directory: &Path) -> Option<Vec<String>> {
    if let Ok(command) = std::env::var("HEPLAKE_WASM_CC") {
        return Some(command.split_whitespace().map(str::to_owned).collect());
    }
    let probe = directory.join("probe.c");
    fs::write(&probe, "int probe(void) { return 0; }\n").unwrap();
    let compilers = [
        vec!["clang", "--target=wasm32"],
        vec!["zig", "cc", "-target", "wasm32-freestanding"],
    ];
    compilers
        .into_iter()
        .map(|words| words.into_iter().map(str::to_owned).collect::<Vec<_>>())
        .find(|compiler| {
            compile(compiler, &probe, &directory.join("probe.wasm"))
                .is_ok_and(|output| output.status.success())
        })
}

/// As the example's README has it.
fn compile(compiler: &[String], source: &Path, module: &Path) -> std::io::Result<Output> {
    let (program, words) = compiler.split_first().unwrap();
    Command::new(program)
        .args(words)
        .args(["-O3", "-mbulk-memory", "-nostdlib", "-Wall", "-Wextra"])
        .args(["-Wl,--no-entry", "-Wl,--strip-all", "-o"])
        .args([module, source])
        .output()
}
