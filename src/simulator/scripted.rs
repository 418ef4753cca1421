//! Calls that a prompt spells out, for whoever needs a model that does the right thing: `[[call NAME ARGUMENTS]]` with
//! the arguments as a JSON object. Several marks are made one after the other, each once the call before was answered.

use serde_json::{Map, Value};

const MARK: &str = "[[call ";

/// A call that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scripted {
    pub name: String,
    pub arguments: String,
}

/// The call that is due after `answered` turns of answers to earlier calls, if the prompt spells out that many.
pub fn due(prompt: &str, answered: usize) -> Option<Scripted> {
    prompt.match_indices(MARK).filter_map(|(at, _)| parse(&prompt[at + MARK.len()..])).nth(answered)
}

fn parse(rest: &str) -> Option<Scripted> {
    let (name, rest) = rest.split_once(' ')?;
    let mut values = serde_json::Deserializer::from_str(rest).into_iter::<Map<String, Value>>();
    let arguments = values.next()?.ok()?;
    let behind = &rest[values.byte_offset()..];
    behind
        .starts_with("]]")
        .then(|| Scripted { name: name.to_owned(), arguments: Value::Object(arguments).to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_made_in_order() {
        let prompt = r#"Do [[call Read {"path":"a]]b"}]] then [[call Write {}]] and [[call broken {]]"#;
        let call = |answered| due(prompt, answered).map(|call| (call.name, call.arguments));
        assert_eq!(call(0), Some(("Read".to_owned(), r#"{"path":"a]]b"}"#.to_owned())));
        assert_eq!(call(1), Some(("Write".to_owned(), "{}".to_owned())));
        assert_eq!(call(2), None);
    }
}
