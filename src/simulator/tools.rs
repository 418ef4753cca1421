//! The tools of a chat request: are they well-formed, and which of them does the simulated model call.

use serde_json::{Map, Value, json};

use super::body::Fields;
use super::chat_messages::Prompt;
use super::errors::Refusal;
use super::schema_instance::instance;
use super::scripted;
use super::words;

/// In a prompt: call tools so many times.
const CALLS: &str = "[[calls=";

/// The tools of a request and how they may be used.
#[derive(Clone, Debug)]
pub struct Tools<'a> {
    tools: Vec<Tool<'a>>,
    choice: Choice<'a>,
    parallel: bool,
}

#[derive(Clone, Copy, Debug)]
struct Tool<'a> {
    name: &'a str,
    kind: ToolKind<'a>,
}

#[derive(Clone, Copy, Debug)]
pub enum ToolKind<'a> {
    Function(Option<&'a Value>),
    /// Takes one text instead of JSON.
    Custom,
    /// The old `functions` field.
    Legacy(Option<&'a Value>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Choice<'a> {
    None,
    Auto,
    Required,
    Named(&'a str),
}

/// A call that the model makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolCall {
    pub id: String,
    pub name: String,
    pub arguments: String,
    pub form: CallForm,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallForm {
    Function,
    Custom,
    Legacy,
}

/// Calls and the reason that the answer ends with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Calls {
    pub calls: Vec<ToolCall>,
    pub finish_reason: &'static str,
}

impl<'a> Tools<'a> {
    pub fn read(fields: &Fields<'a>) -> Result<Self, Refusal> {
        let (mut tools, mut list) = (Vec::new(), "tools");
        for (index, item) in fields.array("tools")?.unwrap_or_default().iter().enumerate() {
            tools.push(tool(item, &format!("tools[{index}]"))?);
        }
        for (index, item) in fields.array("functions")?.unwrap_or_default().iter().enumerate() {
            let (name, parameters) = function(item, &format!("functions[{index}]"))?;
            tools.push(Tool { name, kind: ToolKind::Legacy(parameters) });
            list = "functions";
        }
        if tools.is_empty() && fields.get(list).is_some() {
            return Err(fields.empty_array(list));
        }
        let parallel = fields.boolean("parallel_tool_calls")?;
        for name in ["tool_choice", "parallel_tool_calls"] {
            if tools.is_empty() && fields.get(name).is_some() {
                let message =
                    format!("Invalid value for '{name}': '{name}' is only allowed when 'tools' are specified.");
                return Err(Refusal::invalid(message, Some(name), None));
            }
        }
        let mut read = Self { tools, choice: Choice::Auto, parallel: parallel.unwrap_or(true) };
        if let Some(choice) = fields.get("tool_choice").or_else(|| fields.get("function_call")) {
            read.choose(choice)?;
        }
        Ok(read)
    }

    pub fn any(&self) -> bool {
        !self.tools.is_empty()
    }

    /// Tokens that the definitions cost.
    pub fn tokens(&self) -> usize {
        let parameters = |tool: &Tool<'_>| match tool.kind {
            ToolKind::Function(schema) | ToolKind::Legacy(schema) => {
                schema.map_or(0, |schema| schema.to_string().len() / 5)
            }
            ToolKind::Custom => 0,
        };
        self.tools.iter().map(|tool| 8 + parameters(tool)).sum()
    }

    /// The calls that the model makes, if it makes any.
    pub fn calls(&self, prompt: &Prompt<'_>) -> Option<Calls> {
        let (said, answered) = prompt.script();
        if let Some(due) = scripted::due(said, answered)
            && self.tools.iter().any(|tool| tool.name == due.name)
        {
            let call = ToolCall {
                id: words::id("call_", 24),
                name: due.name,
                arguments: due.arguments,
                form: CallForm::Function,
            };
            return Some(Calls { calls: vec![call], finish_reason: "tool_calls" });
        }
        if scripted::due(said, 0).is_some() {
            return None;
        }
        let text = prompt.last_user_text().unwrap_or_default().to_lowercase();
        let named: Vec<&Tool<'_>> = self.tools.iter().filter(|tool| text.contains(&tool.name.to_lowercase())).collect();
        let first =
            || self.tools.iter().find(|tool| tool.name.to_lowercase().contains("weather")).or(self.tools.first());
        let chosen: Vec<&Tool<'_>> = match &self.choice {
            Choice::None => return None,
            Choice::Named(name) => self.tools.iter().filter(|tool| tool.name == *name).collect(),
            Choice::Auto if prompt.ends_with_tool() => return None,
            _ if !named.is_empty() => named,
            Choice::Required => first().into_iter().collect(),
            Choice::Auto if text.contains("weather") || text.contains(CALLS) => first().into_iter().collect(),
            Choice::Auto => return None,
        };
        let wanted = wanted_calls(&text).unwrap_or(chosen.len());
        let count = if self.parallel { wanted.min(64) } else { 1 };
        let calls: Vec<ToolCall> = chosen.iter().cycle().take(count).map(|tool| tool.call()).collect();
        // A named function ends like a text: that is how the service tells it.
        let finish_reason = match (calls.first()?.form, &self.choice) {
            (_, Choice::Named(_)) => "stop",
            (CallForm::Legacy, _) => "function_call",
            _ => "tool_calls",
        };
        Some(Calls { calls, finish_reason })
    }

    fn choose(&mut self, choice: &'a Value) -> Result<(), Refusal> {
        self.choice = match choice {
            Value::String(text) => match text.as_str() {
                "none" => Choice::None,
                "auto" => Choice::Auto,
                "required" => Choice::Required,
                other => return Err(wrong_choice(other)),
            },
            Value::Object(map) if map.contains_key("allowed_tools") => {
                let allowed = &map["allowed_tools"];
                let names: Vec<&str> = allowed["tools"].as_array().into_iter().flatten().filter_map(name_in).collect();
                self.tools.retain(|tool| names.contains(&tool.name));
                if allowed["mode"] == "required" { Choice::Required } else { Choice::Auto }
            }
            Value::Object(_) => {
                let name = name_in(choice).ok_or_else(|| wrong_choice(&choice.to_string()))?;
                if self.tools.iter().all(|tool| tool.name != name) {
                    let message = format!(
                        "Invalid value for 'tool_choice': Tool choice '{name}' not found in 'tools' parameter."
                    );
                    return Err(Refusal::invalid(message, Some("tool_choice"), None));
                }
                Choice::Named(name)
            }
            other => return Err(wrong_choice(&other.to_string())),
        };
        Ok(())
    }
}

impl Tool<'_> {
    fn call(&self) -> ToolCall {
        let json = |schema: Option<&Value>| schema.map_or_else(|| json!({}), |schema| instance(schema, "")).to_string();
        let (form, arguments) = match self.kind {
            ToolKind::Function(schema) => (CallForm::Function, json(schema)),
            ToolKind::Legacy(schema) => (CallForm::Legacy, json(schema)),
            ToolKind::Custom => (CallForm::Custom, format!("sample input for {}", self.name)),
        };
        ToolCall { id: words::id("call_", 24), name: self.name.to_owned(), arguments, form }
    }
}

fn wanted_calls(text: &str) -> Option<usize> {
    let (_, rest) = text.split_once(CALLS)?;
    rest.split_once("]]")?.0.parse().ok().filter(|count| *count > 0)
}

/// The name in `{"type":"function","function":{"name":…}}`, its custom sibling, or the old `{"name":…}`.
fn name_in(value: &Value) -> Option<&str> {
    let inner = value.get("function").or_else(|| value.get("custom")).unwrap_or(value);
    inner.get("name")?.as_str()
}

fn wrong_choice(text: &str) -> Refusal {
    let message = format!("Invalid value: '{text}'. Supported values are: 'none', 'auto', and 'required'.");
    Refusal::invalid(message, Some("tool_choice"), Some("invalid_value"))
}

fn tool<'a>(item: &'a Value, path: &str) -> Result<Tool<'a>, Refusal> {
    let map = object(item, path)?;
    let fields = Fields::inside(map, path);
    let kind = fields.required("type")?.as_str().unwrap_or_default();
    match kind {
        "function" => {
            let (name, parameters) = function(fields.required("function")?, &format!("{path}.function"))?;
            Ok(Tool { name, kind: ToolKind::Function(parameters) })
        }
        "custom" => {
            let path = format!("{path}.custom");
            let name = name(&Fields::inside(object(fields.required("custom")?, &path)?, &path))?;
            Ok(Tool { name, kind: ToolKind::Custom })
        }
        other => Err(fields.wrong_value("type", other, &["function", "custom"])),
    }
}

fn function<'a>(item: &'a Value, path: &str) -> Result<(&'a str, Option<&'a Value>), Refusal> {
    let map = object(item, path)?;
    let fields = Fields::inside(map, path);
    let name = name(&fields)?;
    fields.text("description")?;
    let strict = fields.boolean("strict")?.unwrap_or(false);
    let parameters = fields.object("parameters")?.and_then(|_| fields.get("parameters"));
    if let Some(schema) = parameters {
        if schema.get("type").is_some_and(|kind| kind != "object") {
            let message = format!(
                "Invalid schema for function '{name}': schema must be a JSON Schema of 'type: \"object\"', got 'type: {}'.",
                schema["type"]
            );
            return Err(Refusal::invalid(
                message,
                Some(&fields.path("parameters")),
                Some("invalid_function_parameters"),
            ));
        }
        if strict {
            let subject = format!("function '{name}'");
            check_strict(schema, &subject, &fields.path("parameters"), "invalid_function_parameters")?;
        }
    }
    Ok((name, parameters))
}

/// What `strict` demands of every object: closed, and all properties required.
pub fn check_strict(schema: &Value, subject: &str, param: &str, code: &str) -> Result<(), Refusal> {
    let complain = |what: String| {
        Err(Refusal::invalid(format!("Invalid schema for {subject}: In context=(), {what}"), Some(param), Some(code)))
    };
    if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
        if schema.get("additionalProperties") != Some(&Value::Bool(false)) {
            return complain("'additionalProperties' is required to be supplied and to be false.".to_owned());
        }
        let required = schema.get("required").and_then(Value::as_array);
        for name in properties.keys() {
            if !required.is_some_and(|list| list.iter().any(|item| item == name.as_str())) {
                return complain(format!(
                    "'required' is required to be supplied and to be an array including every key in properties. \
                     Missing '{name}'."
                ));
            }
        }
    }
    let inner = match schema {
        Value::Object(map) => map.values().collect::<Vec<&Value>>(),
        Value::Array(list) => list.iter().collect(),
        _ => Vec::new(),
    };
    inner.into_iter().try_for_each(|schema| check_strict(schema, subject, param, code))
}

fn name<'a>(fields: &Fields<'a>) -> Result<&'a str, Refusal> {
    fields.required("name")?;
    let name = fields.text("name")?.unwrap_or_default();
    let fits =
        (1..=64).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if fits {
        return Ok(name);
    }
    let path = fields.path("name");
    let message = format!(
        "Invalid '{path}': string does not match pattern. Expected a string that matches the pattern '^[a-zA-Z0-9_-]+$'."
    );
    Err(Refusal::invalid(message, Some(&path), Some("invalid_value")))
}

fn object<'a>(item: &'a Value, path: &str) -> Result<&'a Map<String, Value>, Refusal> {
    item.as_object().ok_or_else(|| {
        let message =
            format!("Invalid type for '{path}': expected an object, but got {} instead.", super::body::kind(item));
        Refusal::invalid(message, Some(path), Some("invalid_type"))
    })
}
