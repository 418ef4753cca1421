//! Events of streams as Azure sends them, made up.

/// One of Chat Completions.
pub fn chat() -> String {
    let filter = r#"{"hate":{"filtered":false,"severity":"safe"},"self_harm":{"filtered":false,"severity":"safe"},"sexual":{"filtered":false,"severity":"safe"},"violence":{"filtered":false,"severity":"safe"}}"#;
    format!(
        "data: {{\"choices\":[{{\"content_filter_results\":{filter},\"delta\":{{\"content\":\" word\"}},\"finish_reason\":null,\"index\":0,\"logprobs\":null}}],\"created\":1780491942,\"id\":\"chatcmpl-DmfZu2BjJmBGSSHpj9hWtFQYBUxYn\",\"model\":\"gpt-4o-2024-11-20\",\"obfuscation\":\"fSB4uubIG\",\"object\":\"chat.completion.chunk\",\"system_fingerprint\":\"fp_1\",\"usage\":null}}\n\n"
    )
}
