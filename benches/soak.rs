//! Requests for a long time, mixed with faults, callers who leave, and reloads:
//! `cargo bench --bench soak -- [--requests N] [--streams N]`. At the end memory, descriptors and tasks must be where they
//! were after the first tenth. Prints a table; fails when something has grown.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench that fails may panic, and prints its results")]

mod gateway;

use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use azgate::simulator::{self, Running, Settings};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use gateway::{Gateway, number};

const KEY: &str = "soak-key";
/// Connections that ask.
const CALLERS: u64 = 32;
/// What a request meets, in turn.
const FAULTS: &[&str] = &["", "", "", "status=500", "status=429", "reset-before-head", "close-after-bytes=40"];
/// Times between two reloads.
const RELOAD: Duration = Duration::from_secs(10);
/// More than the 10 s for which the runtime keeps a thread that has nothing to do.
const REST: Duration = Duration::from_secs(12);
/// Memory may be this much above where it was after the first tenth.
const GROWTH: f64 = 1.05;

/// What a process holds.
#[derive(Debug, Clone, Copy)]
struct Held {
    memory_kib: u64,
    descriptors: usize,
    threads: usize,
}

fn main() {
    let (requests, streams) = (number("--requests", 100_000), number("--streams", 500));
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(soak(requests, streams));
}

async fn soak(requests: u64, streams: u64) {
    let settings = Settings { listen: "127.0.0.1:0".parse().unwrap(), ..Settings::default() };
    let azure = simulator::start(settings).await.unwrap();
    let gateway = start(&azure).await;
    let begun = Instant::now();
    send(&gateway, &azure, requests / 10).await;
    let early = gateway.rest().await;
    send(&gateway, &azure, requests - requests / 10).await;
    let late = gateway.rest().await;
    let took = begun.elapsed();
    let idle = idle_streams(&gateway, streams).await;
    println!("| | after a tenth | at the end |\n|---|---|---|");
    println!("| requests | {} | {requests} in {:.0} s |", requests / 10, took.as_secs_f64());
    println!("| resident memory, KiB | {} | {} |", early.memory_kib, late.memory_kib);
    println!("| descriptors | {} | {} |", early.descriptors, late.descriptors);
    println!("| threads | {} | {} |", early.threads, late.threads);
    println!("| KiB per idle stream, of {streams} | | {idle:.1} |");
    let growth = late.memory_kib as f64 / early.memory_kib as f64;
    assert!(growth <= GROWTH, "memory has grown to {growth:.3} of what it was");
    assert!(late.descriptors <= early.descriptors + 4, "descriptors have been left open");
    assert!(late.threads <= early.threads, "threads have been left");
}

/// Sends requests over all connections, with a reload now and then.
async fn send(gateway: &Gateway, azure: &Running, requests: u64) {
    let left = Arc::new(AtomicU64::new(requests));
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..CALLERS {
        callers.spawn(call(gateway.address, Arc::clone(&left)));
    }
    let mut reloads = tokio::time::interval(RELOAD);
    loop {
        tokio::select! {
            ended = callers.join_next() => match ended {
                Some(ended) => ended.unwrap(),
                None => return,
            },
            _ = reloads.tick() => {
                let sent = Command::new("kill").args(["-s", "HUP", &gateway.id().to_string()]).status().unwrap();
                assert!(sent.success(), "the gateway is gone");
                // The simulator keeps what it received.
                azure.clear();
            }
        }
    }
}

/// One caller: asks until nothing is left to ask, and makes a new connection where the old one has ended.
async fn call(address: SocketAddr, left: Arc<AtomicU64>) {
    let mut connection: Option<TcpStream> = None;
    while let Ok(number) = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)) {
        let mut stream = match connection.take() {
            Some(stream) => stream,
            None => TcpStream::connect(address).await.unwrap(),
        };
        let streamed = number % 4 == 0;
        let fault = FAULTS[(number / 4) as usize % FAULTS.len()];
        stream.write_all(&request(streamed, fault)).await.unwrap();
        // Some leave in the middle.
        if number % 50 == 0 {
            let _ = stream.read(&mut [0; 64]).await;
            continue;
        }
        if answer(&mut stream).await {
            connection = Some(stream);
        }
    }
}

fn request(streamed: bool, fault: &str) -> Vec<u8> {
    let body =
        json!({"model": "gpt-4o", "stream": streamed, "messages": [{"role": "user", "content": "Hello"}]}).to_string();
    let fault = if fault.is_empty() { String::new() } else { format!("x-sim-fault: {fault}\r\n") };
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: gateway\r\napi-key: {KEY}\r\nx-sim-event-interval-ms: 0\r\n{fault}content-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// Reads one answer, whatever it is; whether the connection can be used again.
async fn answer(stream: &mut TcpStream) -> bool {
    let mut received = Vec::new();
    loop {
        if stream.read_buf(&mut received).await.unwrap_or(0) == 0 {
            assert!(!received.is_empty(), "the connection was closed without an answer");
            return false;
        }
        let Some(head) = memchr::memmem::find(&received, b"\r\n\r\n") else { continue };
        let text = String::from_utf8_lossy(&received[..head]).to_ascii_lowercase();
        let length = text.lines().find_map(|line| line.strip_prefix("content-length: "));
        let complete = match length {
            Some(length) => received.len() >= head + 4 + length.parse::<usize>().unwrap(),
            None => received.ends_with(b"0\r\n\r\n"),
        };
        if complete {
            return !text.contains("connection: close");
        }
    }
}

/// Streams that have begun and stand still, and what each costs in memory.
async fn idle_streams(gateway: &Gateway, streams: u64) -> f64 {
    let before = gateway.held().memory_kib;
    let mut open = Vec::new();
    for _ in 0..streams {
        let mut stream = TcpStream::connect(gateway.address).await.unwrap();
        let request = String::from_utf8(request(true, "stall-after-events=4")).unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        assert!(stream.read(&mut [0; 1024]).await.unwrap() > 0);
        open.push(stream);
    }
    (gateway.held().memory_kib as f64 - before as f64) / streams as f64
}

async fn start(azure: &Running) -> Gateway {
    let config = json!({
        "client": {"forward_headers": ["x-sim-fault", "x-sim-event-interval-ms"]},
        "providers": {"azure": {
            "keys": [{"name": "east", "value": "sim-key", "models": ["*"], "azure_key_config": {"endpoint": azure.base_url()}}],
            "network_config": {"max_retries": 0},
            "circuit_breaker": {"consecutive_failures": 0, "min_requests": 1_000_000},
        }},
        "governance": {"virtual_keys": [{"name": "soak", "value": KEY}]},
    });
    Gateway::start(config).await
}

impl Gateway {
    /// What the process holds once nothing is in progress any more, and the threads that read files for a reload have ended.
    async fn rest(&self) -> Held {
        let begun = Instant::now();
        while self.active().await > 0 {
            assert!(begun.elapsed() < Duration::from_secs(60), "requests are in progress that nobody waits for");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        tokio::time::sleep(REST).await;
        self.held()
    }

    async fn active(&self) -> u64 {
        let mut stream = TcpStream::connect(self.admin).await.unwrap();
        stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        let value = |line: &str| line.strip_prefix("azgate_requests_active ")?.parse().ok();
        text.lines().find_map(value).expect("the metric")
    }

    fn held(&self) -> Held {
        let entries = |folder: &str| std::fs::read_dir(format!("/proc/{}/{folder}", self.id())).unwrap().count();
        Held { memory_kib: self.kib("VmRSS"), descriptors: entries("fd"), threads: entries("task") }
    }
}
