//! The content of a Responses item, read.

use serde_json::Value;

use super::super::chat::{cache_of, media};
use super::super::fields::Fields;
use super::super::refused::Refused;
use super::super::request::{Document, Media, Part, Text};

const WHY: &str = "this model does not know this kind of content";
const UPLOADED: &str = "this model has no access to files that were uploaded to OpenAI";

/// A string, or parts of several kinds.
pub fn parts(content: Option<Value>, path: &str) -> Result<Vec<Part>, Refused> {
    match content {
        None => Ok(Vec::new()),
        Some(Value::String(text)) => Ok(vec![Part::Text(Text::plain(text))]),
        Some(Value::Array(parts)) => {
            let parts = parts.into_iter().enumerate();
            parts.map(|(index, part)| self::part(Fields::of(part, format!("{path}[{index}]"))?)).collect()
        }
        Some(_) => Err(Refused::invalid(path, "a string or an array of parts")),
    }
}

fn part(mut fields: Fields) -> Result<Part, Refused> {
    let kind = fields.required_text("type")?;
    let cache = cache_of(&mut fields);
    match kind.as_str() {
        "input_text" | "output_text" | "text" => Ok(Part::Text(Text { text: fields.required_text("text")?, cache })),
        "refusal" => Ok(Part::Refusal(fields.required_text("refusal")?)),
        "input_image" => {
            let path = fields.path("image_url");
            let url =
                fields.text("image_url")?.ok_or_else(|| Refused::not_supported(fields.path("file_id"), UPLOADED))?;
            Ok(Part::Image(Media { source: media(url, &path)?, cache }))
        }
        "input_file" => {
            let path = fields.path("file_data");
            let name = fields.text("filename")?;
            let address = fields.text("file_data")?.or(fields.text("file_url")?);
            let address = address.ok_or_else(|| Refused::not_supported(fields.path("file_id"), UPLOADED))?;
            Ok(Part::Document(Document { media: Media { source: media(address, &path)?, cache }, name }))
        }
        _ => Err(Refused::not_supported(format!("{} ({kind})", fields.path("type")), WHY)),
    }
}
