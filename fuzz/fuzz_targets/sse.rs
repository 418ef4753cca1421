//! However a stream is cut, its frames are the same, and no byte of it is lost.
#![no_main]

use azgate::dialect::sse::Frames;
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;

type Event = (Option<Vec<u8>>, Vec<u8>);

/// The events with data, and every byte in the order in which it was given out. A frame without data may come in two
/// parts, when a chunk ends between CR and LF.
fn events<'a>(chunks: impl Iterator<Item = &'a [u8]>) -> Option<(Vec<Event>, Vec<u8>)> {
    let (mut frames, mut events, mut raw) = (Frames::default(), Vec::new(), Vec::new());
    for chunk in chunks {
        frames.push(Bytes::copy_from_slice(chunk));
        while let Some(frame) = frames.next_frame().ok()? {
            raw.extend_from_slice(&frame.raw);
            if let Some(data) = frame.data() {
                events.push((frame.event().map(<[u8]>::to_vec), data.into_owned()));
            }
        }
    }
    raw.extend(frames.rest().iter().flat_map(|frame| frame.raw.iter()));
    Some((events, raw))
}

fuzz_target!(|data: &[u8]| {
    let Some((size, stream)) = data.split_first() else { return };
    let whole = events(std::iter::once(stream));
    assert!(whole.as_ref().is_none_or(|(_, raw)| raw == stream), "a byte was lost");
    assert_eq!(whole, events(stream.chunks(usize::from(*size).max(1))));
    assert_eq!(whole, events(stream.chunks(1)));
});
