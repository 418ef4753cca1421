//! What the simulated model says to a chat request, and the answer as one JSON document.
//! The same answer as a stream is left to `chat_stream`.

use serde_json::{Value, json};

use super::answer::Reply;
use super::chat_request::{ChatRequest, Format};
use super::chat_stream;
use super::errors::Refusal;
use super::filters;
use super::model_rules;
use super::schema_instance::instance;
use super::tools::{CallForm, ToolCall};
use super::words::{self, Seed};

/// How much of the prompt an answer repeats, in characters.
const REPEATED: usize = 400;

/// Prompts from this size on are partly cached, in steps of `CACHE_STEP`.
const CACHED_FROM: usize = 1024;
const CACHE_STEP: usize = 128;

const REFUSAL: &str = "I'm sorry, I can't assist with that request.";

/// One choice of the answer.
#[derive(Clone, Debug)]
pub struct Spoken {
    pub output: Output,
    pub finish_reason: &'static str,
    pub tokens: usize,
    pub thinking_tokens: usize,
}

#[derive(Clone, Debug)]
pub enum Output {
    Text(String),
    Refusal(String),
    Calls(Vec<ToolCall>),
    /// What was said before the filter struck.
    Filtered(String),
}

/// Answers as a document or as a stream.
pub fn answer(request: &ChatRequest<'_>) -> Result<Reply, Refusal> {
    let spoken: Vec<Spoken> = (0..request.n).map(|choice| speak(request, choice)).collect();
    Ok(match request.stream {
        Some(options) => Reply::Events(chat_stream::events(request, &spoken, options)),
        None => Reply::Json(document(request, &spoken).to_string()),
    })
}

/// `usage` of an answer.
pub fn usage(request: &ChatRequest<'_>, spoken: &[Spoken]) -> Value {
    let prompt = request.prompt_tokens();
    let thinking: usize = spoken.iter().map(|choice| choice.thinking_tokens).sum();
    let completion = thinking + spoken.iter().map(|choice| choice.tokens).sum::<usize>();
    let cached = if prompt < CACHED_FROM { 0 } else { prompt / 2 / CACHE_STEP * CACHE_STEP };
    json!({
        "completion_tokens": completion,
        "completion_tokens_details": {
            "accepted_prediction_tokens": 0,
            "audio_tokens": 0,
            "reasoning_tokens": thinking,
            "rejected_prediction_tokens": 0,
        },
        "prompt_tokens": prompt,
        "prompt_tokens_details": {"audio_tokens": 0, "cached_tokens": cached},
        "total_tokens": prompt + completion,
    })
}

/// The fingerprint that a model tells; reasoning models tell none.
pub fn fingerprint(model: &str) -> Value {
    if model_rules::reasoning(model).is_some() { Value::Null } else { json!("fp_b6f445fc1c") }
}

/// `logprobs` of one token.
pub fn token_logprob(token: &str, top: usize, seed: &mut Seed) -> Value {
    let entry = |token: &str, logprob: f64| json!({"token": token, "logprob": logprob, "bytes": token.as_bytes()});
    let best = -seed.fraction() / 2.0;
    let mut list = vec![entry(token, best)];
    let mut logprob = best;
    for rank in 1..top {
        logprob -= 1.0 + seed.fraction();
        list.push(entry(&format!("{token}{rank}"), logprob));
    }
    list.truncate(top);
    let mut told = entry(token, best);
    told["top_logprobs"] = Value::Array(list);
    told
}

/// The text of a call as `tool_calls` holds it.
pub fn call_value(call: &ToolCall) -> Value {
    match call.form {
        CallForm::Custom => {
            json!({"id": call.id, "type": "custom", "custom": {"name": call.name, "input": call.arguments}})
        }
        CallForm::Function | CallForm::Legacy => {
            json!({"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}})
        }
    }
}

fn speak(request: &ChatRequest<'_>, choice: usize) -> Spoken {
    let prompt = &request.prompt;
    let whole = |output, finish_reason, tokens| Spoken {
        output,
        finish_reason,
        tokens,
        thinking_tokens: request.thinking_tokens,
    };
    if prompt.has_mark(filters::REFUSE) {
        return whole(Output::Refusal(REFUSAL.to_owned()), "stop", words::count(REFUSAL));
    }
    if let Some(calls) = request.tools.calls(prompt) {
        let tokens = calls.calls.iter().map(|call| 8 + words::count(&call.arguments)).sum();
        return whole(Output::Calls(calls.calls), calls.finish_reason, tokens);
    }
    let mut text = text(request, choice);
    let mut finish_reason = "stop";
    if let Some(end) = request.stop.iter().filter_map(|stop| text.find(stop)).min() {
        text.truncate(end);
    }
    // The limit holds thinking and answer together: a small one leaves nothing to say.
    let limit = request.limit.unwrap_or(usize::MAX);
    let thinking_tokens = request.thinking_tokens.min(limit);
    let room = limit - thinking_tokens;
    if words::count(&text) > room {
        text = words::of_length(&text, room);
        finish_reason = "length";
    }
    if prompt.has_mark(filters::FILTER_COMPLETION) {
        let partial = words::of_length(&text, words::count(&text) / 2);
        let tokens = words::count(&partial);
        return Spoken { output: Output::Filtered(partial), finish_reason: "content_filter", tokens, thinking_tokens };
    }
    Spoken { tokens: words::count(&text), output: Output::Text(text), finish_reason, thinking_tokens }
}

fn text(request: &ChatRequest<'_>, choice: usize) -> String {
    let prompt = &request.prompt;
    let said = words::shortened(&prompt.last_text(), REPEATED);
    let mut answer = match (prompt.ends_with_tool(), choice) {
        (true, _) => format!("The tool answered: {said}"),
        (false, 0) => format!("You said: {said}"),
        (false, _) => format!("You said (answer {}): {said}", choice + 1),
    };
    match prompt.attachments() {
        0 => {}
        1 => answer.push_str(" (with 1 attachment)"),
        more => answer.push_str(&format!(" (with {more} attachments)")),
    }
    match request.format {
        Format::JsonSchema(schema) => instance(schema, "").to_string(),
        Format::JsonObject => json!({ "answer": answer }).to_string(),
        Format::Text => match request.call.tokens {
            Some(tokens) => words::of_length(&answer, tokens),
            None => answer,
        },
    }
}

fn document(request: &ChatRequest<'_>, spoken: &[Spoken]) -> Value {
    let model = &request.call.deployment.model;
    let choices: Vec<Value> = spoken.iter().enumerate().map(|(index, spoken)| choice(request, index, spoken)).collect();
    let mut document = json!({
        "choices": choices,
        "created": words::now(),
        "id": words::id("chatcmpl-", 29),
        "model": model,
        "object": "chat.completion",
        "prompt_filter_results": filters::prompts(1),
    });
    if model_rules::tells_service_tier(model) {
        document["service_tier"] = json!("default");
    }
    document["system_fingerprint"] = fingerprint(model);
    document["usage"] = usage(request, spoken);
    document
}

fn choice(request: &ChatRequest<'_>, index: usize, spoken: &Spoken) -> Value {
    let found = match spoken.output {
        Output::Text(_) | Output::Refusal(_) => filters::completion(),
        Output::Calls(_) => json!({}),
        Output::Filtered(_) => filters::blocked_completion(),
    };
    let mut choice = json!({
        "content_filter_results": found,
        "finish_reason": spoken.finish_reason,
        "index": index,
        "logprobs": logprobs(request, spoken),
    });
    // A completion that was filtered comes without a message at all.
    if let Some(message) = message(&spoken.output) {
        choice["message"] = message;
    }
    choice
}

fn message(output: &Output) -> Option<Value> {
    let plain = |content: Option<&str>, refusal: Option<&str>| json!({"annotations": [], "content": content, "refusal": refusal, "role": "assistant"});
    Some(match output {
        Output::Text(text) => plain(Some(text), None),
        Output::Refusal(text) => plain(None, Some(text)),
        Output::Filtered(_) => return None,
        Output::Calls(calls) => {
            let mut message = plain(None, None);
            match calls.as_slice() {
                [ToolCall { form: CallForm::Legacy, name, arguments, .. }, ..] => {
                    message["function_call"] = json!({"name": name, "arguments": arguments});
                }
                _ => message["tool_calls"] = calls.iter().map(call_value).collect(),
            }
            message
        }
    })
}

fn logprobs(request: &ChatRequest<'_>, spoken: &Spoken) -> Value {
    let (Some(top), Output::Text(text)) = (request.logprobs, &spoken.output) else { return Value::Null };
    let mut seed = Seed::of(text);
    let content: Vec<Value> =
        words::pieces(text).into_iter().map(|token| token_logprob(token, top, &mut seed)).collect();
    json!({"content": content, "refusal": null})
}
