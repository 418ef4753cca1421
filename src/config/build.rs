//! From the validated file to what runs. Cannot fail: whatever could is a problem that was found before.

mod limits;

pub use limits::prices;

use std::collections::BTreeMap;
use std::sync::Arc;

use http::{HeaderName, HeaderValue};
use jiff::Timestamp;

use super::file::{self, File, ProviderKind};
use super::proof::{Caches, proof};
use crate::azure::{self, ApiVersion, BetaRules};
use crate::base::{Endpoint, KeySet, Label, Secret};
use crate::catalog::{Api, Catalog, Family, KeyNames, ProviderNames};
use crate::governance::{Callers, Governor, VirtualKey};
use crate::objects::Origin;
use crate::pool::{Balance, BreakerRules, Health, HealthRules, ProbeKind, Rotations};
use crate::provider::Service;
use crate::snapshot::{ClientRules, Fallbacks, Key, Provider, Retries, Snapshot, Timeouts};
use crate::upstream::{Directory, Host, Limits, NameServers, Protocols, Reach, Rules, certificates};

/// Longest time without progress while a request is written to an upstream.
const WRITE: std::time::Duration = std::time::Duration::from_secs(30);

/// What belongs to the process, and to every configuration in turn.
struct Lasting {
    governor: Arc<Governor>,
    directory: Arc<Directory>,
    caches: Caches,
}

/// Builds the run-time form of a file. What must outlive a reload is taken over from the `old` one: the addresses of
/// the directory of hosts, the turns of keys whose weights stay, and the tokens of identities that stay.
pub fn build(file: &File, old: Option<&Snapshot>) -> Snapshot {
    let governor = old.map_or_else(|| governor(file), |old| Arc::clone(&old.governor));
    let directory = old.map_or_else(Arc::default, |old| Arc::clone(&old.directory));
    let dns = &file.server.dns;
    directory.consult(NameServers { servers: dns.servers.clone(), ipv6: dns.ipv6 });
    let mut lasting = Lasting {
        governor: Arc::clone(&governor),
        directory: Arc::clone(&directory),
        caches: Caches::of(old, Arc::clone(&directory) as Arc<_>),
    };
    let entries: Vec<_> =
        file.providers.iter().map(|(name, settings)| (name, settings, keys(name, settings))).collect();
    let providers: Vec<_> = entries
        .iter()
        .map(|(name, settings, keys)| Arc::new(provider(name, settings, keys, old, &mut lasting)))
        .collect();
    let names = entries.iter().map(|(name, settings, keys)| provider_names(name, settings, keys)).collect();
    let groups = limits::Groups::new(&file.governance, &governor);
    let callers = file.governance.virtual_keys.iter().filter_map(|key| virtual_key(key, &providers, &groups));
    Snapshot {
        generation: old.map_or(1, |old| old.generation + 1),
        client: client(&file.client),
        largest_body: u64::from(file.server.max_request_body_mb) * 1024 * 1024,
        trusted_proxies: file.server.trusted_proxies.clone(),
        callers: Callers::new(callers.collect::<Vec<_>>()),
        prices: prices(&file.pricing),
        catalog: Catalog::new(names),
        providers,
        fallbacks: Fallbacks::new(file.fallbacks.iter().map(|(model, others)| (model, others.as_slice()))),
        direct_timeouts: timeouts(&file::NetworkConfig::default()),
        direct_breaker: breaker(&file::CircuitBreaker::default()),
        direct_exchanges: file::NetworkConfig::default().max_conns_per_host,
        directory,
        register: old.map_or_else(Arc::default, |old| Arc::clone(&old.register)),
        created: Timestamp::now().as_second(),
        governor: Arc::clone(&governor),
    }
}

/// Counters live as long as the process, and so does where they are shared.
fn governor(file: &File) -> Arc<Governor> {
    let url = file.shared_state.as_ref().and_then(|shared| shared.url.as_ref());
    Arc::new(url.and_then(|url| Governor::sharing(url.expose()).ok()).unwrap_or_default())
}

fn client(client: &file::Client) -> ClientRules {
    let forward = client.forward_headers.iter();
    ClientRules {
        enforce_auth: client.enforce_auth_on_inference,
        allow_direct_keys: client.allow_direct_keys,
        direct_endpoints: client.direct_endpoints.clone(),
        forward_headers: forward.filter_map(|name| HeaderName::from_bytes(name.as_bytes()).ok()).collect(),
        strip_filter_results: client.strip_content_filter_results,
        routing_headers: client.routing_headers,
        share_objects: client.share_objects,
    }
}

/// A key and where it leads.
struct Addressed {
    key: file::Key,
    endpoint: Endpoint,
}

/// The keys of a provider. One of type `openai_compatible` without any is asked without a credential. A key that leads
/// nowhere is none; validation lets no such key pass.
fn keys(name: &str, settings: &file::Provider) -> Vec<Addressed> {
    let own = match settings.keys.is_empty() && settings.kind() == ProviderKind::OpenaiCompatible {
        true => vec![file::Key { name: name.to_owned(), ..file::Key::default() }],
        false => settings.keys.clone(),
    };
    let addressed = |key: file::Key| Some(Addressed { endpoint: endpoint(&key, settings)?, key });
    own.into_iter().filter_map(addressed).collect()
}

fn provider(
    name: &str,
    settings: &file::Provider,
    keys: &[Addressed],
    old: Option<&Snapshot>,
    lasting: &mut Lasting,
) -> Provider {
    let old = old.and_then(|old| old.providers.iter().find(|provider| &*provider.name == name));
    let weights: Vec<f64> = keys.iter().map(|key| key.key.weight).collect();
    let same_keys = |old: &&Arc<Provider>| {
        old.keys.len() == keys.len() && old.keys.iter().zip(keys).all(|(old, key)| *old.name == *key.key.name)
    };
    let same = old.filter(same_keys);
    let turns = same.map(|old| &old.rotations).filter(|rotations| rotations.serves(&weights));
    let old = old.map(|old| &**old);
    let beta = settings.network_config.beta_header_overrides.iter();
    Provider {
        name: name.into(),
        label: Label::new(name),
        service: service(settings.kind()),
        balance: match settings.balance {
            file::Balance::Weighted => Balance::Weighted,
            file::Balance::LeastLatency => Balance::LeastLatency,
            file::Balance::Headroom => Balance::Headroom,
        },
        rotations: turns.map_or_else(|| Arc::new(Rotations::new(weights)), Arc::clone),
        sessions: same.map(|old| Arc::clone(&old.sessions)).unwrap_or_default(),
        tiers: tiers(keys),
        retries: Retries {
            most: settings.network_config.max_retries,
            first_wait: settings.network_config.retry_backoff_initial,
            longest_wait: settings.network_config.retry_backoff_max,
        },
        breaker: breaker(&settings.circuit_breaker),
        keys: provider_keys(keys, settings, old, lasting),
        timeouts: timeouts(&settings.network_config),
        beta: BetaRules::new(beta.map(|(name, passes)| (name.to_owned(), *passes))),
    }
}

fn service(kind: ProviderKind) -> Service {
    match kind {
        ProviderKind::Azure => Service::Azure,
        ProviderKind::Openai | ProviderKind::OpenaiCompatible => Service::OpenAi,
        ProviderKind::Anthropic => Service::Anthropic,
    }
}

fn tiers(keys: &[Addressed]) -> Vec<KeySet> {
    let mut tiers: BTreeMap<u32, KeySet> = BTreeMap::new();
    for (index, key) in keys.iter().enumerate() {
        tiers.entry(key.key.priority).or_default().insert(index);
    }
    tiers.into_values().collect()
}

fn provider_keys(
    keys: &[Addressed],
    settings: &file::Provider,
    old: Option<&Provider>,
    lasting: &mut Lasting,
) -> Vec<Arc<Key>> {
    let rules = health(&settings.health_check);
    let mut built: Vec<Arc<Key>> = Vec::with_capacity(keys.len());
    for key in keys {
        let mut key = provider_key(key, settings, old, lasting);
        // Keys that lead to one endpoint share what is known of it, and a reload keeps it while its rules stay.
        let known = built.iter().chain(old.into_iter().flat_map(|old| &old.keys));
        let same = |known: &&Arc<Key>| known.host.endpoint == key.host.endpoint && known.health.rules == rules;
        let same = known.filter(same).map(|known| Arc::clone(&known.health)).next();
        key.health = same.unwrap_or_else(|| Arc::new(Health::new(rules)));
        built.push(Arc::new(key));
    }
    built
}

fn provider_key(key: &Addressed, settings: &file::Provider, old: Option<&Provider>, lasting: &mut Lasting) -> Key {
    let Addressed { key, endpoint } = key;
    let network = &settings.network_config;
    let service = service(settings.kind());
    let address = lasting.directory.address(&endpoint.host, endpoint.port, Reach::Any);
    let rules = Rules {
        connect_timeout: network.connect_timeout_in_seconds,
        most_exchanges: network.max_conns_per_host,
        protocols: if network.enforce_http2 { Protocols::Http2 } else { Protocols::Offered },
        insecure_skip_verify: network.insecure_skip_verify,
        certificates: network.ca_cert_pem.as_deref().and_then(|pem| certificates(pem).ok()),
    };
    let added = network.extra_headers.iter().chain(key.headers.iter());
    let header =
        |(name, value): (&str, &Secret)| Some((HeaderName::from_bytes(name.as_bytes()).ok()?, sensitive(value)?));
    let proof = proof(key, network, service, &mut lasting.caches);
    // A key is the same key while its name, endpoint and credential are.
    let same = |old: &&Arc<Key>| *old.name == *key.name && old.host.endpoint == *endpoint && old.proof == proof;
    let same = old.and_then(|old| old.keys.iter().find(same));
    // Which account of another service a credential belongs to is not known, so the key's name stands for it.
    let origin = match service {
        Service::Azure => Origin::new(&azure::resource(endpoint)),
        Service::OpenAi | Service::Anthropic => Origin::new(&format!("{}#{}", azure::resource(endpoint), key.name)),
    };
    Key {
        name: key.name.as_str().into(),
        origin,
        label: Label::new(&key.name),
        host: Arc::new(Host::new(endpoint.clone(), address, rules)),
        proof,
        version: key.azure_key_config.as_ref().map_or(ApiVersion::V1, |azure| azure.api_version.clone()),
        memory: same.map(|old| Arc::clone(&old.memory)).unwrap_or_default(),
        health: Arc::default(),
        account: limits::key_account(key, &lasting.governor),
        headers: added.filter_map(header).collect(),
    }
}

/// A secret as a header value that no debug output shows.
fn sensitive(secret: &Secret) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(secret.expose()).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Services with one address for everybody have theirs in `base_url` by now.
fn endpoint(key: &file::Key, settings: &file::Provider) -> Option<Endpoint> {
    match settings.kind() {
        ProviderKind::Azure => key.azure_key_config.as_ref()?.endpoint.clone(),
        ProviderKind::Openai | ProviderKind::Anthropic | ProviderKind::OpenaiCompatible => {
            settings.network_config.base_url.clone()
        }
    }
}

fn breaker(breaker: &file::CircuitBreaker) -> BreakerRules {
    BreakerRules {
        consecutive_failures: breaker.consecutive_failures,
        failure_ratio: breaker.failure_ratio,
        min_requests: breaker.min_requests,
        window: breaker.window_seconds,
        open: breaker.open_seconds,
    }
}

fn health(check: &file::HealthCheck) -> Option<HealthRules> {
    let kind = match check.kind {
        file::HealthCheckKind::Off => return None,
        file::HealthCheckKind::Tcp => ProbeKind::Tcp,
        file::HealthCheckKind::Tls => ProbeKind::Tls,
        file::HealthCheckKind::Http => ProbeKind::Http,
    };
    Some(HealthRules {
        kind,
        interval: check.interval_seconds,
        timeout: check.timeout_seconds,
        unhealthy: check.unhealthy_threshold,
        healthy: check.healthy_threshold,
    })
}

fn timeouts(network: &file::NetworkConfig) -> Timeouts {
    Timeouts {
        exchange: Limits {
            write: WRITE,
            first_byte: network.first_byte_timeout_in_seconds,
            idle: network.stream_idle_timeout_in_seconds,
        },
        request: network.default_request_timeout_in_seconds,
    }
}

fn provider_names(name: &str, settings: &file::Provider, keys: &[Addressed]) -> ProviderNames {
    // On Azure the names tell; the others have one family each, whatever their models are called.
    let family = match service(settings.kind()) {
        Service::Azure => None,
        Service::OpenAi => Some(Family::OpenAi),
        Service::Anthropic => Some(Family::Anthropic),
    };
    ProviderNames { name: name.into(), family, keys: keys.iter().map(|key| key_names(&key.key, family)).collect() }
}

fn key_names(key: &file::Key, only: Option<Family>) -> KeyNames {
    let alias = |(name, alias): (&str, &file::Alias)| {
        let family = only.or(alias.model_family.map(|family| match family {
            file::Family::Openai => Family::OpenAi,
            file::Family::Anthropic => Family::Anthropic,
        }));
        let api = match alias.api {
            Some(file::UpstreamApi::Chat) => Api::Chat,
            Some(file::UpstreamApi::Responses) | None => Api::Responses,
        };
        let deployment = KeyNames::alias(&alias.model_id, family, api, name, alias.model_name.as_deref());
        (name.to_ascii_lowercase().into(), deployment)
    };
    let aliases = key.aliases.iter().map(alias).collect();
    let spelled = key.aliases.names().chain(key.models.literals()).map(Arc::from).collect();
    KeyNames {
        name: key.name.as_str().into(),
        aliases,
        models: key.models.clone(),
        spelled,
        blacklist: key.blacklisted_models.clone(),
        enabled: key.enabled && key.weight > 0.0,
    }
}

fn virtual_key(key: &file::VirtualKey, providers: &[Arc<Provider>], groups: &limits::Groups<'_>) -> Option<VirtualKey> {
    Some(VirtualKey {
        name: key.name.as_str().into(),
        label: Label::new(&key.name),
        hash: key.hash()?.0,
        enabled: key.enabled,
        expires_at: key.expires_at,
        providers: key.allowed_providers.clone(),
        models: key.allowed_models.clone(),
        keys: Snapshot::keys_named(&key.allowed_keys, providers),
        networks: key.allowed_networks.clone(),
        account: groups.account(key),
    })
}
