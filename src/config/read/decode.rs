//! Decoding a tree with serde. Unknown fields are noted and skipped; anything else that is wrong ends the attempt with
//! the value that is to blame.

use std::cell::RefCell;

use serde::de::{
    DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Visitor,
    value::{StrDeserializer, StringDeserializer},
};

use super::{
    error::Error,
    nearest::suggestion,
    place::{Finding, Spot},
    tree::{Element, Member, Node, Value},
};
use crate::config::environment::{Environment, resolve};

/// Name of the newtype that stands for a text that may be a reference: decoding it follows the reference.
pub const REFERENCE: &str = "azgate::Reference";

/// Name of the newtype that is written as a text or as an object: the visitor gets the text, or the object as a newtype.
pub const TEXT_OR_OBJECT: &str = "azgate::TextOrObject";

/// What decoding needs beside the tree, and what it notes on the way.
pub struct Surroundings<'a> {
    pub environment: &'a dyn Environment,
    pub unknown: RefCell<Vec<Finding>>,
}

/// One value to decode.
#[derive(Clone, Copy)]
pub struct Decoder<'a> {
    pub node: &'a Node,
    pub surroundings: &'a Surroundings<'a>,
}

impl<'a> Decoder<'a> {
    fn with(self, node: &'a Node) -> Self {
        Self { node, ..self }
    }

    fn expected(self, what: &str) -> Error {
        Error::worded(&format!("expected {what}, found {}", self.node.describe())).at(self.node)
    }

    fn whole_number(self, least: i128, greatest: i128) -> Result<i128, Error> {
        let expected = || match (least, greatest) {
            (0, _) if greatest >= i128::from(u64::MAX) => "a whole number, 0 or more".to_owned(),
            _ => format!("a whole number from {least} to {greatest}"),
        };
        let Value::Number(number) = &self.node.value else { return Err(self.expected(&expected())) };
        match number.parse::<i128>() {
            Ok(number) if (least..=greatest).contains(&number) => Ok(number),
            _ => Err(self.expected(&expected())),
        }
    }

    fn number(self) -> Result<f64, Error> {
        match &self.node.value {
            Value::Number(number) => number
                .parse()
                .ok()
                .filter(|number: &f64| number.is_finite())
                .ok_or_else(|| self.expected("a finite number")),
            _ => Err(self.expected("a number")),
        }
    }

    fn text(self) -> Result<&'a str, Error> {
        match &self.node.value {
            Value::Text(text) => Ok(text),
            _ => Err(self.expected("a string")),
        }
    }

    fn reference(self) -> Result<String, Error> {
        let Value::Text(text) = &self.node.value else {
            // Says nothing of what stands here: a number may be half of a secret.
            return Err(Error::worded("this is no string; expected a string in double quotes").at(self.node));
        };
        resolve(text, self.surroundings.environment).map_err(|error| Error::worded(&error.to_string()).at(self.node))
    }

    fn members(self) -> Result<&'a [Member], Error> {
        match &self.node.value {
            Value::Object(object) => Ok(&object.members),
            _ => Err(self.expected("an object")),
        }
    }

    fn visit_members<V: Visitor<'a>>(self, members: Vec<&'a Member>, visitor: V) -> Result<V::Value, Error> {
        let members = Members { decoder: self, rest: members.into_iter(), value: None };
        visitor.visit_map(members).map_err(|error| error.at(self.node))
    }
}

macro_rules! whole_numbers {
    ($($method:ident $visit:ident $type:ty)*) => {$(
        fn $method<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
            let number = self.whole_number(<$type>::MIN as i128, <$type>::MAX as i128)?;
            // In range, as was just checked.
            visitor.$visit(number as $type).map_err(|error: Error| error.at(self.node))
        }
    )*};
}

impl<'a> Deserializer<'a> for Decoder<'a> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
        let result = match &self.node.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Number(number) => match (number.parse::<u64>(), number.parse::<i64>()) {
                (Ok(number), _) => visitor.visit_u64(number),
                (_, Ok(number)) => visitor.visit_i64(number),
                _ => visitor.visit_f64(self.number()?),
            },
            Value::Text(text) => visitor.visit_borrowed_str(text),
            Value::List(_) => return self.deserialize_seq(visitor),
            Value::Object(_) => return self.deserialize_map(visitor),
        };
        result.map_err(|error: Error| error.at(self.node))
    }

    whole_numbers! {
        deserialize_u8 visit_u8 u8
        deserialize_u16 visit_u16 u16
        deserialize_u32 visit_u32 u32
        deserialize_u64 visit_u64 u64
        deserialize_i8 visit_i8 i8
        deserialize_i16 visit_i16 i16
        deserialize_i32 visit_i32 i32
        deserialize_i64 visit_i64 i64
    }

    fn deserialize_bool<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.node.value {
            Value::Bool(value) => visitor.visit_bool(value),
            _ => Err(self.expected("`true` or `false`")),
        }
    }

    fn deserialize_f32<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_f64<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_f64(self.number()?).map_err(|error: Error| error.at(self.node))
    }

    fn deserialize_str<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_borrowed_str(self.text()?).map_err(|error: Error| error.at(self.node))
    }

    fn deserialize_string<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
        let result = match self.node.value {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        };
        result.map_err(|error: Error| error.at(self.node))
    }

    fn deserialize_newtype_struct<V: Visitor<'a>>(self, name: &'static str, visitor: V) -> Result<V::Value, Error> {
        let result = match name {
            REFERENCE => visitor.visit_string(self.reference()?),
            TEXT_OR_OBJECT => match &self.node.value {
                Value::Text(text) => visitor.visit_borrowed_str(text),
                Value::Object(_) => visitor.visit_newtype_struct(self),
                _ => return Err(self.expected("a string or an object")),
            },
            _ => visitor.visit_newtype_struct(self),
        };
        result.map_err(|error: Error| error.at(self.node))
    }

    fn deserialize_seq<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.node.value {
            Value::List(list) => visitor
                .visit_seq(Elements { decoder: self, rest: list.elements.iter() })
                .map_err(|error: Error| error.at(self.node)),
            _ => Err(self.expected("a list")),
        }
    }

    fn deserialize_map<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
        self.visit_members(self.members()?.iter().collect(), visitor)
    }

    /// Knows all names that a structure has, so that unknown fields can all be reported in one go.
    fn deserialize_struct<V: Visitor<'a>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let (known, unknown): (Vec<_>, Vec<_>) =
            self.members()?.iter().partition(|member| fields.contains(&member.name.as_str()));
        let findings = unknown.into_iter().map(|member| Finding {
            at: member.at,
            spot: Spot::Member(self.node.id, member.name.clone()),
            message: "unknown field".to_owned(),
            hint: Some(suggestion(&member.name, fields)),
        });
        self.surroundings.unknown.borrow_mut().extend(findings);
        self.visit_members(known, visitor)
    }

    fn deserialize_enum<V: Visitor<'a>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let name: StrDeserializer<'a, Error> = self.text()?.into_deserializer();
        visitor.visit_enum(name).map_err(|error: Error| error.at(self.node))
    }

    serde::forward_to_deserialize_any! {
        <V: Visitor<'a>>
        char bytes byte_buf unit unit_struct tuple tuple_struct identifier ignored_any
    }
}

struct Elements<'a> {
    decoder: Decoder<'a>,
    rest: std::slice::Iter<'a, Element>,
}

impl<'a> SeqAccess<'a> for Elements<'a> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'a>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        let Some(element) = self.rest.next() else { return Ok(None) };
        let result = seed.deserialize(self.decoder.with(&element.node));
        result.map(Some).map_err(|error| error.at(&element.node))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.rest.len())
    }
}

struct Members<'a> {
    decoder: Decoder<'a>,
    rest: std::vec::IntoIter<&'a Member>,
    value: Option<&'a Node>,
}

impl<'a> MapAccess<'a> for Members<'a> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'a>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        let Some(member) = self.rest.next() else { return Ok(None) };
        self.value = Some(&member.node);
        let name: StringDeserializer<Error> = member.name.clone().into_deserializer();
        seed.deserialize(name).map(Some).map_err(|error| error.at(&member.node))
    }

    fn next_value_seed<V: DeserializeSeed<'a>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let Some(node) = self.value.take() else {
            return Err(Error::worded("a value was asked for before its name"));
        };
        seed.deserialize(self.decoder.with(node)).map_err(|error| error.at(node))
    }
}
