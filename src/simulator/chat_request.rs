//! A chat request as understood: every field checked, or refused as Azure refuses it.
//! What is answered is left to `chat`.

use serde_json::Value;

use super::body::Fields;
use super::chat_messages::Prompt;
use super::errors::Refusal;
use super::filters;
use super::model_rules::{self, Reasoning, ToolRule};
use super::resource::Call;
use super::tools::{self, Tools};

/// Fields of the operation, and what Azure adds to them.
const KNOWN: [&str; 39] = [
    "messages",
    "model",
    "audio",
    "data_sources",
    "frequency_penalty",
    "function_call",
    "functions",
    "logit_bias",
    "logprobs",
    "max_completion_tokens",
    "max_tokens",
    "metadata",
    "modalities",
    "moderation",
    "n",
    "parallel_tool_calls",
    "prediction",
    "presence_penalty",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "reasoning_effort",
    "response_format",
    "safety_identifier",
    "seed",
    "service_tier",
    "stop",
    "store",
    "stream",
    "stream_options",
    "temperature",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "user",
    "user_security_context",
    "verbosity",
    "web_search_options",
];

/// Largest number of tokens that may be asked for.
const MOST_TOKENS: i64 = 1_000_000;

/// What a request without a limit is charged for its answer.
const ASSUMED_ANSWER: usize = 16;

/// What a reasoning model does not take while it thinks.
const NOT_WHILE_THINKING: [&str; 7] =
    ["stop", "top_p", "presence_penalty", "frequency_penalty", "logprobs", "top_logprobs", "logit_bias"];

/// A request that was understood.
#[derive(Clone, Debug)]
pub struct ChatRequest<'a> {
    pub call: Call<'a>,
    pub prompt: Prompt<'a>,
    pub n: usize,
    pub limit: Option<usize>,
    pub stop: Vec<&'a str>,
    pub stream: Option<StreamOptions>,
    pub tools: Tools<'a>,
    pub format: Format<'a>,
    /// How many alternatives per token; None: no probabilities at all.
    pub logprobs: Option<usize>,
    pub thinking_tokens: usize,
}

/// What a stream holds beside the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamOptions {
    pub usage: bool,
    pub obfuscation: bool,
}

/// The form of the answer.
#[derive(Clone, Copy, Debug)]
pub enum Format<'a> {
    Text,
    JsonObject,
    JsonSchema(&'a Value),
}

impl<'a> ChatRequest<'a> {
    pub fn read(call: &Call<'a>) -> Result<Self, Refusal> {
        let fields = Fields::of_body(call.body);
        fields.only(&KNOWN)?;
        let prompt = Prompt::read(&fields)?;
        let stream = stream_options(&fields, call)?;
        check_plain_fields(&fields)?;
        let tools = Tools::read(&fields)?;
        let reasoning = model_rules::reasoning(&call.deployment.model);
        let effort = effort(&fields, reasoning, &tools, &call.deployment.model)?;
        let limit = limit(&fields, reasoning.is_some())?;
        if prompt.has_mark(filters::FILTER_PROMPT) {
            return Err(Refusal::prompt_filtered());
        }
        Ok(Self {
            call: *call,
            n: fields.count("n", 1, 128)?.unwrap_or(1),
            limit,
            stop: stop(&fields)?,
            stream,
            tools,
            format: format(&fields, &prompt)?,
            logprobs: logprobs(&fields)?,
            thinking_tokens: effort.map_or(0, model_rules::thinking_tokens),
            prompt,
        })
    }

    pub fn prompt_tokens(&self) -> usize {
        self.prompt.tokens() + self.tools.tokens()
    }

    /// Tokens charged on admission: the prompt, and the longest answer that could come.
    pub fn cost(&self) -> usize {
        self.prompt_tokens() + self.limit.unwrap_or(ASSUMED_ANSWER) * self.n
    }
}

/// `stream` and `stream_options`, the way both surfaces and all versions want them.
pub fn stream_options(fields: &Fields<'_>, call: &Call<'_>) -> Result<Option<StreamOptions>, Refusal> {
    let stream = fields.boolean("stream")?.unwrap_or(false);
    let options = fields.object("stream_options")?;
    if options.is_some() && !call.surface.knows_stream_options() {
        return Err(Refusal::invalid("Unrecognized request argument supplied: stream_options", None, None));
    }
    if options.is_some() && !stream {
        let message = "The 'stream_options' parameter is only allowed when 'stream' is enabled.";
        return Err(Refusal::invalid(message, Some("stream_options"), None));
    }
    let mut read = StreamOptions { usage: false, obfuscation: true };
    if let Some(options) = options {
        let options = Fields::inside(options, "stream_options");
        options.only(&["include_usage", "include_obfuscation"])?;
        read.usage = options.boolean("include_usage")?.unwrap_or(false);
        read.obfuscation = options.boolean("include_obfuscation")?.unwrap_or(true);
    }
    Ok(stream.then_some(read))
}

/// One text or up to four.
pub fn stop<'a>(fields: &Fields<'a>) -> Result<Vec<&'a str>, Refusal> {
    let Some(value) = fields.get("stop") else { return Ok(Vec::new()) };
    let texts = match value {
        Value::String(text) => vec![text.as_str()],
        Value::Array(list) if list.len() > 4 => {
            let message = format!(
                "Invalid 'stop': array too long. Expected an array with maximum length 4, but got an array with length {} \
                 instead.",
                list.len()
            );
            return Err(Refusal::invalid(message, Some("stop"), Some("array_above_max_length")));
        }
        Value::Array(list) => {
            let texts = list.iter().map(Value::as_str).collect::<Option<Vec<&str>>>();
            texts.ok_or_else(|| fields.wrong_type("stop", "one of a string or array of strings", value))?
        }
        _ => return Err(fields.wrong_type("stop", "one of a string or array of strings", value)),
    };
    Ok(texts.into_iter().filter(|text| !text.is_empty()).collect())
}

fn check_plain_fields(fields: &Fields<'_>) -> Result<(), Refusal> {
    fields.decimal("temperature", 0, 2)?;
    fields.decimal("top_p", 0, 1)?;
    fields.decimal("presence_penalty", -2, 2)?;
    fields.decimal("frequency_penalty", -2, 2)?;
    fields.integer("seed", i64::MIN, i64::MAX)?;
    for name in ["user", "safety_identifier", "prompt_cache_key", "prompt_cache_retention", "service_tier"] {
        fields.text(name)?;
    }
    for name in ["safety_identifier", "prompt_cache_key"] {
        let length = fields.text(name)?.map_or(0, |text| text.chars().count());
        if length > 64 {
            let message = format!(
                "Invalid '{name}': string too long. Expected a string with maximum length 64, but got a string with length \
                 {length} instead."
            );
            return Err(Refusal::invalid(message, Some(name), Some("string_above_max_length")));
        }
    }
    fields.boolean("store")?;
    fields.object("logit_bias")?;
    fields.object("metadata")?;
    fields.object("prediction")?;
    fields.object("audio")?;
    fields.object("user_security_context")?;
    fields.array("data_sources")?;
    fields.array("modalities")?;
    fields.choice("verbosity", &["low", "medium", "high"])?;
    Ok(())
}

/// The limit on the answer, under one of its two names.
fn limit(fields: &Fields<'_>, reasons: bool) -> Result<Option<usize>, Refusal> {
    if reasons && fields.get("max_tokens").is_some() {
        let message = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' \
                       instead.";
        return Err(Refusal::invalid(message, Some("max_tokens"), Some("unsupported_parameter")));
    }
    let old = fields.count("max_tokens", 1, MOST_TOKENS)?;
    let new = fields.count("max_completion_tokens", 1, MOST_TOKENS)?;
    if old.is_some() && new.is_some() {
        let message = "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.";
        return Err(Refusal::invalid(message, Some("max_tokens"), Some("invalid_parameter_combination")));
    }
    Ok(new.or(old))
}

/// The effort in force, after everything that a reasoning model refuses.
fn effort<'a>(
    fields: &Fields<'a>,
    reasoning: Option<Reasoning>,
    tools: &Tools<'_>,
    model: &str,
) -> Result<Option<&'a str>, Refusal> {
    let Some(rules) = reasoning else {
        if fields.get("reasoning_effort").is_some() {
            return Err(Refusal::invalid("Unrecognized request argument supplied: reasoning_effort", None, None));
        }
        return Ok(None);
    };
    let asked = fields.choice("reasoning_effort", rules.efforts)?;
    let effort = asked.unwrap_or(rules.default);
    let refused = match rules.tools {
        ToolRule::Allowed => false,
        ToolRule::NotWithEffort => asked.is_some_and(|effort| effort != "none"),
        ToolRule::OnlyWithoutEffort => effort != "none",
    };
    if tools.any() && refused {
        let message = format!(
            "Function tools with reasoning_effort are not supported for {model} in /v1/chat/completions. To use function \
             tools, use /v1/responses or set reasoning_effort to 'none'."
        );
        return Err(Refusal::invalid(message, Some("reasoning_effort"), None));
    }
    if effort == "none" {
        return Ok(Some(effort));
    }
    if let Some(value) = fields.get("temperature").filter(|value| value.as_f64() != Some(1.0)) {
        let message = format!(
            "Unsupported value: 'temperature' does not support {value} with this model. Only the default (1) value is \
             supported."
        );
        return Err(Refusal::invalid(message, Some("temperature"), Some("unsupported_value")));
    }
    let harmless =
        |name: &str| fields.get(name).is_none_or(|value| value == &Value::Bool(false) || is_default(name, value));
    match NOT_WHILE_THINKING.iter().find(|name| !harmless(name)) {
        None => Ok(Some(effort)),
        Some(name) => {
            let message = format!("Unsupported parameter: '{name}' is not supported with this model.");
            Err(Refusal::invalid(message, Some(name), Some("unsupported_parameter")))
        }
    }
}

fn is_default(name: &str, value: &Value) -> bool {
    match name {
        "top_p" => value.as_f64() == Some(1.0),
        "presence_penalty" | "frequency_penalty" => value.as_f64() == Some(0.0),
        _ => false,
    }
}

fn logprobs(fields: &Fields<'_>) -> Result<Option<usize>, Refusal> {
    let wanted = fields.boolean("logprobs")?.unwrap_or(false);
    let top = fields.count("top_logprobs", 0, 20)?;
    if top.is_some() && !wanted {
        let message = "The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled.";
        return Err(Refusal::invalid(message, Some("top_logprobs"), None));
    }
    Ok(wanted.then_some(top.unwrap_or(0)))
}

fn format<'a>(fields: &Fields<'a>, prompt: &Prompt<'_>) -> Result<Format<'a>, Refusal> {
    let Some(format) = fields.object("response_format")? else { return Ok(Format::Text) };
    let format = Fields::inside(format, "response_format");
    format.required("type")?;
    match format.choice("type", &["json_object", "json_schema", "text"])? {
        Some("json_object") if !prompt.says_json() => {
            let message = "'messages' must contain the word 'json' in some form, to use 'response_format' of type \
                           'json_object'.";
            Err(Refusal::invalid(message, Some("messages"), None))
        }
        Some("json_object") => Ok(Format::JsonObject),
        Some("json_schema") => {
            format.required("json_schema")?;
            let Some(inner) = format.object("json_schema")? else { return Ok(Format::Text) };
            let inner = Fields::inside(inner, "response_format.json_schema");
            inner.required("name")?;
            let name = inner.text("name")?.unwrap_or_default();
            let strict = inner.boolean("strict")?.unwrap_or(false);
            let schema = inner.object("schema")?.and_then(|_| inner.get("schema")).unwrap_or(&Value::Null);
            if strict {
                let subject = format!("response_format '{name}'");
                tools::check_strict(schema, &subject, "response_format", "invalid_json_schema")?;
            }
            Ok(Format::JsonSchema(schema))
        }
        _ => Ok(Format::Text),
    }
}
