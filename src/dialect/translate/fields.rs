//! Taking the fields of a JSON object one by one, so that what nobody took is known at the end.

use serde_json::{Map, Number, Value};

use super::refused::Refused;

/// An object under way, and where it stands in the body.
#[derive(Debug)]
pub struct Fields {
    map: Map<String, Value>,
    within: String,
}

impl Fields {
    pub fn of_body(map: Map<String, Value>) -> Self {
        Self { map, within: String::new() }
    }

    /// An object that stands at `within` (`messages[0]`).
    pub fn of(value: Value, within: impl Into<String>) -> Result<Self, Refused> {
        let within = within.into();
        match value {
            Value::Object(map) => Ok(Self { map, within }),
            _ => Err(Refused::invalid(within, "an object")),
        }
    }

    pub fn path(&self, name: &str) -> String {
        if self.within.is_empty() { name.to_owned() } else { format!("{}.{name}", self.within) }
    }

    /// A value; null counts as absent.
    pub fn take(&mut self, name: &str) -> Option<Value> {
        self.map.remove(name).filter(|value| !value.is_null())
    }

    pub fn has(&self, name: &str) -> bool {
        self.map.get(name).is_some_and(|value| !value.is_null())
    }

    pub fn text(&mut self, name: &str) -> Result<Option<String>, Refused> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(Refused::invalid(self.path(name), "a string")),
        }
    }

    pub fn required_text(&mut self, name: &str) -> Result<String, Refused> {
        self.text(name)?.ok_or_else(|| Refused::invalid(self.path(name), "a string"))
    }

    pub fn boolean(&mut self, name: &str) -> Result<Option<bool>, Refused> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(flag)),
            Some(_) => Err(Refused::invalid(self.path(name), "a boolean")),
        }
    }

    pub fn number(&mut self, name: &str) -> Result<Option<Number>, Refused> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Number(number)) => Ok(Some(number)),
            Some(_) => Err(Refused::invalid(self.path(name), "a number")),
        }
    }

    pub fn whole(&mut self, name: &str) -> Result<Option<u64>, Refused> {
        let number = self.number(name)?;
        let whole = |number: Number| {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "checked to be a small whole number"
            )]
            let float = || number.as_f64().filter(|n| n.fract() == 0.0 && (0.0..=9e15).contains(n)).map(|n| n as u64);
            number.as_u64().or_else(float)
        };
        match number.map(whole) {
            None => Ok(None),
            Some(Some(count)) => Ok(Some(count)),
            Some(None) => Err(Refused::invalid(self.path(name), "a whole number")),
        }
    }

    pub fn array(&mut self, name: &str) -> Result<Vec<Value>, Refused> {
        match self.take(name) {
            None => Ok(Vec::new()),
            Some(Value::Array(list)) => Ok(list),
            Some(_) => Err(Refused::invalid(self.path(name), "an array")),
        }
    }

    /// An object inside this one.
    pub fn object(&mut self, name: &str) -> Result<Option<Self>, Refused> {
        let path = self.path(name);
        self.take(name).map(|value| Self::of(value, path)).transpose()
    }

    /// Drops fields that mean nothing to the other side.
    pub fn drop_all(&mut self, names: &[&str]) {
        for name in names {
            self.map.remove(*name);
        }
    }

    /// Refuses what nobody took.
    pub fn done(self, why: &'static str) -> Result<(), Refused> {
        match self.map.iter().find(|(_, value)| !value.is_null()) {
            None => Ok(()),
            Some((name, _)) => Err(Refused::not_supported(self.path(name), why)),
        }
    }

    /// What is left, as a value.
    pub fn rest(self) -> Value {
        Value::Object(self.map)
    }
}

/// The strings of an array.
pub fn strings(list: Vec<Value>, path: &str) -> Result<Vec<String>, Refused> {
    let text = |value: Value| match value {
        Value::String(text) => Ok(text),
        _ => Err(Refused::invalid(path, "an array of strings")),
    };
    list.into_iter().map(text).collect()
}
