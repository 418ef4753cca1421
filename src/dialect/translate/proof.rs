//! How reasoning travels in a dialect that is not its maker's: packed into the field in which that dialect carries
//! proofs of its own, behind a prefix that no maker uses. No state is kept here; the client brings it back.

use data_encoding::BASE64URL_NOPAD;

use super::request::{Proof, Thought};

/// In the `signature` of a Messages block: `azg1.{origin}.{item id}.{encrypted content}`.
pub const IN_SIGNATURE: &str = "azg1.";
/// The `signature` of a thought that nothing proves: Claude would refuse an empty one, and this is known again.
pub const UNPROVEN: &str = IN_SIGNATURE;
/// In the `encrypted_content` of a Responses item: `azg1c.` and Claude's blocks as JSON in base64.
pub const IN_ENCRYPTED: &str = "azg1c.";

/// Longest name of a resource in a signature, with the dot behind it.
const LONGEST_ORIGIN: usize = 64;

/// The `signature` for a Messages caller. `None` when there is nothing to carry.
pub fn to_signature(proof: &Proof) -> Option<String> {
    match proof {
        Proof::Signature(signature) => (!signature.is_empty()).then(|| signature.clone()),
        Proof::Encrypted { origin, id, content } => Some(format!("{IN_SIGNATURE}{origin}.{id}.{content}")),
        Proof::Redacted(_) => None,
    }
}

/// What a `signature` proves: nothing, where it was made here and holds no content. An id alone would make the resource
/// look up what it has stored, for whomever.
pub fn of_signature(signature: String) -> Proof {
    let Some(rest) = signature.strip_prefix(IN_SIGNATURE) else { return Proof::Signature(signature) };
    let parts = rest.split_once('.').and_then(|(origin, rest)| Some((origin, rest.split_once('.')?)));
    match parts {
        Some((origin, (id, content))) if !content.is_empty() => {
            Proof::Encrypted { origin: origin.to_owned(), id: id.to_owned(), content: content.to_owned() }
        }
        _ => Proof::Signature(String::new()),
    }
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

/// The resource that a packed proof names, by the front of its text.
pub fn origin_of(proof: &[u8]) -> Option<String> {
    let rest = proof.strip_prefix(IN_SIGNATURE.as_bytes())?;
    let end = memchr::memchr(b'.', &rest[..rest.len().min(LONGEST_ORIGIN)])?;
    std::str::from_utf8(&rest[..end]).ok().filter(|origin| !origin.is_empty()).map(str::to_owned)
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
    fn the_origin_is_told_by_the_front_of_a_proof() {
        assert_eq!(origin_of(b"azg1.a1b2.rs_1.gAAA").as_deref(), Some("a1b2"));
        for proof in ["azg1.a1b2", "azg1.", "azg1..rs_1.g", "EqkE.a.b"] {
            assert_eq!(origin_of(proof.as_bytes()), None, "{proof}");
        }
    }

    #[test]
    fn a_thought_without_content_names_no_stored_one() {
        for signature in ["azg1.", "azg1.a1b2.rs_1.", "azg1.a1b2.rs_1"] {
            assert_eq!(of_signature(signature.to_owned()), Proof::Signature(String::new()), "{signature}");
        }
    }
}
