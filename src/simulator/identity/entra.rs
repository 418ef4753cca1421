//! Entra's token endpoint: `POST /{tenant}/oauth2/v2.0/token` with the client credentials grant (RFC 6749, section 4.4).

use std::collections::HashMap;

use http::{Method, request};
use serde_json::json;

use super::super::answer::Answer;
use super::super::routes::decode;
use super::{Application, Identity, Refused, assertion};

/// The one kind of assertion that is taken (RFC 7523).
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

impl Identity {
    pub(super) fn entra(&self, head: &request::Parts, body: &[u8], origin: &str) -> Result<Answer, Refused> {
        if head.method != Method::POST {
            return Err(Refused::unavailable(405, Some("Only POST is allowed here.")));
        }
        let path = head.uri.path();
        let tenant = path.trim_start_matches('/').split('/').next().map(decode).unwrap_or_default();
        if tenant != self.settings.tenant {
            return Err(Refused::unknown_tenant(&tenant));
        }
        let form: HashMap<String, String> = url::form_urlencoded::parse(body).into_owned().collect();
        let field = |name: &str| form.get(name).map(String::as_str).ok_or_else(|| Refused::missing(name));
        match field("grant_type")? {
            "client_credentials" => {}
            other => return Err(Refused::unsupported_grant(other)),
        }
        let id = field("client_id")?;
        let application = self.application(id).ok_or_else(|| Refused::unknown_application(id, &tenant))?;
        prove(&application, &form, &format!("{origin}{path}"))?;
        let scope = field("scope")?;
        let resource = scope.strip_suffix("/.default").ok_or_else(|| Refused::scope_without_default(scope))?;
        if !self.settings.resources.iter().any(|known| known == resource) {
            return Err(Refused::unknown_resource(resource));
        }
        let (token, _) = self.issue(id, resource);
        let seconds = self.lifetime().as_secs();
        let mut document =
            json!({"token_type": "Bearer", "expires_in": seconds, "ext_expires_in": seconds, "access_token": token});
        if let Some(refresh) = self.settings.refresh_in {
            document["refresh_in"] = json!(refresh.as_secs());
        }
        Ok(Answer::json(200, document.to_string()))
    }
}

/// Whether the request shows one of the application's credentials.
fn prove(application: &Application, form: &HashMap<String, String>, audience: &str) -> Result<(), Refused> {
    if let Some(secret) = form.get("client_secret") {
        let known = application.secrets.contains(secret);
        return if known { Ok(()) } else { Err(Refused::wrong_secret(&application.id)) };
    }
    let missing = || Refused::missing("client_assertion' or 'client_secret");
    let text = form.get("client_assertion").ok_or_else(missing)?;
    if form.get("client_assertion_type").map(String::as_str) != Some(JWT_BEARER) {
        return Err(Refused::missing("client_assertion_type"));
    }
    if application.federated.contains(text) {
        return Ok(());
    }
    assertion::check(text, application, audience)
}
