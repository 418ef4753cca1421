//! The table of paths: everything that is served, and the hostile ones that are not.

use std::collections::HashSet;

use super::Dialect::{Anthropic, OpenAi};
use super::*;

fn served(method: &str, path: &str) -> Route<'static> {
    let route = classify(method, path).unwrap_or_else(|refusal| panic!("{method} {path}: {refusal:?}"));
    let surface = match route.surface {
        Surface::Classic { deployment } => Surface::Classic { deployment: Cow::Owned(deployment.into_owned()) },
        Surface::V1 => Surface::V1,
        Surface::Root => Surface::Root,
    };
    Route { surface, id: route.id.map(|id| Cow::Owned(id.into_owned())), ..route }
}

fn classic(deployment: &str) -> Surface<'static> {
    Surface::Classic { deployment: Cow::Owned(deployment.to_owned()) }
}

#[test]
fn every_operation_has_a_route_and_a_name_of_its_own() {
    use Operation::*;
    let table = [
        ("POST", "chat/completions", ChatCompletions, None),
        ("POST", "completions", Completions, None),
        ("POST", "embeddings", Embeddings, None),
        ("POST", "responses", Responses, None),
        ("GET", "responses/resp_1", ResponseRetrieve, Some("resp_1")),
        ("DELETE", "responses/resp_1", ResponseDelete, Some("resp_1")),
        ("POST", "responses/resp_1/cancel", ResponseCancel, Some("resp_1")),
        ("GET", "responses/resp_1/input_items", ResponseInputItems, Some("resp_1")),
        ("POST", "responses/compact", ResponsesCompact, None),
        ("POST", "responses/input_tokens", ResponseInputTokens, None),
        ("POST", "images/generations", ImageGenerations, None),
        ("POST", "images/edits", ImageEdits, None),
        ("POST", "audio/transcriptions", AudioTranscriptions, None),
        ("POST", "audio/translations", AudioTranslations, None),
        ("POST", "audio/speech", AudioSpeech, None),
        ("POST", "files", FileUpload, None),
        ("GET", "files", FileList, None),
        ("GET", "files/file-1", FileRetrieve, Some("file-1")),
        ("DELETE", "files/file-1", FileDelete, Some("file-1")),
        ("GET", "files/file-1/content", FileContent, Some("file-1")),
        ("POST", "uploads", UploadCreate, None),
        ("POST", "uploads/up_1/parts", UploadPart, Some("up_1")),
        ("POST", "uploads/up_1/complete", UploadComplete, Some("up_1")),
        ("POST", "uploads/up_1/cancel", UploadCancel, Some("up_1")),
        ("POST", "batches", BatchCreate, None),
        ("GET", "batches", BatchList, None),
        ("GET", "batches/b_1", BatchRetrieve, Some("b_1")),
        ("POST", "batches/b_1/cancel", BatchCancel, Some("b_1")),
        ("POST", "videos", VideoCreate, None),
        ("GET", "videos", VideoList, None),
        ("GET", "videos/v_1", VideoRetrieve, Some("v_1")),
        ("DELETE", "videos/v_1", VideoDelete, Some("v_1")),
        ("GET", "videos/v_1/content", VideoContent, Some("v_1")),
        ("GET", "models", Models, None),
        ("GET", "models/gpt-4o", Model, Some("gpt-4o")),
        ("GET", "realtime", Realtime, None),
    ];
    let mut seen: HashSet<_> = [Messages, CountTokens, Hello, Health].into();
    for (method, path, operation, id) in table {
        for (prefix, surface) in [
            ("/v1", Surface::V1),
            ("/openai/v1", Surface::V1),
            ("/openai", Surface::Root),
            ("/openai/openai", Surface::Root),
            ("/openai/deployments/d", classic("d")),
            ("/openai/openai/deployments/d", classic("d")),
        ] {
            let expected = Route { operation, dialect: OpenAi, surface, id: id.map(Cow::Borrowed) };
            assert_eq!(served(method, &format!("{prefix}/{path}")), expected, "{prefix}/{path}");
        }
        seen.insert(operation);
    }
    assert_eq!(seen.len(), Operation::ALL.len());
    assert_eq!(Operation::ALL.iter().map(|operation| operation.name()).collect::<HashSet<_>>().len(), seen.len());
}

#[test]
fn anthropic_paths_speak_anthropic() {
    for (method, path, operation, surface, id) in [
        ("POST", "/anthropic/v1/messages", Operation::Messages, Surface::V1, None),
        ("POST", "/anthropic/messages", Operation::Messages, Surface::Root, None),
        ("POST", "/v1/messages", Operation::Messages, Surface::V1, None),
        ("POST", "/anthropic/v1/messages/count_tokens", Operation::CountTokens, Surface::V1, None),
        ("POST", "/v1/messages/count_tokens", Operation::CountTokens, Surface::V1, None),
        ("GET", "/anthropic/v1/models", Operation::Models, Surface::V1, None),
        ("GET", "/anthropic/v1/models/claude-sonnet-4-6", Operation::Model, Surface::V1, Some("claude-sonnet-4-6")),
        ("HEAD", "/anthropic/api/hello", Operation::Hello, Surface::Root, None),
    ] {
        let expected = Route { operation, dialect: Anthropic, surface, id: id.map(Cow::Borrowed) };
        assert_eq!(served(method, path), expected, "{path}");
    }
}

#[test]
fn own_paths_have_no_prefix() {
    for (method, path, operation) in [
        ("GET", "/healthz", Operation::Health),
        ("HEAD", "/healthz", Operation::Health),
        ("HEAD", "/api/hello", Operation::Hello),
    ] {
        assert_eq!(served(method, path).operation, operation);
    }
}

#[test]
fn base_addresses_that_already_have_a_prefix_work() {
    for (path, surface) in [
        ("/openai/openai/deployments/gpt-4o/chat/completions", classic("gpt-4o")),
        ("/openai/v1/openai/deployments/gpt-4o/chat/completions", classic("gpt-4o")),
        ("/openai/v1/deployments/gpt-4o/chat/completions", classic("gpt-4o")),
        ("/v1/openai/deployments/gpt-4o/chat/completions", classic("gpt-4o")),
        ("/openai/openai/v1/chat/completions", Surface::V1),
        ("/v1/openai/v1/chat/completions", Surface::V1),
        ("//openai/deployments/gpt-4o//chat/completions/", classic("gpt-4o")),
        ("/v1//chat//completions", Surface::V1),
    ] {
        let expected = Route { operation: Operation::ChatCompletions, dialect: OpenAi, surface, id: None };
        assert_eq!(served("POST", path), expected, "{path}");
    }
}

#[test]
fn deployment_names_are_decoded_and_may_hold_slashes() {
    for (path, deployment) in [
        ("/openai/deployments/emb%20dep%2F%CE%B1/embeddings", "emb dep/α"),
        ("/openai/deployments/emb%20dep/%CE%B1/embeddings", "emb dep/α"),
        ("/openai/deployments/azure/gpt-4o/embeddings", "azure/gpt-4o"),
        ("/openai/deployments/azure//gpt-4o/embeddings", "azure/gpt-4o"),
        ("/openai/deployments/azure/acme/gpt-4o/embeddings", "azure/acme/gpt-4o"),
        ("/openai/deployments/azure/models/embeddings", "azure/models"),
        ("/openai/deployments/My.Dep_1-x/embeddings", "My.Dep_1-x"),
        ("/openai/deployments/100%25/embeddings", "100%"),
        ("/openai/deployments/deployments/embeddings", "deployments"),
        ("/openai/deployments/embeddings/embeddings", "embeddings"),
        ("/openai/deployments/a%3Fb%23c/embeddings", "a?b#c"),
    ] {
        assert_eq!(served("POST", path).surface, classic(deployment), "{path}");
    }
}

#[test]
fn model_names_may_hold_slashes_however_they_are_written() {
    for (path, id) in [
        ("/v1/models/azure%2Fgpt-4o", "azure/gpt-4o"),
        ("/v1/models/azure/gpt-4o", "azure/gpt-4o"),
        ("/v1/models//azure//gpt-4o/", "azure/gpt-4o"),
        ("/openai/deployments/fixed/models/gpt-4o", "gpt-4o"),
        ("/v1/models/a/b/c/d/e/f/g/h", "a/b/c/d/e/f/g/h"),
    ] {
        assert_eq!(served("GET", path).id.as_deref(), Some(id), "{path}");
    }
}

#[test]
fn unknown_paths_are_never_served() {
    let not_found = [
        "/",
        "",
        "/v1",
        "/openai",
        "/chat/completions",
        "/v2/chat/completions",
        "/V1/chat/completions",
        "/v1/Chat/completions",
        "/v1/chat",
        "/v1/chat/completions/a/b/c",
        "/v1/%63hat/completions",
        "/v1%2Fmodels",
        "/v1/v1/models",
        "/openai/v1/v1/models",
        "/deployments/d/models",
        "/openai/deployments",
        "/openai/deployments/d",
        "/openai/deployments//chat",
        "/openai/deployments/a/b/c/d/embeddings",
        "/openai/v1/messages",
        "/v1/files/file-1/content/more",
        "/v1/files/file-1/other",
        "/v1/responses/a/b",
        "/v1/batches/b/c/d",
        "/v1/organization/users",
        "/healthz/x",
        "/v1/healthz",
        "/api",
        "/api/hello/x",
        "/metrics",
        "/logs",
        "/v1/../openai/models",
        "/v1/./models",
        "/v1/models/..",
        "/v1/models/%2e%2e",
        "/v1/models/a%2F..%2Fb",
        "/v1/files/%2e%2e",
        "/v1/files/.%2e/content",
        "/openai/deployments/../models",
        "/openai/deployments/%2E%2E/models",
        "/v1/files/file-1;x/../content",
        "/v1 /models",
        "\\v1\\models",
        "/v1\\models",
    ];
    for path in not_found {
        assert_eq!(classify("GET", path), Err(Unrouted::NotFound(OpenAi)), "{path}");
    }
    for path in [
        "/anthropic",
        "/anthropic/v1",
        "/anthropic/v1/chat/completions",
        "/anthropic/../v1/models",
        "/anthropic/v1/messages/x",
    ] {
        assert_eq!(classify("POST", path), Err(Unrouted::NotFound(Anthropic)), "{path}");
    }
}

#[test]
fn broken_and_hostile_names_are_bad_paths() {
    for path in [
        "/v1/files/%",
        "/v1/files/%zz",
        "/v1/files/%ff",
        "/v1/files/a%00b",
        "/v1/files/a%0d%0ab",
        "/v1/files/a%2Fb",
        "/v1/files/..%2F..%2Fmodels",
        "/v1/files/a%5Cb",
        "/v1/models/a%0Ab",
        "/v1/models/%C0%AF",
        "/v1/models/a%5c..%5cb",
        "/openai/deployments/a%00/models",
        "/openai/deployments/%ff/models",
        "/openai/deployments/%E2%80/models",
        "/v1/files/a%7F",
        "/v1/files/a%C2%85b",
    ] {
        assert_eq!(classify("GET", path), Err(Unrouted::BadPath { dialect: OpenAi }), "{path}");
    }
}

#[test]
fn what_is_not_served_is_named() {
    for (path, operation) in [
        ("/v1/images/variations", "image_variations"),
        ("/openai/deployments/d/images/variations", "image_variations"),
        ("/v1/videos/v_1/remix", "video_remix"),
        ("/openai/v1/video/generations/jobs", "video_generation_jobs"),
        ("/v1/fine_tuning/jobs", "fine_tuning"),
        ("/openai/assistants", "assistants"),
        ("/v1/threads/t/runs", "threads"),
        ("/v1/evals", "evals"),
        ("/v1/vector_stores/vs/files", "vector_stores"),
        ("/v1/containers", "containers"),
        ("/v1/conversations/c/items", "conversations"),
        ("/v1/moderations", "moderations"),
        ("/v1/chat/completions/chatcmpl-1", "stored_chat_completions"),
        ("/v1/realtime/client_secrets", "realtime_sessions"),
        ("/v1/realtime/calls", "realtime_calls"),
    ] {
        assert_eq!(classify("POST", path), Err(Unrouted::Unsupported { dialect: OpenAi, operation }), "{path}");
    }
    for (path, operation) in [
        ("/anthropic/v1/messages/batches", "message_batches"),
        ("/v1/messages/batches", "message_batches"),
        ("/anthropic/v1/files", "anthropic_files"),
        ("/v1/complete", "text_completions"),
    ] {
        assert_eq!(classify("POST", path), Err(Unrouted::Unsupported { dialect: Anthropic, operation }), "{path}");
    }
}

#[test]
fn wrong_methods_learn_the_right_ones() {
    for (method, path, dialect, allow) in [
        ("GET", "/v1/chat/completions", OpenAi, "POST"),
        ("OPTIONS", "/v1/chat/completions", OpenAi, "POST"),
        ("post", "/v1/chat/completions", OpenAi, "POST"),
        ("PUT", "/v1/files", OpenAi, "GET, POST"),
        ("POST", "/v1/files/file-1", OpenAi, "GET, DELETE"),
        ("POST", "/v1/models", OpenAi, "GET"),
        ("DELETE", "/v1/models/gpt-4o", OpenAi, "GET"),
        ("GET", "/v1/responses/compact", OpenAi, "POST"),
        ("GET", "/openai/deployments/d/chat/completions", OpenAi, "POST"),
        ("GET", "/anthropic/v1/messages", Anthropic, "POST"),
        ("POST", "/healthz", OpenAi, "GET, HEAD"),
    ] {
        assert_eq!(classify(method, path), Err(Unrouted::Method { dialect, allow }), "{method} {path}");
    }
}

proptest::proptest! {
    #[test]
    fn no_path_panics_and_no_id_can_leave_its_place(
        path in "(/(v1|openai|anthropic|deployments|models|files|content|chat|completions|%2e|%2F|\\.\\.|%|a|é|%00|\\\\)?){0,9}"
    ) {
        if let Ok(route) = classify("GET", &path) {
            let names = [route.id.as_deref(), match &route.surface { Surface::Classic { deployment } => Some(&**deployment), _ => None }];
            for name in names.into_iter().flatten() {
                proptest::prop_assert!(!name.split('/').any(|part| part == "." || part == ".."));
                proptest::prop_assert!(!name.contains(['\0', '\\']));
            }
        }
    }
}
