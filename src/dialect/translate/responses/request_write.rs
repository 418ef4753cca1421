//! A request as Responses, which OpenAI deployments are called with unless their alias says otherwise.

use serde_json::{Map, Value, json};

use super::super::functions::{self, Shape};
use super::super::ids;
use super::super::model::{Gpt, Target};
use super::super::refused::Refused;
use super::super::request::{
    CallResult, Document, Effort, Format, Media, Part, Proof, Request, Role, Source, Text, Thought, Turn,
};
use super::super::schema;

/// Fewer tokens are refused.
const LEAST_LIMIT: u64 = 16;

/// Writes a request. Nothing is stored: what is needed again travels with the conversation.
pub fn write(request: &Request, target: &Target<'_>) -> Result<Value, Refused> {
    let gpt = Gpt::of(target);
    let mut body = Map::new();
    body.insert("model".into(), target.deployment.into());
    let instructions: Vec<&str> = request.system.iter().map(|text| text.text.as_str()).collect();
    if !instructions.is_empty() {
        body.insert("instructions".into(), instructions.join("\n\n").into());
    }
    body.insert("input".into(), input(request, target)?.into());
    if let Some(limit) = request.limit {
        body.insert("max_output_tokens".into(), limit.max(LEAST_LIMIT).into());
    }
    for (name, value) in [("temperature", &request.temperature), ("top_p", &request.top_p)] {
        body.extend(value.clone().filter(|_| gpt.samples()).map(|value| (name.to_owned(), value.into())));
    }
    reasoning(request, gpt, &mut body);
    functions::write(request, Shape::Flat, &mut body);
    text(request, &mut body);
    body.extend(request.user.as_deref().map(|user| ("safety_identifier".into(), ids::hash(user).into())));
    body.extend(request.cache_key.clone().map(|key| ("prompt_cache_key".into(), key.into())));
    body.insert("store".into(), false.into());
    if request.stream {
        body.insert("stream".into(), true.into());
        body.insert("stream_options".into(), json!({"include_obfuscation": false}));
    }
    Ok(Value::Object(body))
}

fn reasoning(request: &Request, gpt: Gpt, body: &mut Map<String, Value>) {
    if gpt == Gpt::Plain {
        return;
    }
    let mut reasoning = Map::new();
    if let Some(thinking) = &request.thinking {
        let effort = gpt.effort(thinking.effort);
        reasoning.extend(effort.map(|effort| ("effort".into(), effort.name().into())));
        if thinking.shown && effort.is_some_and(|effort| effort != Effort::None) {
            reasoning.insert("summary".into(), "auto".into());
        }
    }
    // What is thought is needed again in the next turn, and only the client keeps it.
    if matches!(gpt, Gpt::Thinking { .. }) || !reasoning.is_empty() {
        body.insert("include".into(), json!(["reasoning.encrypted_content"]));
    }
    if !reasoning.is_empty() {
        body.insert("reasoning".into(), reasoning.into());
    }
}

fn input(request: &Request, target: &Target<'_>) -> Result<Vec<Value>, Refused> {
    let mut items = Vec::with_capacity(request.turns.len());
    for turn in &request.turns {
        match turn.role {
            Role::System => message("developer", turn, &mut items, target)?,
            Role::User => message("user", turn, &mut items, target)?,
            Role::Assistant => message("assistant", turn, &mut items, target)?,
        }
    }
    Ok(items)
}

/// The items of one turn in their order; what is said between two calls is a message of its own.
fn message(role: &str, turn: &Turn, items: &mut Vec<Value>, target: &Target<'_>) -> Result<(), Refused> {
    let mut content = Vec::new();
    for part in &turn.parts {
        let item = match part {
            Part::Text(text) => {
                content.push(said(role, text));
                continue;
            }
            Part::Refusal(text) => {
                content.push(json!({"type": "refusal", "refusal": text}));
                continue;
            }
            Part::Image(image) => {
                content.push(self::image(image)?);
                continue;
            }
            Part::Document(document) => {
                content.push(self::document(document)?);
                continue;
            }
            Part::Thought(thought) => match reasoning_item(thought, target) {
                Some(item) => item,
                None => continue,
            },
            Part::Call(call) => {
                let id = ids::call(&call.id);
                json!({"type": "function_call", "call_id": id, "name": call.name, "arguments": call.arguments})
            }
            Part::Result(result) => output(result)?,
        };
        close(role, &mut content, items);
        items.push(item);
    }
    close(role, &mut content, items);
    Ok(())
}

fn close(role: &str, content: &mut Vec<Value>, items: &mut Vec<Value>) {
    if !content.is_empty() {
        items.push(json!({"type": "message", "role": role, "content": std::mem::take(content)}));
    }
}

fn said(role: &str, text: &Text) -> Value {
    let kind = if role == "assistant" { "output_text" } else { "input_text" };
    json!({"type": kind, "text": text.text})
}

/// Reasoning goes back only to the resource that made it; any other would refuse the whole request.
fn reasoning_item(thought: &Thought, target: &Target<'_>) -> Option<Value> {
    let Proof::Encrypted { origin, id, content } = &thought.proof else { return None };
    if !target.recalls(origin) {
        return None;
    }
    let summary =
        if thought.text.is_empty() { json!([]) } else { json!([{"type": "summary_text", "text": thought.text}]) };
    Some(json!({"type": "reasoning", "id": id, "summary": summary, "encrypted_content": content}))
}

fn output(result: &CallResult) -> Result<Value, Refused> {
    let mut parts = Vec::new();
    if result.failed {
        parts.push(json!({"type": "input_text", "text": "Error:"}));
    }
    for part in &result.parts {
        match part {
            Part::Text(text) => parts.push(said("user", text)),
            Part::Image(image) => parts.push(self::image(image)?),
            Part::Document(document) => parts.push(self::document(document)?),
            _ => {}
        }
    }
    let texts: Option<Vec<&str>> = parts.iter().map(|part| part["text"].as_str()).collect();
    let output = texts.map_or_else(|| Value::Array(parts.clone()), |texts| texts.join("\n").into());
    Ok(json!({"type": "function_call_output", "call_id": ids::call(&result.id), "output": output}))
}

fn image(image: &Media) -> Result<Value, Refused> {
    Ok(json!({"type": "input_image", "image_url": image.address("image")?, "detail": "auto"}))
}

fn document(document: &Document) -> Result<Value, Refused> {
    let name = document.name.as_deref().unwrap_or("document.pdf");
    match &document.media.source {
        Source::Text(text) => Ok(json!({"type": "input_text", "text": text})),
        Source::Url(url) => Ok(json!({"type": "input_file", "file_url": url})),
        Source::Base64 { .. } => {
            let data = document.media.address("document")?;
            Ok(json!({"type": "input_file", "filename": name, "file_data": data}))
        }
    }
}

fn text(request: &Request, body: &mut Map<String, Value>) {
    let mut text = Map::new();
    match &request.format {
        None => {}
        Some(Format::Json) => drop(text.insert("format".into(), json!({"type": "json_object"}))),
        Some(Format::Schema { name, schema, strict }) => {
            let name = name.as_deref().unwrap_or(schema::UNNAMED);
            let strict = strict.unwrap_or(false) && schema::is_strict(schema);
            let format = json!({"type": "json_schema", "name": name, "schema": schema, "strict": strict});
            text.insert("format".into(), format);
        }
    }
    if let Some(verbosity) = &request.verbosity {
        text.insert("verbosity".into(), verbosity.as_str().into());
    }
    if !text.is_empty() {
        body.insert("text".into(), text.into());
    }
}
