//! Uploads in parts: parts are kept in any order, and put together in the order that the completion names.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use serde_json::{Map, Value, json};

use super::body::Fields;
use super::errors::Refusal;
use super::files::{Kept, PURPOSES, missing};
use super::form::File;
use super::words;

/// Bytes of one part at most.
const LARGEST_PART: usize = 64 * 1024 * 1024;

/// What can be done with uploads in parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parts {
    Create,
    Add(String),
    Complete(String),
    Cancel(String),
}

/// One upload.
#[derive(Debug)]
pub struct Upload {
    shown: Value,
    parts: BTreeMap<String, Bytes>,
}

impl Kept {
    /// Answers one operation. `files` came with the form, if it was one.
    pub fn in_parts(&mut self, what: &Parts, body: &Map<String, Value>, files: &[File]) -> Result<Value, Refusal> {
        match what {
            Parts::Create => self.begin(body),
            Parts::Add(id) => self.pending(id)?.add(id, files),
            Parts::Complete(id) => self.complete(id, body),
            Parts::Cancel(id) => {
                let upload = self.pending(id)?;
                upload.shown["status"] = json!("cancelled");
                Ok(upload.shown.clone())
            }
        }
    }

    fn begin(&mut self, body: &Map<String, Value>) -> Result<Value, Refusal> {
        let fields = Fields::of_body(body);
        fields.only(&["bytes", "expires_after", "filename", "mime_type", "purpose"])?;
        for name in ["filename", "mime_type", "purpose"] {
            fields.required(name)?;
            fields.text(name)?;
        }
        fields.required("bytes")?;
        fields.integer("bytes", 1, 8 << 30)?;
        fields.choice("purpose", &PURPOSES)?;
        let id = words::id("upload_", 32);
        let shown = json!({
            "id": id, "object": "upload", "bytes": fields.get("bytes"), "created_at": words::now(), "file": null,
            "expires_at": words::now() + 3_600, "filename": fields.get("filename"), "purpose": fields.get("purpose"),
            "status": "pending",
        });
        self.uploads.insert(id, Upload { shown: shown.clone(), parts: BTreeMap::new() });
        Ok(shown)
    }

    fn pending(&mut self, id: &str) -> Result<&mut Upload, Refusal> {
        let upload = self.uploads.get_mut(id).ok_or_else(|| missing("Upload", id))?;
        let status = upload.shown["status"].as_str().unwrap_or_default();
        if status == "pending" {
            return Ok(upload);
        }
        Err(Refusal::invalid(format!("Upload {id} is {status} and can no longer be changed."), None, None))
    }

    fn complete(&mut self, id: &str, body: &Map<String, Value>) -> Result<Value, Refusal> {
        let fields = Fields::of_body(body);
        fields.only(&["md5", "part_ids"])?;
        fields.required("part_ids")?;
        let named = fields.array("part_ids")?.unwrap_or_default();
        let upload = self.pending(id)?;
        let mut whole = BytesMut::new();
        for part in named {
            let part = part.as_str().and_then(|part| upload.parts.get(part)).ok_or_else(|| {
                Refusal::invalid(format!("Part {part} does not belong to upload {id}."), Some("part_ids"), None)
            })?;
            whole.extend_from_slice(part);
        }
        if upload.shown["bytes"] != json!(whole.len()) {
            let expected = &upload.shown["bytes"];
            let message = format!("The parts have {} bytes, but the upload was to have {expected}.", whole.len());
            return Err(Refusal::invalid(message, Some("part_ids"), None));
        }
        let text = |upload: &Upload, name: &str| upload.shown[name].as_str().unwrap_or_default().to_owned();
        let (name, purpose) = (text(upload, "filename"), text(upload, "purpose"));
        upload.shown["status"] = json!("completed");
        upload.parts.clear();
        let mut shown = upload.shown.clone();
        let file = self.keep(&name, &purpose, whole.freeze());
        shown["file"] = file;
        Ok(shown)
    }
}

impl Upload {
    fn add(&mut self, id: &str, files: &[File]) -> Result<Value, Refusal> {
        let data = files.iter().find(|file| file.field == "data").ok_or_else(|| {
            Refusal::invalid("Missing required parameter: 'data'.", Some("data"), Some("missing_required_parameter"))
        })?;
        if data.content.len() > LARGEST_PART {
            return Err(Refusal::invalid("A part may have at most 64 MB.", Some("data"), None));
        }
        let part = words::id("part_", 32);
        self.parts.insert(part.clone(), data.content.clone().into());
        Ok(json!({"id": part, "object": "upload.part", "created_at": words::now(), "upload_id": id}))
    }
}
