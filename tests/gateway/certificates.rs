//! Certificates of upstreams: only one that is valid, for the very name, and signed by who is trusted, is good enough,
//! and the log says what is wrong with any other.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::name_server::{Manner, NameServer};
use crate::support::*;

const NAME: &str = "azure.test";

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, "authority of the test");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A server that shows a certificate and answers every request; signed by the authority, or by itself.
async fn serve(params: CertificateParams, authority: Option<&CertifiedIssuer<'static, KeyPair>>) -> u16 {
    let key = KeyPair::generate().unwrap();
    let certificate = match authority {
        Some(authority) => params.signed_by(&key, authority).unwrap(),
        None => params.self_signed(&key).unwrap(),
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
        )
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                assert_eq!(stream.get_ref().1.server_name(), Some(NAME), "the name it is asked for (SNI)");
                let mut buffer = vec![0; 8192];
                while stream.read(&mut buffer).await.is_ok_and(|length| length > 0) {
                    let answer = plain_answer(r#"{"model":"m","choices":[]}"#);
                    if stream.write_all(answer.as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    port
}

fn named(name: &str) -> CertificateParams {
    CertificateParams::new(vec![name.to_owned()]).unwrap()
}

#[tokio::test]
async fn only_a_valid_certificate_for_the_name_is_good_enough_and_the_log_says_what_is_wrong() {
    let authority = authority();
    let mut expired = named(NAME);
    (expired.not_before, expired.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
    let mut future = named(NAME);
    (future.not_before, future.not_after) = (date_time_ymd(2090, 1, 1), date_time_ymd(2091, 1, 1));
    let server = NameServer::start(Manner::Addresses(vec![[127, 0, 0, 1].into()], 300)).await;
    for (what, params, signed, wrong) in [
        ("good", named(NAME), true, None),
        ("expired", expired, true, Some("certificate expired")),
        ("not yet valid", future, true, Some("not valid yet")),
        ("for another name", named("other.test"), true, Some("not valid for name")),
        ("signed by itself", named(NAME), false, Some("UnknownIssuer")),
    ] {
        let port = serve(params, signed.then_some(&authority)).await;
        let mut config = config(&format!("https://{NAME}:{port}"));
        config["server"]["dns"] = json!({"servers": [server.address.to_string()]});
        config["providers"]["azure"]["network_config"] = json!({"ca_cert_pem": authority.pem(), "max_retries": 0});
        let gateway = Gateway::start(&config).await;
        let answer = gateway.chat(&chat_body("Hi")).await;
        let Some(wrong) = wrong else {
            assert_eq!(answer.status, 200, "{what}: {}", answer.text());
            continue;
        };
        assert_eq!((answer.status, answer.code().as_str()), (502, "upstream_unreachable"), "{what}");
        let cause = gateway.request_lines(1).await[0]["cause"].as_str().unwrap().to_owned();
        assert!(cause.contains(wrong) && cause.contains(NAME), "{what}: {cause}");
    }
}
