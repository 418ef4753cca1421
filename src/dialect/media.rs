//! Streams of images, transcripts and speech: events typed as those of Responses are, without a response around them.

use bytes::Bytes;

use super::echo::{EchoStream, Events, Noted};
use super::places::{Place, Places};
use super::usage::Usage;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Tag {
    Kind,
    Usage,
    Error,
}

static EVENT: Place<Tag> = Place::object(&[
    ("type", &Place::noted(Tag::Kind)),
    ("usage", &Place::noted(Tag::Usage)),
    ("error", &Place::noted(Tag::Error)),
]);

/// The events of one stream.
#[derive(Debug)]
pub struct MediaEvents {
    places: Places<Tag>,
}

/// Such a stream to its caller: it names no model, so nothing changes.
pub type MediaStream = EchoStream<MediaEvents>;

impl Default for MediaEvents {
    fn default() -> Self {
        Self { places: Places::new(&EVENT) }
    }
}

impl Events for MediaEvents {
    fn read(&mut self, data: &[u8]) -> Option<Noted> {
        self.places.reset();
        self.places.feed(data);
        let mut noted = Noted::default();
        let mut kind = "";
        for found in self.places.found() {
            match found.tag {
                Tag::Kind => kind = self.places.plain(found).unwrap_or_default(),
                Tag::Usage => noted.usage = Usage::from_responses(self.places.text(found)),
                Tag::Error if self.places.text(found) != b"null" => {
                    let error = [b"{\"error\":", self.places.text(found), b"}"].concat();
                    noted.error = Some(Bytes::from(error));
                }
                Tag::Error => {}
            }
        }
        if !self.places.is_complete() || (kind.is_empty() && noted.error.is_none()) {
            return None;
        }
        if kind == "error" && noted.error.is_none() {
            noted.error = Some(Bytes::copy_from_slice(data));
        }
        // `image_generation.completed`, `transcript.text.done`, `speech.audio.done`.
        noted.ended = kind.ends_with(".completed") || kind.ends_with(".done");
        noted.content = noted.ended || kind.ends_with(".delta") || kind.ends_with("partial_image");
        Some(noted)
    }
}

#[cfg(test)]
mod tests {
    use super::super::stream::{ChunkTransform, Progress};
    use super::*;

    fn run(input: &str) -> (String, Progress) {
        let (mut stream, mut out) = (MediaStream::new(None), Vec::new());
        for chunk in input.as_bytes().chunks(7) {
            stream.push(Bytes::copy_from_slice(chunk), &mut out).unwrap();
        }
        stream.finish(&mut out);
        (String::from_utf8(out.concat()).unwrap(), stream.progress().clone())
    }

    #[test]
    fn everything_passes_and_ends_and_usage_are_seen() {
        for (begin, end) in [
            ("image_generation.partial_image", "image_generation.completed"),
            ("image_edit.partial_image", "image_edit.completed"),
            ("transcript.text.delta", "transcript.text.done"),
            ("speech.audio.delta", "speech.audio.done"),
        ] {
            let input = format!(
                "event: {begin}\ndata: {{\"type\":\"{begin}\",\"b64_json\":\"AA\"}}\n\nevent: {end}\ndata: {{\"type\":\"{end}\",\"usage\":{{\"input_tokens\":3,\"output_tokens\":4}}}}\n\ndata: [DONE]\n\n"
            );
            let (out, progress) = run(&input);
            assert_eq!(out, input);
            assert_eq!((progress.content_events, progress.ended, progress.error), (2, true, None), "{begin}");
            assert_eq!(progress.usage, Some(Usage { input: 3, output: 4, ..Usage::default() }));
        }
    }

    #[test]
    fn errors_are_seen_with_and_without_a_type() {
        for input in [
            "data: {\"type\":\"error\",\"error\":{\"code\":\"x\"}}\n\n",
            "data: {\"error\":{\"code\":\"x\"}}\n\n",
            "data: {\"type\":\"error\",\"code\":\"x\"}\n\n",
        ] {
            let (out, progress) = run(input);
            assert_eq!(out, input);
            assert!(progress.error.is_some() && !progress.ended && !progress.content_started, "{input}");
        }
        let (_, progress) = run("data: {\"type\":\"transcript.text.delta\",\"delta\":\"a\"}\n\n");
        assert!(progress.content_started && !progress.ended && progress.error.is_none());
    }
}
