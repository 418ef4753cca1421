//! A gateway process in front of a simulated Azure, and a plain HTTP client. Everything goes over real sockets.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use azgate::simulator::{self, Deployment, Kind, Running, Settings};
use bytes::Bytes;
use http::{HeaderMap, Method, Request};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// The key of the ordinary caller.
pub const KEY: &str = "azg-test-caller";
/// What a process may take to start or stop.
const PATIENCE: Duration = Duration::from_secs(20);

/// A simulated Azure with the deployments of [`config`].
pub async fn azure() -> Running {
    azure_with(Settings::default()).await
}

pub async fn azure_with(settings: Settings) -> Running {
    azure_at(Settings { listen: "127.0.0.1:0".parse().unwrap(), ..settings }).await
}

/// The same at an address of the test's own.
pub async fn azure_at(settings: Settings) -> Running {
    let mut deployments = settings.deployments.clone();
    for (name, model, kind) in [
        ("chat-east", "gpt-4o-2024-11-20", Kind::Chat),
        ("gpt-4.1.dots", "gpt-4.1-2025-04-14", Kind::Chat),
        ("instruct-east", "gpt-35-turbo-instruct", Kind::Completion),
        ("embed-east", "text-embedding-3-small", Kind::Embedding),
    ] {
        deployments.push(Deployment::new(name, model, kind));
    }
    simulator::start(Settings { deployments, ..settings }).await.expect("the simulator starts")
}

/// A provider key that leads to `azure`.
pub fn key(name: &str, azure: &str) -> Value {
    json!({
        "name": name, "value": "sim-key", "weight": 1.0,
        "aliases": {"gpt-4o": "chat-east", "Instruct": "instruct-east", "embed": "embed-east", "dotted": "gpt-4.1.dots"},
        "azure_key_config": {"endpoint": azure, "api_version": "2024-10-21"},
    })
}

/// A configuration with one classic key, and one caller who may do everything.
pub fn config(azure: &str) -> Value {
    json!({
        "server": {"listen": ["127.0.0.1:0"], "admin": {"listen": "127.0.0.1:0"}, "shutdown_grace_seconds": 20},
        "client": {"forward_headers": ["x-sim-fault", "x-sim-event-interval-ms"]},
        "providers": {"azure": {"keys": [key("east", azure)]}},
        "governance": {"virtual_keys": [{"name": "tester", "value": KEY}]},
    })
}

/// The same over `/openai/v1`.
pub fn config_v1(azure: &str) -> Value {
    let mut config = config(azure);
    config["providers"]["azure"]["keys"][0]["azure_key_config"]["api_version"] = json!("v1");
    config
}

/// A running gateway; killed when dropped.
pub struct Gateway {
    pub address: SocketAddr,
    pub admin: SocketAddr,
    pub config: PathBuf,
    directory: tempfile::TempDir,
    child: Child,
}

/// Moves a line before those of requests that surely came later. Moments in the log are cut to milliseconds.
fn in_order(mut lines: Vec<Value>) -> Vec<Value> {
    let came = |line: &Value| {
        let written: jiff::Timestamp = line["ts"].as_str().unwrap().parse().unwrap();
        written.as_millisecond() as f64 - line["duration_ms"].as_f64().unwrap()
    };
    for next in 1..lines.len() {
        let mut place = next;
        while place > 0 && came(&lines[place]) + 1.0 < came(&lines[place - 1]) {
            lines.swap(place, place - 1);
            place -= 1;
        }
    }
    lines
}

impl Gateway {
    pub async fn start(config: &Value) -> Self {
        Self::start_with(config, &[]).await
    }

    /// Starts with more environment variables.
    pub async fn start_with(config: &Value, variables: &[(&str, &str)]) -> Self {
        let gateway = Self::start_unready(config, variables).await;
        gateway.until_ready().await;
        gateway
    }

    /// Waits for its listeners, not until it is ready.
    pub async fn start_unready(config: &Value, variables: &[(&str, &str)]) -> Self {
        let gateway = Self::spawn(config, variables);
        until_listening(gateway.address).await;
        gateway
    }

    /// Waits for nothing.
    pub fn spawn(config: &Value, variables: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (address, admin) = (free_address(), free_address());
        let path = directory.path().join("azgate.json");
        let mut config = config.clone();
        config["server"]["listen"] = json!([address.to_string()]);
        config["server"]["admin"]["listen"] = json!(admin.to_string());
        std::fs::write(&path, config.to_string()).unwrap();
        let log = std::fs::File::create(directory.path().join("log")).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_azgate"))
            .args(["run", "--config"])
            .arg(&path)
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        Self { address, admin, config: path, directory, child }
    }

    pub async fn until_ready(&self) {
        let begun = Instant::now();
        loop {
            if let Ok(stream) = TcpStream::connect(self.admin).await {
                drop(stream);
                if get(self.admin, "/readyz").await.status == 200 {
                    return;
                }
            }
            assert!(begun.elapsed() < PATIENCE, "not ready; log:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Resident memory in KiB: now, and at its peak.
    pub fn memory(&self) -> (u64, u64) {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let kib = |name| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a line of its own");
            line.trim().trim_end_matches(" kB").parse().unwrap()
        };
        (kib("VmRSS:"), kib("VmHWM:"))
    }

    /// What the process has written so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    /// The request lines of the log, once there are `count`, in the order in which the requests came. A line is written
    /// when all is over, and the next request's may be quicker.
    pub async fn request_lines(&self, count: usize) -> Vec<Value> {
        let lines = || -> Vec<Value> {
            let parsed = |line: &str| serde_json::from_str::<Value>(line).ok();
            self.log().lines().filter_map(parsed).filter(|line| line["event"] == "request").collect()
        };
        wait_until("request lines", || lines().len() >= count).await;
        in_order(lines())
    }

    /// Writes another configuration in place, listeners kept, and sends SIGHUP.
    pub fn reload(&self, config: &Value) {
        let mut config = config.clone();
        config["server"]["listen"] = json!([self.address.to_string()]);
        config["server"]["admin"]["listen"] = json!(self.admin.to_string());
        self.reload_text(&config.to_string());
    }

    pub fn reload_text(&self, text: &str) {
        let fresh = self.directory.path().join("next.json");
        std::fs::write(&fresh, text).unwrap();
        std::fs::rename(&fresh, &self.config).unwrap();
        self.signal("HUP");
    }

    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.pid().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for the process to end by itself.
    pub async fn ended(&mut self) -> std::process::ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(begun.elapsed() < PATIENCE, "still running; log:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// The value of a metric without labels, or the sum over a name with the given label texts.
    pub async fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        let text = get(self.admin, "/metrics").await.text();
        let matching = text.lines().filter(|line| {
            let (series, _) = line.rsplit_once(' ').unwrap_or_default();
            series.split('{').next() == Some(name) && labels.iter().all(|label| series.contains(label))
        });
        matching.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
    }

    /// Waits until a metric without labels has a value.
    pub async fn until_metric(&self, name: &str, value: f64) {
        let begun = Instant::now();
        while self.metric(name, &[]).await != value {
            assert!(begun.elapsed() < PATIENCE, "{name} is {}", self.metric(name, &[]).await);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// A chat completion by the ordinary caller.
    pub async fn chat(&self, body: &Value) -> Answer {
        self.post("/v1/chat/completions", &[], body.to_string()).await
    }

    /// A POST by the ordinary caller.
    pub async fn post(&self, path: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Answer {
        let authorization = format!("Bearer {KEY}");
        let mut all = vec![("authorization", authorization.as_str()), ("content-type", "application/json")];
        all.extend_from_slice(headers);
        send(self.address, Method::POST, path, &all, body).await
    }

    /// A GET by the ordinary caller.
    pub async fn get(&self, path: &str) -> Answer {
        let authorization = format!("Bearer {KEY}");
        send(self.address, Method::GET, path, &[("authorization", &authorization)], Bytes::new()).await
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("log of the gateway:\n{}", self.log());
        }
    }
}

/// A whole answer.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// Whether the body ended as its framing promised.
    pub complete: bool,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8(self.body.to_vec()).expect("UTF-8")
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Code of the error in the body.
    pub fn code(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap_or_default().to_owned()
    }

    /// The JSON of each `data:` line of a stream but the last `[DONE]`.
    pub fn events(&self) -> Vec<Value> {
        let text = self.text();
        let data = text.lines().filter_map(|line| line.strip_prefix("data: ")).filter(|data| *data != "[DONE]");
        data.map(|data| serde_json::from_str(data).unwrap_or_else(|error| panic!("{error}: {data}"))).collect()
    }
}

/// A chat body for the alias `gpt-4o`.
pub fn chat_body(text: &str) -> Value {
    json!({"model": "gpt-4o", "messages": [{"role": "user", "content": text}]})
}

pub fn stream_body(text: &str) -> Value {
    json!({"model": "gpt-4o", "stream": true, "messages": [{"role": "user", "content": text}]})
}

pub async fn get(address: SocketAddr, path: &str) -> Answer {
    send(address, Method::GET, path, &[], Bytes::new()).await
}

/// One request over a connection of its own.
pub async fn send(
    address: SocketAddr,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Answer {
    let request = request(address, method, path, headers, Full::new(body.into()));
    collect(connect(address).await.send_request(request).await.expect("an answer")).await
}

/// The same over cleartext HTTP/2 with prior knowledge.
pub async fn send_h2(address: SocketAddr, path: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Answer {
    let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.unwrap();
    tokio::spawn(connection);
    let mut request = request(address, Method::POST, path, headers, Full::new(body.into()));
    *request.uri_mut() = format!("http://{address}{path}").parse().unwrap();
    request.headers_mut().remove("host");
    collect(sender.send_request(request).await.expect("an answer")).await
}

/// One request whose body is sent in chunks.
pub async fn send_chunked(address: SocketAddr, path: &str, headers: &[(&str, &str)], chunks: Vec<Bytes>) -> Answer {
    let frames =
        futures_util::stream::iter(chunks.into_iter().map(|chunk| Ok::<_, std::io::Error>(Frame::data(chunk))));
    let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let request = request(address, Method::POST, path, headers, StreamBody::new(frames));
    collect(sender.send_request(request).await.expect("an answer")).await
}

/// An answer whose body is still to be read.
pub async fn open(
    address: SocketAddr,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> http::Response<Incoming> {
    let request = request(address, Method::POST, path, headers, Full::new(body.into()));
    connect(address).await.send_request(request).await.expect("an answer")
}

pub async fn collect(response: http::Response<Incoming>) -> Answer {
    let (parts, mut incoming) = response.into_parts();
    let (mut body, mut complete) = (Vec::new(), true);
    while let Some(frame) = incoming.frame().await {
        match frame {
            Ok(frame) => body.extend_from_slice(&frame.into_data().unwrap_or_default()),
            Err(_) => {
                complete = false;
                break;
            }
        }
    }
    Answer { status: parts.status.as_u16(), headers: parts.headers, body: body.into(), complete }
}

pub async fn connect(address: SocketAddr) -> hyper::client::conn::http1::SendRequest<Full<Bytes>> {
    let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let (sender, connection) = hyper::client::conn::http1::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    sender
}

pub fn request<B>(address: SocketAddr, method: Method, path: &str, headers: &[(&str, &str)], body: B) -> Request<B> {
    let mut request = Request::builder().method(method).uri(path).header("host", address.to_string());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(body).unwrap()
}

/// Waits until somebody listens at an address.
pub async fn until_listening(address: SocketAddr) {
    let begun = Instant::now();
    while TcpStream::connect(address).await.is_err() {
        assert!(begun.elapsed() < PATIENCE, "nobody listens at {address}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Asks until the limits let a request in: that a caller has left is noticed a moment later.
pub async fn until_admitted(gateway: &Gateway, after: &str) {
    let begun = Instant::now();
    while gateway.chat(&chat_body("Hi")).await.status != 200 {
        assert!(begun.elapsed() < PATIENCE, "not admitted after {after}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Waits for something that is bound to happen.
pub async fn wait_until(what: &str, mut happened: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !happened() {
        assert!(begun.elapsed() < PATIENCE, "{what} did not happen");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// An address nobody listens on. Ports below the ephemeral range, so that no outgoing connection of another test takes
/// it meanwhile; each test process begins at a place of its own.
pub fn free_address() -> SocketAddr {
    use std::sync::atomic::{AtomicU16, Ordering};
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let base = 10_000 + (std::process::id() % 1_100) as u16 * 20;
    loop {
        let port = base + NEXT.fetch_add(1, Ordering::Relaxed) % 20;
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

/// An upstream that follows a script: each connection is handed to `serve`.
pub async fn upstream<S, F>(serve: S) -> SocketAddr
where
    S: Fn(TcpStream) -> F + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    address
}

/// Reads a request's head, up to and with its blank line; `None` when the connection ends before.
pub async fn read_head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    Some(String::from_utf8_lossy(&head).to_ascii_lowercase())
}

/// Reads the body that a head announces.
pub async fn read_body(stream: &mut TcpStream, head: &str) -> Vec<u8> {
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.trim().parse().unwrap())];
    stream.read_exact(&mut body).await.unwrap();
    body
}

/// A plain JSON answer as bytes on the wire.
pub fn plain_answer(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

/// The beginning of a stream as bytes on the wire: its head, and these events as one chunk.
pub fn begun_stream(events: &str) -> String {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    format!("{head}{:x}\r\n{events}\r\n", events.len())
}
