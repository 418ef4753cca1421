//! Exit codes and the allocator only; everything else is the library's.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Before anything else: a signal that nobody expects yet would end the process.
    let early = azgate::cli::catch_signals();
    azgate::cli::run(early)
}
