//! What is installed beside the program fits it: the unit, the dashboard, the alert rules, the packaged configuration.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

fn in_tree(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn read(name: &str) -> String {
    std::fs::read_to_string(in_tree(name)).unwrap()
}

/// Words that begin with `azgate_`.
fn metrics(text: &str) -> BTreeSet<&str> {
    let words = text.split(|character: char| !(character.is_ascii_alphanumeric() || character == '_'));
    words.filter(|word| word.starts_with("azgate_")).collect()
}

/// The names of all metrics: those that stand in `src/telemetry`, the only place that makes any.
fn exported() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut folders = vec![in_tree("src/telemetry")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let source = std::fs::read_to_string(&path).unwrap();
            let product = source.split("#[cfg(test)]").next().unwrap();
            let texts = product.split('"').skip(1).step_by(2);
            names.extend(texts.filter(|text| metrics(text) == BTreeSet::from([*text])).map(str::to_owned));
        }
    }
    names
}

/// A histogram is read by the series that it has.
fn family(name: &str) -> &str {
    ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name)
}

#[test]
fn readme_dashboard_and_alerts_name_metrics_that_exist_and_the_first_two_name_all_of_them() {
    let exported = exported();
    assert!(exported.len() > 20, "{exported:?}");
    for (file, all) in [("README.md", true), ("systemd/grafana.json", true), ("systemd/alerts.yml", false)] {
        let text = read(file);
        let named: BTreeSet<String> = metrics(&text).into_iter().map(|name| family(name).to_owned()).collect();
        let unknown: Vec<_> = named.difference(&exported).collect();
        assert!(unknown.is_empty(), "{file} names {unknown:?}, which do not exist");
        let missing: Vec<_> = exported.difference(&named).collect();
        assert!(!all || missing.is_empty(), "{file} does not name {missing:?}");
    }
}

#[test]
fn the_dashboard_is_a_document_whose_panels_all_ask_something() {
    let dashboard: serde_json::Value = serde_json::from_str(&read("systemd/grafana.json")).unwrap();
    for panel in dashboard["panels"].as_array().unwrap() {
        let targets = panel["targets"].as_array().unwrap();
        assert!(!targets.is_empty() && targets.iter().all(|target| target["expr"].is_string()), "{}", panel["title"]);
    }
}

/// Needs `systemd-analyze`; the machine need not run systemd.
#[test]
fn the_unit_is_hardened_and_says_what_the_program_needs() {
    let unit = in_tree("systemd/azgate.service");
    let analyzed = Command::new("systemd-analyze")
        .args(["security", "--offline=true", "--no-pager", "--threshold=15"])
        .arg(&unit)
        .output()
        .expect("systemd-analyze is installed");
    let said = String::from_utf8_lossy(&analyzed.stdout).into_owned() + &String::from_utf8_lossy(&analyzed.stderr);
    assert!(analyzed.status.success(), "{said}");
    let text = std::fs::read_to_string(unit).unwrap();
    for line in ["Type=notify", "ExecReload=/bin/kill -HUP $MAINPID", "WatchdogSec=30", "DynamicUser=yes"] {
        assert!(text.lines().any(|found| found == line), "{line}");
    }
    assert!(text.contains("LoadCredential=") && text.contains("StateDirectory=azgate"));
}

#[test]
fn the_socket_unit_listens_where_the_program_does_by_default() {
    let unit = read("systemd/azgate.socket");
    let server = azgate::config::file::Server::default();
    for address in server.listen.iter().chain([&server.admin.listen]) {
        assert!(unit.contains(&format!("ListenStream={address}\n")), "{address}");
    }
}

#[test]
fn the_packaged_configuration_is_right_once_key_and_endpoint_are_there() {
    let credentials = tempfile::tempdir().unwrap();
    std::fs::write(credentials.path().join("azure.key"), "key\n").unwrap();
    let check = |endpoint: &[(&str, &str)]| {
        Command::new(env!("CARGO_BIN_EXE_azgate"))
            .args(["check", "--config"])
            .arg(in_tree("packaging/azgate.json"))
            .env("CREDENTIALS_DIRECTORY", credentials.path())
            .env_remove("AZURE_ENDPOINT")
            .envs(endpoint.iter().copied())
            .output()
            .unwrap()
    };
    let checked = check(&[("AZURE_ENDPOINT", "acme")]);
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    let missing = check(&[]);
    assert!(!missing.status.success() && String::from_utf8_lossy(&missing.stderr).contains("AZURE_ENDPOINT"));
}

#[test]
fn the_manual_page_names_every_command_and_signal() {
    let printed = Command::new(env!("CARGO_BIN_EXE_azgate")).arg("man").output().unwrap();
    let page = String::from_utf8(printed.stdout).unwrap();
    for word in ["azgate", "check", "demo", "simulate", "SIGHUP", "SIGUSR2", "SIGTERM"] {
        assert!(page.contains(word), "{word}");
    }
}
