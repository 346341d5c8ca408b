//! The control listener of a running edge, as the commands ask it.

use clap::Args;
use heplake_host::{
    configuration::{Configuration, ControlSettings},
    http::read_token,
    process::Failure,
};
use serde_json::Value;
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

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
    /// File with its token [default: control.token_file of the configuration]
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Who does it, for the history [default: your user name]
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
}

/// A connection to come.
pub(super) struct EdgeControl {
    server: String,
    token: Option<String>,
    agent: ureq::Agent,
    pub(super) by: String,
}

/// What an edge said no to: the message, and the report that says why.
pub(super) struct Denied {
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
        let configured = settings.and_then(|settings| settings.token_file);
        let token_file = arguments.token_file.clone().or(configured);
        let token = token_file.as_deref().map(read_token).transpose()?;
        let user = || std::env::var("USER").unwrap_or_else(|_| "command".into());
        Ok(Self {
            server,
            token,
            agent: ureq::Agent::config_builder()
                .http_status_as_error(false)
                .timeout_connect(Some(CONNECT_TIMEOUT))
                .build()
                .into(),
            by: arguments.by.clone().unwrap_or_else(user),
        })
    }

    pub(super) fn get(&self, path: &str) -> Result<Value, Failure> {
        let request = self.agent.get(self.url(path));
        let request = self.authorized(request);
        Self::accepted(self.answer(request.call())?)
    }

    pub(super) fn post(&self, path: &str, body: &Value) -> Result<Result<Value, Denied>, Failure> {
        let request = self.authorized(self.agent.post(self.url(path)));
        self.answer(request.send_json(body))
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
        let server = &self.server;
        let unreachable = |error: ureq::Error| {
            let what = format!(
                "no edge answers at {server}; start one with `heplake serve` or `heplake edge`, or name another with --server"
            );
            Failure::of(&what, &error)
        };
        let mut response = response.map_err(unreachable)?;
        let status = response.status();
        let body = response.body_mut().with_config().limit(ANSWER_BYTES_MAX);
        let body = body.read_to_vec().map_err(unreachable)?;
        let mut said: Value = serde_json::from_slice(&body).map_err(|error| {
            let what =
                format!("{server} answered {status}: is it the control address of a Heplake?");
            Failure::of(&what, &error)
        })?;
        if status.is_success() {
            return Ok(Ok(said));
        }
        let message = said.pointer("/error/message").and_then(Value::as_str);
        let message = match message {
            Some(message) => message.to_owned(),
            None => format!("{server} answered {status}"),
        };
        let report = said.get_mut("report").map(Value::take);
        Ok(Err(Denied { message, report }))
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
