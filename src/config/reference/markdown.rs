//! The reference as Markdown: a heading and a table per structure, nested ones after the one that holds them.

use serde_json::Value;

use super::{Outline, schema};

/// Everything that the configuration may hold, for the README.
pub fn reference_markdown() -> String {
    let schema = schema();
    let mut pages = Pages { text: String::new(), done: Vec::new() };
    pages.section(&Outline::of(&schema), "");
    pages.text
}

struct Pages<'a> {
    text: String,
    /// Structures that have a table, and the path under which it stands.
    done: Vec<(&'a Value, String)>,
}

impl<'a> Pages<'a> {
    fn section(&mut self, outline: &Outline<'a>, path: &str) {
        let Some(structure) = outline.forms().iter().find(|form| form.get("properties").is_some()) else { return };
        self.done.push((structure, path.to_owned()));
        let heading = if path.is_empty() { "Top level".to_owned() } else { format!("`{path}`") };
        self.text.push_str(&format!("### {heading}\n\n{}\n\n", outline.own_description()));
        self.text.push_str("| field | type | default | meaning |\n|---|---|---|---|\n");
        let (ignored, fields): (Vec<_>, Vec<_>) = outline.properties().into_iter().partition(|(_, f)| f.is_ignored());
        let mut nested = Vec::new();
        for (name, field) in &fields {
            let path = if path.is_empty() { (*name).to_owned() } else { format!("{path}.{name}") };
            let inner = innermost(field, path);
            let elsewhere = inner.as_ref().and_then(|(inner, _)| self.place_of(inner));
            self.row(outline, name, field, elsewhere.as_deref());
            nested.extend(inner.filter(|_| elsewhere.is_none()));
        }
        if !ignored.is_empty() {
            let names: Vec<String> = ignored.iter().map(|(name, _)| format!("`{name}`")).collect();
            self.text.push_str(&format!("\nAccepted and ignored: {}.\n", names.join(", ")));
        }
        self.text.push('\n');
        for (inner, path) in nested {
            if self.place_of(&inner).is_none() {
                self.section(&inner, &path);
            }
        }
    }

    fn row(&mut self, outline: &Outline<'_>, name: &str, field: &Outline<'_>, elsewhere: Option<&str>) {
        let default = match field.default() {
            _ if outline.is_required(name) => "required".to_owned(),
            Value::Null => "–".to_owned(),
            Value::Object(members) if !members.is_empty() => "as below".to_owned(),
            value => format!("`{value}`"),
        };
        let mut meaning = field.description().replace('|', "\\|");
        for (value, note) in choices(field) {
            meaning.push_str(&format!(" `{value}`: {}", note));
        }
        if let Some(path) = elsewhere {
            meaning.push_str(&format!(" Fields as in `{path}`."));
        }
        self.text.push_str(&format!("| `{name}` | {} | {default} | {meaning} |\n", kind(field)));
    }

    fn place_of(&self, outline: &Outline<'_>) -> Option<String> {
        let is_done = |done: &Value| outline.forms().iter().any(|form| std::ptr::eq(*form, done));
        self.done.iter().find(|(done, _)| is_done(done)).map(|(_, path)| path.clone())
    }
}

/// The structure at the bottom of lists and objects of structures, with its path.
fn innermost<'a>(field: &Outline<'a>, path: String) -> Option<(Outline<'a>, String)> {
    if let Some(elements) = field.elements() {
        return innermost(&elements, format!("{path}[]"));
    }
    if let Some(values) = field.values() {
        return innermost(&values, format!("{path}.*"));
    }
    let structure = field.forms().iter().any(|form| form.get("properties").is_some());
    structure.then(|| (field.clone(), path))
}

fn kind(field: &Outline<'_>) -> String {
    let kinds: Vec<String> = field.forms().iter().map(|form| kind_of(field, form)).collect();
    kinds.join(" or ")
}

fn kind_of(field: &Outline<'_>, form: &Value) -> String {
    if form.get("oneOf").is_some() {
        return "choice".to_owned();
    }
    let name = match form.get("type") {
        Some(Value::Array(kinds)) => kinds.iter().find(|kind| *kind != "null").and_then(Value::as_str),
        name => name.and_then(Value::as_str),
    };
    match (name.unwrap_or("anything"), form.get("format").and_then(Value::as_str)) {
        ("string", Some("reference")) => "string or reference".to_owned(),
        ("string", Some(format @ ("secret" | "address"))) => format.to_owned(),
        ("integer", _) => "whole number".to_owned(),
        ("boolean", _) => "true or false".to_owned(),
        ("array", _) => field.elements().map_or("list".to_owned(), |elements| format!("list: {}", kind(&elements))),
        ("object", _) if form.get("properties").is_none() => {
            field.values().map_or("object".to_owned(), |values| format!("names to: {}", kind(&values)))
        }
        (name, _) => name.to_owned(),
    }
}

fn choices<'a>(field: &Outline<'a>) -> Vec<(&'a str, &'a str)> {
    let choices = field.forms().iter().filter_map(|form| form.get("oneOf")?.as_array()).flatten();
    choices.filter_map(|choice| Some((choice.get("const")?.as_str()?, choice.get("description")?.as_str()?))).collect()
}
