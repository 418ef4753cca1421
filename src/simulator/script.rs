//! Faults by script: rules that say which requests get which fault, and how often.
//! What the faults mean is left to `faults`.

use std::sync::Mutex;

use http::HeaderMap;
use serde::Deserialize;

use super::faults::{Fault, FaultError};
use crate::base::locks::lock;

/// Rules in order; the first that matches and is not used up wins.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(transparent)]
pub struct Script {
    pub rules: Vec<Rule>,
}

/// One rule: whom it hits, with what, how often.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    #[serde(default, rename = "match")]
    pub matching: Match,
    pub fault: String,
    /// None: always.
    #[serde(default)]
    pub times: Option<u64>,
}

/// Conditions that must all hold; none means every request.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Match {
    #[serde(default)]
    pub path_contains: Option<String>,
    #[serde(default)]
    pub deployment: Option<String>,
    /// The API key presented, in `api-key` or as Bearer.
    #[serde(default)]
    pub key: Option<String>,
    /// `name` (present) or `name: value`.
    #[serde(default)]
    pub header: Option<String>,
    /// Only the nth request (from 1) for which the other conditions hold.
    #[serde(default)]
    pub nth: Option<u64>,
}

/// Why a script was refused.
#[derive(Debug, thiserror::Error)]
pub enum ScriptError {
    #[error("a script is a JSON list of rules `{{\"match\": {{…}}, \"fault\": \"…\", \"times\": n}}`: {0}")]
    Json(#[from] serde_json::Error),
    #[error("rule {index}: {source}")]
    Fault { index: usize, source: FaultError },
}

/// What a rule may look at.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    pub path: &'a str,
    pub headers: &'a HeaderMap,
    pub deployment: Option<&'a str>,
    pub key: Option<&'a str>,
}

impl Script {
    pub fn parse(json: &str) -> Result<Self, ScriptError> {
        let script: Self = serde_json::from_str(json)?;
        Live::new(&script)?;
        Ok(script)
    }

    /// Puts one rule behind the others.
    pub fn then(mut self, rule: Rule) -> Self {
        self.rules.push(rule);
        self
    }
}

impl Rule {
    /// A rule that hits every request, always.
    pub fn new(fault: impl Into<String>) -> Self {
        Self { fault: fault.into(), ..Self::default() }
    }

    pub fn deployment(mut self, name: impl Into<String>) -> Self {
        self.matching.deployment = Some(name.into());
        self
    }

    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.matching.key = Some(key.into());
        self
    }

    pub fn path_contains(mut self, part: impl Into<String>) -> Self {
        self.matching.path_contains = Some(part.into());
        self
    }

    pub fn nth(mut self, nth: u64) -> Self {
        self.matching.nth = Some(nth);
        self
    }

    pub fn times(mut self, times: u64) -> Self {
        self.times = Some(times);
        self
    }
}

/// A script in force, with its counters.
#[derive(Debug, Default)]
pub struct Live {
    rules: Mutex<Vec<LiveRule>>,
}

#[derive(Debug)]
struct LiveRule {
    matching: Match,
    fault: Fault,
    left: Option<u64>,
    seen: u64,
}

impl Live {
    pub fn new(script: &Script) -> Result<Self, ScriptError> {
        let rules = script.rules.iter().enumerate().map(|(index, rule)| {
            let fault = Fault::parse(&rule.fault).map_err(|source| ScriptError::Fault { index, source })?;
            Ok(LiveRule { matching: rule.matching.clone(), fault, left: rule.times, seen: 0 })
        });
        Ok(Self { rules: Mutex::new(rules.collect::<Result<_, ScriptError>>()?) })
    }

    /// Whether a rule asks for the deployment, which on v1 stands in the body.
    pub fn needs_deployment(&self) -> bool {
        self.lock().iter().any(|rule| rule.matching.deployment.is_some())
    }

    /// The fault for this request, counted against its rule.
    pub fn fault_for(&self, seen: &Seen<'_>) -> Option<Fault> {
        let mut rules = self.lock();
        let rule = rules.iter_mut().find_map(|rule| rule.hits(seen).then_some(rule))?;
        rule.left = rule.left.map(|left| left - 1);
        Some(rule.fault.clone())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<LiveRule>> {
        lock(&self.rules)
    }
}

impl LiveRule {
    fn hits(&mut self, seen: &Seen<'_>) -> bool {
        let wanted = &self.matching;
        let holds = wanted.path_contains.as_deref().is_none_or(|part| seen.path.contains(part))
            && wanted.deployment.as_deref().is_none_or(|name| seen.deployment == Some(name))
            && wanted.key.as_deref().is_none_or(|key| seen.key == Some(key))
            && wanted.header.as_deref().is_none_or(|header| has_header(seen.headers, header));
        if !holds || self.left == Some(0) {
            return false;
        }
        self.seen += 1;
        wanted.nth.is_none_or(|nth| nth == self.seen)
    }
}

fn has_header(headers: &HeaderMap, wanted: &str) -> bool {
    match wanted.split_once(':') {
        None => headers.contains_key(wanted.trim()),
        Some((name, value)) => {
            headers.get_all(name.trim()).iter().any(|seen| seen.as_bytes() == value.trim().as_bytes())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen<'a>(headers: &'a HeaderMap, deployment: &'a str) -> Seen<'a> {
        Seen { path: "/openai/x", headers, deployment: Some(deployment), key: Some("k") }
    }

    #[test]
    fn first_match_wins_and_times_count_down() {
        let script = Script::default()
            .then(Rule::new("status=429").deployment("a").times(2))
            .then(Rule::new("status=500").nth(2))
            .then(Rule::new("status=503").key("other"));
        let live = Live::new(&script).expect("valid");
        let headers = HeaderMap::new();
        let statuses: Vec<Option<u16>> =
            (0..5).map(|_| live.fault_for(&seen(&headers, "a")).and_then(|fault| fault.status)).collect();
        assert_eq!(statuses, [Some(429), Some(429), None, Some(500), None]);
    }

    #[test]
    fn header_conditions_look_at_name_and_value() {
        let rule = r#"[{"match":{"header":"x-a: 1","path_contains":"openai"},"fault":"html"}]"#;
        let live = Live::new(&Script::parse(rule).expect("valid")).expect("valid");
        let mut headers = HeaderMap::new();
        assert!(live.fault_for(&seen(&headers, "a")).is_none());
        headers.insert("x-a", "1".parse().expect("value"));
        assert!(live.fault_for(&seen(&headers, "a")).is_some());
    }

    #[test]
    fn a_bad_rule_is_named_by_its_place() {
        let error = Script::parse(r#"[{"fault":"html"},{"fault":"htlm"}]"#).expect_err("bad").to_string();
        assert_eq!(error, "rule 1: unknown fault `htlm`");
        assert!(Script::parse(r#"{"fault":"html"}"#).is_err());
    }
}
