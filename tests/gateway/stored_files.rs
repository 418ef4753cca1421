//! Files and batches: they stay with the resource that took them and with the caller who brought them.

use azgate::simulator::Running;
use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};

use crate::support::*;

const FORM: &str = "multipart/form-data; boundary=b0und";

fn config_of(one: &Running, other: &Running) -> Value {
    let mut config = config(&one.base_url());
    config["providers"]["azure"]["keys"] = json!([key("one", &one.base_url()), key("other", &other.base_url())]);
    config["governance"]["virtual_keys"] = json!([
        {"name": "tester", "value": KEY},
        {"name": "stranger", "value": "azg-stranger"},
        {"name": "narrow", "value": "azg-narrow", "allowed_models": ["dotted"]},
    ]);
    config
}

fn form(purpose: &str, content: &[u8]) -> Bytes {
    let head = "--b0und\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.jsonl\"\r\n\r\n";
    let tail =
        format!("\r\n--b0und\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\n{purpose}\r\n--b0und--\r\n");
    [head.as_bytes(), content, tail.as_bytes()].concat().into()
}

async fn upload(gateway: &Gateway, purpose: &str, content: &[u8]) -> Answer {
    faulty(gateway, purpose, content, "delay=0").await
}

async fn faulty(gateway: &Gateway, purpose: &str, content: &[u8], fault: &str) -> Answer {
    let authorization = format!("Bearer {KEY}");
    let headers = [("authorization", authorization.as_str()), ("content-type", FORM), ("x-sim-fault", fault)];
    send(gateway.address, Method::POST, "/v1/files", &headers, form(purpose, content)).await
}

async fn call(gateway: &Gateway, method: Method, path: &str, key: &str, headers: &[(&str, &str)]) -> Answer {
    let authorization = format!("Bearer {key}");
    let mut all = vec![("authorization", authorization.as_str())];
    all.extend_from_slice(headers);
    send(gateway.address, method, path, &all, Bytes::new()).await
}

fn id(answer: &Answer) -> String {
    answer.json()["id"].as_str().unwrap_or_else(|| panic!("no id: {}", answer.text())).to_owned()
}

#[tokio::test]
async fn traps_33_a_file_is_read_ranged_and_deleted_where_it_lies() {
    let (one, other) = (azure().await, azure().await);
    let config = config_of(&one, &other);
    let gateway = Gateway::start(&config).await;
    let content: Vec<u8> = (0..100_000u32).flat_map(u32::to_le_bytes).collect();
    let mut keys = Vec::new();
    for _ in 0..4 {
        let made = upload(&gateway, "user_data", &content).await;
        keys.push(made.header("x-azgate-key").to_owned());
        assert_eq!(made.header("location"), format!("/openai/v1/files/{}", id(&made)), "not at the resource");
        let path = format!("/v1/files/{}", id(&made));
        let again = Gateway::start(&config).await;
        assert_eq!(call(&again, Method::GET, &path, KEY, &[]).await.json(), made.json());
        let whole = call(&again, Method::GET, &format!("{path}/content"), KEY, &[]).await;
        assert!(whole.body == content && whole.header("content-length") == content.len().to_string());
        let part = call(&again, Method::GET, &format!("{path}/content"), KEY, &[("range", "bytes=1000-1999")]).await;
        assert_eq!((part.status, part.header("content-range")), (206, "bytes 1000-1999/400000"));
        assert_eq!(part.body, content[1000..2000]);
        assert_eq!(call(&gateway, Method::GET, &path, "azg-stranger", &[]).await.status, 404);
        assert_eq!(call(&gateway, Method::DELETE, &path, KEY, &[]).await.json()["deleted"], true);
        assert_eq!(call(&gateway, Method::GET, &path, KEY, &[]).await.status, 404);
    }
    keys.sort();
    assert_eq!(keys, ["one", "one", "other", "other"]);
}

#[tokio::test]
async fn traps_32_the_models_of_a_batchs_lines_are_resolved_by_alias() {
    let (one, other) = (azure().await, azure().await);
    let gateway = Gateway::start(&config_of(&one, &other)).await;
    let line = |number: usize, model: &str| {
        json!({"custom_id": number.to_string(), "method": "POST", "url": "/v1/chat/completions",
               "body": {"model": model, "messages": [{"role": "user", "content": "the \"model\": \"gpt-4o\""}]}})
        .to_string()
    };
    let lines = |models: [&str; 3]| {
        models.iter().enumerate().map(|(number, model)| line(number, model)).collect::<Vec<_>>().join("\n")
    };
    let uploaded = upload(&gateway, "batch", lines(["gpt-4o", "azure/GPT-4O", "dotted"]).as_bytes()).await;
    assert_eq!(uploaded.status, 200, "{}", uploaded.text());
    let file = id(&uploaded);
    let kept = call(&gateway, Method::GET, &format!("/v1/files/{file}/content"), KEY, &[]).await;
    assert_eq!(kept.text(), lines(["chat-east", "chat-east", "gpt-4.1.dots"]));

    let asked = json!({"input_file_id": file, "endpoint": "/v1/chat/completions", "completion_window": "24h"});
    let made = gateway.post("/v1/batches", &[], asked.to_string()).await;
    assert_eq!(
        (made.status, &made.json()["input_file_id"], &made.json()["endpoint"]),
        (200, &json!(file), &json!("/v1/chat/completions")),
        "{}",
        made.text()
    );
    assert_eq!(made.header("x-azgate-key"), uploaded.header("x-azgate-key"));
    let path = format!("/v1/batches/{}", id(&made));
    let done = call(&gateway, Method::GET, &path, KEY, &[]).await;
    assert_eq!(done.json()["status"], "completed", "{}", done.text());
    let output = done.json()["output_file_id"].as_str().unwrap().to_owned();
    let answers = call(&gateway, Method::GET, &format!("/v1/files/{output}/content"), KEY, &[]).await;
    assert_eq!(answers.text().lines().count(), 3, "{}", answers.text());
    assert_eq!(call(&gateway, Method::POST, &format!("{path}/cancel"), KEY, &[]).await.json()["status"], "cancelling");
    assert_eq!(call(&gateway, Method::GET, &path, "azg-stranger", &[]).await.status, 404);

    for (model, key, code) in [("nowhere-to-be-found", KEY, ""), ("gpt-4o", "azg-narrow", "model_not_allowed")] {
        let authorization = format!("Bearer {key}");
        let headers = [("authorization", authorization.as_str()), ("content-type", FORM)];
        let answer =
            send(gateway.address, Method::POST, "/v1/files", &headers, form("batch", line(0, model).as_bytes())).await;
        assert!(code.is_empty() || answer.code() == code, "{}", answer.text());
    }
    let unknown = gateway
        .post("/v1/batches", &[], json!({"input_file_id": "file-1", "endpoint": "/v1/responses"}).to_string())
        .await;
    assert_eq!((unknown.status, unknown.code().as_str()), (404, "not_found"));
}

/// What one server reads and another does not would be a way around the list of allowed models.
#[tokio::test]
async fn a_model_of_a_batch_cannot_be_hidden() {
    let (one, other) = (azure().await, azure().await);
    let gateway = Gateway::start(&config_of(&one, &other)).await;
    let part =
        |head: &str, content: &str| format!("--b0und\r\nContent-Disposition: form-data; {head}\r\n\r\n{content}\r\n");
    let file = |lines: &str| part("name=file; filename=a.jsonl", lines);
    let line = |body: &str| {
        format!(r#"{{"custom_id":"1","method":"POST","url":"/v1/chat/completions","body":{{"messages":[],{body}}}}}"#)
    };
    let (allowed, hidden) = (&line(r#""model":"dotted""#), &line(r#""model":"gpt-4o""#));
    let batch = part("name=purpose", "batch");
    let forms = [
        (file(allowed) + &batch, 200),
        (file(hidden) + &batch, 403),
        (file(hidden) + &batch + &part("name=purpose", "user_data"), 400),
        (file(hidden) + &part("name=purpose", "Batch"), 400),
        (file(hidden) + &part("name=purpose", "\u{feff}batch"), 400),
        (file(hidden) + &part("name=purpose", &format!("batch{}", " ".repeat(5_000))), 400),
        (file(hidden) + &part("name=purpose; filename*=x", "batch"), 400),
        (file(hidden) + &part("name=purpose\r\ncontent-transfer-encoding: base64", "YmF0Y2g="), 400),
        (file(&format!("{allowed}\n{{\"x\":\n{hidden}\n}}")) + &batch, 400),
        (file(&format!("{allowed}\n{{}}")) + &batch, 400),
        (file(hidden) + &part("name=Purpose", "batch"), 400),
        (part("name=x; filename=x", allowed) + &file(hidden) + &batch, 400),
        (part("name=file; filename=\"\"", hidden) + &batch, 400),
        (part("name=x; filename=\"\"", allowed) + &file(hidden) + &batch, 400),
        (file(allowed) + &part("name=File", hidden) + &batch, 400),
        (file(&line(r#""mod\u0065l":"gpt-4o","model":"dotted""#)) + &batch, 400),
        (file(&format!("{allowed}\n,\n{hidden}")) + &batch, 400),
        (file(allowed) + "--b0und--x\r\n" + &file(hidden) + &batch, 400),
    ];
    for (form, status) in forms {
        let headers = [("authorization", "Bearer azg-narrow"), ("content-type", FORM)];
        let answer = send(gateway.address, Method::POST, "/v1/files", &headers, form.clone() + "--b0und--\r\n").await;
        assert_eq!(answer.status, status, "{form}: {}", answer.text());
    }
    // Each names another boundary, and readers differ in which they take.
    let other_boundary = "multipart/form-data; boundary=x";
    let headers = [("authorization", "Bearer azg-narrow"), ("content-type", FORM), ("content-type", other_boundary)];
    let form = file(allowed) + &batch + "--b0und--\r\n";
    let twice = send(gateway.address, Method::POST, "/v1/files", &headers, form).await;
    assert_eq!(twice.status, 400, "{}", twice.text());
    assert!(twice.text().contains("more than one `content-type`"), "{}", twice.text());
    assert_eq!(one.recorded().len() + other.recorded().len(), 1);
}

#[tokio::test]
async fn an_upload_is_not_repeated_once_it_may_have_been_taken() {
    let (one, other) = (azure().await, azure().await);
    let gateway = Gateway::start(&config_of(&one, &other)).await;
    let count = || one.recorded().len() + other.recorded().len();
    for fault in ["reset-before-head", "status=500"] {
        let before = count();
        let answer = faulty(&gateway, "user_data", &[1; 300_000], fault).await;
        assert!(answer.status >= 500, "{}", answer.text());
        assert_eq!(count() - before, 1, "{fault}");
        assert_eq!(answer.text().contains("it was not sent again"), fault == "reset-before-head", "{}", answer.text());
    }
    // A closed door has taken nothing.
    let before = count();
    let throttled = faulty(&gateway, "user_data", b"x", "status=429").await;
    assert_eq!((throttled.status, count() - before), (429, 2));
}
