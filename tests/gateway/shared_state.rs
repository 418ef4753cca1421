//! Limits that several gateway processes share in a real Redis, and what becomes of them when it is away, slow or empty.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use http::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::support::*;

/// A Redis of the test's own, ended by its process id.
struct Redis {
    address: std::net::SocketAddr,
    directory: tempfile::TempDir,
    child: Child,
}

impl Redis {
    async fn start() -> Self {
        let (address, directory) = (free_address(), tempfile::tempdir().unwrap());
        let child = Self::run(address, &directory);
        let redis = Self { address, directory, child };
        until_listening(address).await;
        redis
    }

    fn run(address: std::net::SocketAddr, directory: &tempfile::TempDir) -> Child {
        let port = address.port().to_string();
        Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--port", &port, "--save", "", "--appendonly", "no", "--dir"])
            .arg(directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is installed")
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Ends it at once and starts it again, empty.
    async fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    async fn restart(&mut self) {
        self.child = Self::run(self.address, &self.directory);
        until_listening(self.address).await;
    }

    /// One command in the inline form, and the first part of its answer.
    async fn command(&self, line: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(format!("{line}\r\n").as_bytes()).await.unwrap();
        let mut answer = vec![0; 4096];
        let length = stream.read(&mut answer).await.unwrap();
        String::from_utf8_lossy(&answer[..length]).into_owned()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A gateway whose caller is limited, sharing a store at that address.
fn sharing(azure: &str, store: std::net::SocketAddr, limits: Value) -> Value {
    let mut config = config(azure);
    config["shared_state"] = json!({"type": "redis", "url": format!("redis://{store}")});
    config["pricing"] = json!({"gpt-4o": {"input_per_million": 0, "output_per_million": 1000}});
    for (name, value) in limits.as_object().unwrap() {
        config["governance"]["virtual_keys"][0][name] = value.clone();
    }
    config
}

async fn connected(config: &Value) -> Gateway {
    let gateway = Gateway::start(config).await;
    gateway.until_metric("azgate_shared_state_up", 1.0).await;
    gateway
}

/// A request that costs two cents.
fn body() -> String {
    let messages = json!([{"role": "user", "content": "word ".repeat(40)}]);
    json!({"model": "gpt-4o", "max_tokens": 20, "messages": messages}).to_string()
}

#[tokio::test]
async fn traps_45_four_processes_with_a_thousand_requests_keep_one_budget_for_ten() {
    let (azure, redis) = (azure().await, Redis::start().await);
    let config = sharing(&azure.base_url(), redis.address, json!({"budget": {"total_limit_usd": 0.2}}));
    let mut gateways = Vec::new();
    for _ in 0..4 {
        gateways.push(connected(&config).await);
    }
    let authorization = format!("Bearer {KEY}");
    let asking: Vec<_> = (0..1_000)
        .map(|number| {
            let (address, authorization) = (gateways[number % 4].address, authorization.clone());
            tokio::spawn(async move {
                let headers = [("authorization", authorization.as_str())];
                send(address, Method::POST, "/v1/chat/completions", &headers, body()).await.status
            })
        })
        .collect();
    let mut statuses = Vec::new();
    for asked in asking {
        statuses.push(asked.await.unwrap());
    }
    let admitted = statuses.iter().filter(|status| **status == 200).count();
    let mut away = 0.0;
    for gateway in &gateways {
        away += 1.0 - gateway.metric("azgate_shared_state_up", &[]).await;
    }
    // On a machine so busy that the store missed its 20 ms, gateways counted for themselves; never more than their share.
    let alone = alone(&gateways.iter().collect::<Vec<_>>()) || away > 0.0;
    assert!(if alone { admitted <= 40 } else { admitted == 10 }, "{admitted} admitted, alone: {alone}");
    assert_eq!(azure.recorded().len(), admitted);
    let spent = || async { redis.command("HGET azgate:{limits}:virtual_key:tester total").await };
    let begun = Instant::now();
    while !spent().await.contains(&format!("\r\n{}\r\n", admitted * 20_000)) {
        assert!(begun.elapsed() < Duration::from_secs(20), "exact to the micro-dollar: {}", spent().await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Whether some of these missed the store's 20 ms and counted for themselves, as on a machine that is busy otherwise.
fn alone(gateways: &[&Gateway]) -> bool {
    gateways.iter().any(|gateway| gateway.log().contains("counts for itself"))
}

/// Waits for an answer of the store.
async fn until_answer(redis: &Redis, command: &str, expected: &str) {
    let begun = Instant::now();
    while redis.command(command).await != expected {
        assert!(begun.elapsed() < Duration::from_secs(20), "{command}: {}", redis.command(command).await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

const HELD: &str = "azgate:{limits}:virtual_key:tester:held";

#[tokio::test]
async fn rates_are_shared_and_told_of_over_all_gateways() {
    let azure = azure().await;
    for _ in 0..20 {
        let redis = Redis::start().await;
        let limits = json!({"rate_limit": {"requests_per_minute": 3, "tokens_per_hour": 100_000}});
        let config = sharing(&azure.base_url(), redis.address, limits);
        let (one, other) = (connected(&config).await, connected(&config).await);
        let mut answers = Vec::new();
        for gateway in [&one, &other, &one, &other] {
            answers.push(gateway.chat(&chat_body("Hi")).await);
        }
        if alone(&[&one, &other]) {
            continue;
        }
        let told = |answer: &Answer| answer.header("x-ratelimit-remaining-requests").to_owned();
        assert_eq!(answers.iter().map(told).collect::<Vec<_>>(), ["2", "1", "0", "0"]);
        let refused = &answers[3];
        assert_eq!((refused.status, refused.code().as_str()), (429, "rate_limit_exceeded"));
        assert!((1..=61).contains(&refused.header("retry-after").parse::<u64>().unwrap()));
        assert!(refused.text().contains("3 requests per minute"), "{}", refused.text());
        return until_answer(&redis, &format!("ZCARD {HELD}"), ":0\r\n").await;
    }
    panic!("the store never answered within 20 ms");
}

#[tokio::test]
async fn what_a_killed_gateway_had_reserved_comes_back() {
    let azure = azure().await;
    let authorization = format!("Bearer {KEY}");
    let headers = [("authorization", authorization.as_str()), ("x-sim-event-interval-ms", "100")];
    for _ in 0..20 {
        let redis = Redis::start().await;
        let config = sharing(&azure.base_url(), redis.address, json!({"rate_limit": {"concurrent_requests": 1}}));
        let (dying, other) = (connected(&config).await, connected(&config).await);
        let body = stream_body(&"word ".repeat(300)).to_string();
        let running = open(dying.address, "/v1/chat/completions", &headers, body).await;
        let meanwhile = other.chat(&chat_body("Hi")).await.status;
        if alone(&[&dying, &other]) {
            continue;
        }
        drop(dying);
        drop(running);
        let after = other.chat(&chat_body("Hi")).await.status;
        let lease = redis.command(&format!("ZRANGE {HELD} 0 -1 WITHSCORES")).await;
        // The lease is over, as it is after 45 s of silence.
        let entry = lease.lines().nth(2).unwrap_or_default();
        redis.command(&format!("ZADD {HELD} 1 {entry}")).await;
        let at_last = other.chat(&chat_body("Hi")).await.status;
        if alone(&[&other]) {
            continue;
        }
        assert_eq!((meanwhile, after, at_last), (429, 429, 200), "held until the lease is over");
        let until: i64 = lease.lines().nth(4).unwrap().parse().unwrap();
        assert!(until <= jiff::Timestamp::now().as_millisecond() + 45_000, "no lease is longer");
        return;
    }
    panic!("the store never answered within 20 ms");
}

#[tokio::test]
async fn traps_47_a_store_that_is_away_stopped_slow_or_empty_fails_no_request_and_heals() {
    let (azure, mut redis) = (azure().await, Redis::start().await);
    let slow = Delay::start(redis.address).await;
    let limits = json!({"rate_limit": {"requests_per_hour": 40}});
    let gateway = connected(&sharing(&azure.base_url(), slow.address, limits)).await;
    let ask = |times: usize| {
        let gateway = &gateway;
        async move {
            for _ in 0..times {
                let begun = Instant::now();
                assert_eq!(gateway.chat(&chat_body("Hi")).await.status, 200);
                assert!(begun.elapsed() < Duration::from_secs(10));
            }
        }
    };
    ask(3).await;
    redis.signal("STOP");
    ask(5).await;
    gateway.until_metric("azgate_shared_state_up", 0.0).await;
    redis.signal("CONT");
    gateway.until_metric("azgate_shared_state_up", 1.0).await;
    slow.set(Duration::from_secs(1));
    ask(5).await;
    gateway.until_metric("azgate_shared_state_up", 0.0).await;
    slow.set(Duration::ZERO);
    gateway.until_metric("azgate_shared_state_up", 1.0).await;
    redis.command("FLUSHALL").await;
    ask(3).await;
    redis.kill().await;
    ask(5).await;
    gateway.until_metric("azgate_shared_state_up", 0.0).await;
    redis.restart().await;
    gateway.until_metric("azgate_shared_state_up", 1.0).await;
    // 21 were let in. The store has lost most of them, and the gateway's own ledger none.
    ask(19).await;
    assert_eq!(gateway.chat(&chat_body("Hi")).await.code(), "rate_limit_exceeded");
}

#[tokio::test]
async fn a_wrong_password_is_told_of_without_it_and_stops_nobody() {
    let (azure, redis) = (azure().await, Redis::start().await);
    redis.command("CONFIG SET requirepass right").await;
    let mut config = sharing(&azure.base_url(), redis.address, json!({"rate_limit": {"requests_per_hour": 2}}));
    config["shared_state"]["url"] = json!(format!("redis://:wrong-secret@{}", redis.address));
    let gateway = Gateway::start(&config).await;
    for status in [200, 200, 429] {
        assert_eq!(gateway.chat(&chat_body("Hi")).await.status, status);
    }
    wait_until("the log says so", || gateway.log().contains("the shared state cannot be used")).await;
    assert!(!gateway.log().contains("wrong-secret"));
    assert_eq!(gateway.metric("azgate_shared_state_up", &[]).await, 0.0);
}

/// Passes bytes on to an address, each answer later by a time that can be changed.
struct Delay {
    address: std::net::SocketAddr,
    millis: std::sync::Arc<std::sync::atomic::AtomicU64>,
}

impl Delay {
    async fn start(to: std::net::SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, millis) =
            (listener.local_addr().unwrap(), std::sync::Arc::<std::sync::atomic::AtomicU64>::default());
        let delay = millis.clone();
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let Ok(far) = TcpStream::connect(to).await else { continue };
                let (mut near_in, mut near_out) = near.into_split();
                let (mut far_in, mut far_out) = far.into_split();
                tokio::spawn(async move { tokio::io::copy(&mut near_in, &mut far_out).await });
                let delay = delay.clone();
                tokio::spawn(async move {
                    let mut buffer = vec![0; 16 * 1024];
                    while let Ok(length @ 1..) = far_in.read(&mut buffer).await {
                        let wait = delay.load(std::sync::atomic::Ordering::Relaxed);
                        tokio::time::sleep(Duration::from_millis(wait)).await;
                        if near_out.write_all(&buffer[..length]).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Self { address, millis }
    }

    fn set(&self, delay: Duration) {
        self.millis.store(delay.as_millis() as u64, std::sync::atomic::Ordering::Relaxed);
    }
}
