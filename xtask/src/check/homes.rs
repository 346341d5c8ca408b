//! One home for each foreign crate: one module knows it, the others see our own types.

use crate::command::Failure;
use crate::workspace::Workspace;

/// A crate, as it is written in a path, and where it may be written: starts of file names.
struct Home {
    foreign: &'static str,
    paths: &'static [&'static str],
}

const HOMES: &[Home] = &[
    Home {
        foreign: "wasmtime",
        paths: &["host/src/sandbox"],
    },
    Home {
        foreign: "wit_bindgen",
        paths: &["components/sdk/src/export"],
    },
    Home {
        foreign: "wit_component",
        paths: &["components/encode/src/encode"],
    },
    Home {
        foreign: "wit_parser",
        paths: &["components/encode/src/encode"],
    },
    Home {
        foreign: "ed25519_dalek",
        paths: &["host/src/signature"],
    },
    Home {
        foreign: "getrandom",
        paths: &["lake/src/command/component/keygen"],
    },
    Home {
        foreign: "parquet",
        paths: &["host/src/data_file", "lake/src/footer"],
    },
    Home {
        foreign: "snap",
        paths: &["host/src/data_file"],
    },
    Home {
        foreign: "zstd",
        paths: &["host/src/data_file"],
    },
    Home {
        foreign: "hashbrown",
        paths: &["host/src/data_file"],
    },
    Home {
        foreign: "object_store",
        paths: &["host/src/store", "lake/src/store"],
    },
    Home {
        foreign: "duckdb",
        paths: &["lake/src/database"],
    },
    Home {
        foreign: "axum",
        paths: &["host/src/http", "lake/src/http"],
    },
    Home {
        foreign: "socket2",
        paths: &["host/src/listener"],
    },
    Home {
        foreign: "clap",
        paths: &[
            "host/src/main.rs",
            "host/src/process.rs",
            "lake/src/main.rs",
            "lake/src/command",
        ],
    },
    Home {
        foreign: "toml",
        paths: &["host/src/configuration"],
    },
];

/// A sentence for each line that names a crate away from its home.
pub(super) fn broken(workspace: &Workspace) -> Result<Vec<String>, Failure> {
    let mut broken = Vec::new();
    for file in workspace.files(".rs")? {
        let name = file.to_string_lossy().replace('\\', "/");
        if !["components/", "host/", "lake/"]
            .iter()
            .any(|half| name.starts_with(half))
            || name.contains("/tests/")
            || name.contains("/benches/")
        {
            continue;
        }
        let text = workspace.read(&file)?;
        for (number, line) in text.lines().enumerate() {
            for home in HOMES {
                if names_crate(line, home.foreign)
                    && !home.paths.iter().any(|path| name.starts_with(path))
                {
                    broken.push(format!(
                        "{name}:{}: `{}` is at home in {}. Put what needs it there, and give the \
                         others our own types.",
                        number + 1,
                        home.foreign,
                        home.paths.join(" and ")
                    ));
                }
            }
        }
    }
    Ok(broken)
}

/// Whether a line of code, not of comment, has `use name` or a path that starts with `name::`.
fn names_crate(line: &str, name: &str) -> bool {
    let code = line.trim_start();
    if code.starts_with("//") {
        return false;
    }
    let code = code.split(" // ").next().unwrap_or(code);
    code.match_indices(name).any(|(at, _)| {
        let before = code.get(..at).unwrap_or_default();
        let after = code.get(at + name.len()..).unwrap_or_default();
        let starts = !before.ends_with(|c: char| c.is_alphanumeric() || "_:.\"`".contains(c));
        let used = before.trim_end().ends_with("use") && after.starts_with([';', ' ']);
        starts && (after.starts_with("::") || used)
    })
}

#[cfg(test)]
mod tests {
    use super::names_crate;

    #[test]
    fn finds_a_crate_where_it_is_used() {
        for line in [
            "use wasmtime::Engine;",
            "    let engine = wasmtime::Engine::default();",
            "fn f(e: &wasmtime::Engine)",
            "use wasmtime as w;",
            "Vec<wasmtime::Val>",
        ] {
            assert!(names_crate(line, "wasmtime"), "{line}");
        }
    }

    #[test]
    fn does_not_mistake_other_words_for_a_crate() {
        for line in [
            "// wasmtime::Engine is elsewhere",
            "/// See [`wasmtime::Engine`].",
            "use crate::wasmtime::Engine;",
            "let not_wasmtime::Engine",
            "\"wasmtime is there\"",
            "let x = 1; // wasmtime::Engine",
        ] {
            assert!(!names_crate(line, "wasmtime"), "{line}");
        }
    }
}
