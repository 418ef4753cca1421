//! A request as Chat Completions, for OpenAI deployments that are called that way.

use serde_json::{Map, Value, json};

use super::super::functions::{self, Shape};
use super::super::ids;
use super::super::model::{Gpt, Host, Target};
use super::super::refused::Refused;
use super::super::request::{CallResult, Document, Format, Media, Part, Request, Role, Source, Text, Turn};
use super::super::schema;

/// Stop sequences that Chat Completions takes.
const MOST_STOPS: usize = 4;

/// In a tool's result, whose attachments have to follow in a turn of the user.
const FOLLOWS: &str = "[an attachment of this result follows below]";

/// Writes a request.
pub fn write(request: &Request, target: &Target<'_>) -> Result<Value, Refused> {
    let gpt = Gpt::of(target);
    let mut body = Map::new();
    body.insert("model".into(), target.deployment.into());
    body.insert("messages".into(), Value::Array(messages(request)?));
    if let Some(limit) = request.limit {
        // Versions before `stream_options` know only the old name, and so do their models.
        let name = if target.host == Host::OldAzure { "max_tokens" } else { "max_completion_tokens" };
        body.insert(name.into(), limit.into());
    }
    for (name, value) in [("temperature", &request.temperature), ("top_p", &request.top_p)] {
        if let Some(value) = value.clone().filter(|_| gpt.samples()) {
            body.insert(name.into(), value.into());
        }
    }
    if !request.stop.is_empty() && takes_stops(request, target) {
        body.insert("stop".into(), json!(request.stop));
    }
    if let Some(effort) = request.thinking.as_ref().and_then(|thinking| gpt.effort(thinking.effort)) {
        body.insert("reasoning_effort".into(), effort.name().into());
    }
    functions::write(request, Shape::Nested, &mut body);
    if let Some(format) = &request.format {
        body.insert("response_format".into(), response_format(format));
    }
    if let Some(user) = &request.user {
        body.insert("user".into(), ids::hash(user).into());
    }
    // Dated versions do not know the field.
    if let Some(key) = request.cache_key.as_deref().filter(|_| target.host == Host::Maker) {
        body.insert("prompt_cache_key".into(), key.into());
    }
    if let Some(verbosity) = &request.verbosity {
        body.insert("verbosity".into(), verbosity.as_str().into());
    }
    if request.stream {
        body.insert("stream".into(), true.into());
        let options = match target.host {
            Host::OldAzure => None,
            Host::Azure => Some(json!({"include_usage": true})),
            Host::Maker => Some(json!({"include_usage": true, "include_obfuscation": false})),
        };
        body.extend(options.map(|options| ("stream_options".into(), options)));
    }
    Ok(Value::Object(body))
}

/// Whether the model takes the request's stop sequences. Models that reason take none.
pub fn takes_stops(request: &Request, target: &Target<'_>) -> bool {
    request.stop.len() <= MOST_STOPS && Gpt::of(target).samples()
}

fn messages(request: &Request) -> Result<Vec<Value>, Refused> {
    let mut messages = Vec::with_capacity(request.turns.len() + 1);
    if !request.system.is_empty() {
        messages.push(json!({"role": "system", "content": texts(request.system.iter())}));
    }
    for turn in &request.turns {
        match turn.role {
            Role::System => messages.push(json!({"role": "system", "content": texts(said(turn))})),
            Role::User => user(turn, &mut messages)?,
            Role::Assistant => messages.extend(assistant(turn)),
        }
    }
    Ok(messages)
}

fn said(turn: &Turn) -> impl Iterator<Item = &Text> {
    turn.parts.iter().filter_map(|part| if let Part::Text(text) = part { Some(text) } else { None })
}

/// One text as it is, several as parts of their own.
fn texts<'a>(texts: impl Iterator<Item = &'a Text>) -> Value {
    let parts: Vec<&Text> = texts.collect();
    match parts.as_slice() {
        [only] => only.text.as_str().into(),
        _ => parts.iter().map(|text| json!({"type": "text", "text": text.text})).collect(),
    }
}

/// Results of calls come first, each a message of its own; the rest of the turn follows.
fn user(turn: &Turn, messages: &mut Vec<Value>) -> Result<(), Refused> {
    let mut rest = Vec::new();
    for part in &turn.parts {
        match part {
            Part::Result(result) => messages.push(tool_message(result, &mut rest)?),
            Part::Text(text) => rest.push(json!({"type": "text", "text": text.text})),
            Part::Image(image) => rest.push(image_part(image)?),
            Part::Document(document) => rest.push(document_part(document)?),
            Part::Refusal(_) | Part::Thought(_) | Part::Call(_) => {}
        }
    }
    match rest.as_slice() {
        [] => {}
        [only] if only["type"] == "text" => messages.push(json!({"role": "user", "content": only["text"]})),
        _ => messages.push(json!({"role": "user", "content": rest})),
    }
    Ok(())
}

fn tool_message(result: &CallResult, rest: &mut Vec<Value>) -> Result<Value, Refused> {
    let mut text = if result.failed { "Error: ".to_owned() } else { String::new() };
    for (index, part) in result.parts.iter().enumerate() {
        text.push_str(if index > 0 { "\n" } else { "" });
        let attachment = match part {
            Part::Text(said) => {
                text.push_str(&said.text);
                continue;
            }
            Part::Image(image) => image_part(image)?,
            Part::Document(document) => match &document.media.source {
                Source::Text(said) => {
                    text.push_str(said);
                    continue;
                }
                _ => document_part(document)?,
            },
            _ => continue,
        };
        text.push_str(FOLLOWS);
        rest.push(attachment);
    }
    Ok(json!({"role": "tool", "tool_call_id": ids::call(&result.id), "content": text}))
}

fn image_part(image: &Media) -> Result<Value, Refused> {
    Ok(json!({"type": "image_url", "image_url": {"url": image.address("image")?}}))
}

fn document_part(document: &Document) -> Result<Value, Refused> {
    match &document.media.source {
        Source::Text(text) => Ok(json!({"type": "text", "text": text})),
        Source::Url(_) => {
            Err(Refused::not_supported("document.source.url", "Chat Completions takes documents as data only"))
        }
        Source::Base64 { .. } => {
            let name = document.name.as_deref().unwrap_or("document.pdf");
            let data = document.media.address("document")?;
            Ok(json!({"type": "file", "file": {"filename": name, "file_data": data}}))
        }
    }
}

/// `None` when nothing of the turn can be said here.
fn assistant(turn: &Turn) -> Option<Value> {
    let call = |part: &Part| {
        let Part::Call(call) = part else { return None };
        let function = json!({"name": call.name, "arguments": call.arguments});
        Some(json!({"id": ids::call(&call.id), "type": "function", "function": function}))
    };
    let calls: Vec<Value> = turn.parts.iter().filter_map(call).collect();
    let refused = |part: &Part| if let Part::Refusal(text) = part { Some(text.clone()) } else { None };
    let refusal: String = turn.parts.iter().filter_map(refused).collect();
    let spoken = said(turn).next().is_some();
    if calls.is_empty() && refusal.is_empty() && !spoken {
        return None;
    }
    let mut message = Map::new();
    message.insert("role".into(), "assistant".into());
    message.insert("content".into(), if spoken { texts(said(turn)) } else { Value::Null });
    if !refusal.is_empty() {
        message.insert("refusal".into(), refusal.into());
    }
    if !calls.is_empty() {
        message.insert("tool_calls".into(), calls.into());
    }
    Some(Value::Object(message))
}

fn response_format(format: &Format) -> Value {
    match format {
        Format::Json => json!({"type": "json_object"}),
        Format::Schema { name, schema, strict } => {
            let strict = strict.unwrap_or(false) && schema::is_strict(schema);
            let name = name.as_deref().unwrap_or(schema::UNNAMED);
            json!({"type": "json_schema", "json_schema": {"name": name, "schema": schema, "strict": strict}})
        }
    }
}
