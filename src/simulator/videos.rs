//! Videos of the simulated Azure: jobs that progress whenever somebody asks, and a steady pattern for a film.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use serde_json::{Value, json};

use super::answer::{Answer, Reply};
use super::body::Fields;
use super::errors::Refusal;
use super::files::{content, missing};
use super::page;
use super::resource::Call;
use super::words;
use crate::base::locks::lock;

const SECONDS: [&str; 3] = ["4", "8", "12"];
const SIZES: [&str; 4] = ["720x1280", "1280x720", "1024x1792", "1792x1024"];
/// Bytes of a film for each of its seconds.
const FILM: usize = 100_000;

/// What can be done with videos.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Videos {
    Create,
    List,
    Retrieve(String),
    Delete(String),
    Content(String),
}

/// What one resource holds.
#[derive(Debug, Default)]
pub struct VideoStore {
    kept: Mutex<BTreeMap<String, Value>>,
}

impl VideoStore {
    /// Begins a video.
    pub fn create(&self, call: &Call<'_>) -> Result<Reply, Refusal> {
        let fields = Fields::of_body(call.body);
        fields.only(&["input_reference", "model", "prompt", "seconds", "size"])?;
        fields.required("prompt")?;
        let seconds = fields.choice("seconds", &SECONDS)?.unwrap_or(SECONDS[0]);
        let size = fields.choice("size", &SIZES)?.unwrap_or(SIZES[0]);
        let id = words::id("video_", 32);
        let video = json!({
            "id": id, "object": "video", "created_at": words::now(), "status": "queued", "progress": 0, "error": null,
            "model": call.deployment.model, "prompt": fields.get("prompt"), "seconds": seconds, "size": size,
            "completed_at": null, "expires_at": null, "remixed_from_video_id": null,
        });
        self.kept().insert(id, video.clone());
        Ok(Reply::Json(video.to_string()))
    }

    /// Answers an operation on what is there; `None` for one that a deployment has to do with.
    pub fn stored(&self, what: &Videos, headers: &HeaderMap, query: &str) -> Result<Option<Answer>, Refusal> {
        let mut kept = self.kept();
        let answer = match what {
            Videos::Create => return Ok(None),
            Videos::List => page::of(kept.values().cloned().collect(), query)?,
            Videos::Retrieve(id) => progress(kept.get_mut(id).ok_or_else(|| missing("Video", id))?),
            Videos::Delete(id) => {
                kept.remove(id).ok_or_else(|| missing("Video", id))?;
                json!({"id": id, "object": "video.deleted", "deleted": true})
            }
            Videos::Content(id) => {
                let video = kept.get(id).ok_or_else(|| missing("Video", id))?;
                return film(video, headers, query).map(Some);
            }
        };
        Ok(Some(Answer::json(200, answer.to_string())))
    }

    fn kept(&self) -> MutexGuard<'_, BTreeMap<String, Value>> {
        lock(&self.kept)
    }
}

/// The video as it is now; it is a step further when somebody asks again.
fn progress(video: &mut Value) -> Value {
    let now = video.clone();
    let (status, progress) = if now["status"] == "queued" { ("in_progress", 50) } else { ("completed", 100) };
    (video["status"], video["progress"]) = (json!(status), json!(progress));
    now
}

fn film(video: &Value, headers: &HeaderMap, query: &str) -> Result<Answer, Refusal> {
    if video["status"] != "completed" {
        return Err(Refusal::invalid(
            "Video is not ready yet, use GET /v1/videos/{video_id} to check status.",
            None,
            None,
        ));
    }
    let variant = url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "variant");
    let variant = variant.map_or_else(|| "video".to_owned(), |(_, value)| value.into_owned());
    let (media, length) = match variant.as_str() {
        "video" => {
            let seconds = video["seconds"].as_str().and_then(|seconds| seconds.parse::<usize>().ok());
            ("video/mp4", seconds.unwrap_or(4) * FILM)
        }
        "thumbnail" => ("image/webp", 1_000),
        "spritesheet" => ("image/jpeg", 2_000),
        _ => {
            return Err(Refusal::invalid(
                format!("Invalid value: '{variant}'."),
                Some("variant"),
                Some("invalid_value"),
            ));
        }
    };
    let bytes: Vec<u8> = (0..length).map(|at| (at * 7 % 251) as u8).collect();
    let mut answer = content(&Bytes::from(bytes), headers);
    answer.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    Ok(answer)
}
