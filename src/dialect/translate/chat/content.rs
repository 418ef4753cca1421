//! The content of a chat message, read.

use serde_json::{Map, Value};

use super::super::fields::Fields;
use super::super::refused::Refused;
use super::super::request::{Document, Media, Part, Source, Text};

const WHY: &str = "Claude does not know this kind of content";

/// A string, or parts of several kinds. Empty texts say nothing, and Claude refuses them.
pub fn parts(content: Option<Value>, path: &str) -> Result<Vec<Part>, Refused> {
    let parts: Vec<Part> = match content {
        None => Vec::new(),
        Some(Value::String(text)) => vec![Part::Text(Text::plain(text))],
        Some(Value::Array(parts)) => {
            let parts = parts.into_iter().enumerate();
            parts
                .map(|(index, part)| self::part(Fields::of(part, format!("{path}[{index}]"))?))
                .collect::<Result<_, _>>()?
        }
        Some(_) => return Err(Refused::invalid(path, "a string or an array of parts")),
    };
    Ok(parts.into_iter().filter(|part| !matches!(part, Part::Text(text) if text.text.is_empty())).collect())
}

/// Content that may be nothing but text.
pub fn texts(content: Option<Value>, path: &str) -> Result<Vec<Text>, Refused> {
    let text = |part: Part| match part {
        Part::Text(text) => Ok(text),
        _ => Err(Refused::invalid(path, "text")),
    };
    parts(content, path)?.into_iter().map(text).collect()
}

/// A cache mark, in Anthropic's words, which gateways and clients have made usual, or in OpenAI's.
pub fn cache_of(fields: &mut Fields) -> Option<Value> {
    let openai = fields.take("prompt_cache_breakpoint").map(|mark| {
        let mut cache = Map::new();
        cache.insert("type".into(), "ephemeral".into());
        let ttl = mark.get("ttl").filter(|ttl| ttl.as_str().is_some_and(|ttl| matches!(ttl, "5m" | "1h")));
        cache.extend(ttl.map(|ttl| ("ttl".into(), ttl.clone())));
        Value::Object(cache)
    });
    fields.take("cache_control").or(openai)
}

fn part(mut fields: Fields) -> Result<Part, Refused> {
    let kind = fields.required_text("type")?;
    let cache = cache_of(&mut fields);
    match kind.as_str() {
        "text" => Ok(Part::Text(Text { text: fields.required_text("text")?, cache })),
        "refusal" => Ok(Part::Refusal(fields.required_text("refusal")?)),
        "image_url" => {
            let path = fields.path("image_url");
            let url = match fields.take("image_url") {
                Some(Value::String(url)) => url,
                Some(value) => Fields::of(value, path.as_str())?.required_text("url")?,
                None => return Err(Refused::invalid(path, "an object")),
            };
            Ok(Part::Image(Media { source: media(url, &path)?, cache }))
        }
        "file" => {
            let path = fields.path("file");
            let mut file = fields.object("file")?.ok_or_else(|| Refused::invalid(path.as_str(), "an object"))?;
            let name = file.text("filename")?;
            let data = file.text("file_data")?;
            let why = "Claude has no access to files that were uploaded to OpenAI";
            let data = data.ok_or_else(|| Refused::not_supported(file.path("file_id"), why))?;
            Ok(Part::Document(Document { media: Media { source: media(data, &path)?, cache }, name }))
        }
        _ => Err(Refused::not_supported(format!("{} ({kind})", fields.path("type")), WHY)),
    }
}

/// An address that Claude can follow: data, or one that is safe on the way.
pub fn media(address: String, path: &str) -> Result<Source, Refused> {
    let source = Source::of_address(address);
    match &source {
        Source::Url(url) if !url.starts_with("https://") => {
            Err(Refused::not_supported(path, "Claude takes data and `https` addresses"))
        }
        _ => Ok(source),
    }
}
