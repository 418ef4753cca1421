//! Azgate: a gateway for Azure OpenAI. `ARCHITECTURE.md` is the map; the order of a request stands in `proxy`.

pub mod base;

pub mod azure;
pub mod catalog;
pub mod dialect;
pub mod governance;
pub mod objects;
pub mod pool;
pub mod provider;
pub mod routing;
pub mod telemetry;
pub mod upstream;

pub mod snapshot;

pub mod config;

pub mod proxy;

pub mod admin;

pub mod simulator;

pub mod server;

pub mod cli;
