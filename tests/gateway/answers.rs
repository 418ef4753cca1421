//! How an upstream's answer over HTTP/1.1 is framed (RFC 9112, sections 6 and 7): where it ends is no matter of opinion, one
//! that cannot be framed is no answer, and its connection is used again only when nothing is left of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::neighbours::{Kind, Neighbour};
use crate::support::*;

/// What becomes of the connection behind an answer.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Then {
    Stays,
    Closes,
}
use Then::{Closes, Stays};

const BODY: &str = r#"{"a":"b"}"#;

/// Answers with a body, how the upstream leaves the connection, and whether the gateway may use it again.
const WHOLE: [(&str, Then, bool); 17] = [
    ("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{\"a\":\"b\"}", Stays, true),
    ("HTTP/1.1 200\r\nContent-Length:9\r\n\r\n{\"a\":\"b\"}", Stays, true),
    ("HTTP/1.1 200 OK\r\ncontent-length: 9, 9\r\ncontent-length: 9\r\n\r\n{\"a\":\"b\"}", Stays, true),
    ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\n{\"a\":\"b\"}\r\n0\r\n\r\n", Stays, true),
    (
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n4;x=y\r\n{\"a\"\r\n005\r\n:\"b\"}\r\n0\r\nx: y\r\n\r\n",
        Stays,
        true,
    ),
    ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{\"a\":\"b\"}", Stays, true),
    (EARLY_HINTS, Stays, true),
    ("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 9\r\n\r\n{\"a\":\"b\"}", Stays, false),
    ("HTTP/1.1 200 OK\r\nconnection: keep-alive, close\r\ncontent-length: 9\r\n\r\n{\"a\":\"b\"}", Stays, false),
    ("HTTP/1.0 200 OK\r\ncontent-length: 9\r\n\r\n{\"a\":\"b\"}", Stays, false),
    ("HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 9\r\n\r\n{\"a\":\"b\"}", Stays, false),
    ("HTTP/1.1 200 OK\r\n\r\n{\"a\":\"b\"}", Closes, false),
    ("HTTP/1.0 200 OK\r\n\r\n{\"a\":\"b\"}", Closes, false),
    (
        "HTTP/1.1 200 OK\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n9\r\n{\"a\":\"b\"}\r\n0\r\n\r\n",
        Stays,
        false,
    ),
    (
        "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{\"a\":\"b\"}HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}",
        Stays,
        false,
    ),
    ("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{\"a\":\"b\"}\r\n", Stays, false),
    ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\n{\"a\":\"b\"}\r\n0\r\n\r\n0\r\n\r\n", Stays, false),
];

/// What is no answer, or not all of one.
const BROKEN: [(&str, Then); 26] = [
    ("HTTP/1.1 200 OK\r\ncontent-length : 9\r\n\r\n{\"a\":\"b\"}", Stays),
    ("\r\nHTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{\"a\":\"b\"}", Stays),
    ("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n{\"a\":\"b\"}", Closes),
    ("HTTP/1.1 200 OK\r\ncontent-length: 9\r\ncontent-length: 8\r\n\r\n{\"a\":\"b\"}", Stays),
    ("HTTP/1.1 200 OK\r\ncontent-length: 9, 8\r\n\r\n{\"a\":\"b\"}", Stays),
    ("HTTP/1.1 200 OK\r\ncontent-length: -9\r\n\r\n{\"a\":\"b\"}", Stays),
    ("HTTP/1.1 200 OK\r\ncontent-length: +9\r\n\r\n{\"a\":\"b\"}", Stays),
    ("HTTP/1.1 200 OK\r\ncontent-length: 9a\r\n\r\n{\"a\":\"b\"}", Stays),
    ("HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\n{\"a\":\"b\"}", Stays),
    ("HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n9\r\n{\"a\":\"b\"}\r\n0\r\n\r\n", Stays),
    ("HTTP/1.1 200 OK\r\ntransfer-encoding: identity\r\n\r\n{\"a\":\"b\"}", Closes),
    (
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n9\r\n{\"a\":\"b\"}\r\n0\r\n\r\n",
        Stays,
    ),
    ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\n{\"a\":\"b\"}\r\n", Closes),
    ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\n{\"a\":\"b\"}\r\n0\r\n", Closes),
    ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\n{\"a\":\"b\"}\r\n\r\n", Stays),
    ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n8\r\n{\"a\":\"b\"}\r\n0\r\n\r\n", Stays),
    ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\n{\"a\":\"b\"}\r\n0\r\n\r\n", Stays),
    ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0x9\r\n{\"a\":\"b\"}\r\n0\r\n\r\n", Stays),
    ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\n{\"a\":\"b\"}", Stays),
    ("HTTP/1.1 200 OK\r\nx: a\r\n b\r\ncontent-length: 9\r\n\r\n{\"a\":\"b\"}", Stays),
    ("HTTP/1.1 200 OK\r\nno field\r\ncontent-length: 9\r\n\r\n{\"a\":\"b\"}", Stays),
    ("HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n{\"a\":\"b\"}", Stays),
    ("HTTP/2.0 200 OK\r\ncontent-length: 9\r\n\r\n{\"a\":\"b\"}", Stays),
    ("HTTP/1.1 99 OK\r\ncontent-length: 9\r\n\r\n{\"a\":\"b\"}", Stays),
    ("{\"a\":\"b\"}", Closes),
    ("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n", Closes),
];

/// How long a neighbour is listened to.
const QUIET: Duration = Duration::from_secs(2);

/// Where a neighbour makes something else of an answer, and why the gateway does not.
const OTHER_THERE: [(Kind, &str, &str); 1] = [(
    Kind::Nginx,
    EARLY_HINTS,
    "this version does not know 103, which RFC 8297 lets a server send to everybody, and takes it for the final answer",
)];
const EARLY_HINTS: &str =
    "HTTP/1.1 103 Early Hints\r\ncontent-length: 4\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{\"a\":\"b\"}";

/// Answers one request: in one piece, or byte by byte.
async fn say(stream: &mut TcpStream, answer: &str, dripping: bool) {
    let piece = if dripping { 1 } else { answer.len() };
    for piece in answer.as_bytes().chunks(piece) {
        // The other side may have closed the connection already.
        let _ = stream.write_all(piece).await;
        tokio::task::yield_now().await;
    }
}

/// Answers each request of a connection with what `answer` gives for its head.
async fn answer_all(mut stream: TcpStream, dripping: bool, answer: impl Fn(&str) -> (&'static str, Then)) {
    stream.set_nodelay(true).unwrap();
    while let Some(head) = read_head(&mut stream).await {
        read_body(&mut stream, &head).await;
        let (answer, then) = answer(&head);
        say(&mut stream, answer, dripping).await;
        if then == Closes {
            return;
        }
    }
}

/// A gateway to an upstream that gives the same bytes to every request.
struct Saying {
    gateway: Gateway,
    endpoint: String,
    /// Connections that the upstream has taken.
    opened: Arc<AtomicUsize>,
}

async fn saying(answer: &'static str, then: Then, dripping: bool) -> Saying {
    let opened = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&opened);
    let address = upstream(move |stream| {
        counted.fetch_add(1, Ordering::SeqCst);
        answer_all(stream, dripping, move |_| (answer, then))
    })
    .await;
    let endpoint = format!("http://{address}");
    let mut config = config(&endpoint);
    config["providers"]["azure"]["network_config"] = json!({"max_retries": 0});
    config["client"]["allow_direct_keys"] = json!(true);
    config["client"]["direct_endpoints"] = json!([endpoint]);
    Saying { gateway: Gateway::start(&config).await, endpoint, opened }
}

#[tokio::test]
async fn an_answer_ends_where_its_framing_says() {
    for (answer, then, again) in WHOLE {
        for dripping in [false, true] {
            let Saying { gateway, opened, .. } = saying(answer, then, dripping).await;
            for asked in 1..=3 {
                let told = gateway.chat(&chat_body("Hi")).await;
                assert_eq!((told.status, &*told.text()), (200, BODY), "{answer:?}, dripping: {dripping}");
                let connections = if again { 1 } else { asked };
                assert_eq!(opened.load(Ordering::SeqCst), connections, "{answer:?}, dripping: {dripping}");
            }
        }
    }
}

#[tokio::test]
async fn what_cannot_be_framed_is_no_answer() {
    for (answer, then) in BROKEN {
        for dripping in [false, true] {
            let Saying { gateway, opened, .. } = saying(answer, then, dripping).await;
            for asked in 1..=2 {
                let told = gateway.chat(&chat_body("Hi")).await;
                assert_eq!((told.status, &*told.code()), (502, "upstream_broken"), "{answer:?}: {}", told.text());
                assert_eq!(opened.load(Ordering::SeqCst), asked, "{answer:?}, dripping: {dripping}");
            }
        }
    }
}

#[tokio::test]
async fn a_length_that_does_not_frame_an_answer_is_not_passed_on() {
    let body = "0123456789".repeat(3);
    let both = "HTTP/1.1 200 OK\r\ncontent-type: application/octet-stream\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n";
    for (head, length) in [
        (format!("{both}1e\r\n{body}\r\n0\r\n\r\n"), ""),
        (
            format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/octet-stream\r\ncontent-length: 30, 30\r\n\r\n{body}"
            ),
            "30",
        ),
    ] {
        let answer: &'static str = head.leak();
        let Saying { gateway, endpoint, .. } = saying(answer, Stays, false).await;
        // Who brings a key of their own names files as their resource does.
        let headers = [("api-key", "their-key"), ("x-azgate-azure-endpoint", endpoint.as_str())];
        let told = send(gateway.address, Method::GET, "/v1/files/file-1/content", &headers, "").await;
        assert_eq!((told.status, told.text(), told.complete), (200, body.clone(), true), "{answer}");
        assert_eq!(told.header("content-length"), length, "{answer}");
    }
}

#[tokio::test]
async fn what_belongs_to_the_upstreams_connection_stays_there() {
    let answer = "HTTP/1.1 200 OK\r\nconnection: x-inner, keep-alive\r\nx-inner: 1\r\nkeep-alive: timeout=5\r\nx-outer: 2\r\n\
                  content-length: 9\r\n\r\n{\"a\":\"b\"}";
    let Saying { gateway, .. } = saying(answer, Stays, false).await;
    let told = gateway.chat(&chat_body("Hi")).await;
    assert_eq!((told.header("x-inner"), told.header("keep-alive"), told.header("x-outer")), ("", "", "2"));
}

/// What a neighbour says to each of the whole answers, until it closes or is silent.
async fn said_by(kind: Kind) -> Vec<String> {
    let wanted = |head: &str| {
        let number = head.trim_start_matches("get /").split(' ').next().and_then(|number| number.parse().ok());
        let (answer, then, _) = WHOLE[number.unwrap_or(0)];
        (answer, then)
    };
    let address = upstream(move |stream| answer_all(stream, false, wanted)).await;
    let door = free_address();
    let _neighbour = Neighbour::start(kind, &[(door.to_string(), address.to_string())]).await;
    let asking = (0..WHOLE.len()).map(|number| async move {
        let mut stream = TcpStream::connect(door).await.unwrap();
        let request = format!("GET /{number} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut said = Vec::new();
        let _ = tokio::time::timeout(QUIET, stream.read_to_end(&mut said)).await;
        String::from_utf8_lossy(&said).into_owned()
    });
    futures_util::future::join_all(asking).await
}

#[tokio::test]
async fn neighbours_read_the_same_out_of_an_answer_or_there_is_a_reason() {
    let mut found = Vec::new();
    for kind in [Kind::Nginx, Kind::HaProxy] {
        for ((answer, ..), said) in WHOLE.iter().zip(said_by(kind).await) {
            // A body of unknown length comes in one chunk.
            let whole = said.ends_with(&format!("\r\n\r\n{BODY}")) || said.contains(&format!("{BODY}\r\n0\r\n"));
            if !(whole && said.contains(" 200")) {
                found.push((kind, *answer, said));
            }
        }
    }
    let known = |(kind, answer, _): &&(Kind, &str, String)| {
        OTHER_THERE.iter().any(|(known, text, _)| known == kind && text == answer)
    };
    let unknown: Vec<_> = found.iter().filter(|found| !known(found)).collect();
    assert!(unknown.is_empty() && found.len() == OTHER_THERE.len(), "{unknown:#?}");
}
