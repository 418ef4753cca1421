//! Responses on the simulated Azure: their shapes and streams, and that one resource knows only what it made itself.

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::Full;
use serde_json::{Value, json};

use super::client::{Reply, ok, post, send, simulator, with_headers};
use azgate::simulator::{DEFAULT_KEY, Deployment, Kind, Running, Settings, start};

const RESPONSES: &str = "/openai/v1/responses";

fn body(model: &str, input: Value, more: Value) -> Value {
    let mut body = json!({"model": model, "input": input});
    for (name, value) in more.as_object().into_iter().flatten() {
        body[name] = value.clone();
    }
    body
}

async fn ask(azure: &Running, model: &str, input: Value, more: Value) -> Reply {
    send(azure.addr(), post(RESPONSES, &body(model, input, more))).await
}

async fn call(azure: &Running, method: Method, path: &str) -> Reply {
    let request = Request::builder().method(method).uri(format!("{RESPONSES}/{path}")).header("api-key", DEFAULT_KEY);
    send(azure.addr(), request.body(Full::<Bytes>::default()).expect("a request")).await
}

fn events(reply: &Reply) -> Vec<Value> {
    let event = |block: &str| {
        let (name, data) = block.strip_prefix("event: ")?.split_once("\ndata: ")?;
        let data: Value = serde_json::from_str(data).ok()?;
        assert_eq!(data["type"], name);
        Some(data)
    };
    reply.text().split("\n\n").filter_map(event).collect()
}

#[tokio::test]
async fn an_answer_and_its_stream_say_the_same() {
    let azure = simulator().await;
    let include = json!({"include": ["reasoning.encrypted_content"], "store": false});
    let plain = ok(&ask(&azure, "gpt-5", json!("Hello"), include.clone()).await);
    assert_eq!(
        (&plain["output"][0]["type"], &plain["output"][1]["content"][0]["text"]),
        (&json!("reasoning"), &json!("You said: Hello"))
    );
    assert_eq!(plain["usage"]["output_tokens_details"]["reasoning_tokens"], 192);

    let mut streamed = include;
    streamed["stream"] = json!(true);
    let events = events(&ask(&azure, "gpt-5", json!("Hello"), streamed).await);
    let numbers: Vec<u64> = events.iter().filter_map(|event| event["sequence_number"].as_u64()).collect();
    assert_eq!(numbers, (0..events.len() as u64).collect::<Vec<_>>());
    assert_eq!((&events[0]["type"], &events[1]["type"]), (&json!("response.created"), &json!("response.in_progress")));
    let text: String = events
        .iter()
        .filter(|event| event["type"] == "response.output_text.delta")
        .filter_map(|event| event["delta"].as_str())
        .collect();
    assert_eq!(text, "You said: Hello");
    assert_eq!(events.last().unwrap()["response"]["output"][1]["content"][0]["text"], "You said: Hello");
}

#[tokio::test]
async fn what_is_kept_can_be_gone_on_with_and_deleted() {
    let azure = simulator().await;
    let first = ok(&ask(&azure, "gpt-4o", json!("One"), json!({})).await);
    let id = first["id"].as_str().unwrap();
    let second = ok(&ask(&azure, "gpt-4o", json!("Two"), json!({"previous_response_id": id})).await);
    assert_eq!(second["output"][0]["content"][0]["text"], "Going on, you said: Two");
    assert_eq!(ok(&call(&azure, Method::GET, id).await), first);
    let items = ok(&call(&azure, Method::GET, &format!("{id}/input_items")).await);
    assert_eq!(items["data"][0]["content"][0]["text"], "One");
    let item = &first["output"][0]["id"];
    ok(&ask(&azure, "gpt-4o", json!([{"type": "item_reference", "id": item}]), json!({})).await);

    assert_eq!(ok(&call(&azure, Method::DELETE, id).await)["deleted"], true);
    assert_eq!(call(&azure, Method::GET, id).await.status, 404);
    let gone = ask(&azure, "gpt-4o", json!("Three"), json!({"previous_response_id": id})).await;
    assert_eq!((gone.status, &gone.error()["code"]), (400, &json!("previous_response_not_found")));
    let forgotten = ok(&ask(&azure, "gpt-4o", json!("Four"), json!({"store": false})).await);
    assert_eq!(call(&azure, Method::GET, forgotten["id"].as_str().unwrap()).await.status, 404);
}

#[tokio::test]
async fn reasoning_can_be_read_by_the_resource_that_made_it_alone() {
    let (azure, other) = (simulator().await, simulator().await);
    let include = json!({"include": ["reasoning.encrypted_content"], "store": false});
    let output = ok(&ask(&azure, "gpt-5", json!("Hi"), include.clone()).await)["output"].clone();
    ok(&ask(&azure, "gpt-5-mini", output.clone(), include.clone()).await);
    let refused = ask(&other, "gpt-5", output.clone(), include.clone()).await;
    assert_eq!((refused.status, &refused.error()["code"]), (400, &json!("invalid_encrypted_content")));
    let mut bare = output;
    bare[0].as_object_mut().unwrap().remove("encrypted_content");
    assert!(ask(&azure, "gpt-5", bare, include).await.message().contains("Items are not persisted"));
}

#[tokio::test]
async fn background_responses_run_complete_and_are_cancelled() {
    let azure = simulator().await;
    let background = json!({"background": true});
    let queued = ok(&ask(&azure, "gpt-4o", json!("Later"), background.clone()).await);
    let id = queued["id"].as_str().unwrap();
    let mut seen = Vec::new();
    for _ in 0..3 {
        seen.push(ok(&call(&azure, Method::GET, id).await)["status"].as_str().unwrap().to_owned());
    }
    assert_eq!(seen, ["queued", "in_progress", "completed"]);
    let endless = ok(&ask(&azure, "gpt-4o", json!("[[never-ends]]"), background).await);
    let id = endless["id"].as_str().unwrap();
    assert_eq!(ok(&call(&azure, Method::POST, &format!("{id}/cancel")).await)["status"], "cancelled");
    let plain = ok(&ask(&azure, "gpt-4o", json!("Now"), json!({})).await);
    assert_eq!(call(&azure, Method::POST, &format!("{}/cancel", plain["id"].as_str().unwrap())).await.status, 400);
}

#[tokio::test]
async fn functions_are_called_and_wrong_requests_refused() {
    let azure = simulator().await;
    let tools = json!({"tools": [{"type": "function", "name": "weather", "parameters": {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]}}], "tool_choice": "required"});
    let called = ok(&ask(&azure, "gpt-4o", json!("Weather?"), tools).await);
    assert_eq!(
        (&called["output"][0]["type"], &called["output"][0]["name"]),
        (&json!("function_call"), &json!("weather"))
    );

    for (model, more, said) in [
        ("gpt-4o", json!({"messages": []}), "Unrecognized request argument"),
        (
            "gpt-4o",
            json!({"stream_options": {"include_usage": true}}),
            "Unknown parameter: 'stream_options.include_usage'",
        ),
        ("gpt-4o", json!({"max_output_tokens": 1}), "integer below minimum value"),
        ("gpt-4o", json!({"background": true, "store": false}), "requires 'store'"),
        (
            "gpt-4o",
            json!({"tools": [{"type": "image_generation"}]}),
            "imagegen deployment must be provided through header",
        ),
        ("nowhere", json!({}), "API deployment for this resource does not exist"),
    ] {
        let refused = ask(&azure, model, json!("x"), more).await;
        assert!(refused.message().contains(said), "{}", refused.text());
    }
    let bad_id = json!([{"type": "function_call", "id": "x_1", "call_id": "c", "name": "n", "arguments": "{}"}]);
    assert!(ask(&azure, "gpt-4o", bad_id, json!({})).await.message().contains("begins with 'fc'"));
    let old = with_headers(
        "/openai/responses?api-version=2024-10-21",
        &body("gpt-4o", json!("x"), json!({})),
        &[("api-key", DEFAULT_KEY)],
    );
    assert_eq!(send(azure.addr(), old).await.status, 404);
    let known = with_headers(
        "/openai/responses?api-version=2025-04-01-preview",
        &body("gpt-4o", json!("x"), json!({})),
        &[("api-key", DEFAULT_KEY)],
    );
    ok(&send(azure.addr(), known).await);
}

#[tokio::test]
async fn limits_are_told_inside_a_stream_that_is_answered_with_200() {
    let deployment = Deployment::new("gpt-4o", "gpt-4o-2024-11-20", Kind::Chat).limited(Some(6), None);
    let azure = start(Settings { deployments: vec![deployment], ..Settings::default() }).await.unwrap();
    ok(&ask(&azure, "gpt-4o", json!("One"), json!({})).await);
    assert_eq!(ask(&azure, "gpt-4o", json!("Two"), json!({})).await.status, 429);
    let reply = ask(&azure, "gpt-4o", json!("Three"), json!({"stream": true})).await;
    assert_eq!(reply.status, 200);
    let events = events(&reply);
    assert_eq!((&events[0]["type"], &events[0]["response"]["error"]), (&json!("response.failed"), &Value::Null));
    assert_eq!(events[1]["error"]["code"], "rate_limit_exceeded");
}
