//! The configuration in force, as a document that can be read again.

use super::{AnySetting, Configuration, settings};
use serde_json::Value;
use std::fmt::Write as _;

/// Width of the reasons, in columns.
const COMMENT_WIDTH: usize = 96;

impl Configuration {
    /// Every setting with its reason, its default, and the value in force, as TOML.
    #[must_use]
    pub fn print(&self) -> String {
        let mut text = String::from(
            "# Every setting of Heplake with its value in force, as `heplake config print` prints it.\n\
             # A variable overrides the file: HEPLAKE_INGEST_UDP_PORT=9061 sets ingest.udp.port.\n",
        );
        if !self.links.is_empty() {
            let links = self.links.join(", ");
            let text_of = format!("Ignored, since they tell of a service: {links}.");
            comment(&mut text, &text_of);
        }
        let mut section = "";
        for setting in settings::ALL {
            let (of, name) = setting
                .key()
                .rsplit_once('.')
                .unwrap_or(("", setting.key()));
            if of != section && !of.is_empty() {
                // Writing to a String cannot fail, here and below.
                let _ = write!(text, "\n[{of}]\n");
                section = of;
            }
            text.push('\n');
            comment(&mut text, setting.reason());
            comment(&mut text, &self.provenance(*setting));
            match self.value(*setting) {
                Value::Object(tables) if tables.is_empty() => {}
                Value::Object(tables) => text.push_str(&table(setting.key(), &tables)),
                value => {
                    let _ = writeln!(text, "{name} = {}", literal(&value));
                }
            }
        }
        text
    }

    fn provenance(&self, setting: &dyn AnySetting) -> String {
        let mut default = format!("Default: {}.", self.default_in_words(setting));
        for alias in setting.aliases() {
            let _ = write!(default, " Also read as {alias}.");
        }
        if let Some(origin) = self.origin(setting) {
            let _ = write!(default, " Set by {origin}.");
        }
        if let Some(relative) = self.relative(setting) {
            let _ = write!(
                default,
                " Written as {relative}, from the directory of the file."
            );
        }
        default
    }

    /// A default for people: with the value that it has here, where it depends on something.
    fn default_in_words(&self, setting: &dyn AnySetting) -> String {
        let text = setting.default();
        let here = self.default_here(setting);
        match text {
            "" | "[]" | "{}" => "none".into(),
            "{host_name}" => format!("the name of the host, here {here}"),
            "{half_the_processors}" => format!("half the processors, here {here}"),
            "{worker_count}" => format!("half the processors, at most 4, here {here}"),
            _ => match text.strip_prefix("{data_dir}/") {
                Some(rest) => {
                    let rest = rest.replace("{edge.name}", "<edge.name>");
                    format!("{rest} in data_dir, here {here}")
                }
                None => here,
            },
        }
    }
}

/// A table of tables: `[components.sip]` and so on.
fn table(key: &str, tables: &serde_json::Map<String, Value>) -> String {
    let whole = Value::Object(
        [(key.to_string(), Value::Object(tables.clone()))]
            .into_iter()
            .collect(),
    );
    match toml::to_string(&whole) {
        Ok(text) => text,
        // Nulls alone cannot be written, and no document that holds one is accepted.
        Err(error) => format!("# {error}\n"),
    }
}

/// A value as TOML.
fn literal(value: &Value) -> String {
    match toml::Value::try_from(value) {
        Ok(value) => value.to_string(),
        Err(_) => value.to_string(),
    }
}

fn comment(text: &mut String, sentence: &str) {
    let mut width = 0;
    for word in sentence.split_whitespace() {
        let word_width = word.chars().count() + 1;
        if width == 0 || width + word_width > COMMENT_WIDTH {
            text.push_str(if width == 0 { "#" } else { "\n#" });
            width = 1;
        }
        text.push(' ');
        text.push_str(word);
        width += word_width;
    }
    text.push('\n');
}
