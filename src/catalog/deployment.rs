//! What a name stands for on one key: the deployment, the model family behind it, and the API it is called through.

use std::sync::Arc;

/// The maker's family decides the upstream dialect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    OpenAi,
    Anthropic,
}

/// The API that translated requests use; requests in the deployment's own dialect are not affected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Api {
    Responses,
    Chat,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployment {
    pub name: Arc<str>,
    /// The model behind it, where the configuration tells: what it costs goes by that.
    pub model: Option<Arc<str>>,
    pub family: Family,
    pub api: Api,
}

impl Deployment {
    /// A deployment that is called by its own name.
    pub fn literal(name: &str) -> Self {
        Self { name: name.into(), model: None, family: Family::of(name), api: Api::Responses }
    }
}

impl Family {
    /// The family that a model name tells: Claude when it begins with `claude`, after any `anthropic/` or `anthropic.`.
    pub fn of(name: &str) -> Self {
        let name = name.to_ascii_lowercase();
        let bare = name.strip_prefix("anthropic/").or_else(|| name.strip_prefix("anthropic.")).unwrap_or(&name);
        if bare.starts_with("claude") { Self::Anthropic } else { Self::OpenAi }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claude_is_known_by_its_name() {
        for name in ["claude-sonnet-4-6", "anthropic/claude-opus", "anthropic.claude-3", "Claude-X"] {
            assert_eq!(Family::of(name), Family::Anthropic, "{name}");
        }
        for name in ["gpt-4o", "my-claude", "anthropic/other"] {
            assert_eq!(Family::of(name), Family::OpenAi, "{name}");
        }
    }
}
