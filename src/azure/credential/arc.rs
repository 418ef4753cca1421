//! The managed identity of a machine that Azure Arc looks after. The agent on the machine asks to see a file that only
//! members of a group can read (Azure Arc-enabled servers, "Authenticate with managed identity").

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use azure_core::credentials::{AccessToken, TokenCredential, TokenRequestOptions};
use azure_core::error::ErrorKind;
use azure_core::http::Url;
use azure_core::time::OffsetDateTime;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use super::wire::{Failure, Wire};

const VERSION: &str = "2020-06-01";

/// A challenge file has some dozen bytes.
const LARGEST_FILE: u64 = 4_096;

#[derive(Debug)]
pub struct ArcCredential {
    pub endpoint: Url,
    /// The one directory that a challenge may point into: an agent that is none could ask for any file.
    pub directory: PathBuf,
    pub wire: Arc<Wire>,
}

#[async_trait]
impl TokenCredential for ArcCredential {
    async fn get_token(&self, scopes: &[&str], _: Option<TokenRequestOptions<'_>>) -> azure_core::Result<AccessToken> {
        let got = self.ask(scopes).await;
        got.map_err(|failure| azure_core::Error::new(ErrorKind::Credential, failure))
    }
}

impl ArcCredential {
    async fn ask(&self, scopes: &[&str]) -> Result<AccessToken, Failure> {
        let [scope] = scopes else {
            return Err(Failure::Setup("a managed identity takes exactly one scope".to_owned()));
        };
        let resource = scope.strip_suffix("/.default").unwrap_or(scope);
        let mut url = self.endpoint.clone();
        url.query_pairs_mut().append_pair("api-version", VERSION).append_pair("resource", resource);
        let mut headers = HeaderMap::new();
        headers.insert("metadata", HeaderValue::from_static("true"));
        let asked = self.wire.exchange(Method::GET, &url, headers.clone(), Bytes::new()).await?;
        if asked.status != StatusCode::UNAUTHORIZED {
            self.wire.judge(&url, &asked)?;
            return Err(Failure::Setup(format!("{url} is no agent of Azure Arc: it did not ask for its file")));
        }
        let challenge = asked.headers.get(header::WWW_AUTHENTICATE).and_then(|value| value.to_str().ok());
        let secret = self.answer_to(challenge.unwrap_or_default()).await.map_err(Failure::Setup)?;
        headers.insert(header::AUTHORIZATION, secret);
        let answered = self.wire.exchange(Method::GET, &url, headers, Bytes::new()).await?;
        let document = self.wire.judge(&url, &answered)?;
        let token = document["access_token"].as_str().unwrap_or_default().to_owned();
        Ok(AccessToken::new(token, OffsetDateTime::now_utc()))
    }

    async fn answer_to(&self, challenge: &str) -> Result<HeaderValue, String> {
        let file = challenged_file(challenge, &self.directory)?;
        let unreadable = |error: std::io::Error| {
            let file = file.display();
            format!("`{file}` cannot be read: {error}; add the user that runs azgate to the group `himds`")
        };
        let found = tokio::fs::symlink_metadata(&file).await.map_err(unreadable)?;
        if !found.is_file() || found.len() > LARGEST_FILE {
            return Err(format!("`{}` is no challenge file of Azure Arc", file.display()));
        }
        let text = tokio::fs::read_to_string(&file).await.map_err(unreadable)?;
        let mut value = HeaderValue::from_str(&format!("Basic {}", text.trim_end()))
            .map_err(|_| format!("`{}` holds what cannot stand in a header", file.display()))?;
        value.set_sensitive(true);
        Ok(value)
    }
}

/// The file of a challenge `Basic realm=/path/to/file.key`, when it lies where such files lie.
fn challenged_file(challenge: &str, directory: &Path) -> Result<PathBuf, String> {
    let named = challenge.strip_prefix("Basic realm=").map(|path| path.trim().trim_matches('"'));
    let file = PathBuf::from(named.ok_or_else(|| "Azure Arc's agent did not name its file".to_owned())?);
    let lies_there = file.parent() == Some(directory) && file.extension().is_some_and(|extension| extension == "key");
    if lies_there {
        Ok(file)
    } else {
        Err(format!("Azure Arc's agent named a file outside of `{}`", directory.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_leads_into_the_agents_directory_only() {
        let directory = Path::new("/var/opt/azcmagent/tokens");
        let found = challenged_file("Basic realm=/var/opt/azcmagent/tokens/a1.key", directory);
        assert_eq!(found.unwrap(), PathBuf::from("/var/opt/azcmagent/tokens/a1.key"));
        for challenge in [
            "Basic realm=/etc/shadow",
            "Basic realm=/var/opt/azcmagent/tokens/../x.key",
            "Basic realm=/var/opt/azcmagent/tokens/sub/x.key",
            "Basic realm=/var/opt/azcmagent/tokens/x.pem",
            "Bearer realm=/var/opt/azcmagent/tokens/a1.key",
            "",
        ] {
            assert!(challenged_file(challenge, directory).is_err(), "{challenge}");
        }
    }
}
