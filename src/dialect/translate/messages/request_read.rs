//! A Messages request as it is meant. The table of its fields stands in `docs/translation.md`.

use serde_json::{Map, Value};

use super::super::fields::{Fields, strings};
use super::super::refused::Refused;
use super::super::request::{Effort, Format, Request, Role, Text, Thinking, Tool, ToolChoice, Turn};
use super::content::{self, cache_of};

/// Optional hints and wishes about Anthropic's own service, without which the answer is still what was asked for.
const HINTS: [&str; 12] = [
    "model",
    "metadata",
    "service_tier",
    "container",
    "inference_geo",
    "speed",
    "cache_control",
    "context_management",
    "diagnostics",
    "user_profile_id",
    "workspace_id",
    "top_k",
];

/// Claude Code's note about its maker's accounts: of no use to other models, and it would break their prompt caches.
const ATTRIBUTION: &str = "x-anthropic-billing-header:";

/// Budgets in tokens from which on an effort is meant.
const MEDIUM_BUDGET: u64 = 4096;
const HIGH_BUDGET: u64 = 16_384;

const WHY: &str = "it is not a field of Messages that other models know";

/// Reads a request.
pub fn read(body: Map<String, Value>) -> Result<Request, Refused> {
    let request = counted(body)?;
    if request.limit.is_none() {
        return Err(Refused::invalid("max_tokens", "a whole number"));
    }
    Ok(request)
}

/// Reads a request whose tokens are to be counted, which need not say how long its answer may be.
pub fn counted(body: Map<String, Value>) -> Result<Request, Refused> {
    let mut fields = Fields::of_body(body);
    let mut request = Request {
        user: user(&mut fields)?,
        system: system(&mut fields)?,
        limit: fields.whole("max_tokens")?,
        temperature: fields.number("temperature")?,
        top_p: fields.number("top_p")?,
        stop: strings(fields.array("stop_sequences")?, "stop_sequences")?,
        stream: fields.boolean("stream")?.unwrap_or(false),
        ..Request::default()
    };
    for (index, message) in fields.array("messages")?.into_iter().enumerate() {
        request.turns.push(turn(Fields::of(message, format!("messages.{index}"))?)?);
    }
    for (index, tool) in fields.array("tools")?.into_iter().enumerate() {
        request.tools.push(self::tool(Fields::of(tool, format!("tools.{index}"))?)?);
    }
    if let Some(choice) = fields.object("tool_choice")? {
        (request.tool_choice, request.parallel) = tool_choice(choice)?;
    }
    let (effort, format) = output_config(&mut fields)?;
    request.thinking = thinking(&mut fields, effort)?;
    request.format = format;
    for name in ["mcp_servers", "fallbacks"] {
        if fields.take(name).is_some_and(|value| value != Value::Array(Vec::new())) {
            return Err(Refused::not_supported(name, "it needs Anthropic's own service"));
        }
    }
    fields.drop_all(&HINTS);
    fields.done(WHY)?;
    Ok(request)
}

fn user(fields: &mut Fields) -> Result<Option<String>, Refused> {
    let Some(mut metadata) = fields.object("metadata")? else { return Ok(None) };
    metadata.text("user_id")
}

fn system(fields: &mut Fields) -> Result<Vec<Text>, Refused> {
    let texts = match fields.take("system") {
        None => Vec::new(),
        Some(Value::String(text)) => vec![Text::plain(text)],
        Some(Value::Array(blocks)) => content::texts(blocks, "system")?,
        Some(_) => return Err(Refused::invalid("system", "a string or an array of text blocks")),
    };
    Ok(texts.into_iter().filter(|text| !text.text.starts_with(ATTRIBUTION)).collect())
}

fn turn(mut fields: Fields) -> Result<Turn, Refused> {
    let role = match fields.required_text("role")?.as_str() {
        "user" => Role::User,
        "assistant" => Role::Assistant,
        "system" => Role::System,
        _ => return Err(Refused::invalid(fields.path("role"), "`user` or `assistant`")),
    };
    let path = fields.path("content");
    let parts = content::parts(fields.take("content"), &path)?;
    fields.done(WHY)?;
    Ok(Turn { role, parts })
}

fn tool(mut fields: Fields) -> Result<Tool, Refused> {
    if let Some(kind) = fields.text("type")?.filter(|kind| kind != "custom") {
        let why = "tools that Anthropic runs itself are not there";
        return Err(Refused::not_supported(format!("{} ({kind})", fields.path("type")), why));
    }
    // How a tool is loaded, streamed or explained is a matter between Claude and its service.
    fields.drop_all(&["defer_loading", "eager_input_streaming", "input_examples", "allowed_callers"]);
    let tool = Tool {
        name: fields.required_text("name")?,
        description: fields.text("description")?,
        schema: fields.take("input_schema").unwrap_or_else(|| Value::Object(Map::new())),
        strict: fields.boolean("strict")?,
        cache: cache_of(&mut fields),
        free_text: false,
    };
    fields.done(WHY)?;
    Ok(tool)
}

fn tool_choice(mut fields: Fields) -> Result<(Option<ToolChoice>, Option<bool>), Refused> {
    let parallel = fields.boolean("disable_parallel_tool_use")?.map(|disabled| !disabled);
    let choice = match fields.required_text("type")?.as_str() {
        "auto" => ToolChoice::Auto,
        "any" => ToolChoice::Any,
        "none" => ToolChoice::None,
        "tool" => ToolChoice::Named(fields.required_text("name")?),
        _ => return Err(Refused::invalid("tool_choice.type", "`auto`, `any`, `tool` or `none`")),
    };
    Ok((Some(choice), parallel))
}

fn output_config(fields: &mut Fields) -> Result<(Option<Effort>, Option<Format>), Refused> {
    // The same under the name that an earlier feature gave it.
    let mut format = fields.object("output_format")?;
    let Some(mut config) = fields.object("output_config")? else {
        return Ok((None, format.map(schema).transpose()?));
    };
    let effort = config.text("effort")?;
    let effort =
        effort.map(|name| Effort::of(&name).ok_or_else(|| Refused::invalid("output_config.effort", "an effort")));
    format = config.object("format")?.or(format);
    config.done(WHY)?;
    Ok((effort.transpose()?, format.map(schema).transpose()?))
}

fn schema(mut fields: Fields) -> Result<Format, Refused> {
    let kind = fields.required_text("type")?;
    let schema = fields.take("schema").filter(|_| kind == "json_schema");
    let schema = schema.ok_or_else(|| Refused::invalid(fields.path("type"), "`json_schema` with a `schema`"))?;
    Ok(Format::Schema { name: None, schema, strict: Some(true) })
}

fn thinking(fields: &mut Fields, effort: Option<Effort>) -> Result<Option<Thinking>, Refused> {
    let Some(mut asked) = fields.object("thinking")? else {
        return Ok(effort.map(|effort| Thinking { effort, shown: false }));
    };
    let shown = asked.text("display")?.as_deref() != Some("omitted");
    let budget = asked.whole("budget_tokens")?;
    let by_budget = |budget: u64| match budget {
        ..MEDIUM_BUDGET => Effort::Low,
        MEDIUM_BUDGET..HIGH_BUDGET => Effort::Medium,
        _ => Effort::High,
    };
    let thinking = match asked.required_text("type")?.as_str() {
        "disabled" => Thinking { effort: Effort::None, shown: false },
        "enabled" => Thinking { effort: effort.or(budget.map(by_budget)).unwrap_or(Effort::High), shown },
        "adaptive" | "between_tools" => Thinking { effort: effort.unwrap_or(Effort::High), shown },
        _ => return Err(Refused::invalid("thinking.type", "`enabled`, `adaptive` or `disabled`")),
    };
    Ok(Some(thinking))
}
