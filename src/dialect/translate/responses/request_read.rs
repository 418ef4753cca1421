//! A request of Responses as it is meant. The table of its fields stands in `docs/translation.md`.

use serde_json::{Map, Value};

use super::super::fields::Fields;
use super::super::proof;
use super::super::refused::Refused;
use super::super::request::{
    Call, CallResult, Effort, Format, Part, Proof, Request, Role, Text, Thinking, Thought, Tool, ToolChoice, Turn,
};
use super::content;

/// Optional hints and wishes about OpenAI's own service, without which the answer is still what was asked for.
const HINTS: [&str; 14] = [
    "model",
    "store",
    "include",
    "metadata",
    "service_tier",
    "prompt_cache_retention",
    "prompt_cache_options",
    "stream_options",
    "truncation",
    "max_tool_calls",
    "top_logprobs",
    "context_management",
    "moderation",
    "client_metadata",
];

/// Fields that stand for something kept at OpenAI.
const KEPT: [&str; 4] = ["previous_response_id", "conversation", "prompt", "background"];

const WHY: &str = "it is not a field of Responses that this model could follow";
const KEPT_WHY: &str = "nothing is kept between requests for this model; send the whole conversation as `input`";

/// Reads a request.
pub fn read(body: Map<String, Value>) -> Result<Request, Refused> {
    let mut fields = Fields::of_body(body);
    for name in KEPT {
        if fields.take(name).is_some_and(|value| value != Value::Bool(false)) {
            return Err(Refused::not_supported(name, KEPT_WHY));
        }
    }
    let (safety, user) = (fields.text("safety_identifier")?, fields.text("user")?);
    let (format, verbosity) = text(&mut fields)?;
    let mut request = Request {
        system: fields.text("instructions")?.map(Text::plain).into_iter().collect(),
        limit: fields.whole("max_output_tokens")?,
        temperature: fields.number("temperature")?,
        top_p: fields.number("top_p")?,
        stream: fields.boolean("stream")?.unwrap_or(false),
        parallel: fields.boolean("parallel_tool_calls")?,
        user: safety.or(user),
        cache_key: fields.text("prompt_cache_key")?,
        thinking: thinking(&mut fields)?,
        format,
        verbosity,
        ..Request::default()
    };
    for (index, tool) in fields.array("tools")?.into_iter().enumerate() {
        request.tools.push(self::tool(Fields::of(tool, format!("tools[{index}]"))?)?);
    }
    request.tool_choice = tool_choice(&mut fields)?;
    match fields.take("input") {
        None => {}
        Some(Value::String(said)) => {
            request.turns.push(Turn { role: Role::User, parts: vec![Part::Text(Text::plain(said))] });
        }
        Some(Value::Array(items)) => {
            for (index, item) in items.into_iter().enumerate() {
                self::item(Fields::of(item, format!("input[{index}]"))?, &mut request)?;
            }
        }
        Some(_) => return Err(Refused::invalid("input", "a string or an array of items")),
    }
    fields.drop_all(&HINTS);
    fields.done(WHY)?;
    pack_free_text(&mut request);
    Ok(request)
}

/// Calls of tools that take free text have it as the one argument of an object, since other dialects know only those.
fn pack_free_text(request: &mut Request) {
    let Request { turns, tools, .. } = request;
    for part in turns.iter_mut().flat_map(|turn| &mut turn.parts) {
        if let Part::Call(call) = part
            && tools.iter().any(|tool| tool.free_text && tool.name == call.name)
        {
            call.arguments = serde_json::json!({"input": call.arguments}).to_string();
        }
    }
}

fn thinking(fields: &mut Fields) -> Result<Option<Thinking>, Refused> {
    let Some(mut reasoning) = fields.object("reasoning")? else { return Ok(None) };
    let shown = reasoning.has("summary") || reasoning.has("generate_summary");
    let effort = reasoning.text("effort")?;
    let effort = effort.map(|name| Effort::of(&name).ok_or_else(|| Refused::invalid("reasoning.effort", "an effort")));
    Ok(effort.transpose()?.map(|effort| Thinking { effort, shown }))
}

fn text(fields: &mut Fields) -> Result<(Option<Format>, Option<String>), Refused> {
    let Some(mut text) = fields.object("text")? else { return Ok((None, None)) };
    let verbosity = text.text("verbosity")?;
    let Some(mut format) = text.object("format")? else { return Ok((None, verbosity)) };
    let format = match format.required_text("type")?.as_str() {
        "text" => None,
        "json_object" => Some(Format::Json),
        "json_schema" => {
            let schema =
                format.take("schema").ok_or_else(|| Refused::invalid("text.format.schema", "a JSON Schema"))?;
            Some(Format::Schema { name: format.text("name")?, schema, strict: format.boolean("strict")? })
        }
        _ => return Err(Refused::invalid("text.format.type", "`text`, `json_object` or `json_schema`")),
    };
    Ok((format, verbosity))
}

fn tool(mut fields: Fields) -> Result<Tool, Refused> {
    let kind = fields.required_text("type")?;
    if !matches!(kind.as_str(), "function" | "custom") {
        let why = "tools that OpenAI runs itself are not there";
        return Err(Refused::not_supported(format!("{} ({kind})", fields.path("type")), why));
    }
    Ok(Tool {
        name: fields.required_text("name")?,
        description: fields.text("description")?,
        schema: fields.take("parameters").unwrap_or_else(|| Value::Object(Map::new())),
        strict: fields.boolean("strict")?,
        cache: super::super::chat::cache_of(&mut fields),
        free_text: kind == "custom",
    })
}

fn tool_choice(fields: &mut Fields) -> Result<Option<ToolChoice>, Refused> {
    match fields.take("tool_choice") {
        None => Ok(None),
        Some(Value::String(text)) => match text.as_str() {
            "none" => Ok(Some(ToolChoice::None)),
            "auto" => Ok(Some(ToolChoice::Auto)),
            "required" => Ok(Some(ToolChoice::Any)),
            _ => Err(Refused::invalid("tool_choice", "`none`, `auto`, `required` or an object")),
        },
        Some(value) => {
            let name = value["name"].as_str().filter(|_| matches!(value["type"].as_str(), Some("function" | "custom")));
            let name =
                name.ok_or_else(|| Refused::not_supported("tool_choice.type", "only functions can be chosen"))?;
            Ok(Some(ToolChoice::Named(name.to_owned())))
        }
    }
}

fn item(mut fields: Fields, request: &mut Request) -> Result<(), Refused> {
    let kind = fields.text("type")?.unwrap_or_else(|| "message".to_owned());
    fields.drop_all(&["status", "phase"]);
    match kind.as_str() {
        "message" => message(fields, request)?,
        "function_call" | "custom_tool_call" => {
            let text = if kind == "function_call" { "arguments" } else { "input" };
            let id = fields.required_text("call_id")?;
            let arguments = fields.text(text)?.unwrap_or_default();
            let call = Call { id, name: fields.required_text("name")?, arguments, cache: None };
            add(request, Role::Assistant, vec![Part::Call(call)]);
        }
        "function_call_output" | "custom_tool_call_output" => {
            let (id, path) = (fields.required_text("call_id")?, fields.path("output"));
            let parts = content::parts(fields.take("output"), &path)?;
            add(request, Role::User, vec![Part::Result(CallResult { id, parts, failed: false, cache: None })]);
        }
        "reasoning" => {
            let content = fields.text("encrypted_content")?.unwrap_or_default();
            let thought = proof::of_encrypted(&content).unwrap_or_else(|| {
                let id = fields.text("id").ok().flatten().unwrap_or_default();
                Thought { text: String::new(), proof: Proof::Encrypted { origin: String::new(), id, content } }
            });
            add(request, Role::Assistant, vec![Part::Thought(thought)]);
        }
        "item_reference" => return Err(Refused::not_supported(fields.path("type"), KEPT_WHY)),
        _ => return Err(Refused::not_supported(format!("{} ({kind})", fields.path("type")), WHY)),
    }
    Ok(())
}

fn message(mut fields: Fields, request: &mut Request) -> Result<(), Refused> {
    let role = fields.required_text("role")?;
    let path = fields.path("content");
    let parts = content::parts(fields.take("content"), &path)?;
    match role.as_str() {
        "user" => add(request, Role::User, parts),
        "assistant" => add(request, Role::Assistant, parts),
        "system" | "developer" if request.turns.is_empty() => {
            let text = |part: Part| if let Part::Text(text) = part { Some(text) } else { None };
            request.system.extend(parts.into_iter().filter_map(text));
        }
        "system" | "developer" => add(request, Role::System, parts),
        _ => return Err(Refused::invalid(fields.path("role"), "`user`, `assistant`, `system` or `developer`")),
    }
    Ok(())
}

/// Items of one role are one turn.
fn add(request: &mut Request, role: Role, parts: Vec<Part>) {
    match request.turns.last_mut().filter(|turn| turn.role == role) {
        Some(turn) => turn.parts.extend(parts),
        None => request.turns.push(Turn { role, parts }),
    }
}
