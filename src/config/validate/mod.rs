//! What no single value can show to be wrong: names that occur twice, references that lead nowhere, ranges, and fields
//! that exclude or need each other. Reports everything at the place where it stands in the file.

mod advice;
mod callers;
mod complete;
mod fallbacks;
mod headers;
mod keys;
mod limits;
mod listeners;
mod names;
mod not_yet;
mod prices;
mod providers;
mod reach;

pub use not_yet::NOT_YET;

use super::{file::File, read::Place};

/// Checks a configuration and completes it: afterwards each provider has its type, and what one field implies for
/// another is filled in.
pub fn check(file: &mut File, root: &Place<'_>) {
    complete::complete(file);
    listeners::check(file, root);
    providers::check(file, &root.member("providers"));
    fallbacks::check(file, root);
    callers::check(file, root);
    reach::check(file, &root.member("governance").member("virtual_keys"));
    limits::check(file, root);
    prices::check(file, root);
    advice::give(root);
}
