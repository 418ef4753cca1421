//! Section `providers.*.keys[*]`: one credential, where it leads, and the models it serves.

use std::{borrow::Cow, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{Error, Visitor},
};

use super::{
    ApiVersion, Ignored, Members, RateLimit,
    form::{self, EndpointText, PlainText, ResourceText, SecretText, VersionText},
};
use crate::{
    base::{Endpoint, Globs, Secret},
    config::read::TEXT_OR_OBJECT,
};

/// One credential, where it leads, and the models it serves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["name"]))]
pub struct Key {
    /// Name of the key, unique in the file. Stands in logs, metrics and the header `x-azgate-key`.
    pub name: String,
    /// The API key. On Azure, without it and without a service principal, the managed identity of the host is used.
    #[serde(skip_serializing, deserialize_with = "form::secret_or_blank")]
    #[schemars(with = "Option<SecretText>")]
    pub value: Option<Secret>,
    /// Models that the key serves; `*` is a wildcard, `[]` allows none.
    #[schemars(with = "Vec<String>")]
    pub models: Globs,
    /// Models that the key does not serve, whatever `models` says; `*` is a wildcard.
    #[schemars(with = "Vec<String>")]
    pub blacklisted_models: Globs,
    /// Share of the requests among the keys of one priority, relative to the other weights. A key of weight 0 gets
    /// none while another key is open.
    #[schemars(range(min = 0))]
    pub weight: f64,
    /// Keys with the lowest number are used first; the next ones when all of those are closed.
    pub priority: u32,
    /// Whether the key is used.
    pub enabled: bool,
    /// Names that callers use, to deployments: the deployment's name, or an object that says more about it. The case
    /// of letters does not matter.
    pub aliases: Members<Alias>,
    /// Where the key leads on Azure, and the identity to use there.
    pub azure_key_config: Option<AzureKeyConfig>,
    /// What the key may be used for at most; a further request goes to another key.
    pub rate_limit: RateLimit,
    /// Headers to add to each request with this key, by name.
    #[serde(skip_serializing, deserialize_with = "form::members::<SecretText, _>")]
    #[schemars(with = "Members<SecretText>")]
    pub headers: Members<Secret>,
    /// Accepted and ignored: keys are known by their names.
    pub id: Option<Ignored>,
    /// Accepted and ignored.
    pub description: Option<Ignored>,
    /// Accepted and ignored: every key serves batches.
    pub use_for_batch_api: Option<Ignored>,
    /// Accepted and ignored: the family of a deployment decides.
    pub use_anthropic_endpoints: Option<Ignored>,
    /// Accepted and ignored.
    pub config_hash: Option<Ignored>,
    /// Accepted and ignored.
    pub status: Option<Ignored>,
}

/// What a name stands for.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Alias {
    pub model_id: String,
    pub model_name: Option<String>,
    pub model_family: Option<Family>,
    pub api: Option<UpstreamApi>,
    pub azure: Option<AliasAzure>,
}

/// What a name stands for, in full.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Alias", extend("required" = ["model_id"]))]
struct AliasObject {
    /// Name of the deployment (on Azure) or model that is asked for upstream.
    model_id: String,
    /// The model behind the deployment, for prices and for recognising Claude.
    model_name: Option<String>,
    /// Whose model it is. Otherwise names that begin with `claude` are Anthropic's, all others OpenAI's.
    model_family: Option<Family>,
    /// The API to call where the deployment does not have both.
    api: Option<UpstreamApi>,
    /// What differs on Azure from the rest of the key.
    azure: Option<AliasAzure>,
    /// Accepted and ignored.
    description: Option<Ignored>,
    /// Accepted and ignored.
    region: Option<Ignored>,
    /// Accepted and ignored.
    project_id: Option<Ignored>,
    /// Accepted and ignored: the family of a deployment decides.
    use_anthropic_endpoints: Option<Ignored>,
}

/// What differs on Azure for one alias.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AliasAzure {
    /// API version for this deployment.
    #[serde(deserialize_with = "form::optional::<VersionText, _>")]
    #[schemars(with = "Option<VersionText>")]
    pub api_version: Option<ApiVersion>,
    /// Value of `anthropic-version` for this deployment.
    pub anthropic_version: Option<String>,
    /// Another resource that the same credential opens.
    #[serde(deserialize_with = "form::optional::<ResourceText, _>")]
    #[schemars(with = "Option<ResourceText>")]
    pub endpoint: Option<Endpoint>,
}

/// Whose model a deployment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// Called with the Chat Completions or Responses API.
    Openai,
    /// Claude: called with the Messages API.
    Anthropic,
}

/// The API that a deployment is called with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UpstreamApi {
    /// Chat Completions only.
    Chat,
    /// Responses.
    Responses,
}

/// Where a key leads on Azure, and the identity to use there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["endpoint"]))]
pub struct AzureKeyConfig {
    /// Address of the resource, such as `https://acme-west.openai.azure.com`, or its bare name `acme-west`.
    #[serde(deserialize_with = "form::optional::<ResourceText, _>")]
    #[schemars(with = "ResourceText")]
    pub endpoint: Option<Endpoint>,
    /// `v1` or `preview`: everything under `/openai/v1`. A date, such as `2024-10-21`: the classic paths.
    #[serde(deserialize_with = "form::one::<VersionText, _>")]
    #[schemars(with = "VersionText")]
    pub api_version: ApiVersion,
    /// Directory (tenant) of the service principal. Goes with `client_id`, and `client_secret` or `client_certificate`.
    #[serde(deserialize_with = "form::optional::<PlainText, _>")]
    #[schemars(with = "Option<PlainText>")]
    pub tenant_id: Option<String>,
    /// Application (client) of the service principal.
    #[serde(deserialize_with = "form::optional::<PlainText, _>")]
    #[schemars(with = "Option<PlainText>")]
    pub client_id: Option<String>,
    /// Secret of the service principal.
    #[serde(skip_serializing, deserialize_with = "form::optional::<SecretText, _>")]
    #[schemars(with = "Option<SecretText>")]
    pub client_secret: Option<Secret>,
    /// Certificate of the service principal and its RSA key, both as PEM in one text, in place of a secret.
    #[serde(skip_serializing, deserialize_with = "form::optional::<SecretText, _>")]
    #[schemars(with = "Option<SecretText>")]
    pub client_certificate: Option<Secret>,
    /// Scopes of the tokens to ask for. Projects of Foundry want `https://ai.azure.com/.default`.
    pub scopes: Vec<String>,
    /// Where tokens are issued; other clouds have their own.
    #[serde(deserialize_with = "form::one::<EndpointText, _>")]
    #[schemars(with = "EndpointText")]
    pub authority_host: Endpoint,
    /// Client of a user-assigned managed identity. Without it, the one assigned by the system.
    #[serde(deserialize_with = "form::optional::<PlainText, _>")]
    #[schemars(with = "Option<PlainText>")]
    pub managed_identity_client_id: Option<String>,
    /// Use the login of Azure CLI in place of the host's identity. For development: it is the developer's own.
    pub azure_cli_login: bool,
    /// Part of a token's life after which it is refreshed in the background; up to a quarter of its life is added at random.
    #[schemars(range(min = 0.1, max = 0.9))]
    pub token_refresh_after: f64,
    /// Older spelling of `aliases`: names that callers use, to deployments. `aliases` go first.
    #[schemars(extend("deprecated" = true))]
    pub deployments: Members<String>,
}

impl Default for Key {
    fn default() -> Self {
        Self {
            name: String::new(),
            value: None,
            models: Globs::all(),
            blacklisted_models: Globs::default(),
            weight: 1.0,
            priority: 0,
            enabled: true,
            aliases: Members::default(),
            azure_key_config: None,
            rate_limit: RateLimit::default(),
            headers: Members::default(),
            id: None,
            description: None,
            use_for_batch_api: None,
            use_anthropic_endpoints: None,
            config_hash: None,
            status: None,
        }
    }
}

impl Default for AzureKeyConfig {
    fn default() -> Self {
        Self {
            endpoint: None,
            api_version: ApiVersion::default(),
            tenant_id: None,
            client_id: None,
            client_secret: None,
            client_certificate: None,
            scopes: vec!["https://cognitiveservices.azure.com/.default".to_owned()],
            authority_host: Endpoint::https("login.microsoftonline.com"),
            managed_identity_client_id: None,
            azure_cli_login: false,
            token_refresh_after: 0.5,
            deployments: Members::default(),
        }
    }
}

impl From<AliasObject> for Alias {
    fn from(object: AliasObject) -> Self {
        let AliasObject { model_id, model_name, model_family, api, azure, .. } = object;
        Self { model_id, model_name, model_family, api, azure }
    }
}

impl<'de> Deserialize<'de> for Alias {
    /// A visitor of its own instead of an untagged enum, so that errors inside the object keep their place.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextOrObject;
        impl<'de> Visitor<'de> for TextOrObject {
            type Value = Alias;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a deployment, or an object with `model_id`")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Alias, E> {
                Ok(Alias { model_id: text.to_owned(), ..Alias::default() })
            }

            fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Alias, D::Error> {
                AliasObject::deserialize(deserializer).map(Alias::from)
            }
        }
        deserializer.deserialize_newtype_struct(TEXT_OR_OBJECT, TextOrObject)
    }
}

impl JsonSchema for Alias {
    fn schema_name() -> Cow<'static, str> {
        "AliasTextOrObject".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let object = generator.subschema_for::<AliasObject>();
        json_schema!({ "anyOf": [{ "type": "string" }, object] })
    }
}
