//! The commands: results on standard output, words for humans on standard error, exit codes 0, 1 and 2.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::support::*;

fn azgate(arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_azgate"))
        .args(arguments)
        .env_remove("AZGATE_CONFIG")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn usage_errors_end_with_2_and_version_names_the_revision() {
    for arguments in [&["nonsense"][..], &[], &["run", "--no-such"], &["key"]] {
        assert_eq!(azgate(arguments, "").status.code(), Some(2), "{arguments:?}");
    }
    let version = azgate(&["--version"], "");
    assert!(version.status.success());
    let shown = text(&version.stdout);
    assert!(shown.starts_with("azgate ") && shown.contains('('), "{shown}");
}

#[test]
fn a_new_key_and_its_hash_belong_together() {
    let made = azgate(&["key", "new", "--json"], "");
    let made: Value = serde_json::from_slice(&made.stdout).unwrap();
    let key = made["key"].as_str().unwrap();
    assert!(key.starts_with("azg-") && key.len() == 47, "{key}");
    let hashed = azgate(&["key", "hash"], &format!("{key}\n"));
    assert_eq!(text(&hashed.stdout).trim(), made["key_hash"].as_str().unwrap());
    assert_ne!(azgate(&["key", "new"], "").stdout, azgate(&["key", "new"], "").stdout);
    assert_eq!(azgate(&["key", "hash"], "\n").status.code(), Some(1));
}

#[test]
fn check_shows_what_a_file_means_or_everything_that_is_wrong() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("c.json");
    let shown = path.to_str().unwrap();
    std::fs::write(&path, config("http://127.0.0.1:9").to_string()).unwrap();
    let good = azgate(&["check", "--config", shown], "");
    assert!(good.status.success(), "{}", text(&good.stderr));
    let table = text(&good.stdout);
    assert!(
        table.contains("azure/east") && table.contains("gpt-4o = chat-east") && table.contains("tester"),
        "{table}"
    );
    let json: Value = serde_json::from_slice(&azgate(&["check", "--json", "--config", shown], "").stdout).unwrap();
    assert_eq!((json["ok"].as_bool(), json["summary"]["keys"][0]["name"].as_str()), (Some(true), Some("east")));

    std::fs::write(&path, "{\n  \"provider\": {},\n  \"server\": {\"listen\": [\"nowhere\"]}\n}\n").unwrap();
    let bad = azgate(&["check", "--config", shown], "");
    assert_eq!((bad.status.code(), bad.stdout.len()), (Some(1), 0));
    let problems = text(&bad.stderr);
    assert!(problems.contains(&format!("{shown}:2:3: provider")) && problems.contains("`providers`"), "{problems}");
    assert!(problems.contains(&format!("{shown}:3:")) && problems.contains("server.listen[0]"), "{problems}");
    let run = azgate(&["run", "--config", shown], "");
    assert_eq!((run.status.code(), text(&run.stderr)), (Some(1), problems), "run says the same");
    let missing = azgate(&["check", "--config", "/no/such/file.json"], "");
    assert_eq!(missing.status.code(), Some(1));
    assert!(text(&missing.stderr).contains("/no/such/file.json"));
}

#[test]
fn an_address_in_use_is_said_at_once() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("c.json");
    std::fs::write(&path, config("http://127.0.0.1:9").to_string()).unwrap();
    let begun = std::time::Instant::now();
    let run = azgate(&["run", "--config", path.to_str().unwrap(), "--listen", &address], "");
    assert_eq!(run.status.code(), Some(1));
    assert!(text(&run.stderr).contains(&format!("cannot listen on {address}")), "{}", text(&run.stderr));
    assert!(begun.elapsed().as_secs() < 3);
}

#[test]
fn schema_and_completions_are_printed() {
    let schema: Value = serde_json::from_slice(&azgate(&["schema"], "").stdout).unwrap();
    assert!(schema["properties"]["providers"].is_object());
    for shell in ["bash", "zsh", "fish"] {
        assert!(text(&azgate(&["completions", shell], "").stdout).contains("azgate"), "{shell}");
    }
}

/// The first command of the README, and each `curl` line that it prints.
#[tokio::test]
async fn the_demo_prints_lines_that_work() {
    let listen = free_address();
    let directory = tempfile::tempdir().unwrap();
    let said = directory.path().join("said");
    let mut child = Command::new(env!("CARGO_BIN_EXE_azgate"))
        .args(["demo", "--listen", &listen.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(&said).unwrap())
        .spawn()
        .unwrap();
    until_listening(listen).await;
    let words = std::fs::read_to_string(&said).unwrap();
    let script: Vec<&str> =
        words.lines().map(str::trim).filter(|line| line.starts_with("export ") || line.starts_with("curl ")).collect();
    assert_eq!(script.len(), 5, "{words}");
    let expected = ["chat.completion", "[DONE]", "\"embedding\"", "\"object\":\"list\""];
    for (line, expected) in script[1..].iter().zip(expected) {
        let silent = line.replacen("curl ", "curl -sS ", 1);
        let ran = Command::new("sh").args(["-c", &format!("{}\n{silent}", script[0])]).output().unwrap();
        assert!(text(&ran.stdout).contains(expected), "{line}\n{}{}", text(&ran.stdout), text(&ran.stderr));
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn check_online_shows_the_step_that_fails() {
    let azure = azure_with(azgate::simulator::Settings { tls: true, ..Default::default() }).await;
    let plain = crate::support::azure().await;
    let closed = format!("http://{}", free_address());
    let mut config = config(&plain.base_url());
    let keys = config["providers"]["azure"]["keys"].as_array_mut().unwrap();
    for (name, endpoint, value) in [
        ("good", plain.base_url(), "sim-key"),
        ("wrong-key", plain.base_url(), "wrong"),
        ("closed", closed, "sim-key"),
        ("unknown-name", "https://no-such-resource.invalid".to_owned(), "sim-key"),
        ("untrusted", azure.base_url(), "sim-key"),
    ] {
        let mut key = key(name, &endpoint);
        key["value"] = value.into();
        keys.push(key);
    }
    keys.remove(0);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("c.json");
    std::fs::write(&path, config.to_string()).unwrap();
    let ran = azgate(&["check", "--online", "--json", "--config", path.to_str().unwrap()], "");
    assert_eq!(ran.status.code(), Some(1));
    let shown: Value = serde_json::from_slice(&ran.stdout).unwrap();
    let failed: Vec<_> = shown["online"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| {
            let step = key["steps"].as_array().unwrap().iter().find(|step| step["ok"] == false);
            (key["key"].as_str().unwrap(), step.map_or("", |step| step["step"].as_str().unwrap()))
        })
        .collect();
    let expected = [
        ("azure/good", ""),
        ("azure/wrong-key", "models"),
        ("azure/closed", "connect"),
        ("azure/unknown-name", "resolve"),
        ("azure/untrusted", "tls"),
    ];
    assert_eq!(failed, expected, "{shown:#}");
    let text = text(&azgate(&["check", "--online", "--config", path.to_str().unwrap()], "").stdout);
    assert!(text.contains("the credential is accepted") && text.contains("Access denied"), "{text}");
}

/// `conf/azgate.json` as it stands, with the two variables of the README.
#[tokio::test]
async fn the_full_sample_serves_with_two_variables() {
    for sample in ["azgate.json", "minimal.json"] {
        let azure = azure().await;
        let (listen, admin) = (free_address(), free_address());
        let mut child = Command::new(env!("CARGO_BIN_EXE_azgate"))
            .args(["run", "--config"])
            .arg(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("conf").join(sample))
            .args(["--listen", &listen.to_string(), "--admin-listen", &admin.to_string()])
            .envs([("AZURE_ENDPOINT", azure.base_url().as_str()), ("AZURE_API_KEY", "sim-key")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        until_listening(listen).await;
        let ask = |path: &'static str, body: Value| async move {
            send(listen, http::Method::POST, path, &[("api-key", "sim-key")], body.to_string()).await
        };
        assert_eq!(ask("/v1/chat/completions", chat_body("Hi")).await.status, 200, "{sample}");
        let stream = ask("/v1/chat/completions", stream_body("Hi")).await;
        assert!(stream.text().ends_with("data: [DONE]\n\n"), "{sample}");
        let embedding = serde_json::json!({"model": "text-embedding-3-small", "input": "Hi"});
        assert_eq!(ask("/v1/embeddings", embedding).await.status, 200, "{sample}");
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
