//! The models list in Azure's shape: base models with capabilities and life cycle, never deployments.

use serde_json::{Value, json};

use super::settings::{Deployment, Kind};

/// When the simulated models were made and retire; fixed, so that lists compare equal.
const CREATED: u64 = 1_730_000_000;
const RETIRES: u64 = 1_893_456_000;

/// `GET …/models`.
pub fn list(deployments: &[Deployment]) -> String {
    let mut models: Vec<Value> = Vec::new();
    for deployment in deployments {
        if models.iter().all(|model| model["id"] != deployment.model.as_str()) {
            models.push(model(deployment));
        }
    }
    json!({"data": models, "object": "list"}).to_string()
}

/// `GET …/models/{id}`.
pub fn one(deployments: &[Deployment], id: &str) -> Option<String> {
    deployments.iter().find(|deployment| deployment.model == id).map(|deployment| model(deployment).to_string())
}

fn model(deployment: &Deployment) -> Value {
    json!({
        "status": "succeeded",
        "capabilities": {
            "fine_tune": false,
            "inference": true,
            "completion": deployment.kind == Kind::Completion,
            "chat_completion": deployment.kind == Kind::Chat,
            "embeddings": deployment.kind == Kind::Embedding,
        },
        "lifecycle_status": "generally-available",
        "deprecation": {"inference": RETIRES},
        "id": deployment.model,
        "created_at": CREATED,
        "object": "model",
    })
}
