//! `heplake repair`: what the lake could not take, and what becomes of it.
//!
//! A running lake is asked over HTTP. If none runs, the catalog is opened here.

use super::{print, sql::configured_server};
use clap::{Args, Subcommand};
use heplake_format::{EdgeName, TableName};
use heplake_host::{
    configuration::{Configuration, ControlSettings},
    http::read_token,
    process::Failure,
    service::apply_permissions,
};
use heplake_lake::{
    ColumnDecision, Condition, Decision, Given, Lake, LakeSettings, Repaired, ladder::printable,
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::{collections::BTreeMap, path::PathBuf, time::Duration};

/// How long the lake may take to accept a connection. Its answer takes what it takes.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Largest answer that is read, in bytes.
const ANSWER_BYTES_MAX: u64 = 4 << 20;
/// Where the lake takes decisions.
const ROUTE: &str = "/api/v1/repair";

/// Arguments of `heplake repair`.
#[derive(Args)]
#[command(after_help = "Examples:\n  \
        heplake repair list\n  \
        heplake repair retry\n  \
        heplake repair register hep_proto_5_default --cast jitter\n  \
        heplake repair register hep_proto_5_default --rename jitter=jitter_ms\n  \
        heplake repair register hep_proto_5_default --leave-out jitter --yes\n  \
        heplake repair give-up hep_proto_5_default --yes\n  \
        heplake repair give-up-commit fra-1 42 --yes\n  \
        heplake repair take-out main/hep_proto_1_call/date=2026-11-22/fra-1-…-0000.parquet --yes\n\n\
        docs/repair.md says when to use which.")]
pub(crate) struct RepairArguments {
    #[command(subcommand)]
    verb: Verb,
    /// The lake to ask [default: http.host and http.port of the configuration, or the catalog
    /// itself if no lake answers there]
    #[arg(long, value_name = "URL", global = true)]
    server: Option<String>,
    /// File with the token of the lake [default: control.token_file of the configuration, for
    /// the lake at the address there]
    #[arg(long, value_name = "FILE", global = true)]
    token_file: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Verb {
    /// Show files that were set aside, refused commits, and changed files
    List {
        /// Print it as JSON
        #[arg(long)]
        json: bool,
    },
    /// Look again at files that were set aside and at refused commits, now
    Retry {
        /// Only files of this table
        #[arg(long)]
        table: Option<String>,
        /// Only files and commits of this edge
        #[arg(long)]
        edge: Option<EdgeName>,
    },
    /// Register the files of a table that were set aside, with other columns
    Register {
        /// The table, as `list` shows it
        table: String,
        /// Give a column the type that it has in the lake; a value that does not fit becomes
        /// null, and stays as text in data_extra.not_cast
        #[arg(long, value_name = "COLUMN")]
        cast: Vec<String>,
        /// Give a column another name
        #[arg(long, value_name = "COLUMN=NAME", value_parser = renamed)]
        rename: Vec<(String, TableName)>,
        /// Give up the values of a column
        #[arg(long, value_name = "COLUMN")]
        leave_out: Vec<String>,
        /// The table that the rows go to instead
        #[arg(long, value_name = "TABLE")]
        into: Option<TableName>,
        /// Take a file whose size or rows are not as its commit has them
        #[arg(long)]
        as_found: bool,
        /// Only files of this edge
        #[arg(long)]
        edge: Option<EdgeName>,
        /// Values may be lost
        #[arg(long)]
        yes: bool,
    },
    /// Give up the files of a table that were set aside: no query finds their rows
    GiveUp {
        /// The table, as `list` shows it
        table: String,
        /// Only files of this edge
        #[arg(long)]
        edge: Option<EdgeName>,
        /// Their rows may be lost
        #[arg(long)]
        yes: bool,
    },
    /// Give up a refused commit
    GiveUpCommit {
        /// Whose commit it is
        edge: EdgeName,
        /// Its number
        sequence: u64,
        /// Its rows may be lost
        #[arg(long)]
        yes: bool,
    },
    /// Take a changed file out of the catalog, and move it below aside/
    TakeOut {
        /// The file, as `list` shows it
        path: String,
        /// Its rows may be lost
        #[arg(long)]
        yes: bool,
    },
    /// Register a changed file as it is now, if it is sound
    TakeUp {
        /// The file, as `list` shows it
        path: String,
    },
}

fn renamed(text: &str) -> Result<(String, TableName), String> {
    let (column, name) = text
        .split_once('=')
        .ok_or("say COLUMN=NAME, such as jitter=jitter_ms")?;
    let name = name
        .parse::<TableName>()
        .map_err(|error| error.to_string())?;
    Ok((column.into(), name))
}

impl Verb {
    /// What the lake is told; none if it is only asked.
    fn given(&self) -> Result<Option<Given>, Failure> {
        let (decision, yes) = match self {
            Self::List { .. } => return Ok(None),
            Self::Retry { table, edge } => {
                let (table, edge) = (table.clone(), edge.clone());
                (Decision::Retry { table, edge }, false)
            }
            Self::Register {
                table,
                cast,
                rename,
                leave_out,
                into,
                as_found,
                edge,
                yes,
            } => {
                let casts = cast.iter().map(|name| (name.clone(), ColumnDecision::Cast));
                let renames = rename
                    .iter()
                    .map(|(name, to)| (name.clone(), ColumnDecision::Rename(to.clone())));
                let left_out = leave_out
                    .iter()
                    .map(|name| (name.clone(), ColumnDecision::LeaveOut));
                let mut columns = BTreeMap::new();
                for (name, decision) in casts.chain(renames).chain(left_out) {
                    if columns.insert(name.clone(), decision).is_some() {
                        return Err(Failure::Usage(format!(
                            "the column {name} is decided about twice"
                        )));
                    }
                }
                let decision = Decision::Register {
                    table: table.clone(),
                    edge: edge.clone(),
                    columns,
                    into: into.clone(),
                    as_found: *as_found,
                };
                (decision, *yes)
            }
            Self::GiveUp { table, edge, yes } => {
                let (table, edge) = (table.clone(), edge.clone());
                (Decision::GiveUp { table, edge }, *yes)
            }
            Self::GiveUpCommit {
                edge,
                sequence,
                yes,
            } => {
                let (edge, sequence) = (edge.clone(), *sequence);
                (Decision::GiveUpCommit { edge, sequence }, *yes)
            }
            Self::TakeOut { path, yes } => (Decision::TakeOut { path: path.clone() }, *yes),
            Self::TakeUp { path } => (Decision::TakeUp { path: path.clone() }, false),
        };
        Ok(Some(Given { decision, yes }))
    }
}

pub(crate) async fn run(
    arguments: RepairArguments,
    configuration: Configuration,
) -> Result<(), Failure> {
    // The lake blocks, which is forbidden in a task.
    tokio::task::spawn_blocking(move || run_blocking(&arguments, &configuration))
        .await
        .map_err(|error| Failure::of("the repair ended abnormally", &error))?
}

fn run_blocking(arguments: &RepairArguments, configuration: &Configuration) -> Result<(), Failure> {
    let lake = match Remote::new(arguments, configuration)? {
        Some(remote) if remote.answers(arguments.server.is_some())? => Whom::Service(remote),
        _ => Whom::Catalog(Box::new(open(configuration)?)),
    };
    let Some(given) = arguments.verb.given()? else {
        let condition = lake.condition()?;
        return match arguments.verb {
            Verb::List { json: true } => {
                let text = serde_json::to_string_pretty(&condition).unwrap_or_default();
                print(text + "\n")
            }
            _ => print(listed(&condition)),
        };
    };
    let repaired = lake.repair(&given)?;
    print(told(&repaired))?;
    match repaired.failed_files {
        0 => Ok(()),
        count => Err(Failure::Failed(format!(
            "{count} files are still set aside"
        ))),
    }
}

/// Who carries it out.
enum Whom {
    Service(Remote),
    Catalog(Box<Lake>),
}

impl Whom {
    fn condition(&self) -> Result<Condition, Failure> {
        match self {
            Self::Service(remote) => remote.get(),
            Self::Catalog(lake) => lake
                .condition()
                .map_err(|error| Failure::of("the catalog cannot be read", &error)),
        }
    }

    fn repair(&self, given: &Given) -> Result<Repaired, Failure> {
        let lake = match self {
            Self::Service(remote) => return remote.post(given),
            Self::Catalog(lake) => lake,
        };
        let failed = |error: &dyn std::error::Error| Failure::Failed(error.to_string());
        let repaired = lake.repair(given).map_err(|error| failed(&error))?;
        if matches!(given.decision, Decision::Retry { .. }) {
            // A service would do it within a second.
            lake.register_new().map_err(|error| failed(&error))?;
        }
        Ok(repaired)
    }
}

fn open(configuration: &Configuration) -> Result<Lake, Failure> {
    let settings = LakeSettings::resolve(configuration)?;
    if !settings.catalog_path.exists() {
        return Err(Failure::Failed(format!(
            "no lake answers, and there is no catalog {}: --config names the lake's configuration, --server a running lake",
            settings.catalog_path.display()
        )));
    }
    // What is written anew has the rights of what the service writes.
    apply_permissions(configuration)?;
    Lake::open(&settings).map_err(|error| Failure::of("the lake cannot be opened", &error))
}

/// A running lake.
struct Remote {
    server: String,
    token: Option<String>,
    agent: ureq::Agent,
}

impl Remote {
    /// The lake of the arguments, or of the configuration if it serves HTTP.
    fn new(
        arguments: &RepairArguments,
        configuration: &Configuration,
    ) -> Result<Option<Self>, Failure> {
        let server = match &arguments.server {
            Some(server) => server.trim_end_matches('/').to_owned(),
            None => match configured_server(configuration) {
                Ok(server) => server,
                Err(Failure::Usage(_)) => return Ok(None),
                Err(failure) => return Err(failure),
            },
        };
        // A token is not told to whatever answers at another address.
        let configured = match &arguments.server {
            Some(_) => None,
            None => ControlSettings::resolve(configuration)?.and_then(|s| s.token_file),
        };
        let token_file = arguments.token_file.clone().or(configured);
        let token = token_file.as_deref().map(read_token).transpose()?;
        Ok(Some(Self {
            server,
            token,
            agent: ureq::Agent::config_builder()
                .http_status_as_error(false)
                .timeout_connect(Some(CONNECT_TIMEOUT))
                .build()
                .into(),
        }))
    }

    /// Whether anybody is there. It must be if it was named.
    fn answers(&self, must: bool) -> Result<bool, Failure> {
        match self.agent.get(format!("{}/health", self.server)).call() {
            Ok(_) => Ok(true),
            Err(_) if !must => Ok(false),
            Err(error) => Err(self.unreachable(&error)),
        }
    }

    fn get(&self) -> Result<Condition, Failure> {
        let request = self.agent.get(format!("{}{ROUTE}", self.server));
        self.answer(request.call())
    }

    fn post(&self, given: &Given) -> Result<Repaired, Failure> {
        let mut request = self.agent.post(format!("{}{ROUTE}", self.server));
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        self.answer(request.send_json(given))
    }

    fn unreachable(&self, error: &ureq::Error) -> Failure {
        Failure::of(&format!("no lake answers at {}", self.server), error)
    }

    fn answer<T: DeserializeOwned>(
        &self,
        response: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> Result<T, Failure> {
        let server = &self.server;
        let mut response = response.map_err(|error| self.unreachable(&error))?;
        let status = response.status();
        let body = response.body_mut().with_config().limit(ANSWER_BYTES_MAX);
        let body = body
            .read_to_vec()
            .map_err(|error| self.unreachable(&error))?;
        if status.is_success() {
            return serde_json::from_slice(&body)
                .map_err(|error| Failure::of(&format!("{server} is no lake"), &error));
        }
        let said: Option<Value> = serde_json::from_slice(&body).ok();
        let code = said.as_ref().and_then(|said| said.pointer("/error/code"));
        let message = said
            .as_ref()
            .and_then(|said| said.pointer("/error/message"));
        let is_edge = code.and_then(Value::as_str) == Some("no_such_route");
        Err(Failure::Failed(match message.and_then(Value::as_str) {
            Some(_) if is_edge => {
                format!("an edge answers at {server}, and no lake: --server names the lake")
            }
            Some(message) => printable(message),
            None => format!("{server} answered {status}: is it a Heplake?"),
        }))
    }
}

/// What waits, for people.
fn listed(condition: &Condition) -> String {
    let mut text = String::new();
    let mut line = |line: String| {
        text.push_str(&printable(&line));
        text.push('\n');
    };
    if condition.reasons().is_empty() {
        line("nothing is set aside, refused or changed".into());
    }
    if condition.changed_files > 0 {
        line(format!("changed data files: {}", condition.changed_files));
        for file in &condition.changed {
            line(format!(
                "  {} ({} rows): {}",
                file.path, file.rows, file.reason
            ));
        }
    }
    if condition.set_aside_files > 0 {
        line(format!(
            "set aside: {} files with {} rows",
            condition.set_aside_files, condition.set_aside_rows
        ));
        for group in &condition.set_aside {
            line(format!(
                "  table {}, edge {}: {} files, {} rows: {}",
                group.table, group.edge, group.files, group.rows, group.reason
            ));
        }
    }
    if condition.refused_commits > 0 {
        line(format!("refused commits: {}", condition.refused_commits));
        for commit in &condition.refused {
            line(format!(
                "  edge {}, commit {}: {}",
                commit.edge, commit.sequence, commit.reason
            ));
        }
    }
    text
}

/// What was done, for people.
fn told(repaired: &Repaired) -> String {
    let mut text = format!("{} files, {} rows\n", repaired.files, repaired.rows);
    if repaired.values_not_cast > 0 {
        text.push_str(&format!(
            "{} values could not be cast: they are null, and stand as text in data_extra.not_cast\n",
            repaired.values_not_cast
        ));
    }
    if let Some(note) = &repaired.note {
        text.push_str(&format!("{}\n", printable(note)));
    }
    for file in &repaired.failed {
        let line = format!("{}: {}", file.path, file.reason);
        text.push_str(&format!("{}\n", printable(&line)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    const PAGE: &str = include_str!("../../../docs/repair.md");

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        arguments: RepairArguments,
    }

    #[test]
    fn every_command_of_the_page_can_be_given() {
        let lines = PAGE.lines().map(str::trim);
        let commands = lines.filter_map(|line| line.strip_prefix("heplake repair "));
        let commands: Vec<_> = commands.collect();
        assert!(commands.len() >= 10, "{commands:?}");
        for command in commands {
            let words = command.split(" #").next().unwrap_or_default();
            let words = std::iter::once("repair").chain(words.split_whitespace());
            match Line::try_parse_from(words) {
                Ok(line) => drop(line.arguments.verb.given().unwrap()),
                Err(error) => panic!("{command}: {error}"),
            }
        }
    }

    #[test]
    fn every_decision_of_the_page_can_be_sent() {
        let (_, block) = PAGE.split_once("```json\n").unwrap();
        let (block, _) = block.split_once("```").unwrap();
        let decisions = serde_json::Deserializer::from_str(block).into_iter::<Given>();
        let decisions: Vec<_> = decisions.map(Result::unwrap).collect();
        assert_eq!(decisions.len(), 7, "{decisions:?}");
    }
}
