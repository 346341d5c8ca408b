//! Configuration, in two stages: what was written ([`Configuration`]), and what it means
//! ([`EdgeSettings`], and the lake's own settings): the program sees only the second.
//!
//! ```text
//!  file (TOML, or JSON by its name) ─┐
//!  HEPLAKE_… variables, which win ───┼─▶ Configuration ─▶ EdgeSettings, …
//!  defaults (`settings`) ────────────┘   (checked whole)   (resolved, total)
//! ```
//!
//! A key that is not known is an error, never ignored: a setting that was mistyped and
//! silently not in force is found at the worst of times.

mod components;
mod document;
mod edge;
mod json;
mod listeners;
mod log_level;
mod places;
mod print;
mod service_links;
mod setting;
pub mod settings;
#[cfg(test)]
mod tests;

pub use components::{ComponentSettings, ControlSettings, Thresholds};
pub use edge::{EdgeSettings, http_address};
pub use setting::{AnySetting, Compression, LogFormat, RESERVED_IN_SQL, Setting};

use document::Entry;
use serde_json::Value;
use setting::VARIABLE_PREFIX;
use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

/// Names the configuration file. It has Heplake's prefix and is not a setting itself.
pub const CONFIG_VARIABLE: &str = "HEPLAKE_CONFIG";

/// Largest file that is read, in bytes: a thousand times a document that sets everything.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// The sentence for a relative path in a variable.
const FROM_THE_ROOT: &str =
    "a path from the root: there is no file that a relative one could start at";

/// How alike an unknown key and a known one must be to be suggested, from 0 to 1.
const LIKENESS_MIN: f64 = 0.6;

/// What was written, checked: every key is a setting, every value can be read.
#[derive(Clone, Debug)]
pub struct Configuration {
    written: BTreeMap<&'static str, Written>,
    /// Variables that tell of a service, and set nothing.
    links: Vec<String>,
    machine: Machine,
}

#[derive(Clone, Debug)]
struct Written {
    value: Value,
    origin: Origin,
    /// A relative path as it was written; the value is what it means.
    relative: Option<String>,
}

/// Where a value was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// In a file; the line is known for TOML.
    File {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: Option<usize>,
    },
    /// In an environment variable.
    Variable(String),
}

/// What defaults depend on.
#[derive(Clone, Debug)]
pub struct Machine {
    /// Where relative paths start.
    pub directory: PathBuf,
    /// The host's name.
    pub host_name: String,
    /// Processors that this process may use.
    pub processors: usize,
}

/// Why a configuration is refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigurationError {
    /// The file cannot be read.
    #[error("the configuration file {path} cannot be read: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is too large to be one.
    #[error(
        "the configuration file {0} is larger than {FILE_BYTES_MAX} bytes: is it the right file?"
    )]
    TooLarge(PathBuf),
    /// The file is neither TOML nor JSON.
    #[error("the configuration file {path} is not {language}: {message}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What it was read as: by its name, JSON if it ends in `.json`, else TOML.
        language: &'static str,
        /// What is wrong, and where.
        message: String,
    },
    /// Keys or values are wrong; all that are.
    #[error("{}", lines(.0))]
    Problems(Vec<Problem>),
    /// The edge would listen nowhere.
    #[error(
        "ingest.udp.enable and ingest.tcp.enable are both false, so that nothing could be received: enable one"
    )]
    NoListener,
    /// Two listeners cannot have one port.
    #[error(
        "{one}.port and {other}.port are both {port}, at addresses that overlap: give one of them another port"
    )]
    SamePort {
        /// The section of one.
        one: &'static str,
        /// The section of the other.
        other: &'static str,
        /// The port.
        port: u16,
    },
    /// Settings that do not go together.
    #[error("{0}")]
    Contradiction(&'static str),
    /// Strangers could change how packets are read.
    #[error(
        "control.host is {0}, which others can reach: set control.token_file to a file with a token, or control.host to 127.0.0.1"
    )]
    OpenControl(std::net::IpAddr),
}

/// One thing that is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Problem {
    /// A key that no setting has.
    #[error("{origin}: unknown key {key}{}", suggestion(.nearest))]
    UnknownKey {
        /// Where it stands.
        origin: Origin,
        /// The key with its full path.
        key: String,
        /// A known key that is much like it.
        nearest: Option<String>,
    },
    /// A variable with Heplake's prefix that no setting has.
    #[error("the environment variable {variable} names no setting{}", suggestion(.nearest))]
    UnknownVariable {
        /// Its name.
        variable: String,
        /// A known one that is much like it.
        nearest: Option<String>,
    },
    /// A value that the setting cannot have.
    #[error("{origin}: {key} is {given}, but must be {expected}")]
    WrongValue {
        /// Where it stands.
        origin: Origin,
        /// The setting.
        key: String,
        /// The value that was given.
        given: Value,
        /// What is expected.
        expected: String,
    },
    /// The setting is written under two names.
    #[error("{origin}: {alias} is another name of {key}, which is set too: remove one")]
    Twice {
        /// Where the second one stands.
        origin: Origin,
        /// The setting.
        key: String,
        /// The name under which it was written again.
        alias: String,
    },
    /// A default cannot be read; only where what it depends on cannot.
    #[error("the default of {key} cannot be {given} on this machine: set it to {expected}")]
    Default {
        /// The setting.
        key: &'static str,
        /// What it would be.
        given: Value,
        /// What is expected.
        expected: String,
    },
}

impl Configuration {
    /// Reads the file, if there is one, and the environment.
    ///
    /// # Errors
    /// Says everything that is wrong: the file, unknown keys, values that cannot be.
    pub fn read(
        file: Option<&Path>,
        variables: impl IntoIterator<Item = (String, String)>,
        machine: Machine,
    ) -> Result<Self, ConfigurationError> {
        let entries = match file {
            Some(path) => document::parse(path, &read_text(path)?)?,
            None => Vec::new(),
        };
        Self::new(entries, variables, machine)
    }

    /// Reads a document that is already in memory.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn parse(
        path: &Path,
        text: &str,
        variables: impl IntoIterator<Item = (String, String)>,
        machine: Machine,
    ) -> Result<Self, ConfigurationError> {
        Self::new(document::parse(path, text)?, variables, machine)
    }

    fn new(
        entries: Vec<Entry>,
        variables: impl IntoIterator<Item = (String, String)>,
        machine: Machine,
    ) -> Result<Self, ConfigurationError> {
        let (mut written, mut problems) = (BTreeMap::new(), Vec::new());
        for entry in entries {
            if let Err(problem) = accept(entry, &machine, &mut written) {
                problems.push(problem);
            }
        }
        let variables: BTreeMap<_, _> = variables
            .into_iter()
            .filter(|(name, _)| name.starts_with(VARIABLE_PREFIX) && name != CONFIG_VARIABLE)
            .collect();
        let links = service_links::service_links(&variables);
        let mut overrides = BTreeMap::new();
        for (name, text) in variables {
            if links.contains(&name) {
                continue;
            }
            if let Err(problem) = accept_variable(name, &text, &mut overrides) {
                problems.push(problem);
            }
        }
        written.extend(overrides);
        if problems.is_empty() {
            Ok(Self {
                written,
                links: links.into_iter().collect(),
                machine,
            })
        } else {
            Err(ConfigurationError::Problems(problems))
        }
    }

    /// Variables with Heplake's prefix that Kubernetes or Docker set for a service, and that are no settings.
    #[must_use]
    pub fn service_links(&self) -> &[String] {
        &self.links
    }

    /// What a setting means: as written, else by default.
    ///
    /// # Errors
    /// Says why its default cannot be on this machine.
    pub fn get<T: 'static>(&self, setting: &Setting<T>) -> Result<T, ConfigurationError> {
        let value = self.value(setting);
        (setting.read)(&value).map_err(|expected| {
            ConfigurationError::Problems(vec![match self.origin(setting) {
                Some(origin) => Problem::WrongValue {
                    origin: origin.clone(),
                    key: setting.key.into(),
                    given: value,
                    expected,
                },
                None => Problem::Default {
                    key: setting.key,
                    given: value,
                    expected,
                },
            }])
        })
    }

    /// The path that a setting means, from the root: DuckLake stores it, and would look
    /// for a relative one from wherever it is next opened.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub fn absolute_path(&self, setting: &Setting<PathBuf>) -> Result<PathBuf, ConfigurationError> {
        Ok(self.machine.directory.join(self.get(setting)?))
    }

    /// As [`Self::absolute_path`], where no path may be meant.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub fn absolute_path_or_none(
        &self,
        setting: &Setting<Option<PathBuf>>,
    ) -> Result<Option<PathBuf>, ConfigurationError> {
        let path = self.get(setting)?;
        Ok(path.map(|path| self.machine.directory.join(path)))
    }

    /// The value in force, as it would be written.
    fn value(&self, setting: &dyn AnySetting) -> Value {
        if let Some(written) = self.written.get(setting.key()) {
            return written.value.clone();
        }
        setting.interpret(&self.default_here(setting))
    }

    /// A default with what it depends on put in.
    fn default_here(&self, setting: &dyn AnySetting) -> String {
        let default = setting.default();
        let (mut text, mut rest) = (String::new(), default);
        while let Some((before, (fact, after))) = rest
            .split_once('{')
            .and_then(|(before, rest)| Some((before, rest.split_once('}')?)))
            .filter(|(_, (fact, _))| !fact.is_empty())
        {
            text.push_str(before);
            text.push_str(&self.fact(fact));
            rest = after;
        }
        text.push_str(rest);
        text
    }

    /// What stands in a default for what is not known when it is written.
    fn fact(&self, name: &str) -> String {
        let half = (self.machine.processors / 2).max(1);
        match name {
            "data_dir" => text_of(self.value(&settings::DATA_DIR)),
            "edge.name" => text_of(self.value(&settings::EDGE_NAME)),
            "host_name" => edge_name_of(&self.machine.host_name),
            "worker_count" => half.min(4).to_string(),
            "half_the_processors" => half.to_string(),
            _ => String::new(),
        }
    }

    fn relative(&self, setting: &dyn AnySetting) -> Option<&str> {
        self.written.get(setting.key())?.relative.as_deref()
    }

    fn origin(&self, setting: &dyn AnySetting) -> Option<&Origin> {
        self.written
            .get(setting.key())
            .map(|written| &written.origin)
    }
}

impl Machine {
    /// This one.
    ///
    /// # Errors
    /// The current directory is gone or may not be read.
    pub fn this() -> std::io::Result<Self> {
        Ok(Self {
            directory: std::env::current_dir()?,
            host_name: gethostname::gethostname().to_string_lossy().into_owned(),
            processors: std::thread::available_parallelism().map_or(1, usize::from),
        })
    }
}

fn text_of(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

fn read_text(path: &Path) -> Result<String, ConfigurationError> {
    let unreadable = |source| ConfigurationError::Unreadable {
        path: path.into(),
        source,
    };
    if std::fs::metadata(path).map_err(unreadable)?.len() > FILE_BYTES_MAX {
        return Err(ConfigurationError::TooLarge(path.into()));
    }
    std::fs::read_to_string(path).map_err(unreadable)
}

/// A host's name as the name of an edge: what cannot stand in a path becomes `-`.
fn edge_name_of(host_name: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let name: String = host_name
        .chars()
        .map(|c| if allowed(c) { c } else { '-' })
        .take(64)
        .collect();
    match name.trim_start_matches(['-', '_']) {
        "" => "edge".into(),
        name => name.into(),
    }
}

fn accept(
    entry: Entry,
    machine: &Machine,
    written: &mut BTreeMap<&'static str, Written>,
) -> Result<(), Problem> {
    let Entry { key, value, origin } = entry;
    let Some(setting) = find(&key) else {
        let known = settings::ALL
            .iter()
            .map(|setting| setting.key().to_string());
        let nearest = nearest(&key, '.', known);
        return Err(Problem::UnknownKey {
            origin,
            key,
            nearest,
        });
    };
    if let Err(expected) = setting.check(&value) {
        return Err(Problem::WrongValue {
            origin,
            key,
            given: value,
            expected,
        });
    }
    let relative = relative_path(setting, &value);
    let value = match (&relative, &origin) {
        (Some(relative), Origin::File { path, .. }) => {
            let file = machine.directory.join(path);
            let directory = file.parent().unwrap_or(&machine.directory);
            Value::String(directory.join(relative).to_string_lossy().into_owned())
        }
        _ => value,
    };
    let new = Written {
        value,
        origin,
        relative,
    };
    insert(setting, key, new, written)
}

/// The path that is written, if it is one that does not start at the root.
fn relative_path(setting: &dyn AnySetting, value: &Value) -> Option<String> {
    let path = value.as_str().filter(|path| !path.is_empty())?;
    (setting.is_path() && Path::new(path).is_relative()).then(|| path.to_owned())
}

fn accept_variable(
    variable: String,
    text: &str,
    written: &mut BTreeMap<&'static str, Written>,
) -> Result<(), Problem> {
    let names = |setting: &&&dyn AnySetting| {
        setting.variable() == variable
            || setting
                .aliases()
                .iter()
                .any(|alias| setting::variable(alias) == variable)
    };
    let Some(setting) = settings::ALL.iter().find(names) else {
        let known = settings::ALL.iter().map(|setting| setting.variable());
        let nearest = nearest(&variable, '_', known);
        return Err(Problem::UnknownVariable { variable, nearest });
    };
    let value = setting.interpret(text);
    let origin = Origin::Variable(variable.clone());
    let checked = setting.check(&value).and_then(|()| {
        let is_relative = relative_path(*setting, &value).is_some();
        (!is_relative)
            .then_some(())
            .ok_or_else(|| FROM_THE_ROOT.into())
    });
    if let Err(expected) = checked {
        return Err(Problem::WrongValue {
            origin,
            key: setting.key().into(),
            given: value,
            expected,
        });
    }
    let new = Written {
        value,
        origin,
        relative: None,
    };
    insert(*setting, variable, new, written)
}

fn insert(
    setting: &dyn AnySetting,
    name: String,
    new: Written,
    written: &mut BTreeMap<&'static str, Written>,
) -> Result<(), Problem> {
    let origin = new.origin.clone();
    match written.insert(setting.key(), new) {
        None => Ok(()),
        Some(_) => Err(Problem::Twice {
            origin,
            key: setting.key().into(),
            alias: name,
        }),
    }
}

/// The setting of a key, by whichever of its names.
fn find(key: &str) -> Option<&'static dyn AnySetting> {
    let named =
        |setting: &&&dyn AnySetting| setting.key() == key || setting.aliases().contains(&key);
    settings::ALL.iter().find(named).copied()
}

/// The known name that is most like the unknown one, if one is: by its letters, or because
/// only the section is another (`storage.ducklake.data_path`).
pub(crate) fn nearest(
    unknown: &str,
    separator: char,
    known: impl Iterator<Item = String>,
) -> Option<String> {
    let last = |name: &str| name.rsplit(separator).next().map(str::to_string);
    let likeness = |name: &str| {
        let same_last = separator == '.' && last(name) == last(unknown);
        strsim::normalized_damerau_levenshtein(unknown, name) + if same_last { 0.5 } else { 0.0 }
    };
    known
        .map(|name| (likeness(&name), name))
        .filter(|(likeness, _)| *likeness >= LIKENESS_MIN)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, name)| name)
}

fn suggestion(nearest: &Option<String>) -> String {
    match nearest {
        Some(nearest) => format!("; did you mean {nearest}?"),
        None => "; `heplake config print` lists all".into(),
    }
}

fn lines(problems: &[Problem]) -> String {
    let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File {
                path,
                line: Some(line),
            } => write!(f, "{}:{line}", path.display()),
            Self::File { path, line: None } => write!(f, "{}", path.display()),
            Self::Variable(name) => write!(f, "the environment variable {name}"),
        }
    }
}
