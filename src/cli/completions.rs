//! `azgate completions`: a completion script for a shell.

use clap::CommandFactory;

use super::{Failed, print};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The shell.
    shell: clap_complete::Shell,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failed> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut super::Arguments::command(), "azgate", &mut script);
    print(&String::from_utf8_lossy(&script))
}
