//! Uploads in parts: each part goes to the resource where the upload was begun, and belongs to the caller who began it.

use azgate::simulator::Running;
use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};

use crate::support::*;

const FORM: &str = "multipart/form-data; boundary=p4rt";

fn config_of(one: &Running, other: &Running) -> Value {
    let mut config = config(&one.base_url());
    config["providers"]["azure"]["keys"] = json!([key("one", &one.base_url()), key("other", &other.base_url())]);
    config["governance"]["virtual_keys"] =
        json!([{"name": "tester", "value": KEY}, {"name": "stranger", "value": "azg-stranger"}]);
    config
}

async fn call(gateway: &Gateway, path: &str, key: &str, media: &str, body: impl Into<Bytes>) -> Answer {
    let authorization = format!("Bearer {key}");
    send(
        gateway.address,
        Method::POST,
        path,
        &[("authorization", authorization.as_str()), ("content-type", media)],
        body,
    )
    .await
}

async fn begin(gateway: &Gateway, bytes: usize) -> Answer {
    let asked = json!({"filename": "a.bin", "purpose": "user_data", "bytes": bytes, "mime_type": "text/plain"});
    gateway.post("/v1/uploads", &[], asked.to_string()).await
}

async fn part(gateway: &Gateway, upload: &str, key: &str, content: &[u8]) -> Answer {
    let head = "--p4rt\r\nContent-Disposition: form-data; name=\"data\"; filename=\"upload\"\r\n\r\n";
    let form = [head.as_bytes(), content, b"\r\n--p4rt--\r\n"].concat();
    call(gateway, &format!("/v1/uploads/{upload}/parts"), key, FORM, form).await
}

fn id(answer: &Answer) -> String {
    answer.json()["id"].as_str().unwrap_or_else(|| panic!("no id: {}", answer.text())).to_owned()
}

#[tokio::test]
async fn traps_33_parts_go_where_the_upload_was_begun_and_become_one_file() {
    let (one, other) = (azure().await, azure().await);
    let config = config_of(&one, &other);
    let gateway = Gateway::start(&config).await;
    let (front, back) = (vec![b'f'; 300_000], vec![b'b'; 5_000_000]);
    let mut keys = Vec::new();
    for _ in 0..2 {
        let begun = begin(&gateway, front.len() + back.len()).await;
        assert_eq!(begun.json()["status"], "pending", "{}", begun.text());
        keys.push(begun.header("x-azgate-key").to_owned());
        let upload = id(&begun);
        // Another gateway with the same keys knows it as well.
        let again = Gateway::start(&config).await;
        let second = part(&again, &upload, KEY, &back).await;
        let first = part(&gateway, &upload, KEY, &front).await;
        assert_eq!(
            (first.json()["upload_id"].as_str(), first.header("x-azgate-key")),
            (Some(&*upload), &*keys[keys.len() - 1])
        );
        let complete = json!({"part_ids": [id(&first), id(&second)]}).to_string();
        let path = format!("/v1/uploads/{upload}/complete");
        assert_eq!(call(&gateway, &path, "azg-stranger", "application/json", complete.clone()).await.status, 404);
        let done = call(&gateway, &path, KEY, "application/json", complete).await;
        assert_eq!((done.status, &done.json()["status"]), (200, &json!("completed")), "{}", done.text());
        assert_eq!(done.json()["id"], json!(upload));
        let file = done.json()["file"]["id"].as_str().unwrap().to_owned();
        let content = gateway.get(&format!("/v1/files/{file}/content")).await;
        assert!(content.body == [front.as_slice(), back.as_slice()].concat(), "{}", content.status);
    }
    keys.sort();
    assert_eq!(keys, ["one", "other"]);
}

#[tokio::test]
async fn an_upload_is_given_up_and_nobody_else_gets_at_it() {
    let (one, other) = (azure().await, azure().await);
    let gateway = Gateway::start(&config_of(&one, &other)).await;
    let (upload, elsewhere) = (id(&begin(&gateway, 4).await), id(&begin(&gateway, 4).await));
    let asked = || one.recorded().len() + other.recorded().len();
    let before = asked();
    assert_eq!(part(&gateway, &upload, "azg-stranger", b"evil").await.status, 404);
    assert_eq!(part(&gateway, "upload_abc", KEY, b"evil").await.status, 404);
    assert_eq!(asked(), before, "nothing of it has reached a resource");
    // A part of another resource's upload cannot be put in.
    let foreign = id(&part(&gateway, &elsewhere, KEY, b"else").await);
    let complete = |part: &str| json!({"part_ids": [part]}).to_string();
    let path = format!("/v1/uploads/{upload}/complete");
    let mixed = call(&gateway, &path, KEY, "application/json", complete(&foreign)).await;
    assert_eq!((mixed.status, mixed.code().as_str()), (400, "bad_request"), "{}", mixed.text());
    let unsealed = call(&gateway, &path, KEY, "application/json", complete("part_abc")).await;
    assert_eq!((unsealed.status, unsealed.code().as_str()), (404, "not_found"));
    let cancel = format!("/v1/uploads/{upload}/cancel");
    assert_eq!(call(&gateway, &cancel, "azg-stranger", "application/json", "").await.status, 404);
    assert_eq!(call(&gateway, &cancel, KEY, "application/json", "").await.json()["status"], "cancelled");
    let late = part(&gateway, &upload, KEY, b"late").await;
    assert_eq!(late.status, 400, "what the resource says of it: {}", late.text());
}

#[tokio::test]
async fn a_file_of_requests_comes_whole_because_its_models_must_be_known() {
    let azure = azure().await;
    let gateway = Gateway::start(&config_of(&azure, &azure)).await;
    let asked = json!({"filename": "a.jsonl", "purpose": "batch", "bytes": 9, "mime_type": "application/jsonl"});
    let answer = gateway.post("/v1/uploads", &[], asked.to_string()).await;
    assert_eq!((answer.status, answer.code().as_str()), (400, "field_not_supported"));
    assert!(answer.text().contains("POST /v1/files") && azure.recorded().is_empty(), "{}", answer.text());
}

#[tokio::test]
async fn a_part_is_not_sent_again_once_it_may_have_been_taken() {
    let azure = azure().await;
    let mut config = config_of(&azure, &azure);
    config["providers"]["azure"]["keys"][1]["azure_key_config"]["endpoint"] = json!(azure.base_url());
    let gateway = Gateway::start(&config).await;
    let upload = id(&begin(&gateway, 4).await);
    azure.clear();
    let rule = azgate::simulator::Rule::new("reset-before-head").path_contains("/parts");
    azure.script(&azgate::simulator::Script::default().then(rule)).unwrap();
    let answer = part(&gateway, &upload, KEY, b"data").await;
    assert_eq!((answer.status, azure.recorded().len()), (502, 1), "{}", answer.text());
    assert!(answer.text().contains("it was not sent again"), "{}", answer.text());
}
