//! Azgate: a gateway for Azure OpenAI. `ARCHITECTURE.md` is the map; the order of a request stands in `proxy`.

pub mod base;
pub mod simulator;
