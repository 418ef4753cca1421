//! Text out of random bytes that gets further than random bytes would.

/// The highest bytes stand for one of `words` each, the others for themselves.
pub fn spelled(data: &[u8], words: &[&[u8]]) -> Vec<u8> {
    let first = 256 - words.len();
    data.iter().fold(Vec::new(), |mut text, byte| {
        match usize::from(*byte).checked_sub(first) {
            Some(word) => text.extend_from_slice(words[word]),
            None => text.push(*byte),
        }
        text
    })
}
