//! Path and query of an operation on a deployment.

use super::version::ApiVersion;
use crate::base::endpoint::Endpoint;

/// How a deployment is named in a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Addressing {
    /// In the path: `/openai/deployments/{deployment}/{operation}?api-version=…`.
    Classic,
    /// In the body's `model`: `/openai/v1/{operation}`.
    V1,
}

impl ApiVersion {
    pub fn addressing(&self) -> Addressing {
        match self {
            Self::V1 | Self::Preview => Addressing::V1,
            Self::Dated(_) => Addressing::Classic,
        }
    }
}

/// The request target for `operation` (like `chat/completions`) under an endpoint's base path (empty or `/prefix`).
/// Whatever the deployment is called, it stays one path segment.
pub fn target(base_path: &str, version: &ApiVersion, deployment: &str, operation: &str) -> String {
    let mut target = String::with_capacity(base_path.len() + deployment.len() + operation.len() + 64);
    target.push_str(base_path);
    match version {
        ApiVersion::V1 | ApiVersion::Preview => {
            target.push_str("/openai/v1/");
            target.push_str(operation);
            if *version == ApiVersion::Preview {
                target.push_str("?api-version=preview");
            }
        }
        ApiVersion::Dated(date) => {
            target.push_str("/openai/deployments/");
            push_segment(&mut target, deployment);
            target.push('/');
            target.push_str(operation);
            target.push_str("?api-version=");
            target.push_str(date);
        }
    }
    target
}

/// The request target for an operation that stands below `/openai/v1` only, whatever the key's version is for the others.
/// `path` is encoded already, and so is the `query`, which may be empty.
///
/// A key with version `v1` asks for nothing but general availability; any other opts into what is in preview.
pub fn v1_target(base_path: &str, version: &ApiVersion, path: &str, query: &str) -> String {
    let preview = if *version == ApiVersion::V1 { "" } else { "api-version=preview" };
    let and = if preview.is_empty() || query.is_empty() { "" } else { "&" };
    let mark = if preview.is_empty() && query.is_empty() { "" } else { "?" };
    format!("{base_path}/openai/v1/{path}{mark}{preview}{and}{query}")
}

/// What makes a resource this one: its name and cloud, as all of its hosts tell, or else the whole address.
pub fn resource(endpoint: &Endpoint) -> String {
    const SERVICES: [&str; 3] = ["openai.azure", "cognitiveservices.azure", "services.ai.azure"];
    if endpoint.base_path.is_empty()
        && let Some((name, domain)) = endpoint.host.split_once('.')
        && let Some((service, cloud)) = domain.rsplit_once('.')
        && SERVICES.contains(&service)
    {
        return format!("{name}@{cloud}");
    }
    format!("{}:{}{}", endpoint.host, endpoint.port, endpoint.base_path)
}

/// A text as one segment of a path.
pub fn segment(text: &str) -> String {
    let mut segment = String::with_capacity(text.len());
    push_segment(&mut segment, text);
    segment
}

/// The request target of the list of base models, which every credential may read.
pub fn models_target(base_path: &str, version: &ApiVersion) -> String {
    match version {
        ApiVersion::V1 | ApiVersion::Preview => format!("{base_path}/openai/v1/models"),
        ApiVersion::Dated(date) => format!("{base_path}/openai/models?api-version={date}"),
    }
}

/// Appends a text as one path segment: all but RFC 3986's unreserved characters is percent-encoded. The segments `.`
/// and `..` mean something else to a server, even encoded, so their dots are encoded twice: such a deployment cannot exist.
fn push_segment(target: &mut String, text: &str) {
    if text == "." || text == ".." {
        target.push_str(&text.replace('.', "%252E"));
        return;
    }
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            target.push(byte as char);
        } else {
            target.push('%');
            for nibble in [byte >> 4, byte & 15] {
                target.push(char::from_digit(u32::from(nibble), 16).map_or('0', |digit| digit.to_ascii_uppercase()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn dated() -> ApiVersion {
        ApiVersion::Dated("2024-10-21".into())
    }

    #[test]
    fn classic_names_the_deployment_in_the_path() {
        assert_eq!(
            target("", &dated(), "gpt-4.1_x", "chat/completions"),
            "/openai/deployments/gpt-4.1_x/chat/completions?api-version=2024-10-21"
        );
    }

    #[test]
    fn traps_28_v1_has_no_version_and_no_deployment() {
        assert_eq!(target("/apim", &ApiVersion::V1, "d", "embeddings"), "/apim/openai/v1/embeddings");
        assert_eq!(target("", &ApiVersion::Preview, "d", "embeddings"), "/openai/v1/embeddings?api-version=preview");
    }

    #[test]
    fn what_lives_below_v1_alone_is_asked_for_in_preview_unless_the_key_says_v1() {
        for (version, query, expected) in [
            (dated(), "", "/b/openai/v1/responses?api-version=preview"),
            (ApiVersion::Preview, "stream=true", "/b/openai/v1/responses?api-version=preview&stream=true"),
            (ApiVersion::V1, "", "/b/openai/v1/responses"),
            (ApiVersion::V1, "stream=true", "/b/openai/v1/responses?stream=true"),
        ] {
            assert_eq!(v1_target("/b", &version, "responses", query), expected);
        }
    }

    #[test]
    fn a_resource_is_the_same_at_each_of_its_hosts() {
        let resource = |endpoint: &str| resource(&Endpoint::parse(endpoint).unwrap());
        let hosts = [
            "https://acme.openai.azure.com",
            "https://acme.cognitiveservices.azure.com",
            "https://ACME.services.ai.azure.com/",
        ];
        assert!(hosts.iter().all(|host| resource(host) == "acme@com"));
        assert_eq!(resource("https://acme.openai.azure.us"), "acme@us");
        assert_ne!(resource("https://x.azure-api.net/a"), resource("https://x.azure-api.net/b"));
        assert_eq!(resource("http://127.0.0.1:81"), "127.0.0.1:81");
    }

    #[test]
    fn traps_29_hostile_deployment_names_stay_one_segment() {
        for (name, segment) in [
            ("a/b", "a%2Fb"),
            ("..", "%252E%252E"),
            ("a?b#c", "a%3Fb%23c"),
            ("ü", "%C3%BC"),
            ("a%2fb", "a%252fb"),
            ("a\r\nb", "a%0D%0Ab"),
            ("UPPER.dot", "UPPER.dot"),
        ] {
            assert_eq!(
                target("", &dated(), name, "x"),
                format!("/openai/deployments/{segment}/x?api-version=2024-10-21")
            );
        }
    }

    proptest! {
        #[test]
        fn no_name_adds_a_segment_a_query_or_a_line(name in ".*") {
            let target = target("", &dated(), &name, "x");
            prop_assert_eq!(target.matches('/').count(), 4);
            prop_assert_eq!(target.matches('?').count(), 1);
            prop_assert!(target.bytes().all(|b| b.is_ascii_graphic()));
        }
    }
}
