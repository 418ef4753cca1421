//! Identifiers: random request ids, and which ids of a caller are sane enough to keep.

use data_encoding::HEXLOWER;

/// Longest request id that is taken over from a caller, in bytes.
const LONGEST: usize = 128;

/// A fresh request id: 128 random bits in hexadecimal. Unique, not secret.
pub fn request_id() -> String {
    HEXLOWER.encode(&fastrand::u128(..).to_be_bytes())
}

/// Whether a caller's own request id may be kept: visible ASCII that needs no quoting in a log line or a header.
pub fn is_sane(id: &str) -> bool {
    (1..=LONGEST).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:/=+".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fresh_ids_are_sane_and_differ() {
        let (a, b) = (request_id(), request_id());
        assert_ne!(a, b);
        assert!(is_sane(&a) && is_sane(&b));
    }

    #[test]
    fn ids_that_could_break_a_line_are_refused() {
        for id in ["", "a b", "a\r\nx: y", "\"", "é", &"a".repeat(129)] {
            assert!(!is_sane(id), "{id:?}");
        }
    }
}
