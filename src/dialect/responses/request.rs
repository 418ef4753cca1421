//! What a Responses request refers to: earlier responses, items and reasoning that one resource made, and the model of
//! its image tool.

use std::ops::Range;

use super::super::places::{Place, Places};

/// Longest text of a reference that is kept: ids are short, and of encrypted content the front tells where it is from.
const LONGEST: usize = 512;

/// What kind of thing is referred to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reference {
    PreviousResponse,
    Conversation,
    /// An item of the input, by its id.
    Item,
    /// Reasoning, or another part of a conversation, that only its maker can read.
    Encrypted,
    /// A file that was uploaded.
    File,
    /// A part of an upload.
    Part,
    ToolKind,
    ToolModel,
}

static ITEM: Place<Reference> = Place::object(&[
    ("id", &Place::noted(Reference::Item)),
    ("encrypted_content", &Place::noted(Reference::Encrypted)),
    ("content", &Place::array(&Place::object(&[("file_id", &Place::noted(Reference::File))]))),
]);
static TOOL: Place<Reference> =
    Place::object(&[("type", &Place::noted(Reference::ToolKind)), ("model", &Place::noted(Reference::ToolModel))]);
static REQUEST: Place<Reference> = Place::object(&[
    // Of a batch.
    ("input_file_id", &Place::noted(Reference::File)),
    // Of an upload that is completed.
    ("part_ids", &Place::array(&Place::noted(Reference::Part))),
    // Of a video.
    ("input_reference", &Place::object(&[("file_id", &Place::noted(Reference::File))])),
    ("previous_response_id", &Place::noted(Reference::PreviousResponse)),
    ("conversation", &Place::noted(Reference::Conversation)),
    ("input", &Place::array(&ITEM)),
    ("tools", &Place::array(&TOOL)),
]);

/// Reads a request as it arrives.
#[derive(Debug)]
pub struct References {
    places: Places<Reference>,
}

/// One value that refers to something.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Named {
    pub kind: Reference,
    /// Where the JSON string stands in the body, quotes included.
    pub value: Range<u64>,
    /// The front of its text, without quotes.
    pub text: String,
}

impl Default for References {
    fn default() -> Self {
        Self { places: Places::new(&REQUEST).keeping(LONGEST) }
    }
}

impl References {
    pub fn feed(&mut self, chunk: &[u8]) {
        self.places.feed(chunk);
    }

    /// What was found, in order; `null` refers to nothing. `None` when there is more than anyone needs.
    pub fn finish(self) -> Option<Vec<Named>> {
        let named = self.places.found().iter().filter_map(|found| {
            let text = self.places.text(found);
            if text == b"null" {
                return None;
            }
            let text = text.strip_prefix(b"\"").unwrap_or(text);
            let text = text.strip_suffix(b"\"").unwrap_or(text);
            Some(Named {
                kind: found.tag,
                value: found.value.clone(),
                text: String::from_utf8_lossy(text).into_owned(),
            })
        });
        (!self.places.overflowed()).then(|| named.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_found_wherever_they_stand() {
        let text = r#"{"input":[{"type":"reasoning","id":"rs_1","encrypted_content":"AAAA","content":[{"id":"no","file_id":"file-1"}]},{"id":"msg_1"},{"role":"user"}],
            "previous_response_id":null,"tools":[{"type":"image_generation","model":"img"},{"type":"function","parameters":{"type":"object"}}],
            "conversation":{"id":"conv_1"},"text":{"id":"no"}}"#;
        let mut references = References::default();
        text.as_bytes().chunks(7).for_each(|chunk| references.feed(chunk));
        let named = references.finish().unwrap();
        let found: Vec<_> = named.iter().map(|named| (named.kind, named.text.as_str())).collect();
        use Reference::*;
        let expected = [
            (Item, "rs_1"),
            (Encrypted, "AAAA"),
            (File, "file-1"),
            (Item, "msg_1"),
            (ToolKind, "image_generation"),
            (ToolModel, "img"),
            (ToolKind, "function"),
            (Conversation, "{\"id\":\"conv_1\"}"),
        ];
        assert_eq!(found, expected);
        assert_eq!(&text[named[0].value.start as usize..named[0].value.end as usize], "\"rs_1\"");
    }

    #[test]
    fn an_input_of_plain_text_refers_to_nothing() {
        let mut references = References::default();
        references.feed(br#"{"model":"m","input":"id","previous_response_id":"resp_1"}"#);
        assert_eq!(references.finish().unwrap().len(), 1);
    }

    #[test]
    fn of_long_content_the_front_is_kept() {
        let mut references = References::default();
        references.feed(format!(r#"{{"input":[{{"encrypted_content":"{}"}}]}}"#, "A".repeat(100_000)).as_bytes());
        let named = references.finish().unwrap();
        assert_eq!((named[0].text.len(), named[0].value.end - named[0].value.start), (LONGEST - 1, 100_002));
    }
}
