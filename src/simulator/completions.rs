//! Legacy completions: the answer to a bare text, as a document or as a stream.

use serde_json::{Value, json};

use super::answer::Reply;
use super::body::Fields;
use super::chat_request::{self, StreamOptions};
use super::errors::Refusal;
use super::filters;
use super::resource::Call;
use super::words::{self, Seed};

const KNOWN: [&str; 19] = [
    "prompt",
    "model",
    "best_of",
    "echo",
    "frequency_penalty",
    "logit_bias",
    "logprobs",
    "max_tokens",
    "n",
    "presence_penalty",
    "seed",
    "stop",
    "stream",
    "stream_options",
    "suffix",
    "temperature",
    "top_p",
    "user",
    "completion_config",
];

/// The limit of a request that gives none.
const DEFAULT_LIMIT: usize = 16;

/// How much of the prompt an answer repeats, in characters.
const REPEATED: usize = 400;

/// A request that was understood.
pub struct CompletionRequest<'a> {
    call: Call<'a>,
    prompts: Vec<String>,
    n: usize,
    best_of: usize,
    limit: usize,
    echo: bool,
    suffix: Option<&'a str>,
    stop: Vec<&'a str>,
    logprobs: Option<usize>,
    stream: Option<StreamOptions>,
    prompt_tokens: usize,
}

/// One choice of the answer.
struct Spoken {
    text: String,
    finish_reason: &'static str,
    tokens: usize,
}

impl<'a> CompletionRequest<'a> {
    pub fn read(call: &Call<'a>) -> Result<Self, Refusal> {
        let fields = Fields::of_body(call.body);
        fields.only(&KNOWN)?;
        let prompts = prompts(&fields)?;
        let stream = chat_request::stream_options(&fields, call)?;
        fields.decimal("temperature", 0, 2)?;
        fields.decimal("top_p", 0, 1)?;
        fields.decimal("presence_penalty", -2, 2)?;
        fields.decimal("frequency_penalty", -2, 2)?;
        fields.object("logit_bias")?;
        fields.text("user")?;
        let n = fields.count("n", 1, 128)?.unwrap_or(1);
        let best_of = fields.count("best_of", 1, 128)?.unwrap_or(n);
        if best_of < n {
            let message = format!("Invalid 'best_of': must be at least 'n' ({n}), but got {best_of} instead.");
            return Err(Refusal::invalid(message, Some("best_of"), Some("invalid_value")));
        }
        if prompts.iter().any(|prompt| prompt.contains(filters::FILTER_PROMPT)) {
            return Err(Refusal::prompt_filtered());
        }
        let prompt_tokens = prompts.iter().map(|prompt| words::count(prompt).max(1)).sum();
        Ok(Self {
            call: *call,
            prompts,
            n,
            best_of,
            limit: fields.count("max_tokens", 0, 1_000_000)?.unwrap_or(DEFAULT_LIMIT),
            echo: fields.boolean("echo")?.unwrap_or(false),
            suffix: fields.text("suffix")?,
            stop: chat_request::stop(&fields)?,
            logprobs: fields.count("logprobs", 0, 5)?,
            stream,
            prompt_tokens,
        })
    }

    /// Tokens charged on admission.
    pub fn cost(&self) -> usize {
        self.prompt_tokens + self.limit * self.best_of
    }

    pub fn answer(&self) -> Result<Reply, Refusal> {
        let spoken: Vec<Spoken> =
            self.prompts.iter().flat_map(|prompt| (0..self.n).map(move |choice| self.speak(prompt, choice))).collect();
        Ok(match self.stream {
            Some(options) => Reply::Events(self.events(&spoken, options)),
            None => Reply::Json(self.document(&spoken).to_string()),
        })
    }

    fn speak(&self, prompt: &str, choice: usize) -> Spoken {
        let said = words::shortened(prompt, REPEATED);
        let mut text = match choice {
            0 => format!(" You said: {said}"),
            _ => format!(" You said (answer {}): {said}", choice + 1),
        };
        if let Some(tokens) = self.call.tokens {
            text = words::of_length(&text, tokens);
        }
        if let Some(suffix) = self.suffix {
            text.push_str(" (before: ");
            text.push_str(&words::shortened(suffix, REPEATED));
            text.push(')');
        }
        if let Some(end) = self.stop.iter().filter_map(|stop| text.find(stop)).min() {
            text.truncate(end);
        }
        let mut finish_reason = "stop";
        if words::count(&text) > self.limit {
            text = words::of_length(&text, self.limit);
            finish_reason = "length";
        }
        if prompt.contains(filters::FILTER_COMPLETION) {
            finish_reason = "content_filter";
        }
        let tokens = words::count(&text);
        Spoken { text: if self.echo { format!("{prompt}{text}") } else { text }, finish_reason, tokens }
    }

    fn usage(&self, spoken: &[Spoken]) -> Value {
        let completion: usize = spoken.iter().map(|choice| choice.tokens).sum();
        json!({
            "completion_tokens": completion,
            "prompt_tokens": self.prompt_tokens,
            "total_tokens": self.prompt_tokens + completion,
        })
    }

    fn document(&self, spoken: &[Spoken]) -> Value {
        let choice = |(index, spoken): (usize, &Spoken)| {
            json!({
                "text": spoken.text,
                "index": index,
                "finish_reason": spoken.finish_reason,
                "logprobs": self.logprobs(&spoken.text, 0),
                "content_filter_results": found(spoken),
            })
        };
        json!({
            "id": words::id("cmpl-", 29),
            "object": "text_completion",
            "created": words::now(),
            "model": self.call.deployment.model,
            "prompt_filter_results": filters::prompts(self.prompts.len()),
            "choices": spoken.iter().enumerate().map(choice).collect::<Vec<Value>>(),
            "usage": self.usage(spoken),
        })
    }

    fn events(&self, spoken: &[Spoken], options: StreamOptions) -> Vec<String> {
        let (id, created) = (words::id("cmpl-", 29), words::now());
        let chunk = |choices: Value| {
            let mut chunk = json!({
                "id": id, "object": "text_completion", "created": created, "model": self.call.deployment.model,
                "choices": choices,
            });
            if options.usage {
                chunk["usage"] = Value::Null;
            }
            chunk
        };
        let results = filters::prompts(self.prompts.len());
        let first =
            json!({"choices": [], "created": 0, "id": "", "model": "", "object": "", "prompt_filter_results": results});
        let mut events = vec![first.to_string()];
        for (index, spoken) in spoken.iter().enumerate() {
            let mut offset = 0;
            for piece in words::pieces(&spoken.text) {
                let logprobs = self.logprobs(piece, offset);
                offset += piece.chars().count();
                let choice = json!({"text": piece, "index": index, "finish_reason": null, "logprobs": logprobs});
                events.push(chunk(json!([choice])).to_string());
            }
            let end = json!({
                "text": "", "index": index, "finish_reason": spoken.finish_reason, "logprobs": null,
                "content_filter_results": found(spoken),
            });
            events.push(chunk(json!([end])).to_string());
        }
        if options.usage {
            let mut last = chunk(json!([]));
            last["usage"] = self.usage(spoken);
            events.push(last.to_string());
        }
        events.push("[DONE]".to_owned());
        events
    }

    fn logprobs(&self, text: &str, from: usize) -> Value {
        let Some(top) = self.logprobs else { return Value::Null };
        let (mut seed, mut offset) = (Seed::of(text), from);
        let (mut tokens, mut chances, mut tops, mut offsets) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for token in words::pieces(text) {
            let chance = -seed.fraction() / 2.0;
            tops.push(if top == 0 { Value::Null } else { json!({ token: chance }) });
            tokens.push(token);
            chances.push(chance);
            offsets.push(offset);
            offset += token.chars().count();
        }
        json!({"tokens": tokens, "token_logprobs": chances, "top_logprobs": tops, "text_offset": offsets})
    }
}

fn found(spoken: &Spoken) -> Value {
    if spoken.finish_reason == "content_filter" { filters::blocked_completion() } else { filters::completion() }
}

/// A text, several texts, tokens, or several lists of tokens.
fn prompts(fields: &Fields<'_>) -> Result<Vec<String>, Refusal> {
    let of_tokens = |list: &[Value]| list.iter().map(Value::to_string).collect::<Vec<String>>().join(" ");
    let wrong =
        |value| fields.wrong_type("prompt", "one of a string, an array of strings or an array of tokens", value);
    match fields.get("prompt") {
        None => Ok(vec!["<|endoftext|>".to_owned()]),
        Some(Value::String(text)) => Ok(vec![text.clone()]),
        Some(Value::Array(list)) if list.is_empty() => Err(fields.empty_array("prompt")),
        Some(Value::Array(list)) if list.iter().all(Value::is_u64) => Ok(vec![of_tokens(list)]),
        Some(value @ Value::Array(list)) => {
            let one = |item: &Value| match item {
                Value::String(text) => Ok(text.clone()),
                Value::Array(tokens) if tokens.iter().all(Value::is_u64) => Ok(of_tokens(tokens)),
                _ => Err(wrong(value)),
            };
            list.iter().map(one).collect()
        }
        Some(value) => Err(wrong(value)),
    }
}
