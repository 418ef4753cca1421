//! What decoding can object to, kept with the value that it objects to.

use std::fmt;

use serde::de;

use super::{
    nearest::suggestion,
    place::{Finding, Spot},
    position::Position,
    tree::Node,
};

/// One objection. Knows its place as soon as it has passed the innermost value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    message: String,
    hint: Option<String>,
    place: Option<(u32, Position)>,
}

impl Error {
    /// `message; hint`, the form in which all our parsers word their errors.
    pub fn worded(text: &str) -> Self {
        let (message, hint) = match text.split_once("; ") {
            Some((message, hint)) => (message, Some(hint.to_owned())),
            None => (text, None),
        };
        Self { message: message.to_owned(), hint, place: None }
    }

    /// Puts the error at a value, unless an inner value has it already.
    pub fn at(mut self, node: &Node) -> Self {
        self.place.get_or_insert((node.id, node.at));
        self
    }

    /// The value that has to go so that the rest can be read.
    pub fn node(&self) -> Option<u32> {
        self.place.map(|(id, _)| id)
    }

    pub fn into_finding(self) -> Finding {
        let (spot, at) = match self.place {
            Some((id, at)) => (Spot::Node(id), at),
            None => (Spot::Text, Position::START),
        };
        Finding { at, spot, message: self.message, hint: self.hint }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl de::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::worded(&message.to_string())
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        Self { message: format!("unknown value `{variant}`"), hint: Some(suggestion(variant, expected)), place: None }
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Self { message: format!("unknown field `{field}`"), hint: Some(suggestion(field, expected)), place: None }
    }

    fn missing_field(field: &'static str) -> Self {
        Self { message: format!("`{field}` is missing"), hint: Some(format!("add `{field}`")), place: None }
    }

    /// Says what is expected only: the unexpected value may be a secret.
    fn invalid_type(_: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::worded(&format!("wrong type; expected {expected}"))
    }

    fn invalid_value(_: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::worded(&format!("wrong value; expected {expected}"))
    }
}
