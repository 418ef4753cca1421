//! Which headers cross the gateway. Requests: a closed list, so that nothing of a caller reaches Azure unless it is
//! known to be harmless. Answers: everything that is Azure's to tell, less what belongs to the connection.

/// Names the deployment that makes images. Azure demands it of a Responses request that brings the tool
/// `image_generation`, and answers 400 without it.
pub const IMAGE_HEADER: &str = "x-ms-oai-image-generation-deployment";

/// Whether a caller's header goes on to Azure without being configured (`client.forward_headers` adds to these).
/// `name` is in lower case.
pub fn passes_to_upstream(name: &str) -> bool {
    matches!(name, "accept" | "content-type" | "user-agent" | "openai-beta")
}

/// Whether a header of Azure's answer goes back to the caller. `name` is in lower case. Framing, hop-by-hop fields
/// (RFC 9110, section 7.6.1), cookies and what tells about Azure's own front door stay behind; so does every header
/// of the gateway's own name, which only the gateway may set.
pub fn passes_to_caller(name: &str) -> bool {
    !matches!(
        name,
        "connection"
            | "keep-alive"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "proxy-connection"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
            | "content-length"
            | "set-cookie"
            | "server"
            | "date"
            | "alt-svc"
            | "strict-transport-security"
            | "x-request-id"
    ) && !name.starts_with("x-azgate-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traps_49_credentials_and_cookies_of_a_caller_stay_here() {
        for name in [
            "authorization",
            "api-key",
            "x-api-key",
            "cookie",
            "host",
            "x-ms-client-request-id",
            "ocp-apim-subscription-key",
        ] {
            assert!(!passes_to_upstream(name), "{name}");
        }
    }

    #[test]
    fn azures_own_headers_come_back() {
        for name in [
            "apim-request-id",
            "x-ms-region",
            "x-ratelimit-remaining-tokens",
            "retry-after",
            "retry-after-ms",
            "azure-openai-deployment-utilization",
        ] {
            assert!(passes_to_caller(name), "{name}");
        }
        for name in ["set-cookie", "transfer-encoding", "x-azgate-key"] {
            assert!(!passes_to_caller(name), "{name}");
        }
    }
}
