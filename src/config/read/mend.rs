//! Reports everything that is wrong in one run: decode, note what is wrong, take that value out, decode again.

use std::cell::RefCell;

use serde::Deserialize;

use super::{
    decode::{Decoder, Surroundings},
    place::{Finding, Report, Spot},
    tree::Node,
};
use crate::config::environment::Environment;

/// Values that are decoded at most, over all attempts; bounds the time that a large and very broken file takes.
const WORK: usize = 20_000_000;

/// Attempts that are always made, however large the file.
const ATTEMPTS: usize = 20;

/// Decodes a tree. What is wrong goes to the report and out of the tree. `None` when too little is left to go on.
pub fn decode<T>(root: &mut Node, environment: &dyn Environment, report: &Report<'_>) -> Option<T>
where
    T: for<'de> Deserialize<'de>,
{
    let whole = root.clone();
    let attempts = (WORK / whole.count()).max(ATTEMPTS);
    let surroundings = Surroundings { environment, unknown: RefCell::default() };
    let mut decoded = None;
    for attempt in 1..=attempts {
        let result = T::deserialize(Decoder { node: root, surroundings: &surroundings });
        // Each attempt notes the unknown fields that it passes; the report keeps one of each.
        let unknown = std::mem::take(&mut *surroundings.unknown.borrow_mut());
        unknown.into_iter().for_each(|finding| report.add(finding, Some(&whole)));
        match result {
            Ok(value) => {
                decoded = Some(value);
                break;
            }
            Err(error) => {
                let node = error.node();
                report.add(error.into_finding(), Some(&whole));
                if !node.is_some_and(|id| root.remove(id)) {
                    break;
                }
            }
        }
        if attempt == attempts {
            report.add(more(&whole), None);
        }
    }
    decoded
}

fn more(root: &Node) -> Finding {
    let message = "more is wrong than is listed here".to_owned();
    Finding { at: root.at, spot: Spot::Text, message, hint: Some("correct these and check again".to_owned()) }
}
