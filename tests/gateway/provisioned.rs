//! Provisioned throughput in front of pay-as-you-go: no caller sees a 429 while there is capacity anywhere, the provisioned
//! deployment is used up first, and served again as soon as it has room.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::support::*;

/// Capacity comes back at one request in this time.
const REFILL: Duration = Duration::from_millis(20);
const BURST: f64 = 5.0;

/// A provisioned deployment as Azure runs them: a leaky bucket, and `retry-after-ms` down to the next drop.
struct Bucket {
    level: f64,
    at: Instant,
    served: usize,
    refused: usize,
    /// Requests that went elsewhere while there was room here.
    missed: usize,
}

impl Bucket {
    fn new() -> Self {
        Self { level: BURST, at: Instant::now(), served: 0, refused: 0, missed: 0 }
    }

    fn refill(&mut self) {
        let gained = self.at.elapsed().as_secs_f64() / REFILL.as_secs_f64();
        (self.level, self.at) = ((self.level + gained).min(BURST), Instant::now());
    }

    /// `None` when a request is served, else the wait in milliseconds.
    fn take(&mut self) -> Option<u64> {
        self.refill();
        if self.level >= 1.0 {
            self.level -= 1.0;
            self.served += 1;
            return None;
        }
        self.refused += 1;
        Some(((1.0 - self.level) * REFILL.as_secs_f64() * 1e3).ceil() as u64)
    }

    /// A request has gone elsewhere. With more than a request's worth of room it should have come here.
    fn went_elsewhere(&mut self) {
        self.refill();
        self.missed += usize::from(self.level >= 2.0);
    }
}

const ANSWER: &str = r#"{"object":"chat.completion","model":"m","choices":[]}"#;

async fn answer(mut stream: TcpStream, mut judge: impl FnMut() -> Option<u64>) {
    while let Some(head) = read_head(&mut stream).await {
        read_body(&mut stream, &head).await;
        let answer = match judge() {
            None => plain_answer(ANSWER),
            Some(wait) => format!(
                "HTTP/1.1 429 Too Many Requests\r\nretry-after-ms: {wait}\r\nretry-after: 1\r\ncontent-length: 2\r\n\r\n{{}}"
            ),
        };
        stream.write_all(answer.as_bytes()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn traps_19_no_caller_is_throttled_while_there_is_capacity_and_the_provisioned_comes_first() {
    let bucket = Arc::new(Mutex::new(Bucket::new()));
    let (inner, outer) = (Arc::clone(&bucket), Arc::clone(&bucket));
    let provisioned = upstream(move |stream| {
        let bucket = Arc::clone(&inner);
        answer(stream, move || bucket.lock().unwrap().take())
    })
    .await;
    let standard = upstream(move |stream| {
        let bucket = Arc::clone(&outer);
        answer(stream, move || {
            bucket.lock().unwrap().went_elsewhere();
            None
        })
    })
    .await;
    let mut config = config(&format!("http://{provisioned}"));
    let mut spill = key("standard", &format!("http://{standard}"));
    spill["priority"] = json!(1);
    config["providers"]["azure"]["keys"].as_array_mut().unwrap().push(spill);
    let gateway = Gateway::start(&config).await;
    let begun = Instant::now();
    let (mut asked, mut spilled) = (0, 0);
    // About twice what the provisioned deployment takes.
    while begun.elapsed() < Duration::from_secs(3) {
        let body = chat_body("Hi");
        let round = (0..4).map(|_| gateway.chat(&body));
        for answer in futures_util::future::join_all(round).await {
            assert_eq!(answer.status, 200, "{}", answer.text());
            asked += 1;
            spilled += usize::from(answer.header("x-azgate-key") == "standard");
        }
        tokio::time::sleep(REFILL * 2).await;
    }
    {
        let bucket = bucket.lock().unwrap();
        assert_eq!(bucket.served + spilled, asked);
        assert!(spilled > 0 && bucket.served > 0, "{} served, {spilled} spilled", bucket.served);
        assert!(bucket.missed * 20 <= asked, "{} of {asked} went elsewhere while there was room", bucket.missed);
        assert!(bucket.refused <= asked, "a closed gate is not knocked at: {} refused", bucket.refused);
    }
    tokio::time::sleep(REFILL * 3).await;
    assert_eq!(gateway.chat(&chat_body("Hi")).await.header("x-azgate-key"), "east", "back as soon as there is room");
}
