//! The fault matrix: `faults.txt` says what a caller gets for each fault, operation and way of asking, and this reads it.

use azgate::simulator::{Rule, Running, Script, Settings};
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
    streams: bool,
    body: fn() -> Value,
}

const OPERATIONS: [Operation; 3] = [
    Operation {
        path: "/v1/chat/completions",
        streams: true,
        body: || json!({"messages": [{"role": "user", "content": "one two three four five six seven eight"}]}),
    },
    Operation {
        path: "/v1/completions",
        streams: true,
        body: || json!({"prompt": "one two three four five six seven eight", "max_tokens": 16}),
    },
    Operation { path: "/v1/embeddings", streams: false, body: || json!({"input": "one two three"}) },
];

/// The deployment behind each operation, in the order of [`OPERATIONS`].
const DEPLOYMENTS: [&str; 3] = ["chat-east", "instruct-east", "embed-east"];

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
            DEPLOYMENTS.iter().enumerate().map(move |(index, target)| (format!("{model}-{index}"), json!(target)))
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
        let azure = azure_with(Settings { keys: accepted, ..Settings::default() }).await;
        let bad = match instead(fault).await {
            Some(other) => other,
            None => {
                azure.script(&Script::default().then(Rule::new(fault).key("bad"))).unwrap();
                azure.base_url()
            }
        };
        let gateway = Gateway::start(&config_for(&bad, &azure.base_url())).await;
        Self { azure, gateway }
    }

    async fn ask(&self, operation: usize, model: &str, stream: bool) -> Answer {
        let mut body = (OPERATIONS[operation].body)();
        body["model"] = json!(format!("{model}-{operation}"));
        if OPERATIONS[operation].streams {
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
            format!("{} {}", answer.status, if own { answer.code() } else { "-".to_owned() })
        } else if stream {
            streamed(&answer)
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

fn streamed(answer: &Answer) -> String {
    let text = answer.text();
    let lines = text.split(['\r', '\n']).filter_map(|line| line.strip_prefix("data:")).map(str::trim);
    let data: Vec<&str> = lines.collect();
    let ended = data.last() == Some(&"[DONE]");
    let errors = data.iter().filter(|data| data.contains("\"error\":")).count();
    match (ended, errors) {
        (true, 0) => whole(answer),
        (false, 1) if answer.complete && data.len() > 1 => {
            let last: Value = serde_json::from_str(data.last().unwrap()).unwrap();
            let code = last["error"]["code"].as_str().unwrap_or("none");
            format!("cut {}", if code.starts_with("upstream_") { code } else { "-" })
        }
        _ => format!("dishonest: {text:?}"),
    }
}

async fn matrix(part: usize, parts: usize) {
    let mut wrong = Vec::new();
    for row in rows().iter().skip(part).step_by(parts) {
        let bench = Bench::new(row.fault).await;
        for ((model, stream), expected) in WAYS.into_iter().zip(&row.cells) {
            let asked = OPERATIONS.iter().enumerate().filter(|(_, operation)| operation.streams || !stream);
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
