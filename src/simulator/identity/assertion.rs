//! Assertions that an application signs with its certificate's key, checked as Entra does: which certificate, signature,
//! audience, issuer and time (Microsoft identity platform, "Certificate credentials").

use data_encoding::BASE64URL_NOPAD;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use webpki::EndEntityCert;

use super::{Application, Refused, token};

#[derive(Deserialize)]
struct Header {
    alg: String,
    #[serde(rename = "x5t#S256")]
    thumbprint: String,
}

#[derive(Deserialize)]
struct Claims {
    aud: String,
    iss: String,
    sub: String,
    #[serde(rename = "jti")]
    _id: String,
    nbf: f64,
    exp: f64,
}

/// Longest life of an assertion that is taken, in seconds.
const LONGEST: f64 = 86_400.0;

pub fn check(text: &str, application: &Application, audience: &str) -> Result<(), Refused> {
    let malformed = || Refused::assertion_not_verified("The assertion is malformed.");
    let parts: Vec<&str> = text.split('.').collect();
    let [header, claims, signature] = parts.as_slice() else { return Err(malformed()) };
    let head: Header = part(header).ok_or_else(malformed)?;
    let claimed: Claims = part(claims).ok_or_else(malformed)?;
    let signature = BASE64URL_NOPAD.decode(signature.as_bytes()).map_err(|_| malformed())?;
    let mut certificates =
        application.certificates.iter().filter_map(|pem| CertificateDer::from_pem_slice(pem.as_bytes()).ok());
    let certificate = certificates
        .find(|der| BASE64URL_NOPAD.encode(&Sha256::digest(der)) == head.thumbprint)
        .ok_or_else(|| Refused::assertion_not_verified("The key was not found."))?;
    let algorithm = match head.alg.as_str() {
        "PS256" => webpki::ring::RSA_PSS_2048_8192_SHA256_LEGACY_KEY,
        "RS256" => webpki::ring::RSA_PKCS1_2048_8192_SHA256,
        _ => return Err(Refused::assertion_not_verified("The algorithm is not supported.")),
    };
    let signed = &text[..header.len() + 1 + claims.len()];
    let verified = EndEntityCert::try_from(&certificate)
        .and_then(|certificate| certificate.verify_signature(algorithm, signed.as_bytes(), &signature));
    verified.map_err(|_| Refused::assertion_not_verified("The signature is wrong."))?;
    if claimed.aud != audience {
        return Err(Refused::assertion_not_verified("The audience is not the token endpoint."));
    }
    if claimed.iss != application.id || claimed.sub != application.id {
        return Err(Refused::assertion_not_verified("Issuer and subject must be the application."));
    }
    let now = token::now();
    if claimed.exp <= now || claimed.nbf > now + 300.0 || claimed.exp > now + LONGEST {
        return Err(Refused::assertion_expired());
    }
    Ok(())
}

fn part<T: DeserializeOwned>(text: &str) -> Option<T> {
    serde_json::from_slice(&BASE64URL_NOPAD.decode(text.as_bytes()).ok()?).ok()
}
