//! How reasoning travels in a dialect that is not its maker's: packed into the field in which that dialect carries
//! proofs of its own, behind a prefix that no maker uses. No state is kept here; the client brings it back.

use data_encoding::BASE64URL_NOPAD;

use super::request::{Proof, Thought};

/// In the `signature` of a Messages block: `azg1.{origin}.{item id}.{encrypted content}`.
const IN_SIGNATURE: &str = "azg1.";
/// In the `encrypted_content` of a Responses item: `azg1c.` and Claude's blocks as JSON in base64.
const IN_ENCRYPTED: &str = "azg1c.";

/// The `signature` for a Messages caller. `None` when there is nothing to carry.
pub fn to_signature(proof: &Proof) -> Option<String> {
    match proof {
        Proof::Signature(signature) => (!signature.is_empty()).then(|| signature.clone()),
        Proof::Encrypted { origin, id, content } => Some(format!("{IN_SIGNATURE}{origin}.{id}.{content}")),
        Proof::Redacted(_) => None,
    }
}

/// What a `signature` proves.
pub fn of_signature(signature: String) -> Proof {
    let carried = signature.strip_prefix(IN_SIGNATURE).and_then(|rest| {
        let (origin, rest) = rest.split_once('.')?;
        let (id, content) = rest.split_once('.')?;
        Some(Proof::Encrypted { origin: origin.to_owned(), id: id.to_owned(), content: content.to_owned() })
    });
    carried.unwrap_or(Proof::Signature(signature))
}

/// The `encrypted_content` for a Responses caller.
pub fn to_encrypted(thought: &Thought) -> Option<String> {
    let json = match &thought.proof {
        Proof::Signature(signature) if signature.is_empty() => return None,
        Proof::Signature(signature) => serde_json::to_vec(&[&thought.text, signature]).ok()?,
        Proof::Redacted(data) => serde_json::to_vec(&[data]).ok()?,
        Proof::Encrypted { content, .. } => return Some(content.clone()),
    };
    Some(format!("{IN_ENCRYPTED}{}", BASE64URL_NOPAD.encode(&json)))
}

/// What an `encrypted_content` holds; `None` when it is not Claude's.
pub fn of_encrypted(content: &str) -> Option<Thought> {
    let json = BASE64URL_NOPAD.decode(content.strip_prefix(IN_ENCRYPTED)?.as_bytes()).ok()?;
    let parts: Vec<String> = serde_json::from_slice(&json).ok()?;
    match <[String; 2]>::try_from(parts) {
        Ok([text, signature]) => Some(Thought { text, proof: Proof::Signature(signature) }),
        Err(parts) => {
            let [data] = <[String; 1]>::try_from(parts).ok()?;
            Some(Thought { text: String::new(), proof: Proof::Redacted(data) })
        }
    }
}

/// The origin that made the reasoning in a request's body, for whoever chooses the key: the first that is named.
pub fn origin_in(body: &[u8]) -> Option<&str> {
    let at = memchr::memmem::find(body, b"\"azg1.")? + 1 + IN_SIGNATURE.len();
    let rest = &body[at..];
    let end = memchr::memchr(b'.', &rest[..rest.len().min(64)])?;
    std::str::from_utf8(&rest[..end]).ok().filter(|origin| !origin.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traps_58_signatures_survive_the_way_there_and_back() {
        let proof = Proof::Encrypted { origin: "a1b2".into(), id: "rs_1".into(), content: "gAAA.B-_=".into() };
        assert_eq!(of_signature(to_signature(&proof).unwrap()), proof);
        let own = Proof::Signature("EqkECk.x".into());
        assert_eq!(of_signature(to_signature(&own).unwrap()), own);
        for proof in [Proof::Signature("EqkE+/=".into()), Proof::Redacted("data".into())] {
            let text = if matches!(proof, Proof::Redacted(_)) { "" } else { "Grüße \"x\"" };
            let thought = Thought { text: text.into(), proof };
            assert_eq!(of_encrypted(&to_encrypted(&thought).unwrap()), Some(thought));
        }
        assert_eq!(of_encrypted("gAAAAAB"), None);
        assert_eq!(to_signature(&Proof::Signature(String::new())), None);
    }

    #[test]
    fn the_origin_is_found_in_a_body() {
        let body = br#"{"messages":[{"content":[{"signature":"EqkE"},{"signature":"azg1.a1b2.rs_1.gAAA"}]}]}"#;
        assert_eq!(origin_in(body), Some("a1b2"));
        assert_eq!(origin_in(b"azg1.a1b2"), None);
        assert_eq!(origin_in(b"\"azg1."), None);
    }
}
