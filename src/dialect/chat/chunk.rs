//! One chunk of a chat completions or completions stream, looked at in one walk and without a copy.

use std::ops::Range;

use super::super::cursor::Cursor;

/// Members of a delta whose text or list is output once it is not empty.
const OUTPUT: [&[u8]; 7] =
    [b"content", b"refusal", b"tool_calls", b"function_call", b"reasoning_content", b"reasoning", b"audio"];

/// What matters of a chunk; ranges are positions in its data.
#[derive(Default, PartialEq, Debug)]
pub(super) struct Chunk {
    /// The value of `model`, when it is a string that is not empty.
    pub model: Option<Range<usize>>,
    /// The value of `usage`, when it is an object.
    pub usage: Option<Range<usize>>,
    /// `choices` is there and empty.
    pub no_choices: bool,
    /// Azure's verdict on the prompt, under its new or its old name.
    pub prompt_filter: bool,
    /// There is output or a finish reason.
    pub content: bool,
    /// There is a top-level `error`.
    pub error: bool,
}

impl Chunk {
    /// `None` for data that is not a JSON object.
    pub fn read(data: &[u8]) -> Option<Self> {
        let mut chunk = Self::default();
        let mut at = Cursor::new(data);
        at.object(|at, name| {
            match name {
                b"choices" if at.peek()? == b'[' => {
                    chunk.no_choices = true;
                    at.array(|at| {
                        chunk.no_choices = false;
                        chunk.content |= choice_has_output(at)?;
                        Some(())
                    })?;
                }
                b"model" => chunk.model = Some(at.value()?).filter(|range| is_text(&data[range.clone()])),
                b"usage" => chunk.usage = Some(at.value()?).filter(|range| data[range.start] == b'{'),
                b"error" => chunk.error = !is_nothing(at.text()?),
                b"prompt_filter_results" | b"prompt_annotations" => {
                    chunk.prompt_filter = true;
                    at.value()?;
                }
                _ => {
                    at.value()?;
                }
            }
            Some(())
        })?;
        at.at_end().then_some(chunk)
    }
}

fn choice_has_output(at: &mut Cursor<'_>) -> Option<bool> {
    let mut output = false;
    if at.peek()? != b'{' {
        at.value()?;
        return Some(false);
    }
    at.object(|at, name| {
        match name {
            b"delta" if at.peek()? == b'{' => at.object(|at, name| {
                let value = at.text()?;
                output |= OUTPUT.contains(&name) && !is_nothing(value);
                Some(())
            })?,
            b"text" | b"finish_reason" => output |= !is_nothing(at.text()?),
            _ => {
                at.value()?;
            }
        }
        Some(())
    })?;
    Some(output)
}

fn is_text(value: &[u8]) -> bool {
    value.len() > 2 && value[0] == b'"'
}

fn is_nothing(value: &[u8]) -> bool {
    matches!(value, b"null" | b"\"\"" | b"[]" | b"{}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(data: &str) -> Chunk {
        Chunk::read(data.as_bytes()).unwrap()
    }

    #[test]
    fn output_of_every_kind_is_content() {
        for delta in [
            r#"{"content":"a"}"#,
            r#"{"refusal":"no"}"#,
            r#"{"role":"assistant","tool_calls":[{"index":0}]}"#,
            r#"{"function_call":{"name":"f"}}"#,
            r#"{"reasoning_content":"hm"}"#,
            r#"{"audio":{"id":"a"}}"#,
        ] {
            assert!(
                read(&format!(r#"{{"choices":[{{"index":0}},{{"index":1,"delta":{delta}}}]}}"#)).content,
                "{delta}"
            );
        }
        assert!(read(r#"{"choices":[{"text":"a"}]}"#).content);
        assert!(read(r#"{"choices":[{"finish_reason":"content_filter","content_filter_results":{}}]}"#).content);
    }

    #[test]
    fn empty_output_is_none() {
        for choice in [
            r#"{"delta":{"role":"assistant","content":"","refusal":null,"tool_calls":[]},"finish_reason":null}"#,
            r#"{"delta":null}"#,
            r#"{"index":0,"content_filter_offsets":{"check_offset":65}}"#,
            r#"{"text":""}"#,
            "null",
        ] {
            let chunk = read(&format!(r#"{{"choices":[{choice}]}}"#));
            assert!(!chunk.content && !chunk.no_choices, "{choice}");
        }
    }

    #[test]
    fn only_the_top_level_model_counts() {
        let data = r#"{"choices":[{"delta":{"content":"\"model\":\"x\"","model":"y"}}],"model" : "gpt-4o"}"#;
        assert_eq!(&data[read(data).model.unwrap()], "\"gpt-4o\"");
        assert_eq!(read(r#"{"model":""}"#).model, None);
        assert_eq!(read(r#"{"model":null}"#).model, None);
    }

    #[test]
    fn what_is_not_an_object_is_not_a_chunk() {
        for data in ["", "[DONE]", "3", "{\"model\":\"x\"} {}", "{\"model\":\"x\""] {
            assert_eq!(Chunk::read(data.as_bytes()), None, "{data}");
        }
    }
}
