//! Errors in the shape of each dialect, so that SDKs raise their usual exceptions. What went wrong is said elsewhere.

use bytes::Bytes;
use serde::Serialize;

use super::Dialect;

/// An error as a caller may see it.
#[derive(Clone, Copy, Debug)]
pub struct ErrorView<'a> {
    pub status: u16,
    /// Stable and documented, such as `model_not_found`.
    pub code: &'a str,
    pub message: &'a str,
    pub param: Option<&'a str>,
    pub request_id: &'a str,
}

#[derive(Serialize)]
struct OpenAiBody<'a> {
    error: OpenAiError<'a>,
}

#[derive(Serialize)]
struct OpenAiError<'a> {
    message: &'a str,
    r#type: &'static str,
    code: &'a str,
    param: Option<&'a str>,
}

#[derive(Serialize)]
struct AnthropicBody<'a> {
    r#type: &'static str,
    error: AnthropicError<'a>,
    request_id: &'a str,
}

#[derive(Serialize)]
struct AnthropicError<'a> {
    r#type: &'static str,
    message: &'a str,
}

/// What an upstream's error says, in whichever dialect.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Told {
    /// A text, a number or nothing, depending on which part of the upstream speaks.
    pub code: Option<String>,
    pub r#type: Option<String>,
    pub message: Option<String>,
}

/// Reads an upstream's error; `None` when it is not in the shape of one.
pub fn told(data: &[u8]) -> Option<Told> {
    #[derive(serde::Deserialize)]
    struct Outer {
        error: Inner,
    }
    #[derive(serde::Deserialize)]
    struct Inner {
        code: Option<serde_json::Value>,
        r#type: Option<String>,
        message: Option<String>,
    }
    let Outer { error: Inner { code, r#type, message } } = serde_json::from_slice(data).ok()?;
    let text = |code: serde_json::Value| code.as_str().map_or_else(|| code.to_string(), str::to_owned);
    Some(Told { code: code.map(text), r#type, message })
}

/// Whether an error that came inside a stream says that the quota is used up. Azure's event streams report throttling
/// within an answer of status 200.
pub fn is_throttling(data: &[u8]) -> bool {
    let Some(Told { code, r#type, .. }) = told(data) else { return false };
    [code, r#type]
        .iter()
        .flatten()
        .any(|told| matches!(told.as_str(), "429" | "too_many_requests" | "rate_limit_exceeded" | "rate_limit_error"))
}

/// The body of an error answer.
pub fn render(dialect: Dialect, error: &ErrorView<'_>) -> Bytes {
    let json = match dialect {
        Dialect::OpenAi => {
            let r#type = openai_type(error.status);
            serde_json::to_vec(&OpenAiBody {
                error: OpenAiError { message: error.message, r#type, code: error.code, param: error.param },
            })
        }
        Dialect::Anthropic => {
            let inner = AnthropicError { r#type: anthropic_type(error.status), message: error.message };
            serde_json::to_vec(&AnthropicBody { r#type: "error", error: inner, request_id: error.request_id })
        }
    };
    json.expect("structs of texts always serialise").into()
}

/// The error as an event, for a stream whose head is already out.
pub fn render_event(dialect: Dialect, error: &ErrorView<'_>) -> Bytes {
    let head: &[u8] = match dialect {
        Dialect::OpenAi => b"data: ",
        Dialect::Anthropic => b"event: error\ndata: ",
    };
    [head, &render(dialect, error), b"\n\n"].concat().into()
}

/// OpenAI's own service says `invalid_request_error` for what it can't find, and its clients know that.
fn openai_type(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        403 => "permission_error",
        408 | 504 => "timeout_error",
        429 => "rate_limit_error",
        400..500 => "invalid_request_error",
        _ => "server_error",
    }
}

fn anthropic_type(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        408 | 504 => "timeout_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        503 | 529 => "overloaded_error",
        400..500 => "invalid_request_error",
        _ => "api_error",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const ERROR: ErrorView<'_> = ErrorView {
        status: 404,
        code: "model_not_found",
        message: "model `a\"b\\c\n\u{2019}` is not configured",
        param: Some("model"),
        request_id: "req-1",
    };

    fn types(status: u16) -> [String; 2] {
        [Dialect::OpenAi, Dialect::Anthropic].map(|dialect| {
            let body: Value = serde_json::from_slice(&render(dialect, &ErrorView { status, ..ERROR })).unwrap();
            body["error"]["type"].as_str().unwrap().to_owned()
        })
    }

    #[test]
    fn bodies_have_the_shape_of_their_dialect() {
        let body: Value = serde_json::from_slice(&render(Dialect::OpenAi, &ERROR)).unwrap();
        let expected = json!({"error": {"message": ERROR.message, "type": "invalid_request_error", "code": "model_not_found", "param": "model"}});
        assert_eq!(body, expected);
        let body: Value = serde_json::from_slice(&render(Dialect::Anthropic, &ERROR)).unwrap();
        let expected = json!({"type": "error", "error": {"type": "not_found_error", "message": ERROR.message}, "request_id": "req-1"});
        assert_eq!(body, expected);
    }

    #[test]
    fn a_missing_param_is_null_because_sdks_read_it() {
        let body = render(Dialect::OpenAi, &ErrorView { param: None, ..ERROR });
        assert!(body.ends_with(b"\"param\":null}}"));
    }

    #[test]
    fn types_follow_the_status() {
        for (status, openai, anthropic) in [
            (400, "invalid_request_error", "invalid_request_error"),
            (401, "authentication_error", "authentication_error"),
            (403, "permission_error", "permission_error"),
            (405, "invalid_request_error", "invalid_request_error"),
            (408, "timeout_error", "timeout_error"),
            (413, "invalid_request_error", "request_too_large"),
            (429, "rate_limit_error", "rate_limit_error"),
            (500, "server_error", "api_error"),
            (502, "server_error", "api_error"),
            (503, "server_error", "overloaded_error"),
            (504, "timeout_error", "timeout_error"),
            (529, "server_error", "overloaded_error"),
        ] {
            assert_eq!(types(status), [openai, anthropic], "{status}");
        }
    }

    #[test]
    fn events_are_one_line_of_data() {
        let event = render_event(Dialect::Anthropic, &ERROR);
        let text = std::str::from_utf8(&event).unwrap();
        assert!(text.starts_with("event: error\ndata: {\"type\":\"error\"") && text.ends_with("}\n\n"));
        assert_eq!(text.lines().count(), 3);
        assert!(render_event(Dialect::OpenAi, &ERROR).starts_with(b"data: {\"error\":"));
    }

    #[test]
    fn throttling_inside_a_stream_is_known_by_its_code_or_type() {
        for data in [
            r#"{"error":{"code":"429","message":"x"}}"#,
            r#"{"error":{"code":429}}"#,
            r#"{"type":"error","error":{"type":"too_many_requests","code":null}}"#,
            r#"{"error":{"code":"rate_limit_exceeded"}}"#,
        ] {
            assert!(is_throttling(data.as_bytes()), "{data}");
        }
        for data in [r#"{"error":{"code":"500"}}"#, r#"{"error":{}}"#, r#"{"error":"429"}"#, "429", ""] {
            assert!(!is_throttling(data.as_bytes()), "{data}");
        }
    }
}
