//! A Responses request as understood: every field checked, or refused as Azure refuses it.

use serde_json::Value;

use super::super::answer::Reply;
use super::super::body::Fields;
use super::super::errors::Refusal;
use super::super::filters;
use super::super::model_rules;
use super::super::resource::Call;
use super::super::words;
use super::answer;
use super::input::Input;
use super::store::Store;

const KNOWN: [&str; 29] = [
    "background",
    "context_management",
    "conversation",
    "include",
    "input",
    "instructions",
    "max_output_tokens",
    "max_tool_calls",
    "metadata",
    "model",
    "parallel_tool_calls",
    "previous_response_id",
    "prompt",
    "prompt_cache_key",
    "prompt_cache_retention",
    "reasoning",
    "safety_identifier",
    "service_tier",
    "store",
    "stream",
    "stream_options",
    "temperature",
    "text",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "truncation",
    "user",
];

/// Kinds of tools, of which functions are called.
const TOOLS: [&str; 11] = [
    "function",
    "custom",
    "namespace",
    "web_search",
    "web_search_preview",
    "file_search",
    "code_interpreter",
    "image_generation",
    "mcp",
    "computer_use_preview",
    "local_shell",
];

/// Azure wants to know who makes the images.
const IMAGE_HEADER: &str = "x-ms-oai-image-generation-deployment";

/// What a request without a limit is charged for its answer.
const ASSUMED_ANSWER: usize = 16;

pub struct ResponseRequest<'a> {
    pub call: Call<'a>,
    pub store: &'a Store,
    pub input: Input,
    pub previous: Option<String>,
    pub functions: Vec<Function<'a>>,
    /// The function that must be called, or any where it is empty.
    pub must_call: Option<&'a str>,
    pub limit: Option<usize>,
    pub thinking_tokens: usize,
    pub shows_encrypted: bool,
    pub stores: bool,
    pub background: bool,
    pub streams: bool,
    pub obfuscates: bool,
    /// A schema for the answer.
    pub schema: Option<&'a Value>,
}

/// A function tool.
#[derive(Clone, Copy, Debug)]
pub struct Function<'a> {
    pub name: &'a str,
    pub parameters: Option<&'a Value>,
}

impl<'a> ResponseRequest<'a> {
    pub fn read(call: &Call<'a>, store: &'a Store) -> Result<Self, Refusal> {
        let fields = Fields::of_body(call.body);
        fields.only(&KNOWN)?;
        let previous = fields.text("previous_response_id")?.map(str::to_owned);
        if let Some(id) = &previous
            && store.find(id).is_err()
        {
            let message = format!("Previous response with id '{id}' not found.");
            return Err(Refusal::invalid(message, Some("previous_response_id"), Some("previous_response_not_found")));
        }
        let input = Input::read(&fields, store)?;
        if input.text.contains(filters::FILTER_PROMPT) {
            return Err(Refusal::prompt_filtered());
        }
        let stores = fields.boolean("store")?.unwrap_or(true);
        let background = fields.boolean("background")?.unwrap_or(false);
        if background && !stores {
            return Err(Refusal::invalid("Background mode requires 'store' to be true.", Some("background"), None));
        }
        let include = fields.array("include")?.unwrap_or_default();
        let (functions, must_call) = tools(&fields, call)?;
        Ok(Self {
            call: *call,
            store,
            input,
            previous,
            functions,
            must_call,
            limit: fields.count("max_output_tokens", 16, 1_000_000)?,
            thinking_tokens: thinking(&fields, &call.deployment.model)?,
            shows_encrypted: include.iter().any(|what| what == "reasoning.encrypted_content"),
            stores,
            background,
            streams: fields.boolean("stream")?.unwrap_or(false),
            obfuscates: stream_options(&fields)?,
            schema: schema(&fields)?,
        })
    }

    pub fn input_tokens(&self) -> usize {
        let before = self.previous.as_ref().and_then(|id| self.store.find(id).ok());
        let before = before.map_or(0, |stored| stored.response["usage"]["total_tokens"].as_u64().unwrap_or(0));
        words::count(&self.input.text) + 8 * self.functions.len() + usize::try_from(before).unwrap_or(0)
    }

    pub fn cost(&self) -> usize {
        self.input_tokens() + self.limit.unwrap_or(ASSUMED_ANSWER)
    }

    pub fn answer(&self) -> Reply {
        answer::of(self)
    }

    pub fn compacted(&self) -> Reply {
        answer::compacted(self)
    }

    pub fn count(&self) -> Reply {
        Reply::Json(
            serde_json::json!({"object": "response.input_tokens", "input_tokens": self.input_tokens()}).to_string(),
        )
    }
}

/// The function tools, and the one that must be called.
fn tools<'a>(fields: &Fields<'a>, call: &Call<'_>) -> Result<(Vec<Function<'a>>, Option<&'a str>), Refusal> {
    let mut functions = Vec::new();
    for (index, tool) in fields.array("tools")?.unwrap_or_default().iter().enumerate() {
        let path = format!("tools[{index}]");
        let map = tool.as_object().ok_or_else(|| fields.wrong_type(&path, "an object", tool))?;
        let tool = Fields::inside(map, &path);
        let kind = tool.required("type")?.as_str().unwrap_or_default();
        if !TOOLS.contains(&kind) {
            return Err(tool.wrong_value("type", kind, &TOOLS));
        }
        match kind {
            "function" => functions.push(Function {
                name: tool.required("name")?.as_str().unwrap_or_default(),
                parameters: tool.get("parameters"),
            }),
            "image_generation" if !call.headers.contains_key(IMAGE_HEADER) => {
                let message = format!("imagegen deployment must be provided through header: {IMAGE_HEADER}");
                return Err(Refusal::invalid(message, None, None));
            }
            _ => {}
        }
    }
    let must_call = match fields.get("tool_choice") {
        None => None,
        Some(Value::String(choice)) => match choice.as_str() {
            "auto" => None,
            "none" => {
                functions.clear();
                None
            }
            "required" => Some(""),
            other => return Err(fields.wrong_value("tool_choice", other, &["none", "auto", "required"])),
        },
        Some(choice) => choice["name"].as_str(),
    };
    Ok((functions, must_call))
}

fn thinking(fields: &Fields<'_>, model: &str) -> Result<usize, Refusal> {
    let effort = match fields.object("reasoning")? {
        Some(reasoning) => Fields::inside(reasoning, "reasoning").text("effort")?,
        None => None,
    };
    let Some(rules) = model_rules::reasoning(model) else {
        if effort.is_some() {
            let message = "Unsupported parameter: 'reasoning.effort' is not supported with this model.";
            return Err(Refusal::invalid(message, Some("reasoning.effort"), Some("unsupported_parameter")));
        }
        return Ok(0);
    };
    let effort = effort.unwrap_or(rules.default);
    if !rules.efforts.contains(&effort) {
        return Err(Fields::inside(&serde_json::Map::new(), "reasoning").wrong_value("effort", effort, rules.efforts));
    }
    Ok(model_rules::thinking_tokens(effort))
}

/// Whether deltas are padded. The options of chat streams are unknown here.
fn stream_options(fields: &Fields<'_>) -> Result<bool, Refusal> {
    let Some(options) = fields.object("stream_options")? else { return Ok(true) };
    if let Some(unknown) = options.keys().find(|name| *name != "include_obfuscation") {
        let param = format!("stream_options.{unknown}");
        let message = format!("Unknown parameter: '{param}'.");
        return Err(Refusal::invalid(message, Some(&param), Some("unknown_parameter")));
    }
    Ok(options.get("include_obfuscation") != Some(&Value::Bool(false)))
}

fn schema<'a>(fields: &Fields<'a>) -> Result<Option<&'a Value>, Refusal> {
    let Some(text) = fields.object("text")? else { return Ok(None) };
    let Some(format) = Fields::inside(text, "text").object("format")? else { return Ok(None) };
    let format = Fields::inside(format, "text.format");
    match format.required("type")?.as_str() {
        Some("json_schema") => {
            format.required("name")?;
            format.required("schema").map(Some)
        }
        Some("text" | "json_object") => Ok(None),
        other => Err(format.wrong_value("type", other.unwrap_or_default(), &["text", "json_schema", "json_object"])),
    }
}
