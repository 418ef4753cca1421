//! HTTP/2 callers who send what costs them little: the connection ends or goes on, and everybody else is served.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::*;

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// `GET /v1/models` with its four pseudo-headers, from HPACK's static table but for the path and the authority.
const GET: &[u8] = b"\x82\x86\x04\x0a/v1/models\x41\x01a";

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A connection that reads over whatever comes and tells, at its end, the reason of a GOAWAY.
struct Flood {
    writing: tokio::net::tcp::OwnedWriteHalf,
    reading: tokio::task::JoinHandle<Option<u32>>,
}

impl Flood {
    async fn open(gateway: &Gateway) -> Self {
        let (mut reading, mut writing) = TcpStream::connect(gateway.address).await.unwrap().into_split();
        writing.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        writing.write_all(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
        let reading = tokio::spawn(async move {
            let mut reason = None;
            loop {
                let mut head = [0; 9];
                if reading.read_exact(&mut head).await.is_err() {
                    return reason;
                }
                let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
                if reading.read_exact(&mut payload).await.is_err() {
                    return reason;
                }
                if head[3] == GOAWAY {
                    reason = payload.get(4..8).map(|bytes| u32::from_be_bytes(bytes.try_into().unwrap()));
                }
            }
        });
        Self { writing, reading }
    }

    /// Sends frames until the connection is closed, at most `count` of them. Whether it was closed.
    async fn send(&mut self, count: u32, mut frame: impl FnMut(u32) -> Vec<u8>) -> bool {
        for batch in 0..count / 100 {
            let bytes: Vec<u8> = (0..100).flat_map(|number| frame(batch * 100 + number)).collect();
            if self.writing.write_all(&bytes).await.is_err() || self.reading.is_finished() {
                return true;
            }
        }
        tokio::time::timeout(Duration::from_secs(2), &mut self.reading).await.is_ok()
    }
}

#[tokio::test]
async fn floods_end_their_own_connection_at_most_and_others_are_served() {
    let azure = azure().await;
    let gateway = Gateway::start(&config(&azure.base_url())).await;
    let served = async {
        for _ in 0..20 {
            assert_eq!(gateway.chat(&chat_body("Hi")).await.status, 200);
        }
    };
    served.await;

    let mut resets = Flood::open(&gateway).await;
    let closed = resets
        .send(50_000, |number| {
            let stream = number * 2 + 1;
            let request = frame(HEADERS, END_HEADERS | END_STREAM, stream, GET);
            [request, frame(RST_STREAM, 0, stream, &8u32.to_be_bytes())].concat()
        })
        .await;
    assert!(closed, "requests that are taken back at once (CVE-2023-44487) end the connection");

    let mut endless = Flood::open(&gateway).await;
    let closed = endless
        .send(100_000, |number| {
            if number == 0 {
                frame(HEADERS, END_STREAM, 1, GET)
            } else {
                frame(CONTINUATION, 0, 1, &[0x40, 1, b'x', 1, b'y'].repeat(200))
            }
        })
        .await;
    assert!(closed, "a head that never ends ends the connection");

    for (kind, payload) in [(PING, &[0; 8][..]), (SETTINGS, &[0, 4, 0, 1, 0, 0][..])] {
        let mut flood = Flood::open(&gateway).await;
        flood.send(100_000, |_| frame(kind, 0, 0, payload)).await;
        for _ in 0..20 {
            assert_eq!(gateway.chat(&chat_body("Hi")).await.status, 200);
        }
    }
    gateway.until_metric("azgate_requests_active", 0.0).await;
    let (_, kib) = gateway.memory();
    assert!(kib < 300 * 1024, "{kib} KiB at the peak");
}
