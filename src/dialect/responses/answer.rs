//! Plain answers about what a resource keeps, to a caller of the same dialect: a response, a list of items, a file, an upload,
//! a batch, a video, or a word on a deletion.
//!
//! Tolerant: a body that is not JSON passes as it is.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use super::super::places::{Place, Places};
use super::super::splice::{Piece, apply};
use super::super::usage::{Background, Usage};
use super::Bound;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Tag {
    Model,
    Id,
    /// The id of what the answer is about.
    OwnId,
    Encrypted,
    Usage,
    Background,
}

static ID: Place<Tag> = Place::noted(Tag::Id);
static ITEM: Place<Tag> = Place::object(&[("id", &ID), ("encrypted_content", &Place::noted(Tag::Encrypted))]);
static ITEMS: Place<Tag> = Place::array(&ITEM);
static ANSWER: Place<Tag> = Place::object(&[
    ("id", &Place::noted(Tag::OwnId)),
    ("background", &Place::noted(Tag::Background)),
    ("previous_response_id", &ID),
    ("model", &Place::noted(Tag::Model)),
    ("usage", &Place::noted(Tag::Usage)),
    ("output", &ITEMS),
    // A list of items.
    ("data", &ITEMS),
    ("first_id", &ID),
    ("last_id", &ID),
    // An upload in parts, and the file that it becomes.
    ("upload_id", &ID),
    ("file", &Place::object(&[("id", &ID)])),
    // A batch and its files.
    ("input_file_id", &ID),
    ("output_file_id", &ID),
    ("error_file_id", &ID),
]);

/// Reads an answer as it arrives. The bytes stay with the caller, who hands them over at the end.
pub struct ResponsesAnswer {
    places: Places<Tag>,
    length: u64,
    echo: Option<Bytes>,
    bound: Option<Arc<dyn Bound>>,
}

impl ResponsesAnswer {
    /// `echo` is the caller's name of the model as a JSON string, quotes included.
    pub fn new(echo: Option<Bytes>, bound: Option<Arc<dyn Bound>>) -> Self {
        Self { places: Places::new(&ANSWER), length: 0, echo, bound }
    }

    pub fn feed(&mut self, chunk: &[u8]) {
        self.length += chunk.len() as u64;
        self.places.feed(chunk);
    }

    /// The response that the answer is about, if it was made in the background.
    pub fn background(&self) -> Option<Background> {
        let found = |tag| self.places.found().iter().find(|found| found.tag == tag);
        let text = |tag| found(tag).and_then(|found| self.places.plain(found)).unwrap_or_default();
        found(Tag::Background).filter(|found| self.places.text(found) == b"true")?;
        let id = text(Tag::OwnId);
        let id = self.bound.as_ref().map_or_else(|| id.to_owned(), |bound| bound.id(id));
        Some(Background { id, model: text(Tag::Model).to_owned() })
    }

    /// The answer for the caller, as slices of `rope`, and the tokens it reports.
    pub fn finish(self, rope: Vec<Bytes>) -> (Vec<Bytes>, Option<Usage>) {
        let (mut edits, mut usage) = (Vec::new(), None);
        for found in self.places.found() {
            let text = self.places.text(found);
            let is_text = text.len() > 2 && text[0] == b'"';
            match (found.tag, &self.bound, &self.echo) {
                (Tag::Usage, ..) => usage = Usage::from_responses(text).or(usage),
                (Tag::Model, _, Some(echo)) if is_text => edits.push((found.value.clone(), echo.clone())),
                (Tag::Encrypted, Some(bound), _) if is_text => {
                    let inside = found.value.start + 1;
                    edits.push((inside..inside, bound.mark()));
                }
                (Tag::Id | Tag::OwnId, Some(bound), _) if is_text => {
                    let id = self.places.plain(found).map(|id| format!("\"{}\"", bound.id(id)));
                    edits.extend(id.map(|id| (found.value.clone(), id.into())));
                }
                _ => {}
            }
        }
        let body = if edits.is_empty() { rope } else { apply(&pieces(edits, self.length), &rope) };
        (body, usage)
    }
}

/// Edits, which stand in the order of the text, as pieces of a text of that length.
pub(super) fn pieces(edits: Vec<(Range<u64>, Bytes)>, length: u64) -> Vec<Piece> {
    let mut pieces = Vec::with_capacity(2 * edits.len() + 1);
    let mut done = 0;
    for (place, new) in edits {
        if place.start > done {
            pieces.push(Piece::Keep(done..place.start));
        }
        pieces.push(Piece::New(new));
        done = place.end;
    }
    if done < length {
        pieces.push(Piece::Keep(done..length));
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::super::event::tests::Marked;
    use super::*;

    fn answer(text: &'static str, cut: usize) -> (String, Option<Usage>) {
        let mut answer = ResponsesAnswer::new(Some("\"azure/GPT-5\"".into()), Some(Arc::new(Marked)));
        let rope =
            vec![Bytes::from_static(text.as_bytes()).slice(..cut), Bytes::from_static(text.as_bytes()).slice(cut..)];
        rope.iter().for_each(|part| answer.feed(part));
        let (body, usage) = answer.finish(rope);
        (String::from_utf8(body.concat()).unwrap(), usage)
    }

    #[test]
    fn model_ids_and_reasoning_are_the_callers() {
        let text = r#"{"id":"resp_1","previous_response_id":"resp_0","model":"gpt-5.2-2025","tools":[{"id":"x"}],"output":[{"type":"reasoning","id":"rs_1",
            "encrypted_content":"gAAA","summary":[]},{"id":"fc_1","call_id":"call_1"}],"usage":{"input_tokens":3,"output_tokens":4}}"#;
        let expected = r#"{"id":"~resp_1","previous_response_id":"~resp_0","model":"azure/GPT-5","tools":[{"id":"x"}],"output":[{"type":"reasoning","id":"~rs_1",
            "encrypted_content":"^gAAA","summary":[]},{"id":"~fc_1","call_id":"call_1"}],"usage":{"input_tokens":3,"output_tokens":4}}"#;
        for cut in 0..text.len() {
            let (body, usage) = answer(text, cut);
            assert_eq!(body, expected);
            assert_eq!(usage, Some(Usage { input: 3, output: 4, ..Usage::default() }));
        }
    }

    #[test]
    fn lists_of_items_have_bound_ids_too() {
        let text = r#"{"object":"list","data":[{"id":"msg_1","content":[{"id":"x"}]}],"first_id":"msg_1","last_id":"msg_1","has_more":false}"#;
        assert_eq!(answer(text, 30).0, text.replace("msg_1", "~msg_1"));
        for text in ["{\"id\":null,\"model\":\"\",\"previous_response_id\":null}", "<html>", ""] {
            assert_eq!(answer(text, 0).0, text);
        }
    }
}
