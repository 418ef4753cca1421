//! Which resource made something: a short hash of what names it, that fits into ids and stands before encrypted content.

use data_encoding::BASE64URL_NOPAD;
use sha2::{Digest, Sha256};

/// Bytes of the hash. Two of a thousand resources share one with a probability of 1 in 500 million.
pub(super) const LENGTH: usize = 6;

/// What every mark begins with, and what stands behind the hash.
const FRONT: &str = "azg~";
const BACK: char = '~';

/// Characters of a mark. Encrypted content is base64, which has no `~`.
pub const MARK_LENGTH: usize = FRONT.len() + LENGTH.div_ceil(3) * 4 + 1;

/// A resource, such as one Azure OpenAI account.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Origin(pub(super) [u8; LENGTH]);

impl Origin {
    /// `name` is what makes the resource this one, such as its host: not the name of a key or of a caller, which may
    /// change while the resource stays.
    pub fn new(name: &str) -> Self {
        let hash = Sha256::new().chain_update(b"azgate origin\0").chain_update(name.as_bytes()).finalize();
        let mut short = [0; LENGTH];
        short.copy_from_slice(&hash[..LENGTH]);
        Self(short)
    }

    /// Its name, in letters, digits, `-` and `_`.
    pub fn name(self) -> String {
        BASE64URL_NOPAD.encode(&self.0)
    }

    /// The resource of that name.
    pub fn named(name: &str) -> Option<Self> {
        BASE64URL_NOPAD.decode(name.as_bytes()).ok()?.try_into().ok().map(Self)
    }

    /// What stands before content that only this resource can read.
    pub fn mark(self) -> String {
        format!("{FRONT}{}{BACK}", self.name())
    }

    /// The resource whose mark stands in front of `content`. The mark is [`MARK_LENGTH`] long.
    pub fn of_marked(content: &str) -> Option<Self> {
        Self::named(content.get(..MARK_LENGTH)?.strip_prefix(FRONT)?.strip_suffix(BACK)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_lead_back_and_other_content_has_none() {
        let origin = Origin::new("acme@azure.com");
        let marked = format!("{}gAAAA", origin.mark());
        assert_eq!(Origin::of_marked(&marked), Some(origin));
        assert_eq!(&marked[MARK_LENGTH..], "gAAAA");
        assert_ne!(origin, Origin::new("acme@azure.us"));
        for content in ["", "gAAAAAAAAAAAAAAAAAAA", "azg~", "azg~AAAAAA~~x", "azg~ä234567~"] {
            assert_eq!(Origin::of_marked(content), None, "{content}");
        }
    }
}
