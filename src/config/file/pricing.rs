//! Section `pricing`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a model costs, in US dollars per million tokens.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["input_per_million", "output_per_million"]))]
pub struct Price {
    /// Input tokens.
    pub input_per_million: f64,
    /// Input tokens read from the prompt cache. Without it, the price of input.
    pub cached_input_per_million: Option<f64>,
    /// Input tokens written to the prompt cache. Without it, the price of input.
    pub cache_write_per_million: Option<f64>,
    /// Output tokens.
    pub output_per_million: f64,
    /// Output tokens that the model has only thought with. Without it, the price of output.
    pub reasoning_per_million: Option<f64>,
}
