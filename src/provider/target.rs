//! The path of an operation at a service that is not Azure.

/// The request target of `operation` (like `chat/completions`) under a base path (empty or `/prefix`).
///
/// The OpenAI and Anthropic APIs stand below `/v1`. A base path that names a version itself is taken as it is: Gemini's is
/// `/v1beta/openai`, Vertex AI's `/v1/projects/…/endpoints/openapi`, and many people write `/v1`.
pub fn target(base_path: &str, operation: &str) -> String {
    let versioned = base_path.split('/').any(is_version);
    let version = if versioned { "" } else { "/v1" };
    format!("{base_path}{version}/{operation}")
}

/// Whether a path's segment is like `v1`, `v2` or `v1beta`.
fn is_version(segment: &str) -> bool {
    let rest = segment.strip_prefix('v').unwrap_or_default();
    rest.starts_with(|c: char| c.is_ascii_digit()) && rest.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn v1_is_added_where_no_version_stands() {
        for (base, expected) in [
            ("", "/v1/chat/completions"),
            ("/proxy", "/proxy/v1/chat/completions"),
            ("/v1", "/v1/chat/completions"),
            ("/v1beta/openai", "/v1beta/openai/chat/completions"),
            (
                "/v1/projects/p/locations/l/endpoints/openapi",
                "/v1/projects/p/locations/l/endpoints/openapi/chat/completions",
            ),
            ("/vault", "/vault/v1/chat/completions"),
        ] {
            assert_eq!(target(base, "chat/completions"), expected, "{base}");
        }
    }
}
