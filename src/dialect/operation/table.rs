//! The list itself: operations with their labels, and the words of each path with its methods.

use Operation::*;

/// Words of a path that are looked at: more than the longest fixed path has.
pub(super) const LONGEST: usize = 6;

macro_rules! operations {
    ($($operation:ident = $name:literal),* $(,)?) => {
        /// Everything the gateway serves.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
        pub enum Operation {
            $($operation),*
        }

        impl Operation {
            pub const ALL: &'static [Operation] = &[$(Operation::$operation),*];

            /// The stable name, used in metrics and logs.
            pub fn name(self) -> &'static str {
                match self {
                    $(Operation::$operation => $name),*
                }
            }
        }
    };
}

operations! {
    ChatCompletions = "chat_completions",
    Completions = "completions",
    Embeddings = "embeddings",
    Responses = "responses",
    ResponseRetrieve = "response_retrieve",
    ResponseDelete = "response_delete",
    ResponseCancel = "response_cancel",
    ResponseInputItems = "response_input_items",
    ResponseInputTokens = "response_input_tokens",
    ResponsesCompact = "responses_compact",
    ImageGenerations = "image_generations",
    ImageEdits = "image_edits",
    AudioTranscriptions = "audio_transcriptions",
    AudioTranslations = "audio_translations",
    AudioSpeech = "audio_speech",
    FileUpload = "file_upload",
    FileList = "file_list",
    FileRetrieve = "file_retrieve",
    FileDelete = "file_delete",
    FileContent = "file_content",
    UploadCreate = "upload_create",
    UploadPart = "upload_part",
    UploadComplete = "upload_complete",
    UploadCancel = "upload_cancel",
    BatchCreate = "batch_create",
    BatchList = "batch_list",
    BatchRetrieve = "batch_retrieve",
    BatchCancel = "batch_cancel",
    VideoCreate = "video_create",
    VideoList = "video_list",
    VideoRetrieve = "video_retrieve",
    VideoDelete = "video_delete",
    VideoContent = "video_content",
    Models = "models",
    Model = "model",
    Messages = "messages",
    CountTokens = "count_tokens",
    Realtime = "realtime",
    Hello = "hello",
    Health = "health",
}

/// The methods of one path.
pub(super) struct Methods {
    pub allow: &'static str,
    pub list: &'static [(&'static str, Operation)],
}

/// Where in the words the id stands.
pub(super) enum Id {
    None,
    Second,
    /// All words after the first: model names may hold slashes.
    Rest,
}

pub(super) enum Match {
    Path(&'static Methods, Id),
    Unsupported(&'static str),
    None,
}

macro_rules! on {
    ($id:ident, $allow:literal, $($method:literal => $operation:expr),*) => {{
        const METHODS: &Methods = &Methods { allow: $allow, list: &[$(($method, $operation)),*] };
        Match::Path(METHODS, Id::$id)
    }};
}

/// What is answered here, without a prefix.
pub(super) fn own(words: &[&str]) -> Match {
    match words {
        ["healthz"] => on!(None, "GET, HEAD", "GET" => Health, "HEAD" => Health),
        ["api", "hello"] => hello(),
        _ => Match::None,
    }
}

/// Behind `/openai`, `/v1`, or `/deployments/{deployment}`.
pub(super) fn openai(words: &[&str]) -> Match {
    match words {
        ["chat", "completions"] => on!(None, "POST", "POST" => ChatCompletions),
        ["completions"] => on!(None, "POST", "POST" => Completions),
        ["embeddings"] => on!(None, "POST", "POST" => Embeddings),
        ["images", "generations"] => on!(None, "POST", "POST" => ImageGenerations),
        ["images", "edits"] => on!(None, "POST", "POST" => ImageEdits),
        ["audio", "transcriptions"] => on!(None, "POST", "POST" => AudioTranscriptions),
        ["audio", "translations"] => on!(None, "POST", "POST" => AudioTranslations),
        ["audio", "speech"] => on!(None, "POST", "POST" => AudioSpeech),
        ["realtime"] => on!(None, "GET", "GET" => Realtime),
        ["models", ..] => models(words),
        ["responses", ..] => responses(words),
        ["files" | "uploads" | "batches" | "videos", ..] => stored(words),
        _ => unsupported(words),
    }
}

/// Behind `/anthropic`, and `/v1/messages`.
pub(super) fn anthropic(words: &[&str]) -> Match {
    match words {
        ["messages"] => on!(None, "POST", "POST" => Messages),
        ["messages", "count_tokens"] => on!(None, "POST", "POST" => CountTokens),
        ["messages", "batches", ..] => Match::Unsupported("message_batches"),
        ["models", ..] => models(words),
        ["api", "hello"] => hello(),
        ["complete"] => Match::Unsupported("text_completions"),
        ["files", ..] => Match::Unsupported("anthropic_files"),
        ["skills", ..] => Match::Unsupported("skills"),
        _ => Match::None,
    }
}

fn hello() -> Match {
    on!(None, "GET, HEAD", "HEAD" => Hello, "GET" => Hello)
}

fn models(words: &[&str]) -> Match {
    match words {
        ["models"] => on!(None, "GET", "GET" => Models),
        _ => on!(Rest, "GET", "GET" => Model),
    }
}

fn responses(words: &[&str]) -> Match {
    match words {
        ["responses"] => on!(None, "POST", "POST" => Responses),
        ["responses", "compact"] => on!(None, "POST", "POST" => ResponsesCompact),
        ["responses", "input_tokens"] => on!(None, "POST", "POST" => ResponseInputTokens),
        ["responses", _] => {
            on!(Second, "GET, DELETE", "GET" => ResponseRetrieve, "DELETE" => ResponseDelete)
        }
        ["responses", _, "cancel"] => on!(Second, "POST", "POST" => ResponseCancel),
        ["responses", _, "input_items"] => on!(Second, "GET", "GET" => ResponseInputItems),
        _ => Match::None,
    }
}

/// Objects that live in one Azure resource.
fn stored(words: &[&str]) -> Match {
    match words {
        ["files"] => on!(None, "GET, POST", "GET" => FileList, "POST" => FileUpload),
        ["files", _] => on!(Second, "GET, DELETE", "GET" => FileRetrieve, "DELETE" => FileDelete),
        ["files", _, "content"] => on!(Second, "GET", "GET" => FileContent),
        ["uploads"] => on!(None, "POST", "POST" => UploadCreate),
        ["uploads", _, "parts"] => on!(Second, "POST", "POST" => UploadPart),
        ["uploads", _, "complete"] => on!(Second, "POST", "POST" => UploadComplete),
        ["uploads", _, "cancel"] => on!(Second, "POST", "POST" => UploadCancel),
        ["batches"] => on!(None, "GET, POST", "GET" => BatchList, "POST" => BatchCreate),
        ["batches", _] => on!(Second, "GET", "GET" => BatchRetrieve),
        ["batches", _, "cancel"] => on!(Second, "POST", "POST" => BatchCancel),
        ["videos"] => on!(None, "GET, POST", "GET" => VideoList, "POST" => VideoCreate),
        ["videos", _] => on!(Second, "GET, DELETE", "GET" => VideoRetrieve, "DELETE" => VideoDelete),
        ["videos", _, "content"] => on!(Second, "GET", "GET" => VideoContent),
        ["videos", _, "remix"] => Match::Unsupported("video_remix"),
        _ => Match::None,
    }
}

/// What the APIs have and the gateway has not, so that callers are told so instead of finding nothing.
fn unsupported(words: &[&str]) -> Match {
    Match::Unsupported(match words {
        ["images", "variations"] => "image_variations",
        ["video", "generations", ..] => "video_generation_jobs",
        ["chat", "completions", _] | ["chat", "completions", _, "messages"] => "stored_chat_completions",
        ["realtime", "calls", ..] => "realtime_calls",
        ["realtime", "client_secrets" | "sessions" | "transcription_sessions"] => "realtime_sessions",
        ["audio", "voices" | "voice_consents", ..] => "audio_voices",
        ["fine_tuning" | "fine-tunes", ..] => "fine_tuning",
        ["assistants", ..] => "assistants",
        ["threads", ..] => "threads",
        ["evals", ..] => "evals",
        ["vector_stores", ..] => "vector_stores",
        ["containers", ..] => "containers",
        ["conversations", ..] => "conversations",
        ["moderations"] => "moderations",
        ["skills", ..] => "skills",
        ["chatkit", ..] => "chatkit",
        _ => return Match::None,
    })
}
