//! Why a request or an answer has no counterpart in another dialect.

/// A request that cannot be translated as it stands.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refused {
    /// The field means something that the other side cannot do, and leaving it out would change the answer.
    #[error("the field `{field}` cannot be served by this model: {why}")]
    NotSupported { field: String, why: &'static str },
    /// The field is not what its own dialect says.
    #[error("the field `{field}` must be {expected}")]
    Invalid { field: String, expected: &'static str },
    #[error("the request's body is not a JSON object: {0}")]
    NotJson(String),
}

impl Refused {
    pub fn not_supported(field: impl Into<String>, why: &'static str) -> Self {
        Self::NotSupported { field: field.into(), why }
    }

    pub fn invalid(field: impl Into<String>, expected: &'static str) -> Self {
        Self::Invalid { field: field.into(), expected }
    }

    /// The field at fault.
    pub fn field(&self) -> Option<&str> {
        match self {
            Self::NotSupported { field, .. } | Self::Invalid { field, .. } => Some(field),
            Self::NotJson(_) => None,
        }
    }

    /// Whether the request is well-formed in its own dialect.
    pub fn is_unsupported(&self) -> bool {
        matches!(self, Self::NotSupported { .. })
    }
}

/// An answer of an upstream that is not in the dialect it should be in.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the upstream's answer cannot be read: {0}")]
pub struct Unreadable(pub String);

impl From<serde_json::Error> for Unreadable {
    fn from(error: serde_json::Error) -> Self {
        Self(error.to_string())
    }
}
