//! Stage 2: Who calls, before a byte of the body is read: strangers cannot make the gateway hold anything for them.

use http::{HeaderName, header};
use jiff::Timestamp;
use pingora::http::RequestHeader;

use super::exchange::{Caller, Received};
use super::refuse::Refusal;
use crate::governance::{Denied, VirtualKey};
use crate::provider::Credential;
use crate::snapshot::Snapshot;

/// Where a caller may show a key, in the order in which they are tried.
static CREDENTIALS: [HeaderName; 5] = [
    HeaderName::from_static("x-azgate-vk"),
    HeaderName::from_static("x-bf-vk"),
    header::AUTHORIZATION,
    HeaderName::from_static("api-key"),
    HeaderName::from_static("x-api-key"),
];

/// The first of these are only ever for virtual keys; the others carry a provider's own key as well.
const OF_VIRTUAL_KEYS: usize = 2;

/// Where a caller with a provider's own key may name its endpoint.
static ENDPOINTS: [HeaderName; 2] =
    [HeaderName::from_static("x-azgate-azure-endpoint"), HeaderName::from_static("x-bf-azure-endpoint")];

/// Finds out who calls. Of several credentials any one that is a valid virtual key admits.
pub fn identify(head: &RequestHeader, received: &Received, snapshot: &Snapshot) -> Result<Caller, Refusal> {
    let endpoint = ENDPOINTS.iter().find_map(|name| text(head, name)).map(str::to_owned);
    let mut denied = None;
    let mut direct = None;
    for (place, name) in CREDENTIALS.iter().enumerate() {
        for presented in presented(head, name) {
            if let Some(key) = snapshot.callers.find(presented) {
                match key.admit(Timestamp::now(), received.address) {
                    Ok(()) if endpoint.is_none() => return Ok(Caller::Virtual(std::sync::Arc::clone(key))),
                    Ok(()) => return Err(virtual_key_with_endpoint()),
                    Err(why) => denied = Some(why),
                }
            } else {
                denied.get_or_insert(Denied::UnknownKey);
                if direct.is_none() && place >= OF_VIRTUAL_KEYS {
                    direct = Some(presented);
                }
            }
        }
    }
    match (denied, direct) {
        // A known key that is not in force is refused for what it is, whatever else was presented.
        (Some(why), _) if why != Denied::UnknownKey => Err(why.into()),
        (_, Some(credential)) if snapshot.client.allow_direct_keys => direct_caller(credential, endpoint),
        (Some(why), _) if snapshot.client.enforce_auth => Err(why.into()),
        (None, _) if snapshot.client.enforce_auth => Err(Denied::NoKey.into()),
        _ if endpoint.is_some() => Err(endpoint_without_key()),
        _ => Ok(Caller::Anonymous),
    }
}

/// What a caller may use, once the model is known.
pub fn permit(key: &VirtualKey, provider: &std::sync::Arc<str>, model: &str) -> Result<(), Refusal> {
    key.permits_provider(provider)?;
    Ok(key.permits_model(model)?)
}

pub fn virtual_key_with_endpoint() -> Refusal {
    Refusal::endpoint_not_allowed("a virtual key cannot be used together with an endpoint of the caller's choice")
}

pub fn endpoint_without_key() -> Refusal {
    Refusal::endpoint_not_allowed(
        "an endpoint of the caller's choice needs the caller's own provider key, and direct keys must be allowed by `client.allow_direct_keys`",
    )
}

fn direct_caller(credential: &str, endpoint: Option<String>) -> Result<Caller, Refusal> {
    // Entra tokens are JSON Web Tokens (RFC 7519): three parts, the first of which begins with `{"` in base64.
    let token = credential.starts_with("eyJ") && credential.matches('.').count() == 2;
    let credential = if token { Credential::bearer(credential) } else { Credential::api_key(credential) };
    Ok(Caller::Direct { credential: credential.ok_or(Denied::UnknownKey)?, endpoint })
}

/// The texts presented in a header, without the scheme of `Authorization` (RFC 9110, section 11.1: any case).
fn presented<'a>(head: &'a RequestHeader, name: &'static HeaderName) -> impl Iterator<Item = &'a str> {
    let values = head.headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values
        .map(str::trim)
        .filter_map(move |value| {
            if name != header::AUTHORIZATION {
                return Some(value);
            }
            let (scheme, rest) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| rest.trim())
        })
        .filter(|value| !value.is_empty())
}

fn text<'a>(head: &'a RequestHeader, name: &HeaderName) -> Option<&'a str> {
    head.headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim).filter(|value| !value.is_empty())
}
