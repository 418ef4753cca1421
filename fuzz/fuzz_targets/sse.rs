//! However a stream is cut, its frames are the same, and no byte of it is lost.
#![no_main]

use azgate::dialect::sse::Frames;
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;

type Event = (Option<Vec<u8>>, Option<Vec<u8>>);

fn events<'a>(chunks: impl Iterator<Item = &'a [u8]>) -> Option<Vec<Event>> {
    let (mut frames, mut events) = (Frames::default(), Vec::new());
    for chunk in chunks {
        frames.push(Bytes::copy_from_slice(chunk));
        while let Some(frame) = frames.next_frame().ok()? {
            events.push((frame.event().map(<[u8]>::to_vec), frame.data().map(|data| data.into_owned())));
        }
    }
    Some(events)
}

fuzz_target!(|data: &[u8]| {
    let Some((size, stream)) = data.split_first() else { return };
    let whole = events(std::iter::once(stream));
    assert_eq!(whole, events(stream.chunks(usize::from(*size).max(1))));
    assert_eq!(whole, events(stream.chunks(1)));
});
