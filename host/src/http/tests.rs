use super::{
    body::{BodyLimits, Uploads},
    connection::ConnectionLimits,
    *,
};
use crate::{
    components::Control,
    configuration::{Configuration, ControlSettings, EdgeSettings, Machine},
};
use axum::{body::Body, routing::post};
use std::{
    io::{Read, Write},
    net::{Shutdown, TcpStream},
    path::Path,
    sync::Arc,
    thread,
    time::Duration,
};
use tokio::{runtime::Runtime, sync::Notify};

/// How long a step may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// Far less than any patience, and yet more than a loopback takes.
const IDLE_MAX: Duration = Duration::from_millis(300);

/// Serves routes; the runtime ends them.
fn serve_one_at_a_time(runtime: &Runtime, routes: Router) -> SocketAddr {
    serve_with(runtime, routes, 1, IDLE_MAX)
}

fn serve_with(
    runtime: &Runtime,
    routes: Router,
    connections_max: usize,
    idle_max: Duration,
) -> SocketAddr {
    let limits = ConnectionLimits {
        connections_max,
        requests_max: connections_max,
        head_max: idle_max,
        idle_max,
    };
    serve_within(runtime, routes, limits)
}

fn serve_within(runtime: &Runtime, routes: Router, limits: ConnectionLimits) -> SocketAddr {
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    runtime.spawn(serve(listener, routes, limits, CancellationToken::new()));
    address
}

/// The limits of a service, but that no connection goes for want of a request.
fn patient() -> ConnectionLimits {
    ConnectionLimits {
        head_max: 60 * PATIENCE,
        idle_max: 60 * PATIENCE,
        ..ConnectionLimits::default()
    }
}

/// Connections that send the start of a head, and no more.
fn half_open(address: SocketAddr, count: usize) -> Vec<TcpStream> {
    let open = || {
        let mut connection = connect(address);
        // One that was closed meanwhile is as good.
        let _ = connection.write_all(b"GET /hello HTTP/1.1\r\nx: ");
        connection
    };
    (0..count).map(|_| open()).collect()
}

fn connect(address: SocketAddr) -> TcpStream {
    let connection = TcpStream::connect(address).unwrap();
    connection.set_read_timeout(Some(PATIENCE)).unwrap();
    connection.set_write_timeout(Some(PATIENCE)).unwrap();
    connection
}

/// What is answered until the connection is closed, by whoever closes it.
fn read(connection: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    match connection.read_to_end(&mut answer) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => panic!("{error}"),
        _ => String::from_utf8_lossy(&answer).into_owned(),
    }
}

fn ask(address: SocketAddr, request: &str) -> String {
    let mut connection = connect(address);
    connection.write_all(request.as_bytes()).unwrap();
    read(&mut connection)
}

const GET: &str = "GET /hello HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";

fn hello() -> Router {
    Router::new().route("/hello", get(|| async { "hello" }))
}

#[test]
fn connections_without_a_request_give_way() {
    for sent in [
        "",
        "GET /hello HTTP/1.1\r\nhost: loc",
        // Answered, and kept alive.
        "GET /hello HTTP/1.1\r\nhost: localhost\r\n\r\n",
    ] {
        let runtime = Runtime::new().unwrap();
        let address = serve_one_at_a_time(&runtime, hello());
        let mut idle = connect(address);
        idle.write_all(sent.as_bytes()).unwrap();
        let answer = ask(address, GET);
        assert!(answer.ends_with("hello"), "{sent:?}: {answer}");
        // It was closed, rather than forgotten.
        read(&mut idle);
    }
}

#[test]
fn a_head_that_trickles_in_gives_way() {
    let runtime = Runtime::new().unwrap();
    let address = serve_one_at_a_time(&runtime, hello());
    let mut slow = connect(address);
    slow.write_all(b"GET /hello HTTP/1.1\r\nx: ").unwrap();
    let trickle = thread::spawn(move || {
        // It ends when it is cut.
        while slow.write_all(b"x").is_ok() {
            thread::sleep(IDLE_MAX / 30);
        }
    });
    let answer = ask(address, GET);
    assert!(answer.ends_with("hello"), "{answer}");
    trickle.join().unwrap();
}

#[test]
fn a_peer_that_does_not_read_its_answer_gives_way() {
    let runtime = Runtime::new().unwrap();
    // More than the kernel takes from us.
    let large = get(|| async { vec![b'x'; 64 << 20] });
    let address = serve_one_at_a_time(&runtime, hello().route("/large", large));
    let mut deaf = connect(address);
    deaf.write_all(b"GET /large HTTP/1.1\r\nhost: localhost\r\n\r\n")
        .unwrap();
    let answer = ask(address, GET);
    assert!(answer.ends_with("hello"), "{answer}");
}

#[test]
fn an_answer_may_take_longer_than_a_connection_may_be_idle() {
    let runtime = Runtime::new().unwrap();
    let slow = get(|| async {
        tokio::time::sleep(IDLE_MAX * 4).await;
        "at last"
    });
    let address = serve_one_at_a_time(&runtime, Router::new().route("/hello", slow));
    let answer = ask(address, GET);
    assert!(answer.ends_with("at last"), "{answer}");
}

#[test]
fn half_open_connections_keep_nobody_out() {
    let runtime = Runtime::new().unwrap();
    let address = serve_within(&runtime, hello(), patient());
    let _open = half_open(address, 600);
    for _ in 0..3 {
        let answer = ask(address, GET);
        assert!(answer.ends_with("hello"), "{answer}");
    }
}

#[test]
fn half_open_connections_go_before_one_that_is_kept_alive() {
    let runtime = Runtime::new().unwrap();
    let limits = ConnectionLimits {
        connections_max: 3,
        requests_max: 3,
        ..patient()
    };
    let address = serve_within(&runtime, hello(), limits);
    let mut kept = connect(address);
    let mut hello = |more: &str| {
        let request = format!("GET /hello HTTP/1.1\r\nhost: localhost\r\n{more}\r\n");
        kept.write_all(request.as_bytes()).unwrap();
        let (mut answer, mut piece) = (Vec::new(), [0; 512]);
        while !answer.ends_with(b"hello") {
            let length = kept.read(&mut piece).unwrap();
            assert_ne!(length, 0, "it was closed");
            answer.extend_from_slice(&piece[..length]);
        }
    };
    hello("");
    let _open = half_open(address, 40);
    // All of them were accepted before this one.
    assert!(ask(address, GET).ends_with("hello"));
    hello("");
}

#[test]
fn requests_in_hand_leave_places_for_those_who_ask_how_it_is() {
    let runtime = Runtime::new().unwrap();
    let let_go = Arc::new(Notify::new());
    let (begun, let_one_go) = (Arc::new(Notify::new()), let_go.clone());
    let begins = begun.clone();
    let slow = get(move || async move {
        begins.notify_one();
        let_one_go.notified().await;
        "at last"
    });
    let well = get(|| async { "well" });
    let routes = hello().route("/slow", slow).route("/health", well);
    let limits = ConnectionLimits {
        connections_max: 3,
        requests_max: 2,
        ..patient()
    };
    let address = serve_within(&runtime, routes, limits);
    let mut slow = Vec::new();
    for _ in 0..2 {
        let mut connection = connect(address);
        let request = GET.replace("/hello", "/slow");
        connection.write_all(request.as_bytes()).unwrap();
        runtime.block_on(begun.notified());
        slow.push(connection);
    }
    let _open = half_open(address, 20);
    let turned_away = ask(address, GET);
    assert!(turned_away.contains("\"code\":\"busy\""), "{turned_away}");
    let answer = ask(address, &GET.replace("/hello", "/health"));
    assert!(answer.ends_with("well"), "{answer}");
    for mut connection in slow {
        let_go.notify_one();
        assert!(read(&mut connection).ends_with("at last"));
    }
}

#[test]
fn health_is_503_only_if_the_service_does_not_do_its_work() {
    use crate::health::Code;
    for (code, status, word) in [
        (None, StatusCode::OK, "ok"),
        (Some(Code::UdpReceiveBufferSmall), StatusCode::OK, "ok"),
        (Some(Code::CommitsRefused), StatusCode::OK, "degraded"),
        (
            Some(Code::CannotRegister),
            StatusCode::SERVICE_UNAVAILABLE,
            "failing",
        ),
    ] {
        let health = Health::new();
        if let Some(code) = code {
            health.raise(code, "it is so");
        }
        let edge = json!({ "name": "fra" });
        let answer = answer_health(&health, Instant::now(), edge, Value::Null);
        assert_eq!(answer.status(), status, "{code:?}");
        let limits = BodyLimits::new(1 << 20);
        let body = Runtime::new()
            .unwrap()
            .block_on(limits.read(answer.into_body()));
        let body: Value = serde_json::from_slice(&body.unwrap()).unwrap();
        assert_eq!(body["status"], word, "{code:?}");
        assert_eq!(body["edge"]["name"], "fra");
        assert_eq!(body["lake"], Value::Null);
        assert!(body["version"].is_string() && body["uptime_s"].is_u64());
        assert_eq!(
            body["reasons"].as_array().unwrap().len(),
            usize::from(code.is_some())
        );
    }
}

/// Routes that receive uploads and keep their places until they are let go of.
fn uploads(limits: BodyLimits, let_go: &Arc<Notify>) -> Router {
    let uploads = Uploads::new(1, limits);
    let let_go = let_go.clone();
    let upload = move |body: Body| async move {
        let upload = uploads.receive(body).await?;
        let_go.notified().await;
        Ok::<_, ApiError>(format!("{} bytes", upload.bytes.len()))
    };
    hello().route("/upload", post(upload))
}

fn upload(length: usize, body: &str) -> String {
    format!(
        "POST /upload HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

#[test]
fn an_upload_takes_its_place_before_its_body_and_none_of_others() {
    let runtime = Runtime::new().unwrap();
    let let_go = Arc::new(Notify::new());
    let routes = uploads(BodyLimits::new(100), &let_go);
    let address = serve_with(&runtime, routes, 8, PATIENCE);
    let mut first = connect(address);
    // It is told to go on once it has its place.
    let request = upload(10, "").replacen("host:", "expect: 100-continue\r\nhost:", 1);
    first.write_all(request.as_bytes()).unwrap();
    let mut told = [0; 25];
    first.read_exact(&mut told).unwrap();
    assert_eq!(&told, b"HTTP/1.1 100 Continue\r\n\r\n");
    let turned_away = ask(address, &request);
    assert!(turned_away.starts_with("HTTP/1.1 503"), "{turned_away}");
    assert!(turned_away.contains("retry-after: 2"), "{turned_away}");
    assert!(turned_away.contains("\"code\":\"busy\""), "{turned_away}");
    assert!(ask(address, GET).ends_with("hello"));
    first.write_all(b"1234567890").unwrap();
    let_go.notify_one();
    let answer = read(&mut first);
    assert!(answer.ends_with("10 bytes"), "{answer}");
    // And the place is free again.
    let_go.notify_one();
    let answer = ask(address, &upload(3, "123"));
    assert!(answer.ends_with("3 bytes"), "{answer}");
}

#[test]
fn a_body_is_bounded_in_bytes_and_time_and_must_be_whole() {
    let runtime = Runtime::new().unwrap();
    let let_go = Arc::new(Notify::new());
    let limits = BodyLimits::new(8).within(IDLE_MAX);
    let address = serve_with(&runtime, uploads(limits, &let_go), 8, PATIENCE);
    let chunked = "POST /upload HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n5\r\n12345\r\n5\r\n67890\r\n0\r\n\r\n";
    for (request, code) in [
        (upload(9, "123456789"), "body_too_large"),
        (chunked.into(), "body_too_large"),
        (upload(8, "1234567"), "body_too_slow"),
    ] {
        let answer = ask(address, &request);
        assert!(answer.contains(&format!("\"code\":\"{code}\"")), "{answer}");
    }
    let mut cut = connect(address);
    cut.write_all(upload(8, "1234567").as_bytes()).unwrap();
    cut.shutdown(Shutdown::Write).unwrap();
    let answer = read(&mut cut);
    assert!(!answer.contains(" 200 "), "{answer}");
    let_go.notify_one();
    let answer = ask(address, &upload(8, "12345678"));
    assert!(answer.ends_with("8 bytes"), "{answer}");
}

#[test]
fn every_error_of_the_control_api_is_json() {
    let directory = tempfile::tempdir().unwrap();
    let machine = Machine {
        directory: directory.path().into(),
        host_name: "edge".into(),
        processors: 1,
    };
    let text = format!("data_dir = {:?}\n", directory.path());
    let configuration =
        Configuration::parse(Path::new("heplake.toml"), &text, [], machine).unwrap();
    let control = Control::open(&EdgeSettings::resolve(&configuration).unwrap()).unwrap();
    let settings = ControlSettings::resolve(&configuration).unwrap().unwrap();
    let routes = control_routes(Arc::new(control), &settings).unwrap();
    let runtime = Runtime::new().unwrap();
    let address = serve_within(&runtime, routes, patient());
    // These are in nobody's way.
    let _open = half_open(address, 600);
    for (line, header, status, code) in [
        ("GET /nowhere", "", 404, "no_such_route"),
        ("GET /api/v1/components/00000000", "", 404, "unknown"),
        ("GET /api/v1/components/%ff", "", 400, "bad_request"),
        ("DELETE /api/v1/components", "", 405, "wrong_method"),
        ("POST /api/v1/components/history", "", 405, "wrong_method"),
        ("POST /api/v1/components?no=1", "", 400, "bad_request"),
        ("POST /api/v1/components?by=a&by=b", "", 400, "bad_request"),
        ("POST /api/v1/components", "", 415, "wrong_content_type"),
        (
            "POST /api/v1/components",
            "content-type: application/wasm\r\ncontent-length: 67108865\r\n",
            413,
            "body_too_large",
        ),
        (
            "POST /api/v1/components/sip/rollback",
            "content-type: application/json\r\ncontent-length: 1\r\n",
            400,
            "bad_request",
        ),
        (
            "POST /api/v1/components/sip/rollback",
            "content-type: application/json\r\n",
            409,
            "nothing_before",
        ),
        (
            "GET /api/v1/components",
            "host: evil.example\r\n",
            421,
            "wrong_host",
        ),
    ] {
        let host = match header.starts_with("host:") {
            true => "",
            false => "host: localhost\r\n",
        };
        let request = format!("{line} HTTP/1.1\r\n{host}{header}connection: close\r\n\r\n{{");
        let answer = ask(address, &request);
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(
            head.starts_with(&format!("HTTP/1.1 {status} ")),
            "{line}: {answer}"
        );
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(body["error"]["code"], code, "{line}: {body}");
        assert!(body["error"]["message"].is_string(), "{line}: {body}");
        // As RFC 9110, section 15.5.6 has it.
        assert_eq!(head.contains("allow: "), status == 405, "{line}: {head}");
    }
}
