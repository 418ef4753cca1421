//! The fault matrix: `faults.txt` says what a caller gets for each fault, operation and way of asking, and this reads it.

use azgate::simulator::{Deployment, Kind, Rule, Running, Script, Settings};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use crate::support::*;

const TABLE: &str = include_str!("faults.txt");

/// The four ways of asking, in the order of the table's columns: the model, and whether it is streamed.
const WAYS: [(&str, bool); 4] = [("one", false), ("one", true), ("two", false), ("two", true)];

/// Enough good requests that the retry budget is full again.
const REFILL: usize = 16;

struct Row {
    fault: &'static str,
    cells: Vec<&'static str>,
}

struct Operation {
    path: &'static str,
    /// The deployment that answers it, and nothing else here.
    deployment: &'static str,
    streams: Option<Streams>,
    body: fn() -> Value,
}

/// How the operation's streams look.
struct Streams {
    /// An event in the middle of the content.
    later: usize,
    /// Whether the stream ends as if all were well.
    ended: fn(&str) -> bool,
    errors: fn(&str) -> usize,
}

const TEXT: &str = "one two three four five six seven eight";

const OPERATIONS: [Operation; 5] = [
    Operation {
        path: "/v1/chat/completions",
        deployment: "chat-east",
        streams: Some(CHAT),
        body: || json!({"messages": [{"role": "user", "content": TEXT}]}),
    },
    Operation {
        path: "/v1/completions",
        deployment: "instruct-east",
        streams: Some(CHAT),
        body: || json!({"prompt": TEXT, "max_tokens": 16}),
    },
    Operation {
        path: "/v1/embeddings",
        deployment: "embed-east",
        streams: None,
        body: || json!({"input": "one two three"}),
    },
    Operation {
        path: "/v1/responses",
        deployment: "gpt-4.1.dots",
        streams: Some(Streams {
            later: 7,
            ended: |text| events(text).last() == Some("response.completed"),
            errors: |text| events(text).filter(|name| matches!(*name, "error" | "response.failed")).count().min(1),
        }),
        body: || json!({"input": TEXT}),
    },
    Operation {
        path: "/anthropic/v1/messages",
        deployment: "claude-east",
        streams: Some(Streams {
            later: 6,
            ended: |text| events(text).last() == Some("message_stop"),
            errors: |text| events(text).filter(|name| *name == "error").count(),
        }),
        body: || json!({"messages": [{"role": "user", "content": TEXT}], "max_tokens": 64}),
    },
];

const CHAT: Streams = Streams {
    later: 4,
    ended: |text| data(text).last() == Some("[DONE]"),
    errors: |text| data(text).filter(|data| data.contains("\"error\":")).count(),
};

fn data(text: &str) -> impl Iterator<Item = &str> {
    text.split(['\r', '\n']).filter_map(|line| line.strip_prefix("data:")).map(str::trim)
}

fn events(text: &str) -> impl Iterator<Item = &str> {
    text.split(['\r', '\n']).filter_map(|line| line.strip_prefix("event:")).map(str::trim)
}

/// The gateway's own code in an error's words; Anthropic's errors have only a message.
fn own_code(words: &str) -> &'static str {
    const TOLD: [(&str, &str); 5] = [
        ("upstream_unreachable", "cannot be reached"),
        ("credential_unavailable", "credential for this model was refused"),
        ("upstream_timeout", "did not answer in time"),
        ("upstream_broken", "broke off"),
        ("upstream_broken", "before it was complete"),
    ];
    let told = TOLD.iter().find(|(code, message)| words.contains(code) || words.contains(message));
    told.map_or("-", |(code, _)| code)
}

fn rows() -> Vec<Row> {
    let lines = TABLE.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let row = |line: &'static str| {
        let mut columns = line.split('|').map(str::trim);
        let fault = columns.next().unwrap();
        let cells: Vec<_> = columns.collect();
        assert_eq!(cells.len(), WAYS.len(), "{line}");
        Row { fault, cells }
    };
    lines.map(row).collect()
}

/// What stands at the bad key's address, when it is not the simulated Azure.
async fn instead(fault: &str) -> Option<String> {
    if fault == "nobody" {
        return Some(format!("http://{}", free_address()));
    }
    let answer: &'static [u8] = match fault.strip_prefix("raw=")? {
        "garbage" => b"\x16\x03\x01 this is not HTTP\r\n\r\n",
        "half-head" => b"HTTP/1.1 200 OK\r\ncontent-ty",
        "switching-protocols" => b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n",
        "bad-chunk" => b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
        "endless-head" => b"",
        other => panic!("no such fault: {other}"),
    };
    let address = upstream(move |mut stream| async move {
        let Some(head) = read_head(&mut stream).await else { return };
        read_body(&mut stream, &head).await;
        if answer.is_empty() {
            let line = format!("x-pad: {}\r\n", "x".repeat(8_000));
            stream.write_all(b"HTTP/1.1 200 OK\r\n").await.unwrap();
            // Ends when the gateway has had enough.
            while stream.write_all(line.as_bytes()).await.is_ok() {}
            return;
        }
        stream.write_all(answer).await.unwrap();
    })
    .await;
    Some(format!("http://{address}"))
}

/// Model `one` is served by the bad key alone, `two` by the bad key and, after it, a good one; `well` by the good one.
fn config_for(bad: &str, good: &str) -> Value {
    let mut config = config(good);
    let entry = |name: &str, endpoint: &str, priority: u32, models: &[&str]| {
        let mut key = key(name, endpoint);
        key["value"] = json!(name);
        key["priority"] = json!(priority);
        let pairs = models.iter().flat_map(|model| {
            let alias = |(index, operation): (usize, &Operation)| {
                let family = if operation.deployment == "claude-east" { "anthropic" } else { "openai" };
                (format!("{model}-{index}"), json!({"model_id": operation.deployment, "model_family": family}))
            };
            OPERATIONS.iter().enumerate().map(alias).collect::<Vec<_>>()
        });
        key["aliases"] = Value::Object(pairs.collect());
        key["models"] = json!([]);
        key
    };
    config["providers"]["azure"] = json!({
        "keys": [entry("bad", bad, 0, &["one", "two"]), entry("good", good, 1, &["two", "well"])],
        "network_config": {
            "max_retries": 1, "retry_backoff_initial": 1, "retry_backoff_max": 1, "connect_timeout_in_seconds": 5,
            "first_byte_timeout_in_seconds": 1, "stream_idle_timeout_in_seconds": 1,
        },
        "circuit_breaker": {"consecutive_failures": 0, "min_requests": 1_000_000},
    });
    config
}

struct Bench {
    azure: Running,
    gateway: Gateway,
}

impl Bench {
    async fn new(fault: &str) -> Self {
        let accepted = ["bad", "good"].map(str::to_owned).to_vec();
        let claude = Deployment::new("claude-east", "claude-sonnet-4-6", Kind::Messages);
        let azure = azure_with(Settings { keys: accepted, deployments: vec![claude], ..Settings::default() }).await;
        let bad = match instead(fault).await {
            Some(other) => other,
            None => {
                let rule = |operation: &Operation| {
                    let later = operation.streams.as_ref().map_or(0, |streams| streams.later).to_string();
                    let fault = fault.replace("FIRST", "1").replace("LATER", &later);
                    Rule::new(fault).key("bad").deployment(operation.deployment)
                };
                azure.script(&OPERATIONS.iter().map(rule).fold(Script::default(), Script::then)).unwrap();
                azure.base_url()
            }
        };
        let gateway = Gateway::start(&config_for(&bad, &azure.base_url())).await;
        Self { azure, gateway }
    }

    async fn ask(&self, operation: usize, model: &str, stream: bool) -> Answer {
        let mut body = (OPERATIONS[operation].body)();
        body["model"] = json!(format!("{model}-{operation}"));
        if OPERATIONS[operation].streams.is_some() {
            body["stream"] = json!(stream);
        }
        self.gateway.post(OPERATIONS[operation].path, &[], body.to_string()).await
    }

    /// What came of one cell, in the words of the table.
    async fn cell(&self, operation: usize, model: &str, stream: bool) -> String {
        for _ in 0..REFILL {
            assert_eq!(self.ask(0, "well", false).await.status, 200);
        }
        self.azure.clear();
        let answer = self.ask(operation, model, stream).await;
        let sent = self.azure.recorded().len();
        let outcome = if answer.status != 200 {
            let own = answer.headers.get("x-azgate-key").is_none();
            format!("{} {}", answer.status, if own { own_code(&answer.text()) } else { "-" })
        } else if let (true, Some(streams)) = (stream, &OPERATIONS[operation].streams) {
            streamed(&answer, streams)
        } else if serde_json::from_slice::<Value>(&answer.body).is_err() {
            "asis".to_owned()
        } else {
            whole(&answer)
        };
        format!("{outcome} x{sent}")
    }
}

fn whole(answer: &Answer) -> String {
    assert!(answer.complete);
    match (answer.header("x-azgate-key"), answer.header("x-azgate-attempts")) {
        ("bad", "1") => "ok".to_owned(),
        ("good", _) => "moved".to_owned(),
        other => format!("{other:?}"),
    }
}

fn streamed(answer: &Answer, streams: &Streams) -> String {
    let text = answer.text();
    match ((streams.ended)(&text), (streams.errors)(&text)) {
        (true, 0) => whole(answer),
        (false, 1) if answer.complete && data(&text).count() > 1 => {
            format!("cut {}", own_code(data(&text).last().unwrap_or_default()))
        }
        _ => format!("dishonest: {text:?}"),
    }
}

async fn matrix(part: usize, parts: usize) {
    let mut wrong = Vec::new();
    for row in rows().iter().skip(part).step_by(parts) {
        let bench = Bench::new(row.fault).await;
        for ((model, stream), expected) in WAYS.into_iter().zip(&row.cells) {
            let asked = OPERATIONS.iter().enumerate().filter(|(_, operation)| operation.streams.is_some() || !stream);
            for (operation, Operation { path, .. }) in asked {
                if *expected == "-" {
                    continue;
                }
                let found = bench.cell(operation, model, stream).await;
                if found != *expected {
                    let way = if stream { "stream" } else { "plain" };
                    wrong.push(format!("{}: {path} {model} {way}: expected {expected}, found {found}", row.fault));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

// In parts, which run side by side.

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_comes_out_as_the_table_says_part_1() {
    matrix(0, 4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_comes_out_as_the_table_says_part_2() {
    matrix(1, 4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_comes_out_as_the_table_says_part_3() {
    matrix(2, 4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_comes_out_as_the_table_says_part_4() {
    matrix(3, 4).await;
}
