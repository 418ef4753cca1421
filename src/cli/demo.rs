//! `azgate demo`: from a fresh checkout to a working gateway with one command.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc;

use serde_json::json;

use super::{Failed, key, say};
use crate::config;
use crate::server::{self, EarlySignals, Source, Start};
use crate::simulator::{self, Settings};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Where the gateway listens; its operators' listener takes the next port.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
}

pub(super) fn run(arguments: &Arguments, early: Arc<EarlySignals>) -> Result<(), Failed> {
    let mut admin = arguments.listen;
    admin.set_port(
        arguments.listen.port().checked_add(1).ok_or_else(|| Failed("the port must be below 65535".to_owned()))?,
    );
    let azure = simulated_azure()?;
    let key = key::generate()?;
    let text = configuration(arguments.listen, admin, &azure, &key);
    let loaded = config::parse(&text, "the demo's configuration", &config::Process)
        .map_err(|problems| Failed(problems.to_string()))?;
    say(&welcome(arguments.listen, admin, &key));
    let start = Start { source: Source::Text(text), listen: None, admin_listen: None, early };
    match server::run(&start, loaded) {
        Err(error) => Err(Failed(format!("{error}; choose another address with `azgate demo --listen ADDR`"))),
    }
}

/// Starts the simulated Azure on a thread of its own and returns its address.
fn simulated_azure() -> Result<String, Failed> {
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => return drop(tell.send(Err(error))),
        };
        runtime.block_on(async {
            let listen = SocketAddr::from(([127, 0, 0, 1], 0));
            match simulator::start(Settings { listen, ..Settings::default() }).await {
                Ok(running) => {
                    drop(tell.send(Ok(running.base_url())));
                    std::future::pending::<()>().await;
                }
                Err(error) => drop(tell.send(Err(error))),
            }
        });
    });
    let started = told.recv().map_err(|error| Failed(error.to_string()))?;
    started.map_err(|error| Failed(format!("the simulated Azure did not start: {error}")))
}

fn configuration(listen: SocketAddr, admin: SocketAddr, azure: &str, key: &str) -> String {
    let provider_key = |name: &str, weight: u32, version: &str| {
        json!({
            "name": name, "value": "sim-key", "models": ["*"], "weight": weight,
            "aliases": {"chat": "gpt-4o", "embed": "text-embedding-3-small"},
            "azure_key_config": {"endpoint": azure, "api_version": version},
        })
    };
    json!({
        "server": {"listen": [listen.to_string()], "admin": {"listen": admin.to_string()}},
        "providers": {"azure": {"keys": [provider_key("sim-east", 3, "2024-10-21"), provider_key("sim-west", 1, "v1")]}},
        "governance": {"virtual_keys": [{"name": "demo", "value": key}]},
    })
    .to_string()
}

fn welcome(listen: SocketAddr, admin: SocketAddr, key: &str) -> String {
    format!(
        r#"
Azgate on http://{listen} in front of a simulated Azure. Metrics on http://{admin}/metrics; Ctrl-C ends it.

  export AZGATE_KEY={key}

  curl http://{listen}/v1/chat/completions -H "Authorization: Bearer $AZGATE_KEY" -d '{{"model": "chat", "messages": [{{"role": "user", "content": "Hello"}}]}}'
  curl -N http://{listen}/v1/chat/completions -H "Authorization: Bearer $AZGATE_KEY" -d '{{"model": "chat", "stream": true, "messages": [{{"role": "user", "content": "Hello"}}]}}'
  curl http://{listen}/v1/embeddings -H "Authorization: Bearer $AZGATE_KEY" -d '{{"model": "embed", "input": "Hello"}}'
  curl http://{listen}/v1/models -H "Authorization: Bearer $AZGATE_KEY"

With an SDK: base_url http://{listen}/v1, api_key $AZGATE_KEY. What follows is the log.
"#
    )
}
