//! Hosts that answers come from: their addresses, their TLS rules, and one exchange with them over
//! connections that are used again. Knows nothing of Azure, of callers, or of what the bytes mean.

mod address;
pub mod answer;
mod connections;
pub mod content;
mod dial;
mod directory;
mod exchange;
mod fault;
mod host;
mod http1;
mod http2;
mod idle;
mod probe;
mod race;
mod reach;
mod resolver;
mod segment;
mod standing;

pub use address::{Address, Unresolvable};
pub use connections::Connections;
pub use directory::Directory;
pub use exchange::{Exchange, Limits};
pub use fault::Fault;
pub use host::{Host, Protocols, Rules, certificates};
pub use probe::{Probed, Step, probe};
pub use race::race;
pub use reach::Reach;
pub use resolver::NameServers;
pub use segment::Segment;
