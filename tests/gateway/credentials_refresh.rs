//! Tokens that end under load, an issuer that fails, and upstreams that refuse a token: nobody notices.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use azgate::simulator::{Rule, Script};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::TcpStream;

use crate::credentials::{data_plane, issuing, principal};
use crate::support::*;

/// Callers with a connection each, who ask again and again until told to stop. Counts answers by whether they are good.
struct Callers {
    stop: tokio::sync::watch::Sender<bool>,
    good: Arc<AtomicU64>,
    bad: Arc<AtomicU64>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Callers {
    /// `count` callers, each pausing `pause` between requests.
    fn start(gateway: &Gateway, count: usize, pause: Duration) -> Self {
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let (good, bad) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let one = |_| {
            let (address, good, bad, stopped) = (gateway.address, Arc::clone(&good), Arc::clone(&bad), stopped.clone());
            tokio::spawn(async move {
                let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
                let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await.unwrap();
                tokio::spawn(connection);
                let body = chat_body("hello").to_string();
                while !*stopped.borrow() {
                    let request = http::Request::post("/v1/chat/completions")
                        .header("host", "gateway")
                        .header("authorization", format!("Bearer {KEY}"))
                        .body(Full::new(bytes::Bytes::from(body.clone())))
                        .unwrap();
                    let answer = sender.send_request(request).await.unwrap();
                    let count = if answer.status() == 200 { &good } else { &bad };
                    answer.into_body().collect().await.unwrap();
                    count.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(pause).await;
                }
            })
        };
        let tasks = (0..count).map(one).collect();
        Self { stop, good, bad, tasks }
    }

    /// Answers, good and bad.
    async fn stop(self) -> (u64, u64) {
        self.stop.send_replace(true);
        for task in self.tasks {
            task.await.expect("the caller does not panic");
        }
        (self.good.load(Ordering::Relaxed), self.bad.load(Ordering::Relaxed))
    }
}

/// So many requests at the same time, each over a connection of its own.
async fn all_are_served(gateway: &Gateway, count: usize) {
    let requests: Vec<_> = (0..count).map(|_| tokio::spawn(status(gateway.address))).collect();
    for request in requests {
        assert_eq!(request.await.unwrap(), 200);
    }
}

async fn status(address: std::net::SocketAddr) -> u16 {
    let authorization = format!("Bearer {KEY}");
    let headers = [("authorization", authorization.as_str())];
    let body = chat_body("hello").to_string();
    send(address, http::Method::POST, "/v1/chat/completions", &headers, body).await.status
}

async fn until(what: &str, limit: Duration, mut happened: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !happened() {
        assert!(begun.elapsed() < limit, "{what} did not happen");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn traps_22_a_thousand_requests_without_a_token_make_one_token_request() {
    let azure = issuing(Duration::from_secs(3_600)).await;
    // The first token ends unseen; its successor takes its time, so that everybody meets the gap.
    let gateway = Gateway::start(&principal(&azure)).await;
    azure.identity().revoke();
    let before = azure.stats().tokens_asked;
    azure.script(&Script::default().then(Rule::new("delay=700").path_contains("/token"))).unwrap();
    all_are_served(&gateway, 1_000).await;
    assert_eq!(azure.stats().tokens_asked - before, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn traps_22_at_a_cold_start_everybody_waits_for_the_same_token() {
    let azure = issuing(Duration::from_secs(3_600)).await;
    azure.script(&Script::default().then(Rule::new("delay=1500").path_contains("/token"))).unwrap();
    let gateway = Gateway::start_unready(&principal(&azure), &[]).await;
    all_are_served(&gateway, 200).await;
    assert_eq!(azure.stats().tokens_asked, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn traps_22_a_thousand_requests_at_the_natural_end_of_a_token_make_one_token_request() {
    let azure = issuing(Duration::from_secs(4)).await;
    let mut config = principal(&azure);
    // The last moment that can be configured, and an issuer that takes until after the end.
    config["providers"]["azure"]["keys"][0]["azure_key_config"]["token_refresh_after"] = json!(0.9);
    let gateway = Gateway::start(&config).await;
    assert_eq!(gateway.chat(&chat_body("hello")).await.status, 200);
    azure.identity().live_for(Duration::from_secs(3_600));
    azure.script(&Script::default().then(Rule::new("delay=3000").path_contains("/token"))).unwrap();
    let left = async || gateway.metric("azgate_token_expiry_seconds", &["key=\"east\""]).await;
    while left().await > 0.0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    all_are_served(&gateway, 1_000).await;
    let stats = azure.stats();
    assert_eq!((stats.tokens_asked, stats.tokens_issued, stats.tokens_turned_away), (2, 2, 0));
    assert!(left().await > 3_000.0);
}

/// `cargo bench --bench rotations` has the long form.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_rotate_under_load_and_no_caller_meets_a_401() {
    let (rotations, seconds) = (8, 2);
    let azure = issuing(Duration::from_secs(seconds)).await;
    let gateway = Gateway::start(&principal(&azure)).await;
    let callers = Callers::start(&gateway, 25, Duration::from_millis(50));
    let limit = Duration::from_secs(rotations * seconds + 30);
    until("enough rotations", limit, || azure.stats().tokens_issued > rotations).await;
    let (good, bad) = callers.stop().await;
    assert_eq!(bad, 0, "of {good}");
    assert_eq!(azure.stats().tokens_asked, azure.stats().tokens_issued);
    assert!(good > rotations * 20, "{good}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn traps_24_an_issuer_that_fails_for_most_of_a_tokens_life_is_not_noticed() {
    let azure = issuing(Duration::from_secs(6)).await;
    let mut config = principal(&azure);
    config["providers"]["azure"]["keys"][0]["azure_key_config"]["token_refresh_after"] = json!(0.1);
    let gateway = Gateway::start(&config).await;
    let begun = Instant::now();
    // Down, silent and wrong in turn, from the first second to the last of the token's life.
    let script = Script::default()
        .then(Rule::new("status=503").path_contains("/token").times(2))
        .then(Rule::new("html").path_contains("/token").times(2))
        .then(Rule::new("reset-before-head").path_contains("/token").times(2))
        .then(Rule::new("truncate-after-bytes=9").path_contains("/token").times(2))
        .then(Rule::new("stall-before-head").path_contains("/token"));
    azure.script(&script).unwrap();
    let callers = Callers::start(&gateway, 10, Duration::from_millis(50));
    tokio::time::sleep(Duration::from_millis(5_000).saturating_sub(begun.elapsed())).await;
    assert_eq!(gateway.log().matches("has a token").count(), 1, "the issuer is down all the time");
    assert!(azure.stats().tokens_asked > 4, "it was asked again and again");
    let (good, bad) = callers.stop().await;
    assert_eq!(bad, 0, "of {good}");
    assert!(gateway.log().contains("the old token serves for"), "{}", gateway.log());
}

#[tokio::test]
async fn traps_25_a_refused_token_is_replaced_once_and_the_caller_sees_nothing() {
    let azure = issuing(Duration::from_secs(3_600)).await;
    let gateway = Gateway::start(&principal(&azure)).await;
    azure.identity().revoke();
    azure.clear();
    let answer = gateway.chat(&chat_body("hello")).await;
    assert_eq!((answer.status, answer.header("x-azgate-attempts")), (200, "2"));
    let statuses: Vec<u16> = data_plane(&azure).iter().map(|request| request.status).collect();
    assert_eq!(statuses, [401, 200]);
    // A refusal that a new token does not heal, such as a missing role, asks for no more tokens.
    let asked = azure.stats().tokens_asked;
    azure.script(&Script::default().then(Rule::new("status=401").path_contains("/chat/"))).unwrap();
    for _ in 0..20 {
        let answer = gateway.chat(&chat_body("hello")).await;
        assert_eq!((answer.status, answer.code().as_str()), (502, "credential_unavailable"));
    }
    assert_eq!(azure.stats().tokens_asked, asked);
}

#[tokio::test]
async fn failures_of_the_issuer_are_backed_off_and_end_by_themselves() {
    let azure = issuing(Duration::from_secs(3_600)).await;
    azure.script(&Script::default().then(Rule::new("status=500").path_contains("/token"))).unwrap();
    let gateway = Gateway::start_unready(&principal(&azure), &[]).await;
    wait_until("the first failure", || gateway.log().contains("got no token")).await;
    for _ in 0..200 {
        assert_eq!(gateway.chat(&chat_body("hello")).await.status, 502);
    }
    assert!(azure.stats().tokens_asked < 12, "{}", azure.stats().tokens_asked);
    azure.script(&Script::default()).unwrap();
    wait_until("the token", || azure.stats().tokens_issued == 1).await;
    assert_eq!(gateway.chat(&chat_body("hello")).await.status, 200);
    let left = gateway.metric("azgate_token_expiry_seconds", &["key=\"east\""]).await;
    assert!((3_500.0..=3_600.0).contains(&left), "{left}");
}
