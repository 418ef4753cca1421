//! What is asked of an upstream: method, path and query of an operation.

use std::borrow::Cow;

use http::Method;

use crate::azure;
use crate::dialect::Operation;

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
            Operation::ImageGenerations => ("images/generations", Place::V1),
            Operation::ImageEdits => ("images/edits", Place::V1),
            Operation::AudioTranscriptions => ("audio/transcriptions", Place::Deployment),
            Operation::AudioTranslations => ("audio/translations", Place::Deployment),
            Operation::AudioSpeech => ("audio/speech", Place::Deployment),
            Operation::FileUpload => ("files", Place::V1),
            Operation::BatchCreate => ("batches", Place::V1),
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
            Operation::BatchRetrieve => (Method::GET, format!("batches/{id}")),
            Operation::BatchCancel => (Method::POST, format!("batches/{id}/cancel")),
            _ => return None,
        };
        Some(Self { operation, method, path: path.into(), query, place: Place::V1 })
    }

    /// Whether the operation is about an object that a resource keeps.
    pub fn is_about_object(operation: Operation) -> bool {
        Self::of_object(operation, "", String::new()).is_some()
    }

    /// What the body of a request is, other than an object in JSON.
    pub fn coding(operation: Operation) -> Coding {
        match operation {
            Operation::AudioTranscriptions | Operation::AudioTranslations | Operation::FileUpload => Coding::Form,
            Operation::ImageEdits => Coding::Either,
            _ => Coding::Json,
        }
    }

    /// Whether the operation makes images, transcripts or speech.
    pub fn makes_media(operation: Operation) -> bool {
        use Operation::{AudioSpeech, AudioTranscriptions, AudioTranslations, ImageEdits, ImageGenerations};
        matches!(operation, ImageGenerations | ImageEdits | AudioTranscriptions | AudioTranslations | AudioSpeech)
    }

    /// Whether the operation makes something that its resource keeps and that no model has a part in. Such a request is not
    /// sent again once it may have been taken: there would be two of what was to be one.
    pub fn stores(operation: Operation) -> bool {
        matches!(operation, Operation::FileUpload | Operation::BatchCreate)
    }

    /// Whether requests and answers hold ids of what a resource keeps.
    pub fn has_ids(operation: Operation) -> bool {
        Self::speaks_responses(operation) || Self::stores(operation) || Self::is_about_object(operation)
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
