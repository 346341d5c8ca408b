//! The control listener of a running edge, as the commands ask it.

use clap::Args;
use heplake_host::{
    configuration::{Configuration, ControlSettings},
    http::read_token,
    process::{Failure, user_name},
};
use heplake_lake::ladder::printable;
use serde_json::Value;
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};
use ureq::http::StatusCode;

/// How long an edge may take to accept a connection. A validation takes what it takes.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Largest answer that is read, in bytes: a component, or a store full of them.
const ANSWER_BYTES_MAX: u64 = 128 << 20;

/// Which edge is asked, and as whom.
#[derive(Args)]
pub(crate) struct ControlArguments {
    /// The edge to ask [default: control.host and control.port of the configuration]
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// File with its token [default: control.token_file of the configuration, for the edge at
    /// the address there]
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Who does it, for the history [default: your user name]
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
}

/// A connection to come.
pub(super) struct EdgeControl {
    server: String,
    /// What `authorization` says; nothing to an edge that the token is not known to be of.
    token: Option<String>,
    agent: ureq::Agent,
    pub(super) by: String,
}

/// An edge's refusal: its code, its message, and the report that says why.
pub(super) struct Denied {
    pub(super) code: Option<String>,
    pub(super) message: String,
    pub(super) report: Option<Value>,
}

impl EdgeControl {
    pub(super) fn new(
        arguments: &ControlArguments,
        configuration: &Configuration,
    ) -> Result<Self, Failure> {
        let settings = ControlSettings::resolve(configuration)?;
        let server = match (&arguments.server, &settings) {
            (Some(server), _) => server.trim_end_matches('/').to_owned(),
            (None, Some(settings)) => format!("http://{}", reachable(settings.address)),
            (None, None) => {
                return Err(Failure::Usage(
                    "control.enable is false, so that no edge answers; --server names another"
                        .into(),
                ));
            }
        };
        // A token is not told to whatever answers at another address.
        let configured = settings.filter(|settings| is_at(&server, settings.address));
        let configured = configured.and_then(|settings| settings.token_file);
        let token_file = arguments.token_file.clone().or(configured);
        let token = token_file.as_deref().map(read_token).transpose()?;
        Ok(Self {
            server,
            token,
            agent: ureq::Agent::config_builder()
                .http_status_as_error(false)
                .timeout_connect(Some(CONNECT_TIMEOUT))
                .build()
                .into(),
            by: arguments.by.clone().unwrap_or_else(user_name),
        })
    }

    pub(super) fn get(&self, path: &str) -> Result<Value, Failure> {
        let request = self.authorized(self.agent.get(self.url(path)));
        Self::accepted(self.answer(request.call())?)
    }

    /// Digest and bytes of the component of a name that serves.
    pub(super) fn active(&self, name: &str) -> Result<(String, Vec<u8>), Failure> {
        let listed = self.get("")?;
        let Some(digest) = listed["active"][name]["active"].as_str() else {
            let server = &self.server;
            return Err(Failure::Failed(format!(
                "no component `{name}` serves at {server}: `heplake component list` shows what does"
            )));
        };
        // It becomes part of a path.
        if digest.len() != 64 || !digest.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            let what = format!(
                "{} says that `{digest}` serves, which is no digest",
                self.server
            );
            return Err(Failure::Failed(printable(&what)));
        }
        let url = self.url(&format!("/{digest}/component.wasm"));
        let (status, body) = self.receive(self.authorized(self.agent.get(url)).call())?;
        match status.is_success() {
            true => Ok((digest.to_owned(), body)),
            false => {
                Self::accepted(self.read(status, &body)?)?;
                Err(Failure::Failed(format!(
                    "{} answered {status}",
                    self.server
                )))
            }
        }
    }

    pub(super) fn post(&self, path: &str, body: &Value) -> Result<Result<Value, Denied>, Failure> {
        let request = self.authorized(self.agent.post(self.url(path)));
        self.answer(request.send_json(body))
    }

    pub(super) fn delete(&self, path: &str) -> Result<Result<Value, Denied>, Failure> {
        let request = self.authorized(self.agent.delete(self.url(path)));
        self.answer(request.call())
    }

    pub(super) fn upload(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        bytes: &[u8],
    ) -> Result<Result<Value, Denied>, Failure> {
        let mut request = self.authorized(self.agent.post(self.url(path)));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        // One that has no place for it says so before it is sent.
        let request = request.header("expect", "100-continue");
        self.answer(request.send(bytes))
    }

    /// The answer, where a no is a failure of the command.
    pub(super) fn accepted(answer: Result<Value, Denied>) -> Result<Value, Failure> {
        answer.map_err(|denied| Failure::Failed(denied.message))
    }

    fn url(&self, path: &str) -> String {
        format!("{}/api/v1/components{path}", self.server)
    }

    fn authorized<T>(&self, request: ureq::RequestBuilder<T>) -> ureq::RequestBuilder<T> {
        match &self.token {
            Some(token) => request.header("authorization", format!("Bearer {token}")),
            None => request,
        }
    }

    fn answer(
        &self,
        response: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> Result<Result<Value, Denied>, Failure> {
        let (status, body) = self.receive(response)?;
        self.read(status, &body)
    }

    fn receive(
        &self,
        response: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> Result<(StatusCode, Vec<u8>), Failure> {
        let server = &self.server;
        let unreachable = |error: ureq::Error| {
            let what = format!(
                "no edge answers at {server}; start one with `heplake serve` or `heplake edge`, or name another with --server"
            );
            Failure::of(&what, &error)
        };
        let mut response = response.map_err(unreachable)?;
        let body = response.body_mut().with_config().limit(ANSWER_BYTES_MAX);
        let body = body.read_to_vec().map_err(unreachable)?;
        Ok((response.status(), body))
    }

    fn read(&self, status: StatusCode, body: &[u8]) -> Result<Result<Value, Denied>, Failure> {
        let server = &self.server;
        let mut said: Value = serde_json::from_slice(body).map_err(|error| {
            let what =
                format!("{server} answered {status}: is it the control address of a Heplake?");
            Failure::of(&what, &error)
        })?;
        if status.is_success() {
            return Ok(Ok(said));
        }
        let message = said.pointer("/error/message").and_then(Value::as_str);
        let mut message = match message {
            Some(message) => message.to_owned(),
            None => format!("{server} answered {status}"),
        };
        if status == StatusCode::UNAUTHORIZED && self.token.is_none() {
            message.push_str("; --token-file names a file with the token of this edge");
        }
        let code = said.pointer("/error/code").and_then(Value::as_str);
        let code = code.map(str::to_owned);
        let report = said.get_mut("report").map(Value::take);
        Ok(Err(Denied {
            code,
            message,
            report,
        }))
    }
}

/// Whether a URL is that of an address, as it is reached from here.
fn is_at(server: &str, address: SocketAddr) -> bool {
    let reachable = reachable(address);
    let authority = server.strip_prefix("http://").unwrap_or_default();
    match authority.parse::<SocketAddr>() {
        Ok(named) => named == reachable || named == address,
        Err(_) => {
            let localhost = format!("localhost:{}", address.port());
            reachable.ip().is_loopback() && authority.eq_ignore_ascii_case(&localhost)
        }
    }
}

/// Where an address is reached from here: all addresses means this machine, too.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip: IpAddr = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

#[cfg(test)]
mod tests {
    use super::is_at;

    #[test]
    fn a_token_goes_to_the_address_that_it_is_of_and_to_no_other() {
        for (server, address, expected) in [
            ("http://127.0.0.1:9061", "127.0.0.1:9061", true),
            ("http://localhost:9061", "127.0.0.1:9061", true),
            ("http://LocalHost:9061", "[::1]:9061", true),
            ("http://[::1]:9061", "[::1]:9061", true),
            ("http://127.0.0.1:9061", "0.0.0.0:9061", true),
            ("http://192.0.2.1:9061", "192.0.2.1:9061", true),
            ("http://127.0.0.1:9062", "127.0.0.1:9061", false),
            ("http://192.0.2.2:9061", "192.0.2.1:9061", false),
            ("http://192.0.2.1:9061", "0.0.0.0:9061", false),
            ("http://localhost:9061", "192.0.2.1:9061", false),
            (
                "http://localhost:9061.evil.example",
                "127.0.0.1:9061",
                false,
            ),
            (
                "http://127.0.0.1:9061@evil.example",
                "127.0.0.1:9061",
                false,
            ),
            (
                "http://evil.example/127.0.0.1:9061",
                "127.0.0.1:9061",
                false,
            ),
            ("https://127.0.0.1:9061", "127.0.0.1:9061", false),
            ("127.0.0.1:9061", "127.0.0.1:9061", false),
            ("", "127.0.0.1:9061", false),
        ] {
            let found = is_at(server, address.parse().unwrap());
            assert_eq!(found, expected, "{server} for {address}");
        }
    }
}
