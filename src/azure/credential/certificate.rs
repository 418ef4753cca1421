//! Certificate credentials: an assertion, signed with the certificate's key, in place of a secret (RFC 7523; Microsoft
//! identity platform, "Certificate credentials").

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use data_encoding::BASE64URL_NOPAD;
use rustls::SignatureScheme;
use rustls::sign::{CertifiedKey, Signer};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::base::certificate::certified_key;

/// How long an assertion may be used. It is made for one request; clocks may differ by some minutes.
const LIFE: Duration = Duration::from_secs(600);

/// A certificate with its RSA key.
pub struct Certificate {
    pair: Arc<CertifiedKey>,
    /// Entra finds the certificate by this (`x5t#S256`).
    thumbprint: String,
    /// Tells texts apart without keeping them.
    fingerprint: [u8; 32],
}

impl Certificate {
    /// Reads certificate and private key from one PEM text.
    ///
    /// # Errors
    /// Says what is wrong; nothing of the text is repeated.
    pub fn parse(pem: &str) -> Result<Self, String> {
        let pair = certified_key(pem, pem)?;
        let thumbprint = pair.cert.first().map(|der| BASE64URL_NOPAD.encode(&Sha256::digest(der))).unwrap_or_default();
        let certificate = Self { pair, thumbprint, fingerprint: Sha256::digest(pem).into() };
        certificate.signer().ok_or("the private key is not RSA, the one kind that Entra takes")?;
        Ok(certificate)
    }

    /// A new assertion that `client` asks at `audience`, the address of the token endpoint.
    pub fn assertion(&self, client: &str, audience: &str, now: SystemTime) -> Result<String, String> {
        let since = now.duration_since(UNIX_EPOCH).map_err(|_| "the clock stands before 1970")?.as_secs();
        let header = json!({"alg": "PS256", "typ": "JWT", "x5t#S256": self.thumbprint});
        let claims = json!({
            "aud": audience, "iss": client, "sub": client, "jti": format!("{:032x}", fastrand::u128(..)),
            "iat": since, "nbf": since, "exp": since + LIFE.as_secs(),
        });
        let part = |value: &serde_json::Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
        let signed = format!("{}.{}", part(&header), part(&claims));
        let signer = self.signer().ok_or("the private key is not RSA")?;
        let signature =
            signer.sign(signed.as_bytes()).map_err(|error| format!("the assertion was not signed: {error}"))?;
        Ok(format!("{signed}.{}", BASE64URL_NOPAD.encode(&signature)))
    }

    fn signer(&self) -> Option<Box<dyn Signer>> {
        self.pair.key.choose_scheme(&[SignatureScheme::RSA_PSS_SHA256])
    }
}

impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").field("thumbprint", &self.thumbprint).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_is_no_rsa_pair_is_refused_without_being_repeated() {
        let elliptic = rcgen::generate_simple_self_signed(vec!["app".to_owned()]).unwrap();
        let pem = format!("{}{}", elliptic.cert.pem(), elliptic.signing_key.serialize_pem());
        assert!(Certificate::parse(&pem).unwrap_err().contains("RSA"));
        for text in ["hunter2", "", &elliptic.cert.pem()] {
            let why = Certificate::parse(text).unwrap_err();
            assert!(!why.contains("hunter2"), "{why}");
        }
    }
}
