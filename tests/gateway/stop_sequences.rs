//! Stop sequences of Messages for models that know none: the gateway ends the answer there, and says which one it was.

use azgate::simulator::Running;
use http_body_util::BodyExt;
use serde_json::{Value, json};

use super::support::*;

/// `gpt` is called by Responses, `thinker-chat` by Chat Completions and takes no stop sequences.
async fn gateway() -> (Running, Gateway) {
    let azure = azure().await;
    let mut config = config(&azure.base_url());
    let aliases = &mut config["providers"]["azure"]["keys"][0]["aliases"];
    aliases["gpt"] = json!("gpt-4o");
    aliases["gpt-chat"] = json!({"model_id": "gpt-4o", "api": "chat"});
    aliases["thinker-chat"] = json!({"model_id": "gpt-5.2", "api": "chat"});
    let gateway = Gateway::start(&config).await;
    (azure, gateway)
}

fn asked(model: &str, stop: &Value, stream: bool) -> String {
    let text = "one two three four five six seven eight nine ten";
    json!({"model": model, "max_tokens": 2000, "stop_sequences": stop, "stream": stream, "messages": [{"role": "user", "content": text}]})
        .to_string()
}

/// Text, reason and sequence of an answer.
fn outcome(answer: &Answer, stream: bool) -> (String, Value, Value) {
    assert_eq!(answer.status, 200, "{}", answer.text());
    if !stream {
        let message = answer.json();
        let text = message["content"][0]["text"].as_str().unwrap_or_default().to_owned();
        return (text, message["stop_reason"].clone(), message["stop_sequence"].clone());
    }
    let events = answer.events();
    let text = events.iter().filter_map(|event| event["delta"]["text"].as_str()).collect();
    let ending = events.iter().find(|event| event["type"] == "message_delta").unwrap();
    assert_eq!(events.last().unwrap()["type"], "message_stop");
    assert!(ending["usage"]["output_tokens"].as_u64().unwrap() > 0, "{ending}");
    (text, ending["delta"]["stop_reason"].clone(), ending["delta"]["stop_sequence"].clone())
}

#[tokio::test]
async fn an_answer_ends_in_front_of_the_sequence() {
    let (azure, gateway) = gateway().await;
    for model in ["gpt", "thinker-chat"] {
        for stream in [false, true] {
            let stop = json!(["six seven", "never", "five s"]);
            let answer = gateway.post("/v1/messages", &[], asked(model, &stop, stream)).await;
            let expected = ("You said: one two three four ".to_owned(), json!("stop_sequence"), json!("five s"));
            assert_eq!(outcome(&answer, stream), expected, "{model} {stream}");
            assert!(!azure.recorded().pop().unwrap().body.unwrap().contains("never"));

            let answer = gateway.post("/v1/messages", &[], asked(model, &json!(["ten!"]), stream)).await;
            let whole = "You said: one two three four five six seven eight nine ten";
            assert_eq!(
                outcome(&answer, stream),
                (whole.to_owned(), json!("end_turn"), Value::Null),
                "{model} {stream}"
            );
        }
    }
    // Where the model takes them, it is told.
    let answer = gateway.post("/v1/messages", &[], asked("gpt-chat", &json!(["five"]), false)).await;
    assert_eq!(answer.status, 200);
    assert!(azure.recorded().pop().unwrap().body.unwrap().contains(r#""stop":["five"]"#));
}

#[tokio::test]
async fn the_upstream_is_left_as_soon_as_the_sequence_is_there() {
    let (azure, gateway) = gateway().await;
    let authorization = format!("Bearer {KEY}");
    let headers = [("authorization", authorization.as_str()), ("x-sim-event-interval-ms", "40")];
    let body = asked("gpt", &json!(["two"]), true).replace(" ten\"", &format!("{}\"", " ten".repeat(60)));
    let begun = std::time::Instant::now();
    let mut answer = open(gateway.address, "/v1/messages", &headers, body).await;
    let mut text = Vec::new();
    while let Some(frame) = answer.body_mut().frame().await {
        text.extend_from_slice(&frame.unwrap().into_data().unwrap_or_default());
    }
    assert!(begun.elapsed().as_millis() < 1_500, "the rest is not waited for");
    assert!(String::from_utf8(text).unwrap().ends_with("data: {\"type\":\"message_stop\"}\n\n"));
    wait_until("the upstream notices", || azure.recorded()[0].caller_left_after_ms.is_some()).await;
    let line = gateway.request_lines(1).await.remove(0);
    assert_eq!(
        (&line["usage_estimated"], &line["stream_failure"], &line["status"]),
        (&json!(true), &Value::Null, &json!(200))
    );
    assert!(line["usage"]["input"].as_u64().unwrap() > 0 && line["usage"]["output"].as_u64().unwrap() > 0, "{line}");
    // A connection that was left in the middle of an answer serves nobody else, and the key is not blamed.
    for _ in 0..3 {
        let answer = gateway.post("/v1/messages", &[], asked("gpt", &json!(["two"]), false)).await;
        assert_eq!(outcome(&answer, false).1, "stop_sequence");
    }
}

#[tokio::test]
async fn sequences_that_cannot_be_looked_for_are_refused_by_name() {
    let (azure, gateway) = gateway().await;
    for stop in [json!([""]), json!(["x".repeat(2000)]), json!(vec!["x"; 65]), json!("x")] {
        let refused = gateway.post("/v1/messages", &[], asked("gpt", &stop, true)).await;
        assert_eq!((refused.status, &refused.json()["error"]["type"]), (400, &json!("invalid_request_error")));
        assert!(refused.text().contains("`stop_sequences`"), "{}", refused.text());
    }
    assert!(azure.recorded().is_empty(), "nothing was asked");
}
