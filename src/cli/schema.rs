//! `azgate schema`: the JSON Schema of the configuration, for editors.

use super::{Failed, print};
use crate::config::reference;

pub(super) fn run() -> Result<(), Failed> {
    print(&format!("{:#}\n", reference::schema()))
}
