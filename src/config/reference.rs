//! What the configuration may hold, for people and editors: JSON Schema and the reference in Markdown, both made from
//! the structures in `file` and their doc comments.

mod markdown;
mod outline;

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};

pub use markdown::reference_markdown;
pub use outline::Outline;

use super::file::File;

/// JSON Schema (draft 2020-12) of the configuration file.
pub fn schema() -> Value {
    let mut schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<File>().to_value();
    tidy(&mut schema);
    schema["title"] = "azgate configuration".into();
    schema
}

/// Removes what says something about the program instead of the file: line breaks of the source, sizes of its
/// integers, defaults of fields that have none.
fn tidy(value: &mut Value) {
    match value {
        Value::Array(values) => values.iter_mut().for_each(tidy),
        Value::Object(object) => {
            tidy_fields(object);
            object.values_mut().for_each(tidy);
        }
        _ => {}
    }
}

fn tidy_fields(object: &mut Map<String, Value>) {
    if let Some(Value::String(text)) = object.get_mut("description") {
        *text = text.split("\n\n").map(|paragraph| paragraph.replace('\n', " ")).collect::<Vec<_>>().join("\n\n");
    }
    let sized = |format: &Value| format.as_str().is_some_and(|format| format == "double" || format.contains("int"));
    if object.get("format").is_some_and(sized) {
        object.remove("format");
    }
    if let Some(Value::Object(default)) = object.get_mut("default") {
        default.retain(|_, value| !value.is_null());
    }
    if object.contains_key("deprecated") {
        object.remove("default");
    }
    let required: Vec<String> = match object.get("required") {
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    };
    if let Some(Value::Object(properties)) = object.get_mut("properties") {
        let fields = required.iter().filter_map(|name| Some((name, properties.get(name)?.clone()))).collect::<Vec<_>>();
        for (name, mut field) in fields {
            field.as_object_mut().map(|field| field.remove("default"));
            properties.insert(name.clone(), field);
        }
    }
}
