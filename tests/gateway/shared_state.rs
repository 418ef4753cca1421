//! Limits that several gateway processes share in a real Redis, and what becomes of them when it is away, slow or empty.

use std::time::{Duration, Instant};

use http::Method;
use serde_json::{Value, json};

use crate::redis::{Delay, Redis};
use crate::support::*;

/// A gateway whose caller is limited, sharing a store at that address.
pub fn sharing(azure: &str, store: std::net::SocketAddr, limits: Value) -> Value {
    let mut config = config(azure);
    config["shared_state"] = json!({"type": "redis", "url": format!("redis://{store}")});
    config["pricing"] = json!({"gpt-4o": {"input_per_million": 0, "output_per_million": 1000}});
    for (name, value) in limits.as_object().unwrap() {
        config["governance"]["virtual_keys"][0][name] = value.clone();
    }
    config
}

pub async fn connected(config: &Value) -> Gateway {
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
    a_thousand_requests_keep_one_budget_for_ten(4).await;
}

#[tokio::test]
async fn traps_45_eight_processes_with_a_thousand_requests_keep_one_budget_for_ten() {
    a_thousand_requests_keep_one_budget_for_ten(8).await;
}

async fn a_thousand_requests_keep_one_budget_for_ten(processes: usize) {
    let (azure, redis) = (azure().await, Redis::start().await);
    let config = sharing(&azure.base_url(), redis.address, json!({"budget": {"total_limit_usd": 0.2}}));
    let mut gateways = Vec::new();
    for _ in 0..processes {
        gateways.push(connected(&config).await);
    }
    let authorization = format!("Bearer {KEY}");
    let asking: Vec<_> = (0..1_000)
        .map(|number| {
            let (address, authorization) = (gateways[number % processes].address, authorization.clone());
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
    assert!(if alone { admitted <= 10 * processes } else { admitted == 10 }, "{admitted} admitted, alone: {alone}");
    assert_eq!(azure.recorded().len(), admitted);
    // Exact to the micro-dollar.
    redis.until_answer(SPENT, &text(admitted * 20_000)).await;
}

/// Whether some of these missed the store's 20 ms and counted for themselves, as on a machine that is busy otherwise.
pub fn alone(gateways: &[&Gateway]) -> bool {
    gateways.iter().any(|gateway| gateway.log().contains("counts for itself"))
}

const SPENT: &str = "HGET azgate:{limits}:virtual_key:tester total";

/// A number as Redis answers with it.
fn text(number: usize) -> String {
    format!("${}\r\n{number}\r\n", number.to_string().len())
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
        return redis.until_answer(&format!("ZCARD {HELD}"), ":0\r\n").await;
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

/// For how long the store is stopped; `AZGATE_STOPPED_SECONDS` asks for more.
fn stopped() -> Duration {
    let seconds = std::env::var("AZGATE_STOPPED_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    Duration::from_secs(seconds.unwrap_or(1))
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
    tokio::time::sleep(stopped()).await;
    redis.signal("CONT");
    gateway.until_metric("azgate_shared_state_up", 1.0).await;
    slow.set(Duration::from_secs(1));
    ask(5).await;
    gateway.until_metric("azgate_shared_state_up", 0.0).await;
    slow.set(Duration::ZERO);
    gateway.until_metric("azgate_shared_state_up", 1.0).await;
    redis.command("FLUSHALL").await;
    ask(2).await;
    redis.command("SCRIPT FLUSH").await;
    ask(1).await;
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

#[tokio::test]
async fn what_is_used_while_the_store_is_away_is_told_in_one_sum_when_it_is_back() {
    let (azure, mut redis) = (azure().await, Redis::start().await);
    let config = sharing(&azure.base_url(), redis.address, json!({"budget": {"total_limit_usd": 100}}));
    let gateway = connected(&config).await;
    redis.kill().await;
    for _ in 0..100 {
        assert_eq!(gateway.post("/v1/chat/completions", &[], body()).await.status, 200);
    }
    redis.restart().await;
    redis.until_answer(SPENT, &text(100 * 20_000)).await;
    // The subject, and one mark for each settlement that was told.
    let keys = redis.command("DBSIZE").await;
    let keys: usize = keys.trim().trim_start_matches(':').parse().unwrap();
    assert!((2..20).contains(&keys), "{keys} keys");
    assert_eq!(gateway.metric("azgate_shared_state_lost_total", &[]).await, 0.0);
}

#[tokio::test]
async fn a_shared_slot_is_free_for_any_gateway_before_the_answer_ends() {
    let azure = azure().await;
    for _ in 0..20 {
        let redis = Redis::start().await;
        let config = sharing(&azure.base_url(), redis.address, json!({"rate_limit": {"concurrent_requests": 1}}));
        let (one, other) = (connected(&config).await, connected(&config).await);
        let mut statuses = Vec::new();
        for number in 0..200 {
            let gateway = if number % 2 == 0 { &one } else { &other };
            let body = if number % 4 < 2 { chat_body("Hi") } else { stream_body("Hi") };
            statuses.push(gateway.chat(&body).await.status);
        }
        if alone(&[&one, &other]) {
            continue;
        }
        assert_eq!(statuses, [200; 200]);
        return;
    }
    panic!("the store never answered within 20 ms");
}
