//! `azgate simulate`: the simulated Azure alone.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::{Failed, print, say};
use crate::simulator::{self, Script, Settings};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Listen here; port 0 takes a free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8090")]
    listen: SocketAddr,
    /// Serve TLS with a certificate made for the occasion.
    #[arg(long)]
    tls: bool,
    /// Faults to play, as JSON; the README describes the format.
    #[arg(long, value_name = "FILE")]
    script: Option<PathBuf>,
    /// How long the tokens of the simulated identity platform live, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 3_599, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    token_lifetime: u64,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failed> {
    let script = arguments.script.as_ref().map(|path| {
        let text = std::fs::read_to_string(path).map_err(|error| Failed(format!("{}: {error}", path.display())))?;
        Script::parse(&text).map_err(|error| Failed(format!("{}: {error}", path.display())))
    });
    let script = script.transpose()?;
    let mut settings = Settings { listen: arguments.listen, tls: arguments.tls, ..Settings::default() };
    settings.identity.lifetime = Duration::from_secs(arguments.token_lifetime);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failed(error.to_string()))?;
    runtime.block_on(async {
        let running = simulator::start(settings).await;
        let running = running.map_err(|error| Failed(format!("cannot listen on {}: {error}", arguments.listen)))?;
        if let Some(script) = script {
            running.script(&script).map_err(|error| Failed(error.to_string()))?;
        }
        say(&format!("simulated Azure on {}; its API key is `sim-key`", running.base_url()));
        if let Some(certificate) = running.certificate_pem() {
            print(certificate)?;
        }
        end_of_process().await;
        Ok(())
    })
}

/// Until the process is told to end.
async fn end_of_process() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else { return std::future::pending().await };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}
