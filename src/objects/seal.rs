//! Ids as their owner sees them: the upstream's own id and the resource it belongs to, sealed with a key of the owner.
//!
//! Nothing has to be remembered, so ids hold across restarts and in every gateway with the same virtual keys. Another
//! caller can neither use such an id nor learn the upstream's own from it. The same id always looks the same, because
//! clients compare ids: the nonce is a keyed hash of what is sealed (a synthetic one, as in SIV of RFC 5297), so no two
//! different texts share one.

use std::sync::OnceLock;

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hmac;

use super::origin::{LENGTH, Origin};

/// Behind the prefix of an id (`resp_`), this tells a sealed one from any other.
const SIGN: &str = "azg";

/// In the place of a prefix, for ids that have none.
const NO_PREFIX: &str = "_";

/// Longest prefix that stays readable.
const LONGEST_PREFIX: usize = 16;

/// How the upstream's id was packed: as it is, or as pairs of hexadecimal digits.
const PLAIN: u8 = 0;
const HEX: u8 = 1;

/// What an object leaves behind of itself and its owner; nobody else can make it.
pub type Trace = [u8; 16];

/// Seals and opens the ids of one owner.
pub struct Seal {
    secret: [u8; 32],
    /// Derived when the first id comes: most requests have none, and the derivation costs as much as their routing.
    keys: OnceLock<Box<Keys>>,
}

struct Keys {
    cipher: LessSafeKey,
    nonces: hmac::Key,
}

/// Why an id leads nowhere.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unknown {
    /// No gateway sealed it.
    Unsealed,
    /// It was sealed for somebody else, or was altered.
    Foreign,
}

impl Seal {
    /// For the owner of a secret, such as the hash of a virtual key.
    pub fn of_owner(secret: &[u8; 32]) -> Self {
        Self { secret: *secret, keys: OnceLock::new() }
    }

    /// For everybody: ids say where they lead and belong to nobody.
    pub fn shared() -> Self {
        Self::of_owner(&[0; 32])
    }

    fn keys(&self) -> &Keys {
        self.keys.get_or_init(|| Box::new(Keys::derive(&self.secret)))
    }

    /// The owner's form of an id. The prefix stays, because clients and people look at it.
    pub fn close(&self, origin: Origin, id: &str) -> String {
        let (prefix, rest) = split(id);
        let mut text = origin.0.to_vec();
        match HEXLOWER.decode(rest.as_bytes()) {
            Ok(bytes) => {
                text.push(HEX);
                text.extend(bytes);
            }
            Err(_) => {
                text.push(PLAIN);
                text.extend(rest.as_bytes());
            }
        }
        let nonce = self.nonce(prefix, &text);
        let mut sealed = nonce.to_vec();
        let tag = self.keys().cipher.seal_in_place_separate_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(prefix.as_bytes()),
            &mut text,
        );
        let tag = tag.expect("an id is shorter than what the cipher takes");
        sealed.extend(text);
        sealed.extend(tag.as_ref());
        let prefix = if prefix.is_empty() { NO_PREFIX } else { prefix };
        format!("{prefix}{SIGN}{}", BASE64URL_NOPAD.encode(&sealed))
    }

    /// The upstream's own id, and the resource that knows it.
    ///
    /// # Errors
    /// When it is not sealed, or not for this owner.
    pub fn open(&self, id: &str) -> Result<(Origin, String), Unknown> {
        let (prefix, rest) = id.strip_prefix(NO_PREFIX).map_or_else(|| split(id), |rest| ("", rest));
        let sealed = rest.strip_prefix(SIGN).ok_or(Unknown::Unsealed)?;
        let mut sealed = BASE64URL_NOPAD.decode(sealed.as_bytes()).map_err(|_| Unknown::Unsealed)?;
        if sealed.len() < NONCE_LEN {
            return Err(Unknown::Unsealed);
        }
        let mut text = sealed.split_off(NONCE_LEN);
        let nonce = Nonce::try_assume_unique_for_key(&sealed).map_err(|_| Unknown::Unsealed)?;
        let text = self.keys().cipher.open_in_place(nonce, Aad::from(prefix.as_bytes()), &mut text);
        let text = text.map_err(|_| Unknown::Foreign)?;
        let (origin, rest) = text.split_first_chunk::<LENGTH>().ok_or(Unknown::Foreign)?;
        let rest = match rest.split_first() {
            Some((&HEX, bytes)) => HEXLOWER.encode(bytes),
            Some((&PLAIN, bytes)) => String::from_utf8(bytes.to_vec()).map_err(|_| Unknown::Foreign)?,
            _ => return Err(Unknown::Foreign),
        };
        Ok((Origin(*origin), format!("{prefix}{rest}")))
    }

    /// Under which the object is known to be the owner's.
    pub fn trace(&self, origin: Origin, id: &str) -> Trace {
        let mut hash = hmac::Context::with_key(&self.keys().nonces);
        // No prefix of an id looks like this.
        hash.update(b"\0trace\0");
        hash.update(&origin.0);
        hash.update(id.as_bytes());
        let mut trace = [0; 16];
        trace.copy_from_slice(&hash.sign().as_ref()[..16]);
        trace
    }

    fn nonce(&self, prefix: &str, text: &[u8]) -> [u8; NONCE_LEN] {
        let mut hash = hmac::Context::with_key(&self.keys().nonces);
        hash.update(prefix.as_bytes());
        hash.update(text);
        let mut nonce = [0; NONCE_LEN];
        nonce.copy_from_slice(&hash.sign().as_ref()[..NONCE_LEN]);
        nonce
    }
}

impl Keys {
    fn derive(secret: &[u8; 32]) -> Self {
        let root = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let part = |what: &[u8]| hmac::sign(&root, what);
        let cipher = UnboundKey::new(&AES_256_GCM, part(b"azgate id cipher").as_ref());
        Self {
            cipher: LessSafeKey::new(cipher.expect("the hash has the length of the key")),
            nonces: hmac::Key::new(hmac::HMAC_SHA256, part(b"azgate id nonce").as_ref()),
        }
    }
}

/// The prefix with its separator, and the rest.
fn split(id: &str) -> (&str, &str) {
    let end = id.find(['_', '-']).filter(|end| (1..LONGEST_PREFIX).contains(end));
    let plain = end.filter(|end| id[..*end].bytes().all(|byte| byte.is_ascii_alphabetic()));
    id.split_at(plain.map_or(0, |end| end + 1))
}

/// Nothing of it: it holds keys.
impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seal")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ID: &str = "resp_04041325ab8ae30400698c519fb7fc81979972618138fc336d";

    fn east() -> Origin {
        Origin::new("east@azure.com")
    }

    #[test]
    fn an_owner_gets_back_the_id_and_where_it_leads() {
        let seal = Seal::of_owner(&[7; 32]);
        let sealed = seal.close(east(), ID);
        assert!(sealed.starts_with("resp_azg") && sealed.len() <= 90, "{sealed}");
        assert_eq!(seal.open(&sealed), Ok((east(), ID.to_owned())));
        assert_eq!(seal.close(east(), ID), sealed, "the same id looks the same");
        assert_ne!(seal.close(Origin::new("west@azure.com"), ID), sealed);
    }

    #[test]
    fn nobody_else_can_open_alter_or_recognise_an_id() {
        let (one, other) = (Seal::of_owner(&[7; 32]), Seal::of_owner(&[8; 32]));
        let sealed = one.close(east(), ID);
        assert!(!sealed.contains("0404"));
        assert_ne!(other.close(east(), ID), sealed);
        assert_eq!(other.open(&sealed), Err(Unknown::Foreign));
        assert_eq!(one.open(&sealed.replace("resp_", "file_")), Err(Unknown::Foreign), "the kind is sealed too");
        for at in "resp_azg".len()..sealed.len() {
            let mut altered = sealed.clone().into_bytes();
            altered[at] = if altered[at] == b'A' { b'B' } else { b'A' };
            assert!(one.open(std::str::from_utf8(&altered).unwrap()).is_err(), "at {at}");
        }
        for unsealed in ["", "resp_", "resp_123", "azg", "resp_azg", "resp_azg!", "file-azgAAAA", ID] {
            assert_eq!(one.open(unsealed), Err(Unknown::Unsealed), "{unsealed}");
        }
    }

    proptest! {
        #[test]
        fn every_id_comes_back(id in "([a-z]{0,20}[_-])?[ -~]{0,80}|\\PC{0,20}") {
            let seal = Seal::shared();
            let sealed = seal.close(east(), &id);
            prop_assert_eq!(seal.open(&sealed), Ok((east(), id)));
            prop_assert!(sealed.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte)));
        }

        #[test]
        fn no_text_panics(id in "\\PC{0,60}", tail in "[A-Za-z0-9_-]{0,80}") {
            let _ = Seal::shared().open(&id);
            let id = format!("resp_azg{tail}");
            prop_assert!(Seal::shared().open(&id).is_err());
        }
    }
}
