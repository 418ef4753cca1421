//! The command line: arguments in, human text to standard error, results to standard output. Exit codes are 0 for
//! success, 1 when what was asked failed, 2 for wrong usage.

mod check;
mod check_online;
mod completions;
mod demo;
mod key;
mod man;
mod run;
mod schema;
mod simulate;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Parser, Subcommand};
use signal_hook::consts::{SIGHUP, SIGUSR2};

use crate::server::EarlySignals;

const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("AZGATE_REVISION"), ")");

/// A gateway for Azure OpenAI: virtual keys, weighted deployments, transparent streaming.
#[derive(Debug, Parser)]
#[command(name = "azgate", version = VERSION, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve.
    Run(run::Arguments),
    /// Start a simulated Azure and a gateway in front of it, with a ready-made key.
    Demo(demo::Arguments),
    /// Validate a configuration and show what it means.
    Check(check::Arguments),
    /// Start the simulated Azure alone.
    Simulate(simulate::Arguments),
    /// Print the JSON Schema of the configuration.
    Schema,
    /// Make a virtual key, or hash one.
    Key(key::Arguments),
    /// Print a completion script for a shell.
    Completions(completions::Arguments),
    /// Print the manual page.
    #[command(hide = true)]
    Man,
}

/// The configuration file of a command.
#[derive(Debug, Clone, clap::Args)]
struct ConfigFile {
    /// The configuration file.
    #[arg(long, value_name = "FILE", env = "AZGATE_CONFIG", default_value = "/etc/azgate/azgate.json")]
    config: PathBuf,
}

/// Why a command did not do what was asked; the text is for the user.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Failed(String);

/// Notes signals in flags, until the tasks are there that act on them.
pub fn catch_signals() -> Arc<EarlySignals> {
    let early = EarlySignals::default();
    for (signal, flag) in [(SIGHUP, &early.hangup), (SIGUSR2, &early.upgrade)] {
        if let Err(error) = signal_hook::flag::register(signal, Arc::clone(flag)) {
            say(&format!("signal {signal} cannot be caught: {error}"));
        }
    }
    Arc::new(early)
}

/// Runs the command that the arguments name.
pub fn run(early: Arc<EarlySignals>) -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Run(arguments) => run::run(arguments, early),
        Command::Demo(arguments) => demo::run(&arguments, early),
        Command::Check(arguments) => check::run(&arguments),
        Command::Simulate(arguments) => simulate::run(&arguments),
        Command::Schema => schema::run(),
        Command::Key(arguments) => key::run(&arguments),
        Command::Completions(arguments) => completions::run(&arguments),
        Command::Man => man::run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failed(why)) => {
            if !why.is_empty() {
                say(&why);
            }
            ExitCode::FAILURE
        }
    }
}

/// Text for a human.
fn say(text: &str) {
    // Without standard error there is nobody to tell.
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// A result for whoever reads standard output; a reader that has left ends the command quietly.
fn print(text: &str) -> Result<(), Failed> {
    let mut out = std::io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    written.map_err(|error| {
        if error.kind() == std::io::ErrorKind::BrokenPipe { Failed(String::new()) } else { Failed(error.to_string()) }
    })
}
