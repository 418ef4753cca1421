//! Hosts that answers come from: their addresses, their TLS rules, and one HTTP/1.1 exchange with them over Pingora's
//! connection pools. Knows nothing of Azure, of callers, or of what the bytes mean.

mod address;
mod early;
mod exchange;
mod fault;
mod host;
mod probe;

pub use address::{Address, Reach, Unresolvable};
pub use exchange::{Exchange, Limits, Segment};
pub use fault::Fault;
pub use host::{Host, TlsRules, certificates};
pub use probe::{Probed, Step, probe};
