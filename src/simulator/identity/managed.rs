//! The managed-identity endpoints: of a virtual machine (IMDS), of App Service, and of Azure Arc with its challenge.
//! They give numbers as strings, as the real ones do.

use std::path::Path;

use http::{HeaderMap, Method, request};
use serde_json::json;

use super::super::answer::Answer;
use super::{Identity, Refused};

/// Client id of the identity that the system assigned.
const SYSTEM_ASSIGNED: &str = "sim-system-assigned";

/// Where an identity lives, which decides path, version and proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Host {
    VirtualMachine,
    AppService,
    Arc,
}

/// A query, decoded.
struct Query(Vec<(String, String)>);

impl Host {
    pub fn of(path: &str) -> Option<Self> {
        match path {
            "/metadata/identity/oauth2/token" => Some(Self::VirtualMachine),
            "/msi/token" => Some(Self::AppService),
            "/arc/metadata/identity/oauth2/token" => Some(Self::Arc),
            _ => None,
        }
    }

    fn versions(self) -> &'static [&'static str] {
        match self {
            Self::VirtualMachine => &["2018-02-01", "2019-08-01", "2021-02-01"],
            Self::AppService => &["2019-08-01"],
            Self::Arc => &["2019-11-01", "2020-06-01"],
        }
    }
}

impl Query {
    fn of(head: &request::Parts) -> Self {
        Self(url::form_urlencoded::parse(head.uri.query().unwrap_or_default().as_bytes()).into_owned().collect())
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

impl Identity {
    pub(super) fn managed(&self, host: Host, head: &request::Parts) -> Result<Answer, Refused> {
        if head.method != Method::GET {
            return Err(Refused::managed(405, "method_not_allowed", "Only GET is allowed here"));
        }
        let query = Query::of(head);
        self.prove(host, &head.headers)?;
        if !query.get("api-version").is_some_and(|version| host.versions().contains(&version)) {
            return Err(Refused::managed(400, "bad_request_104", "The api-version is missing or not supported"));
        }
        let resource = query.get("resource").unwrap_or_default();
        if !self.settings.resources.iter().any(|known| known == resource) {
            return Err(Refused::managed(
                400,
                "invalid_resource",
                "AADSTS500011: The resource principal was not found",
            ));
        }
        let id = query.get("client_id").unwrap_or(SYSTEM_ASSIGNED);
        if id != SYSTEM_ASSIGNED && (host == Host::Arc || !self.settings.user_assigned.iter().any(|known| known == id))
        {
            return Err(Refused::managed(400, "invalid_request", "Identity not found"));
        }
        let (token, claims) = self.issue(id, resource);
        let mut document = json!({
            "access_token": token,
            "expires_on": format!("{}", claims.exp.floor()),
            "resource": resource,
            "token_type": "Bearer",
            "client_id": id,
        });
        if host != Host::AppService {
            document["expires_in"] = json!(self.lifetime().as_secs().to_string());
            document["not_before"] = json!(format!("{}", claims.nbf.floor()));
        }
        Ok(Answer::json(200, document.to_string()))
    }

    fn prove(&self, host: Host, headers: &HeaderMap) -> Result<(), Refused> {
        let shown = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        match host {
            Host::AppService if shown("x-identity-header") == Some(&self.settings.app_service_secret) => Ok(()),
            Host::AppService => Err(Refused::managed(401, "unauthorized", "The identity header is missing or wrong")),
            Host::VirtualMachine | Host::Arc if headers.contains_key("x-forwarded-for") => {
                Err(Refused::managed(403, "forbidden", "Requests through a proxy are not allowed"))
            }
            Host::VirtualMachine | Host::Arc if shown("metadata") != Some("true") => {
                Err(Refused::managed(400, "bad_request_102", "Required metadata header not specified"))
            }
            Host::VirtualMachine => Ok(()),
            Host::Arc => self.challenge(shown("authorization")),
        }
    }

    /// Whoever asks has to show what stands in a file that only members of a group can read.
    fn challenge(&self, authorization: Option<&str>) -> Result<(), Refused> {
        let Some(directory) = &self.settings.arc_directory else {
            return Err(Refused::managed(404, "not_found", "This machine is not connected to Azure Arc"));
        };
        let failed = |error: std::io::Error| Refused::managed(500, "internal", &error.to_string());
        let Some(presented) = authorization.and_then(|text| text.strip_prefix("Basic ")) else {
            let file = directory.join(format!("{:016x}.key", fastrand::u64(..)));
            std::fs::write(&file, format!("{:032x}", fastrand::u128(..))).map_err(failed)?;
            return Err(Refused::challenge(&file.display().to_string()));
        };
        match challenge_file(directory, presented) {
            // Each file opens the door once.
            Some(file) => std::fs::remove_file(file).map_err(failed),
            None => Err(Refused::managed(401, "unauthorized_client", "The authorization header is wrong")),
        }
    }
}

fn challenge_file(directory: &Path, presented: &str) -> Option<std::path::PathBuf> {
    let entries = std::fs::read_dir(directory).ok()?;
    let mut files = entries.flatten().map(|entry| entry.path());
    files.find(|file| std::fs::read_to_string(file).is_ok_and(|text| text == presented))
}
