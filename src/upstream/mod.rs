//! Hosts that answers come from: their addresses, their TLS rules, and one HTTP/1.1 exchange with them over Pingora's
//! connection pools. Knows nothing of Azure, of callers, or of what the bytes mean.

mod address;
mod early;
mod exchange;
mod host;

pub use address::{Address, Reach, Unresolvable};
pub use exchange::{Exchange, Fault, Limits, Segment};
pub use host::{Host, TlsRules, certificates};
