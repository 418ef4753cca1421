//! What chat answers say, whole and in pieces.

use std::time::{Duration, Instant};

use azgate::simulator::Deployment;
use serde_json::{Value, json};

use crate::client::*;

fn weather_tools() -> Value {
    let schema = json!({
        "type": "object",
        "properties": {"location": {"type": "string"}, "unit": {"type": "string", "enum": ["c", "f"]}},
        "required": ["location", "unit"],
    });
    let tool = |name: &str| json!({"type": "function", "function": {"name": name, "parameters": schema}});
    json!([tool("get_weather"), tool("get_time")])
}

fn content(chunks: &[Value], index: usize) -> String {
    let of_choice = chunks.iter().filter_map(|chunk| chunk["choices"].as_array()?.first());
    let of_choice = of_choice.filter(|choice| choice["index"] == index);
    of_choice.filter_map(|choice| choice["delta"]["content"].as_str()).collect()
}

#[tokio::test]
async fn a_stream_says_what_the_document_says() {
    let simulator = simulator().await;
    for text in ["hi", "Grüße 😄 aus Köln", "a\nb\t\"quoted\""] {
        let whole = ok(&say(&simulator, "gpt-4o", text, json!({})).await);
        let reply = say(&simulator, "gpt-4o", text, json!({"stream": true})).await;
        assert_eq!(reply.header("content-type"), Some("text/event-stream; charset=utf-8"));
        let chunks = reply.chunks();
        assert_eq!(json!(content(&chunks, 0)), whole["choices"][0]["message"]["content"]);
        assert_eq!(reply.events().last().map(String::as_str), Some("[DONE]"));
    }
}

#[tokio::test]
async fn chunks_come_in_azures_order() {
    let simulator = simulator().await;
    let chunks = say(&simulator, "gpt-4o", "hi", json!({"stream": true})).await.chunks();
    assert_eq!((&chunks[0]["choices"], &chunks[0]["id"], &chunks[0]["created"]), (&json!([]), &json!(""), &json!(0)));
    assert_eq!(chunks[1]["choices"][0]["delta"], json!({"content": "", "refusal": null, "role": "assistant"}));
    let finish: Vec<&Value> = chunks[1..].iter().map(|chunk| &chunk["choices"][0]["finish_reason"]).collect();
    assert!(finish[..finish.len() - 1].iter().all(|reason| reason.is_null()));
    assert_eq!(finish[finish.len() - 1], "stop");
    assert!(chunks.iter().all(|chunk| chunk.get("usage").is_none()), "nobody asked for usage");
    let more = json!({"stream": true, "stream_options": {"include_usage": true, "include_obfuscation": false}});
    let chunks = say(&simulator, "gpt-4o", "hi", more).await.chunks();
    let (last, others) = chunks.split_last().expect("chunks");
    assert_eq!((&last["choices"], &last["usage"]["completion_tokens"]), (&json!([]), &json!(4)));
    assert!(others[1..].iter().all(|chunk| chunk["usage"].is_null() && chunk.get("usage").is_some()));
    assert!(chunks.iter().all(|chunk| chunk.get("obfuscation").is_none()));
}

#[tokio::test]
async fn several_choices_come_interleaved() {
    let simulator = simulator().await;
    let chunks = say(&simulator, "gpt-4o", "hi", json!({"stream": true, "n": 3})).await.chunks();
    let indexes: Vec<u64> = chunks.iter().filter_map(|chunk| chunk["choices"][0]["index"].as_u64()).take(6).collect();
    assert_eq!(indexes, [0, 1, 2, 0, 1, 2]);
    assert_eq!(content(&chunks, 2), "You said (answer 3): hi");
    let whole = ok(&say(&simulator, "gpt-4o", "hi", json!({"n": 3})).await);
    assert_eq!(whole["choices"][2]["message"]["content"], "You said (answer 3): hi");
    assert_eq!(whole["choices"].as_array().map(Vec::len), Some(3));
}

#[tokio::test]
async fn limits_and_stops_end_an_answer() {
    let simulator = simulator().await;
    let choice = |reply: Reply| ok(&reply)["choices"][0].clone();
    let cut = choice(say(&simulator, "gpt-4o", "one two three", json!({"max_tokens": 2})).await);
    assert_eq!((&cut["finish_reason"], &cut["message"]["content"]), (&json!("length"), &json!("You said")));
    let stopped = choice(say(&simulator, "gpt-4o", "one two three", json!({"stop": [" two", "x"]})).await);
    assert_eq!((&stopped["finish_reason"], &stopped["message"]["content"]), (&json!("stop"), &json!("You said: one")));
    let reply = say(&simulator, "gpt-5", "hi", json!({"max_completion_tokens": 50})).await;
    assert_eq!(ok(&reply)["usage"]["completion_tokens_details"]["reasoning_tokens"], 50);
    assert_eq!(choice(reply)["finish_reason"], "length");
    let usage = ok(&say(&simulator, "gpt-5", "hi", json!({"reasoning_effort": "low"})).await)["usage"].clone();
    assert_eq!(
        (&usage["completion_tokens_details"]["reasoning_tokens"], &usage["completion_tokens"]),
        (&json!(64), &json!(68))
    );
    let cached = ok(&say(&simulator, "gpt-4o", &"word ".repeat(3000), json!({})).await)["usage"].clone();
    assert!(cached["prompt_tokens_details"]["cached_tokens"].as_u64() >= Some(1024), "{cached}");
}

#[tokio::test]
async fn tools_are_called_when_they_should_be() {
    let simulator = simulator().await;
    let named = json!({"type": "function", "function": {"name": "get_time"}});
    for (text, choice, expected, finish) in [
        ("how is the weather?", json!("auto"), vec!["get_weather"], "tool_calls"),
        ("use get_time and get_weather", json!("auto"), vec!["get_weather", "get_time"], "tool_calls"),
        ("hello", json!("auto"), vec![], "stop"),
        ("how is the weather?", json!("none"), vec![], "stop"),
        ("hello", json!("required"), vec!["get_weather"], "tool_calls"),
        ("hello", named, vec!["get_time"], "stop"),
    ] {
        let reply = say(&simulator, "gpt-4o", text, json!({"tools": weather_tools(), "tool_choice": choice})).await;
        let choice = ok(&reply)["choices"][0].clone();
        let calls = choice["message"]["tool_calls"].as_array().cloned().unwrap_or_default();
        let names: Vec<&str> = calls.iter().filter_map(|call| call["function"]["name"].as_str()).collect();
        assert_eq!((names, &choice["finish_reason"]), (expected, &json!(finish)), "{text}");
        for call in &calls {
            let arguments: Value =
                serde_json::from_str(call["function"]["arguments"].as_str().expect("text")).expect("JSON");
            assert_eq!(arguments, json!({"location": "sample location", "unit": "c"}));
        }
    }
}

#[tokio::test]
async fn parallel_calls_stream_by_index() {
    let simulator = simulator().await;
    let more = json!({"stream": true, "tools": weather_tools()});
    let chunks = say(&simulator, "gpt-4o", "get_weather [[calls=2]]", more.clone()).await.chunks();
    let deltas: Vec<&Value> = chunks
        .iter()
        .map(|chunk| &chunk["choices"][0]["delta"]["tool_calls"][0])
        .filter(|call| !call.is_null())
        .collect();
    for index in [0, 1] {
        let of_call: Vec<&&Value> = deltas.iter().filter(|call| call["index"] == index).collect();
        let (first, others) = of_call.split_first().expect("a call");
        assert!(first["id"].as_str().is_some_and(|id| id.starts_with("call_")));
        assert_eq!((&first["type"], &first["function"]["arguments"]), (&json!("function"), &json!("")));
        assert!(others.len() > 2 && others.iter().all(|call| call.get("id").is_none()));
        let arguments: String = others.iter().filter_map(|call| call["function"]["arguments"].as_str()).collect();
        serde_json::from_str::<Value>(&arguments).expect("JSON");
    }
    assert_eq!(chunks.last().expect("chunks")["choices"][0]["finish_reason"], "tool_calls");
    let mut single = more;
    single["parallel_tool_calls"] = json!(false);
    let chunks = say(&simulator, "gpt-4o", "get_weather [[calls=2]]", single).await.chunks();
    assert!(chunks.iter().all(|chunk| chunk["choices"][0]["delta"]["tool_calls"][0]["index"] != 1));
}

#[tokio::test]
async fn structured_output_fits_its_schema() {
    let simulator = simulator().await;
    let schema = json!({
        "type": "object",
        "properties": {
            "step": {"$ref": "#/$defs/step"},
            "steps": {"type": "array", "items": {"$ref": "#/$defs/step"}},
            "rating": {"type": "integer", "minimum": 3, "maximum": 5},
            "maybe": {"anyOf": [{"type": "null"}, {"type": "string", "enum": ["x"]}]},
        },
        "required": ["step", "steps", "rating", "maybe"],
        "additionalProperties": false,
        "$defs": {"step": {
            "type": "object", "properties": {"done": {"type": "boolean"}}, "required": ["done"], "additionalProperties": false,
        }},
    });
    let format = json!({"type": "json_schema", "json_schema": {"name": "plan", "strict": true, "schema": schema}});
    let reply = say(&simulator, "gpt-4o", "plan", json!({"response_format": format})).await;
    let text = ok(&reply)["choices"][0]["message"]["content"].as_str().expect("text").to_owned();
    let made: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(made, json!({"step": {"done": true}, "steps": [{"done": true}], "rating": 3, "maybe": "x"}));
    let more = json!({"response_format": {"type": "json_object"}, "stream": true});
    let chunks = say(&simulator, "gpt-4o", "as JSON please", more).await.chunks();
    assert_eq!(content(&chunks, 0), r#"{"answer":"You said: as JSON please"}"#);
}

#[tokio::test]
async fn refusals_and_probabilities() {
    let simulator = simulator().await;
    let message = ok(&say(&simulator, "gpt-4o", "[[refuse]]", json!({})).await)["choices"][0]["message"].clone();
    assert!(message["content"].is_null() && message["refusal"].is_string());
    let chunks = say(&simulator, "gpt-4o", "[[refuse]]", json!({"stream": true})).await.chunks();
    assert!(chunks.iter().any(|chunk| chunk["choices"][0]["delta"]["refusal"].is_string()));
    let more = json!({"logprobs": true, "top_logprobs": 3});
    let tokens = ok(&say(&simulator, "gpt-4o", "hi", more.clone()).await)["choices"][0]["logprobs"]["content"].clone();
    assert_eq!(tokens.as_array().map(Vec::len), Some(4));
    assert_eq!((&tokens[1]["token"], &tokens[1]["bytes"]), (&json!(" said"), &json!(" said".as_bytes())));
    assert_eq!(tokens[1]["top_logprobs"].as_array().map(Vec::len), Some(3));
    let mut stream = more;
    stream["stream"] = json!(true);
    let chunks = say(&simulator, "gpt-4o", "hi", stream).await.chunks();
    assert_eq!(chunks[3]["choices"][0]["logprobs"]["content"], json!([tokens[1]]));
}

#[tokio::test]
async fn content_is_repeatable_and_of_any_length() {
    let simulator = simulator().await;
    let headers = [("api-key", "sim-key"), ("x-sim-tokens", "120")];
    let body = chat_body("gpt-4o", "hi", json!({}));
    let first = ok(&send(simulator.addr(), with_headers(V1_CHAT, &body, &headers)).await);
    let second = ok(&send(simulator.addr(), with_headers(V1_CHAT, &body, &headers)).await);
    assert_eq!(first["choices"], second["choices"]);
    assert_ne!(first["id"], second["id"]);
    assert_eq!(first["usage"]["completion_tokens"], 120);
}

#[tokio::test]
async fn events_keep_the_interval_that_is_asked_for() {
    let slow = Deployment { event_interval_ms: 20, ..chat_deployment() };
    let simulator = simulator_with(slow).await;
    let body = chat_body("gpt-4o", "hi", json!({"stream": true}));
    let start = Instant::now();
    assert_eq!(chat(&simulator, &body).await.events().len(), 8);
    assert!(start.elapsed() >= Duration::from_millis(140), "{:?}", start.elapsed());
    let headers = [("api-key", "sim-key"), ("x-sim-event-interval-ms", "0")];
    let start = Instant::now();
    send(simulator.addr(), with_headers(V1_CHAT, &body, &headers)).await;
    assert!(start.elapsed() < Duration::from_millis(100), "{:?}", start.elapsed());
    let headers = [("api-key", "sim-key"), ("x-sim-event-interval-ms", "soon")];
    assert_eq!(send(simulator.addr(), with_headers(V1_CHAT, &body, &headers)).await.status, 400);
}
