//! Bodies that are forms: the texts as if they had come in JSON, and the files.

use http::{HeaderMap, header};
use serde_json::{Map, Value, json};

use super::body;
use super::errors::Refusal;
use crate::dialect::multipart::{Kind, Multipart};

/// Fields that are no texts, whatever the form says.
const TYPED: [&str; 5] = ["stream", "n", "partial_images", "temperature", "output_compression"];

/// A file of a form.
#[derive(Clone, Debug)]
pub struct File {
    /// The field it came in.
    pub field: String,
    /// Its own name.
    pub name: String,
    pub content: Vec<u8>,
}

/// A body in either coding.
pub fn read(headers: &HeaderMap, bytes: &[u8]) -> (Result<Map<String, Value>, Refusal>, Vec<File>) {
    let media = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !media.starts_with("multipart/form-data") {
        return (body::object(bytes), Vec::new());
    }
    let refuse = |error: crate::dialect::multipart::FormError| {
        Refusal::invalid(format!("We could not parse the form of your request: {error}."), None, None)
    };
    let parsed = Multipart::new(media).and_then(|mut form| {
        form.feed(bytes)?;
        form.finish()
    });
    let form = match parsed {
        Ok(form) => form,
        Err(error) => return (Err(refuse(error)), Vec::new()),
    };
    let (mut map, mut files) = (Map::new(), Vec::new());
    for field in form.fields {
        let content = &bytes[field.value.start as usize..field.value.end as usize];
        if field.kind == Kind::File {
            let name = file_name(bytes, field.value.start as usize);
            files.push(File { field: field.name, name, content: content.to_vec() });
        } else {
            let text = String::from_utf8_lossy(content).into_owned();
            let typed = TYPED.contains(&field.name.as_str()).then(|| serde_json::from_str(&text).ok()).flatten();
            map.insert(field.name, typed.unwrap_or_else(|| json!(text)));
        }
    }
    (Ok(map), files)
}

/// The name in the head that ends where a content starts.
fn file_name(bytes: &[u8], start: usize) -> String {
    let head = &bytes[start.saturating_sub(512)..start];
    let head = String::from_utf8_lossy(head);
    let after = head.rsplit_once("filename=\"").map_or("", |(_, after)| after);
    after.split('"').next().unwrap_or_default().to_owned()
}
