//! How an upstream's answer over HTTP/1.1 is framed (RFC 9112, sections 6 and 7): where it ends is no matter of opinion, one
//! that cannot be framed is no answer, and its connection is used again only when nothing is left of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use tokio::io::AsyncWriteExt;

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
    ("\r\nHTTP/1.1 200\r\nContent-Length : 9\r\n\r\n{\"a\":\"b\"}", Stays, true),
    ("HTTP/1.1 200 OK\r\ncontent-length: 9, 9\r\ncontent-length: 9\r\n\r\n{\"a\":\"b\"}", Stays, true),
    ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\n{\"a\":\"b\"}\r\n0\r\n\r\n", Stays, true),
    (
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n4;x=y\r\n{\"a\"\r\n005\r\n:\"b\"}\r\n0\r\nx: y\r\n\r\n",
        Stays,
        true,
    ),
    ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{\"a\":\"b\"}", Stays, true),
    (
        "HTTP/1.1 103 Early Hints\r\ncontent-length: 4\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{\"a\":\"b\"}",
        Stays,
        true,
    ),
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
const BROKEN: [(&str, Then); 24] = [
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

/// An upstream that gives the same bytes to every request, at once or byte by byte, and how many connections it has taken.
async fn saying(answer: &'static str, then: Then, dripping: bool) -> (Gateway, Arc<AtomicUsize>) {
    let opened = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&opened);
    let address = upstream(move |mut stream| {
        counted.fetch_add(1, Ordering::SeqCst);
        async move {
            stream.set_nodelay(true).unwrap();
            while let Some(head) = read_head(&mut stream).await {
                read_body(&mut stream, &head).await;
                let piece = if dripping { 1 } else { answer.len() };
                for piece in answer.as_bytes().chunks(piece) {
                    // The gateway may have closed the connection already.
                    let _ = stream.write_all(piece).await;
                    tokio::task::yield_now().await;
                }
                if then == Closes {
                    return;
                }
            }
        }
    })
    .await;
    let mut config = config(&format!("http://{address}"));
    config["providers"]["azure"]["network_config"] = json!({"max_retries": 0});
    (Gateway::start(&config).await, opened)
}

#[tokio::test]
async fn an_answer_ends_where_its_framing_says() {
    for (answer, then, again) in WHOLE {
        for dripping in [false, true] {
            let (gateway, opened) = saying(answer, then, dripping).await;
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
            let (gateway, opened) = saying(answer, then, dripping).await;
            for asked in 1..=2 {
                let told = gateway.chat(&chat_body("Hi")).await;
                assert_eq!((told.status, &*told.code()), (502, "upstream_broken"), "{answer:?}: {}", told.text());
                assert_eq!(opened.load(Ordering::SeqCst), asked, "{answer:?}, dripping: {dripping}");
            }
        }
    }
}
