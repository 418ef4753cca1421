//! What a simulated Azure resource is made of: where it listens, which keys it takes, which deployments it has.
//! What the deployments answer is left to the operations.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::identity::IdentitySettings;

/// The key a simulator accepts unless told otherwise. Known to everybody on purpose: it opens nothing real.
pub const DEFAULT_KEY: &str = "sim-key";

/// How a simulated resource is set up.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Serve HTTPS with a certificate made at start ([`super::Running::certificate_pem`]).
    pub tls: bool,
    /// The API keys that are accepted.
    pub keys: Vec<String>,
    pub deployments: Vec<Deployment>,
    /// Who gets tokens, and how long they last.
    pub identity: IdentitySettings,
    /// Keep what was received. Load tests switch it off; the newest 10,000 requests are kept.
    pub record: bool,
}

/// One deployment: a name in the address that stands for a model.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Deployment {
    #[serde(default)]
    pub name: String,
    /// The model behind it, as answers name it: `gpt-4o-2024-11-20`.
    pub model: String,
    pub kind: Kind,
    /// Requests per minute, judged in windows of ten seconds. None: never refused.
    #[serde(default)]
    pub requests_per_minute: Option<u32>,
    /// Tokens per minute, charged on admission. None: never refused.
    #[serde(default)]
    pub tokens_per_minute: Option<u32>,
    /// Pause between the events of a stream.
    #[serde(default)]
    pub event_interval_ms: u64,
}

/// Which operations a deployment can answer.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Chat,
    Completion,
    Embedding,
    Image,
    /// Transcripts and translations.
    Transcription,
    Speech,
    Video,
    /// Claude.
    Messages,
}

impl Deployment {
    /// A deployment without limits that answers as fast as it can.
    pub fn new(name: impl Into<String>, model: impl Into<String>, kind: Kind) -> Self {
        Self {
            name: name.into(),
            model: model.into(),
            kind,
            requests_per_minute: None,
            tokens_per_minute: None,
            event_interval_ms: 0,
        }
    }

    /// The same with limits per minute.
    pub fn limited(mut self, requests: Option<u32>, tokens: Option<u32>) -> Self {
        self.requests_per_minute = requests;
        self.tokens_per_minute = tokens;
        self
    }
}

impl Default for Settings {
    fn default() -> Self {
        let chat = [
            ("gpt-35-turbo", "gpt-35-turbo-0125"),
            ("gpt-4o", "gpt-4o-2024-11-20"),
            ("gpt-4o-mini", "gpt-4o-mini-2024-07-18"),
            ("gpt-4.1", "gpt-4.1-2025-04-14"),
            ("gpt-4.1-mini", "gpt-4.1-mini-2025-04-14"),
            ("o4-mini", "o4-mini-2025-04-16"),
            ("gpt-5", "gpt-5-2025-08-07"),
            ("gpt-5-mini", "gpt-5-mini-2025-08-07"),
            ("gpt-5-nano", "gpt-5-nano-2025-08-07"),
            ("gpt-5.2", "gpt-5.2-2025-12-11"),
            ("gpt-5.4", "gpt-5.4-2026-03-05"),
        ];
        let embedding = [
            ("text-embedding-3-small", "text-embedding-3-small"),
            ("text-embedding-3-large", "text-embedding-3-large"),
            ("text-embedding-ada-002", "text-embedding-ada-002"),
        ];
        let media = [
            ("gpt-image-1", Kind::Image),
            ("whisper", Kind::Transcription),
            ("gpt-4o-transcribe", Kind::Transcription),
            ("tts", Kind::Speech),
            ("sora-2", Kind::Video),
        ];
        let completion = [("gpt-35-turbo-instruct", "gpt-35-turbo-instruct-0914")];
        let messages = [
            ("claude-sonnet-4-6", "claude-sonnet-4-6"),
            ("claude-opus-4-7", "claude-opus-4-7"),
            ("claude-haiku-4-5", "claude-haiku-4-5-20251001"),
        ];
        let of_kind = |kind: Kind| move |(name, model): &(&str, &str)| Deployment::new(*name, *model, kind);
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            tls: false,
            keys: vec![DEFAULT_KEY.to_owned()],
            deployments: chat
                .iter()
                .map(of_kind(Kind::Chat))
                .chain(embedding.iter().map(of_kind(Kind::Embedding)))
                .chain(completion.iter().map(of_kind(Kind::Completion)))
                .chain(media.iter().map(|(name, kind)| Deployment::new(*name, *name, *kind)))
                .chain(messages.iter().map(of_kind(Kind::Messages)))
                .collect(),
            identity: IdentitySettings::default(),
            record: true,
        }
    }
}
