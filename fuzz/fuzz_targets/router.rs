//! A path leads to an operation or to a refusal; no deployment that it names has a path separator left undecoded.
#![no_main]

use azgate::dialect::operation::{Surface, classify};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (method, path) = text.split_once(' ').unwrap_or(("POST", text));
    match classify(method, path) {
        Ok(route) => {
            if let Surface::Classic { deployment } = &route.surface {
                assert!(!deployment.is_empty());
            }
            assert!(!route.operation.name().is_empty());
        }
        Err(unrouted) => drop(unrouted.dialect()),
    }
});
