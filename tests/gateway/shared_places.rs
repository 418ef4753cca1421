//! Where the shared counters may lie: behind TLS, and on whichever node of a cluster has their slot.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use serde_json::{Value, json};

use crate::redis::Redis;
use crate::shared_state::{alone, sharing};
use crate::support::*;

fn limits() -> Value {
    json!({"rate_limit": {"requests_per_minute": 3, "concurrent_requests": 2}, "budget": {"total_limit_usd": 50}})
}

/// Two gateways keep one limit together.
async fn share(config: &Value, variables: &[(&str, &str)]) {
    let mut config = config.clone();
    for attempt in 0..20 {
        // Another name has counters of its own.
        config["governance"]["virtual_keys"][0]["name"] = json!(format!("caller-{attempt}"));
        let (one, other) =
            (Gateway::start_with(&config, variables).await, Gateway::start_with(&config, variables).await);
        for gateway in [&one, &other] {
            gateway.until_metric("azgate_shared_state_up", 1.0).await;
        }
        let mut statuses = Vec::new();
        for gateway in [&one, &other, &one, &other] {
            statuses.push(gateway.chat(&chat_body("Hi")).await.status);
        }
        if !alone(&[&one, &other]) {
            return assert_eq!(statuses, [200, 200, 200, 429]);
        }
    }
    panic!("the store never answered within 20 ms");
}

#[tokio::test]
async fn a_store_behind_tls_is_shared_and_one_that_nobody_trusts_is_not_used() {
    let (azure, directory) = (azure().await, tempfile::tempdir().unwrap());
    let file = |name: &str, content: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.display().to_string()
    };
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, "authority of the test");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let (authority_pem, key) = (file("authority.pem", &authority.pem()), KeyPair::generate().unwrap());
    let certificate =
        CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
    let (certificate, key) = (file("certificate.pem", &certificate.pem()), file("key.pem", &key.serialize_pem()));
    let files = ["--tls-cert-file", certificate.as_str(), "--tls-key-file", key.as_str()];
    let mut options = vec!["--port", "0", "--tls-port", "PORT", "--tls-auth-clients", "no"];
    options.extend(files);
    options.extend(["--tls-ca-cert-file", authority_pem.as_str()]);
    let redis = Redis::start_with(&options, &[]).await;
    let mut config = sharing(&azure.base_url(), redis.address, limits());
    config["shared_state"]["url"] = json!(format!("rediss://{}", redis.address));
    share(&config, &[("SSL_CERT_FILE", &authority_pem)]).await;
    let stranger = Gateway::start(&config).await;
    wait_until("the log says so", || stranger.log().contains("the shared state cannot be used")).await;
    assert_eq!(stranger.chat(&chat_body("Hi")).await.status, 200);
    assert_eq!(stranger.metric("azgate_shared_state_up", &[]).await, 0.0);
}

/// A node of a cluster that answers for these slots.
async fn node(epoch: u32, slots: &str) -> (Redis, u16) {
    let bus = free_address().port();
    let text = bus.to_string();
    let options = ["--port", "PORT", "--cluster-enabled", "yes", "--cluster-port", text.as_str()];
    let redis = Redis::start_with(&options, &[]).await;
    assert_eq!(redis.command(&format!("CLUSTER SET-CONFIG-EPOCH {epoch}")).await, "+OK\r\n");
    assert_eq!(redis.command(&format!("CLUSTER ADDSLOTSRANGE {slots}")).await, "+OK\r\n");
    (redis, bus)
}

#[tokio::test]
async fn in_a_cluster_the_node_with_the_counters_is_found_from_any_other() {
    let azure = azure().await;
    let ((one, _), (other, bus)) = (node(1, "0 8191").await, node(2, "8192 16383").await);
    let port = other.address.port();
    assert_eq!(one.command(&format!("CLUSTER MEET 127.0.0.1 {port} {bus}")).await, "+OK\r\n");
    for node in [&one, &other] {
        node.until_answer("CLUSTER INFO", "cluster_state:ok").await;
    }
    for node in [&one, &other] {
        let config = sharing(&azure.base_url(), node.address, limits());
        share(&config, &[]).await;
        // The next gateways begin with fresh counters.
        for node in [&one, &other] {
            node.command("FLUSHALL").await;
        }
    }
}
