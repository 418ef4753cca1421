//! The configuration from the outside: the samples load, broken files say what is wrong where, nothing panics.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod broken;
mod mutations;
mod samples;
mod surroundings;
mod typed;
mod warnings;
