//! A small HTTP client for these tests, and the requests they send most.

use std::net::SocketAddr;
use std::time::Duration;

use azgate::simulator::{DEFAULT_KEY, Deployment, Kind, Running, Settings, start};
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub const V1_CHAT: &str = "/openai/v1/chat/completions";
pub const CLASSIC_CHAT: &str = "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21";

/// An answer that was read to its end.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// The body ended in an error.
    pub broken: bool,
}

impl Reply {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("a text")
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub fn error(&self) -> Value {
        self.json()["error"].clone()
    }

    pub fn message(&self) -> String {
        self.error()["message"].as_str().unwrap_or_default().to_owned()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The data of each event of a plainly framed stream.
    pub fn events(&self) -> Vec<String> {
        let body = self.text();
        body.split("\n\n").filter_map(|event| event.strip_prefix("data: ")).map(str::to_owned).collect()
    }

    /// The chunks of a stream, without `[DONE]`.
    pub fn chunks(&self) -> Vec<Value> {
        let parse = |data: &String| serde_json::from_str(data).expect("JSON");
        self.events().iter().filter(|data| *data != "[DONE]").map(parse).collect()
    }
}

pub async fn simulator() -> Running {
    start(Settings::default()).await.expect("a free port")
}

pub async fn simulator_with(deployment: Deployment) -> Running {
    start(Settings { deployments: vec![deployment], ..Settings::default() }).await.expect("a free port")
}

pub fn chat_deployment() -> Deployment {
    Deployment::new("gpt-4o", "gpt-4o-2024-11-20", Kind::Chat)
}

/// A chat body for `model`, with `more` fields.
pub fn chat_body(model: &str, text: &str, more: Value) -> Value {
    let mut body = json!({"model": model, "messages": [{"role": "user", "content": text}]});
    for (name, value) in more.as_object().into_iter().flatten() {
        body[name] = value.clone();
    }
    body
}

pub fn post(path: &str, body: &Value) -> Request<Full<Bytes>> {
    with_headers(path, body, &[("api-key", DEFAULT_KEY)])
}

pub fn with_headers(path: &str, body: &Value, headers: &[(&str, &str)]) -> Request<Full<Bytes>> {
    let mut request = Request::post(path).header("content-type", "application/json");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Full::from(body.to_string())).expect("a request")
}

/// A chat on v1 with a fault.
pub fn faulty(fault: &str, body: &Value) -> Request<Full<Bytes>> {
    with_headers(V1_CHAT, body, &[("api-key", DEFAULT_KEY), ("x-sim-fault", fault)])
}

pub async fn chat(simulator: &Running, body: &Value) -> Reply {
    send(simulator.addr(), post(V1_CHAT, body)).await
}

pub async fn say(simulator: &Running, model: &str, text: &str, more: Value) -> Reply {
    chat(simulator, &chat_body(model, text, more)).await
}

/// Sends over a fresh HTTP/1.1 connection.
pub async fn send(to: SocketAddr, request: Request<Full<Bytes>>) -> Reply {
    try_send(to, request).await.expect("an answer")
}

pub async fn try_send(to: SocketAddr, mut request: Request<Full<Bytes>>) -> hyper::Result<Reply> {
    request.headers_mut().insert("host", "test-resource.openai.azure.com".parse().expect("host"));
    let stream = TcpStream::connect(to).await.expect("connected");
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(read(sender.send_request(request).await?).await)
}

/// Sends over a fresh HTTP/2 connection without TLS.
pub async fn send_h2(to: SocketAddr, request: Request<Full<Bytes>>) -> Reply {
    read(h2(to).await.send_request(at(to, request)).await.expect("an answer")).await
}

pub async fn h2(to: SocketAddr) -> hyper::client::conn::http2::SendRequest<Full<Bytes>> {
    let stream = TcpStream::connect(to).await.expect("connected");
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (sender, connection) = handshake.await.expect("HTTP/2");
    tokio::spawn(connection);
    sender
}

/// The request with an absolute address, as HTTP/2 wants it.
pub fn at(to: SocketAddr, mut request: Request<Full<Bytes>>) -> Request<Full<Bytes>> {
    *request.uri_mut() = format!("http://{to}{}", request.uri()).parse().expect("a URI");
    request
}

pub async fn read(response: hyper::Response<Incoming>) -> Reply {
    let (head, mut body) = response.into_parts();
    let (mut bytes, mut broken) = (Vec::new(), false);
    while let Some(frame) = body.frame().await {
        match frame.map(|frame| frame.into_data().unwrap_or_default()) {
            Ok(data) => bytes.extend_from_slice(&data),
            Err(_) => {
                broken = true;
                break;
            }
        }
    }
    Reply { status: head.status.as_u16(), headers: head.headers, body: Bytes::from(bytes), broken }
}

pub async fn get(to: SocketAddr, path: &str) -> Reply {
    let request = Request::get(path).header("api-key", DEFAULT_KEY).body(Full::default()).expect("a request");
    send(to, request).await
}

pub async fn control(to: SocketAddr, method: &str, path: &str, body: &str) -> Reply {
    let request = Request::builder().method(method).uri(path).body(Full::from(body.to_owned())).expect("a request");
    send(to, request).await
}

/// A chat as raw HTTP/1.1 text.
pub fn raw_chat(fault: &str, body: &Value) -> String {
    let body = body.to_string();
    format!(
        "POST {V1_CHAT} HTTP/1.1\r\nhost: x\r\napi-key: {DEFAULT_KEY}\r\nx-sim-fault: {fault}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Writes a raw request and reads until the connection ends; the error it ended with, if any.
pub async fn raw(to: SocketAddr, request: &str) -> (String, Option<std::io::ErrorKind>) {
    let mut stream = TcpStream::connect(to).await.expect("connected");
    stream.write_all(request.as_bytes()).await.expect("written");
    read_raw(&mut stream).await
}

pub async fn read_raw(stream: &mut TcpStream) -> (String, Option<std::io::ErrorKind>) {
    let (mut seen, mut buffer) = (Vec::new(), [0; 4096]);
    let ended = loop {
        match tokio::time::timeout(Duration::from_millis(700), stream.read(&mut buffer)).await {
            Ok(Ok(0)) => break None,
            Ok(Ok(count)) => seen.extend_from_slice(&buffer[..count]),
            Ok(Err(error)) => break Some(error.kind()),
            Err(_) => break Some(std::io::ErrorKind::TimedOut),
        }
    };
    (String::from_utf8_lossy(&seen).into_owned(), ended)
}

pub fn ok(reply: &Reply) -> Value {
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
    reply.json()
}
