//! Same dialect in, same dialect out: byte for byte but for `model`.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::Value;

use crate::support::*;

const PATH: &str = "/v1/chat/completions";

/// Any JSON value as text, in spellings that a parser would not give back: big and odd numbers, escapes, duplicate
/// keys, blanks everywhere.
fn value() -> impl Strategy<Value = String> {
    let number = prop_oneof![
        Just("1e400".to_owned()),
        Just("-0.0".to_owned()),
        Just("123456789012345678901234567890".to_owned()),
        Just("0.1000".to_owned()),
        Just("1E+2".to_owned()),
        any::<i64>().prop_map(|n| n.to_string()),
    ];
    let word = prop_oneof![Just("true".to_owned()), Just("false".to_owned()), Just("null".to_owned())];
    let leaf = prop_oneof![number, word, text()];
    leaf.prop_recursive(6, 40, 5, |inner| {
        let blank = prop_oneof![Just(""), Just(" "), Just("\t"), Just("\n "), Just("\r\n")];
        let list = (prop::collection::vec(inner.clone(), 0..5), blank.clone())
            .prop_map(|(items, blank)| format!("[{blank}{}{blank}]", items.join(&format!("{blank},{blank}"))));
        let object = (prop::collection::vec((text(), inner), 0..5), blank).prop_map(|(members, blank)| {
            let members: Vec<String> =
                members.iter().map(|(key, value)| format!("{key}{blank}:{blank}{value}")).collect();
            format!("{{{blank}{}{blank}}}", members.join(&format!("{blank},{blank}")))
        });
        prop_oneof![list, object]
    })
}

/// A JSON string in an arbitrary spelling.
fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[a-zA-Z0-9 ]{0,8}".prop_map(String::from),
        Just("\\u0041".to_owned()),
        Just("\\ud83d\\ude00".to_owned()),
        Just("\\ud800".to_owned()),
        Just("\\\"".to_owned()),
        Just("\\\\".to_owned()),
        Just("\\/".to_owned()),
        Just("model".to_owned()),
        Just("é漢🦀".to_owned()),
        Just("{\\\"model\\\":1}".to_owned()),
    ];
    prop::collection::vec(piece, 0..4).prop_map(|pieces| format!("\"{}\"", pieces.concat()))
}

#[test]
fn any_body_arrives_byte_for_byte_but_for_the_model() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (azure, gateway) = runtime.block_on(async {
        let azure = azure().await;
        let gateway = Gateway::start(&config(&azure.base_url())).await;
        (azure, gateway)
    });
    let strategy = (
        value(),
        value(),
        prop_oneof![Just("\"gpt-4o\""), Just("\"GPT-4O\""), Just("\"gpt\\u002d4o\""), Just("\"azure/gpt-4o\"")],
        any::<bool>(),
    );
    let mut runner = TestRunner::new(Config { cases: 400, ..Config::default() });
    let shown = runner.run(&strategy, |(before, after, model, first)| {
        let members = [format!("\"x\" : {before}"), format!("\"model\":\t{model}"), format!("\"messages\":{after}")];
        let body = if first {
            format!(" {{{},{},{}}}\n", members[1], members[0], members[2])
        } else {
            format!("{{{},{},{} }}", members[0], members[2], members[1])
        };
        let answer = runtime.block_on(gateway.post(PATH, &[("x-sim-fault", "echo-request")], body.clone()));
        prop_assert_eq!(answer.status, 200, "{}: {}", body, answer.text());
        let seen = azure.recorded().pop().unwrap();
        azure.clear();
        prop_assert_eq!(seen.body.unwrap(), body.replace(model, "\"chat-east\""));
        Ok(())
    });
    shown.unwrap();
}

#[tokio::test]
async fn deep_nesting_costs_nothing() {
    let azure = azure().await;
    let gateway = Gateway::start(&config(&azure.base_url())).await;
    let depth = 100_000;
    let body = format!(r#"{{"x":{}{},"model":"gpt-4o"}}"#, "[".repeat(depth), "]".repeat(depth));
    let answer = gateway.post(PATH, &[("x-sim-fault", "echo-request")], body.clone()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(azure.recorded()[0].body.as_deref(), Some(body.replace("\"gpt-4o\"", "\"chat-east\"").as_str()));
}

#[tokio::test]
async fn of_two_models_the_last_counts_and_both_are_replaced() {
    let azure = azure().await;
    let mut config = config_v1(&azure.base_url());
    config["governance"]["virtual_keys"][0]["allowed_models"] = serde_json::json!(["gpt-4o"]);
    let gateway = Gateway::start(&config).await;
    for body in [
        r#"{"model":"gpt-5","model":"gpt-4o","messages":[]}"#,
        r#"{"mod\u0065l":"gpt-5","model":"gpt-4o","messages":[]}"#,
    ] {
        let answer = gateway.post(PATH, &[("x-sim-fault", "echo-request")], body).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let seen = azure.recorded().pop().unwrap().body.unwrap();
        assert!(!seen.contains("gpt-5") && seen.matches("chat-east").count() == 2, "{seen}");
    }
    let sneaked = gateway.post(PATH, &[], r#"{"model":"gpt-4o","messages":[],"model":"gpt-5"}"#).await;
    assert_eq!((sneaked.status, sneaked.code().as_str()), (403, "model_not_allowed"));
}

#[tokio::test]
async fn the_gateways_own_fields_are_taken_out_and_nothing_else_moves() {
    let azure = azure().await;
    let gateway = Gateway::start(&config(&azure.base_url())).await;
    for (sent, arrived) in [
        (r#"{"fallbacks":["azure/x"],"model":"gpt-4o","a":1}"#, r#"{"model":"chat-east","a":1}"#),
        (r#"{"model":"gpt-4o" , "fallbacks":[] , "a":1}"#, r#"{"model":"chat-east"  , "a":1}"#),
        (r#"{"model":"gpt-4o","deployment":"gpt-4.1.dots"}"#, r#"{"model":"gpt-4.1.dots"}"#),
        (r#"{"deployment":null,"fallbacks":null,"model":"gpt-4o"}"#, r#"{"model":"chat-east"}"#),
    ] {
        let answer = gateway.post(PATH, &[("x-sim-fault", "echo-request")], sent).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let seen = azure.recorded().pop().unwrap().body.unwrap();
        let same = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        assert_eq!(same(&seen), same(arrived), "{sent}");
        assert_eq!(seen.replace(' ', ""), arrived.replace(' ', ""));
    }
}

#[tokio::test]
async fn an_answer_comes_back_byte_for_byte_but_for_the_model() {
    let azure = azure().await;
    let gateway = Gateway::start(&config(&azure.base_url())).await;
    let mut body = chat_body("Hello");
    let through = gateway.chat(&body).await;
    body["model"] = "chat-east".into();
    let direct = send(
        azure.addr(),
        http::Method::POST,
        "/openai/deployments/chat-east/chat/completions?api-version=2024-10-21",
        &[("api-key", "sim-key"), ("content-type", "application/json")],
        body.to_string(),
    )
    .await;
    let expected = direct.text().replace("\"gpt-4o-2024-11-20\"", "\"gpt-4o\"");
    let without_id = |text: &str| {
        let mut value: Value = serde_json::from_str(text).unwrap();
        for field in ["id", "created"] {
            value.as_object_mut().unwrap().remove(field);
        }
        value
    };
    assert_eq!(without_id(&through.text()), without_id(&expected));
    assert_eq!(through.body.len(), expected.len(), "not reformatted");
}

/// Recorded streams and answers of real services go through a real gateway unharmed.
#[tokio::test]
async fn recorded_answers_pass_unharmed() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/fixtures");
    let mut replayed = 0;
    for kind in ["azure", "openai"] {
        let Ok(files) = std::fs::read_dir(folder.join(kind)) else { continue };
        for path in files.map(|file| file.unwrap().path()) {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            let chat =
                name.starts_with("chat") || name.starts_with("completions") || name.starts_with("deepseek_stream");
            let stream = name.ends_with(".sse");
            if chat && (stream || name.ends_with(".body.json")) {
                replay(std::fs::read(&path).unwrap(), stream, &name).await;
                replayed += 1;
            }
        }
    }
    assert!(replayed > 20 || !folder.exists(), "{replayed} recordings");
}

async fn replay(recorded: Vec<u8>, stream: bool, name: &str) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let content = recorded.clone();
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let _ = socket.read(&mut [0; 16_384]).await;
        let media = if stream { "text/event-stream" } else { "application/json" };
        let head = format!("HTTP/1.1 200 OK\r\ncontent-type: {media}\r\ncontent-length: {}\r\n\r\n", content.len());
        let _ = socket.write_all(&[head.as_bytes(), &content].concat()).await;
        let _ = socket.read(&mut [0; 1]).await;
    });
    let gateway = Gateway::start(&config(&format!("http://{address}"))).await;
    let mut body = if stream { stream_body("Hi") } else { chat_body("Hi") };
    body["stream_options"] = serde_json::json!({"include_usage": true});
    let answer = gateway.chat(&body).await;
    assert_eq!(answer.status, 200, "{name}");
    let named = |text: &str| -> Vec<Value> {
        let parse = |data: &str| serde_json::from_str::<Value>(data).ok();
        let mut values: Vec<Value> = if stream {
            text.lines().filter_map(|line| parse(line.strip_prefix("data:")?)).collect()
        } else {
            vec![parse(text).unwrap()]
        };
        for value in &mut values {
            if value["model"].as_str().is_some_and(|model| !model.is_empty()) {
                value["model"] = "gpt-4o".into();
            }
        }
        values
    };
    let mut got = named(&answer.text());
    if got.last().is_some_and(|last| last["error"]["code"] == "upstream_broken")
        && !String::from_utf8_lossy(&recorded).contains("[DONE]")
    {
        got.pop();
    }
    assert_eq!(got, named(std::str::from_utf8(&recorded).unwrap()), "{name}");
}
