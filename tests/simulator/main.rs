//! The simulated Azure over real sockets: strict where Azure is strict, breaking where it is told to.

mod breaks;
mod claude;
mod client;
mod connections;
mod identity;
mod recorded;
mod responses;
mod shapes;
mod streams;
mod strictness;
