//! Rates, slots and budgets of virtual keys, teams and customers: they hold under concurrency, say what they are, and are
//! charged with what was used.

use http::Method;
use serde_json::{Value, json};

use crate::support::*;

/// A caller with these limits, alone or in a group.
fn limited(azure: &str, key: Value) -> Value {
    let mut config = config(azure);
    for (name, value) in key.as_object().unwrap() {
        config["governance"]["virtual_keys"][0][name] = value.clone();
    }
    config
}

/// A request whose cost is known before: the price is a dollar for a thousand output tokens, and nothing for input.
fn priced(mut config: Value) -> Value {
    config["pricing"] = json!({"gpt-4o": {"input_per_million": 0, "output_per_million": 1000}});
    config
}

fn body(max_tokens: u64) -> String {
    json!({"model": "gpt-4o", "max_tokens": max_tokens, "messages": [{"role": "user", "content": "word ".repeat(40)}]})
        .to_string()
}

/// Sends that many requests at once; their statuses.
async fn at_once(gateways: &[&Gateway], count: usize, body: &str) -> Vec<u16> {
    let authorization = format!("Bearer {KEY}");
    let asking = (0..count).map(|number| {
        let (address, body, authorization) =
            (gateways[number % gateways.len()].address, body.to_owned(), authorization.clone());
        tokio::spawn(async move {
            let headers = [("authorization", authorization.as_str()), ("x-sim-fault", "delay=1500")];
            send(address, Method::POST, "/v1/chat/completions", &headers, body).await.status
        })
    });
    let mut statuses = Vec::new();
    for asked in asking.collect::<Vec<_>>() {
        statuses.push(asked.await.unwrap());
    }
    statuses
}

fn count(statuses: &[u16], status: u16) -> usize {
    statuses.iter().filter(|found| **found == status).count()
}

#[tokio::test]
async fn traps_60_a_thousand_at_once_against_a_budget_for_ten() {
    let azure = azure().await;
    // Ten requests of 20 tokens at a tenth of a cent each.
    let config = priced(limited(&azure.base_url(), json!({"budget": {"total_limit_usd": 0.2}})));
    let gateway = Gateway::start(&config).await;
    let statuses = at_once(&[&gateway], 1_000, &body(20)).await;
    assert_eq!((count(&statuses, 200), count(&statuses, 429)), (10, 990));
    assert_eq!(azure.recorded().len(), 10, "what was refused cost nothing upstream");
    let lines = gateway.request_lines(1_000).await;
    let settled: u64 = lines.iter().filter_map(|line| line["cost_micro_usd"].as_u64()).sum();
    let output: u64 = lines.iter().filter_map(|line| line["usage"]["output"].as_u64()).sum();
    assert_eq!((settled, output), (200_000, 200), "exact to the micro-dollar");
    assert_eq!(gateway.metric("azgate_cost_micro_usd_total", &["caller=\"tester\""]).await, settled as f64);
    let rejections = ["reason=\"budget\"", "scope=\"virtual_key\"", "caller=\"tester\""];
    assert_eq!(gateway.metric("azgate_limit_rejections_total", &rejections).await, 990.0);
}

#[tokio::test]
async fn traps_45_a_hundred_at_once_against_tokens_for_ten() {
    let azure = azure().await;
    let config = limited(&azure.base_url(), json!({"rate_limit": {"tokens_per_hour": 10_000}}));
    let gateway = Gateway::start(&config).await;
    // The prompt is about eighty tokens: ten fit, an eleventh does not.
    let statuses = at_once(&[&gateway], 100, &body(900)).await;
    assert_eq!((count(&statuses, 200), count(&statuses, 429)), (10, 90));
    // What was reserved and not used came back with the answers.
    assert_eq!(gateway.post("/v1/chat/completions", &[], body(950)).await.status, 200);
}

#[tokio::test]
async fn a_rate_is_told_of_in_every_answer_and_its_end_in_the_dialects_own_shape() {
    let azure = azure().await;
    let config = limited(&azure.base_url(), json!({"rate_limit": {"requests_per_minute": 2, "tokens_per_day": 5000}}));
    let gateway = Gateway::start(&config).await;
    let first = gateway.chat(&chat_body("Hi")).await;
    assert_eq!(first.status, 200);
    let told = |name: &str| first.header(name).parse::<u64>().unwrap_or_else(|_| panic!("{name}: {:?}", first.headers));
    assert_eq!((told("x-ratelimit-limit-requests"), told("x-ratelimit-remaining-requests")), (2, 1));
    assert!((60_000..=61_000).contains(&told("x-ratelimit-reset-requests")));
    assert!(told("x-ratelimit-limit-tokens") == 5_000 && told("x-ratelimit-remaining-tokens") < 5_000);
    assert!(!first.headers.contains_key("x-ratelimit-renewalperiod-requests"), "Azure's own stay behind");
    gateway.chat(&chat_body("Hi")).await;
    let refused = gateway.chat(&chat_body("Hi")).await;
    assert_eq!((refused.status, refused.code().as_str()), (429, "rate_limit_exceeded"));
    assert_eq!(refused.json()["error"]["type"], "rate_limit_error");
    let seconds: u64 = refused.header("retry-after").parse().unwrap();
    let millis: u64 = refused.header("retry-after-ms").parse().unwrap();
    assert!((1..=61).contains(&seconds) && millis.div_ceil(1000) == seconds);
    assert_eq!(refused.header("x-ratelimit-remaining-requests"), "0");
    assert_eq!(refused.header("x-should-retry"), "", "worth trying again");
    assert_eq!(azure.recorded().len(), 2);
}

#[tokio::test]
async fn a_spent_budget_says_until_when_and_that_trying_again_is_in_vain() {
    let azure = azure().await;
    let config = priced(limited(&azure.base_url(), json!({"budget": {"daily_limit_usd": 0.01, "total_limit_usd": 5}})));
    let gateway = Gateway::start(&config).await;
    let refused = gateway.post("/v1/chat/completions", &[], body(20)).await;
    assert_eq!((refused.status, refused.code().as_str()), (429, "budget_exceeded"));
    assert_eq!(refused.header("x-should-retry"), "false");
    assert!(refused.json()["error"]["message"].as_str().unwrap().contains("0.01 USD per day"), "{}", refused.text());
    // It costs more than a whole day's budget: no day will do.
    assert_eq!(refused.header("retry-after"), "86400");
    // Unknown sizes are learned: the first answer may use what is there, and then the day is over.
    let mut answers = Vec::new();
    for _ in 0..20 {
        answers.push(gateway.chat(&chat_body("Hi")).await);
    }
    let last = answers.last().unwrap();
    assert_eq!((answers[0].status, last.status, last.code().as_str()), (200, 429, "budget_exceeded"));
    let today = jiff::Timestamp::now().as_second().rem_euclid(86_400);
    let wait: i64 = last.header("retry-after").parse().unwrap();
    assert!((wait - (86_400 - today)).abs() < 60, "{wait}");
}

#[tokio::test]
async fn teams_and_customers_count_all_their_keys_together() {
    let azure = azure().await;
    let mut config = config(&azure.base_url());
    config["governance"] = json!({
        "virtual_keys": [
            {"name": "tester", "value": KEY, "team": "a"}, {"name": "other", "value": "other", "team": "A"},
            {"name": "third", "value": "third", "team": "b"}, {"name": "free", "value": "free"},
        ],
        "teams": [
            {"name": "a", "customer": "acme", "rate_limit": {"requests_per_minute": 3}},
            {"name": "b", "customer": "acme"},
        ],
        "customers": [{"name": "acme", "rate_limit": {"requests_per_hour": 4}}],
    });
    let gateway = Gateway::start(&config).await;
    let mut seen = Vec::new();
    for key in [KEY, "other", KEY, "other", "third", "third", "free"] {
        let answer = send(
            gateway.address,
            Method::POST,
            "/v1/chat/completions",
            &[("api-key", key)],
            chat_body("Hi").to_string(),
        )
        .await;
        seen.push((answer.status, answer.text()));
    }
    assert_eq!(seen.iter().map(|(status, _)| *status).collect::<Vec<_>>(), [200, 200, 200, 429, 200, 429, 200]);
    assert!(seen[3].1.contains("team `a`") && seen[5].1.contains("customer `acme`"), "{seen:?}");
}

#[tokio::test]
async fn slots_are_free_again_however_a_request_ends() {
    let azure = azure().await;
    let config = limited(&azure.base_url(), json!({"rate_limit": {"concurrent_requests": 1}}));
    let gateway = Gateway::start(&config).await;
    let authorization = format!("Bearer {KEY}");
    let headers = [("authorization", authorization.as_str()), ("x-sim-event-interval-ms", "100")];
    let stream = stream_body(&"word ".repeat(100)).to_string();
    let running = open(gateway.address, "/v1/chat/completions", &headers, stream).await;
    let refused = gateway.chat(&chat_body("Hi")).await;
    assert_eq!(
        (refused.status, refused.code().as_str(), refused.header("retry-after")),
        (429, "rate_limit_exceeded", "1")
    );
    drop(running);
    until_admitted(&gateway, "a caller who left").await;
    for fault in ["status=500", "status=400", "reset-before-head"] {
        gateway.post("/v1/chat/completions", &[("x-sim-fault", fault)], body(5)).await;
        until_admitted(&gateway, fault).await;
    }
    for wrong in ["{", "{}", r#"{"model":"nobody-knows","messages":[]}"#] {
        gateway.post("/v1/chat/completions", &[], wrong).await;
        until_admitted(&gateway, wrong).await;
    }
}

#[tokio::test]
async fn a_caller_who_leaves_a_stream_pays_for_what_was_delivered() {
    use http_body_util::BodyExt;
    let azure = azure().await;
    let config = priced(limited(&azure.base_url(), json!({"budget": {"total_limit_usd": 100}})));
    let gateway = Gateway::start(&config).await;
    let authorization = format!("Bearer {KEY}");
    let headers = [("authorization", authorization.as_str()), ("x-sim-event-interval-ms", "30")];
    let stream = stream_body(&"word ".repeat(500)).to_string();
    let mut running = open(gateway.address, "/v1/chat/completions", &headers, stream).await;
    for _ in 0..5 {
        running.frame().await.unwrap().unwrap();
    }
    drop(running);
    let line = gateway.request_lines(1).await.remove(0);
    let (output, cost) = (line["usage"]["output"].as_u64().unwrap(), line["cost_micro_usd"].as_u64().unwrap());
    assert!((2..100).contains(&output) && cost == output * 1_000, "{line}");
    assert_eq!((&line["usage_estimated"], &line["caller_left"]), (&json!(true), &json!(true)));
}

#[tokio::test]
async fn an_unknown_price_is_flagged_everywhere_and_never_zero_in_silence() {
    let azure = azure().await;
    let mut config = limited(&azure.base_url(), json!({"budget": {"total_limit_usd": 1}}));
    config["providers"]["azure"]["keys"][0]["aliases"]["mystery"] = json!("chat-east");
    config["providers"]["azure"]["keys"][0]["aliases"]["told"] =
        json!({"model_id": "chat-east", "model_name": "gpt-5"});
    let gateway = Gateway::start(&config).await;
    let known = gateway.chat(&chat_body("Hi")).await;
    assert!(!known.headers.contains_key("x-azgate-price"));
    let mut mystery = chat_body("Hi");
    mystery["model"] = json!("mystery");
    let answer = gateway.chat(&mystery).await;
    assert_eq!((answer.status, answer.header("x-azgate-price")), (200, "unknown"));
    let mut told = chat_body("Hi");
    told["model"] = json!("told");
    assert!(!gateway.chat(&told).await.headers.contains_key("x-azgate-price"));
    let lines = gateway.request_lines(3).await;
    assert!(lines[2]["cost_micro_usd"].as_u64().unwrap() > 0, "the model that is said to be behind it has a price");
    assert!(lines[0]["cost_micro_usd"].as_u64().unwrap() > 0 && lines[0]["price_unknown"].is_null(), "{}", lines[0]);
    assert!(lines[1]["cost_micro_usd"].is_null() && lines[1]["price_unknown"] == json!(true), "{}", lines[1]);
    assert_eq!(gateway.metric("azgate_price_unknown_total", &["model=\"mystery\""]).await, 1.0);
}

#[tokio::test]
async fn counters_survive_a_reload_and_limits_change_at_once() {
    let azure = azure().await;
    let with = |limit: u64| limited(&azure.base_url(), json!({"rate_limit": {"requests_per_hour": limit}}));
    let gateway = Gateway::start(&with(2)).await;
    for status in [200, 200, 429] {
        assert_eq!(gateway.chat(&chat_body("Hi")).await.status, status);
    }
    for (generation, limit, statuses) in [(2.0, 3, [200, 429]), (3.0, 2, [429, 429])] {
        gateway.reload(&with(limit));
        gateway.until_metric("azgate_config_generation", generation).await;
        for status in statuses {
            assert_eq!(gateway.chat(&chat_body("Hi")).await.status, status, "generation {generation}");
        }
    }
}
