//! Files, whole and in parts, and batches of the simulated Azure: kept by one resource, unknown to every other, and open to all of its callers.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header, request};
use serde_json::{Map, Value, json};

use super::answer::{Answer, Content};
use super::body::Fields;
use super::errors::Refusal;
use super::form::File;
use super::page;
use super::uploads::{Parts, Upload};
use super::words;
use crate::base::locks::lock;

pub const PURPOSES: [&str; 6] = ["assistants", "batch", "evals", "fine-tune", "user_data", "vision"];
const ENDPOINTS: [&str; 4] = ["/chat/completions", "/v1/chat/completions", "/v1/responses", "/v1/embeddings"];

/// What can be done with files and batches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Files {
    Upload,
    List,
    Retrieve(String),
    Delete(String),
    Content(String),
    Parts(Parts),
    BatchCreate,
    BatchList,
    BatchRetrieve(String),
    BatchCancel(String),
}

/// What one resource holds.
#[derive(Debug, Default)]
pub struct FileStore {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
pub struct Kept {
    files: BTreeMap<String, (Value, Bytes)>,
    pub uploads: BTreeMap<String, Upload>,
    batches: BTreeMap<String, Value>,
}

impl FileStore {
    /// Answers one operation. `exists` tells which deployments there are.
    pub fn answer(
        &self,
        what: &Files,
        head: &request::Parts,
        body: &Map<String, Value>,
        files: &[File],
        exists: impl Fn(&str) -> bool,
    ) -> Result<Answer, Refusal> {
        let (mut kept, query) = (self.kept(), head.uri.query().unwrap_or_default());
        let answer = match what {
            Files::Upload => return kept.upload(body, files).map(|file| made(&file, head)),
            Files::Parts(what) => kept.in_parts(what, body, files)?,
            Files::List => page::of(kept.files.values().map(|(file, _)| file.clone()).collect(), query)?,
            Files::Retrieve(id) => kept.file(id)?.0.clone(),
            Files::Delete(id) => {
                kept.files.remove(id).ok_or_else(|| missing("File", id))?;
                json!({"id": id, "object": "file", "deleted": true})
            }
            Files::Content(id) => return Ok(content(&kept.file(id)?.1, &head.headers)),
            Files::BatchCreate => kept.batch(body, exists)?,
            Files::BatchList => page::of(kept.batches.values().cloned().collect(), query)?,
            Files::BatchRetrieve(id) => kept.progress(id)?,
            Files::BatchCancel(id) => {
                let batch = kept.batches.get_mut(id).ok_or_else(|| missing("Batch", id))?;
                batch["status"] = json!("cancelling");
                batch.clone()
            }
        };
        Ok(Answer::json(200, answer.to_string()))
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        lock(&self.kept)
    }
}

impl Kept {
    fn upload(&mut self, body: &Map<String, Value>, files: &[File]) -> Result<Value, Refusal> {
        let fields = Fields::of_body(body);
        let purpose = fields.required("purpose")?.as_str().unwrap_or_default();
        if !PURPOSES.contains(&purpose) {
            return Err(fields.wrong_value("purpose", purpose, &PURPOSES));
        }
        let file = files.iter().find(|file| file.field == "file").ok_or_else(|| {
            Refusal::invalid("Missing required parameter: 'file'.", Some("file"), Some("missing_required_parameter"))
        })?;
        if purpose == "batch" {
            lines(&file.content)?;
        }
        Ok(self.keep(&file.name, purpose, file.content.clone().into()))
    }

    pub fn keep(&mut self, name: &str, purpose: &str, content: Bytes) -> Value {
        let id = words::id("file-", 32);
        let file = json!({
            "id": id, "object": "file", "bytes": content.len(), "created_at": words::now(), "filename": name,
            "purpose": purpose, "status": "processed",
        });
        self.files.insert(id, (file.clone(), content));
        file
    }

    fn file(&self, id: &str) -> Result<&(Value, Bytes), Refusal> {
        self.files.get(id).ok_or_else(|| missing("File", id))
    }

    fn batch(&mut self, body: &Map<String, Value>, exists: impl Fn(&str) -> bool) -> Result<Value, Refusal> {
        let fields = Fields::of_body(body);
        fields.only(&["input_file_id", "endpoint", "completion_window", "metadata", "output_expires_after"])?;
        let input = fields.required("input_file_id")?.as_str().unwrap_or_default();
        fields.choice("endpoint", &ENDPOINTS)?;
        fields.choice("completion_window", &["24h"])?;
        let lines = lines(&self.file(input)?.1)?;
        let unknown = lines.iter().filter_map(|line| line["body"]["model"].as_str()).find(|model| !exists(model));
        let errors = unknown.map(|model| {
            json!({"object": "list", "data": [{"code": "model_not_found", "message": format!("The deployment '{model}' does not exist.")}]})
        });
        let id = words::id("batch_", 32);
        let batch = json!({
            "id": id, "object": "batch", "endpoint": fields.get("endpoint"), "errors": errors, "input_file_id": input,
            "completion_window": "24h", "status": if errors.is_some() { "failed" } else { "validating" },
            "output_file_id": null, "error_file_id": null, "created_at": words::now(), "metadata": fields.get("metadata"),
            "request_counts": {"total": lines.len(), "completed": 0, "failed": 0},
        });
        self.batches.insert(id, batch.clone());
        Ok(batch)
    }

    /// A batch is done when somebody asks for it.
    fn progress(&mut self, id: &str) -> Result<Value, Refusal> {
        let mut batch = self.batches.get(id).cloned().ok_or_else(|| missing("Batch", id))?;
        if batch["status"] == "validating" {
            let input = self.file(batch["input_file_id"].as_str().unwrap_or_default())?.1.clone();
            let answers: Vec<String> = lines(&input)?.iter().map(answered).collect();
            let output = self.keep("output.jsonl", "batch_output", answers.join("\n").into());
            batch["status"] = json!("completed");
            batch["output_file_id"] = output["id"].clone();
            batch["request_counts"]["completed"] = json!(answers.len());
            self.batches.insert(id.to_owned(), batch.clone());
        }
        Ok(batch)
    }
}

fn answered(line: &Value) -> String {
    let body = json!({"object": "chat.completion", "model": line["body"]["model"], "choices": []});
    json!({"custom_id": line["custom_id"], "response": {"status_code": 200, "body": body}, "error": null}).to_string()
}

fn lines(content: &[u8]) -> Result<Vec<Value>, Refusal> {
    let text = content.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
    let parsed =
        text.map(|line| serde_json::from_slice::<Value>(line).ok().filter(|line| line["custom_id"].is_string()));
    parsed.collect::<Option<Vec<Value>>>().filter(|lines| !lines.is_empty()).ok_or_else(|| {
        Refusal::invalid("Invalid file format for Batch API. Must be .jsonl", Some("file"), Some("invalid_json_line"))
    })
}

/// A file, or the range of it that was asked for (`bytes=a-b`).
pub fn content(bytes: &Bytes, headers: &HeaderMap) -> Answer {
    let asked =
        headers.get(header::RANGE).and_then(|value| value.to_str().ok()?.strip_prefix("bytes=")?.split_once('-'));
    let range = asked.and_then(|(from, to)| {
        let from: usize = from.parse().ok()?;
        let to = to.parse::<usize>().map_or(bytes.len(), |to| (to + 1).min(bytes.len()));
        (from < to).then_some(from..to)
    });
    let mut answer = Answer::json(if range.is_some() { 206 } else { 200 }, String::new());
    answer.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    if let Some(range) = &range
        && let Ok(value) = HeaderValue::try_from(format!("bytes {}-{}/{}", range.start, range.end - 1, bytes.len()))
    {
        answer.headers.insert(header::CONTENT_RANGE, value);
    }
    answer.content = Content::Whole(range.map_or_else(|| bytes.clone(), |range| bytes.slice(range)));
    answer
}

/// A file that was made, and where the resource says that it is: an address of its own.
fn made(file: &Value, head: &request::Parts) -> Answer {
    let classic = !head.uri.path().starts_with("/openai/v1/");
    let mut answer = Answer::json(if classic { 201 } else { 200 }, file.to_string());
    let host = head.headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
    let id = file["id"].as_str().unwrap_or_default();
    if let Ok(location) = HeaderValue::try_from(format!("https://{host}/openai/files/{id}")) {
        answer.headers.insert(header::LOCATION, location);
    }
    answer
}

pub fn missing(what: &str, id: &str) -> Refusal {
    Refusal::missing(&format!("No such {what} object: {id}"))
}
