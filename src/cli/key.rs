//! `azgate key`: virtual keys are 256 random bits; the configuration needs only their hash.

use std::io::Read;

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use serde_json::json;

use super::{Failed, print, say};
use crate::governance::digest;

/// In front of every key, so that secret scanners and humans know one when they see it.
const PREFIX: &str = "azg-";

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Make a key: 256 bits from the operating system.
    New {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Print the SHA-256 of a key that is read from standard input.
    Hash,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failed> {
    match arguments.command {
        Command::New { json } => new(json),
        Command::Hash => hash(),
    }
}

/// A fresh key.
pub(super) fn generate() -> Result<String, Failed> {
    let mut random = [0; 32];
    getrandom::fill(&mut random)
        .map_err(|error| Failed(format!("the operating system gave no random bits: {error}")))?;
    Ok(format!("{PREFIX}{}", BASE64URL_NOPAD.encode(&random)))
}

fn new(as_json: bool) -> Result<(), Failed> {
    let key = generate()?;
    let hash = HEXLOWER.encode(&digest(&key));
    if as_json {
        return print(&format!("{}\n", json!({"key": key, "key_hash": hash})));
    }
    say("The key is for the caller and is shown only now; the hash is for `governance.virtual_keys[].key_hash`.");
    print(&format!("key       {key}\nkey_hash  {hash}\n"))
}

fn hash() -> Result<(), Failed> {
    let mut text = String::new();
    std::io::stdin()
        .read_to_string(&mut text)
        .map_err(|error| Failed(format!("cannot read a key from standard input: {error}")))?;
    let key = text.trim_end_matches(['\r', '\n']);
    if key.is_empty() {
        return Err(Failed("no key on standard input; try: printf %s \"$KEY\" | azgate key hash".to_owned()));
    }
    print(&format!("{}\n", HEXLOWER.encode(&digest(key))))
}
