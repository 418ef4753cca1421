//! Names: present, printable, and each given once.

use std::collections::HashMap;

use crate::{base::Globs, config::read::Place};

/// Longest name, in bytes: names become metric labels and header values.
const LONGEST: usize = 128;

/// The names of one kind of thing that were seen so far.
pub struct Names {
    what: &'static str,
    seen: HashMap<String, String>,
}

impl Names {
    pub fn of(what: &'static str) -> Self {
        Self { what, seen: HashMap::new() }
    }

    /// Checks a name at its place, and that no earlier one was the same but for case.
    pub fn take(&mut self, name: &str, place: &Place<'_>) {
        let what = self.what;
        if name.is_empty() {
            let state = if place.is_present() { "empty" } else { "missing" };
            place.error(format!("the name of this {what} is {state}; give each {what} a name of its own"));
            return;
        }
        if !is_printable(name) {
            place.error(format!(
                "this name cannot stand in a header; use up to {LONGEST} letters, digits and signs of ASCII"
            ));
        }
        if let Some(first) = self.seen.get(&name.to_lowercase()) {
            place.error(format!("the {what} at {first} has this name too; give each {what} a name of its own"));
        } else {
            self.seen.insert(name.to_lowercase(), place.position());
        }
    }
}

/// Checks the entries of a list of names with wildcards.
pub fn check_globs(globs: &Globs, place: &Place<'_>) {
    for (index, pattern) in globs.patterns().iter().enumerate() {
        if pattern.trim() != pattern || pattern.is_empty() {
            place.element(index).error("this entry is empty or has spaces around it; write a name, or `*` for all");
        } else if pattern.starts_with("regex:") {
            place.element(index).error("regular expressions are not understood here; use `*` as a wildcard");
        }
    }
}

/// Whether a name can stand in a header as it is: printable ASCII, no space at either end.
pub fn is_printable(name: &str) -> bool {
    name.len() <= LONGEST && name.trim() == name && name.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}
