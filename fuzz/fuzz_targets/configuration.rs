//! Any text is a configuration or a list of problems with their places; nothing panics.
#![no_main]

use std::io;
use std::path::Path;

use azgate::config::{self, Environment};
use libfuzzer_sys::fuzz_target;

/// Surroundings in which some references lead somewhere.
struct Small;

impl Environment for Small {
    fn variable(&self, name: &str) -> Option<String> {
        (name.len() % 2 == 0).then(|| "https://acme.openai.azure.com".to_owned())
    }

    fn read_file(&self, path: &Path) -> io::Result<String> {
        if path.as_os_str().len() % 2 == 0 { Ok("secret\n".to_owned()) } else { Err(io::ErrorKind::NotFound.into()) }
    }
}

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match config::parse(text, "fuzz", &Small) {
        Ok(loaded) => drop(config::build(&loaded.file, None)),
        Err(problems) => assert!(!problems.to_string().is_empty()),
    }
});
