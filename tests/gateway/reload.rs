//! SIGHUP: the whole new configuration or the whole old one, and nothing lost meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde_json::json;

use crate::support::*;

/// 200 reloads between two configurations, under requests on new and kept connections and with live streams.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_reloads_under_traffic_lose_nothing() {
    let azure = azure().await;
    let mut a = config(&azure.base_url());
    let mut b = config(&azure.base_url());
    // What belongs together must never be seen apart: the key's name and the deployment of its alias.
    for (config, name, deployment) in [(&mut a, "key-a", "gpt-4o"), (&mut b, "key-b", "gpt-4o-mini")] {
        let key = &mut config["providers"]["azure"]["keys"][0];
        key["name"] = json!(name);
        key["aliases"] = json!({"gpt-4o": deployment});
    }
    let gateway = Arc::new(Gateway::start(&a).await);
    let (over, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut tasks = Vec::new();
    for _ in 0..4 {
        let (gateway, over, asked) = (Arc::clone(&gateway), Arc::clone(&over), Arc::clone(&asked));
        tasks.push(tokio::spawn(async move {
            while !over.load(Ordering::Relaxed) {
                let answer = gateway.chat(&chat_body("Hi")).await;
                assert_eq!(answer.status, 200, "{}", answer.text());
                let pair = (answer.header("x-azgate-key").to_owned(), answer.header("x-azgate-deployment").to_owned());
                assert!(
                    pair == ("key-a".into(), "gpt-4o".into()) || pair == ("key-b".into(), "gpt-4o-mini".into()),
                    "{pair:?}"
                );
                asked.fetch_add(1, Ordering::Relaxed);
            }
        }));
    }
    for _ in 0..20 {
        let (gateway, over) = (Arc::clone(&gateway), Arc::clone(&over));
        tasks.push(tokio::spawn(async move {
            while !over.load(Ordering::Relaxed) {
                let interval = [("x-sim-event-interval-ms", "20")];
                let answer =
                    gateway.post("/v1/chat/completions", &interval, stream_body(&"word ".repeat(40)).to_string()).await;
                assert!(answer.complete && answer.text().ends_with("data: [DONE]\n\n"), "{}", answer.text());
            }
        }));
    }
    for round in 0..200u32 {
        gateway.reload(if round % 2 == 0 { &b } else { &a });
        let wanted = f64::from(round + 2);
        gateway.until_metric("azgate_config_generation", wanted).await;
    }
    over.store(true, Ordering::Relaxed);
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(gateway.metric("azgate_config_generation", &[]).await, 201.0);
    assert!(asked.load(Ordering::Relaxed) > 400, "{} requests", asked.load(Ordering::Relaxed));
    gateway.until_metric("azgate_requests_active", 0.0).await;
}

#[tokio::test]
async fn a_broken_file_changes_nothing_and_says_where_it_is_broken() {
    let azure = azure().await;
    let good = config(&azure.base_url());
    let gateway = Gateway::start(&good).await;
    let mut typo = good.clone();
    typo["client"]["enforce_auth_on_inferense"] = json!(false);
    for (text, says) in [
        ("{", "this object is never closed"),
        (typo.to_string().as_str(), "client.enforce_auth_on_inferense"),
        ("", ":1:1: "),
    ] {
        gateway.reload_text(text);
        wait_until("the refusal is logged", || gateway.log().contains(says)).await;
        assert_eq!(gateway.chat(&chat_body("Hi")).await.status, 200);
        assert_eq!(gateway.metric("azgate_config_reload_success", &[]).await, 0.0);
        assert_eq!(gateway.metric("azgate_config_generation", &[]).await, 1.0);
    }
    gateway.reload(&good);
    gateway.until_metric("azgate_config_reload_success", 1.0).await;
    assert_eq!(gateway.metric("azgate_config_generation", &[]).await, 2.0);
}

#[tokio::test]
async fn a_removed_key_is_refused_at_once_and_its_running_stream_ends_well() {
    let azure = azure().await;
    let mut config = config(&azure.base_url());
    let gateway = Gateway::start(&config).await;
    let interval = [("x-sim-event-interval-ms", "30")];
    let body = stream_body(&"word ".repeat(30)).to_string();
    let streaming = gateway.post("/v1/chat/completions", &interval, body);
    let removing = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        config["governance"]["virtual_keys"] = json!([{"name": "other", "value": "other"}]);
        gateway.reload(&config);
        gateway.until_metric("azgate_config_generation", 2.0).await;
        gateway.chat(&chat_body("Hi")).await.status
    };
    let (stream, refused) = tokio::join!(streaming, removing);
    assert_eq!(refused, 401);
    assert!(stream.text().ends_with("data: [DONE]\n\n"), "{}", stream.text());
}

#[tokio::test]
async fn what_needs_a_restart_is_said_and_the_rest_applies() {
    let azure = azure().await;
    let mut config = config(&azure.base_url());
    let gateway = Gateway::start(&config).await;
    config["server"]["worker_threads"] = json!(7);
    config["client"]["routing_headers"] = json!(false);
    gateway.reload(&config);
    gateway.until_metric("azgate_config_generation", 2.0).await;
    wait_until("it is said", || gateway.log().contains("`server.worker_threads` has changed")).await;
    assert_eq!(gateway.chat(&chat_body("Hi")).await.header("x-azgate-key"), "");
}

#[tokio::test]
async fn traps_66_a_hangup_at_any_moment_of_the_start_is_harmless() {
    let azure = azure().await;
    let config = config(&azure.base_url());
    for pause in [0u64, 1, 2, 3, 5, 8, 13, 20, 30] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("azgate.json");
        let mut config = config.clone();
        let (address, admin) = (free_address(), free_address());
        config["server"]["listen"] = json!([address.to_string()]);
        config["server"]["admin"]["listen"] = json!(admin.to_string());
        std::fs::write(&path, config.to_string()).unwrap();
        let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_azgate"))
            .args(["run", "--config"])
            .arg(&path)
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        // From the first instruction of `main` on; before it, the loader's time is the kernel's default.
        until_caught(child.id());
        for _ in 0..5 {
            assert!(
                std::process::Command::new("kill")
                    .args(["-s", "HUP", &child.id().to_string()])
                    .status()
                    .unwrap()
                    .success()
            );
            std::thread::sleep(Duration::from_millis(pause));
        }
        let mut ready = false;
        for _ in 0..400 {
            assert!(child.try_wait().unwrap().is_none(), "died of a hang-up {pause} ms apart");
            if tokio::net::TcpStream::connect(admin).await.is_ok() && get(admin, "/readyz").await.status == 200 {
                ready = true;
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(ready, "{pause}");
    }
}

/// From the first moment until half a second after the gateway is ready: it serves all the while, and the configuration that
/// stands in the file at the end is the one in force.
#[tokio::test]
async fn a_storm_of_hangups_that_begins_before_the_start_has_ended_is_weathered() {
    let azure = azure().await;
    let mut config = config(&azure.base_url());
    let mut gateway = Gateway::spawn(&config, &[]);
    let pid = gateway.pid();
    until_caught(pid);
    let (over, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let (stop, count) = (Arc::clone(&over), Arc::clone(&sent));
    let storm = std::thread::spawn(move || {
        let process = nix::unistd::Pid::from_raw(pid.cast_signed());
        while !stop.load(Ordering::Relaxed) {
            nix::sys::signal::kill(process, nix::sys::signal::Signal::SIGHUP).unwrap();
            count.fetch_add(1, Ordering::Relaxed);
            std::thread::sleep(Duration::from_micros(300));
        }
    });
    until_listening(gateway.address).await;
    gateway.until_ready().await;
    let begun = std::time::Instant::now();
    while begun.elapsed() < Duration::from_millis(500) {
        assert_eq!(gateway.chat(&chat_body("Hi")).await.status, 200);
    }
    over.store(true, Ordering::Relaxed);
    storm.join().unwrap();
    assert!(sent.load(Ordering::Relaxed) > 500, "{} hang-ups", sent.load(Ordering::Relaxed));
    config["client"]["routing_headers"] = json!(false);
    gateway.reload(&config);
    let begun = std::time::Instant::now();
    while !gateway.chat(&chat_body("Hi")).await.header("x-azgate-key").is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(10), "the last configuration is not in force");
    }
    gateway.signal("TERM");
    assert!(gateway.ended().await.success());
}

/// Waits until the process catches SIGHUP (bit 0 of the mask in `/proc`).
fn until_caught(pid: u32) {
    loop {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:\t")).unwrap_or("0");
        if u64::from_str_radix(mask, 16).unwrap_or(0) & 1 == 1 {
            return;
        }
    }
}

#[tokio::test]
async fn sigterm_lets_streams_finish_and_an_idle_gateway_ends_at_once() {
    let azure = azure().await;
    let mut idle = Gateway::start(&config(&azure.base_url())).await;
    let begun = std::time::Instant::now();
    idle.signal("TERM");
    assert!(idle.ended().await.success());
    assert!(begun.elapsed() < Duration::from_millis(1500), "{:?}", begun.elapsed());

    let mut busy = Gateway::start(&config(&azure.base_url())).await;
    let address = busy.address;
    let authorization = format!("Bearer {KEY}");
    let streaming = tokio::spawn(async move {
        let headers = [("authorization", authorization.as_str()), ("x-sim-event-interval-ms", "40")];
        collect(open(address, "/v1/chat/completions", &headers, stream_body(&"word ".repeat(40)).to_string()).await)
            .await
    });
    wait_until("the stream runs", || azure.recorded().last().is_some_and(|seen| seen.events_sent > 3)).await;
    busy.signal("TERM");
    let answer = streaming.await.unwrap();
    assert!(answer.text().ends_with("data: [DONE]\n\n"), "{}", answer.text());
    assert!(busy.ended().await.success());
}
