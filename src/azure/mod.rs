//! What is true only of Azure: how a deployment is addressed, which versions know what, which headers matter.

mod beta;
pub mod credential;
mod headers;
mod headroom;
mod target;
mod throttle;
mod version;

pub use beta::{BETA_HEADER, BetaRules};
pub use headers::{IMAGE_HEADER, passes_to_caller, passes_to_upstream};
pub use headroom::headroom;
pub use target::{Addressing, models_target, resource, segment, target, v1_target};
pub use throttle::wait;
pub use version::{ApiVersion, UnknownVersion};
