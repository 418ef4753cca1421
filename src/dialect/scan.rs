//! The lexer under [`super::peek`] and [`super::cursor`]: where a string ends, where a nested value ends.
//!
//! It skips, and leaves meaning to its callers. Everything is resumable at any byte and nothing recurses, so a body may
//! arrive in any splitting and nesting depth costs one bit per level.

use memchr::memchr;

/// What a byte means outside of strings.
const FILLER: u8 = 0;
const QUOTE: u8 = 1;
const OPEN: u8 = 2;
const CLOSE: u8 = 3;
const ALIEN: u8 = 4;

/// Bytes that JSON has no use for outside of strings are alien. Letting them pass inside nested values would let a
/// lenient upstream see comments or single-quoted strings where we see structure.
static CLASSES: [u8; 256] = classes();

/// Why skipping stopped: how far into the bytes, and what JSON wants there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Flaw {
    pub at: usize,
    pub expected: &'static str,
}

/// An array or object that is being skipped.
#[derive(Default, Debug)]
pub(super) struct Nest {
    brackets: Brackets,
    in_string: bool,
    escaped: bool,
}

/// The kinds of the open brackets, one bit each; the innermost is the lowest bit of `top`.
#[derive(Default, Debug)]
struct Brackets {
    top: u64,
    depth: usize,
    full: Vec<u64>,
}

impl Nest {
    /// Starts after the opening bracket `{` or `[`.
    pub fn open(bracket: u8) -> Self {
        let mut nest = Self::default();
        nest.brackets.push(bracket == b'{');
        nest
    }

    /// Skips on: `Some(index after the closing bracket)`, or `None` when the value goes on after `bytes`.
    pub fn skip(&mut self, bytes: &[u8]) -> Result<Option<usize>, Flaw> {
        let mut at = 0;
        if self.in_string {
            let Some(end) = string_end(bytes, &mut self.escaped) else { return Ok(None) };
            self.in_string = false;
            at = end;
        }
        while let Some(&byte) = bytes.get(at) {
            at += 1;
            match CLASSES[usize::from(byte)] {
                FILLER => {}
                QUOTE => match string_end(&bytes[at..], &mut self.escaped) {
                    Some(end) => at += end,
                    None => {
                        self.in_string = true;
                        return Ok(None);
                    }
                },
                OPEN => self.brackets.push(byte == b'{'),
                CLOSE => {
                    if !self.brackets.pop(byte == b'}') {
                        let expected = if byte == b'}' { "`]` to close the array" } else { "`}` to close the object" };
                        return Err(Flaw { at: at - 1, expected });
                    }
                    if self.brackets.depth == 0 {
                        return Ok(Some(at));
                    }
                }
                _ => return Err(Flaw { at: at - 1, expected: "JSON" }),
            }
        }
        Ok(None)
    }

    pub fn in_string(&self) -> bool {
        self.in_string
    }
}

impl Brackets {
    #[inline]
    fn push(&mut self, object: bool) {
        if self.depth > 0 && self.depth.is_multiple_of(64) {
            self.full.push(self.top);
        }
        self.top = self.top << 1 | u64::from(object);
        self.depth += 1;
    }

    /// Whether the innermost bracket was of this kind.
    #[inline]
    fn pop(&mut self, object: bool) -> bool {
        let matches = self.top & 1 == u64::from(object);
        self.top >>= 1;
        self.depth -= 1;
        if self.depth > 0 && self.depth.is_multiple_of(64) {
            self.top = self.full.pop().unwrap_or_default();
        }
        matches
    }
}

/// Where a string ends that is open where `bytes` begin: the index after its closing quote, or `None` when it goes on.
///
/// `escaped` says whether the first of `bytes` stands behind an odd number of backslashes, and is kept up to date for
/// the next bytes. Only quotes are searched for, because text is full of `\n` and has few quotes; the backslashes
/// before a quote are counted backwards.
#[inline]
pub(super) fn string_end(bytes: &[u8], escaped: &mut bool) -> Option<usize> {
    let mut from = 0;
    while let Some(distance) = find_quote(&bytes[from..]) {
        let quote = from + distance;
        if !is_escaped(&bytes[..quote], *escaped) {
            *escaped = false;
            return Some(quote + 1);
        }
        from = quote + 1;
    }
    *escaped = is_escaped(bytes, *escaped);
    None
}

pub(super) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// Whether the byte after `before` is escaped, given whether the first of `before` is.
#[inline]
fn is_escaped(before: &[u8], first_escaped: bool) -> bool {
    let run = before.iter().rev().take_while(|byte| **byte == b'\\').count();
    (run % 2 == 1) != (run == before.len() && first_escaped)
}

/// The first quote. Names and enumeration values are short, so two words are looked at before the call pays off.
#[inline]
fn find_quote(bytes: &[u8]) -> Option<usize> {
    const WORD: usize = size_of::<u64>();
    if let Some(words) = bytes.first_chunk::<{ 2 * WORD }>() {
        let (low, high) = words.split_at(WORD);
        for (start, word) in [(0, low), (WORD, high)] {
            let hits = quotes_in(u64::from_le_bytes(word.try_into().unwrap_or_default()));
            if hits != 0 {
                return Some(start + hits.trailing_zeros() as usize / 8);
            }
        }
        return memchr(b'"', &bytes[2 * WORD..]).map(|n| n + 2 * WORD);
    }
    bytes.iter().position(|byte| *byte == b'"')
}

/// Bit 7 of each byte that is a quote; bytes above the first hit may be false, so only the lowest bit counts.
#[inline]
fn quotes_in(word: u64) -> u64 {
    const ONES: u64 = u64::MAX / 255;
    let zero_where_quote = word ^ (ONES * b'"' as u64);
    zero_where_quote.wrapping_sub(ONES) & !zero_where_quote & (ONES << 7)
}

const fn classes() -> [u8; 256] {
    const FILLERS: &[u8] = b" \t\n\r,:+-.0123456789Eaeflnrstu";
    let mut table = [ALIEN; 256];
    let mut i = 0;
    while i < FILLERS.len() {
        table[FILLERS[i] as usize] = FILLER;
        i += 1;
    }
    table[b'"' as usize] = QUOTE;
    table[b'{' as usize] = OPEN;
    table[b'[' as usize] = OPEN;
    table[b'}' as usize] = CLOSE;
    table[b']' as usize] = CLOSE;
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end_of_string(text: &[u8]) -> Option<usize> {
        string_end(text, &mut false)
    }

    #[test]
    fn strings_end_at_the_first_quote_that_is_not_escaped() {
        assert_eq!(end_of_string(b"\""), Some(1));
        assert_eq!(end_of_string(br#"a\"b\\"c"#), Some(7));
        assert_eq!(end_of_string(br#"\\\\\\\""#), None);
        assert_eq!(end_of_string(format!("{}\\\"{}\"", "x".repeat(40), "y".repeat(9)).as_bytes()), Some(52));
        assert_eq!(end_of_string(b""), None);
    }

    #[test]
    fn escapes_survive_any_split() {
        let text = br#"ab\\\\\"\\ long enough to leave the two words \\\\" "#;
        let whole = end_of_string(text).unwrap();
        for cut in 0..=text.len() {
            let mut escaped = false;
            let end = string_end(&text[..cut], &mut escaped)
                .or_else(|| string_end(&text[cut..], &mut escaped).map(|end| cut + end));
            assert_eq!(end, Some(whole), "cut at {cut}");
        }
    }

    #[test]
    fn nests_of_any_depth_close_with_their_own_kind() {
        for depth in [1, 63, 64, 65, 128, 129, 100_000] {
            let open: String = (0..depth).map(|level| if level % 3 == 0 { '{' } else { '[' }).collect();
            let close: String = (0..depth).rev().map(|level| if level % 3 == 0 { '}' } else { ']' }).collect();
            let text = format!("{open}{close}").into_bytes();
            assert_eq!(Nest::open(b'{').skip(&text[1..]), Ok(Some(2 * depth - 1)), "depth {depth}");
            let mut wrong = text.clone();
            let last = wrong.len() - 1;
            wrong[last] = b']';
            assert!(Nest::open(b'{').skip(&wrong[1..]).is_err(), "depth {depth}");
        }
    }

    #[test]
    fn comments_and_single_quotes_are_refused_inside_nests() {
        for text in ["[/*]*/]", "['a']", "[NaN]", "[\u{a0}]", "[\0]"] {
            assert_eq!(Nest::open(b'[').skip(&text.as_bytes()[1..]).unwrap_err().expected, "JSON", "{text}");
        }
    }
}
