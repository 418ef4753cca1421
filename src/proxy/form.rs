//! What is asked of an upstream: method, path and query of an operation.

use std::borrow::Cow;

use http::Method;

use crate::azure;
use crate::dialect::translate::Protocol;
use crate::dialect::{Operation, query_value};

/// The form of a request at the upstream.
#[derive(Debug, Clone)]
pub struct Form {
    pub operation: Operation,
    pub method: Method,
    /// Below the deployment or `/openai/v1`, encoded.
    pub path: Cow<'static, str>,
    /// Encoded.
    pub query: String,
    pub place: Place,
}

/// Where an operation stands at Azure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Below a deployment, or below `/openai/v1`: as the key's version has it.
    Deployment,
    /// Below `/openai/v1` alone.
    V1,
    /// Below `/anthropic/v1`.
    Claude,
}

/// How a request's body is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    Json,
    /// `multipart/form-data` (RFC 7578).
    Form,
    /// As the content type says.
    Either,
}

impl Form {
    /// The form of an operation that a model answers; `None` when it is no such operation, or not served.
    pub fn of_model(operation: Operation) -> Option<Self> {
        let (path, place) = match operation {
            Operation::ChatCompletions => ("chat/completions", Place::Deployment),
            Operation::Completions => ("completions", Place::Deployment),
            Operation::Embeddings => ("embeddings", Place::Deployment),
            Operation::Responses => ("responses", Place::V1),
            Operation::ResponsesCompact => ("responses/compact", Place::V1),
            Operation::ResponseInputTokens => ("responses/input_tokens", Place::V1),
            Operation::Messages => ("messages", Place::Claude),
            Operation::CountTokens => ("messages/count_tokens", Place::Claude),
            Operation::ImageGenerations => ("images/generations", Place::V1),
            Operation::ImageEdits => ("images/edits", Place::V1),
            Operation::AudioTranscriptions => ("audio/transcriptions", Place::Deployment),
            Operation::AudioTranslations => ("audio/translations", Place::Deployment),
            Operation::AudioSpeech => ("audio/speech", Place::Deployment),
            Operation::FileUpload => ("files", Place::V1),
            Operation::BatchCreate => ("batches", Place::V1),
            Operation::UploadCreate => ("uploads", Place::V1),
            Operation::VideoCreate => ("videos", Place::V1),
            _ => return None,
        };
        Some(Self { operation, method: Method::POST, path: path.into(), query: String::new(), place })
    }

    /// The form of an operation on an object that a resource keeps, by the resource's own `id`; `None` when it is no such
    /// operation, or not served. `query` is encoded.
    pub fn of_object(operation: Operation, id: &str, query: String) -> Option<Self> {
        let id = azure::segment(id);
        let (method, path) = match operation {
            Operation::ResponseRetrieve => (Method::GET, format!("responses/{id}")),
            Operation::ResponseDelete => (Method::DELETE, format!("responses/{id}")),
            Operation::ResponseCancel => (Method::POST, format!("responses/{id}/cancel")),
            Operation::ResponseInputItems => (Method::GET, format!("responses/{id}/input_items")),
            Operation::FileRetrieve => (Method::GET, format!("files/{id}")),
            Operation::FileDelete => (Method::DELETE, format!("files/{id}")),
            Operation::FileContent => (Method::GET, format!("files/{id}/content")),
            Operation::UploadPart => (Method::POST, format!("uploads/{id}/parts")),
            Operation::UploadComplete => (Method::POST, format!("uploads/{id}/complete")),
            Operation::UploadCancel => (Method::POST, format!("uploads/{id}/cancel")),
            Operation::VideoRetrieve => (Method::GET, format!("videos/{id}")),
            Operation::VideoDelete => (Method::DELETE, format!("videos/{id}")),
            Operation::VideoContent => (Method::GET, format!("videos/{id}/content")),
            Operation::BatchRetrieve => (Method::GET, format!("batches/{id}")),
            Operation::BatchCancel => (Method::POST, format!("batches/{id}/cancel")),
            _ => return None,
        };
        Some(Self { operation, method, path: path.into(), query, place: Place::V1 })
    }

    /// The form of one of the lists of what a resource keeps. `query` is encoded.
    pub fn of_list(operation: Operation, query: String) -> Self {
        let path = match operation {
            Operation::VideoList => "videos",
            Operation::BatchList => "batches",
            _ => "files",
        };
        Self { operation, method: Method::GET, path: path.into(), query, place: Place::V1 }
    }

    /// The form of reading one object of such a list, by the resource's own `id`.
    pub fn of_listed(list: Operation, id: &str) -> Self {
        let Self { operation, path, .. } = Self::of_list(list, String::new());
        let path = format!("{path}/{}", azure::segment(id));
        Self { operation, method: Method::GET, path: path.into(), query: String::new(), place: Place::V1 }
    }

    /// Whether the operation lists what a resource keeps.
    pub fn is_list(operation: Operation) -> bool {
        matches!(operation, Operation::FileList | Operation::BatchList | Operation::VideoList)
    }

    /// Whether what answers hold the ids of can be listed.
    pub fn is_listed(operation: Operation) -> bool {
        Self::has_ids(operation) && !Self::speaks_responses(operation)
    }

    /// The same with what passes of the caller's query: clients of Claude ask for beta features there too.
    pub fn asked_with(mut self, query: &str) -> Self {
        if self.place == Place::Claude && query_value(query, "beta").is_some_and(|beta| beta == "true") {
            self.query = "beta=true".to_owned();
        }
        self
    }

    /// The form in which a translated request goes to a model that speaks `upstream`.
    pub fn of_protocol(upstream: Protocol) -> Self {
        let (operation, path, place) = match upstream {
            Protocol::Chat => (Operation::ChatCompletions, "chat/completions", Place::Deployment),
            Protocol::Responses => (Operation::Responses, "responses", Place::V1),
            Protocol::Messages => (Operation::Messages, "messages", Place::Claude),
        };
        Self { operation, method: Method::POST, path: path.into(), query: String::new(), place }
    }

    /// Whether the operation is about an object that a resource keeps.
    pub fn is_about_object(operation: Operation) -> bool {
        Self::of_object(operation, "", String::new()).is_some()
    }

    /// Whether a request about such an object brings a body that matters.
    pub fn brings_more(operation: Operation) -> bool {
        matches!(operation, Operation::UploadPart | Operation::UploadComplete)
    }

    /// What the body of a request is, other than an object in JSON.
    pub fn coding(operation: Operation) -> Coding {
        use Operation::{AudioTranscriptions, AudioTranslations, FileUpload, ImageEdits, UploadPart, VideoCreate};
        match operation {
            AudioTranscriptions | AudioTranslations | FileUpload | UploadPart => Coding::Form,
            ImageEdits | VideoCreate => Coding::Either,
            _ => Coding::Json,
        }
    }

    /// Whether the operation makes images, transcripts or speech.
    pub fn makes_media(operation: Operation) -> bool {
        use Operation::{AudioSpeech, AudioTranscriptions, AudioTranslations, ImageEdits, ImageGenerations};
        matches!(operation, ImageGenerations | ImageEdits | AudioTranscriptions | AudioTranslations | AudioSpeech)
    }

    /// Whether the operation makes something that its resource keeps and that no model has a part in.
    pub fn stores(operation: Operation) -> bool {
        matches!(operation, Operation::FileUpload | Operation::UploadCreate | Operation::BatchCreate)
    }

    /// Whether a request is not sent again once it may have been taken: there would be two of what was to be one.
    pub fn is_sent_once(operation: Operation) -> bool {
        Self::stores(operation) || Self::brings_more(operation) || operation == Operation::VideoCreate
    }

    /// Whether the answer is the content of a file or a video, which may be asked for in parts.
    pub fn is_content(operation: Operation) -> bool {
        matches!(operation, Operation::FileContent | Operation::VideoContent)
    }

    /// Whether requests and answers hold ids of what a resource keeps.
    pub fn has_ids(operation: Operation) -> bool {
        Self::speaks_responses(operation)
            || Self::stores(operation)
            || Self::is_about_object(operation)
            || operation == Operation::VideoCreate
    }

    /// Whether requests and answers are those of the Responses dialect.
    pub fn speaks_responses(operation: Operation) -> bool {
        use Operation::{
            ResponseCancel, ResponseDelete, ResponseInputItems, ResponseInputTokens, ResponseRetrieve, Responses,
            ResponsesCompact,
        };
        matches!(
            operation,
            Responses
                | ResponsesCompact
                | ResponseInputTokens
                | ResponseRetrieve
                | ResponseDelete
                | ResponseCancel
                | ResponseInputItems
        )
    }
}
