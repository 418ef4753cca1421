//! What a model refuses, told from its name: reasoning models take other parameters than the rest.

/// How a model thinks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reasoning {
    pub efforts: &'static [&'static str],
    pub default: &'static str,
    pub tools: ToolRule,
}

/// Function tools on Chat Completions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToolRule {
    Allowed,
    /// Not together with an effort that was asked for, except `none`.
    NotWithEffort,
    /// Only with the effort `none`.
    OnlyWithoutEffort,
}

/// The rules of a reasoning model; None for all others.
pub fn reasoning(model: &str) -> Option<Reasoning> {
    let rules = |efforts, default, tools| Some(Reasoning { efforts, default, tools });
    let is_o = model.strip_prefix('o').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    if is_o {
        return rules(&["low", "medium", "high"], "medium", ToolRule::Allowed);
    }
    let rest = model.strip_prefix("gpt-")?;
    let (major, minor) = version(rest)?;
    if rest.contains("chat") {
        return None;
    }
    match (major, minor) {
        (..5, _) => None,
        (5, 0) => rules(&["minimal", "low", "medium", "high"], "medium", ToolRule::Allowed),
        (5, 1) => rules(&["none", "low", "medium", "high"], "none", ToolRule::Allowed),
        (5, 2 | 3) => rules(&["none", "low", "medium", "high", "xhigh"], "none", ToolRule::Allowed),
        (5, 4 | 5) => rules(&["none", "low", "medium", "high", "xhigh"], "none", ToolRule::NotWithEffort),
        _ => rules(&["none", "low", "medium", "high", "xhigh", "max"], "medium", ToolRule::OnlyWithoutEffort),
    }
}

/// Whether answers carry `service_tier`, as those of newer models do.
pub fn tells_service_tier(model: &str) -> bool {
    model.strip_prefix("gpt-").and_then(version).is_some_and(|version| version >= (5, 1))
}

/// Tokens spent on thinking before the answer.
pub fn thinking_tokens(effort: &str) -> usize {
    match effort {
        "low" => 64,
        "medium" => 192,
        "high" => 448,
        "xhigh" | "max" => 960,
        _ => 0,
    }
}

/// `5.2-2025-12-11` is (5, 2), `35-turbo` is (3, 5), `4o` is (4, 0).
fn version(rest: &str) -> Option<(u32, u32)> {
    if rest.starts_with("35") {
        return Some((3, 5));
    }
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
    let (major, minor) = rest[..end].split_once('.').unwrap_or((&rest[..end], "0"));
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_families_apart() {
        for plain in ["gpt-4o-2024-11-20", "gpt-35-turbo-0125", "gpt-4.1-2025-04-14", "gpt-5-chat-latest", "Llama-3"] {
            assert_eq!(reasoning(plain), None, "{plain}");
        }
        assert_eq!(reasoning("o4-mini-2025-04-16").map(|r| r.default), Some("medium"));
        assert!(reasoning("gpt-5-2025-08-07").is_some_and(|r| r.efforts.contains(&"minimal")));
        assert_eq!(reasoning("gpt-5.4-2026-03-05").map(|r| r.tools), Some(ToolRule::NotWithEffort));
        assert_eq!(reasoning("gpt-5.6-terra").map(|r| r.tools), Some(ToolRule::OnlyWithoutEffort));
        assert_eq!(reasoning("gpt-6-astra").map(|r| r.tools), Some(ToolRule::OnlyWithoutEffort));
        assert!(tells_service_tier("gpt-5.2-2025-12-11") && !tells_service_tier("gpt-5-nano-2025-08-07"));
    }
}
