//! Tokens that rotate under load for as long as wanted:
//! `cargo bench --bench rotations -- [--rotations N] [--seconds N]`. Callers ask 500 times a second, whatever becomes of the
//! earlier requests; an answer that is not good is a failure. Prints a table.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench that fails may panic, and prints its results")]

mod gateway;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use azgate::simulator::identity::IdentitySettings;
use azgate::simulator::{self, Running, Settings};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use gateway::{Gateway, number};

const KEY: &str = "rotation-key";
/// Connections that ask; each asks once in [`PACE`], which makes 500 requests a second together.
const CALLERS: u32 = 50;
const PACE: Duration = Duration::from_millis(100);
/// Between two lines about the progress.
const REPORT: Duration = Duration::from_secs(60);

/// Answers by what they are.
#[derive(Debug, Default)]
struct Answers {
    good: AtomicU64,
    unauthorized: AtomicU64,
    other: AtomicU64,
}

impl Answers {
    fn read(&self) -> [u64; 3] {
        [&self.good, &self.unauthorized, &self.other].map(|count| count.load(Ordering::Relaxed))
    }
}

fn main() {
    let (rotations, seconds) = (number("--rotations", 6), number("--seconds", 10));
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(rotate(rotations, seconds));
}

async fn rotate(rotations: u64, seconds: u64) {
    let identity = IdentitySettings { lifetime: Duration::from_secs(seconds), ..IdentitySettings::default() };
    let azure = simulator::start(Settings { listen: "127.0.0.1:0".parse().unwrap(), identity, ..Settings::default() });
    let azure = azure.await.unwrap();
    let gateway = start(&azure).await;
    let (answers, stop) = (Arc::new(Answers::default()), Arc::new(AtomicBool::new(false)));
    let begun = Instant::now();
    let callers: Vec<_> = (0..CALLERS)
        .map(|number| tokio::spawn(call(gateway.address, number, Arc::clone(&answers), Arc::clone(&stop))))
        .collect();
    let mut reported = Instant::now();
    // The first token is none that another gave way to.
    while azure.stats().tokens_issued <= rotations {
        tokio::time::sleep(Duration::from_millis(50)).await;
        if reported.elapsed() >= REPORT {
            reported = Instant::now();
            eprintln!("{} rotations, answers (good, 401, other) {:?}", azure.stats().tokens_issued - 1, answers.read());
            // The simulator keeps what it received.
            azure.clear();
        }
    }
    stop.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.await.expect("every connection is kept");
    }
    let (took, stats, [good, unauthorized, other]) = (begun.elapsed().as_secs_f64(), azure.stats(), answers.read());
    println!(
        "| rotations | token's life, s | time, s | requests | per second | 401 | other failures | refused at Azure |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    println!(
        "| {} | {seconds} | {took:.0} | {} | {:.0} | {unauthorized} | {other} | {} |",
        stats.tokens_issued - 1,
        good + unauthorized + other,
        (good + unauthorized + other) as f64 / took,
        stats.tokens_turned_away,
    );
    assert_eq!((unauthorized, other), (0, 0), "a caller has noticed a rotation");
    assert_eq!(stats.tokens_asked, stats.tokens_issued, "a token was asked for in vain");
}

/// One caller: a request whenever one is due, over one connection; late ones are made up for.
async fn call(address: SocketAddr, number: u32, answers: Arc<Answers>, stop: Arc<AtomicBool>) {
    let body = json!({"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}]}).to_string();
    let request = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: gateway\r\napi-key: {KEY}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(address).await.unwrap();
    let mut due = tokio::time::interval_at((Instant::now() + PACE * number / CALLERS).into(), PACE);
    while !stop.load(Ordering::Relaxed) {
        due.tick().await;
        stream.write_all(request.as_bytes()).await.unwrap();
        let count = match status(&mut stream).await.as_str() {
            "200" => &answers.good,
            "401" => &answers.unauthorized,
            _ => &answers.other,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }
}

/// Reads one answer with a length; its status.
async fn status(stream: &mut TcpStream) -> String {
    let mut received = Vec::new();
    loop {
        assert!(stream.read_buf(&mut received).await.unwrap() > 0, "the connection was closed");
        let Some(head) = memchr::memmem::find(&received, b"\r\n\r\n") else { continue };
        let text = String::from_utf8_lossy(&received[..head]).to_ascii_lowercase();
        let length = text.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a plain answer");
        if received.len() >= head + 4 + length.parse::<usize>().unwrap() {
            return text.split(' ').nth(1).unwrap_or_default().to_owned();
        }
    }
}

/// Starts a gateway whose only key is the simulator's service principal, and waits until it has a token.
async fn start(azure: &Running) -> Gateway {
    let entra = json!({
        "endpoint": azure.base_url(), "authority_host": azure.base_url(),
        "tenant_id": "sim-tenant", "client_id": "sim-client", "client_secret": "sim-secret",
    });
    let config = json!({
        "providers": {"azure": {"keys": [{"name": "east", "models": ["*"], "azure_key_config": entra}]}},
        "governance": {"virtual_keys": [{"name": "rotation", "value": KEY}]},
    });
    let gateway = Gateway::start(config).await;
    while !is_ready(gateway.admin).await {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    gateway
}

async fn is_ready(admin: SocketAddr) -> bool {
    let Ok(mut stream) = TcpStream::connect(admin).await else { return false };
    let mut text = String::new();
    let asked = stream.write_all(b"GET /readyz HTTP/1.0\r\n\r\n").await;
    asked.is_ok() && stream.read_to_string(&mut text).await.is_ok() && text.split(' ').nth(1) == Some("200")
}
