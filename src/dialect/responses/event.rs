//! One event of a Responses stream, looked at in one walk and without a copy.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::json;

use super::super::Dialect;
use super::super::echo::{Events, Noted};
use super::super::error::ErrorView;
use super::super::places::{Found, Place, Places};
use super::super::usage::{Background, Usage};
use super::Bound;

/// What is looked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Tag {
    Kind,
    Sequence,
    ItemKind,
    Model,
    Created,
    ResponseId,
    Id,
    Encrypted,
    Usage,
    Background,
    /// The error of an `error` event.
    Error,
    /// The error of a response.
    Failure,
    /// Members of an `error` event that has no object for them.
    Code,
    Message,
}

static ID: Place<Tag> = Place::noted(Tag::Id);
static ENCRYPTED: Place<Tag> = Place::noted(Tag::Encrypted);
static OUTPUT: Place<Tag> = Place::object(&[("id", &ID), ("encrypted_content", &ENCRYPTED)]);
static ITEM: Place<Tag> =
    Place::object(&[("id", &ID), ("type", &Place::noted(Tag::ItemKind)), ("encrypted_content", &ENCRYPTED)]);
static RESPONSE: Place<Tag> = Place::object(&[
    ("id", &Place::noted(Tag::ResponseId)),
    ("previous_response_id", &ID),
    ("model", &Place::noted(Tag::Model)),
    ("created_at", &Place::noted(Tag::Created)),
    ("usage", &Place::noted(Tag::Usage)),
    ("background", &Place::noted(Tag::Background)),
    ("error", &Place::noted(Tag::Failure)),
    ("output", &Place::array(&OUTPUT)),
]);
static EVENT: Place<Tag> = Place::object(&[
    ("type", &Place::noted(Tag::Kind)),
    ("sequence_number", &Place::noted(Tag::Sequence)),
    ("response", &RESPONSE),
    ("item", &ITEM),
    ("item_id", &ID),
    ("error", &Place::noted(Tag::Error)),
    ("code", &Place::noted(Tag::Code)),
    ("message", &Place::noted(Tag::Message)),
]);

/// Events that promise output and bring none: before any other, an attempt may still be repeated.
const BEFORE_OUTPUT: [&str; 6] = [
    "response.created",
    "response.queued",
    "response.in_progress",
    "response.content_part.added",
    "response.reasoning_summary_part.added",
    "response.failed",
];

/// Items that begin empty; every other kind is output as soon as it begins.
const EMPTY_AT_FIRST: [&str; 2] = ["message", "reasoning"];

/// The events of one stream, with what its end would need.
pub struct ResponsesEvents {
    places: Places<Tag>,
    bound: Option<Arc<dyn Bound>>,
    /// The id that was last seen, and its form for the caller: most events repeat it.
    last_id: (String, Bytes),
    /// How the caller knows the response, as JSON.
    response: Option<Bytes>,
    model: Option<Bytes>,
    created: Option<u64>,
    /// The number that the next event would have.
    next: u64,
    /// An `error` event came, which tells more than the response that failed.
    told: bool,
    /// The response is made in the background.
    background: bool,
}

impl ResponsesEvents {
    pub fn new(bound: Option<Arc<dyn Bound>>) -> Self {
        Self {
            places: Places::new(&EVENT),
            bound,
            last_id: Default::default(),
            response: None,
            model: None,
            created: None,
            next: 0,
            told: false,
            background: false,
        }
    }

    /// The caller's form of an id, quotes included; `None` when it stays.
    fn outward(&mut self, found: &Found<Tag>) -> Option<Bytes> {
        let bound = self.bound.as_ref()?;
        let id = self.places.plain(found).filter(|id| !id.is_empty())?;
        if self.last_id.0 != id {
            self.last_id = (id.to_owned(), format!("\"{}\"", bound.id(id)).into());
        }
        Some(self.last_id.1.clone())
    }

    fn take(&mut self, found: &Found<Tag>, seen: &mut Seen) {
        let place = found.value.start as usize..found.value.end as usize;
        let text = self.places.text(found);
        let plain = self.places.plain(found);
        match found.tag {
            Tag::Kind => seen.kind = plain.unwrap_or_default().to_owned(),
            Tag::ItemKind => seen.empty_item = plain.is_some_and(|kind| EMPTY_AT_FIRST.contains(&kind)),
            Tag::Sequence => {
                let number = std::str::from_utf8(text).ok().and_then(|text| text.parse::<u64>().ok());
                self.next = number.map_or(self.next, |number| number.saturating_add(1));
                seen.numbered = number.is_some();
            }
            Tag::Model => {
                if text.len() > 2 && text[0] == b'"' {
                    self.model = Some(Bytes::copy_from_slice(text));
                    seen.noted.model = Some(place);
                }
            }
            Tag::Created => self.created = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()),
            Tag::Background => self.background = text == b"true",
            Tag::Usage => seen.noted.usage = Usage::from_responses(text),
            Tag::Error => seen.error = Some(Bytes::copy_from_slice(text)),
            Tag::Failure => seen.failure = Some(Bytes::copy_from_slice(text)),
            Tag::Code => seen.code = Some(Bytes::copy_from_slice(text)),
            Tag::Message => seen.message = Some(Bytes::copy_from_slice(text)),
            Tag::Encrypted => {
                if let Some(bound) = self.bound.as_ref().filter(|_| text.len() > 2 && text[0] == b'"') {
                    seen.noted.replaced.push((place.start + 1..place.start + 1, bound.mark()));
                }
            }
            Tag::Id | Tag::ResponseId => {
                if found.tag == Tag::ResponseId {
                    self.response = Some(Bytes::copy_from_slice(text));
                }
                if let Some(id) = self.outward(found) {
                    if found.tag == Tag::ResponseId {
                        self.response = Some(id.clone());
                    }
                    seen.noted.replaced.push((place, id));
                }
            }
        }
    }
}

/// What one event brought.
#[derive(Default)]
struct Seen {
    noted: Noted,
    kind: String,
    numbered: bool,
    empty_item: bool,
    error: Option<Bytes>,
    failure: Option<Bytes>,
    code: Option<Bytes>,
    message: Option<Bytes>,
}

impl Seen {
    fn is_content(&self) -> bool {
        let kind = self.kind.as_str();
        let promise = kind == "response.output_item.added" && self.empty_item;
        kind.starts_with("response.") && !BEFORE_OUTPUT.contains(&kind) && !promise
    }

    /// The error of an `error` event, which stands in an object or, as the SDKs' types have it, beside the type.
    fn told(&self) -> Bytes {
        let null = Bytes::from_static(b"null");
        match self.error.as_ref().filter(|error| error.starts_with(b"{")) {
            Some(error) => [b"{\"error\":", &error[..], b"}"].concat().into(),
            None => {
                let code = self.code.as_ref().unwrap_or(&null);
                let message = self.message.as_ref().unwrap_or(&null);
                [b"{\"error\":{\"code\":", &code[..], b",\"message\":", &message[..], b"}}"].concat().into()
            }
        }
    }
}

impl Events for ResponsesEvents {
    fn read(&mut self, data: &[u8]) -> Option<Noted> {
        self.places.reset();
        self.places.feed(data);
        let mut seen = Seen::default();
        for index in 0..self.places.found().len() {
            let found = self.places.found()[index].clone();
            self.take(&found, &mut seen);
        }
        if seen.kind.is_empty() || !self.places.is_complete() {
            return None;
        }
        if !seen.numbered {
            self.next += 1;
        }
        seen.noted.content = seen.is_content();
        match seen.kind.as_str() {
            "error" => {
                self.told = true;
                seen.noted.error = Some(seen.told());
            }
            "response.failed" if !self.told => {
                let failure = seen.failure.as_deref().unwrap_or(b"null");
                seen.noted.error = Some([b"{\"error\":", failure, b"}"].concat().into());
            }
            "response.completed" | "response.incomplete" => seen.noted.ended = true,
            _ => {}
        }
        if self.background && (seen.noted.ended || seen.kind == "response.created") {
            seen.noted.background = Some(Background { id: unquoted(&self.response), model: unquoted(&self.model) });
        }
        Some(seen.noted)
    }

    /// The dialect's own ending: the response, which failed. Its number follows the last one that the caller saw.
    fn broken(&self, _: Dialect, error: &ErrorView<'_>) -> Bytes {
        let event = json!({
            "type": "response.failed",
            "sequence_number": self.next,
            "response": {
                "id": unquoted(&self.response),
                "object": "response",
                "created_at": self.created.unwrap_or_default(),
                "status": "failed",
                "error": {"code": error.code, "message": error.message},
                "incomplete_details": null,
                "instructions": null,
                "metadata": {},
                "model": unquoted(&self.model),
                "output": [],
                "parallel_tool_calls": true,
                "tool_choice": "auto",
                "tools": [],
                "usage": null,
            },
        });
        format!("event: response.failed\ndata: {event}\n\n").into()
    }
}

/// The text of a JSON string.
fn unquoted(json: &Option<Bytes>) -> String {
    json.as_ref().and_then(|json| serde_json::from_slice::<String>(json).ok()).unwrap_or_default()
}

/// Only what a stream has to do with: the bound form of ids is a caller's.
impl std::fmt::Debug for ResponsesEvents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResponsesEvents").field("next", &self.next).finish_non_exhaustive()
    }
}

#[cfg(test)]
pub(super) mod tests;
