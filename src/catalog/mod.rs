//! Names that people use -> deployments that exist. Pure look-ups over what the configuration says; which of the
//! keys is taken, and whether it is well, is for `pool`.

mod deployment;
mod list;
mod resolve;

pub use deployment::{Api, Deployment, Family};
pub use list::Listed;
pub use resolve::{Catalog, KeyNames, OTHER, ProviderNames, Resolved, Unresolved};
