//! The load: requests as raw bytes, so that the generator takes as little of its processor as it can.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::process::{Contender, KEY};
use super::upstream::EVENTS;

/// Connections that ask as fast as they are answered.
const CLOSED: usize = 32;
/// Streams at the same time.
const STREAMS: usize = 64;
/// Requests per second of the open loop, over as many connections as needed.
const RATE: u32 = 500;
/// Connections of the open loop that wait for a request; more are closed.
const FREE: usize = 256;
/// Streams that stand still.
const IDLE: usize = 1_000;

/// How long requests took, in microseconds.
#[derive(Debug, Default)]
pub struct Latencies(Vec<f64>);

impl Latencies {
    pub fn quantile(&self, share: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let index = (sorted.len() as f64 * share) as usize;
        sorted.get(index.min(sorted.len().saturating_sub(1))).copied().unwrap_or(0.0)
    }
}

/// A request of about 1 KB; `user` tells the upstream what to answer.
fn request(user: &str, stream: bool) -> Vec<u8> {
    let body = format!(
        r#"{{"model":"gpt-4o","messages":[{{"role":"user","content":"{}"}}],"stream":{stream},"stream_options":{},"user":"{user}"}}"#,
        "Explain latency and throughput. ".repeat(28),
        if stream { r#"{"include_usage":true}"# } else { "null" }
    );
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {KEY}\r\ncontent-type: application/json\r\naccept: application/json\r\nuser-agent: OpenAI/Python 2.0\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    async fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, buffer: Vec::with_capacity(64 * 1024) }
    }

    /// Asks and reads the whole answer.
    async fn ask(&mut self, request: &[u8]) {
        self.stream.write_all(request).await.unwrap();
        self.buffer.clear();
        let mut end = None;
        while end.is_none_or(|end| self.buffer.len() < end) {
            assert!(self.stream.read_buf(&mut self.buffer).await.unwrap() > 0, "the answer broke off");
            if end.is_none() {
                end = self.end();
            }
        }
        assert!(self.buffer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&self.buffer));
    }

    /// Where the answer ends, once that is known.
    fn end(&self) -> Option<usize> {
        let head = memchr::memmem::find(&self.buffer, b"\r\n\r\n")?;
        let text = String::from_utf8_lossy(&self.buffer[..head]).to_ascii_lowercase();
        match text.lines().find_map(|line| line.strip_prefix("content-length: ")) {
            Some(length) => Some(head + 4 + length.trim().parse::<usize>().unwrap()),
            None => self.buffer.ends_with(b"0\r\n\r\n").then_some(self.buffer.len()),
        }
    }
}

/// Requests on connections that are kept, as many as can be; how many.
pub async fn unary(address: SocketAddr, time: Duration) -> u64 {
    let mut tasks = JoinSet::new();
    let until = Instant::now() + time;
    for _ in 0..CLOSED {
        tasks.spawn(async move {
            let (mut connection, request) = (Connection::open(address).await, request("plain", false));
            let mut asked = 0;
            while Instant::now() < until {
                connection.ask(&request).await;
                asked += 1;
            }
            asked
        });
    }
    tasks.join_all().await.into_iter().sum()
}

/// One request after the other, or one stream after the other.
pub async fn in_a_row(address: SocketAddr, count: usize, stream: bool) {
    let request = request(if stream { "paced" } else { "plain" }, stream);
    let mut connection = Connection::open(address).await;
    for _ in 0..count {
        connection.ask(&request).await;
    }
}

/// Streams with an event every 5 ms; how many events came.
pub async fn streams(address: SocketAddr) -> u64 {
    let mut tasks = JoinSet::new();
    for number in 0..STREAMS {
        tasks.spawn(async move {
            // Not all at the same moment.
            tokio::time::sleep(Duration::from_micros(number as u64 * 78)).await;
            Connection::open(address).await.ask(&request("paced", true)).await;
        });
    }
    tasks.join_all().await;
    STREAMS as u64 * EVENTS
}

/// Requests at a fixed rate, whatever becomes of the earlier ones. The time counts from when each was due.
pub async fn paced(address: SocketAddr, time: Duration) -> Latencies {
    let (free, mut freed) = tokio::sync::mpsc::channel(FREE);
    for _ in 0..16 {
        free.try_send(Connection::open(address).await).unwrap();
    }
    let mut tasks = JoinSet::new();
    let begun = Instant::now();
    for number in 0..(RATE * time.as_secs() as u32) {
        let due = begun + Duration::from_secs(1) * number / RATE;
        tokio::time::sleep_until(due.into()).await;
        let mut connection = match freed.try_recv() {
            Ok(connection) => connection,
            Err(_) => Connection::open(address).await,
        };
        let free = free.clone();
        // The timer has milliseconds; what it is late by is nobody's latency.
        let started = Instant::now();
        tasks.spawn(async move {
            connection.ask(&request("plain", false)).await;
            let took = started.elapsed();
            let _ = free.try_send(connection);
            took.as_secs_f64() * 1e6
        });
    }
    Latencies(tasks.join_all().await)
}

/// What a stream costs in memory that has begun and stands still.
pub async fn idle_streams(contender: &Contender) -> f64 {
    let before = contender.memory();
    let mut streams = Vec::new();
    for _ in 0..IDLE {
        let mut connection = Connection::open(contender.address).await;
        connection.stream.write_all(&request("idle", true)).await.unwrap();
        assert!(connection.stream.read_buf(&mut connection.buffer).await.unwrap() > 0);
        connection.buffer = Vec::new();
        streams.push(connection);
    }
    (contender.memory() - before) / IDLE as f64
}
