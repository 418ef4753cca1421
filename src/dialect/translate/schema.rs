//! JSON Schemas of tools and answers, as far as dialects differ about them.

use serde_json::{Map, Value, json};

use super::request::Tool;

/// The name of a schema whose caller gave it none.
pub const UNNAMED: &str = "answer";

/// The parameters of a tool: an object, with properties even when there are none, and one text for a tool that takes text.
pub fn of_tool(tool: &Tool) -> Value {
    if tool.free_text {
        return json!({"type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]});
    }
    let mut schema = match &tool.schema {
        Value::Object(map) => map.clone(),
        _ => Map::new(),
    };
    schema.entry("type").or_insert_with(|| "object".into());
    if schema.get("type").is_some_and(|kind| kind == "object") {
        schema.entry("properties").or_insert_with(|| json!({}));
    }
    Value::Object(schema)
}

/// Whether OpenAI's strict mode takes a schema: every object closed, and all of its properties required.
pub fn is_strict(schema: &Value) -> bool {
    let closed = schema.get("properties").and_then(Value::as_object).is_none_or(|properties| {
        let required = schema.get("required").and_then(Value::as_array);
        let all =
            properties.keys().all(|name| required.is_some_and(|list| list.iter().any(|item| item == name.as_str())));
        all && schema.get("additionalProperties") == Some(&Value::Bool(false))
    });
    let inside = || match schema {
        Value::Object(map) => map.values().all(is_strict),
        Value::Array(list) => list.iter().all(is_strict),
        _ => true,
    };
    closed && inside()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strict_schemas_are_closed_all_the_way_down() {
        let inner =
            json!({"type": "object", "properties": {"a": {}}, "required": ["a"], "additionalProperties": false});
        let outer =
            json!({"type": "object", "properties": {"b": inner}, "required": ["b"], "additionalProperties": false});
        assert!(is_strict(&outer) && is_strict(&json!({"type": "string"})));
        let mut open = outer.clone();
        open["properties"]["b"]["required"] = json!([]);
        assert!(!is_strict(&open));
        open = outer;
        open["additionalProperties"] = json!(true);
        assert!(!is_strict(&open));
    }
}
