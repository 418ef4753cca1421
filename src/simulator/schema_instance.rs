//! An instance for a JSON Schema: a value that satisfies it, the same one every time.
//! Knows types, enum, const, bounds, nested objects and arrays, `$ref`, `anyOf`, `oneOf`, `allOf`; ignores `pattern` and `not`.

use serde_json::{Map, Number, Value, json};

/// From this depth on, what may be left out is left out, so that recursive schemas end.
const SHALLOW: usize = 6;

/// Below this depth a schema that still demands more gets null.
const DEEPEST: usize = 32;

/// A value for `schema`; `subject` names what it stands for.
pub fn instance(schema: &Value, subject: &str) -> Value {
    Maker { root: schema }.make(schema, subject, 0)
}

struct Maker<'a> {
    root: &'a Value,
}

impl Maker<'_> {
    fn make(&self, schema: &Value, subject: &str, depth: usize) -> Value {
        let Some(fields) = schema.as_object().filter(|_| depth < DEEPEST) else {
            // `true`, or a schema that is none: anything goes.
            return if schema == &Value::Bool(true) { json!(text(subject)) } else { Value::Null };
        };
        if let Some(target) = fields.get("$ref").and_then(Value::as_str) {
            return self.resolve(target).map_or(Value::Null, |schema| self.make(schema, subject, depth + 1));
        }
        if let Some(value) = fields.get("const") {
            return value.clone();
        }
        if let Some(first) = fields.get("enum").and_then(Value::as_array).and_then(|list| list.first()) {
            return first.clone();
        }
        if let Some(all) = fields.get("allOf").and_then(Value::as_array) {
            return self.make(&self.merged(fields, all), subject, depth + 1);
        }
        for key in ["anyOf", "oneOf"] {
            if let Some(options) = fields.get(key).and_then(Value::as_array) {
                return self.make(self.pick(options, depth), subject, depth + 1);
            }
        }
        match type_of(fields, depth) {
            "object" => self.object(fields, depth),
            "array" => self.array(fields, subject, depth),
            "string" => Value::String(string(fields, subject)),
            "integer" => integer(fields),
            "number" => number(fields),
            "boolean" => Value::Bool(true),
            _ => Value::Null,
        }
    }

    fn resolve(&self, target: &str) -> Option<&Value> {
        self.root.pointer(target.strip_prefix('#')?)
    }

    /// The first option that is not null; in the depth, the one that ends soonest.
    fn pick<'s>(&self, options: &'s [Value], depth: usize) -> &'s Value {
        let is = |option: &&Value, kind: &str| option.get("type").and_then(Value::as_str) == Some(kind);
        let simple = |option: &&Value| option.get("$ref").is_none() && !is(option, "object") && !is(option, "array");
        let preferred = if depth >= SHALLOW {
            options.iter().find(simple)
        } else {
            options.iter().find(|option| !is(option, "null"))
        };
        preferred.or(options.first()).unwrap_or(&Value::Null)
    }

    fn merged(&self, fields: &Map<String, Value>, all: &[Value]) -> Value {
        let mut merged = fields.clone();
        merged.remove("allOf");
        for part in all {
            let part = part.get("$ref").and_then(Value::as_str).and_then(|target| self.resolve(target)).unwrap_or(part);
            for (key, value) in part.as_object().into_iter().flatten() {
                match (merged.get_mut(key), value) {
                    (Some(Value::Object(into)), Value::Object(more)) => into.extend(more.clone()),
                    (Some(Value::Array(into)), Value::Array(more)) => into.extend(more.iter().cloned()),
                    (Some(_), _) => {}
                    (None, value) => {
                        merged.insert(key.clone(), value.clone());
                    }
                }
            }
        }
        Value::Object(merged)
    }

    fn object(&self, fields: &Map<String, Value>, depth: usize) -> Value {
        let required: Vec<&str> =
            fields.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
        let mut made = Map::new();
        for (name, schema) in fields.get("properties").and_then(Value::as_object).into_iter().flatten() {
            if depth < SHALLOW || required.contains(&name.as_str()) {
                made.insert(name.clone(), self.make(schema, name, depth + 1));
            }
        }
        for name in required {
            if !made.contains_key(name) {
                let schema = fields.get("additionalProperties").unwrap_or(&Value::Bool(true));
                made.insert(name.to_owned(), self.make(schema, name, depth + 1));
            }
        }
        Value::Object(made)
    }

    fn array(&self, fields: &Map<String, Value>, subject: &str, depth: usize) -> Value {
        let bound =
            |name: &str| fields.get(name).and_then(Value::as_u64).and_then(|number| usize::try_from(number).ok());
        let least = bound("minItems").unwrap_or(if depth < SHALLOW { 1 } else { 0 });
        let count = least.min(bound("maxItems").unwrap_or(usize::MAX)).min(1000);
        let prefix = fields.get("prefixItems").and_then(Value::as_array);
        let unique = fields.get("uniqueItems") == Some(&Value::Bool(true));
        let item = |index: usize| {
            let schema = prefix.and_then(|list| list.get(index)).or(fields.get("items")).unwrap_or(&Value::Bool(true));
            let made = self.make(schema, subject, depth + 1);
            if unique && index > 0 { distinct(schema, made, index) } else { made }
        };
        Value::Array((0..count.max(prefix.map_or(0, Vec::len))).map(item).collect())
    }
}

fn distinct(schema: &Value, made: Value, index: usize) -> Value {
    if let Some(value) = schema.get("enum").and_then(Value::as_array).and_then(|list| list.get(index)) {
        return value.clone();
    }
    match made {
        Value::String(text) => Value::String(format!("{text} {}", index + 1)),
        Value::Number(number) => number.as_i64().map_or(Value::Number(number), |n| json!(n + index as i64)),
        other => other,
    }
}

fn type_of(fields: &Map<String, Value>, depth: usize) -> &str {
    match fields.get("type") {
        Some(Value::String(one)) => one,
        Some(Value::Array(list)) => {
            let mut names = list.iter().filter_map(Value::as_str);
            let null_will_do = depth >= SHALLOW && list.iter().any(|name| name == "null");
            if null_will_do { "null" } else { names.find(|name| *name != "null").unwrap_or("null") }
        }
        _ if fields.contains_key("properties") || fields.contains_key("required") => "object",
        _ if fields.contains_key("items") => "array",
        _ => "string",
    }
}

fn string(fields: &Map<String, Value>, subject: &str) -> String {
    let bound = |name: &str| fields.get(name).and_then(Value::as_u64).and_then(|number| usize::try_from(number).ok());
    let made = match fields.get("format").and_then(Value::as_str) {
        Some("date-time") => "2026-01-31T12:00:00Z".to_owned(),
        Some("date") => "2026-01-31".to_owned(),
        Some("time") => "12:00:00Z".to_owned(),
        Some("duration") => "PT1H".to_owned(),
        Some("email") => "someone@example.com".to_owned(),
        Some("hostname") => "example.com".to_owned(),
        Some("ipv4") => "192.0.2.1".to_owned(),
        Some("ipv6") => "2001:db8::1".to_owned(),
        Some("uuid") => "00000000-0000-4000-8000-000000000001".to_owned(),
        Some("uri") => "https://example.com/".to_owned(),
        _ => text(subject),
    };
    let mut characters: Vec<char> = made.chars().collect();
    characters.resize(characters.len().max(bound("minLength").unwrap_or(0).min(100_000)), 'x');
    characters.truncate(bound("maxLength").unwrap_or(usize::MAX));
    characters.into_iter().collect()
}

fn text(subject: &str) -> String {
    if subject.is_empty() { "sample".to_owned() } else { format!("sample {subject}") }
}

fn integer(fields: &Map<String, Value>) -> Value {
    let bound = |name: &str| fields.get(name).and_then(Value::as_f64);
    #[expect(clippy::cast_possible_truncation, reason = "schemas bound integers by integers")]
    let whole = |number: f64| number as i64;
    let least =
        bound("minimum").map(f64::ceil).or_else(|| bound("exclusiveMinimum").map(|n| n.floor() + 1.0)).map(whole);
    let most =
        bound("maximum").map(f64::floor).or_else(|| bound("exclusiveMaximum").map(|n| n.ceil() - 1.0)).map(whole);
    let step = bound("multipleOf").map(whole).filter(|step| *step > 0).unwrap_or(1);
    let start = least.unwrap_or_else(|| most.unwrap_or(1).min(1));
    let over = start.rem_euclid(step);
    json!(if over == 0 { start } else { start + step - over })
}

fn number(fields: &Map<String, Value>) -> Value {
    let bound = |name: &str| fields.get(name).and_then(Value::as_f64);
    if bound("multipleOf").is_some_and(|step| step.fract() == 0.0) {
        return integer(fields);
    }
    let made = match (bound("minimum"), bound("exclusiveMinimum"), bound("maximum"), bound("exclusiveMaximum")) {
        (Some(least), ..) => least,
        (_, Some(least), most, below) => match most.or(below) {
            Some(most) => f64::midpoint(least, most),
            None => least + 1.0,
        },
        (_, _, Some(most), _) => most.min(1.5),
        (_, _, _, Some(most)) => (most - 1.0).min(1.5),
        _ => bound("multipleOf").unwrap_or(1.5),
    };
    Number::from_f64(made).map_or(Value::Null, Value::Number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_schema_gets_a_fitting_value() {
        for (schema, expected) in [
            (json!({"type": "string", "maxLength": 3}), json!("sam")),
            (json!({"type": ["null", "integer"], "minimum": 3, "multipleOf": 5}), json!(5)),
            (json!({"type": "number", "exclusiveMinimum": 0, "maximum": 1}), json!(0.5)),
            (json!({"const": 7}), json!(7)),
            (json!({"enum": ["b", "a"]}), json!("b")),
            (json!({"anyOf": [{"type": "null"}, {"type": "boolean"}]}), json!(true)),
            (
                json!({"type": "array", "items": {"type": "integer"}, "minItems": 3, "uniqueItems": true}),
                json!([1, 2, 3]),
            ),
            (json!({"type": "string", "format": "date"}), json!("2026-01-31")),
            (
                json!({"allOf": [{"properties": {"a": {"const": 1}}}, {"properties": {"b": {"const": 2}}}]}),
                json!({"a": 1, "b": 2}),
            ),
            (json!({"type": "object", "required": ["x"]}), json!({"x": "sample x"})),
        ] {
            assert_eq!(instance(&schema, ""), expected, "{schema}");
        }
    }

    #[test]
    fn recursive_schemas_end() {
        let schema = json!({
            "$ref": "#/$defs/node",
            "$defs": {"node": {
                "type": "object",
                "properties": {
                    "name": {"type": "string"},
                    "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]},
                    "children": {"type": "array", "items": {"$ref": "#/$defs/node"}},
                },
                "required": ["name", "next", "children"],
                "additionalProperties": false,
            }},
        });
        let made = instance(&schema, "");
        assert_eq!(made["name"], "sample name");
        assert!(made["next"]["next"].is_object());
        assert!(made.to_string().len() < 100_000);
    }
}
