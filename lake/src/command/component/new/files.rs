//! The files of a new crate, as they stand in this program.

macro_rules! files {
    ($($path:literal: $from:literal;)*) => {
        &[$(($path, include_str!(concat!("../../../../../", $from)))),*]
    };
}

/// Of a parser's crate: an example that is tested in this checkout, and what makes a crate of it.
pub(super) const PARSER: &[(&str, &str)] = files! {
    "Cargo.toml": "lake/src/command/component/new/crate.toml";
    "README.md": "lake/src/command/component/new/crate.md";
    ".gitignore": "lake/src/command/component/new/crate.gitignore";
    "src/lib.rs": "components/examples/readings/src/lib.rs";
    "samples/readings.json": "components/examples/readings/samples/readings.json";
    "tests/samples.rs": "components/examples/readings/tests/samples.rs";
    "benches/native.rs": "components/examples/readings/benches/native.rs";
};

/// Of a router's crate, likewise.
pub(super) const ROUTER: &[(&str, &str)] = files! {
    "Cargo.toml": "lake/src/command/component/new/router.toml";
    "README.md": "lake/src/command/component/new/router.md";
    ".gitignore": "lake/src/command/component/new/crate.gitignore";
    "src/lib.rs": "components/examples/readings-router/src/lib.rs";
    "tests/routes.rs": "components/examples/readings-router/tests/routes.rs";
};

/// The SDK and the contract: they are not published, so each crate has its own.
pub(super) const VENDORED: &[(&str, &str)] = files! {
    "wit/heplake.wit": "wit/heplake.wit";
    "sdk/Cargo.toml": "lake/src/command/component/new/sdk.toml";
    "sdk/src/lib.rs": "components/sdk/src/lib.rs";
    "sdk/src/batch.rs": "components/sdk/src/batch.rs";
    "sdk/src/description.rs": "components/sdk/src/description.rs";
    "sdk/src/export.rs": "components/sdk/src/export.rs";
    "sdk/src/fields.rs": "components/sdk/src/fields.rs";
    "sdk/src/router.rs": "components/sdk/src/router.rs";
    "sdk/src/samples.rs": "components/sdk/src/samples.rs";
    "sdk/src/samples/answer.rs": "components/sdk/src/samples/answer.rs";
    "sdk/src/samples/tests.rs": "components/sdk/src/samples/tests.rs";
    "sdk/src/samples/value.rs": "components/sdk/src/samples/value.rs";
};
