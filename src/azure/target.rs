//! Path and query of an operation on a deployment.

use super::version::ApiVersion;

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
