//! What the configuration may hold, for people and editors: JSON Schema and the reference in Markdown, both made from
//! the structures in `file` and their doc comments.

mod markdown;
mod outline;

use schemars::generate::SchemaSettings;
use serde_json::Value;

pub use markdown::reference_markdown;
pub use outline::Outline;

use super::file::File;

/// JSON Schema (draft 2020-12) of the configuration file.
pub fn schema() -> Value {
    SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<File>().to_value()
}
