//! Responses: native answers and streams, and what a resource made stays with it and with its owner.

use azgate::simulator::{Deployment, Kind, Match, Recorded, Rule, Running, Script, Settings};
use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};

use crate::support::*;

const RESPONSES: &str = "/v1/responses";
const IMAGES: &str = "x-ms-oai-image-generation-deployment";

fn image_header(sent: &Recorded) -> Option<&str> {
    sent.headers.iter().find(|(name, _)| name == IMAGES).map(|(_, value)| value.as_str())
}

/// A simulated Azure with a model that thinks and one that makes images.
async fn thinking() -> Running {
    let deployments = [("think-east", "gpt-5-2025-08-07"), ("images-east", "gpt-image-1")];
    let deployments = deployments.map(|(name, model)| Deployment::new(name, model, Kind::Chat));
    azure_with(Settings { deployments: deployments.into(), ..Settings::default() }).await
}

fn think_key(name: &str, azure: &Running) -> Value {
    let mut key = key(name, &azure.base_url());
    key["aliases"]["gpt-5"] = json!("think-east");
    key["aliases"]["gpt-image"] = json!("images-east");
    key
}

/// Two resources, two callers.
fn config_of(one: &Running, other: &Running) -> Value {
    let mut config = config(&one.base_url());
    config["providers"]["azure"]["keys"] = json!([think_key("one", one), think_key("other", other)]);
    config["governance"]["virtual_keys"] =
        json!([{"name": "tester", "value": KEY}, {"name": "stranger", "value": "azg-stranger"}]);
    config
}

fn body(input: impl Into<Value>, more: Value) -> String {
    let mut body = json!({"model": "azure/GPT-5", "input": input.into()});
    for (name, value) in more.as_object().into_iter().flatten() {
        body[name] = value.clone();
    }
    body.to_string()
}

async fn ask(gateway: &Gateway, input: impl Into<Value>, more: Value) -> Answer {
    gateway.post(RESPONSES, &[], body(input, more)).await
}

async fn call(gateway: &Gateway, method: Method, path: &str, key: &str) -> Answer {
    let authorization = format!("Bearer {key}");
    send(gateway.address, method, &format!("{RESPONSES}/{path}"), &[("authorization", &authorization)], Bytes::new())
        .await
}

fn id(answer: &Answer) -> String {
    answer.json()["id"].as_str().unwrap_or_else(|| panic!("no id: {}", answer.text())).to_owned()
}

#[tokio::test]
async fn traps_30_a_response_and_its_stream_are_the_resources_own_but_for_model_and_ids() {
    let azure = thinking().await;
    let gateway = Gateway::start(&config_of(&azure, &azure)).await;
    let plain = ask(&gateway, "Hello", json!({})).await;
    assert_eq!((plain.status, &plain.json()["model"]), (200, &json!("azure/GPT-5")), "{}", plain.text());
    assert_eq!(plain.json()["output"][1]["content"][0]["text"], "You said: Hello");
    assert!(plain.json()["content_filters"].is_array());
    let sent = &azure.recorded()[0];
    assert_eq!((sent.path.as_str(), sent.query.as_deref()), ("/openai/v1/responses", Some("api-version=preview")));
    assert_eq!(sent.body, Some(body("Hello", json!({})).replace("azure/GPT-5", "think-east")));

    let streamed = ask(&gateway, "Hello", json!({"stream": true})).await;
    let events = streamed.events();
    let text: String = events
        .iter()
        .filter(|event| event["type"] == "response.output_text.delta")
        .filter_map(|event| event["delta"].as_str())
        .collect();
    assert_eq!(text, "You said: Hello");
    assert!(
        events
            .iter()
            .filter(|event| event["response"].is_object())
            .all(|event| event["response"]["model"] == "azure/GPT-5")
    );
    assert_eq!(events.last().unwrap()["type"], "response.completed");
    assert!(!streamed.text().contains("[DONE]") && streamed.complete);
    let item = events.iter().find(|event| event["item"]["type"] == "message").unwrap()["item"]["id"].clone();
    assert!(events.iter().any(|event| event["item_id"] == item), "ids are the same wherever they stand");
    gateway.request_lines(2).await;
    assert_eq!(gateway.metric("azgate_tokens_total", &["kind=\"reasoning\""]).await, 384.0);
}

#[tokio::test]
async fn traps_33_a_conversation_stays_with_the_resource_that_knows_it_across_restarts_and_gateways() {
    let (one, other) = (thinking().await, thinking().await);
    let config = config_of(&one, &other);
    let first = Gateway::start(&config).await;
    let second = Gateway::start(&config).await;
    let mut served = Vec::new();
    for turn in 0..6 {
        let begun = ask(&first, format!("Turn {turn}"), json!({})).await;
        served.push(begun.header("x-azgate-key").to_owned());
        // A gateway that has never seen the response goes on with it.
        let more = json!({"previous_response_id": id(&begun)});
        let went_on = ask(&second, "More", more.clone()).await;
        assert_eq!(went_on.json()["output"][1]["content"][0]["text"], "Going on, you said: More", "{}", went_on.text());
        assert_eq!(went_on.header("x-azgate-key"), begun.header("x-azgate-key"));
        assert_eq!(went_on.json()["previous_response_id"], more["previous_response_id"]);
        // Items that are kept may be referred to, and sent again without their reasoning's text.
        let output = begun.json()["output"].clone();
        let again = ask(&second, output, json!({})).await;
        assert_eq!(again.status, 200, "{}", again.text());
    }
    assert!(served.contains(&"one".to_owned()) && served.contains(&"other".to_owned()), "{served:?}");
    let kept = ask(&first, "Keep", json!({})).await;
    drop(first);
    let restarted = Gateway::start(&config).await;
    assert_eq!(ask(&restarted, "On", json!({"previous_response_id": id(&kept)})).await.status, 200);
}

#[tokio::test]
async fn traps_33_encrypted_reasoning_goes_to_the_resource_that_can_read_it() {
    let (one, other) = (thinking().await, thinking().await);
    let gateway = Gateway::start(&config_of(&one, &other)).await;
    let stateless = json!({"store": false, "include": ["reasoning.encrypted_content"]});
    for _ in 0..4 {
        let begun = ask(&gateway, "Think", stateless.clone()).await;
        let mut output = begun.json()["output"].clone();
        output[0].as_object_mut().unwrap().remove("id");
        let went_on = ask(&gateway, output, stateless.clone()).await;
        assert_eq!(went_on.status, 200, "{}", went_on.text());
        assert_eq!(went_on.header("x-azgate-key"), begun.header("x-azgate-key"));
    }
    // The same out of a stream.
    let mut streamed = stateless.clone();
    streamed["stream"] = json!(true);
    let events = ask(&gateway, "Think", streamed).await.events();
    let output = events.last().unwrap()["response"]["output"].clone();
    assert_eq!(ask(&gateway, output.clone(), stateless.clone()).await.status, 200);

    let mut mixed = output.as_array().unwrap().clone();
    while mixed.len() < 8 {
        let item = ask(&gateway, "Think", stateless.clone()).await.json()["output"][0].clone();
        mixed.push(item);
    }
    let refused = ask(&gateway, mixed, stateless).await;
    assert_eq!((refused.status, refused.code().as_str()), (400, "bad_request"));
    assert!(refused.text().contains("two Azure resources"), "{}", refused.text());
}

#[tokio::test]
async fn stored_responses_are_retrieved_listed_cancelled_and_deleted_where_they_are() {
    let (one, other) = (thinking().await, thinking().await);
    let gateway = Gateway::start(&config_of(&one, &other)).await;
    for _ in 0..3 {
        let made = ask(&gateway, "Hello", json!({})).await;
        let id = id(&made);
        let read = call(&gateway, Method::GET, &id, KEY).await;
        let mut expected = made.json();
        expected["model"] = json!("gpt-5-2025-08-07");
        assert_eq!((read.status, read.json()), (200, expected), "{}", read.text());
        let items = call(&gateway, Method::GET, &format!("{id}/input_items?limit=1&api-version=2024-10-21"), KEY).await;
        assert_eq!(items.json()["data"][0]["content"][0]["text"], "Hello", "{}", items.text());
        let after = items.json()["last_id"].as_str().unwrap().to_owned();
        let rest = call(&gateway, Method::GET, &format!("{id}/input_items?after={after}"), KEY).await;
        assert_eq!((rest.status, &rest.json()["data"]), (200, &json!([])), "{}", rest.text());
        let deleted = call(&gateway, Method::DELETE, &id, KEY).await;
        assert_eq!(deleted.json(), json!({"id": id, "object": "response.deleted", "deleted": true}));
        assert_eq!(call(&gateway, Method::GET, &id, KEY).await.status, 404);
    }
    let endless = ask(&gateway, "[[never-ends]]", json!({"background": true})).await;
    assert_eq!(endless.json()["status"], "queued", "{}", endless.text());
    let cancelled = call(&gateway, Method::POST, &format!("{}/cancel", id(&endless)), KEY).await;
    assert_eq!(cancelled.json()["status"], "cancelled", "{}", cancelled.text());
    let resumed = ask(&gateway, "Resume", json!({})).await;
    let events =
        call(&gateway, Method::GET, &format!("{}?stream=true&starting_after=3", id(&resumed)), KEY).await.events();
    assert_eq!(
        (&events[0]["sequence_number"], &events.last().unwrap()["type"]),
        (&json!(4), &json!("response.completed"))
    );
    assert_eq!(events.last().unwrap()["response"]["id"], id(&resumed).as_str());
}

#[tokio::test]
async fn nobody_reaches_the_responses_of_another_caller() {
    let azure = thinking().await;
    let mut config = config_of(&azure, &azure);
    let gateway = Gateway::start(&config).await;
    let made = ask(&gateway, "Secret", json!({})).await;
    let (sealed, own) = (id(&made), azure.recorded().len());
    for method in [Method::GET, Method::DELETE] {
        let refused = call(&gateway, method, &sealed, "azg-stranger").await;
        assert_eq!((refused.status, refused.code().as_str()), (404, "not_found"), "{}", refused.text());
    }
    for foreign in ["resp_0123456789abcdef", "resp_azgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "x", "..%2f"] {
        assert!(matches!(call(&gateway, Method::GET, foreign, KEY).await.status, 400 | 404), "{foreign}");
    }
    let stranger = [("authorization", "Bearer azg-stranger")];
    let went_on =
        send(gateway.address, Method::POST, RESPONSES, &stranger, body("On", json!({"previous_response_id": sealed})))
            .await;
    assert_eq!((went_on.status, went_on.code().as_str()), (400, "previous_response_not_found"), "{}", went_on.text());
    let item = made.json()["output"][1]["id"].clone();
    let referred = send(
        gateway.address,
        Method::POST,
        RESPONSES,
        &stranger,
        body(json!([{"type": "item_reference", "id": item}]), json!({})),
    )
    .await;
    assert_eq!(referred.status, 400, "{}", referred.text());
    let conversation = ask(&gateway, "x", json!({"conversation": "conv_1"})).await;
    assert_eq!((conversation.status, conversation.code().as_str()), (400, "field_not_supported"));
    assert_eq!(azure.recorded().len(), own, "nothing of that reached the resource");

    config["client"]["share_objects"] = json!(true);
    let shared = Gateway::start(&config).await;
    let made = id(&ask(&shared, "For all", json!({})).await);
    assert_eq!(call(&shared, Method::GET, &made, "azg-stranger").await.status, 200);
}

#[tokio::test]
async fn a_resource_that_is_gone_is_said_to_be_gone() {
    let (one, other) = (thinking().await, thinking().await);
    let gateway = Gateway::start(&config_of(&one, &one)).await;
    let made = id(&ask(&gateway, "Hello", json!({})).await);
    let moved = Gateway::start(&config_of(&other, &other)).await;
    let lost = call(&moved, Method::GET, &made, KEY).await;
    assert_eq!((lost.status, lost.code().as_str()), (404, "not_found"));
    let lost = ask(&moved, "On", json!({"previous_response_id": made})).await;
    assert_eq!(lost.status, 404);
    assert!(lost.text().contains("no longer serves model"), "{}", lost.text());
    assert!(other.recorded().is_empty());
}

#[tokio::test]
async fn traps_52_throttling_inside_a_stream_of_status_200_moves_on_to_another_key() {
    let limited = Deployment::new("think-east", "gpt-5-2025-08-07", Kind::Chat).limited(Some(6), None);
    let full = azure_with(Settings { deployments: vec![limited], ..Settings::default() }).await;
    let free = thinking().await;
    let mut config = config_of(&full, &free);
    config["providers"]["azure"]["keys"][1]["priority"] = json!(1);
    let gateway = Gateway::start(&config).await;
    for expected in ["one", "other", "other"] {
        let answer = ask(&gateway, "Hello", json!({"stream": true})).await;
        assert_eq!((answer.header("x-azgate-key"), answer.status), (expected, 200), "{}", answer.text());
        assert!(!answer.text().contains("rate_limit_exceeded"));
        assert_eq!(answer.events().last().unwrap()["type"], "response.completed");
    }
    assert_eq!(full.recorded().len(), 2, "the gate of the throttled key is closed");
}

#[tokio::test]
async fn traps_10_a_stream_that_breaks_off_ends_in_the_dialects_own_words() {
    let azure = thinking().await;
    let mut config = config_of(&azure, &azure);
    config["providers"]["azure"]["network_config"] = json!({"max_retries": 0});
    let gateway = Gateway::start(&config).await;
    let broken = gateway
        .post(
            RESPONSES,
            &[("x-sim-fault", "reset-after-events=12")],
            body("one two three four", json!({"stream": true})),
        )
        .await;
    let events = broken.events();
    let last = events.last().unwrap();
    assert_eq!(
        (&last["type"], &last["response"]["status"]),
        (&json!("response.failed"), &json!("failed")),
        "{}",
        broken.text()
    );
    assert_eq!(last["response"]["error"]["code"], "upstream_broken");
    assert_eq!(last["response"]["id"], events[0]["response"]["id"]);
    let numbers: Vec<u64> = events.iter().map(|event| event["sequence_number"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (0..numbers.len() as u64).collect::<Vec<_>>());
    assert!(broken.complete && !broken.text().contains("[DONE]"));
}

#[tokio::test]
async fn a_failure_before_any_output_is_made_good() {
    let azure = thinking().await;
    let gateway = Gateway::start(&config_of(&azure, &azure)).await;
    let rule = Rule { fault: "error-event-at=2".to_owned(), times: Some(1), matching: Match::default() };
    azure.script(&Script { rules: vec![rule] }).unwrap();
    let answer = ask(&gateway, "Hello", json!({"stream": true})).await;
    assert_eq!(
        (answer.header("x-azgate-attempts"), &answer.events().last().unwrap()["type"]),
        ("2", &json!("response.completed")),
        "{}",
        answer.text()
    );
}

#[tokio::test]
async fn classic_paths_compact_and_counts_lead_to_the_same_place() {
    let azure = thinking().await;
    let gateway = Gateway::start(&config_of(&azure, &azure)).await;
    let path = "/openai/responses?api-version=2025-04-01-preview";
    let answer = gateway.post(path, &[], body("Hi", json!({}))).await;
    assert_eq!(answer.json()["output"][1]["content"][0]["text"], "You said: Hi", "{}", answer.text());
    let counted = gateway.post("/openai/v1/responses/input_tokens", &[], body("one two", json!({}))).await;
    assert!(counted.json()["input_tokens"].as_u64().unwrap() > 0, "{}", counted.text());
    let compact = gateway.post("/v1/responses/compact", &[], body("A long story", json!({}))).await.json();
    let went_on = ask(&gateway, compact["output"].clone(), json!({})).await;
    assert_eq!(went_on.status, 200, "{}", went_on.text());
    assert!(azure.recorded().iter().all(|sent| sent.path.starts_with("/openai/v1/responses")));
}

#[tokio::test]
async fn the_deployment_that_makes_images_is_found_by_its_alias() {
    let azure = thinking().await;
    let gateway = Gateway::start(&config_of(&azure, &azure)).await;
    let tools = json!({"tools": [{"type": "image_generation"}]});
    let named = gateway.post(RESPONSES, &[(IMAGES, "azure/GPT-Image")], body("Draw", tools.clone())).await;
    assert_eq!(named.status, 200, "{}", named.text());
    assert_eq!(image_header(azure.recorded().last().unwrap()), Some("images-east"));
    let in_tool = ask(&gateway, "Draw", json!({"tools": [{"type": "image_generation", "model": "gpt-image"}]})).await;
    assert_eq!(in_tool.status, 200, "{}", in_tool.text());
    assert_eq!(image_header(azure.recorded().last().unwrap()), Some("images-east"));
    // What neither names is for Azure to complain about.
    assert!(ask(&gateway, "Draw", tools).await.text().contains("imagegen deployment must be provided"));
}

#[tokio::test]
async fn services_that_speak_the_openai_api_keep_responses_too() {
    let azure = thinking().await;
    let mut config = config_of(&azure, &azure);
    config["providers"]["house"] = json!({
        "type": "openai_compatible", "keys": [{"name": "house", "value": "sim-key", "models": ["*"]}],
        "network_config": {"base_url": format!("{}/openai", azure.base_url())},
    });
    let gateway = Gateway::start(&config).await;
    let asked = json!({"model": "house/chat-east", "input": "Hello", "stream": true});
    let events = gateway.post(RESPONSES, &[], asked.to_string()).await.events();
    assert_eq!(events.last().unwrap()["response"]["model"], "house/chat-east");
    let made = events[0]["response"]["id"].as_str().unwrap().to_owned();
    let read = call(&gateway, Method::GET, &format!("{made}?stream=true"), KEY).await;
    assert_eq!(read.header("x-azgate-key"), "house", "{}", read.text());
    let more = json!({"model": "house/chat-east", "input": "More", "previous_response_id": made});
    let went_on = gateway.post(RESPONSES, &[], more.to_string()).await;
    assert_eq!(went_on.json()["output"][0]["content"][0]["text"], "Going on, you said: More", "{}", went_on.text());
    assert!(azure.recorded().iter().all(|sent| sent.path.starts_with("/openai/v1/responses")));
}
