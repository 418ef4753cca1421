//! Certificates from PEM text: chains, trusted roots, and a server's own with its private key.

use std::sync::Arc;

use rustls::RootCertStore;
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

/// The certificates of a PEM text, at least one.
///
/// # Errors
/// Says what is wrong when the text holds none or a broken one.
pub fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let parsed: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    let parsed = parsed.map_err(|error| format!("not a PEM certificate: {error}"))?;
    if parsed.is_empty() { Err("no certificate in the PEM text".to_owned()) } else { Ok(parsed) }
}

/// The certificates of a PEM text as those that are trusted.
///
/// # Errors
/// As [`certificates`], and when one cannot vouch for others.
pub fn roots(pem: &str) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(pem)? {
        roots.add(certificate).map_err(|error| format!("certificate cannot be a trust anchor: {error}"))?;
    }
    Ok(roots)
}

/// Certificate chain and key, checked against each other.
///
/// # Errors
/// Says which of the two is wrong and how; the key's text is not repeated.
pub fn certified_key(chain: &str, key: &str) -> Result<Arc<CertifiedKey>, String> {
    let chain = certificates(chain)?;
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|_| "the private key is not PEM".to_owned())?;
    let key = any_supported_type(&key).map_err(|_| "the private key is of a kind that is not supported".to_owned())?;
    let certified = CertifiedKey::new(chain, key);
    match certified.keys_match() {
        Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::KeyMismatch)) => {
            Err("the private key does not belong to the certificate".to_owned())
        }
        _ => Ok(Arc::new(certified)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_pair_that_belongs_together_is_taken() {
        let make = || rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let (a, b) = (make(), make());
        assert!(certified_key(&a.cert.pem(), &a.signing_key.serialize_pem()).is_ok());
        let mixed = certified_key(&a.cert.pem(), &b.signing_key.serialize_pem()).unwrap_err();
        assert!(mixed.contains("does not belong"), "{mixed}");
        assert!(certified_key("", &a.signing_key.serialize_pem()).is_err());
        assert!(certified_key(&a.cert.pem(), "nonsense").is_err());
    }
}
