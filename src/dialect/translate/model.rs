//! What the name of a model tells about the parameters that it takes. A name that tells nothing is taken for a model
//! that takes what is sent: the upstream then says what it does not take.

use super::request::Effort;

/// Whom a translated request goes to.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// The name for the upstream's `model`.
    pub deployment: &'a str,
    /// The name by which the caller knows it.
    pub model: &'a str,
    /// Stands for the resource: reasoning that another one encrypted is of no use there.
    pub origin: &'a str,
    pub recall: Recall,
    pub host: Host,
}

/// Whether a model is told again what it has thought in earlier turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recall {
    Own,
    /// Not after its resource said that it cannot read it.
    Nothing,
}

impl Target<'_> {
    /// Whether reasoning that was encrypted by the resource `origin` is sent.
    pub fn recalls(&self, origin: &str) -> bool {
        self.recall == Recall::Own && origin == self.origin
    }
}

/// Who serves the model, and what follows from that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Host {
    /// Azure with an API version before `stream_options`.
    OldAzure,
    /// Azure with a dated version.
    Azure,
    /// The maker's own service, or Azure's `/openai/v1`, which follows it.
    Maker,
}

/// How an OpenAI model thinks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gpt {
    /// Not at all; it takes every sampling parameter.
    Plain,
    /// With one of these efforts, and without sampling parameters while it does.
    Thinking {
        least: Effort,
        most: Effort,
    },
    Unknown,
}

impl Gpt {
    pub fn of(target: &Target<'_>) -> Self {
        let told = [target.model, target.deployment].into_iter().map(Self::named).find(|gpt| *gpt != Self::Unknown);
        told.unwrap_or(Self::Unknown)
    }

    fn named(name: &str) -> Self {
        let name = name.to_ascii_lowercase();
        let thinking = |least, most| Self::Thinking { least, most };
        if name.strip_prefix('o').is_some_and(|rest| rest.starts_with(['1', '3', '4'])) {
            return thinking(Effort::Low, Effort::High);
        }
        let Some(rest) = name.strip_prefix("gpt-") else { return Self::Unknown };
        if rest.starts_with("35") || rest.starts_with('3') || rest.starts_with('4') || rest.contains("chat") {
            return Self::Plain;
        }
        let version = rest.split(|c: char| !c.is_ascii_digit() && c != '.').next().unwrap_or_default();
        let (major, minor) = version.split_once('.').unwrap_or((version, "0"));
        match (major.parse::<u32>(), minor.parse::<u32>()) {
            (Ok(5), Ok(0)) => thinking(Effort::Minimal, Effort::High),
            (Ok(5), Ok(1)) => thinking(Effort::None, Effort::High),
            (Ok(5), Ok(2..=5)) => thinking(Effort::None, Effort::XHigh),
            (Ok(5..), Ok(_)) => thinking(Effort::None, Effort::Max),
            _ => Self::Unknown,
        }
    }

    /// The nearest effort that the model takes; `None` when it takes none.
    pub fn effort(self, wanted: Effort) -> Option<Effort> {
        match self {
            Self::Plain => None,
            // A model whose name tells nothing may not know how to be quiet.
            Self::Unknown => (wanted != Effort::None).then_some(wanted.min(Effort::High).max(Effort::Low)),
            Self::Thinking { least: Effort::None, .. } if wanted == Effort::Minimal => Some(Effort::Low),
            Self::Thinking { least, most } => Some(wanted.clamp(least, most)),
        }
    }

    /// Whether sampling parameters and stop sequences are taken.
    pub fn samples(self) -> bool {
        !matches!(self, Self::Thinking { .. })
    }
}

/// What a generation of Claude takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claude {
    /// It decides itself how much to think; older ones are given a budget.
    pub adaptive: bool,
    pub sampling: Sampling,
    /// Tokens of an answer to a caller who named no limit.
    pub limit: u64,
}

/// Sampling parameters that a generation of Claude takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sampling {
    Both,
    /// `temperature` or `top_p`, not both.
    Either,
    None,
}

impl Claude {
    pub fn of(target: &Target<'_>) -> Self {
        let told = [target.model, target.deployment].into_iter().find_map(version);
        let (adaptive, sampling, limit) = match told {
            Some((..3, _)) => (false, Sampling::Both, 4096),
            Some((3, ..5)) => (false, Sampling::Both, 4096),
            Some((3, 5..=6)) => (false, Sampling::Both, 8192),
            Some((3, _) | (4, 0)) => (false, Sampling::Both, 32_000),
            Some((4, 1..=5)) => (false, Sampling::Either, 32_000),
            Some((4, 6)) | None => (true, Sampling::Either, 32_000),
            Some(_) => (true, Sampling::None, 32_000),
        };
        Self { adaptive, sampling, limit }
    }
}

/// `claude-sonnet-4-6` is (4, 6), `claude-3-5-haiku-20241022` is (3, 5), `claude-opus-4-20250514` is (4, 0).
fn version(name: &str) -> Option<(u32, u32)> {
    let name = name.to_ascii_lowercase();
    let at = name.find("claude")?;
    let mut numbers = name[at..].split(['-', '.', '_']).filter_map(|word| word.parse::<u32>().ok());
    let major = numbers.next().filter(|major| *major < 100)?;
    Some((major, numbers.next().filter(|minor| *minor < 100).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target<'a>(model: &'a str, deployment: &'a str) -> Target<'a> {
        Target { deployment, model, origin: "", recall: Recall::Own, host: Host::Maker }
    }

    #[test]
    fn traps_37_efforts_and_sampling_follow_the_model() {
        let gpt = |name: &str| Gpt::of(&target(name, "prod-1"));
        for (name, wanted, taken) in [
            ("gpt-4o", Effort::High, None),
            ("gpt-35-turbo", Effort::Low, None),
            ("gpt-5-chat", Effort::Low, None),
            ("o4-mini", Effort::Max, Some(Effort::High)),
            ("o3", Effort::None, Some(Effort::Low)),
            ("gpt-5", Effort::None, Some(Effort::Minimal)),
            ("gpt-5-mini", Effort::XHigh, Some(Effort::High)),
            ("gpt-5.1", Effort::Minimal, Some(Effort::Low)),
            ("gpt-5.2", Effort::Max, Some(Effort::XHigh)),
            ("GPT-5.6-terra", Effort::Max, Some(Effort::Max)),
            ("gpt-6", Effort::None, Some(Effort::None)),
            ("mine", Effort::Max, Some(Effort::High)),
            ("mine", Effort::None, None),
        ] {
            assert_eq!(gpt(name).effort(wanted), taken, "{name}");
        }
        assert!(gpt("gpt-4.1").samples() && gpt("mine").samples() && !gpt("gpt-5").samples());
        assert_eq!(
            Gpt::of(&target("fast", "gpt-4o-mini")),
            Gpt::Plain,
            "the deployment tells where the alias does not"
        );
    }

    #[test]
    fn generations_of_claude_are_told_apart() {
        let claude = |name: &str| Claude::of(&target(name, "prod-1"));
        assert_eq!(claude("claude-3-haiku-20240307").limit, 4096);
        assert_eq!(claude("claude-3-5-haiku-20241022").limit, 8192);
        assert_eq!(claude("claude-opus-4-20250514").sampling, Sampling::Both);
        assert_eq!(
            (claude("claude-sonnet-4-5").adaptive, claude("claude-sonnet-4-5").sampling),
            (false, Sampling::Either)
        );
        assert!(claude("claude-sonnet-4-6").adaptive && claude("assistant").adaptive);
        assert_eq!(claude("claude-opus-4-7").sampling, Sampling::None);
        assert_eq!(claude("claude-sonnet-5-20261001").sampling, Sampling::None);
    }
}
