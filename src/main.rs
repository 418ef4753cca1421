//! Exit codes only; everything else is the library's.

use std::process::ExitCode;

fn main() -> ExitCode {
    // Before anything else: a SIGHUP that nobody expects yet would end the process.
    let hangup = azgate::cli::catch_hangup();
    azgate::cli::run(hangup)
}
