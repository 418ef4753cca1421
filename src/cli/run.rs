//! `azgate run`: serves.

use std::net::SocketAddr;
use std::sync::Arc;

use super::{ConfigFile, Failed};
use crate::config;
use crate::server::{self, EarlySignals, Source, Start};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    config: ConfigFile,
    /// Listen here instead of at the configuration's `server.listen`.
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// Operators' listener, instead of the configuration's `server.admin.listen`.
    #[arg(long, value_name = "ADDR")]
    admin_listen: Option<SocketAddr>,
}

pub(super) fn run(arguments: Arguments, early: Arc<EarlySignals>) -> Result<(), Failed> {
    let loaded = config::load(&arguments.config.config).map_err(|problems| Failed(problems.to_string()))?;
    let start = Start {
        source: Source::File(arguments.config.config),
        listen: arguments.listen,
        admin_listen: arguments.admin_listen,
        early,
    };
    match server::run(&start, loaded) {
        Err(error) => Err(Failed(error.to_string())),
    }
}
