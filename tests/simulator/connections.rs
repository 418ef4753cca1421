//! Connections: HTTP/1.1 and HTTP/2, TLS, reuse, GOAWAY, and what `/_sim/stats` says about them.

use std::sync::Arc;
use std::time::Duration;

use azgate::simulator::{Running, Script, Settings, serve, start};
use http::{Request, Version};
use http_body_util::Full;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::json;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::client::*;

async fn tls(simulator: &Running, name: &str, protocols: &[&str]) -> TlsStream<TcpStream> {
    let mut roots = RootCertStore::empty();
    let pem = simulator.certificate_pem().expect("TLS");
    roots.add(CertificateDer::from_pem_slice(pem.as_bytes()).expect("PEM")).expect("an authority");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("versions");
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    let stream = TcpStream::connect(simulator.addr()).await.expect("connected");
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.expect("a handshake")
}

#[tokio::test]
async fn tls_is_trusted_by_its_authority_and_offers_both_protocols() {
    let settings = Settings { tls: true, ..Settings::default() };
    let simulator = start(settings).await.expect("a free port");
    assert!(simulator.base_url().starts_with("https://127.0.0.1:"));
    let body = chat_body("gpt-4o", "hi", json!({"stream": true}));

    let stream = tls(&simulator, "127.0.0.1", &["h2", "http/1.1"]).await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.expect("HTTP/2");
    tokio::spawn(connection);
    let response = sender.send_request(at(simulator.addr(), post(V1_CHAT, &body))).await.expect("an answer");
    assert_eq!(response.version(), Version::HTTP_2);
    assert_eq!(read(response).await.events().last().map(String::as_str), Some("[DONE]"));

    let stream = tls(&simulator, "localhost", &["http/1.1"]).await;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.expect("HTTP/1.1");
    tokio::spawn(connection);
    let reply = read(sender.send_request(faulty("close-after-bytes=30", &body)).await.expect("an answer")).await;
    assert_eq!((reply.body.len(), reply.broken), (30, true));
}

#[tokio::test]
async fn http2_without_tls_carries_parallel_streams_on_one_connection() {
    let simulator = simulator().await;
    let sender = h2(simulator.addr()).await;
    let body = chat_body("gpt-4o", "hi", json!({"stream": true}));
    let calls = (0..20).map(|_| {
        let (mut sender, request) = (sender.clone(), at(simulator.addr(), post(V1_CHAT, &body)));
        tokio::spawn(async move { read(sender.send_request(request).await.expect("an answer")).await })
    });
    for call in calls.collect::<Vec<_>>() {
        assert!(call.await.expect("done").text().ends_with("data: [DONE]\n\n"));
    }
    let recorded = simulator.recorded();
    assert!(recorded.iter().all(|one| one.connection == 1 && one.http_version == "HTTP/2"));
    assert_eq!(simulator.stats().connections, 1);
}

#[tokio::test]
async fn a_connection_told_to_go_away_finishes_what_is_open() {
    let simulator = simulator().await;
    let mut sender = h2(simulator.addr()).await;
    let body = chat_body("gpt-4o", "hi", json!({"stream": true}));
    let request = at(simulator.addr(), faulty("goaway; drip-ms=5", &body));
    let reply = read(sender.send_request(request).await.expect("an answer")).await;
    assert!(reply.text().ends_with("data: [DONE]\n\n") && !reply.broken);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(sender.send_request(at(simulator.addr(), post(V1_CHAT, &body))).await.is_err());
}

#[tokio::test]
async fn http1_connections_are_kept_unless_told_otherwise() {
    let simulator = simulator().await;
    let body = chat_body("gpt-4o", "hi", json!({}));
    let stream = TcpStream::connect(simulator.addr()).await.expect("connected");
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.expect("HTTP/1.1");
    tokio::spawn(connection);
    for fault in ["", "status=500", "keep-alive=off"] {
        sender.ready().await.expect("the connection is kept");
        let reply = read(sender.send_request(faulty(fault, &body)).await.expect("an answer")).await;
        assert!(!reply.broken);
    }
    assert!(sender.ready().await.is_err(), "the connection must be closed");
    assert_eq!(simulator.recorded().iter().map(|one| one.connection).collect::<Vec<u64>>(), [1, 1, 1]);
}

#[tokio::test]
async fn stopping_closes_connections_and_the_port() {
    let simulator = simulator().await;
    let address = simulator.addr();
    let mut sender = h2(address).await;
    simulator.stop().await;
    let request = Request::get("http://x/_sim/healthz").body(Full::default()).expect("a request");
    assert!(sender.send_request(request).await.is_err());
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn statistics_count_what_is_open_and_what_was_done() {
    let simulator = simulator().await;
    let body = chat_body("gpt-4o", "hi", json!({"stream": true}));
    chat(&simulator, &body).await;
    let mut sender = h2(simulator.addr()).await;
    let request = at(simulator.addr(), faulty("stall-after-events=2", &body));
    let response = sender.send_request(request).await.expect("a head");
    let stats = ok(&control(simulator.addr(), "GET", "/_sim/stats", "").await);
    assert_eq!((&stats["active_streams"], &stats["active_requests"]), (&json!(1), &json!(1)));
    assert_eq!((&stats["requests"], &stats["answered"]), (&json!(2), &json!(1)));
    assert!(stats["open_connections"].as_u64() >= Some(2));
    drop((response, sender));
    let recorded = simulator.wait_for(Duration::from_secs(2), |all| all[1].finished_at_ms.is_some()).await;
    assert!(recorded[1].caller_left_after_ms.is_some());
    assert_eq!(simulator.stats().active_streams, 0);
    assert_eq!(ok(&control(simulator.addr(), "GET", "/_sim/healthz", "").await), json!({"status": "ok"}));
    assert_eq!(control(simulator.addr(), "GET", "/_sim/nothing", "").await.status, 404);
}

#[tokio::test]
async fn deployments_are_put_and_removed_over_http() {
    let simulator = simulator().await;
    let body = chat_body("my one", "hi", json!({}));
    assert_eq!(chat(&simulator, &body).await.status, 404);
    let deployment = json!({"model": "gpt-4o-2024-11-20", "kind": "chat", "requests_per_minute": 6}).to_string();
    let reply = control(simulator.addr(), "PUT", "/_sim/deployments/my%20one", &deployment).await;
    assert_eq!(ok(&reply)["name"], "my one");
    assert_eq!([chat(&simulator, &body).await.status, chat(&simulator, &body).await.status], [200, 429]);
    let path = "/openai/deployments/my%20one/chat/completions?api-version=2024-10-21";
    control(simulator.addr(), "PUT", "/_sim/deployments/my%20one", &deployment).await;
    assert_eq!(send(simulator.addr(), post(path, &body)).await.status, 200, "a new one has its quota back");
    let all = ok(&control(simulator.addr(), "GET", "/_sim/deployments", "").await);
    assert!(all.as_array().expect("a list").iter().any(|one| one["name"] == "my one"));
    assert_eq!(control(simulator.addr(), "DELETE", "/_sim/deployments/my%20one", "").await.status, 200);
    assert_eq!(control(simulator.addr(), "DELETE", "/_sim/deployments/my%20one", "").await.status, 404);
    let reply = control(simulator.addr(), "PUT", "/_sim/deployments/x", r#"{"model": "m", "kind": "song"}"#).await;
    assert!(reply.status == 400 && reply.message().contains("`song`"), "{}", reply.text());
}

#[tokio::test]
async fn the_command_lines_way_runs_a_script_until_it_is_told_to_end() {
    let script = Script::parse(r#"[{"fault": "status=503"}]"#).expect("a script");
    let (tell, told) = tokio::sync::oneshot::channel();
    let (end, ended) = tokio::sync::oneshot::channel::<()>();
    let ready = |running: &Running| assert!(tell.send(running.addr()).is_ok());
    let until = async { drop(ended.await) };
    let serving = tokio::spawn(serve(Settings::default(), script, ready, until));
    let address = told.await.expect("it listens");
    assert_eq!(send(address, post(V1_CHAT, &chat_body("gpt-4o", "hi", json!({})))).await.status, 503);
    end.send(()).expect("it runs");
    serving.await.expect("no panic").expect("no error");
    assert!(TcpStream::connect(address).await.is_err());
}
