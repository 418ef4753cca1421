//! Ids of calls that fit every dialect: each has its own letters and lengths, and an id must be the same wherever it is
//! repeated, so one that does not fit is replaced by what its hash gives.

use std::borrow::Cow;

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

/// Longest id of a call in Responses; the others take more.
const LONGEST: usize = 64;

/// Characters of a hash in an id, which is plenty against mixing two up.
const HASHED: usize = 24;

/// The id as every dialect takes it.
pub fn call(id: &str) -> Cow<'_, str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if (1..=LONGEST).contains(&id.len()) && id.bytes().all(plain) {
        return Cow::Borrowed(id);
    }
    Cow::Owned(format!("call_{}", &hash(id)[..HASHED]))
}

/// A text in 64 letters that say nothing about it.
pub fn hash(text: &str) -> String {
    HEXLOWER.encode(&Sha256::digest(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_fit_stay_and_others_are_always_replaced_alike() {
        assert_eq!(call("toolu_01A-b"), "toolu_01A-b");
        for id in ["functions.read:0", "", &"x".repeat(65), "ü"] {
            let replaced = call(id);
            assert_eq!((replaced.len(), &replaced), (29, &call(id)), "{id}");
        }
        assert_ne!(call("a.b"), call("a:b"));
    }
}
