//! The tools of a request as OpenAI's dialects write them: Chat Completions nests what a function is, Responses does not.

use serde_json::{Map, Value, json};

use super::request::{Request, Tool, ToolChoice};
use super::schema;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    Nested,
    Flat,
}

/// Writes tools, the choice among them, and whether several may be called at once. Without tools nothing of it is said.
pub fn write(request: &Request, shape: Shape, body: &mut Map<String, Value>) {
    if !request.has_tools() {
        return;
    }
    body.insert("tools".into(), request.tools.iter().map(|tool| self::tool(tool, shape)).collect());
    if let Some(choice) = &request.tool_choice {
        let choice = match choice {
            ToolChoice::None => "none".into(),
            ToolChoice::Auto => "auto".into(),
            ToolChoice::Any => "required".into(),
            ToolChoice::Named(name) => function(Map::from_iter([("name".to_owned(), name.as_str().into())]), shape),
        };
        body.insert("tool_choice".into(), choice);
    }
    body.extend(request.parallel.map(|parallel| ("parallel_tool_calls".to_owned(), parallel.into())));
}

/// `strict` is always said in Responses: left out, it means true there.
fn tool(tool: &Tool, shape: Shape) -> Value {
    let mut what = Map::new();
    what.insert("name".into(), tool.name.as_str().into());
    if let Some(description) = &tool.description {
        what.insert("description".into(), description.as_str().into());
    }
    what.insert("parameters".into(), schema::of_tool(tool));
    if tool.strict.is_some() || shape == Shape::Flat {
        let strict = tool.strict == Some(true) && schema::is_strict(&tool.schema);
        what.insert("strict".into(), strict.into());
    }
    function(what, shape)
}

fn function(what: Map<String, Value>, shape: Shape) -> Value {
    match shape {
        Shape::Nested => json!({"type": "function", "function": what}),
        Shape::Flat => {
            let mut flat = Map::from_iter([("type".to_owned(), "function".into())]);
            flat.extend(what);
            flat.into()
        }
    }
}
