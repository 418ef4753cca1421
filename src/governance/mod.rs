//! Who may call, and what for: virtual keys and their lists. Leaves rates and budgets to later files of this folder,
//! and what a model name means to `catalog`.

mod key;

pub use key::{Callers, Denied, VirtualKey, digest};
