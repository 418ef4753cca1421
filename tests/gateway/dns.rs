//! Names of upstreams: looked up once for all, renewed in the background, served from memory while name servers fail
//! (U35), and never a way to reach what a caller may not.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use azgate::simulator::{Running, Settings};
use http::Method;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::name_server::{Manner, NameServer};
use crate::support::*;

/// The limit on connecting in these tests; whatever takes longer than it has waited for a name server.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

fn local(last: u8) -> IpAddr {
    [127, 0, 0, last].into()
}

/// A configuration whose one key leads to `port` at a name, asked for at `server`.
fn named(port: u16, server: &NameServer) -> Value {
    let mut config = config(&format!("https://azure.test:{port}"));
    config["server"]["dns"] = json!({"servers": [server.address.to_string()]});
    config["providers"]["azure"]["network_config"] =
        json!({"insecure_skip_verify": true, "connect_timeout_in_seconds": CONNECT_LIMIT.as_secs(), "max_retries": 0});
    config["providers"]["azure"]["circuit_breaker"] = json!({"consecutive_failures": 0, "min_requests": 1000});
    config
}

async fn encrypted(listen: SocketAddr) -> Running {
    azure_at(Settings { listen, tls: true, ..Settings::default() }).await
}

async fn ask(gateway: &Gateway) -> Answer {
    gateway.chat(&chat_body("Hi")).await
}

#[tokio::test]
async fn u35_the_last_good_answer_serves_while_name_servers_fail_in_every_way() {
    let azure = encrypted("127.0.0.1:0".parse().unwrap()).await;
    let port = azure.addr().port();
    let late = Manner::Late(Duration::from_secs(10), vec![HERE], 1);
    let manners = [Manner::NoSuchName, Manner::ServerFailure, Manner::Silence, late];
    futures_util::future::join_all(manners.map(|manner| goes_on_while(port, manner))).await;
}

async fn goes_on_while(port: u16, manner: Manner) {
    let server = NameServer::start(Manner::Addresses(vec![HERE], 1)).await;
    let gateway = Gateway::start(&named(port, &server)).await;
    assert_eq!(ask(&gateway).await.status, 200);
    server.answers(manner.clone());
    let (asked, begun) = (server.asked(), Instant::now());
    // Past the answer's time, and until it has been asked for in vain.
    while begun.elapsed() < Duration::from_millis(1_500) || server.asked() == asked {
        let sent = Instant::now();
        assert_eq!(ask(&gateway).await.status, 200, "{manner:?}");
        assert!(sent.elapsed() < CONNECT_LIMIT, "{manner:?}: {:?}", sent.elapsed());
        assert!(begun.elapsed() < Duration::from_secs(20), "{manner:?}: nobody asks any more");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    if matches!(manner, Manner::Silence | Manner::Late(..)) {
        return;
    }
    let told = "its last addresses stay in use";
    wait_until("the failure is told", || gateway.log().contains(told)).await;
    let asked = server.asked();
    while server.asked() == asked {
        assert_eq!(ask(&gateway).await.status, 200, "{manner:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    server.answers(Manner::Addresses(vec![HERE], 60));
    while !gateway.log().contains("can be looked up again") {
        assert_eq!(ask(&gateway).await.status, 200, "{manner:?}");
        assert!(begun.elapsed() < Duration::from_secs(40), "{manner:?}: the name does not come back");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(gateway.log().matches(told).count(), 1, "{manner:?}: told once");
}

#[tokio::test]
async fn u35_an_answer_that_comes_late_is_used_by_those_who_come_later() {
    let azure = encrypted("127.0.0.1:0".parse().unwrap()).await;
    let server = NameServer::start(Manner::Late(Duration::from_millis(1_600), vec![HERE], 60)).await;
    let mut config = named(azure.addr().port(), &server);
    config["providers"]["azure"]["network_config"]["connect_timeout_in_seconds"] = json!(1);
    let gateway = Gateway::start(&config).await;
    let early = ask(&gateway).await;
    assert_eq!((early.status, early.code().as_str()), (502, "upstream_unreachable"));
    assert!(early.text().contains("its name could not be resolved"), "{}", early.text());
    let line = &gateway.request_lines(1).await[0];
    let cause = line["cause"].as_str().unwrap();
    assert!(cause.contains("azure.test") && cause.contains("no answer from a name server within 1s"), "{cause}");
    tokio::time::sleep(Duration::from_millis(800)).await;
    assert_eq!(ask(&gateway).await.status, 200);
}

#[tokio::test]
async fn u35_a_name_that_cannot_be_found_fails_fast_and_says_which_and_why() {
    for (manner, why) in [
        (Manner::NoSuchName, "NXDOMAIN"),
        (Manner::ServerFailure, "the name server failed"),
        (Manner::Addresses(vec![], 1), "the name has no address"),
    ] {
        let server = NameServer::start(manner.clone()).await;
        let gateway = Gateway::start(&named(443, &server)).await;
        let begun = Instant::now();
        for _ in 0..5 {
            let answer = ask(&gateway).await;
            assert_eq!((answer.status, answer.code().as_str()), (502, "upstream_unreachable"), "{manner:?}");
        }
        assert!(begun.elapsed() < CONNECT_LIMIT, "{manner:?}: {:?}", begun.elapsed());
        let line = &gateway.request_lines(5).await[0];
        let cause = line["cause"].as_str().unwrap();
        assert!(cause.contains("`azure.test`") && cause.contains(why), "{cause}");
        assert_eq!(line["attempts"][0]["outcome"], "unresolvable");
        assert!(server.asked() <= 4, "{manner:?}: asked {} times by five requests", server.asked());
    }
}

#[tokio::test]
async fn requests_that_need_a_name_at_once_ask_for_it_together() {
    let azure = encrypted("127.0.0.1:0".parse().unwrap()).await;
    // Shorter than what makes the gateway send a question again.
    let server = NameServer::start(Manner::Late(Duration::from_millis(200), vec![HERE], 60)).await;
    let gateway = Gateway::start(&named(azure.addr().port(), &server)).await;
    let body = chat_body("Hi");
    let answers = futures_util::future::join_all((0..20).map(|_| gateway.chat(&body))).await;
    assert!(answers.iter().all(|answer| answer.status == 200));
    assert_eq!(server.asked(), 1);
}

#[tokio::test]
async fn u35_an_address_that_changes_is_picked_up_and_nobody_notices() {
    let first = encrypted("127.0.0.1:0".parse().unwrap()).await;
    let port = first.addr().port();
    let second = encrypted((local(2), port).into()).await;
    let server = NameServer::start(Manner::Addresses(vec![HERE], 1)).await;
    let gateway = Gateway::start(&named(port, &server)).await;
    assert_eq!(ask(&gateway).await.status, 200);
    server.answers(Manner::Addresses(vec![local(2)], 1));
    let begun = Instant::now();
    while second.recorded().is_empty() {
        assert_eq!(ask(&gateway).await.status, 200);
        assert!(begun.elapsed() < Duration::from_secs(15), "the new address is not used");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let seen = first.recorded().len();
    for _ in 0..5 {
        assert_eq!(ask(&gateway).await.status, 200);
    }
    assert_eq!(first.recorded().len(), seen, "the old address is left alone");
}

/// A port at which connecting never ends: nobody accepts, and the queue of those who wait is full.
async fn black_hole(port: u16) -> Vec<std::net::TcpStream> {
    let address = SocketAddr::from((local(3), port));
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&address.into()).unwrap();
    socket.listen(0).unwrap();
    let mut held = vec![std::net::TcpStream::from(socket)];
    let wait = Duration::from_millis(100);
    while let Ok(stream) = std::net::TcpStream::connect_timeout(&address, wait) {
        held.push(stream);
    }
    held
}

#[tokio::test]
async fn one_dead_address_among_several_costs_little_and_the_one_that_worked_comes_first() {
    let azure = encrypted("127.0.0.1:0".parse().unwrap()).await;
    let port = azure.addr().port();
    let _held = black_hole(port).await;
    // The first is dead, the second has nobody listening.
    let server = NameServer::start(Manner::Addresses(vec![local(3), local(4), HERE], 60)).await;
    let mut config = named(port, &server);
    config["providers"]["azure"]["network_config"]["connect_timeout_in_seconds"] = json!(20);
    let gateway = Gateway::start(&config).await;
    let begun = Instant::now();
    assert_eq!(ask(&gateway).await.status, 200);
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    assert_eq!(
        gateway.request_lines(1).await[0]["attempts"].as_array().unwrap().len(),
        1,
        "one attempt, as seen by the key"
    );
}

#[tokio::test]
async fn a_long_answer_is_asked_for_again_over_tcp() {
    let azure = encrypted("127.0.0.1:0".parse().unwrap()).await;
    let server = NameServer::start(Manner::TooLong(vec![HERE], 60)).await;
    let gateway = Gateway::start(&named(azure.addr().port(), &server)).await;
    assert_eq!(ask(&gateway).await.status, 200);
}

#[tokio::test]
async fn a_second_name_server_steps_in_for_a_silent_one_and_a_reload_changes_them() {
    let azure = encrypted("127.0.0.1:0".parse().unwrap()).await;
    let silent = NameServer::start(Manner::Silence).await;
    let good = NameServer::start(Manner::Addresses(vec![HERE], 300)).await;
    let mut config = named(azure.addr().port(), &silent);
    config["server"]["dns"]["servers"] = json!([silent.address.to_string(), good.address.to_string()]);
    let gateway = Gateway::start(&config).await;
    let begun = Instant::now();
    assert_eq!(ask(&gateway).await.status, 200);
    assert!(begun.elapsed() < CONNECT_LIMIT);
    let other = NameServer::start(Manner::Addresses(vec![HERE], 300)).await;
    config["server"]["dns"]["servers"] = json!([other.address.to_string()]);
    gateway.reload(&config);
    gateway.until_metric("azgate_config_generation", 2.0).await;
    assert_eq!(ask(&gateway).await.status, 200);
    wait_until("the new name server is asked", || other.asked() > 0).await;
}

#[tokio::test]
async fn localhost_needs_no_name_server() {
    let azure = encrypted("127.0.0.1:0".parse().unwrap()).await;
    let server = NameServer::start(Manner::NoSuchName).await;
    let mut config = named(azure.addr().port(), &server);
    config["providers"]["azure"]["keys"][0]["azure_key_config"]["endpoint"] =
        json!(format!("https://localhost:{}", azure.addr().port()));
    config["providers"]["azure"]["network_config"] = json!({"ca_cert_pem": azure.certificate_pem().unwrap()});
    let gateway = Gateway::start(&config).await;
    assert_eq!(ask(&gateway).await.status, 200);
    assert_eq!(server.asked(), 0);
}

#[tokio::test]
async fn x1_a_callers_name_that_turns_to_this_machine_gets_nowhere() {
    let canary = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let port = canary.local_addr().unwrap().port();
    // A private address is within reach; nobody answers there.
    let server = NameServer::start(Manner::Addresses(vec![[10, 255, 255, 1].into()], 1)).await;
    let mut config = named(443, &server);
    config["client"]["allow_direct_keys"] = json!(true);
    config["client"]["direct_endpoints"] = json!([format!("https://rebind.test:{port}")]);
    let gateway = Gateway::start(&config).await;
    let endpoint = format!("https://rebind.test:{port}");
    let headers = [("api-key", "their-key"), ("x-azgate-azure-endpoint", endpoint.as_str())];
    let body = chat_body("Hi").to_string();
    let ask = || send(gateway.address, Method::POST, "/v1/chat/completions", &headers, body.clone());
    let _ = tokio::time::timeout(Duration::from_millis(500), ask()).await;
    assert!(server.asked() > 0, "the name was looked up");
    for ips in [vec![HERE], vec![[20, 42, 1, 1].into(), HERE], vec![[169, 254, 169, 254].into()]] {
        server.answers(Manner::Addresses(ips, 1));
        let begun = Instant::now();
        loop {
            let asked = tokio::time::timeout(Duration::from_millis(500), ask()).await;
            if let Ok(answer) = asked
                && answer.status == 403
            {
                assert_eq!(answer.code(), "endpoint_not_allowed");
                break;
            }
            assert!(begun.elapsed() < Duration::from_secs(15), "the change is not noticed");
        }
        // The next one in the list is another answer, not the first failure remembered.
        tokio::time::sleep(Duration::from_millis(900)).await;
    }
    let touched = tokio::time::timeout(Duration::from_millis(50), canary.accept()).await;
    assert!(touched.is_err(), "somebody connected");
}
