//! A Claude request as understood: every field checked, or refused as the service refuses it.

use http::HeaderMap;
use serde_json::{Map, Value};

use super::super::answer::Reply;
use super::super::errors::Refusal;
use super::super::filters;
use super::super::resource::Call;
use super::answer;
use super::content::Prompt;
use super::refusals::{extra, invalid, missing};

const KNOWN: [&str; 18] = [
    "model",
    "max_tokens",
    "messages",
    "system",
    "stream",
    "stop_sequences",
    "thinking",
    "output_config",
    "tools",
    "tool_choice",
    "metadata",
    "service_tier",
    "cache_control",
    "container",
    "temperature",
    "top_p",
    "top_k",
    "citations",
];

/// Fields that need a feature, and the beginning of the value of `anthropic-beta` that names it.
const BETA: [(&str, &str); 2] = [("context_management", "context-management-"), ("mcp_servers", "mcp-client-")];

const VERSIONS: [&str; 3] = ["2023-01-01", "2023-06-01", "2026-10-21"];
/// From this version on no sampling parameter is taken.
const WITHOUT_SAMPLING: &str = "2026-10-21";

/// Features that Claude on Azure does not have.
const REJECTED: [&str; 3] = ["fast-mode-", "task-budgets-", "server-side-fallback-"];

const LEAST_BUDGET: u64 = 1024;
const MOST_CACHE_MARKS: usize = 4;

/// A request that was understood.
#[derive(Clone, Debug)]
pub struct MessagesRequest<'a> {
    pub call: Call<'a>,
    pub prompt: Prompt,
    pub limit: usize,
    pub stream: bool,
    pub stop: Vec<&'a str>,
    pub tools: Vec<Tool<'a>>,
    pub choice: Choice<'a>,
    pub parallel: bool,
    pub thinks: bool,
}

#[derive(Clone, Copy, Debug)]
pub struct Tool<'a> {
    pub name: &'a str,
    pub schema: &'a Value,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice<'a> {
    None,
    Auto,
    Any,
    Named(&'a str),
}

impl<'a> MessagesRequest<'a> {
    pub fn read(call: &Call<'a>) -> Result<Self, Refusal> {
        let body = call.body;
        check_version(call.headers, body)?;
        check_fields(call.headers, body)?;
        let limit = whole(body, "max_tokens")?.ok_or_else(|| missing("max_tokens"))?;
        if limit == 0 {
            return Err(invalid("max_tokens: must be greater than or equal to 1"));
        }
        let thinks = thinking(body, limit)?;
        let mut read = Self::counted(call)?;
        read.limit = usize::try_from(limit).unwrap_or(usize::MAX);
        read.thinks = thinks;
        if thinks && matches!(read.choice, Choice::Any | Choice::Named(_)) {
            return Err(invalid("Thinking may not be enabled when tool_choice forces tool use."));
        }
        if read.prompt.said.contains(filters::FILTER_PROMPT) {
            return Err(Refusal::prompt_filtered());
        }
        Ok(read)
    }

    /// What `count_tokens` reads: the same without a limit.
    pub fn counted(call: &Call<'a>) -> Result<Self, Refusal> {
        let body = call.body;
        check_version(call.headers, body)?;
        let prompt = Prompt::read(body)?;
        if prompt.cache_marks > MOST_CACHE_MARKS {
            let found = prompt.cache_marks;
            return Err(invalid(format!("A maximum of 4 blocks with cache_control may be provided. Found {found}.")));
        }
        let (tools, choice, parallel) = tools(body)?;
        Ok(Self {
            call: *call,
            prompt,
            limit: 0,
            stream: boolean(body, "stream")?.unwrap_or(false),
            stop: stop(body)?,
            tools,
            choice,
            parallel,
            thinks: false,
        })
    }

    pub fn prompt_tokens(&self) -> usize {
        self.prompt.tokens + self.tools.iter().map(|tool| 8 + tool.schema.to_string().len() / 5).sum::<usize>()
    }

    /// Tokens charged on admission.
    pub fn cost(&self) -> usize {
        self.prompt_tokens() + self.limit
    }

    pub fn answer(&self) -> Reply {
        answer::of(self)
    }

    pub fn count(&self) -> Reply {
        Reply::Json(serde_json::json!({"input_tokens": self.prompt_tokens()}).to_string())
    }
}

fn check_version(headers: &HeaderMap, body: &Map<String, Value>) -> Result<(), Refusal> {
    let version = headers.get("anthropic-version").and_then(|value| value.to_str().ok());
    let version = version.ok_or_else(|| invalid("anthropic-version: header is required"))?;
    if !VERSIONS.contains(&version) {
        return Err(invalid(format!("anthropic-version: \"{version}\" is not a valid version")));
    }
    let sampling = ["temperature", "top_p", "top_k"].into_iter().find(|name| body.contains_key(*name));
    if let Some(name) = sampling.filter(|_| version >= WITHOUT_SAMPLING) {
        return Err(extra(name));
    }
    for (name, most) in [("temperature", 1.0), ("top_p", 1.0)] {
        let value = body.get(name).map(|value| value.as_f64().unwrap_or(-1.0));
        if value.is_some_and(|value| !(0.0..=most).contains(&value)) {
            return Err(invalid(format!("{name}: range: 0..1")));
        }
    }
    Ok(())
}

fn check_fields(headers: &HeaderMap, body: &Map<String, Value>) -> Result<(), Refusal> {
    let lines = headers.get_all("anthropic-beta").iter().filter_map(|line| line.to_str().ok());
    let features: Vec<&str> = lines.flat_map(|line| line.split(',')).map(str::trim).collect();
    if let Some(unknown) = features.iter().find(|feature| REJECTED.iter().any(|begin| feature.starts_with(begin))) {
        return Err(invalid(format!("Unexpected value(s) `{unknown}` for the `anthropic-beta` header.")));
    }
    let enabled = |name: &str| {
        let needed = BETA.iter().find(|(field, _)| *field == name);
        needed.is_some_and(|(_, begin)| features.iter().any(|feature| feature.starts_with(begin)))
    };
    if let Some(unknown) = body.keys().find(|name| !KNOWN.contains(&name.as_str()) && !enabled(name)) {
        return Err(extra(unknown));
    }
    if body.get("output_config").is_some_and(|config| config.get("format").is_some()) {
        return Err(invalid("output_config.format: structured outputs are not supported for this deployment"));
    }
    Ok(())
}

/// Whether the model thinks.
fn thinking(body: &Map<String, Value>, limit: u64) -> Result<bool, Refusal> {
    let Some(thinking) = body.get("thinking") else { return Ok(false) };
    match thinking["type"].as_str() {
        Some("disabled") => Ok(false),
        Some("adaptive" | "between_tools") => Ok(true),
        Some("enabled") => {
            let budget = thinking["budget_tokens"].as_u64().ok_or_else(|| missing("thinking.enabled.budget_tokens"))?;
            if budget < LEAST_BUDGET {
                let text = "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024";
                return Err(invalid(text));
            }
            if budget >= limit {
                return Err(invalid("`max_tokens` must be greater than `thinking.budget_tokens`."));
            }
            Ok(true)
        }
        _ => Err(invalid("thinking: Input tag is not one of 'enabled', 'adaptive', 'disabled'")),
    }
}

fn tools(body: &Map<String, Value>) -> Result<(Vec<Tool<'_>>, Choice<'_>, bool), Refusal> {
    let mut tools = Vec::new();
    for (index, tool) in body.get("tools").and_then(Value::as_array).into_iter().flatten().enumerate() {
        let server = tool["type"].as_str().is_some_and(|kind| kind != "custom");
        let name = tool["name"].as_str().ok_or_else(|| missing(&format!("tools.{index}.name")))?;
        let fits = (1..=128).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
        if !fits {
            let text = format!("tools.{index}.custom.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'");
            return Err(invalid(text));
        }
        if tool.get("strict").is_some() {
            return Err(invalid(format!(
                "tools.{index}.strict: structured outputs are not supported for this deployment"
            )));
        }
        let schema = &tool["input_schema"];
        if !server && schema["type"] != "object" {
            return Err(missing(&format!("tools.{index}.custom.input_schema.type")));
        }
        tools.push(Tool { name, schema });
    }
    let Some(choice) = body.get("tool_choice") else { return Ok((tools, Choice::Auto, true)) };
    let parallel = choice["disable_parallel_tool_use"] != Value::Bool(true);
    let choice = match (choice["type"].as_str(), choice["name"].as_str()) {
        (Some("auto"), _) => Choice::Auto,
        (Some("any"), _) => Choice::Any,
        (Some("none"), _) => Choice::None,
        (Some("tool"), Some(name)) if tools.iter().any(|tool| tool.name == name) => Choice::Named(name),
        (Some("tool"), Some(name)) => return Err(invalid(format!("Tool '{name}' not found in provided tools"))),
        _ => return Err(invalid("tool_choice: Input tag is not one of 'auto', 'any', 'tool', 'none'")),
    };
    if tools.is_empty() && choice != Choice::None {
        return Err(invalid("tool_choice: may only be specified while providing tools"));
    }
    Ok((tools, choice, parallel))
}

fn stop(body: &Map<String, Value>) -> Result<Vec<&str>, Refusal> {
    let list = body.get("stop_sequences").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let texts: Vec<&str> = list.iter().filter_map(Value::as_str).collect();
    if texts.iter().any(|text| text.trim().is_empty()) {
        return Err(invalid("stop_sequences: each stop sequence must contain non-whitespace"));
    }
    Ok(texts)
}

fn whole(body: &Map<String, Value>, name: &str) -> Result<Option<u64>, Refusal> {
    let Some(value) = body.get(name) else { return Ok(None) };
    value.as_u64().map(Some).ok_or_else(|| invalid(format!("{name}: Input should be a valid integer")))
}

fn boolean(body: &Map<String, Value>, name: &str) -> Result<Option<bool>, Refusal> {
    let Some(value) = body.get(name) else { return Ok(None) };
    value.as_bool().map(Some).ok_or_else(|| invalid(format!("{name}: Input should be a valid boolean")))
}
