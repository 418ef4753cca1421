//! Wall clocks that jump by hours while a process runs, in both directions: set by `faketime`, which stands between the
//! process and the kernel. The clock that counts from the start of the machine goes on as it does in truth.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::redis::Redis;
use crate::shared_state::{alone, connected, sharing};
use crate::support::*;

/// A wall clock that can be set.
struct Wall {
    directory: tempfile::TempDir,
    library: PathBuf,
}

impl Wall {
    fn new() -> Self {
        let wall = Self { directory: tempfile::tempdir().unwrap(), library: library() };
        wall.jump("+0");
        wall
    }

    /// What a process needs in its environment to go by it.
    fn variables(&self) -> Vec<(&'static str, String)> {
        vec![
            ("LD_PRELOAD", self.library.display().to_string()),
            ("FAKETIME_TIMESTAMP_FILE", self.file().display().to_string()),
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ]
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("clock")
    }

    /// Sets it so far from the true time.
    fn jump(&self, offset: &str) {
        let fresh = self.directory.path().join("fresh");
        std::fs::write(&fresh, offset).unwrap();
        std::fs::rename(fresh, self.file()).unwrap();
    }
}

/// Where Debian keeps the library of its package `faketime`.
fn library() -> PathBuf {
    let folders = std::fs::read_dir("/usr/lib").unwrap().flatten().map(|entry| entry.path());
    let at = |folder: PathBuf| folder.join(Path::new("faketime/libfaketime.so.1"));
    folders.map(at).find(|path| path.exists()).expect("the package `faketime` is installed")
}

fn of<'a>(variables: &'a [(&'static str, String)]) -> Vec<(&'static str, &'a str)> {
    variables.iter().map(|(name, value)| (*name, value.as_str())).collect()
}

/// Asks as a caller of that name; the status and the seconds after which to come back.
async fn ask(gateway: &Gateway, key: &str, body: &str) -> (u16, u64) {
    let authorization = format!("Bearer {key}");
    let headers = [("authorization", authorization.as_str())];
    let answer = send(gateway.address, http::Method::POST, "/v1/chat/completions", &headers, body.to_owned()).await;
    (answer.status, answer.header("retry-after").parse().unwrap_or(0))
}

#[tokio::test]
async fn windows_and_budgets_survive_a_wall_clock_that_jumps_by_hours() {
    let (azure, wall) = (azure().await, Wall::new());
    let mut config = config(&azure.base_url());
    config["pricing"] = json!({"gpt-4o": {"input_per_million": 0, "output_per_million": 1000}});
    config["governance"]["virtual_keys"] = json!([
        {"name": "rated", "value": "rated", "rate_limit": {"requests_per_minute": 2, "concurrent_requests": 1}},
        {"name": "budgeted", "value": "budgeted", "budget": {"daily_limit_usd": 0.02}},
        {"name": "free", "value": "free"},
    ]);
    let gateway = Gateway::start_with(&config, &of(&wall.variables())).await;
    let body =
        json!({"model": "gpt-4o", "max_tokens": 20, "messages": [{"role": "user", "content": "word ".repeat(40)}]})
            .to_string();
    for key in ["rated", "rated", "budgeted"] {
        assert_eq!(ask(&gateway, key, &body).await.0, 200);
    }
    // A stream goes on through all jumps.
    let headers = [("authorization", "Bearer free"), ("x-sim-event-interval-ms", "50")];
    let stream = stream_body(&"word ".repeat(40)).to_string();
    let streaming = open(gateway.address, "/v1/chat/completions", &headers, stream).await;
    // Never back by more than to the day before, at any hour of the day: then the clock that was ahead would be the wrong one.
    for offset in ["+5h", "-5h", "-24h", "+0"] {
        wall.jump(offset);
        let (status, wait) = ask(&gateway, "rated", &body).await;
        assert!(status == 429 && (1..=61).contains(&wait), "{offset}: {status}, {wait} s");
        assert_eq!(ask(&gateway, "free", &body).await.0, 200, "{offset}");
        if !offset.starts_with("+5") {
            let (status, wait) = ask(&gateway, "budgeted", &body).await;
            assert!(status == 429 && wait <= 3 * 86_400, "{offset}: {status}, {wait} s");
        }
    }
    // A day later there is a new budget, once; and the day before does not bring the old one back.
    wall.jump("+1d");
    assert_eq!(ask(&gateway, "budgeted", &body).await.0, 200);
    for offset in ["+0", "+1d"] {
        wall.jump(offset);
        assert_eq!(ask(&gateway, "budgeted", &body).await.0, 429, "{offset}");
    }
    let streamed = collect(streaming).await;
    assert!(streamed.complete && streamed.text().ends_with("data: [DONE]\n\n"));
}

const CALLER: &str = "azgate:{limits}:virtual_key:tester";

/// Redis does not run under `faketime`. What its clock has left when it was ahead by five hours, and is right again, is put
/// there instead.
#[tokio::test]
async fn a_store_whose_clock_was_ahead_by_hours_blocks_nobody_for_hours() {
    let azure = azure().await;
    for _ in 0..20 {
        let redis = Redis::start().await;
        let limits: Value = json!({"rate_limit": {"requests_per_minute": 3, "concurrent_requests": 2}});
        let config = sharing(&azure.base_url(), redis.address, limits);
        let (one, other) = (connected(&config).await, connected(&config).await);
        let ahead = jiff::Timestamp::now().as_millisecond() + 5 * 3_600_000;
        redis.command(&format!("HSET {CALLER}:requests:minute {} 3", ahead / 1_000)).await;
        for entry in ["gone-1|0", "gone-2|0"] {
            redis.command(&format!("ZADD {CALLER}:held {} {entry}", ahead + 45_000)).await;
        }
        let refused = one.chat(&chat_body("Hi")).await;
        let lease = redis.command(&format!("ZRANGE {CALLER}:held 0 0 WITHSCORES")).await;
        if alone(&[&one, &other]) {
            continue;
        }
        let wait: u64 = refused.header("retry-after").parse().unwrap();
        assert!(refused.status == 429 && (1..=61).contains(&wait), "{}, {wait} s", refused.status);
        let until: i64 = lease.lines().nth(4).unwrap().parse().unwrap();
        assert!(until <= jiff::Timestamp::now().as_millisecond() + 45_000, "no lease is longer");
        // Both are over in time.
        redis.command(&format!("DEL {CALLER}:requests:minute")).await;
        redis.command(&format!("ZADD {CALLER}:held 1 gone-1|0 1 gone-2|0")).await;
        assert_eq!(other.chat(&chat_body("Hi")).await.status, 200);
        return;
    }
    panic!("the store never answered within 20 ms");
}
