//! Text without a model: token-like pieces, counting them, filler of a wanted length, and repeatable randomness.

/// Filler for answers of a wanted length.
const FILLER: [&str; 24] = [
    " the", " gateway", " sends", " every", " word", " of", " this", " answer", " in", " a", " piece", " its", " own",
    " so", " that", " a", " reader", " sees", " it", " grow", ",", " and", " then", " ends.",
];

/// Longest piece, in characters.
const PIECE: usize = 6;

/// Characters of an id.
const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// Cuts a text into pieces about as long as tokens; joined they are the text.
pub fn pieces(text: &str) -> Vec<&str> {
    let mut pieces = Vec::with_capacity(text.len() / 4 + 1);
    let (mut start, mut length, mut last) = (0, 0, ' ');
    for (at, c) in text.char_indices() {
        let goes_on = length == 0 || (c.is_alphanumeric() && (last.is_alphanumeric() || last == ' ') && length < PIECE);
        if !goes_on {
            pieces.push(&text[start..at]);
            (start, length) = (at, 0);
        }
        length += 1;
        last = c;
    }
    if start < text.len() {
        pieces.push(&text[start..]);
    }
    pieces
}

/// How many tokens a text counts as.
pub fn count(text: &str) -> usize {
    pieces(text).len()
}

/// The text, cut or filled up to exactly `tokens` pieces.
pub fn of_length(text: &str, tokens: usize) -> String {
    let pieces = pieces(text);
    if pieces.len() >= tokens {
        return pieces[..tokens].concat();
    }
    let missing = tokens - pieces.len();
    let mut out = text.to_owned();
    FILLER.iter().cycle().flat_map(|word| self::pieces(word)).take(missing).for_each(|word| out.push_str(word));
    out
}

/// The first `limit` characters, with a mark where something is left out.
pub fn shortened(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

/// A fresh id such as `chatcmpl-…`.
pub fn id(prefix: &str, length: usize) -> String {
    let mut id = String::with_capacity(prefix.len() + length);
    id.push_str(prefix);
    id.extend((0..length).map(|_| char::from(ALPHABET[fastrand::usize(..ALPHABET.len())])));
    id
}

/// Padding that hides the length of what precedes it, as Azure's `obfuscation`.
pub fn padding() -> String {
    id("", fastrand::usize(4..=16))
}

/// Seconds since the epoch.
pub fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

/// Randomness that the same content always gets again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seed(u64);

impl Seed {
    pub fn of(text: &str) -> Self {
        // FNV-1a: short, and the same on every machine.
        let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        Self(text.bytes().fold(0xcbf2_9ce4_8422_2325, step))
    }

    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// The next number from 0 to 1.
    #[expect(clippy::cast_precision_loss, reason = "32 bits fit")]
    pub fn fraction(&mut self) -> f64 {
        (self.next() >> 32) as f64 / f64::from(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_join_to_the_text_whatever_it_is() {
        for text in ["", "Hello, world!", "  two  blanks\n\n", "Überraschung 😄 international", "{\"a\":[1,2]}"] {
            assert_eq!(pieces(text).concat(), text);
        }
        assert_eq!(pieces("You said: hi"), ["You", " said", ":", " hi"]);
    }

    #[test]
    fn a_text_can_be_given_any_length() {
        for tokens in [1, 5, 100, 1000] {
            assert_eq!(count(&of_length("You said: hi", tokens)), tokens);
        }
    }

    #[test]
    fn seeds_repeat_and_differ() {
        assert_eq!(Seed::of("a").next(), Seed::of("a").next());
        assert_ne!(Seed::of("a").next(), Seed::of("b").next());
        assert!((0.0..=1.0).contains(&Seed::of("a").fraction()));
    }

    #[test]
    fn shortening_keeps_characters_whole() {
        assert_eq!(shortened("äöü", 2), "äö…");
        assert_eq!(shortened("äöü", 3), "äöü");
    }
}
