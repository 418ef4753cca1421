//! TLS towards callers, with a certificate that a reload replaces.

use std::process::Command;

use serde_json::json;

use crate::support::*;

struct Pair {
    certificate: String,
    key: String,
}

fn pair() -> Pair {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    Pair { certificate: made.cert.pem(), key: made.signing_key.serialize_pem() }
}

/// Asks for `/healthz` with curl, which trusts one certificate; returns what it printed and whether it was content.
fn ask(gateway: &Gateway, trusted: &str, arguments: &[&str]) -> (bool, String) {
    let directory = tempfile::tempdir().unwrap();
    let authority = directory.path().join("ca.pem");
    std::fs::write(&authority, trusted).unwrap();
    let port = gateway.address.port();
    let asked = Command::new("curl")
        .args([
            "-sS",
            "-m",
            "5",
            "-w",
            " http=%{http_version}",
            "--noproxy",
            "*",
            "--resolve",
            &format!("localhost:{port}:127.0.0.1"),
        ])
        .arg("--cacert")
        .arg(&authority)
        .args(arguments)
        .arg(format!("https://localhost:{port}/healthz"))
        .output()
        .unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&asked.stdout), String::from_utf8_lossy(&asked.stderr));
    (asked.status.success(), said)
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_are_served_over_tls_and_a_reload_brings_the_new_certificate() {
    let azure = azure().await;
    let (first, second) = (pair(), pair());
    let mut config = config(&azure.base_url());
    config["server"]["tls"] = json!({"certificate": first.certificate, "private_key": first.key});
    let gateway = Gateway::start(&config).await;
    for (version, shown) in [("--http1.1", "http=1.1"), ("--http2", "http=2")] {
        let (good, said) = ask(&gateway, &first.certificate, &[version]);
        assert!(good && said.contains("\"ok\"") && said.contains(shown), "{said}");
    }
    assert!(!ask(&gateway, &second.certificate, &[]).0, "another authority does not vouch for it");
    config["server"]["tls"] = json!({"certificate": second.certificate, "private_key": second.key});
    gateway.reload(&config);
    gateway.until_metric("azgate_config_generation", 2.0).await;
    let (good, said) = ask(&gateway, &second.certificate, &[]);
    assert!(good, "{said}");
    config["server"]["tls"] = json!({"certificate": second.certificate, "private_key": first.key});
    gateway.reload(&config);
    wait_until("the refusal is logged", || gateway.log().contains("does not belong to the certificate")).await;
    assert!(ask(&gateway, &second.certificate, &[]).0, "the pair in force stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_without_a_certificate_are_turned_away_where_one_is_asked_for() {
    let azure = azure().await;
    let (server, authority) = (pair(), pair());
    let mut config = config(&azure.base_url());
    config["server"]["tls"] =
        json!({"certificate": server.certificate, "private_key": server.key, "client_ca": authority.certificate});
    let gateway = Gateway::start(&config).await;
    let (good, said) = ask(&gateway, &server.certificate, &[]);
    assert!(!good, "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_without_a_place_are_told_so_by_an_alert() {
    let azure = azure().await;
    let pair = pair();
    let mut config = config(&azure.base_url());
    config["server"]["tls"] = json!({"certificate": pair.certificate, "private_key": pair.key});
    config["server"]["max_connections"] = json!(1);
    let gateway = Gateway::start(&config).await;
    // A place is taken by whoever connects, shaken hands or not.
    gateway.until_metric("azgate_connections_active", 0.0).await;
    let seat = tokio::net::TcpStream::connect(gateway.address).await.unwrap();
    gateway.until_metric("azgate_connections_active", 1.0).await;
    let (good, said) = ask(&gateway, &pair.certificate, &[]);
    assert!(!good && said.contains("alert internal error"), "{said}");
    assert_eq!(gateway.metric("azgate_connections_refused_total", &["limit=\"all\""]).await, 1.0);
    drop(seat);
    gateway.until_metric("azgate_connections_active", 0.0).await;
    assert!(ask(&gateway, &pair.certificate, &[]).0);
}
