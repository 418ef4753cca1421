//! Refusals in Azure's words: one constructor per reason, each with the status, body and headers the service gives.
//! When to refuse is left to `routes`, `auth`, `quota` and the operations.

use serde_json::{Value, json};

use super::filters;

const DENIED: &str = "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a valid \
    key for an active subscription and use a correct regional API endpoint for your resource.";
const BAD_TOKEN: &str = "Unauthorized. Access token is missing, invalid, audience is incorrect \
    (https://cognitiveservices.azure.com), or have expired.";
const NO_DEPLOYMENT: &str = "The API deployment for this resource does not exist. If you created the deployment within \
    the last 5 minutes, please wait a moment and try again.";
const FILTERED: &str = "The response was filtered due to the prompt triggering Azure OpenAI's content management policy. \
    Please modify your prompt and retry. To learn more about our content filtering policies please read our \
    documentation: https://go.microsoft.com/fwlink/?linkid=2198766";
const SERVER_ERROR: &str = "The server had an error while processing your request. Sorry about that! You can retry your \
    request, or contact us through an Azure support request at: https://go.microsoft.com/fwlink/?linkid=2213926 if you \
    keep seeing this error.";
const HIGH_DEMAND: &str = "The system is currently experiencing high demand and cannot process your request. Your request \
    exceeds the maximum usage size allowed during peak load. For improved latency reliability, consider switching to \
    Provisioned Throughput.";

/// An answer that refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub status: u16,
    pub body: String,
    pub origin: Origin,
    pub headers: Vec<(&'static str, String)>,
}

/// Which part of the service refused; it decides the headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The gate in front: nothing but `apim-request-id`.
    Gate,
    /// The search for the deployment: chunked and without a content type.
    Lookup,
    /// The deployment itself: the full set.
    Model,
}

impl Refusal {
    fn new(status: u16, origin: Origin, body: &Value) -> Self {
        Self { status, body: body.to_string(), origin, headers: Vec::new() }
    }

    pub fn access_denied() -> Self {
        Self::new(401, Origin::Gate, &json!({"error": {"code": "401", "message": DENIED}}))
    }

    pub fn bad_token() -> Self {
        Self::new(401, Origin::Gate, &json!({"error": {"code": "Unauthorized", "message": BAD_TOKEN}}))
    }

    pub fn resource_not_found() -> Self {
        // The service writes this one body with blanks.
        let body = r#"{"error":{"code":"404","message": "Resource not found"}}"#;
        Self { status: 404, body: body.to_owned(), origin: Origin::Gate, headers: Vec::new() }
    }

    pub fn version_not_supported() -> Self {
        Self::new(400, Origin::Gate, &json!({"error": {"code": "BadRequest", "message": "API version not supported"}}))
    }

    pub fn method_not_allowed(allowed: &'static str) -> Self {
        let body = json!({"error": {"code": "405", "message": "Method not allowed for this resource"}});
        Self { headers: vec![("allow", allowed.to_owned())], ..Self::new(405, Origin::Gate, &body) }
    }

    pub fn deployment_not_found() -> Self {
        let error = json!({"type": "invalid_request_error", "code": "DeploymentNotFound", "message": NO_DEPLOYMENT});
        Self::new(404, Origin::Lookup, &json!({ "error": error }))
    }

    /// A Claude deployment asked through another API, or another deployment through Claude's.
    pub fn api_not_supported() -> Self {
        let error = json!({"code": "api_not_supported", "message": "Requested API is currently not supported"});
        Self::new(404, Origin::Gate, &json!({ "error": error }))
    }

    pub fn model_not_found(model: &str) -> Self {
        let message = format!("The model '{model}' does not exist");
        Self::invalid_as(404, &message, Some("model"), Some("model_not_found"))
    }

    pub fn operation_not_supported(operation: &str, model: &str) -> Self {
        let message = format!(
            "The {operation} operation does not work with the specified model, {model}. Please choose different model \
             and try again. You can learn more about which models can be used with each operation here: \
             https://go.microsoft.com/fwlink/?linkid=2197993."
        );
        Self::new(400, Origin::Model, &json!({"error": {"code": "OperationNotSupported", "message": message}}))
    }

    /// 400 `invalid_request_error`.
    pub fn invalid(message: impl AsRef<str>, param: Option<&str>, code: Option<&str>) -> Self {
        Self::invalid_as(400, message.as_ref(), param, code)
    }

    /// 404 for an object that this resource does not hold.
    pub fn missing(message: &str) -> Self {
        Self::invalid_as(404, message, None, None)
    }

    fn invalid_as(status: u16, message: &str, param: Option<&str>, code: Option<&str>) -> Self {
        let error = json!({"message": message, "type": "invalid_request_error", "param": param, "code": code});
        Self::new(status, Origin::Model, &json!({ "error": error }))
    }

    pub fn prompt_filtered() -> Self {
        let inner = json!({
            "code": "ResponsibleAIPolicyViolation",
            "content_filter_result": filters::blocked_prompt(),
        });
        let error = json!({
            "message": FILTERED, "type": null, "param": "prompt", "code": "content_filter", "status": 400,
            "innererror": inner,
        });
        Self::new(400, Origin::Model, &json!({ "error": error }))
    }

    /// 429 of a deployment's own limits; `what` is `token` or `call`.
    pub fn throttled(what: &str, operation: &str, version: &str, retry_after_ms: u64) -> Self {
        let seconds = retry_after_ms.div_ceil(1000);
        let message = format!(
            "Requests to the {operation} Operation under Azure OpenAI API version {version} have exceeded {what} rate \
             limit of your current OpenAI S0 pricing tier. Please retry after {seconds} seconds. Please go here: \
             https://aka.ms/oai/quotaincrease if you would like to further increase the default rate limit."
        );
        let headers = vec![("retry-after", seconds.to_string()), ("retry-after-ms", retry_after_ms.to_string())];
        let body = json!({"error": {"code": "429", "message": message}});
        Self { headers, ..Self::new(429, Origin::Model, &body) }
    }

    /// The body Azure is known to send with a status, for faults that ask for a status alone.
    pub fn for_status(status: u16, code: Option<&str>, message: Option<&str>) -> Self {
        let mut refusal = match status {
            401 => Self::access_denied(),
            404 => Self::deployment_not_found(),
            500 => server_error(),
            _ => {
                let (code, message) = words_for(status);
                Self::new(status, Origin::Model, &json!({"error": {"code": code, "message": message}}))
            }
        };
        if code.is_some() || message.is_some() {
            let mut body: Value = serde_json::from_str(&refusal.body).unwrap_or_default();
            for (key, value) in [("code", code), ("message", message)] {
                if let Some(value) = value {
                    body["error"][key] = json!(value);
                }
            }
            refusal.body = body.to_string();
        }
        refusal
    }

    /// The simulator's own complaint about its own headers and scripts.
    pub fn of_simulator(message: &str) -> Self {
        Self::invalid(message, None, Some("simulator"))
    }
}

/// The data of an error event inside a stream.
pub fn error_event() -> String {
    let error = json!({"message": SERVER_ERROR, "type": "server_error", "param": null, "code": null});
    json!({ "error": error }).to_string()
}

fn server_error() -> Refusal {
    let error = json!({"message": SERVER_ERROR, "type": "server_error", "param": null, "code": null});
    Refusal::new(500, Origin::Model, &json!({ "error": error }))
}

fn words_for(status: u16) -> (String, &'static str) {
    let (code, message) = match status {
        400 => ("BadRequest", "The request is invalid."),
        403 => ("AuthenticationTypeDisabled", "Key based authentication is disabled for this resource."),
        408 => ("Timeout", "The operation was timeout."),
        413 => ("413", "The request body is too large."),
        429 => ("429", HIGH_DEMAND),
        503 => {
            ("ServiceUnavailable", "The service is temporarily unable to process your request. Please try again later.")
        }
        _ => return (status.to_string(), "The request failed."),
    };
    (code.to_owned(), message)
}
