//! Whom the token client trusts: the system's roots (or those of `SSL_CERT_FILE`), and the key's own certificates.

use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};

use crate::base::certificate;

/// TLS 1.2 and 1.3 on the one crypto provider of the process, HTTP/1.1.
///
/// # Errors
/// When there is nothing to trust.
pub fn client(trusted: Option<&str>) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    let system = rustls_native_certs::load_native_certs();
    let missing = system.as_ref().err().map(ToString::to_string);
    // Some systems ship certificates that nobody can read.
    roots.add_parsable_certificates(system.unwrap_or_default());
    if let Some(pem) = trusted {
        roots.add_parsable_certificates(certificate::certificates(pem)?);
    }
    if roots.is_empty() {
        let why = missing.unwrap_or_else(|| "the system has none".to_owned());
        return Err(format!("no certificate to trust: {why}; set `SSL_CERT_FILE` or `ca_cert_pem`"));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(|error| error.to_string())?.with_root_certificates(roots).with_no_client_auth();
    Ok(config)
}
