//! A chat answer as a stream of chunks, in Azure's order: prompt results, roles, words, ends, usage, `[DONE]`.
//! How events are written on the wire is left to `sse`.

use serde_json::{Value, json};

use super::chat::{self, Output, Spoken};
use super::chat_request::{ChatRequest, StreamOptions};
use super::faults::{AsyncFilter, RoleChunk};
use super::filters;
use super::model_rules;
use super::tools::{CallForm, ToolCall};
use super::words::{self, Seed};

/// The data of every event.
pub fn events(request: &ChatRequest<'_>, spoken: &[Spoken], options: StreamOptions) -> Vec<String> {
    let chunk = Chunk::new(request, options);
    let oddities = request.call.oddities;
    let mut events = vec![prompt_event()];
    let mut tracks: Vec<Vec<String>> =
        spoken.iter().enumerate().map(|(index, spoken)| Track { request, index, spoken }.choices()).collect();
    if let Some(filter) = oddities.async_filter {
        tracks.iter_mut().enumerate().for_each(|(index, track)| filter_later(track, index, filter));
    }
    // Choices come interleaved.
    let longest = tracks.iter().map(Vec::len).max().unwrap_or(0);
    for step in 0..longest {
        for track in &tracks {
            if let Some(choice) = track.get(step) {
                let is_annotation = choice.contains("\"content_filter_offsets\"");
                events.push(if is_annotation { annotation(choice) } else { chunk.with(choice) });
            }
        }
    }
    if options.usage {
        events.push(chunk.usage(&chat::usage(request, spoken)));
    }
    events.push("[DONE]".to_owned());
    events
}

/// The first event: nothing but the verdict on the prompt.
fn prompt_event() -> String {
    let results = filters::prompts(1);
    format!(r#"{{"choices":[],"created":0,"id":"","model":"","object":"","prompt_filter_results":{results}}}"#)
}

/// A verdict of the asynchronous filter, which belongs to no chunk.
fn annotation(choice: &str) -> String {
    format!(r#"{{"choices":[{choice}],"created":0,"id":"","model":"","object":""}}"#)
}

/// What all chunks of an answer share, as text: a load test makes many of them.
struct Chunk {
    /// `"created":…` up to and with `"model":…`.
    head: String,
    /// `"object":…` to the end.
    tail: String,
    usage_null: &'static str,
    obfuscation: bool,
}

impl Chunk {
    fn new(request: &ChatRequest<'_>, options: StreamOptions) -> Self {
        let model = &request.call.deployment.model;
        let head =
            format!(r#""created":{},"id":"{}","model":{}"#, words::now(), words::id("chatcmpl-", 29), json!(model));
        let tier = if model_rules::tells_service_tier(model) { r#""service_tier":"default","# } else { "" };
        let fingerprint = chat::fingerprint(model);
        let tail = format!(r#""object":"chat.completion.chunk",{tier}"system_fingerprint":{fingerprint}"#);
        let usage_null = if options.usage { r#","usage":null"# } else { "" };
        Self { head, tail, usage_null, obfuscation: options.obfuscation }
    }

    fn padding(&self) -> String {
        if self.obfuscation { format!(r#""obfuscation":"{}","#, words::padding()) } else { String::new() }
    }

    fn with(&self, choice: &str) -> String {
        let Self { head, tail, usage_null, .. } = self;
        format!(r#"{{"choices":[{choice}],{head},{padding}{tail}{usage_null}}}"#, padding = self.padding())
    }

    fn usage(&self, usage: &Value) -> String {
        let Self { head, tail, .. } = self;
        let latency = json!({
            "engine_tbt_ms": 0, "engine_ttft_ms": 1, "engine_ttlt_ms": 1, "pre_inference_ms": 1, "service_tbt_ms": 0,
            "service_ttft_ms": 1, "service_ttlt_ms": 2, "total_duration_ms": 2, "user_visible_ttft_ms": 1,
        });
        let padding = self.padding();
        format!(r#"{{"choices":[],{head},"latency_checkpoint":{latency},{padding}{tail},"usage":{usage}}}"#)
    }
}

/// The chunks of one choice.
struct Track<'a> {
    request: &'a ChatRequest<'a>,
    index: usize,
    spoken: &'a Spoken,
}

impl Track<'_> {
    fn choices(&self) -> Vec<String> {
        let mut choices = vec![self.role()];
        let safe = filters::completion().to_string();
        match &self.spoken.output {
            Output::Text(text) => self.texts("content", text, &safe, &mut choices),
            Output::Refusal(text) => self.texts("refusal", text, &safe, &mut choices),
            Output::Filtered(text) => self.texts("content", text, &safe, &mut choices),
            Output::Calls(calls) => {
                calls.iter().enumerate().for_each(|(at, call)| self.call(at, call, &mut choices));
            }
        }
        let found = match self.spoken.output {
            Output::Filtered(_) => filters::blocked_completion().to_string(),
            _ => "{}".to_owned(),
        };
        choices.push(self.choice(&found, r#""delta":{},"#, &format!("\"{}\"", self.spoken.finish_reason), "null"));
        choices
    }

    fn choice(&self, found: &str, delta: &str, finish: &str, logprobs: &str) -> String {
        let index = self.index;
        format!(
            r#"{{"content_filter_results":{found},{delta}"finish_reason":{finish},"index":{index},"logprobs":{logprobs}}}"#
        )
    }

    fn role(&self) -> String {
        let delta = match (self.request.call.oddities.role_chunk, &self.spoken.output) {
            (RoleChunk::WithoutDelta, _) => "",
            (RoleChunk::WithDelta, Output::Calls(_)) => {
                r#""delta":{"content":null,"refusal":null,"role":"assistant"},"#
            }
            (RoleChunk::WithDelta, _) => r#""delta":{"content":"","refusal":null,"role":"assistant"},"#,
        };
        self.choice("{}", delta, "null", "null")
    }

    fn texts(&self, field: &str, text: &str, found: &str, choices: &mut Vec<String>) {
        let mut seed = Seed::of(text);
        for piece in words::pieces(text) {
            let logprobs = match self.request.logprobs {
                Some(top) if field == "content" => {
                    json!({"content": [chat::token_logprob(piece, top, &mut seed)], "refusal": null}).to_string()
                }
                _ => "null".to_owned(),
            };
            let delta = format!(r#""delta":{{"{field}":{}}},"#, json!(piece));
            choices.push(self.choice(found, &delta, "null", &logprobs));
        }
    }

    fn call(&self, at: usize, call: &ToolCall, choices: &mut Vec<String>) {
        let mut push = |delta: Value| choices.push(self.choice("{}", &format!(r#""delta":{delta},"#), "null", "null"));
        if call.form == CallForm::Legacy {
            push(json!({"function_call": {"name": call.name, "arguments": ""}}));
            for piece in words::pieces(&call.arguments) {
                push(json!({"function_call": {"arguments": piece}}));
            }
            return;
        }
        let (kind, field) = if call.form == CallForm::Custom { ("custom", "input") } else { ("function", "arguments") };
        let mut first = chat::call_value(call);
        first["index"] = json!(at);
        first[kind][field] = json!("");
        push(json!({"tool_calls": [first]}));
        for piece in words::pieces(&call.arguments) {
            let mut more = json!({"index": at});
            more[kind] = json!({ field: piece });
            push(json!({"tool_calls": [more]}));
        }
    }
}

/// Puts the verdicts of the asynchronous filter between the chunks, one of them behind the end.
fn filter_later(track: &mut Vec<String>, index: usize, filter: AsyncFilter) {
    let offsets =
        |end: usize| format!(r#""content_filter_offsets":{{"check_offset":44,"end_offset":{end},"start_offset":44}}"#);
    let verdict = |found: &Value, finish: &str, end: usize| {
        format!(r#"{{"content_filter_results":{found},{},"finish_reason":{finish},"index":{index}}}"#, offsets(end))
    };
    let middle = track.len() / 2;
    track.insert(middle, verdict(&filters::completion(), "null", 198));
    match filter {
        AsyncFilter::Passes => track.push(verdict(&filters::completion(), "null", 571)),
        AsyncFilter::Blocks => {
            track.pop();
            let found = json!({"protected_material_text": {"detected": true, "filtered": true}});
            track.push(verdict(&found, "\"content_filter\"", 1056));
        }
    }
}
