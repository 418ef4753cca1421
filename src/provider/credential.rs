//! What a key presents to its service, and the one header it goes into.

use http::{HeaderName, HeaderValue, header};

/// The value is marked sensitive, so that no debug output shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// An API key as the services have headers of their own for: `api-key` on Azure OpenAI, `x-api-key` for Claude on Azure
    /// and at Anthropic.
    ApiKey(HeaderValue),
    /// `Bearer …`: a token (RFC 6750, section 2.1), or an API key of the OpenAI API.
    Bearer(HeaderValue),
}

/// Which of the two headers takes an API key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyHeader {
    OpenAi,
    Anthropic,
}

impl Credential {
    /// An API key in the header of its service's own; `None` when it cannot stand in a header.
    pub fn api_key(key: &str) -> Option<Self> {
        sensitive(key).map(Self::ApiKey)
    }

    /// A bearer token; `None` when it cannot stand in a header.
    pub fn bearer(token: &str) -> Option<Self> {
        sensitive(&format!("Bearer {token}")).map(Self::Bearer)
    }

    /// The one header that carries the credential.
    pub fn header(&self, of_key: KeyHeader) -> (HeaderName, HeaderValue) {
        match (self, of_key) {
            (Self::Bearer(value), _) => (header::AUTHORIZATION, value.clone()),
            (Self::ApiKey(value), KeyHeader::OpenAi) => (HeaderName::from_static("api-key"), value.clone()),
            (Self::ApiKey(value), KeyHeader::Anthropic) => (HeaderName::from_static("x-api-key"), value.clone()),
        }
    }
}

fn sensitive(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_credential_has_one_header_and_never_prints() {
        for (credential, of_key, name, value) in [
            (Credential::api_key("k"), KeyHeader::OpenAi, "api-key", "k"),
            (Credential::api_key("k"), KeyHeader::Anthropic, "x-api-key", "k"),
            (Credential::bearer("k"), KeyHeader::OpenAi, "authorization", "Bearer k"),
            (Credential::bearer("k"), KeyHeader::Anthropic, "authorization", "Bearer k"),
        ] {
            let credential = credential.unwrap();
            assert_eq!(credential.header(of_key), (name.parse().unwrap(), value.parse().unwrap()));
            assert!(!format!("{credential:?}").contains('k') || !format!("{credential:?}").contains("\"k"));
        }
        assert_eq!(Credential::api_key("a\nb"), None);
    }
}
