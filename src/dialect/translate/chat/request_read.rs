//! A request of Chat Completions as it is meant. The table of its fields stands in `docs/translation.md`.

use serde_json::{Map, Value};

use super::super::fields::{Fields, strings};
use super::super::refused::Refused;
use super::super::request::{Call, CallResult, Effort, Format, Part, Request, Role, Thinking, Tool, ToolChoice, Turn};
use super::content::{self, cache_of};

/// Optional hints and wishes about OpenAI's own service, without which the answer is still what was asked for.
const HINTS: [&str; 12] = [
    "model",
    "stream_options",
    "metadata",
    "store",
    "seed",
    "service_tier",
    "prompt_cache_retention",
    "prompt_cache_options",
    "prediction",
    "moderation",
    "user_security_context",
    "top_logprobs",
];

const WHY: &str = "it is not a field of Chat Completions that Claude could follow";

/// Reads a request.
pub fn read(body: Map<String, Value>) -> Result<Request, Refused> {
    let mut fields = Fields::of_body(body);
    check_unservable(&mut fields)?;
    let (newer, older) = (fields.whole("max_completion_tokens")?, fields.whole("max_tokens")?);
    let (safety, user) = (fields.text("safety_identifier")?, fields.text("user")?);
    let mut request = Request {
        limit: newer.or(older),
        temperature: fields.number("temperature")?,
        top_p: fields.number("top_p")?,
        stop: stop(&mut fields)?,
        stream: fields.boolean("stream")?.unwrap_or(false),
        parallel: fields.boolean("parallel_tool_calls")?,
        user: safety.or(user),
        cache_key: fields.text("prompt_cache_key")?,
        verbosity: fields.text("verbosity")?,
        thinking: thinking(&mut fields)?,
        format: format(&mut fields)?,
        ..Request::default()
    };
    for (index, message) in fields.array("messages")?.into_iter().enumerate() {
        self::message(Fields::of(message, format!("messages[{index}]"))?, &mut request)?;
    }
    for (index, tool) in fields.array("tools")?.into_iter().enumerate() {
        request.tools.push(self::tool(Fields::of(tool, format!("tools[{index}]"))?)?);
    }
    request.tool_choice = tool_choice(&mut fields, &mut request.tools)?;
    fields.drop_all(&HINTS);
    fields.done(WHY)?;
    Ok(request)
}

/// What would change the answer if it were left out.
fn check_unservable(fields: &mut Fields) -> Result<(), Refused> {
    if fields.whole("n")?.is_some_and(|n| n != 1) {
        return Err(Refused::not_supported("n", "Claude gives one answer"));
    }
    if fields.has("logprobs") && fields.boolean("logprobs")? == Some(true) {
        return Err(Refused::not_supported("logprobs", "Claude tells no probabilities"));
    }
    for name in ["frequency_penalty", "presence_penalty"] {
        if fields.number(name)?.is_some_and(|penalty| penalty.as_f64() != Some(0.0)) {
            return Err(Refused::not_supported(name, "Claude has no penalties"));
        }
    }
    if fields.take("logit_bias").is_some_and(|bias| bias.as_object().is_none_or(|bias| !bias.is_empty())) {
        return Err(Refused::not_supported("logit_bias", "Claude's tokens cannot be weighted"));
    }
    let modalities = strings(fields.array("modalities")?, "modalities")?;
    if modalities.iter().any(|modality| modality != "text") {
        return Err(Refused::not_supported("modalities", "Claude answers in text"));
    }
    Ok(())
}

fn stop(fields: &mut Fields) -> Result<Vec<String>, Refused> {
    match fields.take("stop") {
        None => Ok(Vec::new()),
        Some(Value::String(text)) => Ok(vec![text]),
        Some(Value::Array(list)) => strings(list, "stop"),
        Some(_) => Err(Refused::invalid("stop", "a string or an array of strings")),
    }
}

fn thinking(fields: &mut Fields) -> Result<Option<Thinking>, Refused> {
    let effort = fields.text("reasoning_effort")?;
    let effort = effort.map(|name| Effort::of(&name).ok_or_else(|| Refused::invalid("reasoning_effort", "an effort")));
    Ok(effort.transpose()?.map(|effort| Thinking { effort, shown: false }))
}

fn format(fields: &mut Fields) -> Result<Option<Format>, Refused> {
    let Some(mut format) = fields.object("response_format")? else { return Ok(None) };
    match format.required_text("type")?.as_str() {
        "text" => Ok(None),
        "json_object" => Ok(Some(Format::Json)),
        "json_schema" => {
            let path = format.path("json_schema");
            let mut inner =
                format.object("json_schema")?.ok_or_else(|| Refused::invalid(path.as_str(), "an object"))?;
            let schema = inner.take("schema").ok_or_else(|| Refused::invalid(inner.path("schema"), "a JSON Schema"))?;
            Ok(Some(Format::Schema { name: inner.text("name")?, schema, strict: inner.boolean("strict")? }))
        }
        _ => Err(Refused::invalid("response_format.type", "`text`, `json_object` or `json_schema`")),
    }
}

/// Adds one message. Results of calls and what the user says after them are one turn.
fn message(mut fields: Fields, request: &mut Request) -> Result<(), Refused> {
    let role = fields.required_text("role")?;
    let path = fields.path("content");
    let cache = cache_of(&mut fields);
    fields.drop_all(&["name"]);
    let content = fields.take("content");
    match role.as_str() {
        "system" | "developer" => {
            let texts = content::texts(content, &path)?;
            if request.turns.is_empty() {
                request.system.extend(texts);
            } else {
                add(request, Role::System, texts.into_iter().map(Part::Text).collect());
            }
        }
        "user" => add(request, Role::User, content::parts(content, &path)?),
        "tool" => {
            let id = fields.required_text("tool_call_id")?;
            let parts = content::parts(content, &path)?;
            add(request, Role::User, vec![Part::Result(CallResult { id, parts, failed: false, cache })]);
        }
        "assistant" => {
            let mut parts = content::parts(content, &path)?;
            parts.extend(fields.text("refusal")?.map(Part::Refusal));
            for (index, call) in fields.array("tool_calls")?.into_iter().enumerate() {
                parts.push(self::call(Fields::of(call, fields.path(&format!("tool_calls[{index}]")))?)?);
            }
            // What other makers add to their answers, and clients send back.
            fields.drop_all(&["reasoning_content", "reasoning", "annotations"]);
            request.turns.push(Turn { role: Role::Assistant, parts });
        }
        _ => return Err(Refused::invalid(fields.path("role"), "`system`, `developer`, `user`, `assistant` or `tool`")),
    }
    fields.done(WHY)
}

fn add(request: &mut Request, role: Role, parts: Vec<Part>) {
    match request.turns.last_mut().filter(|turn| turn.role == role && role == Role::User) {
        // What was said before a result would stand in front of it, which Claude refuses.
        Some(turn) if parts.iter().all(|part| !matches!(part, Part::Result(_))) || only_results(turn) => {
            turn.parts.extend(parts);
        }
        _ => request.turns.push(Turn { role, parts }),
    }
}

fn only_results(turn: &Turn) -> bool {
    turn.parts.iter().all(|part| matches!(part, Part::Result(_)))
}

fn call(mut fields: Fields) -> Result<Part, Refused> {
    let (id, path) = (fields.required_text("id")?, fields.path("function"));
    if fields.text("type")?.is_some_and(|kind| kind != "function") {
        return Err(Refused::not_supported(fields.path("type"), "Claude's tools take JSON objects"));
    }
    let mut function = fields.object("function")?.ok_or_else(|| Refused::invalid(path.as_str(), "an object"))?;
    let arguments = function.text("arguments")?.unwrap_or_default();
    Ok(Part::Call(Call { id, name: function.required_text("name")?, arguments, cache: cache_of(&mut fields) }))
}

fn tool(mut fields: Fields) -> Result<Tool, Refused> {
    let (kind, path) = (fields.required_text("type")?, fields.path("function"));
    if kind != "function" {
        return Err(Refused::not_supported(
            format!("{} ({kind})", fields.path("type")),
            "Claude's tools are functions",
        ));
    }
    let cache = cache_of(&mut fields);
    let mut function = fields.object("function")?.ok_or_else(|| Refused::invalid(path.as_str(), "an object"))?;
    let inner_cache = cache_of(&mut function);
    let tool = Tool {
        name: function.required_text("name")?,
        description: function.text("description")?,
        schema: function.take("parameters").unwrap_or_else(|| Value::Object(Map::new())),
        strict: function.boolean("strict")?,
        cache: cache.or(inner_cache),
        free_text: false,
    };
    function.done(WHY)?;
    Ok(tool)
}

fn tool_choice(fields: &mut Fields, tools: &mut Vec<Tool>) -> Result<Option<ToolChoice>, Refused> {
    let choice = match fields.take("tool_choice") {
        None => return Ok(None),
        Some(Value::String(text)) => match text.as_str() {
            "none" => ToolChoice::None,
            "auto" => ToolChoice::Auto,
            "required" => ToolChoice::Any,
            _ => return Err(Refused::invalid("tool_choice", "`none`, `auto`, `required` or an object")),
        },
        Some(value) => {
            let mut choice = Fields::of(value, "tool_choice")?;
            if let Some(mut allowed) = choice.object("allowed_tools")? {
                let names: Vec<String> = allowed.array("tools")?.iter().filter_map(name_in).collect();
                tools.retain(|tool| names.contains(&tool.name));
                return Ok(Some(match allowed.text("mode")?.as_deref() {
                    Some("required") => ToolChoice::Any,
                    _ => ToolChoice::Auto,
                }));
            }
            let name =
                name_in(&choice.rest()).ok_or_else(|| Refused::invalid("tool_choice", "the name of a function"))?;
            ToolChoice::Named(name)
        }
    };
    Ok(Some(choice))
}

fn name_in(value: &Value) -> Option<String> {
    value["function"]["name"].as_str().or(value["name"].as_str()).map(str::to_owned)
}
