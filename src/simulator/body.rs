//! Reading the fields of a JSON body and refusing wrong ones in Azure's words.
//! Which fields an operation has is left to the operation.

use serde_json::{Map, Value};

use super::errors::Refusal;

/// A JSON object and where it stands in the body.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    map: &'a Map<String, Value>,
    within: String,
}

impl<'a> Fields<'a> {
    /// The whole body.
    pub fn of_body(map: &'a Map<String, Value>) -> Self {
        Self { map, within: String::new() }
    }

    /// An object inside the body, called by `within` in messages.
    pub fn inside(map: &'a Map<String, Value>, within: &str) -> Self {
        Self { map, within: within.to_owned() }
    }

    /// The value; null counts as absent.
    pub fn get(&self, name: &str) -> Option<&'a Value> {
        self.map.get(name).filter(|value| !value.is_null())
    }

    pub fn path(&self, name: &str) -> String {
        if self.within.is_empty() { name.to_owned() } else { format!("{}.{name}", self.within) }
    }

    /// Refuses fields that are not in `known`.
    pub fn only(&self, known: &[&str]) -> Result<(), Refusal> {
        let unknown: Vec<&str> = self.map.keys().map(String::as_str).filter(|name| !known.contains(name)).collect();
        if unknown.is_empty() {
            return Ok(());
        }
        let plural = if unknown.len() > 1 { "s" } else { "" };
        let message = format!("Unrecognized request argument{plural} supplied: {}", unknown.join(", "));
        Err(Refusal::invalid(message, None, None))
    }

    pub fn required(&self, name: &str) -> Result<&'a Value, Refusal> {
        self.get(name).ok_or_else(|| {
            let path = self.path(name);
            let message = format!("Missing required parameter: '{path}'.");
            Refusal::invalid(message, Some(&path), Some("missing_required_parameter"))
        })
    }

    pub fn boolean(&self, name: &str) -> Result<Option<bool>, Refusal> {
        let Some(value) = self.get(name) else { return Ok(None) };
        value.as_bool().map(Some).ok_or_else(|| self.wrong_type(name, "a boolean", value))
    }

    pub fn text(&self, name: &str) -> Result<Option<&'a str>, Refusal> {
        let Some(value) = self.get(name) else { return Ok(None) };
        value.as_str().map(Some).ok_or_else(|| self.wrong_type(name, "a string", value))
    }

    pub fn object(&self, name: &str) -> Result<Option<&'a Map<String, Value>>, Refusal> {
        let Some(value) = self.get(name) else { return Ok(None) };
        value.as_object().map(Some).ok_or_else(|| self.wrong_type(name, "an object", value))
    }

    pub fn array(&self, name: &str) -> Result<Option<&'a [Value]>, Refusal> {
        let Some(value) = self.get(name) else { return Ok(None) };
        value.as_array().map(|list| Some(list.as_slice())).ok_or_else(|| self.wrong_type(name, "an array", value))
    }

    /// A whole number between two bounds.
    pub fn integer(&self, name: &str, least: i64, most: i64) -> Result<Option<i64>, Refusal> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let number = value.as_i64().ok_or_else(|| self.wrong_type(name, "an integer", value))?;
        let (below, above) = (number < least, number > most);
        if below || above {
            return Err(self.out_of_range(name, "integer", below, if below { least } else { most }, value));
        }
        Ok(Some(number))
    }

    /// A count of at least `least`.
    pub fn count(&self, name: &str, least: i64, most: i64) -> Result<Option<usize>, Refusal> {
        let number = self.integer(name, least, most)?;
        Ok(number.and_then(|number| usize::try_from(number).ok()))
    }

    pub fn decimal(&self, name: &str, least: i64, most: i64) -> Result<Option<f64>, Refusal> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let number = value.as_f64().ok_or_else(|| self.wrong_type(name, "a decimal", value))?;
        #[expect(clippy::cast_precision_loss, reason = "bounds are small whole numbers")]
        let (below, above) = (number < least as f64, number > most as f64);
        if below || above {
            return Err(self.out_of_range(name, "decimal", below, if below { least } else { most }, value));
        }
        Ok(Some(number))
    }

    /// One of a few texts.
    pub fn choice(&self, name: &str, supported: &[&str]) -> Result<Option<&'a str>, Refusal> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        if supported.contains(&text) {
            return Ok(Some(text));
        }
        Err(self.wrong_value(name, text, supported))
    }

    pub fn wrong_value(&self, name: &str, text: &str, supported: &[&str]) -> Refusal {
        let quoted: Vec<String> = supported.iter().map(|value| format!("'{value}'")).collect();
        let list = match quoted.as_slice() {
            [] => String::new(),
            [one] => one.clone(),
            [first, last] => format!("{first} and {last}"),
            [many @ .., last] => format!("{}, and {last}", many.join(", ")),
        };
        let message = format!("Invalid value: '{text}'. Supported values are: {list}.");
        Refusal::invalid(message, Some(&self.path(name)), Some("invalid_value"))
    }

    pub fn wrong_type(&self, name: &str, expected: &str, got: &Value) -> Refusal {
        let path = self.path(name);
        let message = format!("Invalid type for '{path}': expected {expected}, but got {} instead.", kind(got));
        Refusal::invalid(message, Some(&path), Some("invalid_type"))
    }

    pub fn empty_array(&self, name: &str) -> Refusal {
        let path = self.path(name);
        let message = format!(
            "Invalid '{path}': empty array. Expected an array with minimum length 1, but got an empty array instead."
        );
        Refusal::invalid(message, Some(&path), Some("empty_array"))
    }

    fn out_of_range(&self, name: &str, what: &str, below: bool, bound: i64, got: &Value) -> Refusal {
        let path = self.path(name);
        let (side, sign, code) =
            if below { ("below minimum", ">=", "below_min") } else { ("above maximum", "<=", "above_max") };
        let message =
            format!("Invalid '{path}': {what} {side} value. Expected a value {sign} {bound}, but got {got} instead.");
        Refusal::invalid(message, Some(&path), Some(&format!("{what}_{code}_value")))
    }
}

/// The body as a JSON object, or Azure's complaint.
pub fn object(body: &[u8]) -> Result<Map<String, Value>, Refusal> {
    match serde_json::from_slice(body) {
        Ok(Value::Object(map)) => Ok(map),
        Ok(other) => {
            let message =
                format!("Invalid type for request body: expected an object, but got {} instead.", kind(&other));
            Err(Refusal::invalid(message, None, Some("invalid_type")))
        }
        Err(_) => Err(Refusal::invalid(
            "We could not parse the JSON body of your request. (HINT: This likely means you aren't using your HTTP \
             library correctly. The service expects a JSON payload, but what was sent was not valid JSON.)",
            None,
            None,
        )),
    }
}

/// A value's type as messages call it.
pub fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(number) if number.is_f64() => "a decimal",
        Value::Number(_) => "an integer",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn message(check: impl Fn(&Fields<'_>) -> Result<(), Refusal>, body: Value) -> String {
        let map = body.as_object().expect("an object").clone();
        let refusal = check(&Fields::of_body(&map)).expect_err("refused");
        let body: Value = serde_json::from_str(&refusal.body).expect("JSON");
        format!("{} | {} | {}", body["error"]["message"], body["error"]["param"], body["error"]["code"])
            .replace('"', "")
    }

    #[test]
    fn wrong_fields_are_refused_in_azures_words() {
        assert_eq!(
            message(|fields| fields.decimal("temperature", 0, 2).map(drop), json!({"temperature": 3.5})),
            "Invalid 'temperature': decimal above maximum value. Expected a value <= 2, but got 3.5 instead. | temperature | \
             decimal_above_max_value"
        );
        assert_eq!(
            message(|fields| fields.boolean("stream").map(drop), json!({"stream": "yes"})),
            "Invalid type for 'stream': expected a boolean, but got a string instead. | stream | invalid_type"
        );
        assert_eq!(
            message(|fields| fields.only(&["a"]), json!({"a": 1, "b": 2, "c": 3})),
            "Unrecognized request arguments supplied: b, c | null | null"
        );
        assert_eq!(
            message(|fields| fields.choice("effort", &["low", "high"]).map(drop), json!({"effort": "none"})),
            "Invalid value: 'none'. Supported values are: 'low' and 'high'. | effort | invalid_value"
        );
    }
}
