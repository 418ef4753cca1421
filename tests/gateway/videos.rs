//! Videos: made by a model, kept by the resource that made them, and passed on as they come.

use azgate::simulator::Running;
use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};

use crate::support::*;

const FORM: &str = "multipart/form-data; boundary=f1lm";

fn config_of(one: &Running, other: &Running) -> Value {
    let mut config = config(&one.base_url());
    let keys = [("one", one), ("other", other)].map(|(name, azure)| {
        let mut key = key(name, &azure.base_url());
        key["aliases"]["Film"] = json!("sora-2");
        key
    });
    config["providers"]["azure"]["keys"] = json!(keys);
    config["governance"]["virtual_keys"] = json!([
        {"name": "tester", "value": KEY},
        {"name": "stranger", "value": "azg-stranger"},
        {"name": "narrow", "value": "azg-narrow", "allowed_models": ["dotted"]},
    ]);
    config
}

async fn call(gateway: &Gateway, method: Method, path: &str, key: &str, headers: &[(&str, &str)]) -> Answer {
    let authorization = format!("Bearer {key}");
    let mut all = vec![("authorization", authorization.as_str())];
    all.extend_from_slice(headers);
    send(gateway.address, method, path, &all, Bytes::new()).await
}

/// Begins a video, with the fault that is asked for.
async fn begin(gateway: &Gateway, media: &str, body: String, fault: &str) -> Answer {
    let authorization = format!("Bearer {KEY}");
    let headers = [("authorization", authorization.as_str()), ("content-type", media), ("x-sim-fault", fault)];
    send(gateway.address, Method::POST, "/v1/videos", &headers, body).await
}

fn form(model: &str) -> String {
    let field =
        |name: &str, text: &str| format!("--f1lm\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{text}\r\n");
    format!("{}{}{}--f1lm--\r\n", field("model", model), field("prompt", "a dot that moves"), field("seconds", "8"))
}

#[tokio::test]
async fn traps_33_a_video_is_made_watched_and_deleted_where_it_was_made() {
    let (one, other) = (azure().await, azure().await);
    let gateway = Gateway::start(&config_of(&one, &other)).await;
    let json = json!({"model": "azure/FILM", "prompt": "a dot that moves", "seconds": "8"}).to_string();
    let mut keys = Vec::new();
    for (media, body) in [(FORM, form("azure/FILM")), ("application/json", json)] {
        let made = begin(&gateway, media, body, "delay=0").await;
        assert_eq!((made.status, &made.json()["model"]), (200, &json!("azure/FILM")), "{}", made.text());
        keys.push(made.header("x-azgate-key").to_owned());
        let id = made.json()["id"].as_str().unwrap().to_owned();
        let path = format!("/openai/v1/videos/{id}");
        let early = gateway.get(&format!("{path}/content")).await;
        assert_eq!(early.status, 400, "what the resource says: {}", early.text());
        let states: Vec<Value> = [gateway.get(&path).await, gateway.get(&path).await, gateway.get(&path).await]
            .iter()
            .map(|answer| answer.json()["status"].clone())
            .collect();
        assert_eq!(states, ["queued", "in_progress", "completed"]);
        assert_eq!(gateway.get(&path).await.json()["id"], json!(id));
        let film: Vec<u8> = (0..800_000).map(|at| (at * 7 % 251) as u8).collect();
        let whole = gateway.get(&format!("{path}/content")).await;
        assert!(whole.body == film, "{}", whole.status);
        assert_eq!((whole.header("content-type"), whole.header("content-length")), ("video/mp4", "800000"));
        let part = call(&gateway, Method::GET, &format!("{path}/content"), KEY, &[("range", "bytes=1000-1999")]).await;
        assert_eq!((part.status, part.header("content-range")), (206, "bytes 1000-1999/800000"));
        assert!(part.body == film[1000..2000]);
        let small = gateway.get(&format!("{path}/content?variant=thumbnail&api-key=x")).await;
        assert_eq!((small.header("content-type"), small.body.len()), ("image/webp", 1_000));
        for (method, path) in
            [(Method::GET, path.clone()), (Method::GET, format!("{path}/content")), (Method::DELETE, path.clone())]
        {
            assert_eq!(call(&gateway, method, &path, "azg-stranger", &[]).await.status, 404);
        }
        assert_eq!(call(&gateway, Method::DELETE, &path, KEY, &[]).await.json()["deleted"], true);
        assert_eq!(gateway.get(&path).await.status, 404);
    }
    keys.sort();
    assert_eq!(keys, ["one", "other"]);
    assert!(
        [one.recorded(), other.recorded()].concat().iter().all(|sent| !sent
            .query
            .as_deref()
            .unwrap_or("")
            .contains("api-key"))
    );
}

#[tokio::test]
async fn a_video_is_begun_once_and_only_by_who_may() {
    let azure = azure().await;
    let gateway = Gateway::start(&config_of(&azure, &azure)).await;
    let authorization = "Bearer azg-narrow";
    let headers = [("authorization", authorization), ("content-type", FORM)];
    let refused = send(gateway.address, Method::POST, "/v1/videos", &headers, form("film")).await;
    assert_eq!((refused.status, refused.code().as_str()), (403, "model_not_allowed"));
    let broken = begin(&gateway, FORM, form("film"), "reset-before-head").await;
    assert_eq!((broken.status, azure.recorded().len()), (502, 1), "{}", broken.text());
    // A closed door has begun nothing.
    let throttled = begin(&gateway, FORM, form("film"), "status=429").await;
    assert_eq!((throttled.status, azure.recorded().len()), (429, 3), "{}", throttled.text());
    let remixed = gateway.post("/v1/videos/video_1/remix", &[], "{}").await;
    assert_eq!((remixed.status, remixed.code().as_str()), (400, "unsupported_operation"));
    assert!(remixed.text().contains("video_remix"), "{}", remixed.text());
}

#[tokio::test]
async fn a_caller_who_stops_watching_closes_the_upstream() {
    let azure = azure().await;
    let gateway = Gateway::start(&config_of(&azure, &azure)).await;
    let made = begin(&gateway, FORM, form("film"), "delay=0").await;
    let path = format!("/v1/videos/{}", made.json()["id"].as_str().unwrap());
    while gateway.get(&path).await.json()["status"] != "completed" {}
    let rule = azgate::simulator::Rule::new("stall-after-bytes=100000").path_contains("/content");
    azure.script(&azgate::simulator::Script::default().then(rule)).unwrap();
    let stream = connect(gateway.address).await;
    let mut stream = stream;
    let authorization = format!("Bearer {KEY}");
    let headers = [("authorization", authorization.as_str())];
    let request = request(
        gateway.address,
        Method::GET,
        &format!("{path}/content"),
        &headers,
        http_body_util::Full::new(Bytes::new()),
    );
    let answer = stream.send_request(request).await.unwrap();
    assert_eq!(answer.status(), 200);
    drop((answer, stream));
    let left = |all: &[azgate::simulator::Recorded]| all.last().is_some_and(|last| last.caller_left_after_ms.is_some());
    azure.wait_for(std::time::Duration::from_secs(10), left).await;
    assert!(left(&azure.recorded()));
}
