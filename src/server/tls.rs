//! TLS of the listeners for callers. The certificate in force is replaced by a reload; whether there is TLS at all, and
//! whose certificates callers must show, is settled when the process starts.

use std::sync::Arc;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use pingora::listeners::TlsAccept;
use pingora::listeners::tls::{Acceptor, TlsSettings};
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;

use crate::base::certificate::{certified_key, roots};
use crate::config::file::Tls;

/// The certificate in force.
#[derive(Debug)]
pub struct Certificate(ArcSwap<CertifiedKey>);

impl Certificate {
    pub fn new(tls: &Tls) -> Result<Self, String> {
        Ok(Self(ArcSwap::new(pair(tls)?)))
    }

    /// Handshakes from now on show another certificate.
    pub fn replace(&self, tls: &Tls) -> Result<(), String> {
        self.0.store(pair(tls)?);
        Ok(())
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

/// Pingora asks for callbacks before it lets a resolver be set.
struct NoCallbacks;

#[async_trait]
impl TlsAccept for NoCallbacks {}

/// What a listener needs to speak TLS 1.2 and 1.3, with HTTP/2 offered.
pub fn acceptor(tls: &Tls, certificate: Arc<Certificate>) -> Result<Acceptor, String> {
    let mut settings = TlsSettings::with_callbacks(Box::new(NoCallbacks)).map_err(|error| error.to_string())?;
    settings.set_cert_resolver(certificate);
    settings.enable_h2();
    if let Some(authority) = &tls.client_ca {
        let wrong = |why: String| format!("`server.tls.client_ca`: {why}");
        let verifier = WebPkiClientVerifier::builder(Arc::new(roots(authority).map_err(wrong)?)).build();
        settings.set_client_cert_verifier(verifier.map_err(|error| wrong(error.to_string()))?);
    }
    Ok(settings.build())
}

fn pair(tls: &Tls) -> Result<Arc<CertifiedKey>, String> {
    let key = tls.private_key.as_ref().map_or("", |key| key.expose());
    certified_key(&tls.certificate, key)
}
