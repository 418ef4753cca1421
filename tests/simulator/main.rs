//! The simulated Azure over real sockets: strict where Azure is strict, breaking where it is told to.

mod client;
mod strictness;
