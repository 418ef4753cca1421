//! What the simulated model answers to a Responses request, as one document; the same as a stream is left to `stream`.

use serde_json::{Value, json};

use super::super::answer::Reply;
use super::super::filters;
use super::super::schema_instance::instance;
use super::super::scripted;
use super::super::words;
use super::request::{Function, ResponseRequest};
use super::store::{self, Stored};
use super::stream;

/// How much of the prompt an answer repeats, in characters.
const REPEATED: usize = 400;

/// In a prompt: call tools so many times.
const CALLS: &str = "[[calls=";
/// In a prompt: a background response goes on until it is cancelled.
const NEVER_ENDS: &str = "[[never-ends]]";

const THOUGHT: &str = "The user wants an answer, so one is given.";
const REFUSAL: &str = "I'm sorry, I can't assist with that request.";

/// Answers as a document or as a stream, and keeps what is to be kept.
pub fn of(request: &ResponseRequest<'_>) -> Reply {
    let response = response(request);
    let events = stream::events(&response, request.obfuscates);
    let mut kept = response.clone();
    if request.background {
        kept = unfinished(&response);
        if request.input.text.contains(NEVER_ENDS) {
            kept["never_ends"] = json!(true);
        }
        kept["completes_as"] = response;
    }
    let mut shown = kept.clone();
    if let Some(fields) = shown.as_object_mut() {
        fields.remove("completes_as");
        fields.remove("never_ends");
    }
    if request.stores {
        request.store.keep(Stored { response: kept, input: request.input.items.clone(), events: events.clone() });
    }
    if request.streams { Reply::Responses(events) } else { Reply::Json(shown.to_string()) }
}

/// The conversation so far in fewer tokens, which only this resource can read.
pub fn compacted(request: &ResponseRequest<'_>) -> Reply {
    let input = request.input_tokens();
    let summary = request.store.encrypt(&words::shortened(&request.input.text, REPEATED));
    Reply::Json(
        json!({
            "id": store::id("resp_"), "object": "response.compaction", "created_at": words::now(),
            "output": [
                {"id": store::id("msg_"), "type": "message", "role": "user", "status": "completed",
                 "content": [{"type": "input_text", "text": request.input.last_user_text}]},
                {"id": store::id("cmp_"), "type": "compaction", "encrypted_content": summary},
            ],
            "usage": usage(input, 8, 0),
        })
        .to_string(),
    )
}

fn response(request: &ResponseRequest<'_>) -> Value {
    let mut output = Vec::new();
    if request.thinking_tokens > 0 {
        let mut item = json!({
            "id": store::id("rs_"), "type": "reasoning", "summary": [{"type": "summary_text", "text": THOUGHT}],
        });
        if request.shows_encrypted {
            item["encrypted_content"] = json!(request.store.encrypt(THOUGHT));
        }
        output.push(item);
    }
    let calls = calls(request);
    let (mut status, mut incomplete, mut tokens) = ("completed", Value::Null, 8 * calls.len());
    if calls.is_empty() {
        let mut text = text(request);
        if let Some(limit) = request.limit.map(|limit| limit.saturating_sub(request.thinking_tokens))
            && words::count(&text) > limit
        {
            text = words::of_length(&text, limit);
            (status, incomplete) = ("incomplete", json!({"reason": "max_output_tokens"}));
        }
        if request.input.text.contains(filters::FILTER_COMPLETION) {
            text = words::of_length(&text, words::count(&text) / 2);
            (status, incomplete) = ("incomplete", json!({"reason": "content_filter"}));
        }
        tokens = words::count(&text);
        let part = match request.input.last_user_text.contains(filters::REFUSE) {
            true => json!({"type": "refusal", "refusal": REFUSAL}),
            false => json!({"type": "output_text", "annotations": [], "logprobs": [], "text": text}),
        };
        output.push(json!({"id": store::id("msg_"), "type": "message", "role": "assistant", "status": status, "content": [part]}));
    }
    output.extend(calls);
    let field = |name: &str, otherwise: Value| request.call.body.get(name).cloned().unwrap_or(otherwise);
    json!({
        "id": store::id("resp_"), "object": "response", "created_at": words::now(), "completed_at": words::now(), "status": status,
        "background": request.background, "content_filters": filters(), "error": null, "incomplete_details": incomplete,
        "instructions": field("instructions", Value::Null), "max_output_tokens": field("max_output_tokens", Value::Null),
        "metadata": field("metadata", json!({})), "model": request.call.deployment.model, "output": output,
        "parallel_tool_calls": field("parallel_tool_calls", json!(true)), "previous_response_id": request.previous,
        "prompt_cache_key": field("prompt_cache_key", Value::Null),
        "reasoning": field("reasoning", json!({"effort": null, "summary": null})), "service_tier": "default",
        "store": request.stores, "temperature": field("temperature", json!(1.0)),
        "text": field("text", json!({"format": {"type": "text"}})), "tool_choice": field("tool_choice", json!("auto")),
        "tools": field("tools", json!([])), "top_p": field("top_p", json!(1.0)), "truncation": "disabled",
        "usage": usage(request.input_tokens(), tokens + request.thinking_tokens, request.thinking_tokens), "user": null,
    })
}

/// A response that has only begun.
pub fn unfinished(response: &Value) -> Value {
    let mut begun = response.clone();
    let background = begun["background"] == true;
    begun["status"] = json!(if background { "queued" } else { "in_progress" });
    begun["output"] = json!([]);
    for name in ["usage", "completed_at", "content_filters", "incomplete_details"] {
        begun[name] = Value::Null;
    }
    begun
}

fn usage(input: usize, output: usize, reasoning: usize) -> Value {
    json!({
        "input_tokens": input, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": output,
        "output_tokens_details": {"reasoning_tokens": reasoning}, "total_tokens": input + output,
    })
}

fn filters() -> Value {
    let one = |source: &str, found: Value| {
        json!({
            "blocked": false, "source_type": source, "content_filter_raw": null, "content_filter_results": found,
            "content_filter_offsets": {"start_offset": 0, "end_offset": 1, "check_offset": 0},
        })
    };
    json!([
        one("prompt", filters::prompts(1)[0]["content_filter_results"].clone()),
        one("completion", filters::completion())
    ])
}

fn calls(request: &ResponseRequest<'_>) -> Vec<Value> {
    let call = |name: &str, arguments: String| {
        json!({
            "id": store::id("fc_"), "type": "function_call", "status": "completed", "arguments": arguments,
            "call_id": words::id("call_", 24), "name": name,
        })
    };
    let prompt = &request.input.last_user_text;
    if !request.functions.is_empty()
        && let Some(due) = scripted::due(prompt, request.input.answered)
    {
        return vec![call(&due.name, due.arguments)];
    }
    let asked = prompt.split_once(CALLS).and_then(|(_, rest)| rest.split(']').next()?.parse::<usize>().ok());
    let wanted = if request.input.ends_with_tool { None } else { asked.or(request.must_call.map(|_| 1)) };
    let named =
        |function: &&Function<'_>| request.must_call.is_none_or(|name| name.is_empty() || name == function.name);
    let Some(function) = request.functions.iter().find(named) else { return Vec::new() };
    let arguments = || function.parameters.map_or(json!({}), |schema| instance(schema, "")).to_string();
    (0..wanted.unwrap_or(0).min(64)).map(|_| call(function.name, arguments())).collect()
}

fn text(request: &ResponseRequest<'_>) -> String {
    if let Some(schema) = request.schema {
        return instance(schema, "").to_string();
    }
    let said = words::shortened(&request.input.last_user_text, REPEATED);
    let before = if request.previous.is_some() { "Going on, you" } else { "You" };
    let answer =
        if request.input.ends_with_tool { "The tool answered.".to_owned() } else { format!("{before} said: {said}") };
    request.call.tokens.map_or(answer.clone(), |tokens| words::of_length(&answer, tokens))
}
