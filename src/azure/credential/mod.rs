//! Tokens of Entra ID for the keys that have no API key: who asks for them, how, and one cache in front.
//!
//! `azure_identity` speaks the protocols; this folder is the only one that knows it. What it lacks stands around it:
//!
//! * its cache refreshes inline five minutes before the end, and gives an error although the old token is still good:
//!   each fetch uses a fresh credential, and [`Tokens`] is the cache;
//! * its default transport brings a second crypto provider, and it takes no roots but the system's: [`wire`] is our own
//!   `HttpClient` on the TLS that the gateway has;
//! * it wants `https` for the authority and has a constant for a virtual machine's endpoint: `wire` changes both back;
//! * it loses the platform's error texts and retries by rules of its own: `wire` keeps the text and ends each try;
//! * Azure Arc is missing, and certificates need OpenSSL: [`arc`] and [`certificate`] stand behind its traits.

mod arc;
mod certificate;
mod identity;
mod reply;
mod roots;
mod schedule;
mod source;
mod token;
mod tokens;
mod wire;

pub use certificate::Certificate;
pub use identity::{Identity, Method, Principal};
pub use token::Token;
pub use tokens::{Tokens, Unavailable};
pub use wire::Failure;
