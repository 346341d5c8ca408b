//! The filter of the log: a level, or levels by target.

use super::{nearest, setting::Expected};
use serde_json::Value;
use tracing_subscriber::filter::{LevelFilter, Targets};

const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];

/// Names of levels elsewhere that mean one of ours: syslog's, and Python's.
const ALIASES: [(&str, &str); 2] = [("warning", "warn"), ("err", "error")];

/// Targets that start so are ours, and must be one of these: another would switch nothing.
const OURS: &str = "heplake";
const OUR_TARGETS: [&str; 4] = ["heplake", "heplake_edge", "heplake_host", "heplake_lake"];

/// Longest filter. A few targets are enough.
const BYTES_MAX: usize = 1024;

/// A level, or a list such as `info,heplake_host=debug`; `warning` is read as `warn`, and `err` as `error`. A word that
/// is no level is refused: the filter would take it for a target, and switch all else off.
pub(super) fn log_level(value: &Value) -> Result<Targets, Expected> {
    let text = value.as_str().filter(|text| text.len() <= BYTES_MAX);
    let text = text.ok_or_else(|| expected(""))?;
    let mut filter = Targets::new();
    let mut has_default = false;
    for directive in text.split(',').map(str::trim) {
        match directive.split_once('=') {
            None if directive.is_empty() => return Err(expected("")),
            None if has_default => return Err(expected("; one level for all is enough")),
            None => {
                filter = filter.with_default(level(directive)?);
                has_default = true;
            }
            Some((target, of_it)) => filter = filter.with_target(known(target)?, level(of_it)?),
        }
    }
    Ok(filter)
}

fn level(word: &str) -> Result<LevelFilter, Expected> {
    let word = word.trim().to_ascii_lowercase();
    let meant = |word: &str| {
        let alias = ALIASES.iter().find(|(alias, _)| *alias == word);
        alias.map_or_else(|| word.to_owned(), |(_, level)| (*level).to_owned())
    };
    let name = &*meant(&word);
    if LEVELS.contains(&name) {
        return name.parse().map_err(|_| expected(""));
    }
    let known = LEVELS.iter().chain(ALIASES.iter().map(|(alias, _)| alias));
    Err(
        match nearest(&word, ' ', known.map(|name| (*name).to_owned())) {
            Some(nearest) => expected(&format!("; did you mean {}?", meant(&nearest))),
            None => expected(""),
        },
    )
}

fn known(target: &str) -> Result<&str, Expected> {
    let target = target.trim();
    let package = target.split("::").next().unwrap_or_default();
    if package.is_empty() || package.starts_with(OURS) && !OUR_TARGETS.contains(&package) {
        let ours = OUR_TARGETS.join(", ");
        return Err(expected(&format!("; the parts of Heplake are {ours}")));
    }
    Ok(target)
}

fn expected(hint: &str) -> Expected {
    format!(
        "{}, or a list such as \"info,heplake_host=debug\"{hint}",
        LEVELS.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use tracing::Level;

    #[test]
    fn levels_are_read_however_they_are_written() {
        for (text, level) in [
            ("warn", LevelFilter::WARN),
            ("warning", LevelFilter::WARN),
            ("WARNING", LevelFilter::WARN),
            ("err", LevelFilter::ERROR),
            (" info ", LevelFilter::INFO),
            ("off", LevelFilter::OFF),
        ] {
            let filter = log_level(&json!(text)).unwrap();
            assert_eq!(filter.default_level(), Some(level), "{text}");
        }
    }

    #[test]
    fn a_list_says_a_level_for_all_and_one_for_a_target() {
        let filter = log_level(&json!("warning,heplake_host::edge=DEBUG, hyper = trace")).unwrap();
        assert_eq!(filter.default_level(), Some(LevelFilter::WARN));
        assert!(filter.would_enable("heplake_host::edge", &Level::DEBUG));
        assert!(!filter.would_enable("heplake_host::store", &Level::INFO));
        assert!(filter.would_enable("hyper", &Level::TRACE));
    }
}
