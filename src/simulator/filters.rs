//! Content filter annotations, and the marker texts that make the filter strike.

use serde_json::{Value, json};

/// In a prompt: the request is refused.
pub const FILTER_PROMPT: &str = "[[filter-prompt]]";
/// In a prompt: the completion is cut off.
pub const FILTER_COMPLETION: &str = "[[filter-completion]]";
/// In a prompt: the model refuses.
pub const REFUSE: &str = "[[refuse]]";

fn harms(hate: &str) -> Value {
    let safe = json!({"filtered": false, "severity": "safe"});
    json!({
        "hate": {"filtered": hate != "safe", "severity": hate},
        "self_harm": safe, "sexual": safe, "violence": safe,
    })
}

/// What was found in a harmless completion.
pub fn completion() -> Value {
    let clear = json!({"detected": false, "filtered": false});
    let mut found = harms("safe");
    found["protected_material_code"] = clear.clone();
    found["protected_material_text"] = clear;
    found
}

/// What was found in a completion that was cut off.
pub fn blocked_completion() -> Value {
    harms("high")
}

/// What was found in a prompt that was refused.
pub fn blocked_prompt() -> Value {
    let mut found = harms("safe");
    found["jailbreak"] = json!({"detected": true, "filtered": true});
    found
}

/// `prompt_filter_results` for harmless prompts, one for each of `count`.
pub fn prompts(count: usize) -> Value {
    let one = |index: usize| {
        let mut found = harms("safe");
        found["jailbreak"] = json!({"detected": false, "filtered": false});
        json!({"prompt_index": index, "content_filter_results": found})
    };
    Value::Array((0..count).map(one).collect())
}
