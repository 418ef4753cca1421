//! A request as Messages, for Claude deployments.

use serde_json::{Map, Value, json};

use super::super::ids;
use super::super::model::{Claude, Host, Sampling, Target};
use super::super::refused::Refused;
use super::super::request::{
    Call, Document, Effort, Format, Media, Part, Proof, Request, Role, Source, Text, Thinking, Tool, ToolChoice,
};
use super::super::schema;
use super::message::{Kind, Messages};

/// Below this a budget is refused.
const LEAST_BUDGET: u64 = 1024;

/// Longest `metadata.user_id`.
const LONGEST_USER: usize = 256;

/// The tool that stands for structured output where that is not offered. It is never shown to the caller.
const ANSWER_TOOL: &str = "azgate_structured_answer";
const ANSWER_TOOL_SAYS: &str =
    "Give the final answer to the user by calling this tool, once, with the answer as its input.";

const JSON_ONLY: &str = "Answer with one valid JSON object and with nothing before or behind it.";

/// A request written down, and what its answer has to be read with.
#[derive(Debug)]
pub struct Written {
    pub body: Value,
    /// The tool whose input is the answer's text.
    pub answer_tool: Option<&'static str>,
}

/// Writes a request.
pub fn write(request: &Request, target: &Target<'_>) -> Result<Written, Refused> {
    let claude = Claude::of(target);
    let limit = request.limit.unwrap_or(claude.limit).max(1);
    let thinking = request.thinking.as_ref().and_then(|thinking| how_to_think(thinking, claude, limit, request));
    let thinks = thinking.as_ref().is_some_and(|thinking| thinking["type"] != "disabled");
    let mut body = Map::new();
    body.insert("model".into(), target.deployment.into());
    body.insert("max_tokens".into(), limit.into());
    let system = system(request);
    if !system.is_empty() {
        body.insert("system".into(), system.into());
    }
    body.insert("messages".into(), messages(request)?.into());
    sampling(request, claude, thinks, &mut body);
    let stop: Vec<&String> = request.stop.iter().filter(|stop| !stop.trim().is_empty()).collect();
    if !stop.is_empty() {
        body.insert("stop_sequences".into(), json!(stop));
    }
    body.extend(thinking.map(|thinking| ("thinking".into(), thinking)));
    let (config, answer_tool) = output_config(request, claude, thinks, target.host);
    body.extend(config.map(|config| ("output_config".into(), config)));
    tools(request, target.host, thinks, answer_tool, &mut body);
    if let Some(user) = &request.user {
        let user = if user.len() > LONGEST_USER { ids::hash(user) } else { user.clone() };
        body.insert("metadata".into(), json!({"user_id": user}));
    }
    if request.stream {
        body.insert("stream".into(), true.into());
    }
    Ok(Written { body: Value::Object(body), answer_tool })
}

/// All instructions in front, those from the middle of the conversation too: Claude has no other place for them.
fn system(request: &Request) -> Vec<Value> {
    let later = request.turns.iter().filter(|turn| turn.role == Role::System).flat_map(|turn| &turn.parts);
    let later = later.filter_map(|part| if let Part::Text(text) = part { Some(text) } else { None });
    let json_only = Text::plain(JSON_ONLY);
    let wanted = (request.format == Some(Format::Json)).then_some(&json_only);
    let texts = request.system.iter().chain(later).chain(wanted);
    texts.filter(|text| !text.text.trim().is_empty()).map(text).collect()
}

fn messages(request: &Request) -> Result<Vec<Value>, Refused> {
    let mut messages = Messages::default();
    for turn in request.turns.iter().filter(|turn| turn.role != Role::System) {
        for part in &turn.parts {
            let Some(block) = block(part)? else { continue };
            let kind = if matches!(part, Part::Result(_)) { Kind::Result } else { Kind::Other };
            messages.add(turn.role, kind, block);
        }
    }
    Ok(messages.done())
}

/// `None` for what Claude cannot be told.
fn block(part: &Part) -> Result<Option<Value>, Refused> {
    Ok(Some(match part {
        Part::Text(said) if said.text.trim().is_empty() => return Ok(None),
        Part::Text(said) => text(said),
        Part::Refusal(said) if said.trim().is_empty() => return Ok(None),
        Part::Refusal(said) => json!({"type": "text", "text": said}),
        Part::Image(image) => marked(json!({"type": "image", "source": source(image)}), &image.cache),
        Part::Document(document) => self::document(document),
        Part::Thought(thought) => match &thought.proof {
            Proof::Signature(signature) if !signature.is_empty() => {
                json!({"type": "thinking", "thinking": thought.text, "signature": signature})
            }
            Proof::Redacted(data) => json!({"type": "redacted_thinking", "data": data}),
            Proof::Signature(_) | Proof::Encrypted { .. } => return Ok(None),
        },
        Part::Call(call) => {
            let input = input(call)?;
            marked(
                json!({"type": "tool_use", "id": ids::call(&call.id), "name": call.name, "input": input}),
                &call.cache,
            )
        }
        Part::Result(result) => {
            let mut content = Vec::new();
            for part in &result.parts {
                content.extend(block(part)?);
            }
            let mut block = json!({"type": "tool_result", "tool_use_id": ids::call(&result.id)});
            if !content.is_empty() {
                block["content"] = content.into();
            }
            if result.failed {
                block["is_error"] = true.into();
            }
            marked(block, &result.cache)
        }
    }))
}

fn text(text: &Text) -> Value {
    marked(json!({"type": "text", "text": text.text}), &text.cache)
}

fn marked(mut block: Value, cache: &Option<Value>) -> Value {
    if let Some(cache) = cache {
        block["cache_control"] = cache.clone();
    }
    block
}

fn source(media: &Media) -> Value {
    match &media.source {
        Source::Base64 { media_type, data } => json!({"type": "base64", "media_type": media_type, "data": data}),
        Source::Url(url) => json!({"type": "url", "url": url}),
        Source::Text(text) => json!({"type": "text", "media_type": "text/plain", "data": text}),
    }
}

fn document(document: &Document) -> Value {
    let mut block = json!({"type": "document", "source": source(&document.media)});
    if let Some(name) = &document.name {
        block["title"] = name.as_str().into();
    }
    marked(block, &document.media.cache)
}

/// The object that a call's text stands for.
fn input(call: &Call) -> Result<Value, Refused> {
    if call.arguments.trim().is_empty() {
        return Ok(json!({}));
    }
    let parsed = serde_json::from_str::<Value>(&call.arguments).ok().filter(Value::is_object);
    parsed.ok_or_else(|| Refused::invalid(format!("arguments of the call `{}`", call.id), "JSON text of an object"))
}

fn sampling(request: &Request, claude: Claude, thinks: bool, body: &mut Map<String, Value>) {
    if thinks || claude.sampling == Sampling::None {
        return;
    }
    // OpenAI's scale reaches to 2, Claude's to 1.
    let temperature =
        request.temperature.clone().map(|value| if value.as_f64() > Some(1.0) { 1.into() } else { value });
    let alone = claude.sampling == Sampling::Either && temperature.is_some();
    body.extend(temperature.map(|value| ("temperature".into(), value.into())));
    body.extend(request.top_p.clone().filter(|_| !alone).map(|value| ("top_p".into(), value.into())));
}

/// `None` when nothing is to be said about thinking.
fn how_to_think(thinking: &Thinking, claude: Claude, limit: u64, request: &Request) -> Option<Value> {
    if claude.adaptive {
        let kind = if thinking.effort == Effort::None { "disabled" } else { "adaptive" };
        let mut asked = json!({"type": kind});
        if thinking.shown && thinking.effort != Effort::None {
            asked["display"] = "summarized".into();
        }
        return Some(asked);
    }
    let wanted = match thinking.effort {
        Effort::None => return None,
        Effort::Minimal | Effort::Low => 2048,
        Effort::Medium => 8192,
        Effort::High | Effort::XHigh | Effort::Max => 24_576,
    };
    // What is thought counts towards the limit, and something has to be left for the answer.
    let budget = wanted.min(limit / 2);
    (budget >= LEAST_BUDGET && !calls_without_thought(request))
        .then(|| json!({"type": "enabled", "budget_tokens": budget}))
}

/// Whether the turn that results now answer had no thinking, which Claude refuses while it is to think within a budget.
fn calls_without_thought(request: &Request) -> bool {
    let last = request.turns.iter().rev().find(|turn| turn.role == Role::Assistant);
    let calls = |parts: &[Part]| parts.iter().any(|part| matches!(part, Part::Call(_)));
    let is_thought =
        |part: &Part| matches!(part, Part::Thought(thought) if !matches!(thought.proof, Proof::Encrypted { .. }));
    last.is_some_and(|turn| calls(&turn.parts) && !turn.parts.iter().any(is_thought))
}

fn output_config(request: &Request, claude: Claude, thinks: bool, host: Host) -> (Option<Value>, Option<&'static str>) {
    let mut config = Map::new();
    if let Some(thinking) = request.thinking.as_ref().filter(|_| thinks && claude.adaptive) {
        let effort = match thinking.effort {
            Effort::None | Effort::Minimal => Effort::Low,
            Effort::XHigh if claude.sampling != Sampling::None => Effort::High,
            effort => effort,
        };
        config.insert("effort".into(), effort.name().into());
    }
    let mut answer_tool = None;
    if let Some(Format::Schema { schema, .. }) = &request.format {
        match host {
            Host::Maker => drop(config.insert("format".into(), json!({"type": "json_schema", "schema": schema}))),
            Host::Azure | Host::OldAzure => answer_tool = Some(ANSWER_TOOL),
        }
    }
    ((!config.is_empty()).then_some(Value::Object(config)), answer_tool)
}

fn tools(
    request: &Request,
    host: Host,
    thinks: bool,
    answer_tool: Option<&'static str>,
    body: &mut Map<String, Value>,
) {
    let mut tools: Vec<Value> = request.tools.iter().map(|tool| self::tool(tool, host)).collect();
    if let (Some(name), Some(Format::Schema { schema, .. })) = (answer_tool, &request.format) {
        tools.push(json!({"name": name, "description": ANSWER_TOOL_SAYS, "input_schema": schema}));
    }
    if tools.is_empty() {
        return;
    }
    let own = request.has_tools() && request.tool_choice != Some(ToolChoice::None);
    let choice = match (answer_tool, &request.tool_choice) {
        // A model that thinks cannot be forced; the tool's description has to do.
        (_, Some(ToolChoice::Any | ToolChoice::Named(_))) | (Some(_), _) if thinks => Some(json!({"type": "auto"})),
        (_, Some(ToolChoice::Named(name))) => Some(json!({"type": "tool", "name": name})),
        (Some(name), _) if !own => Some(json!({"type": "tool", "name": name})),
        (Some(_), _) | (None, Some(ToolChoice::Any)) => Some(json!({"type": "any"})),
        (None, Some(ToolChoice::None)) => Some(json!({"type": "none"})),
        (None, Some(ToolChoice::Auto)) => Some(json!({"type": "auto"})),
        (None, None) => None,
    };
    let choice = match (choice, request.parallel) {
        (None, Some(false)) => Some(json!({"type": "auto", "disable_parallel_tool_use": true})),
        (Some(mut choice), Some(false)) if choice["type"] != "none" => {
            choice["disable_parallel_tool_use"] = true.into();
            Some(choice)
        }
        (choice, _) => choice,
    };
    body.insert("tools".into(), tools.into());
    body.extend(choice.map(|choice| ("tool_choice".into(), choice)));
}

fn tool(tool: &Tool, host: Host) -> Value {
    let mut written = Map::new();
    written.insert("name".into(), tool.name.as_str().into());
    if let Some(description) = &tool.description {
        written.insert("description".into(), description.as_str().into());
    }
    written.insert("input_schema".into(), schema::of_tool(tool));
    if tool.strict == Some(true) && host == Host::Maker {
        written.insert("strict".into(), true.into());
    }
    marked(Value::Object(written), &tool.cache)
}
