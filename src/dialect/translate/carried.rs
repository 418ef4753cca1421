//! Reasoning in a request that this gateway has packed into another dialect's proofs, found in the text of the body. A
//! body is walked only where a first look, while it arrives, has seen the beginning of such a proof.

use std::ops::Range;

use super::Protocol;
use super::proof::{self, IN_ENCRYPTED, IN_SIGNATURE};
use crate::dialect::cursor::Cursor;

/// Looks for the beginning of a packed proof in a body that arrives in chunks.
#[derive(Debug)]
pub struct Look {
    protocol: Protocol,
    /// With the quote in front of it.
    wanted: String,
    /// The end of what came before, where a beginning may be cut.
    last: Vec<u8>,
    seen: bool,
}

/// A piece of reasoning that only its maker's family understands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Carried {
    /// What has to go from the body so that its maker's rival takes it: the block or item, with a comma. Empty where
    /// the part that stands before covers it.
    pub place: Range<u64>,
    /// The resource that alone can read it, as the proof names it.
    pub origin: Option<String>,
}

impl Look {
    /// For a request of that protocol. `None` for Chat Completions, which has no place for proofs.
    pub fn new(protocol: Protocol) -> Option<Self> {
        let prefix = match protocol {
            Protocol::Messages => IN_SIGNATURE,
            Protocol::Responses => IN_ENCRYPTED,
            Protocol::Chat => return None,
        };
        Some(Self { protocol, wanted: format!("\"{prefix}"), last: Vec::new(), seen: false })
    }

    pub fn feed(&mut self, chunk: &[u8]) {
        if self.seen {
            return;
        }
        let (wanted, most) = (self.wanted.as_bytes(), self.wanted.len() - 1);
        self.last.extend_from_slice(&chunk[..chunk.len().min(most)]);
        self.seen = [&self.last[..], chunk].iter().any(|text| memchr::memmem::find(text, wanted).is_some());
        if chunk.len() > most {
            self.last.clear();
            self.last.extend_from_slice(&chunk[chunk.len() - most..]);
        } else {
            self.last.drain(..self.last.len().saturating_sub(most));
        }
    }

    /// The protocol whose places are to be looked at, where the look saw something.
    pub fn suspects(&self) -> Option<Protocol> {
        self.seen.then_some(self.protocol)
    }
}

/// Finds what is carried, in the order of the body. What is not as its protocol says carries nothing.
pub fn carried(protocol: Protocol, body: &[u8]) -> Vec<Carried> {
    let mut found = Vec::new();
    let member: &[u8] = match protocol {
        Protocol::Messages => b"messages",
        Protocol::Responses => b"input",
        Protocol::Chat => return found,
    };
    // Where the text is no JSON, the upstream says so.
    let _ = Cursor::new(body).object(|at, name| {
        if name == member && at.peek()? == b'[' {
            let mut elements = Elements::default();
            at.array(|at| match protocol {
                Protocol::Messages => message(at, &mut elements),
                _ => item(at, &mut elements),
            })?;
            elements.close(&mut found);
        } else {
            at.value()?;
        }
        Some(())
    });
    found.sort_by_key(|carried| carried.place.start);
    found
}

/// The elements of one array, and which of them go.
#[derive(Default)]
struct Elements {
    places: Vec<Range<usize>>,
    /// Of each element: what goes within it, or that it goes as a whole.
    goes: Vec<Goes>,
}

enum Goes {
    Nothing,
    Parts(Vec<Carried>),
    /// All of it, with the resources that made what it holds.
    Whole(Vec<Option<String>>),
}

impl Elements {
    fn add(&mut self, place: Range<usize>, goes: Goes) {
        self.places.push(place);
        self.goes.push(goes);
    }

    /// Whether nothing is left of the array.
    fn all_go(&self) -> bool {
        !self.goes.is_empty() && self.goes.iter().all(|goes| matches!(goes, Goes::Whole(_)))
    }

    fn origins(self) -> Vec<Option<String>> {
        let whole = |goes| if let Goes::Whole(origins) = goes { origins } else { Vec::new() };
        self.goes.into_iter().flat_map(whole).collect()
    }

    /// Neighbours that go together take their commas with them, so that what stays is an array.
    fn close(self, found: &mut Vec<Carried>) {
        let Self { places, goes } = self;
        let stays: Vec<bool> = goes.iter().map(|goes| !matches!(goes, Goes::Whole(_))).collect();
        for (index, goes) in goes.into_iter().enumerate() {
            match goes {
                Goes::Nothing => {}
                Goes::Parts(parts) => found.extend(parts),
                Goes::Whole(origins) => {
                    let place = match places.get(index + 1) {
                        Some(next) if stays[index + 1..].contains(&true) => places[index].start..next.start,
                        // The last ones: the comma that goes stands in front of them.
                        _ => {
                            let before = index.checked_sub(1).map_or(places[index].start, |before| places[before].end);
                            before..places[index].end
                        }
                    };
                    let place = place.start as u64..place.end as u64;
                    let empty = place.end..place.end;
                    let places = std::iter::once(place).chain(std::iter::repeat(empty));
                    found.extend(places.zip(origins).map(|(place, origin)| Carried { place, origin }));
                }
            }
        }
    }
}

/// A turn goes where nothing of it is left, since turns must not be empty.
fn message(at: &mut Cursor<'_>, turns: &mut Elements) -> Option<()> {
    let start = begin(at)?;
    let mut goes = Goes::Nothing;
    if at.peek()? != b'{' {
        at.value()?;
    } else {
        at.object(|at, name| {
            if name != b"content" || at.peek()? != b'[' {
                at.value()?;
                return Some(());
            }
            let mut blocks = Elements::default();
            at.array(|at| packed(at, b"signature", b"thinking", IN_SIGNATURE, &mut blocks))?;
            goes = if blocks.all_go() {
                Goes::Whole(blocks.origins())
            } else {
                let mut parts = Vec::new();
                blocks.close(&mut parts);
                Goes::Parts(parts)
            };
            Some(())
        })?;
    }
    turns.add(start..at.position(), goes);
    Some(())
}

fn item(at: &mut Cursor<'_>, items: &mut Elements) -> Option<()> {
    packed(at, b"encrypted_content", b"reasoning", IN_ENCRYPTED, items)
}

/// One element, which goes when it is of that kind and its proof was packed here.
fn packed(at: &mut Cursor<'_>, field: &[u8], kind: &[u8], prefix: &str, elements: &mut Elements) -> Option<()> {
    let start = begin(at)?;
    let (mut is_kind, mut proof) = (false, None);
    if at.peek()? == b'{' {
        at.object(|at, name| {
            let text = at.text()?;
            let inside = text.strip_prefix(b"\"").and_then(|text| text.strip_suffix(b"\""));
            if name == b"type" {
                is_kind = inside == Some(kind);
            } else if name == field {
                proof = inside.filter(|text| text.starts_with(prefix.as_bytes()));
            }
            Some(())
        })?;
    } else {
        at.value()?;
    }
    let goes = proof.filter(|_| is_kind).map_or(Goes::Nothing, |proof| Goes::Whole(vec![proof::origin_of(proof)]));
    elements.add(start..at.position(), goes);
    Some(())
}

fn begin(at: &mut Cursor<'_>) -> Option<usize> {
    at.peek()?;
    Some(at.position())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn without(body: &str, carried: &[Carried]) -> String {
        let (mut left, mut done) = (String::new(), 0);
        for Carried { place, .. } in carried {
            let (start, end) = (place.start as usize, place.end as usize);
            if start >= done {
                left.push_str(&body[done..start]);
                done = end;
            }
        }
        left.push_str(&body[done..]);
        left
    }

    fn thinking(signature: &str) -> Value {
        json!({"type": "thinking", "thinking": "h,[\"m", "signature": signature})
    }

    #[test]
    fn only_what_was_packed_here_goes_and_no_other_byte() {
        let body = r#"{ "messages" : [ {"role":"user","content":"\"azg1.x"}, {"role":"assistant","content":[ {"type":"thinking","thinking":"","signature":"azg1.AAAA.rs_1.g"} , {"type":"thinking","thinking":"own","signature":"EqkE"},{"signature":"azg1.BBBB.rs.g","type":"thinking"}]},{"role":"assistant","content":[{"type":"thinking","signature":"azg1.CCCC.rs.g"},{"type":"thinking","signature":"azg1."}]} , {"role":"user","content":[{"type":"text","text":"azg1."}]}],"x":1}"#;
        let found = carried(Protocol::Messages, body.as_bytes());
        let origins: Vec<Option<&str>> = found.iter().map(|carried| carried.origin.as_deref()).collect();
        assert_eq!(origins, [Some("AAAA"), Some("BBBB"), Some("CCCC"), None]);
        let left = without(body, &found);
        let expected = r#"{ "messages" : [ {"role":"user","content":"\"azg1.x"}, {"role":"assistant","content":[ {"type":"thinking","thinking":"own","signature":"EqkE"}]},{"role":"user","content":[{"type":"text","text":"azg1."}]}],"x":1}"#;
        assert_eq!(left, expected);
    }

    #[test]
    fn items_of_claudes_reasoning_go_from_an_input() {
        let body = r#"{"input":[{"type":"reasoning","encrypted_content":"azg1c.AA","summary":[]},{"type":"reasoning","encrypted_content":"gAAA"},"odd",{"type":"reasoning","encrypted_content":"azg1c.BB"}]}"#;
        let left = without(body, &carried(Protocol::Responses, body.as_bytes()));
        assert_eq!(left, r#"{"input":[{"type":"reasoning","encrypted_content":"gAAA"},"odd"]}"#);
    }

    #[test]
    fn odd_bodies_carry_nothing() {
        for body in
            ["", "[]", "{\"messages\":3}", "{\"messages\":[3,[],{\"content\":{}}]}", "{\"messages\":[{\"content\":["]
        {
            assert!(carried(Protocol::Messages, body.as_bytes()).is_empty(), "{body}");
        }
    }

    proptest! {
        #[test]
        fn what_is_left_is_the_body_without_those_blocks(
            turns in prop::collection::vec(prop::collection::vec(0..4_u8, 0..4), 0..5),
            pretty in any::<bool>(),
        ) {
            let block = |kind: &u8| match kind {
                0 => json!({"type": "text", "text": "azg1."}),
                1 => thinking("EqkE"),
                2 => thinking("azg1.AAAAAAAA.rs_1.gAAA"),
                _ => json!({"type": "tool_use", "id": "a", "name": "b", "input": {"signature": "azg1."}}),
            };
            let whole = |turns: &[Vec<u8>]| {
                let turn = |kinds: &Vec<u8>| json!({"role": "assistant", "content": kinds.iter().map(block).collect::<Vec<_>>()});
                json!({"messages": turns.iter().map(turn).collect::<Vec<_>>(), "max_tokens": 3})
            };
            let body = whole(&turns);
            let body = if pretty { serde_json::to_string_pretty(&body).unwrap() } else { body.to_string() };
            let kept: Vec<Vec<u8>> = turns
                .iter()
                .map(|kinds| kinds.iter().copied().filter(|kind| *kind != 2).collect::<Vec<_>>())
                .zip(&turns)
                .filter(|(kept, all)| !kept.is_empty() || all.is_empty())
                .map(|(kept, _)| kept)
                .collect();
            let found = carried(Protocol::Messages, body.as_bytes());
            prop_assert_eq!(found.len(), turns.iter().flatten().filter(|kind| **kind == 2).count());
            prop_assert_eq!(serde_json::from_str::<Value>(&without(&body, &found)).unwrap(), whole(&kept));
        }

        #[test]
        fn the_look_sees_the_beginning_however_the_body_is_cut(
            before in "[a-z\"]{0,9}", has in any::<bool>(), sizes in prop::collection::vec(1..9_usize, 1..9),
        ) {
            let text = format!("{before}{}", if has { "\"azg1.AAAA" } else { "\"azg1c.AAAA" });
            let mut look = Look::new(Protocol::Messages).unwrap();
            let (mut rest, mut sizes) = (text.as_bytes(), sizes.into_iter().cycle());
            while !rest.is_empty() {
                let (chunk, after) = rest.split_at(sizes.next().unwrap().min(rest.len()));
                look.feed(chunk);
                rest = after;
            }
            prop_assert_eq!(look.suspects().is_some(), has);
        }
    }
}
