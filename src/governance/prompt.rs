//! How many tokens a prompt has, roughly, from the bytes of its request as they pass. A tokenizer would be exact for one
//! family of models, and a thousand times slower.
//!
//! Seven bytes of ASCII text are taken for two tokens, which is what code has and a little more than prose has; three
//! bytes of other text for one. Base64 is no text: a picture counts as a picture, whatever its bytes.

/// Bytes that are judged together.
const BLOCK: usize = 256;

/// Bytes whose count fits a byte.
const PART: usize = 128;

/// Blocks in a row without anything that text has, from which on they are taken for base64: 4 KiB.
const BINARY: usize = 16;

/// Tokens of one picture or other file: about the most that models make of a large picture.
const FILE: u64 = 1_600;

/// Bytes of base64 for one more token: documents of many pages are larger than pictures.
const FILE_BYTES: u64 = 400;

/// An estimate that grows with the body.
#[derive(Debug, Clone, Copy, Default)]
pub struct Prompt {
    ascii: u64,
    other: u64,
    files: u64,
    file_bytes: u64,
    /// Blocks in a row that might be base64.
    run: usize,
}

impl Prompt {
    pub fn feed(&mut self, chunk: &[u8]) {
        for block in chunk.chunks(BLOCK) {
            let (mut other, mut text) = (0, false);
            for part in block.chunks(PART) {
                // Counted in bytes, sixteen and more of them go through one instruction.
                let (mut high, mut marks) = (0_u8, 0_u8);
                for byte in part {
                    high += byte >> 7;
                    // Blanks, quotes and backslashes: what no base64 has and hardly any text of this length is without.
                    marks |= u8::from(*byte == b' ') | u8::from(*byte == b'"') | u8::from(*byte == b'\\');
                }
                other += u64::from(high);
                text |= (high | marks) > 0;
            }
            self.note(block.len() as u64, other, text);
        }
    }

    fn note(&mut self, length: u64, other: u64, text: bool) {
        if text {
            self.run = 0;
        } else {
            self.run += 1;
            if self.run == BINARY {
                // What came before in this run was counted as text.
                let before = (BINARY as u64 - 1) * BLOCK as u64;
                self.files += 1;
                self.file_bytes += before + length;
                self.ascii = self.ascii.saturating_sub(before);
                return;
            }
            if self.run > BINARY {
                self.file_bytes += length;
                return;
            }
        }
        self.ascii += length - other;
        self.other += other;
    }

    /// The estimate for what has passed so far.
    pub fn tokens(&self) -> u64 {
        (self.ascii * 2).div_ceil(7) + self.other.div_ceil(3) + self.files * FILE + self.file_bytes / FILE_BYTES
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tokens(text: &str) -> u64 {
        let mut prompt = Prompt::default();
        prompt.feed(text.as_bytes());
        prompt.tokens()
    }

    #[test]
    fn text_counts_by_its_bytes() {
        assert_eq!(tokens(""), 0);
        assert_eq!(tokens("Hi"), 1);
        // 44 bytes; GPT-4o makes 10 tokens of it.
        assert_eq!(tokens("The quick brown fox jumps over the lazy dog."), 13);
        // 11 characters, 33 bytes; about as many tokens as characters.
        assert_eq!(tokens("机器学习是一门多领域学科"), 12);
    }

    #[test]
    fn a_picture_is_a_picture_however_large_and_text_around_it_counts() {
        let picture = |bytes: usize| {
            format!(r#"{{"text":"What is this?","url":"data:image/png;base64,{}"}}"#, "iVBORw0K".repeat(bytes / 8))
        };
        assert!((1_600..1_900).contains(&tokens(&picture(60_000))), "{}", tokens(&picture(60_000)));
        assert!((4_000..4_400).contains(&tokens(&picture(1_000_000))), "{}", tokens(&picture(1_000_000)));
        let two = format!("{} {}", picture(60_000), picture(60_000));
        assert!((3_200..3_800).contains(&tokens(&two)));
        // Short keys and identifiers without blanks are text.
        assert!(tokens(&"abcdefgh".repeat(400)) > 900);
    }

    proptest! {
        #[test]
        fn cuts_change_little(text in "[a-z \"\\\\é]{0,600}", cut in 0..600_usize) {
            let bytes = text.as_bytes();
            let (head, tail) = bytes.split_at(cut.min(bytes.len()));
            let mut prompt = Prompt::default();
            prompt.feed(head);
            prompt.feed(tail);
            prop_assert!(prompt.tokens().abs_diff(tokens(&text)) <= 1);
        }
    }
}
