//! Images and audio of the simulated Azure: the smallest picture there is, words about what was heard, a steady tone.

use serde_json::{Value, json};

use super::answer::Reply;
use super::body::Fields;
use super::errors::Refusal;
use super::form::File;
use super::resource::Call;
use super::words;

/// A picture of one pixel.
const PNG: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

/// Bytes of sound for each character that is spoken.
const SOUND: usize = 256;

const IMAGES: [&str; 15] = [
    "background",
    "input_fidelity",
    "mask",
    "model",
    "moderation",
    "n",
    "output_compression",
    "output_format",
    "partial_images",
    "prompt",
    "quality",
    "response_format",
    "size",
    "stream",
    "user",
];
const TRANSCRIPTS: [&str; 9] = [
    "chunking_strategy",
    "include[]",
    "language",
    "model",
    "prompt",
    "response_format",
    "stream",
    "temperature",
    "timestamp_granularities[]",
];
const SPEECH: [&str; 7] = ["input", "instructions", "model", "response_format", "speed", "stream_format", "voice"];

/// What can be done with images and audio.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Media {
    Images,
    ImageEdits,
    Transcription,
    Translation,
    Speech,
}

/// Answers one of them. `files` came with the form, if it was one.
pub fn answer(what: Media, call: &Call<'_>, files: &[File]) -> Result<Reply, Refusal> {
    let fields = Fields::of_body(call.body);
    match what {
        Media::Images => images(&fields, "image_generation"),
        Media::ImageEdits => {
            file(files, "image").or_else(|_| file(files, "image[]"))?;
            images(&fields, "image_edit")
        }
        Media::Transcription | Media::Translation => transcript(&fields, file(files, "file")?),
        Media::Speech => speech(&fields),
    }
}

fn file<'a>(files: &'a [File], name: &str) -> Result<&'a File, Refusal> {
    files.iter().find(|file| file.field == name).ok_or_else(|| {
        let message = format!("Missing required parameter: '{name}'.");
        Refusal::invalid(message, Some(name), Some("missing_required_parameter"))
    })
}

fn images(fields: &Fields<'_>, kind: &str) -> Result<Reply, Refusal> {
    fields.only(&IMAGES)?;
    let prompt = fields.required("prompt")?.as_str().unwrap_or_default();
    let count = fields.count("n", 1, 10)?.unwrap_or(1);
    let partial = fields.count("partial_images", 0, 3)?.unwrap_or(0);
    let usage = json!({
        "input_tokens": words::count(prompt), "input_tokens_details": {"image_tokens": 0, "text_tokens": words::count(prompt)},
        "output_tokens": 196 * count, "total_tokens": words::count(prompt) + 196 * count,
    });
    if fields.boolean("stream")? != Some(true) {
        let data: Vec<Value> = (0..count).map(|_| json!({"b64_json": PNG})).collect();
        return Ok(Reply::Json(json!({"created": words::now(), "data": data, "usage": usage}).to_string()));
    }
    let event = |what: &str, more: Value| {
        let mut event =
            json!({"type": format!("{kind}.{what}"), "b64_json": PNG, "created_at": words::now(), "size": "1024x1024"});
        more.as_object().into_iter().flatten().for_each(|(name, value)| event[name] = value.clone());
        event.to_string()
    };
    let mut events: Vec<String> =
        (0..partial).map(|index| event("partial_image", json!({"partial_image_index": index}))).collect();
    events.push(event("completed", json!({"usage": usage})));
    Ok(Reply::Responses(events))
}

fn transcript(fields: &Fields<'_>, file: &File) -> Result<Reply, Refusal> {
    fields.only(&TRANSCRIPTS)?;
    let format = fields.choice("response_format", &["json", "text", "srt", "verbose_json", "vtt", "diarized_json"])?;
    let text = format!("I heard {} bytes of {}.", file.content.len(), file.name);
    let usage = json!({
        "type": "tokens", "input_tokens": 14, "input_token_details": {"text_tokens": 0, "audio_tokens": 14},
        "output_tokens": words::count(&text), "total_tokens": 14 + words::count(&text),
    });
    if fields.boolean("stream")? == Some(true) {
        let delta = |piece: &str| json!({"type": "transcript.text.delta", "delta": piece}).to_string();
        let mut events: Vec<String> = words::pieces(&text).into_iter().map(delta).collect();
        events.push(json!({"type": "transcript.text.done", "text": text, "usage": usage}).to_string());
        return Ok(Reply::Responses(events));
    }
    Ok(match format.unwrap_or("json") {
        "text" => Reply::Bytes("text/plain; charset=utf-8", format!("{text}\n").into()),
        "srt" => Reply::Bytes("text/plain; charset=utf-8", format!("1\n00:00:00,000 --> 00:00:01,000\n{text}\n\n").into()),
        "vtt" => Reply::Bytes("text/plain; charset=utf-8", format!("WEBVTT\n\n00:00.000 --> 00:01.000\n{text}\n\n").into()),
        "verbose_json" => Reply::Json(
            json!({"task": "transcribe", "language": "english", "duration": 1.0, "text": text, "segments": [], "usage": {"type": "duration", "seconds": 1}})
                .to_string(),
        ),
        _ => Reply::Json(json!({"text": text, "usage": usage}).to_string()),
    })
}

fn speech(fields: &Fields<'_>) -> Result<Reply, Refusal> {
    fields.only(&SPEECH)?;
    let input = fields.required("input")?.as_str().unwrap_or_default();
    fields.required("voice")?;
    let format = fields.choice("response_format", &["mp3", "opus", "aac", "flac", "wav", "pcm"])?.unwrap_or("mp3");
    if fields.choice("stream_format", &["audio", "sse"])? == Some("sse") {
        let delta = json!({"type": "speech.audio.delta", "audio": PNG}).to_string();
        let usage =
            json!({"input_tokens": words::count(input), "output_tokens": 20, "total_tokens": words::count(input) + 20});
        return Ok(Reply::Responses(vec![delta, json!({"type": "speech.audio.done", "usage": usage}).to_string()]));
    }
    let media = match format {
        "mp3" => "audio/mpeg",
        "opus" => "audio/opus",
        "aac" => "audio/aac",
        "flac" => "audio/flac",
        "wav" => "audio/wav",
        _ => "audio/pcm",
    };
    // Every byte value occurs, as in real sound.
    Ok(Reply::Bytes(
        media,
        (0..input.chars().count() * SOUND).map(|at| (at * 31 % 256) as u8).collect::<Vec<u8>>().into(),
    ))
}
