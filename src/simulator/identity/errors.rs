//! Refusals of the identity platform in its own words, with the line breaks that trip readers up.

use http::HeaderValue;
use http::header::WWW_AUTHENTICATE;
use serde_json::{Value, json};

use super::super::answer::Answer;

/// Ids that Entra appends to each description; they are the same for everybody here.
const TRACE: &str = "Trace ID: 4457d068-2a03-42b2-97f2-d55325289d86\r\nCorrelation ID: 6b3474d8-233e-463f-b0a3-86433d8ba889\r\n\
    Timestamp: 2026-11-21 06:31:41Z";

/// An answer without a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    status: u16,
    body: Value,
    challenge: Option<String>,
}

impl Refused {
    pub fn answer(&self) -> Answer {
        let mut answer = Answer::json(self.status, self.body.to_string());
        if let Some(challenge) = self.challenge.as_deref().and_then(|text| HeaderValue::from_str(text).ok()) {
            answer.headers.insert(WWW_AUTHENTICATE, challenge);
        }
        answer
    }

    /// Entra's form: `error`, and a description that begins with the code.
    fn entra(status: u16, error: &str, code: u32, text: &str) -> Self {
        let body = json!({
            "error": error,
            "error_description": format!("AADSTS{code}: {text}\r\n{TRACE}"),
            "error_codes": [code],
            "timestamp": "2026-11-21 06:31:41Z",
            "trace_id": "4457d068-2a03-42b2-97f2-d55325289d86",
            "correlation_id": "6b3474d8-233e-463f-b0a3-86433d8ba889",
            "error_uri": format!("https://login.microsoftonline.com/error?code={code}"),
        });
        Self { status, body, challenge: None }
    }

    pub fn unknown_tenant(tenant: &str) -> Self {
        let text = format!(
            "Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID and are signing into the \
             correct cloud."
        );
        Self::entra(400, "invalid_request", 90002, &text)
    }

    pub fn missing(parameter: &str) -> Self {
        let text = format!("The request body must contain the following parameter: '{parameter}'.");
        Self::entra(400, "invalid_request", 900_144, &text)
    }

    pub fn unsupported_grant(grant: &str) -> Self {
        let text = format!("The app requested an unsupported grant type '{grant}'.");
        Self::entra(400, "unsupported_grant_type", 70003, &text)
    }

    pub fn unknown_application(id: &str, tenant: &str) -> Self {
        let text = format!("Application with identifier '{id}' was not found in the directory '{tenant}'.");
        Self::entra(400, "unauthorized_client", 700_016, &text)
    }

    pub fn wrong_secret(id: &str) -> Self {
        let text = format!(
            "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, \
             not the client secret ID, for a secret added to app '{id}'."
        );
        Self::entra(401, "invalid_client", 7_000_215, &text)
    }

    pub fn assertion_expired() -> Self {
        Self::entra(401, "invalid_client", 700_024, "Client assertion is not within its valid time range.")
    }

    pub fn assertion_not_verified(why: &str) -> Self {
        let text = format!("Client assertion failed signature validation. [Reason - {why}]");
        Self::entra(401, "invalid_client", 700_027, &text)
    }

    pub fn scope_without_default(scope: &str) -> Self {
        let text = format!(
            "The provided value for scope {scope} is not valid. Client credential flows must have a scope value with \
             /.default suffixed to the resource identifier (application ID URI)."
        );
        Self::entra(400, "invalid_scope", 1_002_012, &text)
    }

    pub fn unknown_resource(resource: &str) -> Self {
        let text = format!("The resource principal named {resource} was not found in the tenant.");
        Self::entra(400, "invalid_resource", 500_011, &text)
    }

    /// A failure of the platform itself, as a fault asks for it.
    pub fn unavailable(status: u16, message: Option<&str>) -> Self {
        let text = message.unwrap_or("An unexpected error occurred in the service.");
        Self::entra(status, "temporarily_unavailable", 90033, text)
    }

    /// The form of managed-identity endpoints.
    pub fn managed(status: u16, error: &str, description: &str) -> Self {
        Self { status, body: json!({"error": error, "error_description": description}), challenge: None }
    }

    /// Azure Arc asks to show that its file can be read.
    pub fn challenge(file: &str) -> Self {
        let refused = Self::managed(401, "unauthorized_client", "Missing Basic Authorization header");
        Self { challenge: Some(format!("Basic realm={file}")), ..refused }
    }
}
