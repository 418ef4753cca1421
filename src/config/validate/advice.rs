//! Warnings about settings that have no effect: those of other software, and those that this version does not act on.

use serde_json::Value as Json;

use super::not_yet::{NOT_YET, PROVIDERS_NOT_YET, TOKENS_NOT_YET};
use crate::config::{
    file::{File, ProviderKind},
    read::{Node, Place, Value},
    reference::{Outline, schema},
};

pub fn give(file: &File, root: &Place<'_>) {
    let schema = schema();
    walk(&Outline::of(&schema), root, "");
    for (name, provider) in file.providers.iter() {
        let place = root.member("providers").member(name);
        if let Some((_, note)) = PROVIDERS_NOT_YET.iter().find(|(kind, _)| *kind == provider.kind()) {
            place.warn(worded(note));
        }
        for (index, key) in provider.keys.iter().enumerate() {
            if let (Some(note), ProviderKind::Azure, None) = (TOKENS_NOT_YET, provider.kind(), &key.value) {
                place.member("keys").element(index).member("value").warn(worded(note));
            }
        }
    }
}

fn worded(note: &str) -> String {
    format!("this is accepted, but this version does not act on it: {note}")
}

/// Walks file and schema side by side; `pattern` is the path with `*` for names and indices of the operator's choice.
fn walk(outline: &Outline<'_>, place: &Place<'_>, pattern: &str) {
    let Some(node) = place.node() else { return };
    if outline.is_ignored() {
        let note = outline.description().split_once(": ").map_or("it has no meaning here", |(_, reason)| reason);
        place.warn(format!("this is ignored: {}", note.trim_end_matches('.')));
        return;
    }
    if let Some((_, note)) = NOT_YET.iter().find(|(path, _)| *path == pattern)
        && !is_default(node, &outline.default())
    {
        place.warn(worded(note));
        return;
    }
    let step = |name: &str| if pattern.is_empty() { name.to_owned() } else { format!("{pattern}.{name}") };
    match &node.value {
        Value::Object(object) => {
            for member in &object.members {
                let place = place.member(&member.name);
                if let Some(below) = outline.property(&member.name) {
                    walk(&below, &place, &step(&member.name));
                } else if let Some(below) = outline.values() {
                    walk(&below, &place, &step("*"));
                }
            }
        }
        Value::List(list) => {
            let Some(below) = outline.elements() else { return };
            (0..list.elements.len()).for_each(|index| walk(&below, &place.element(index), &step("*")));
        }
        _ => {}
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
