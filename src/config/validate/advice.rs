//! Warnings about settings that have no effect: those of other software, and those that this version does not act on.

use std::collections::HashMap;

use serde_json::Value as Json;

use super::not_yet::NOT_YET;
use crate::config::{
    read::{Member, Node, Place, Value},
    reference::{Outline, schema},
};

pub fn give(root: &Place<'_>) {
    let schema = schema();
    let mut notes = Notes::default();
    notes.walk(&Outline::of(&schema), root, "");
    notes.give();
}

fn no_effect(note: &str) -> String {
    format!("this is accepted, but this version does not act on it: {note}")
}

/// Fields without effect that were met: one note for each, however many keys have it.
#[derive(Default)]
struct Notes<'a> {
    by_pattern: HashMap<String, Note<'a>>,
}

struct Note<'a> {
    first: Place<'a>,
    text: String,
    others: usize,
}

impl<'a> Notes<'a> {
    /// Walks file and schema side by side; `pattern` is the path with `*` for names and indices of the operator's choice.
    fn walk(&mut self, outline: &Outline<'_>, place: &Place<'a>, pattern: &str) {
        let Some(node) = place.node() else { return };
        if outline.is_ignored() {
            let note = outline.description().split_once(": ").map_or("it has no meaning here", |(_, reason)| reason);
            return self.note(pattern, place, format!("this is ignored: {}", note.trim_end_matches('.')));
        }
        if let Some((_, note)) = NOT_YET.iter().find(|(path, _)| *path == pattern)
            && !is_default(node, &outline.default())
        {
            return self.note(pattern, place, no_effect(note));
        }
        let step = |name: &str| if pattern.is_empty() { name.to_owned() } else { format!("{pattern}.{name}") };
        match &node.value {
            Value::Object(object) => {
                for Member { name, .. } in &object.members {
                    if let Some(below) = outline.property(name) {
                        self.walk(&below, &place.member(name), &step(name));
                    } else if let Some(below) = outline.values() {
                        self.walk(&below, &place.member(name), &step("*"));
                    }
                }
            }
            Value::List(list) => {
                let Some(below) = outline.elements() else { return };
                (0..list.elements.len()).for_each(|index| self.walk(&below, &place.element(index), &step("*")));
            }
            _ => {}
        }
    }

    fn note(&mut self, pattern: &str, place: &Place<'a>, text: String) {
        match self.by_pattern.get_mut(pattern) {
            Some(note) => note.others += 1,
            None => {
                let note = Note { first: place.clone(), text, others: 0 };
                self.by_pattern.insert(pattern.to_owned(), note);
            }
        }
    }

    fn give(self) {
        for Note { first, text, others } in self.by_pattern.into_values() {
            match others {
                0 => first.warn(text),
                1 => first.warn(format!("{text} (also at one other place)")),
                _ => first.warn(format!("{text} (also at {others} other places)")),
            }
        }
    }
}

/// Whether a value says no more than the default does. Members that are left out are at their defaults.
fn is_default(node: &Node, default: &Json) -> bool {
    match (&node.value, default) {
        (Value::Null, Json::Null) => true,
        (Value::Bool(value), Json::Bool(default)) => value == default,
        (Value::Number(number), Json::Number(default)) => number.parse::<f64>().ok() == default.as_f64(),
        (Value::Text(text), Json::String(default)) => text == default,
        (Value::List(list), Json::Array(default)) => {
            list.elements.len() == default.len()
                && list.elements.iter().zip(default).all(|(a, b)| is_default(&a.node, b))
        }
        (Value::Object(object), Json::Object(default)) => object
            .members
            .iter()
            .all(|member| is_default(&member.node, default.get(&member.name).unwrap_or(&Json::Null))),
        (Value::Object(object), Json::Null) => object.members.is_empty(),
        _ => false,
    }
}
