//! The component's section of the host's configuration.
//!
//! ```json
//! {"correlation_headers": ["X-CID", "X-Call-ID"], "custom_headers": ["X-Trunk"]}
//! ```

use serde::Deserialize;

use crate::header::long_name;
use crate::occurrence;
use crate::text::is_token;

/// Most correlation headers. A chain of back-to-back agents uses two or three.
const CORRELATION_HEADERS_MAX: usize = 32;
/// Most custom headers. Each is a cell of every row.
const CUSTOM_HEADERS_MAX: usize = 64;
/// Longest header name; names in use stay below 40.
const NAME_BYTES_MAX: usize = 128;

/// What an operator may set.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Configuration {
    /// Headers that tie the legs of a call together, the most trusted first.
    correlation_headers: Vec<String>,
    /// Headers that are kept beside the known ones.
    pub(crate) custom_headers: Vec<String>,
}

impl Default for Configuration {
    /// What Homer's users set most: the two names that back-to-back agents use.
    fn default() -> Self {
        Self {
            correlation_headers: vec!["X-CID".into(), "X-Call-ID".into()],
            custom_headers: Vec::new(),
        }
    }
}

impl Configuration {
    /// Reads the section; empty text is the default.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        let configuration: Self =
            serde_json::from_str(text).map_err(|error| format!("sip: {error}"))?;
        let Self {
            correlation_headers,
            custom_headers,
        } = &configuration;
        check(
            "correlation_headers",
            correlation_headers,
            CORRELATION_HEADERS_MAX,
        )?;
        check("custom_headers", custom_headers, CUSTOM_HEADERS_MAX)?;
        Ok(configuration)
    }
}

fn check(setting: &str, names: &[String], names_max: usize) -> Result<(), String> {
    if names.len() > names_max {
        return Err(format!(
            "{setting}: {} names, {names_max} are allowed",
            names.len()
        ));
    }
    for (place, name) in names.iter().enumerate() {
        if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.bytes().all(is_token) {
            return Err(format!(
                "{setting}: `{name}` is no header name: 1 to {NAME_BYTES_MAX} letters, digits \
                 and -.!%*_+`'~ are allowed"
            ));
        }
        if name.eq_ignore_ascii_case("Authorization")
            || name.eq_ignore_ascii_case("Proxy-Authorization")
        {
            return Err(format!(
                "{setting}: `{name}` holds credentials; it is kept as `authorization`, masked"
            ));
        }
        if names
            .iter()
            .take(place)
            .any(|other| other.eq_ignore_ascii_case(name))
        {
            return Err(format!("{setting}: `{name}` is there twice"));
        }
    }
    Ok(())
}

/// The configured headers, made ready to be looked for in each line.
#[derive(Debug)]
pub(crate) struct Watched {
    /// Bit `n` is set if a name, or its compact form, begins with the letter `n`.
    letters: u32,
    headers: Vec<(Vec<u8>, Target)>,
}

/// Where a configured header goes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target {
    /// To [`field::CORRELATION`], unless one of lower rank is there.
    Correlation { rank: usize },
    /// To its own field, behind all others.
    Custom { index: usize, is_list: bool },
}

impl Default for Watched {
    fn default() -> Self {
        Self::of(&Configuration::default())
    }
}

impl Watched {
    pub(crate) fn of(configuration: &Configuration) -> Self {
        let correlation = configuration.correlation_headers.iter().enumerate();
        let custom = configuration.custom_headers.iter().enumerate();
        let long = |name: &String| long_name(name.as_bytes()).to_ascii_lowercase();
        let correlation =
            correlation.map(|(rank, name)| (long(name), Target::Correlation { rank }));
        let custom = custom.map(|(index, name)| {
            let name = long(name);
            let is_list = occurrence::is_list(&name);
            (name, Target::Custom { index, is_list })
        });
        let headers: Vec<(Vec<u8>, Target)> = correlation.chain(custom).collect();
        let compact = (b'a'..=b'z').filter(|letter| {
            headers
                .iter()
                .any(|(name, _)| name == long_name(std::slice::from_ref(letter)))
        });
        let letters = headers
            .iter()
            .filter_map(|(name, _)| name.first().copied())
            .chain(compact)
            .fold(0, |set, letter| set | letter_bit(letter));
        Self { letters, headers }
    }

    /// How many custom headers there are.
    pub(crate) fn custom_headers(&self) -> usize {
        let targets = self.headers.iter().map(|(_, target)| target);
        targets
            .filter(|target| matches!(target, Target::Custom { .. }))
            .count()
    }

    /// Whether a configured name may begin with this letter.
    pub(crate) fn may_begin_with(&self, letter: u8) -> bool {
        self.letters & letter_bit(letter) != 0
    }

    /// The letters that a configured name may begin with: bit `n` for the `n`-th.
    pub(crate) fn letters(&self) -> u32 {
        self.letters
    }

    /// Where the header of this name goes; it may go to more than one place.
    pub(crate) fn targets(&self, name: &[u8]) -> impl Iterator<Item = Target> {
        let name = long_name(name);
        self.headers
            .iter()
            .filter(move |(watched, _)| watched.eq_ignore_ascii_case(name))
            .map(|(_, target)| *target)
    }
}

/// Letters of either case share a bit; so do some other characters, which costs a
/// comparison and no more.
fn letter_bit(letter: u8) -> u32 {
    1 << (letter & 31)
}
