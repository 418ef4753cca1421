//! What the simulated Claude says, as one document and as a stream of the same blocks.

use serde_json::{Value, json};

use super::super::answer::Reply;
use super::super::filters;
use super::super::schema_instance::instance;
use super::super::scripted;
use super::super::words::{self, Seed};
use super::request::{Choice, MessagesRequest};

/// How much of the prompt an answer repeats, in characters.
const REPEATED: usize = 400;

/// In a prompt: think in a block that nobody can read.
const REDACTED: &str = "[[redacted-thinking]]";
/// In a prompt: call tools so many times.
const CALLS: &str = "[[calls=";

const SIGNATURE: &str = "EqSim";
const THOUGHT: &str = "The user wants an answer, so one is given.";

/// Prompts with a cache mark are read from the cache in part.
const CACHED_PART: usize = 2;

enum Block {
    Thinking(String),
    Redacted(String),
    Text(String),
    Call { id: String, name: String, input: String },
}

struct Spoken {
    blocks: Vec<Block>,
    reason: &'static str,
    sequence: Option<String>,
    tokens: usize,
}

/// Answers as a document or as a stream.
pub fn of(request: &MessagesRequest<'_>) -> Reply {
    let spoken = speak(request);
    let id = words::id("msg_", 24);
    if request.stream {
        Reply::Messages(events(request, &spoken, &id))
    } else {
        Reply::Json(document(request, &spoken, &id))
    }
}

/// Whether a signature is one that this simulator made.
pub fn is_signature(text: &str) -> bool {
    text.starts_with(SIGNATURE)
}

fn speak(request: &MessagesRequest<'_>) -> Spoken {
    let prompt = &request.prompt;
    let mut blocks = Vec::new();
    if request.thinks {
        let signature = format!("{SIGNATURE}{:016x}", Seed::of(&prompt.last).next());
        blocks.push(if prompt.said.contains(REDACTED) {
            Block::Redacted(signature)
        } else {
            Block::Thinking(signature)
        });
    }
    let thought = if blocks.is_empty() { 0 } else { words::count(THOUGHT) };
    if prompt.said.contains(filters::REFUSE) {
        return Spoken { blocks, reason: "refusal", sequence: None, tokens: thought };
    }
    let calls = calls(request);
    if !calls.is_empty() {
        let cost = |call: &Block| if let Block::Call { input, .. } = call { 8 + words::count(input) } else { 0 };
        let tokens = thought + calls.iter().map(cost).sum::<usize>();
        blocks.extend(calls);
        return Spoken { blocks, reason: "tool_use", sequence: None, tokens };
    }
    let mut text = text(request);
    let (mut reason, mut sequence) = ("end_turn", None);
    let stop = request.stop.iter().filter_map(|stop| Some((text.find(stop)?, *stop))).min();
    if let Some((end, stop)) = stop {
        text.truncate(end);
        (reason, sequence) = ("stop_sequence", Some(stop.to_owned()));
    }
    if words::count(&text) > request.limit {
        text = words::of_length(&text, request.limit);
        (reason, sequence) = ("max_tokens", None);
    }
    let tokens = thought + words::count(&text);
    if !text.is_empty() {
        blocks.push(Block::Text(text));
    }
    Spoken { blocks, reason, sequence, tokens }
}

fn text(request: &MessagesRequest<'_>) -> String {
    let prompt = &request.prompt;
    let said = words::shortened(&prompt.last, REPEATED);
    let who = if prompt.ends_with_results { "The tool answered" } else { "You said" };
    let with =
        if prompt.attachments > 0 { format!(" (with {} attachments)", prompt.attachments) } else { String::new() };
    let text = format!("{who}: {said}{with}");
    request.call.tokens.map_or(text.clone(), |tokens| words::of_length(&text, tokens))
}

fn calls(request: &MessagesRequest<'_>) -> Vec<Block> {
    let prompt = &request.prompt;
    if let Some(call) = scripted::due(&prompt.said, prompt.answered)
        && request.tools.iter().any(|tool| tool.name == call.name)
    {
        return vec![Block::Call { id: words::id("toolu_", 24), name: call.name, input: call.arguments }];
    }
    let last = prompt.last.to_lowercase();
    let named = || request.tools.iter().filter(|tool| last.contains(&tool.name.to_lowercase()));
    let wanted = last.split_once(CALLS).and_then(|(_, rest)| rest.split_once("]]")?.0.parse::<usize>().ok());
    let chosen: Vec<_> = match request.choice {
        Choice::None => Vec::new(),
        Choice::Named(name) => request.tools.iter().filter(|tool| tool.name == name).collect(),
        Choice::Auto if prompt.ends_with_results || prompt.said.contains("[[call ") => Vec::new(),
        Choice::Any if named().next().is_none() => request.tools.iter().take(1).collect(),
        Choice::Auto if named().next().is_none() && wanted.is_some() => request.tools.iter().take(1).collect(),
        Choice::Auto | Choice::Any => named().collect(),
    };
    let count = if request.parallel { wanted.unwrap_or(chosen.len()).min(64) } else { 1 };
    let call = |tool: &&super::request::Tool<'_>| Block::Call {
        id: words::id("toolu_", 24),
        name: tool.name.to_owned(),
        input: instance(tool.schema, "").to_string(),
    };
    chosen.iter().cycle().take(if chosen.is_empty() { 0 } else { count }).map(call).collect()
}

/// `usage` at the start of an answer; what is read from the cache is not counted as input.
fn usage(request: &MessagesRequest<'_>, output: usize) -> Value {
    let prompt = request.prompt_tokens();
    let cached = if request.prompt.cache_marks == 0 { 0 } else { prompt / CACHED_PART };
    json!({
        "input_tokens": prompt - cached,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": cached,
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
        "output_tokens": output,
        "service_tier": "standard",
    })
}

fn document(request: &MessagesRequest<'_>, spoken: &Spoken, id: &str) -> String {
    let content: Vec<Value> = spoken.blocks.iter().map(whole).collect();
    json!({
        "id": id, "type": "message", "role": "assistant", "model": request.call.deployment.model,
        "content": content, "stop_reason": spoken.reason, "stop_sequence": spoken.sequence,
        "usage": usage(request, spoken.tokens),
    })
    .to_string()
}

fn whole(block: &Block) -> Value {
    match block {
        Block::Thinking(signature) => json!({"type": "thinking", "thinking": THOUGHT, "signature": signature}),
        Block::Redacted(data) => json!({"type": "redacted_thinking", "data": data}),
        Block::Text(text) => json!({"type": "text", "text": text}),
        Block::Call { id, name, input } => {
            let input: Value = serde_json::from_str(input).unwrap_or_else(|_| json!({}));
            json!({"type": "tool_use", "id": id, "name": name, "input": input})
        }
    }
}

fn events(request: &MessagesRequest<'_>, spoken: &Spoken, id: &str) -> Vec<String> {
    let message = json!({
        "id": id, "type": "message", "role": "assistant", "model": request.call.deployment.model,
        "content": [], "stop_reason": null, "stop_sequence": null, "usage": usage(request, 1),
    });
    let mut events = vec![json!({"type": "message_start", "message": message})];
    for (index, block) in spoken.blocks.iter().enumerate() {
        let (empty, deltas) = in_parts(block);
        events.push(json!({"type": "content_block_start", "index": index, "content_block": empty}));
        if index == 0 {
            events.push(json!({"type": "ping"}));
        }
        let delta = |delta| json!({"type": "content_block_delta", "index": index, "delta": delta});
        events.extend(deltas.into_iter().map(delta));
        events.push(json!({"type": "content_block_stop", "index": index}));
    }
    let ending = json!({"stop_reason": spoken.reason, "stop_sequence": spoken.sequence});
    events.push(json!({"type": "message_delta", "delta": ending, "usage": {"output_tokens": spoken.tokens}}));
    events.push(json!({"type": "message_stop"}));
    events.iter().map(Value::to_string).collect()
}

/// A block as it begins, and what is added to it.
fn in_parts(block: &Block) -> (Value, Vec<Value>) {
    match block {
        Block::Thinking(signature) => {
            let mut deltas: Vec<Value> = words::pieces(THOUGHT)
                .iter()
                .map(|piece| json!({"type": "thinking_delta", "thinking": piece}))
                .collect();
            deltas.push(json!({"type": "signature_delta", "signature": signature}));
            (json!({"type": "thinking", "thinking": "", "signature": ""}), deltas)
        }
        Block::Redacted(_) => (whole(block), Vec::new()),
        Block::Text(text) => {
            let deltas = words::pieces(text).iter().map(|piece| json!({"type": "text_delta", "text": piece})).collect();
            (json!({"type": "text", "text": ""}), deltas)
        }
        Block::Call { id, name, input } => {
            // Tools without arguments send none.
            let pieces = if input == "{}" { Vec::new() } else { words::pieces(input) };
            let deltas =
                pieces.iter().map(|piece| json!({"type": "input_json_delta", "partial_json": piece})).collect();
            (json!({"type": "tool_use", "id": id, "name": name, "input": {}}), deltas)
        }
    }
}
