//! Lists of files, batches and videos: one over all resources, in pages that fit together, of what is the caller's own.

use std::time::Duration;

use azgate::simulator::{Rule, Running, Script};
use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};

use crate::support::*;

const STRANGER: &str = "azg-stranger";
const FORM: &str = "multipart/form-data; boundary=l1st";

struct House {
    resources: Vec<Running>,
    config: Value,
    _state: tempfile::TempDir,
}

/// Three resources, the first of which is configured twice, and a gateway that keeps in mind who brought what.
async fn house() -> House {
    let state = tempfile::tempdir().unwrap();
    let mut resources = Vec::new();
    for _ in 0..3 {
        resources.push(azure().await);
    }
    let mut config = config(&resources[0].base_url());
    let mut keys: Vec<Value> = (0..3).map(|at| key(&format!("key-{at}"), &resources[at].base_url())).collect();
    keys.push(key("key-0-again", &resources[0].base_url()));
    keys.iter_mut().for_each(|key| key["aliases"]["film"] = json!("sora-2"));
    config["providers"]["azure"]["keys"] = json!(keys);
    config["server"]["state_directory"] = json!(state.path().display().to_string());
    config["governance"]["virtual_keys"] =
        json!([{"name": "tester", "value": KEY}, {"name": "stranger", "value": STRANGER}]);
    House { resources, config, _state: state }
}

async fn upload(gateway: &Gateway, key: &str, purpose: &str) -> String {
    let body = format!(
        "--l1st\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\n{purpose}\r\n--l1st\r\nContent-Disposition: \
         form-data; name=\"file\"; filename=\"a.jsonl\"\r\n\r\n{{\"custom_id\":\"1\",\"body\":{{\"model\":\"gpt-4o\"}}}}\r\n--l1st--\r\n"
    );
    id(&call(gateway, Method::POST, "/v1/files", key, FORM, body).await)
}

async fn call(gateway: &Gateway, method: Method, path: &str, key: &str, media: &str, body: impl Into<Bytes>) -> Answer {
    let authorization = format!("Bearer {key}");
    let headers = [("authorization", authorization.as_str()), ("content-type", media)];
    send(gateway.address, method, path, &headers, body).await
}

fn id(answer: &Answer) -> String {
    answer.json()["id"].as_str().unwrap_or_else(|| panic!("no id: {}", answer.text())).to_owned()
}

async fn list(gateway: &Gateway, path: &str, key: &str) -> Answer {
    let answer = call(gateway, Method::GET, path, key, "", Bytes::new()).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer
}

fn ids(page: &Value) -> Vec<String> {
    page["data"].as_array().unwrap().iter().map(|object| object["id"].as_str().unwrap().to_owned()).collect()
}

/// All ids, page by page.
async fn all(gateway: &Gateway, path: &str, key: &str, limit: usize) -> Vec<String> {
    let (mut found, mut after) = (Vec::new(), String::new());
    loop {
        let page = list(gateway, &format!("{path}?limit={limit}{after}"), key).await.json();
        let new = ids(&page);
        assert!(new.len() <= limit && page["first_id"].as_str() == new.first().map(String::as_str));
        assert_eq!(page["last_id"].as_str(), new.last().map(String::as_str));
        found.extend(new);
        if page["has_more"] == false {
            return found;
        }
        after = format!("&after={}", page["last_id"].as_str().unwrap());
    }
}

fn sorted(mut ids: Vec<String>) -> Vec<String> {
    ids.sort();
    ids
}

#[tokio::test]
async fn pages_of_all_resources_fit_together_and_hold_the_callers_own() {
    let house = house().await;
    let gateway = Gateway::start(&house.config).await;
    let (mut own, mut foreign) = (Vec::new(), Vec::new());
    for round in 0..3 {
        for _ in 0..5 {
            own.push((round, upload(&gateway, KEY, "user_data").await));
            foreign.push(upload(&gateway, STRANGER, "user_data").await);
        }
        // Made in another second.
        tokio::time::sleep(Duration::from_millis(1_100)).await;
    }
    let expected = sorted(own.iter().map(|(_, id)| id.clone()).collect());
    for limit in [1, 2, 7, 100] {
        let found = all(&gateway, "/v1/files", KEY, limit).await;
        assert_eq!(sorted(found.clone()), expected, "limit {limit}: each once");
        let rounds: Vec<i32> = found.iter().map(|id| own.iter().find(|(_, known)| known == id).unwrap().0).collect();
        assert!(rounds.is_sorted_by(|a, b| a >= b), "the newest first: {rounds:?}");
    }
    let before = all(&gateway, "/openai/v1/files", KEY, 4).await;
    let page = list(&gateway, "/v1/files?order=asc&limit=100", KEY).await.json();
    let seconds: Vec<i64> =
        page["data"].as_array().unwrap().iter().map(|file| file["created_at"].as_i64().unwrap()).collect();
    assert!(seconds.is_sorted(), "{seconds:?}");
    assert_eq!(sorted(ids(&page)), expected);
    assert_eq!(sorted(all(&gateway, "/v1/files", STRANGER, 3).await), sorted(foreign));
    // What is added in front while somebody turns the pages moves nothing.
    let first = list(&gateway, "/v1/files?limit=5", KEY).await.json();
    let newest = upload(&gateway, KEY, "user_data").await;
    let rest = list(&gateway, &format!("/v1/files?limit=100&after={}", first["last_id"].as_str().unwrap()), KEY).await;
    assert_eq!([ids(&first), ids(&rest.json())].concat(), before);
    assert_eq!(ids(&list(&gateway, "/v1/files?limit=1", KEY).await.json()), [newest]);
    // Each object is the same as when it is asked for by its id.
    let object = list(&gateway, &format!("/v1/files/{}", expected[0]), KEY).await.json();
    assert!(page["data"].as_array().unwrap().contains(&object));
}

#[tokio::test]
async fn who_brought_what_outlives_the_process_and_is_known_to_its_neighbour() {
    let house = house().await;
    let (one, other) = (Gateway::start(&house.config).await, Gateway::start(&house.config).await);
    let mut made = vec![upload(&one, KEY, "user_data").await, upload(&other, KEY, "batch").await];
    for gateway in [&one, &other] {
        assert_eq!(sorted(ids(&list(gateway, "/v1/files", KEY).await.json())), sorted(made.clone()));
    }
    let batches = ids(&list(&one, "/v1/files?purpose=batch", KEY).await.json());
    assert_eq!(batches, made[1..]);
    drop((one, other));
    let later = Gateway::start(&house.config).await;
    assert_eq!(sorted(ids(&list(&later, "/v1/files", KEY).await.json())), sorted(made.clone()));
    assert_eq!(call(&later, Method::DELETE, &format!("/v1/files/{}", made[0]), KEY, "", "").await.status, 200);
    assert_eq!(ids(&list(&later, "/v1/files", KEY).await.json()), made.split_off(1));
    assert!(ids(&list(&later, "/v1/files", STRANGER).await.json()).is_empty());
}

#[tokio::test]
async fn batches_with_their_files_and_videos_are_listed_too() {
    let house = house().await;
    let gateway = Gateway::start(&house.config).await;
    let (mut batches, mut videos) = (Vec::new(), Vec::new());
    for _ in 0..4 {
        let file = upload(&gateway, KEY, "batch").await;
        let asked = json!({"input_file_id": file, "endpoint": "/v1/chat/completions", "completion_window": "24h"});
        batches.push(id(&gateway.post("/v1/batches", &[], asked.to_string()).await));
        let asked = json!({"model": "film", "prompt": "a dot"});
        videos.push(id(&gateway.post("/v1/videos", &[], asked.to_string()).await));
    }
    assert_eq!(sorted(all(&gateway, "/v1/batches", KEY, 3).await), sorted(batches.clone()));
    assert_eq!(sorted(all(&gateway, "/v1/videos", KEY, 3).await), sorted(videos));
    let done = list(&gateway, &format!("/v1/batches/{}", batches[0]), KEY).await.json();
    let output = done["output_file_id"].as_str().unwrap().to_owned();
    assert!(all(&gateway, "/v1/files", KEY, 100).await.contains(&output), "what a batch made is the caller's as well");
    let shown = list(&gateway, "/v1/batches?limit=100", KEY).await.json();
    assert!(shown["data"].as_array().unwrap().iter().any(|batch| batch["output_file_id"] == json!(output)), "{shown}");
    assert!(ids(&list(&gateway, "/v1/batches", STRANGER).await.json()).is_empty());
}

#[tokio::test]
async fn a_list_without_one_of_its_resources_is_an_error_and_not_a_shorter_list() {
    let house = house().await;
    let gateway = Gateway::start(&house.config).await;
    let file = upload(&gateway, KEY, "user_data").await;
    let down = Script::default().then(Rule::new("status=500").path_contains("/files"));
    house.resources[1].script(&down).unwrap();
    let broken = call(&gateway, Method::GET, "/v1/files", KEY, "", "").await;
    assert_eq!((broken.status, broken.code().as_str()), (502, "upstream_broken"), "{}", broken.text());
    house.resources[1].script(&Script::default()).unwrap();
    let altered = format!("after={file}x");
    for (query, status) in
        [("after=file-1", 404), (altered.as_str(), 404), ("limit=0", 400), ("limit=x", 400), ("order=up", 400)]
    {
        let answer = call(&gateway, Method::GET, &format!("/v1/files?{query}"), KEY, "", "").await;
        assert_eq!(answer.status, status, "{query}: {}", answer.text());
    }
    let foreign = call(&gateway, Method::GET, &format!("/v1/files?after={file}"), STRANGER, "", "").await;
    assert_eq!((foreign.status, foreign.code().as_str()), (404, "not_found"));
}

#[tokio::test]
async fn lists_are_refused_where_nothing_tells_whose_an_object_is_and_shared_where_all_is_everybodys() {
    let house = house().await;
    let mut config = house.config.clone();
    config["server"].as_object_mut().unwrap().remove("state_directory");
    let gateway = Gateway::start(&config).await;
    for path in ["/v1/files", "/v1/batches", "/v1/videos"] {
        let answer = gateway.get(path).await;
        assert_eq!((answer.status, answer.code().as_str()), (400, "unsupported_operation"));
        assert!(answer.text().contains("state_directory") && answer.text().contains("azure"), "{}", answer.text());
    }
    assert!(house.resources.iter().all(|azure| azure.recorded().is_empty()));
    config["client"]["share_objects"] = json!(true);
    let gateway = Gateway::start(&config).await;
    let mut made = Vec::new();
    for key in [KEY, STRANGER, KEY, STRANGER] {
        made.push(upload(&gateway, key, "user_data").await);
    }
    for key in [KEY, STRANGER] {
        assert_eq!(sorted(all(&gateway, "/v1/files", key, 3).await), sorted(made.clone()));
    }
}
