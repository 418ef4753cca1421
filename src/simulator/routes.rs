//! From method, path and query to an operation: both ways to address it, as strict about versions as Azure.
//! Whether the deployment exists is left to `resource`.

use http::Method;

use super::errors::Refusal;
use super::files::Files;
use super::media::Media;
use super::uploads::Parts;
use super::videos::Videos;

/// Dated versions that the simulated resource knows.
const DATED: [&str; 18] = [
    "2022-12-01",
    "2023-05-15",
    "2024-02-01",
    "2024-02-15-preview",
    "2024-03-01-preview",
    "2024-04-01-preview",
    "2024-05-01-preview",
    "2024-06-01",
    "2024-07-01-preview",
    "2024-08-01-preview",
    "2024-09-01-preview",
    "2024-10-01-preview",
    "2024-10-21",
    "2024-12-01-preview",
    "2025-01-01-preview",
    "2025-02-01-preview",
    "2025-03-01-preview",
    "2025-04-01-preview",
];

/// Where a request wants to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    pub surface: Surface,
    pub operation: Operation,
}

/// How a request is addressed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Surface {
    /// Dated version in the query, deployment in the path (None for lists).
    Classic { deployment: Option<String>, version: String },
    /// `/openai/v1`: the deployment is the body's `model`.
    V1,
    /// `/anthropic/v1`: the same for Claude.
    Claude,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    Chat,
    Completions,
    Embeddings,
    Models,
    Model(String),
    Messages,
    CountTokens,
    Responses(Responses),
    Media(Media),
    Files(Files),
    Videos(Videos),
}

/// What can be done with responses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Responses {
    Create,
    Compact,
    InputTokens,
    Retrieve(String),
    Delete(String),
    Cancel(String),
    InputItems(String),
}

impl Operation {
    /// The name in messages about limits.
    pub fn limit_name(&self) -> &'static str {
        match self {
            Self::Chat => "ChatCompletions_Create",
            Self::Completions => "Completions_Create",
            Self::Embeddings => "Embeddings_Create",
            Self::Models | Self::Model(_) => "Models_List",
            Self::Messages => "Messages_Create",
            Self::CountTokens => "Messages_CountTokens",
            Self::Responses(_) => "Responses_Create",
            Self::Media(_) => "Media_Create",
            Self::Files(_) => "Files_Create",
            Self::Videos(_) => "Videos_Create",
        }
    }

    /// The name in messages about models that cannot do it.
    pub fn model_name(&self) -> &'static str {
        match self {
            Self::Chat => "chatCompletion",
            Self::Completions => "completion",
            Self::Embeddings => "embeddings",
            Self::Models | Self::Model(_) => "models",
            Self::Messages => "messages",
            Self::CountTokens => "countTokens",
            Self::Responses(_) => "responses",
            Self::Media(Media::Images | Media::ImageEdits) => "imageGeneration",
            Self::Media(Media::Transcription | Media::Translation) => "audioTranscription",
            Self::Media(Media::Speech) => "textToSpeech",
            Self::Files(_) => "files",
            Self::Videos(_) => "videoGeneration",
        }
    }

    fn method(&self) -> (Method, &'static str) {
        match self {
            Self::Models | Self::Model(_) => (Method::GET, "GET"),
            Self::Responses(Responses::Retrieve(_) | Responses::InputItems(_)) => (Method::GET, "GET"),
            Self::Files(
                Files::List | Files::Retrieve(_) | Files::Content(_) | Files::BatchList | Files::BatchRetrieve(_),
            ) => (Method::GET, "GET"),
            Self::Videos(Videos::List | Videos::Retrieve(_) | Videos::Content(_)) => (Method::GET, "GET"),
            Self::Videos(Videos::Delete(_)) => (Method::DELETE, "GET, DELETE"),
            Self::Files(Files::Delete(_)) => (Method::DELETE, "GET, DELETE"),
            Self::Responses(Responses::Delete(_)) => (Method::DELETE, "GET, DELETE"),
            _ => (Method::POST, "POST"),
        }
    }
}

impl Surface {
    /// The version in messages about limits.
    pub fn version(&self) -> &str {
        match self {
            Self::Classic { version, .. } => version,
            Self::V1 | Self::Claude => "v1",
        }
    }

    /// Whether `stream_options` is known: since 2024-09-01-preview.
    pub fn knows_stream_options(&self) -> bool {
        match self {
            Self::Classic { version, .. } => version.as_str() >= "2024-09-01",
            Self::V1 | Self::Claude => true,
        }
    }
}

/// Finds the operation, or refuses as Azure's front door does.
pub fn find(method: &Method, path: &str, query: Option<&str>) -> Result<Route, Refusal> {
    // A doubled slash is tolerated, as it is by the service.
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    if path.ends_with('/') {
        return Err(Refusal::resource_not_found());
    }
    let version = api_version(query);
    let route = match segments.as_slice() {
        ["openai", "v1", rest @ ..] | ["api", "projects", _, "openai", "v1", rest @ ..] => {
            let operation = operation(method, rest).ok_or_else(Refusal::resource_not_found)?;
            if !matches!(version.as_deref(), None | Some("v1" | "preview")) {
                return Err(Refusal::version_not_supported());
            }
            Route { surface: Surface::V1, operation }
        }
        // The query may hold `beta=true` or anything else.
        ["anthropic", "v1", "messages"] => Route { surface: Surface::Claude, operation: Operation::Messages },
        ["anthropic", "v1", "messages", "count_tokens"] => {
            Route { surface: Surface::Claude, operation: Operation::CountTokens }
        }
        ["openai", "deployments", name, rest @ ..] => classic(operation(method, rest), Some(decode(name)), version)?,
        ["openai", rest @ ..]
            if matches!(rest.first(), Some(&("models" | "responses" | "files" | "uploads" | "batches"))) =>
        {
            classic(operation(method, rest), None, version)?
        }
        _ => return Err(Refusal::resource_not_found()),
    };
    let (wanted, allowed) = route.operation.method();
    if *method != wanted {
        return Err(Refusal::method_not_allowed(allowed));
    }
    Ok(route)
}

/// The deployment that a path names, before anything is judged.
pub fn deployment_in_path(path: &str) -> Option<String> {
    let mut segments = path.split('/').filter(|segment| !segment.is_empty());
    (segments.next() == Some("openai") && segments.next() == Some("deployments"))
        .then(|| segments.next().map(decode))?
}

fn classic(found: Option<Operation>, deployment: Option<String>, version: Option<String>) -> Result<Route, Refusal> {
    let operation = found.ok_or_else(Refusal::resource_not_found)?;
    let is_list =
        matches!(operation, Operation::Models | Operation::Model(_) | Operation::Responses(_) | Operation::Files(_));
    let since = if matches!(operation, Operation::Responses(_)) { "2025-03-01" } else { "" };
    let version = version
        .filter(|version| DATED.contains(&version.as_str()) && version.as_str() >= since)
        .ok_or_else(Refusal::resource_not_found)?;
    // Chat came with the second version; lists are not below a deployment.
    if is_list == deployment.is_some() || (operation == Operation::Chat && version == "2022-12-01") {
        return Err(Refusal::resource_not_found());
    }
    Ok(Route { surface: Surface::Classic { deployment, version }, operation })
}

fn operation(method: &Method, rest: &[&str]) -> Option<Operation> {
    Some(match rest {
        ["chat", "completions"] => Operation::Chat,
        ["completions"] => Operation::Completions,
        ["embeddings"] => Operation::Embeddings,
        ["models"] => Operation::Models,
        ["models", id] => Operation::Model(decode(id)),
        ["images", "generations"] => Operation::Media(Media::Images),
        ["images", "edits"] => Operation::Media(Media::ImageEdits),
        ["audio", "transcriptions"] => Operation::Media(Media::Transcription),
        ["audio", "translations"] => Operation::Media(Media::Translation),
        ["audio", "speech"] => Operation::Media(Media::Speech),
        ["files" | "uploads" | "batches", ..] => Operation::Files(files(method, rest)?),
        ["videos", ..] => Operation::Videos(videos(method, rest)?),
        ["responses", rest @ ..] => Operation::Responses(match rest {
            [] => Responses::Create,
            ["compact"] => Responses::Compact,
            ["input_tokens"] => Responses::InputTokens,
            [id] if *method == Method::DELETE => Responses::Delete(decode(id)),
            [id] => Responses::Retrieve(decode(id)),
            [id, "cancel"] => Responses::Cancel(decode(id)),
            [id, "input_items"] => Responses::InputItems(decode(id)),
            _ => return None,
        }),
        _ => return None,
    })
}

fn files(method: &Method, rest: &[&str]) -> Option<Files> {
    Some(match rest {
        ["files"] if *method == Method::POST => Files::Upload,
        ["files"] => Files::List,
        ["files", id] if *method == Method::DELETE => Files::Delete(decode(id)),
        ["files", id] => Files::Retrieve(decode(id)),
        ["files", id, "content"] => Files::Content(decode(id)),
        ["uploads"] => Files::Parts(Parts::Create),
        ["uploads", id, "parts"] => Files::Parts(Parts::Add(decode(id))),
        ["uploads", id, "complete"] => Files::Parts(Parts::Complete(decode(id))),
        ["uploads", id, "cancel"] => Files::Parts(Parts::Cancel(decode(id))),
        ["batches"] if *method == Method::POST => Files::BatchCreate,
        ["batches"] => Files::BatchList,
        ["batches", id] => Files::BatchRetrieve(decode(id)),
        ["batches", id, "cancel"] => Files::BatchCancel(decode(id)),
        _ => return None,
    })
}

fn videos(method: &Method, rest: &[&str]) -> Option<Videos> {
    Some(match rest {
        ["videos"] if *method == Method::POST => Videos::Create,
        ["videos"] => Videos::List,
        ["videos", id] if *method == Method::DELETE => Videos::Delete(decode(id)),
        ["videos", id] => Videos::Retrieve(decode(id)),
        ["videos", id, "content"] => Videos::Content(decode(id)),
        _ => return None,
    })
}

fn api_version(query: Option<&str>) -> Option<String> {
    url::form_urlencoded::parse(query?.as_bytes())
        .find(|(name, _)| name.eq_ignore_ascii_case("api-version"))
        .map(|(_, value)| value.into_owned())
}

/// Undoes the percent escapes of a path segment.
pub fn decode(segment: &str) -> String {
    // `+` is a plus in a path; only the percent escapes are undone.
    let escaped = segment.replace('+', "%2B");
    url::form_urlencoded::parse(escaped.as_bytes()).next().map_or_else(String::new, |(name, _)| name.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(method: Method, path: &str, query: Option<&str>) -> u16 {
        find(&method, path, query).map_or_else(|refusal| refusal.status, |_| 200)
    }

    #[test]
    fn both_surfaces_lead_to_the_same_operation() {
        let version = Some("api-version=2024-10-21");
        let classic = find(&Method::POST, "//openai/deployments/my%2Edep/chat/completions", version).expect("route");
        let deployment = Some("my.dep".to_owned());
        assert_eq!(classic.surface, Surface::Classic { deployment, version: "2024-10-21".into() });
        let v1 = find(&Method::POST, "/openai/v1/chat/completions", None).expect("route");
        assert_eq!((v1.operation, v1.surface), (classic.operation, Surface::V1));
    }

    #[test]
    fn versions_paths_and_methods_are_judged() {
        let chat = "/openai/deployments/d/chat/completions";
        assert_eq!(status(Method::POST, chat, None), 404);
        assert_eq!(status(Method::POST, chat, Some("api-version=")), 404);
        assert_eq!(status(Method::POST, chat, Some("api-version=2024-05-13")), 404);
        assert_eq!(status(Method::POST, chat, Some("api-version=2022-12-01")), 404);
        assert_eq!(status(Method::GET, chat, Some("api-version=2024-10-21")), 405);
        assert_eq!(status(Method::POST, "/openai/v1/chat/completions", Some("api-version=2024-10-21")), 400);
        assert_eq!(status(Method::POST, "/openai/v1/chat/completions", Some("api-version=preview")), 200);
        assert_eq!(status(Method::POST, "/openai/v1/chat/completions/", None), 404);
        assert_eq!(status(Method::POST, "/v1/chat/completions", None), 404);
        assert_eq!(status(Method::GET, "/openai/models", Some("api-version=2024-10-21")), 200);
        assert_eq!(status(Method::GET, "/openai/deployments/d/models", Some("api-version=2024-10-21")), 404);
    }

    #[test]
    fn the_deployment_of_a_path_is_decoded() {
        assert_eq!(deployment_in_path("//openai/deployments/a%20b+c/x").as_deref(), Some("a b+c"));
        assert_eq!(deployment_in_path("/openai/v1/chat"), None);
    }
}
