//! The tokens: in the shape of Entra's, signed with a key that lives as long as the simulator.

use std::sync::RwLock;
use std::time::{SystemTime, UNIX_EPOCH};

use data_encoding::BASE64URL_NOPAD;
use ring::hmac;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::IdentitySettings;
use crate::base::locks;

/// What a token says. Times are seconds since 1970 with fractions (RFC 7519, section 2, allows them), so that tokens of
/// a second or two end when they should.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
pub struct Claims {
    pub aud: String,
    pub iss: String,
    pub iat: f64,
    pub nbf: f64,
    pub exp: f64,
    pub appid: String,
    pub tid: String,
    /// Tells tokens apart that are alike in everything else.
    pub uti: String,
}

#[derive(Debug)]
pub struct Signer {
    key: hmac::Key,
    revoked_until: RwLock<f64>,
}

impl Signer {
    pub fn new() -> Self {
        let key: [u8; 32] = std::array::from_fn(|_| fastrand::u8(..));
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, &key), revoked_until: RwLock::new(0.0) }
    }

    pub fn issue(&self, application: &str, resource: &str, settings: &IdentitySettings) -> (String, Claims) {
        let issued = now();
        let claims = Claims {
            aud: resource.to_owned(),
            iss: format!("https://sts.windows.net/{}/", settings.tenant),
            iat: issued,
            nbf: issued,
            exp: issued + settings.lifetime.as_secs_f64(),
            appid: application.to_owned(),
            tid: settings.tenant.clone(),
            uti: format!("{:016x}", fastrand::u64(..)),
        };
        let header = json!({"typ": "JWT", "alg": "HS256", "kid": "simulated"});
        let signed = format!(
            "{}.{}",
            BASE64URL_NOPAD.encode(header.to_string().as_bytes()),
            BASE64URL_NOPAD.encode(json!(claims).to_string().as_bytes())
        );
        let tag = hmac::sign(&self.key, signed.as_bytes());
        (format!("{signed}.{}", BASE64URL_NOPAD.encode(tag.as_ref())), claims)
    }

    /// The claims of a token that this signer issued.
    pub fn read(&self, token: &str) -> Option<Claims> {
        let (signed, tag) = token.rsplit_once('.')?;
        let tag = BASE64URL_NOPAD.decode(tag.as_bytes()).ok()?;
        hmac::verify(&self.key, signed.as_bytes(), &tag).ok()?;
        let (_, claims) = signed.split_once('.')?;
        serde_json::from_slice(&BASE64URL_NOPAD.decode(claims.as_bytes()).ok()?).ok()
    }

    pub fn revoke(&self) {
        *locks::write(&self.revoked_until) = now();
    }

    pub fn revoked_until(&self) -> f64 {
        *locks::read(&self.revoked_until)
    }
}

/// Seconds since 1970, to the millisecond: so much survives JSON exactly.
pub fn now() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
    (since * 1e3).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_own_tokens_are_read_and_not_one_letter_may_change() {
        let (signer, other) = (Signer::new(), Signer::new());
        let (token, claims) = signer.issue("app", "https://ai.azure.com", &IdentitySettings::default());
        assert_eq!(signer.read(&token), Some(claims));
        assert_eq!(other.read(&token), None);
        assert_eq!(signer.read(&format!("{token}A")), None);
        assert_eq!(signer.read("eyJ0"), None);
    }
}
