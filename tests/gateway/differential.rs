//! The gateway beside nginx and HAProxy: what it sends is understood by them as it was meant, what they send by it, and where
//! they refuse a request or see another one, `wire/differences.txt` says why that is harmless.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use azgate::simulator::Running;
use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixListener, UnixStream};

use crate::neighbours::{Kind, Neighbour};
use crate::support::*;
use crate::wire::{self, Case};

/// Requests that are tried at the same time, each over a way of its own.
const WAYS: usize = 24;

/// How long nothing comes from a server that has said what it has to say.
const QUIET: Duration = Duration::from_millis(400);

fn sha(body: &str) -> String {
    use sha2::{Digest, Sha256};
    data_encoding::HEXLOWER.encode(&Sha256::digest(body.as_bytes()))
}

/// A gateway with nothing or a neighbour before and behind it.
struct Chain {
    azure: Running,
    gateway: Gateway,
    /// Where callers call.
    door: std::net::SocketAddr,
    _neighbours: Vec<Neighbour>,
}

impl Chain {
    async fn start(front: Option<Kind>, back: Kind) -> Self {
        let azure = azure().await;
        let behind = free_address();
        let to = azure.base_url().trim_start_matches("http://").to_owned();
        let mut neighbours = vec![Neighbour::start(back, &[(behind.to_string(), to)]).await];
        let gateway = Gateway::start(&config(&format!("http://{behind}"))).await;
        let mut door = gateway.address;
        if let Some(front) = front {
            door = free_address();
            neighbours.push(Neighbour::start(front, &[(door.to_string(), gateway.address.to_string())]).await);
        }
        Self { azure, gateway, door, _neighbours: neighbours }
    }

    /// Checks that the upstream has seen exactly these bodies, in any order, with the model's name replaced.
    fn expect(&self, bodies: &[String], what: &str) {
        let mut sent: Vec<String> =
            bodies.iter().map(|body| sha(&body.replacen("\"gpt-4o\"", "\"chat-east\"", 1))).collect();
        let mut seen: Vec<String> = self.azure.recorded().into_iter().map(|request| request.body_sha256).collect();
        sent.sort();
        seen.sort();
        assert_eq!(seen.len(), sent.len(), "{what}");
        assert_eq!(seen, sent, "{what}");
    }
}

fn body(text: &str, size: usize) -> String {
    json!({"model": "gpt-4o", "messages": [{"role": "user", "content": text.repeat(size.div_ceil(text.len()))}]})
        .to_string()
}

fn head(more: &str) -> String {
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\napi-key: {KEY}\r\ncontent-type: application/json\r\n{more}\r\n"
    )
}

fn by_length(body: &str, more: &str) -> Vec<u8> {
    (head(&format!("{more}content-length: {}\r\n", body.len())) + body).into_bytes()
}

fn chunked(body: &str, size: usize) -> Vec<u8> {
    let mut bytes = head("transfer-encoding: chunked\r\n").into_bytes();
    for chunk in body.as_bytes().chunks(size) {
        bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        bytes.extend_from_slice(chunk);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    bytes
}

/// Sends requests over one connection, the next when the last is answered, and wants 200 for each.
async fn in_turn(door: std::net::SocketAddr, requests: Vec<Vec<u8>>) {
    let mut stream = TcpStream::connect(door).await.unwrap();
    for request in requests {
        let (mut reading, mut writing) = stream.split();
        let (_, answer) = tokio::join!(writing.write_all(&request), answer(&mut reading));
        assert!(answer.starts_with("http/1.1 200 "), "{answer}");
        if answer.contains("connection: close") {
            stream = TcpStream::connect(door).await.unwrap();
        }
    }
}

/// The head of the next final answer, whose body is read too.
async fn answer(reading: &mut (impl tokio::io::AsyncRead + Unpin)) -> String {
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(reading.read_u8().await.expect("an answer"));
        }
        let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
        if head.starts_with("http/1.1 1") {
            continue;
        }
        match head.lines().find_map(|line| line.strip_prefix("content-length: ")) {
            Some(length) => {
                let mut body = vec![0; length.parse().unwrap()];
                reading.read_exact(&mut body).await.unwrap();
            }
            None => {
                let mut body = Vec::new();
                while !body.ends_with(b"0\r\n\r\n") {
                    body.push(reading.read_u8().await.expect("the rest of an answer"));
                }
            }
        }
        return head;
    }
}

async fn every_form_of_request(front: Option<Kind>, back: Kind) {
    let what = format!("{front:?} - gateway - {back:?}");
    let chain = Chain::start(front, back).await;
    let mut bodies = Vec::new();
    let mut requests = Vec::new();
    for (number, size) in [10, 4_096, 65_536, 300_000, 6 << 20].into_iter().enumerate() {
        // Each looks like a request of its own to whoever has lost count.
        let text = format!("{number}\r\n\r\nPOST /smuggled HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n");
        let body = body(&text, size);
        requests.extend([
            by_length(&body, ""),
            by_length(&body, "expect: 100-continue\r\n"),
            chunked(&body, size / 3 + 1),
        ]);
        bodies.extend([body.clone(), body.clone(), body]);
    }
    in_turn(chain.door, requests).await;
    chain.expect(&bodies, &what);

    // Ten at once on one connection, and a HEAD between them that has no body whatever its length says.
    let small = body("small", 10);
    let mut pipelined = by_length(&small, "").repeat(5);
    pipelined.extend_from_slice(format!("HEAD /v1/models HTTP/1.1\r\nhost: a\r\napi-key: {KEY}\r\n\r\n").as_bytes());
    pipelined.extend(by_length(&small, "").repeat(5));
    bodies.extend(std::iter::repeat_n(small, 10));
    let mut stream = TcpStream::connect(chain.door).await.unwrap();
    stream.write_all(&pipelined).await.unwrap();
    for number in 0..11 {
        if number == 5 {
            let head = read_head(&mut stream).await.expect("an answer to HEAD");
            assert!(head.starts_with("http/1.1 "), "{what}: {head}");
        } else {
            assert!(answer(&mut stream).await.starts_with("http/1.1 200 "), "{what}");
        }
    }
    chain.expect(&bodies, &what);

    // It asks for its usage itself: else the gateway would.
    let mut streamed = stream_body("one two three");
    streamed["stream_options"] = json!({"include_usage": true});
    let streamed = streamed.to_string();
    let answer = send(chain.door, Method::POST, "/v1/chat/completions", &[("api-key", KEY)], streamed.clone()).await;
    assert!(answer.complete && answer.text().ends_with("data: [DONE]\n\n"), "{what}: {}", answer.text());
    bodies.push(streamed);
    chain.expect(&bodies, &what);
    chain.gateway.until_metric("azgate_requests_active", 0.0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn neighbours_understand_every_form_of_request_as_the_gateway_means_it() {
    tokio::join!(every_form_of_request(None, Kind::Nginx), every_form_of_request(None, Kind::HaProxy));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_gateway_understands_neighbours_before_it_as_they_mean_it() {
    let (nginx, haproxy) = (Kind::Nginx, Kind::HaProxy);
    tokio::join!(every_form_of_request(Some(nginx), haproxy), every_form_of_request(Some(haproxy), nginx));
}

/// Method and body of each request that a server passed on.
type Passed = Vec<(String, Bytes)>;

/// What is behind each way: notes every request and answers it.
fn record(path: &Path) -> Arc<Mutex<Passed>> {
    let seen: Arc<Mutex<Passed>> = Arc::default();
    let listener = UnixListener::bind(path).unwrap();
    let recorded = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let seen = Arc::clone(&seen);
            let note = move |request: Request<Incoming>| {
                let seen = Arc::clone(&seen);
                async move {
                    let method = request.method().to_string();
                    if let Ok(body) = request.into_body().collect().await {
                        seen.lock().unwrap().push((method, body.to_bytes()));
                    }
                    Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"ok"))))
                }
            };
            tokio::spawn(async move {
                let served =
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(note));
                let _ = served.await;
            });
        }
    });
    recorded
}

async fn try_case(door: &str, case: &Case, recorded: &Mutex<Passed>) -> Passed {
    let (mut reading, mut writing) = UnixStream::connect(door).await.unwrap().into_split();
    let _ = writing.write_all(&case.request).await;
    let mut chunk = [0; 4096];
    while tokio::time::timeout(QUIET, reading.read(&mut chunk)).await.is_ok_and(|read| read.unwrap_or(0) > 0) {}
    drop((reading, writing));
    std::mem::take(&mut *recorded.lock().unwrap())
}

/// What a neighbour makes of each case, with a way of its own to one backend for each that is tried at the same time.
async fn in_place_of_the_gateway(kind: Kind, cases: &[Case]) -> BTreeMap<String, Passed> {
    let directory = tempfile::tempdir().unwrap();
    let socket = |name: &str, way: usize| directory.path().join(format!("{name}{way}")).display().to_string();
    let doors: Vec<_> = (0..WAYS).map(|way| (socket("door", way), socket("to", way))).collect();
    let recorders: Vec<_> = doors.iter().map(|(_, to)| record(Path::new(to))).collect();
    let _neighbour = Neighbour::start(kind, &doors).await;
    let mut trying = tokio::task::JoinSet::new();
    for (way, ((door, _), recorded)) in doors.into_iter().zip(recorders).enumerate() {
        let cases: Vec<Case> = cases.iter().skip(way).step_by(WAYS).cloned().collect();
        trying.spawn(async move {
            let mut all = Vec::new();
            for case in cases {
                all.push((case.name.clone(), try_case(&door, &case, &recorded).await));
            }
            all
        });
    }
    trying.join_all().await.into_iter().flatten().collect()
}

/// How the gateway differs from a neighbour in a case that it serves, so that it needs a reason. What the gateway does is taken
/// from the table, which other tests hold it to.
fn difference(case: &Case, passed: &Passed) -> Option<&'static str> {
    if case.served() == 0 {
        return None;
    }
    if passed.is_empty() {
        return Some("refused there");
    }
    // Behind a connection that the gateway closes nothing can hide.
    let (here, there) = (case.understood(), passed.len());
    if there < here || there > here && case.answers.ends_with("open") {
        return Some("another number of requests there");
    }
    let canonical = chat_body("Hi").to_string();
    let mut posts = passed.iter().filter(|(method, _)| method == "POST").take(case.upstream);
    let alike = posts.all(|(_, body)| *body == canonical.as_bytes());
    (!alike).then_some("another body there")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_neighbours_refuse_or_differ_there_is_a_reason() {
    let cases = wire::cases();
    let (nginx, haproxy) =
        tokio::join!(in_place_of_the_gateway(Kind::Nginx, &cases), in_place_of_the_gateway(Kind::HaProxy, &cases));
    let mut found = Vec::new();
    for case in &cases {
        for (name, passed) in [("nginx", &nginx[&case.name]), ("haproxy", &haproxy[&case.name])] {
            found.extend(difference(case, passed).map(|difference| format!("{} | {name} | {difference}", case.name)));
        }
    }
    let known = include_str!("wire/differences.txt").lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let known: Vec<&str> = known.map(|line| line.rsplit_once(" | ").expect("a reason").0).collect();
    let unknown: Vec<_> = found.iter().filter(|difference| !known.contains(&difference.as_str())).collect();
    let gone: Vec<_> = known.iter().filter(|line| !found.iter().any(|found| found == *line)).collect();
    assert!(unknown.is_empty() && gone.is_empty(), "new: {unknown:#?}, gone: {gone:#?}");
}
