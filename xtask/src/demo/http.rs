//! As much HTTP as the demo needs: version 1.0, which ends an answer by closing.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

use crate::command::Failure;

/// Longer than the service's own limit on a query.
const TIMEOUT: Duration = Duration::from_secs(40);

pub(super) fn get(port: u16, path: &str, accept: &str) -> Result<String, Failure> {
    exchange(
        port,
        &format!("GET {path} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\nAccept: {accept}\r\n\r\n"),
    )
    .map_err(|reason| Failure::Task(format!("GET {path}: {reason}")))
}

pub(super) fn get_json(port: u16, path: &str) -> Result<Value, Failure> {
    parse(path, &get(port, path, "application/json")?)
}

pub(super) fn post_json(port: u16, path: &str, body: &Value) -> Result<Value, Failure> {
    let body = body.to_string();
    let answer = exchange(
        port,
        &format!(
            "POST {path} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\nAccept: application/json\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ),
    )
    .map_err(|reason| Failure::Task(format!("POST {path}: {reason}")))?;
    parse(path, &answer)
}

/// A segment of a path.
pub(super) fn percent_encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

fn parse(path: &str, text: &str) -> Result<Value, Failure> {
    serde_json::from_str(text)
        .map_err(|error| Failure::Task(format!("{path} answered no JSON: {error}: {text}")))
}

fn exchange(port: u16, request: &str) -> Result<String, String> {
    let answer = || {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut connection = TcpStream::connect_timeout(&address, TIMEOUT)?;
        connection.set_read_timeout(Some(TIMEOUT))?;
        connection.write_all(request.as_bytes())?;
        let mut answer = Vec::new();
        connection.read_to_end(&mut answer)?;
        Ok::<_, std::io::Error>(answer)
    };
    let answer = answer().map_err(|error| error.to_string())?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .ok_or("the answer is cut short")?;
    let status = head.split(' ').nth(1).unwrap_or_default();
    if status.starts_with('2') {
        Ok(body.to_owned())
    } else {
        Err(format!("status {status}: {body}"))
    }
}

#[cfg(test)]
mod tests {
    use super::percent_encoded;

    #[test]
    fn encodes_what_is_no_plain_character_of_a_path() {
        assert_eq!(percent_encoded("a-1.b_~"), "a-1.b_~");
        assert_eq!(
            percent_encoded("x@[::1]/?é"),
            "x%40%5B%3A%3A1%5D%2F%3F%C3%A9"
        );
    }
}
