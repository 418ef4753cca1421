//! From an identity to one new token: which credential of `azure_identity` asks for it, and what becomes of the answer.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use async_trait::async_trait;
use azure_core::cloud::{CloudConfiguration, CustomConfiguration};
use azure_core::credentials::TokenCredential;
use azure_core::error::ErrorKind;
use azure_core::http::{ClientMethodOptions, ClientOptions, RetryOptions, Transport, Url};
use azure_identity::{
    AzureCliCredential, ClientAssertion, ClientAssertionCredential, ClientAssertionCredentialOptions,
    ClientSecretCredential, ClientSecretCredentialOptions, ManagedIdentityCredential, ManagedIdentityCredentialOptions,
    UserAssignedId, WorkloadIdentityCredential, WorkloadIdentityCredentialOptions,
};

use super::arc::ArcCredential;
use super::certificate::Certificate;
use super::identity::{Identity, Method, Principal};
use super::token::Token;
use super::wire::{Failure, Wire};
use crate::base::{Dial, Endpoint, Secret};

/// Longest wait for a token, all steps together. Azure CLI takes some seconds.
const LIMIT: Duration = Duration::from_secs(30);

/// Where Azure Arc's agent keeps the files that it asks to see; `AZGATE_ARC_KEY_DIRECTORY` names another place, such as a
/// mount in a container.
const ARC_DIRECTORY: &str = "/var/opt/azcmagent/tokens";

type Credential = Arc<dyn TokenCredential>;

/// Asks for a new token; `dial` connects to whoever issues it.
pub async fn fetch(identity: &Identity, dial: Arc<dyn Dial>) -> Result<Token, Failure> {
    let (authority, metadata) = (authority(identity)?, metadata()?);
    let wire = Arc::new(Wire::new(&authority, identity.trusted.as_deref(), metadata, dial));
    let credential = credential(identity, &authority, &wire)?;
    let scopes: Vec<&str> = identity.scopes.iter().map(String::as_str).collect();
    let asked = (Instant::now(), SystemTime::now());
    let late = |_| Failure::Setup(format!("no token within {} s", LIMIT.as_secs()));
    let got = tokio::time::timeout(LIMIT, credential.get_token(&scopes, None)).await.map_err(late)?;
    let heard = wire.heard();
    let token = got.map_err(|error| heard.failure.unwrap_or_else(|| Failure::Setup(first_line(&error.to_string()))))?;
    // What did not come over the wire, a login of Azure CLI, tells its end only.
    let told = || Duration::try_from(token.expires_on - azure_core::time::OffsetDateTime::now_utc()).ok();
    let life = heard.times.life.or_else(told).unwrap_or_default();
    Token::new(token.token.secret(), life, heard.times.refresh_in, asked).ok_or_else(|| {
        let cause = "the answer holds no token, or one that has ended already".to_owned();
        let host = if heard.host.is_empty() { identity.shown() } else { heard.host };
        Failure::Unusable { host, cause }
    })
}

fn credential(identity: &Identity, authority: &Endpoint, wire: &Arc<Wire>) -> Result<Credential, Failure> {
    let made = match &identity.method {
        Method::Secret(principal, secret) => by_secret(principal, secret.expose(), authority, wire),
        Method::Certificate(principal, certificate) => by_certificate(principal, certificate, authority, wire),
        Method::Host { client } => return of_host(client.as_deref(), authority, wire),
        Method::Cli => AzureCliCredential::new(None).map(|made| made as Credential),
    };
    made.map_err(setup)
}

fn by_secret(
    principal: &Principal,
    secret: &str,
    authority: &Endpoint,
    wire: &Arc<Wire>,
) -> azure_core::Result<Credential> {
    let options = ClientSecretCredentialOptions { client_options: client_options(authority, wire) };
    let Principal { tenant, client } = principal.clone();
    Ok(ClientSecretCredential::new(&tenant, client, secret.to_owned().into(), Some(options))?)
}

fn by_certificate(
    principal: &Principal,
    certificate: &Arc<Certificate>,
    authority: &Endpoint,
    wire: &Arc<Wire>,
) -> azure_core::Result<Credential> {
    let options = ClientAssertionCredentialOptions { client_options: client_options(authority, wire) };
    let Principal { tenant, client } = principal.clone();
    let audience = format!("{}://{}/{tenant}/oauth2/v2.0/token", authority.scheme.as_str(), authority.authority());
    let signed = Signed { certificate: Arc::clone(certificate), client: client.clone(), audience };
    Ok(ClientAssertionCredential::new(tenant, client, signed, Some(options))?)
}

/// What the host offers, told by the variables that each kind of host sets. The kinds exclude each other, so that a
/// failure is that of one kind and its words say what to mend.
fn of_host(client: Option<&str>, authority: &Endpoint, wire: &Arc<Wire>) -> Result<Credential, Failure> {
    if let Some(secret) = variable("AZURE_CLIENT_SECRET") {
        let part = |name: &'static str| {
            variable(name).ok_or_else(|| {
                Failure::Setup(format!(
                    "`AZURE_CLIENT_SECRET` is set in the environment, but `{name}` is not; set it too"
                ))
            })
        };
        let principal = Principal { tenant: part("AZURE_TENANT_ID")?, client: part("AZURE_CLIENT_ID")? };
        return by_secret(&principal, Secret::new(secret).expose(), authority, wire).map_err(setup);
    }
    if variable("AZURE_FEDERATED_TOKEN_FILE").is_some() {
        let options = WorkloadIdentityCredentialOptions {
            credential_options: ClientAssertionCredentialOptions { client_options: client_options(authority, wire) },
            client_id: client.map(str::to_owned),
            ..Default::default()
        };
        return WorkloadIdentityCredential::new(Some(options)).map(|made| made as Credential).map_err(setup);
    }
    if let (Some(endpoint), None, Some(_)) =
        (variable("IDENTITY_ENDPOINT"), variable("IDENTITY_HEADER"), variable("IMDS_ENDPOINT"))
    {
        if client.is_some() {
            let why = "Azure Arc has the identity assigned by the system only; remove `managed_identity_client_id`";
            return Err(Failure::Setup(why.to_owned()));
        }
        let endpoint = address("IDENTITY_ENDPOINT", &endpoint)?;
        let directory = variable("AZGATE_ARC_KEY_DIRECTORY").unwrap_or_else(|| ARC_DIRECTORY.to_owned());
        return Ok(Arc::new(ArcCredential { endpoint, directory: PathBuf::from(directory), wire: Arc::clone(wire) }));
    }
    let options = ManagedIdentityCredentialOptions {
        user_assigned_id: client.map(|client| UserAssignedId::ClientId(client.to_owned())),
        client_options: client_options(authority, wire),
    };
    ManagedIdentityCredential::new(Some(options)).map(|made| made as Credential).map_err(setup)
}

/// The configured authority; for identities of the environment the one that the environment names, unless another than
/// the public cloud's was configured.
fn authority(identity: &Identity) -> Result<Endpoint, Failure> {
    let public = Endpoint::https("login.microsoftonline.com");
    match (&identity.method, variable("AZURE_AUTHORITY_HOST")) {
        (Method::Host { .. }, Some(named)) if identity.authority == public => Endpoint::parse(&named)
            .map_err(|error| Failure::Setup(format!("the variable `AZURE_AUTHORITY_HOST` {error}"))),
        _ => Ok(identity.authority.clone()),
    }
}

/// Where the metadata service is when it is not where it always is.
fn metadata() -> Result<Option<Url>, Failure> {
    const NAME: &str = "AZURE_POD_IDENTITY_AUTHORITY_HOST";
    variable(NAME).map(|text| address(NAME, &text)).transpose()
}

fn address(name: &str, text: &str) -> Result<Url, Failure> {
    Url::parse(text).map_err(|error| Failure::Setup(format!("the variable `{name}` is no URL: {error}")))
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|text| !text.is_empty())
}

fn client_options(authority: &Endpoint, wire: &Arc<Wire>) -> ClientOptions {
    let mut cloud = CustomConfiguration::default();
    // Always `https`, with the port spelled out: the wire knows what is meant.
    let host = if authority.host.contains(':') { format!("[{}]", authority.host) } else { authority.host.clone() };
    cloud.authority_host = format!("https://{host}:{}", authority.port);
    ClientOptions {
        retry: RetryOptions::none(),
        transport: Some(Transport::new(Arc::clone(wire) as Arc<_>)),
        cloud: Some(Arc::new(CloudConfiguration::Custom(cloud))),
        ..Default::default()
    }
}

fn setup(error: azure_core::Error) -> Failure {
    Failure::Setup(first_line(&error.to_string()))
}

/// The crate's errors go on with a link to its own documentation.
fn first_line(text: &str) -> String {
    text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("unknown error").chars().take(600).collect()
}

/// Signs an assertion whenever one is needed.
#[derive(Debug)]
struct Signed {
    certificate: Arc<Certificate>,
    client: String,
    audience: String,
}

#[async_trait]
impl ClientAssertion for Signed {
    async fn secret(&self, _: Option<ClientMethodOptions<'_>>) -> azure_core::Result<String> {
        let assertion = self.certificate.assertion(&self.client, &self.audience, SystemTime::now());
        assertion.map_err(|why| azure_core::Error::with_message(ErrorKind::Credential, why))
    }
}
