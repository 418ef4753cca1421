//! A request as every dialect means it. Readers make it, writers write it down; what only one dialect can say is either
//! dropped by its reader as a hint or refused there.

use serde_json::{Number, Value};

use super::refused::Refused;

/// What is asked of a model.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Request {
    /// Instructions in front of the conversation.
    pub system: Vec<Text>,
    pub turns: Vec<Turn>,
    pub tools: Vec<Tool>,
    pub tool_choice: Option<ToolChoice>,
    /// False: at most one call in a turn.
    pub parallel: Option<bool>,
    /// Tokens of the answer, thinking included.
    pub limit: Option<u64>,
    pub temperature: Option<Number>,
    pub top_p: Option<Number>,
    pub stop: Vec<String>,
    pub thinking: Option<Thinking>,
    pub format: Option<Format>,
    /// Whoever uses the application, in the caller's own terms.
    pub user: Option<String>,
    /// What requests have in common whose prompts begin alike.
    pub cache_key: Option<String>,
    pub stream: bool,
    /// How long the answer should be (`verbosity`).
    pub verbosity: Option<String>,
}

/// Text, and the cache mark behind it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Text {
    pub text: String,
    pub cache: Option<Value>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Turn {
    pub role: Role,
    pub parts: Vec<Part>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Instructions in the middle of a conversation.
    System,
    User,
    Assistant,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    Text(Text),
    Image(Media),
    Document(Document),
    /// The assistant's own refusal.
    Refusal(String),
    Thought(Thought),
    Call(Call),
    Result(CallResult),
}

/// Where the bytes of an image or document are.
#[derive(Clone, Debug, PartialEq)]
pub struct Media {
    pub source: Source,
    pub cache: Option<Value>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    Base64 {
        media_type: String,
        data: String,
    },
    Url(String),
    /// Plain text, which only documents can be.
    Text(String),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    pub media: Media,
    pub name: Option<String>,
}

/// Reasoning of an earlier turn. Only whoever made the proof can read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thought {
    pub text: String,
    pub proof: Proof,
}

/// What makes earlier reasoning valid when it is sent back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// Claude's signature over the text.
    Signature(String),
    /// Claude's thinking that nobody else can read.
    Redacted(String),
    /// An OpenAI model's encrypted reasoning, which only the Azure resource that made it can read.
    Encrypted { origin: String, id: String, content: String },
}

#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    pub id: String,
    pub name: String,
    /// JSON text of an object; none stands for an empty one.
    pub arguments: String,
    pub cache: Option<Value>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct CallResult {
    pub id: String,
    pub parts: Vec<Part>,
    pub failed: bool,
    pub cache: Option<Value>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Tool {
    pub name: String,
    pub description: Option<String>,
    /// A JSON Schema whose type is `object`.
    pub schema: Value,
    pub strict: Option<bool>,
    pub cache: Option<Value>,
    /// Takes free text: called with one argument `input` where the other side knows only objects.
    pub free_text: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToolChoice {
    None,
    Auto,
    Any,
    Named(String),
}

/// How much the model is to think.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thinking {
    pub effort: Effort,
    /// The caller wants to see a summary.
    pub shown: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effort {
    None,
    Minimal,
    Low,
    Medium,
    High,
    XHigh,
    Max,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Format {
    /// Any JSON object.
    Json,
    Schema {
        name: Option<String>,
        schema: Value,
        strict: Option<bool>,
    },
}

impl Effort {
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|effort| effort.name() == name)
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Minimal => "minimal",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::XHigh => "xhigh",
            Self::Max => "max",
        }
    }

    const ALL: [Self; 7] = [Self::None, Self::Minimal, Self::Low, Self::Medium, Self::High, Self::XHigh, Self::Max];
}

impl Media {
    /// Its own address, or one that holds its data.
    pub fn address(&self, what: &'static str) -> Result<String, Refused> {
        match &self.source {
            Source::Url(url) => Ok(url.clone()),
            Source::Base64 { media_type, data } => Ok(format!("data:{media_type};base64,{data}")),
            Source::Text(_) => Err(Refused::invalid(what, "an address or data")),
        }
    }
}

impl Source {
    /// What an address holds: data, or the place where it is.
    pub fn of_address(address: String) -> Self {
        let data = || {
            let (media_type, data) = address.strip_prefix("data:")?.split_once(";base64,")?;
            Some(Self::Base64 { media_type: media_type.to_owned(), data: data.to_owned() })
        };
        data().unwrap_or(Self::Url(address))
    }
}

impl Text {
    pub fn plain(text: impl Into<String>) -> Self {
        Self { text: text.into(), cache: None }
    }
}

impl Request {
    /// Whether the model has tools of its caller to call.
    pub fn has_tools(&self) -> bool {
        !self.tools.is_empty()
    }
}
