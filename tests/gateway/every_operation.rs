//! Every operation that an upstream serves as one request each, in an order in which each finds what it needs.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};

use crate::support::*;

const FORM: &str = "multipart/form-data; boundary=m1x";
const CHAT_MODEL: &str = "gpt-4o";

/// One request. `{file-}` in its path and body stands for the last id that began so.
pub struct Step {
    pub method: Method,
    pub path: &'static str,
    media: &'static str,
    body: String,
}

/// Makes the requests of one caller, and remembers the ids that were answered.
#[derive(Default)]
pub struct Walk {
    ids: BTreeMap<String, String>,
}

impl Walk {
    pub async fn take(&mut self, gateway: &Gateway, step: &Step) -> Answer {
        let (mut path, mut body) = (step.path.to_owned(), step.body.clone());
        for (prefix, id) in &self.ids {
            let place = format!("{{{prefix}}}");
            (path, body) = (path.replace(&place, id), body.replace(&place, id));
        }
        assert!(!path.contains('{'), "nothing was answered for {path}");
        let authorization = format!("Bearer {KEY}");
        let headers = [("authorization", authorization.as_str()), ("content-type", step.media)];
        // Only what has a type has a body.
        let headers = if step.media.is_empty() { &headers[..1] } else { &headers[..] };
        let answer = send(gateway.address, step.method.clone(), &path, headers, body).await;
        let id =
            serde_json::from_slice::<Value>(&answer.body).ok().and_then(|body| Some(body["id"].as_str()?.to_owned()));
        if let Some(id) = id.filter(|_| answer.status == 200)
            && let Some(end) = id.find(['_', '-'])
        {
            self.ids.insert(id[..=end].to_owned(), id);
        }
        answer
    }
}

fn ask(path: &'static str, body: &Value) -> Step {
    Step { method: Method::POST, path, media: "application/json", body: body.to_string() }
}

fn look(path: &'static str) -> Step {
    Step { method: Method::GET, path, media: "", body: String::new() }
}

fn delete(path: &'static str) -> Step {
    Step { method: Method::DELETE, ..look(path) }
}

fn order(path: &'static str) -> Step {
    Step { method: Method::POST, ..look(path) }
}

/// A form with a file named `field`, and other fields.
fn form(path: &'static str, field: &str, content: &str, others: &[(&str, &str)]) -> Step {
    let part = |name: &str, more: &str, content: &str| {
        format!("--m1x\r\nContent-Disposition: form-data; name=\"{name}\"{more}\r\n\r\n{content}\r\n")
    };
    let fields: String = others.iter().map(|(name, content)| part(name, "", content)).collect();
    let body = format!("{fields}{}--m1x--\r\n", part(field, "; filename=\"a.bin\"", content));
    Step { method: Method::POST, path, media: FORM, body }
}

/// What models of the OpenAI family answer, plain and streamed.
pub fn of_models() -> Vec<Step> {
    let said = json!([{"role": "user", "content": "Hi"}]);
    let image = |stream: bool| json!({"model": "gpt-image-1", "prompt": "a dot", "stream": stream});
    vec![
        ask("/v1/chat/completions", &json!({"model": CHAT_MODEL, "messages": said})),
        ask("/v1/chat/completions", &json!({"model": CHAT_MODEL, "messages": said, "stream": true})),
        ask("/v1/completions", &json!({"model": "gpt-35-turbo-instruct", "prompt": "Hi"})),
        ask("/v1/embeddings", &json!({"model": "text-embedding-3-small", "input": "Hi"})),
        ask("/v1/images/generations", &image(false)),
        ask("/v1/images/generations", &image(true)),
        form("/v1/images/edits", "image", "\u{89}PNG", &[("model", "gpt-image-1"), ("prompt", "a dot")]),
        form("/v1/audio/transcriptions", "file", "RIFF", &[("model", "whisper")]),
        form("/v1/audio/translations", "file", "RIFF", &[("model", "whisper")]),
        ask("/v1/audio/speech", &json!({"model": "tts", "input": "Hi", "voice": "alloy"})),
    ]
}

/// Responses, and what becomes of one that is kept.
pub fn of_responses() -> Vec<Step> {
    let create = |more: Value| {
        let mut body = json!({"model": CHAT_MODEL, "input": "Hi"});
        more.as_object().into_iter().flatten().for_each(|(name, value)| body[name] = value.clone());
        ask("/v1/responses", &body)
    };
    vec![
        create(json!({})),
        create(json!({"stream": true})),
        create(json!({"previous_response_id": "{resp_}"})),
        look("/v1/responses/{resp_}"),
        look("/v1/responses/{resp_}/input_items"),
        ask("/v1/responses/input_tokens", &json!({"model": CHAT_MODEL, "input": "Hi"})),
        ask("/v1/responses/compact", &json!({"model": CHAT_MODEL, "input": "Hi"})),
        create(json!({"background": true})),
        order("/v1/responses/{resp_}/cancel"),
        delete("/v1/responses/{resp_}"),
    ]
}

/// Files and batches.
pub fn of_files() -> Vec<Step> {
    let line = json!({"custom_id": "1", "method": "POST", "url": "/v1/chat/completions",
        "body": {"model": CHAT_MODEL, "messages": [{"role": "user", "content": "Hi"}]}});
    let batch = json!({"input_file_id": "{file-}", "endpoint": "/v1/chat/completions", "completion_window": "24h"});
    vec![
        form("/v1/files", "file", &line.to_string(), &[("purpose", "batch")]),
        ask("/v1/batches", &batch),
        look("/v1/batches/{batch_}"),
        order("/v1/batches/{batch_}/cancel"),
        look("/v1/files/{file-}"),
        look("/v1/files/{file-}/content"),
        delete("/v1/files/{file-}"),
    ]
}

/// Uploads in parts, and videos.
pub fn of_uploads_and_videos() -> Vec<Step> {
    let upload = json!({"filename": "a.txt", "purpose": "user_data", "bytes": 2, "mime_type": "text/plain"});
    vec![
        ask("/v1/uploads", &upload),
        form("/v1/uploads/{upload_}/parts", "data", "Hi", &[]),
        ask("/v1/uploads/{upload_}/complete", &json!({"part_ids": ["{part_}"]})),
        ask("/v1/uploads", &upload),
        order("/v1/uploads/{upload_}/cancel"),
        ask("/v1/videos", &json!({"model": "sora-2", "prompt": "a dot"})),
        look("/v1/videos/{video_}"),
        look("/v1/videos/{video_}"),
        look("/v1/videos/{video_}"),
        look("/v1/videos/{video_}/content"),
        delete("/v1/videos/{video_}"),
    ]
}

/// What Claude answers, in its own dialect and in the others.
pub fn of_claude() -> Vec<Step> {
    let said = json!([{"role": "user", "content": "Hi"}]);
    let message = |more: Value| {
        let mut body = json!({"model": "claude-sonnet-4-6", "messages": said, "max_tokens": 9});
        more.as_object().into_iter().flatten().for_each(|(name, value)| body[name] = value.clone());
        body
    };
    let count = json!({"model": "claude-sonnet-4-6", "messages": said});
    vec![
        ask("/anthropic/v1/messages", &message(json!({}))),
        ask("/anthropic/v1/messages", &message(json!({"stream": true}))),
        ask("/anthropic/v1/messages/count_tokens", &count),
        ask("/v1/chat/completions", &message(json!({}))),
        ask("/v1/responses", &json!({"model": "claude-sonnet-4-6", "input": "Hi", "store": false})),
    ]
}

/// The other way round, and the Azure SDK's own form of address.
pub fn of_other_ways() -> Vec<Step> {
    let said = json!([{"role": "user", "content": "Hi"}]);
    let message = json!({"model": CHAT_MODEL, "messages": said, "max_tokens": 50});
    vec![
        ask("/anthropic/v1/messages", &message),
        ask("/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21", &json!({"messages": said})),
        form("/openai/deployments/whisper/audio/transcriptions?api-version=2024-10-21", "file", "RIFF", &[]),
        ask("/openai/deployments/gpt-image-1/images/generations?api-version=2024-10-21", &json!({"prompt": "a dot"})),
        form(
            "/openai/deployments/gpt-image-1/images/edits?api-version=2025-04-01-preview",
            "image",
            "\u{89}PNG",
            &[("prompt", "a dot")],
        ),
        ask(
            "/openai/deployments/tts/audio/speech?api-version=2024-10-21",
            &json!({"model": null, "input": "Hi", "voice": "alloy"}),
        ),
    ]
}

/// Whether a body is what nobody can read as an error.
pub fn is_good(answer: &Answer) -> bool {
    answer.status == 200 && answer.complete && answer.body != Bytes::new()
}
