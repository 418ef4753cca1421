//! Exit codes only; everything else is the library's.

use std::process::ExitCode;

fn main() -> ExitCode {
    // Before anything else: a signal that nobody expects yet would end the process.
    let early = azgate::cli::catch_signals();
    azgate::cli::run(early)
}
