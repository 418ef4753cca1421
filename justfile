# Everyday commands. `just` alone runs what a commit must pass; `tests/run` is what a release must pass.

set shell := ["bash", "-euo", "pipefail", "-c"]

# Format, lint, test.
default: fmt clippy test

# The recipes.
list:
    @just --list

fmt:
    cargo fmt

clippy:
    cargo clippy --locked --all-targets -- -D warnings

# Rust tests; arguments may follow: `just test --test layers`.
test *arguments:
    if cargo nextest --version >/dev/null 2>&1; then cargo nextest run --locked {{ arguments }}; else cargo test --locked {{ arguments }}; fi

# Everything, as on the build machine: lints, Rust tests, the real SDKs.
check:
    tests/run

# The real SDKs alone.
clients:
    tests/run python node

# A working gateway with a simulated Azure behind it.
run-demo *arguments:
    cargo run --locked --release -- demo {{ arguments }}

bench *filter:
    cargo bench --locked -- {{ filter }}

# Licences, sources, banned crates; the advisories too where their database can be reached.
deny:
    cargo deny --version >/dev/null 2>&1 || cargo install cargo-deny --locked
    cargo deny --locked check licenses bans sources
    if cargo deny fetch db >/dev/null 2>&1; then cargo deny --locked check advisories; else echo "advisory database out of reach: not checked" >&2; fi

docs:
    RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --document-private-items
