//! Which values of `anthropic-beta` Claude on Azure takes. One value that it does not know makes it refuse the whole
//! request, so such values are left out; everything else passes, known or not.

use http::HeaderValue;

/// The header of which every line may name several features, with commas between.
pub const BETA_HEADER: &str = "anthropic-beta";

/// Beginnings of the values that Azure rejects. What follows is a date.
const REJECTED: [&str; 6] = [
    "fast-mode-",
    "task-budgets-",
    "advisor-tool-",
    "cache-diagnosis-",
    "server-side-fallback-",
    "mid-conversation-tool-changes-",
];

/// What the configuration says about beginnings of values (`beta_header_overrides`): true lets a value pass, false
/// leaves it out. The longest beginning that fits decides.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BetaRules {
    overrides: Vec<(String, bool)>,
}

impl BetaRules {
    pub fn new(overrides: impl IntoIterator<Item = (String, bool)>) -> Self {
        let mut overrides: Vec<_> = overrides.into_iter().collect();
        overrides.sort_by_key(|(beginning, _)| std::cmp::Reverse(beginning.len()));
        Self { overrides }
    }

    /// One line of the header for Azure; `None` when nothing of it is left.
    pub fn for_azure(&self, line: &HeaderValue) -> Option<HeaderValue> {
        self.line(line, &REJECTED)
    }

    /// One line of the header for Anthropic itself, which takes all of them.
    pub fn for_anthropic(&self, line: &HeaderValue) -> Option<HeaderValue> {
        self.line(line, &[])
    }

    fn line(&self, line: &HeaderValue, rejected: &[&str]) -> Option<HeaderValue> {
        let Ok(text) = line.to_str() else { return None };
        let values = || text.split(',').map(str::trim).filter(|value| !value.is_empty());
        let passes = |value: &&str| {
            let overridden = self.overrides.iter().find(|(beginning, _)| value.starts_with(beginning.as_str()));
            overridden.map_or_else(|| !rejected.iter().any(|known| value.starts_with(known)), |(_, passes)| *passes)
        };
        if values().all(|value| passes(&value)) {
            return (values().next().is_some()).then(|| line.clone());
        }
        let kept: Vec<&str> = values().filter(passes).collect();
        if kept.is_empty() { None } else { HeaderValue::from_str(&kept.join(",")).ok() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn azure(overrides: &[(&str, bool)], line: &'static str) -> Option<String> {
        let rules = BetaRules::new(overrides.iter().map(|(name, passes)| ((*name).to_owned(), *passes)));
        let left = rules.for_azure(&HeaderValue::from_static(line))?;
        Some(left.to_str().unwrap().to_owned())
    }

    #[test]
    fn what_azure_rejects_is_left_out_and_the_unknown_passes() {
        let line = "claude-code-20250219,fast-mode-2026-02-01, interleaved-thinking-2025-05-14 ,novelty-2030-01-01";
        let left = azure(&[], line).unwrap();
        assert_eq!(left, "claude-code-20250219,interleaved-thinking-2025-05-14,novelty-2030-01-01");
        assert_eq!(azure(&[], "effort-2025-11-24 , a").unwrap(), "effort-2025-11-24 , a", "untouched when all pass");
        assert_eq!(azure(&[], "fast-mode-1, advisor-tool-2"), None);
        assert_eq!(azure(&[], " , "), None);
    }

    #[test]
    fn the_configuration_has_the_last_word() {
        let overrides = [("fast-mode-", true), ("fast-mode-2026-", false), ("effort-", false)];
        let left = azure(&overrides, "fast-mode-2025-01-01,fast-mode-2026-02-01,effort-2025-11-24,a").unwrap();
        assert_eq!(left, "fast-mode-2025-01-01,a");
    }

    #[test]
    fn anthropic_itself_takes_all_of_them() {
        let line = HeaderValue::from_static("fast-mode-2026-02-01");
        assert_eq!(BetaRules::default().for_anthropic(&line), Some(line));
    }
}
