//! Images and audio: forms whose files are not touched, answers that are sound, streams of pictures.

use azgate::simulator::{Deployment, Kind, Running, Settings};
use bytes::Bytes;
use http::Method;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::*;

const FORM: &str = "multipart/form-data; boundary=xYzZY";

async fn studio() -> Running {
    let deployments = [("ear-east", Kind::Transcription), ("voice-east", Kind::Speech), ("brush-east", Kind::Image)];
    let deployments = deployments.map(|(name, kind)| Deployment::new(name, name, kind));
    azure_with(Settings { deployments: deployments.into(), ..Settings::default() }).await
}

fn config_of(azure: &Running, version: &str) -> Value {
    let mut config = config(&azure.base_url());
    let key = &mut config["providers"]["azure"]["keys"][0];
    key["aliases"] = json!({"whisper": "ear-east", "tts": "voice-east", "painter": "brush-east"});
    key["azure_key_config"]["api_version"] = json!(version);
    config
}

/// A form: names, and contents that are files where they have a file name.
fn form(parts: &[(&str, Option<&str>, &[u8])]) -> Bytes {
    let mut body = Vec::new();
    for (name, file, content) in parts {
        let file = file
            .map_or(String::new(), |file| format!("; filename=\"{file}\"\r\nContent-Type: application/octet-stream"));
        body.extend_from_slice(
            format!("--xYzZY\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n").as_bytes(),
        );
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--xYzZY--\r\n");
    body.into()
}

async fn upload(gateway: &Gateway, path: &str, body: Bytes) -> Answer {
    typed(gateway, path, FORM, body).await
}

async fn typed(gateway: &Gateway, path: &str, media: &str, body: Bytes) -> Answer {
    let authorization = format!("Bearer {KEY}");
    let headers = [("authorization", authorization.as_str()), ("content-type", media)];
    send(gateway.address, Method::POST, path, &headers, body).await
}

/// What the resource got, by length and hash: bodies with files are no text.
fn received(azure: &Running) -> (u64, String) {
    let sent = azure.recorded().pop().unwrap();
    (sent.body_length, sent.body_sha256)
}

fn hash(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(&Sha256::digest(bytes))
}

#[tokio::test]
async fn traps_31_the_model_of_a_form_is_rewritten_and_no_other_byte() {
    let azure = studio().await;
    let sound: Vec<u8> = (0..200_000u32).flat_map(|n| n.to_le_bytes()).chain(*b"\r\n--xYzZ\r\n").collect();
    for version in ["2024-10-21", "v1"] {
        let gateway = Gateway::start(&config_of(&azure, version)).await;
        for order in [0, 1] {
            let parts = |model: &'static [u8]| {
                let mut parts =
                    vec![("model", None, model), ("file", Some("a.wav"), &sound[..]), ("language", None, b"en")];
                parts.rotate_left(order);
                form(&parts)
            };
            let answer = upload(&gateway, "/v1/audio/transcriptions", parts(b"azure/Whisper")).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
            assert_eq!(answer.json()["text"], format!("I heard {} bytes of a.wav.", sound.len()));
            let expected = parts(b"ear-east");
            assert_eq!(received(&azure), (expected.len() as u64, hash(&expected)), "{version}, order {order}");
        }
        gateway.request_lines(2).await;
        assert_eq!(gateway.metric("azgate_tokens_total", &["kind=\"input\""]).await, 28.0);
    }
}

#[tokio::test]
async fn forms_on_classic_paths_need_no_model_of_their_own() {
    let azure = studio().await;
    let gateway = Gateway::start(&config_of(&azure, "v1")).await;
    let body = form(&[("file", Some("a.mp3"), b"RIFF"), ("response_format", None, b"text")]);
    let answer = upload(&gateway, "/openai/deployments/whisper/audio/translations?api-version=2024-10-21", body).await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "I heard 4 bytes of a.mp3.\n"));
    assert_eq!(azure.recorded()[0].path, "/openai/v1/audio/translations");
    let missing = upload(&gateway, "/v1/audio/translations", form(&[("file", Some("a.mp3"), b"RIFF")])).await;
    assert_eq!((missing.status, missing.code().as_str()), (400, "missing_model"));
    for (body, media) in [(Bytes::from_static(b"{}"), "application/json"), (Bytes::from_static(b"--xYzZY\r\n"), FORM)] {
        let wrong = typed(&gateway, "/v1/audio/transcriptions", media, body).await;
        assert_eq!((wrong.status, wrong.code().as_str()), (400, "bad_request"), "{}", wrong.text());
    }
}

#[tokio::test]
async fn speech_passes_as_it_comes() {
    let azure = studio().await;
    let gateway = Gateway::start(&config_of(&azure, "2024-10-21")).await;
    let text = "a word ".repeat(600);
    let body = json!({"model": "TTS", "input": text, "voice": "alloy"});
    let answer = gateway.post("/v1/audio/speech", &[], body.to_string()).await;
    let expected: Vec<u8> = (0..text.len() * 256).map(|at| (at * 31 % 256) as u8).collect();
    assert!(answer.body == expected && answer.complete, "{} bytes", answer.body.len());
    assert_eq!(answer.header("content-type"), "audio/mpeg");
    assert_eq!(azure.recorded()[0].path, "/openai/deployments/voice-east/audio/speech");
    // The first bytes do not wait for the last.
    let authorization = format!("Bearer {KEY}");
    let headers = [
        ("authorization", authorization.as_str()),
        ("content-type", "application/json"),
        ("x-sim-fault", "stall-after-bytes=1000"),
    ];
    let mut slow = open(gateway.address, "/v1/audio/speech", &headers, body.to_string()).await;
    assert!(slow.body_mut().frame().await.unwrap().unwrap().into_data().unwrap().len() <= 1000);
    drop(slow);
    azure
        .wait_for(std::time::Duration::from_secs(10), |all| {
            all.last().is_some_and(|last| last.caller_left_after_ms.is_some())
        })
        .await;
    assert!(azure.recorded().last().unwrap().caller_left_after_ms.is_some(), "a caller who leaves closes the upstream");
    let cut = gateway.post("/v1/audio/speech", &[("x-sim-fault", "reset-after-bytes=2000")], body.to_string()).await;
    assert!(!cut.complete, "an answer that breaks off is seen to break off");
}

#[tokio::test]
async fn images_are_made_and_edited_plain_and_as_streams() {
    let azure = studio().await;
    let gateway = Gateway::start(&config_of(&azure, "2024-10-21")).await;
    let plain = gateway
        .post("/v1/images/generations", &[], json!({"model": "Painter", "prompt": "a dot", "n": 2}).to_string())
        .await;
    assert_eq!((plain.status, plain.json()["data"].as_array().unwrap().len()), (200, 2), "{}", plain.text());
    let sent = &azure.recorded()[0];
    assert_eq!(
        (sent.path.as_str(), sent.query.as_deref()),
        ("/openai/v1/images/generations", Some("api-version=preview"))
    );
    let body = json!({"model": "painter", "prompt": "a dot", "stream": true, "partial_images": 2});
    let kinds: Vec<Value> = gateway
        .post("/v1/images/generations", &[], body.to_string())
        .await
        .events()
        .into_iter()
        .map(|event| event["type"].clone())
        .collect();
    assert_eq!(
        kinds,
        ["image_generation.partial_image", "image_generation.partial_image", "image_generation.completed"]
    );
    let edit = |stream: &'static [u8]| {
        form(&[
            ("prompt", None, b"a dot"),
            ("stream", None, stream),
            ("image", Some("i.png"), b"\x89PNG"),
            ("model", None, b"PAINTER"),
        ])
    };
    let edited = upload(&gateway, "/v1/images/edits", edit(b"false")).await;
    assert_eq!(edited.status, 200, "{}", edited.text());
    let streamed = upload(&gateway, "/v1/images/edits", edit(b"true")).await;
    assert_eq!(streamed.events()[0]["type"], "image_edit.completed", "{}", streamed.text());
    gateway.request_lines(4).await;
    assert_eq!(gateway.metric("azgate_tokens_total", &["kind=\"output\""]).await, 5.0 * 196.0);
    let broken =
        gateway.post("/v1/images/generations", &[("x-sim-fault", "reset-after-events=1")], body.to_string()).await;
    assert_eq!(broken.events().last().unwrap()["error"]["code"], "upstream_broken", "{}", broken.text());
}

#[tokio::test]
async fn a_throttled_form_goes_to_the_next_key() {
    let (full, free) = (studio().await, studio().await);
    full.add_deployment(Deployment::new("ear-east", "ear-east", Kind::Transcription).limited(Some(0), None));
    let mut config = config_of(&full, "2024-10-21");
    let mut other = config["providers"]["azure"]["keys"][0].clone();
    other["name"] = json!("free");
    other["priority"] = json!(1);
    other["azure_key_config"]["endpoint"] = json!(free.base_url());
    config["providers"]["azure"]["keys"].as_array_mut().unwrap().push(other);
    let gateway = Gateway::start(&config).await;
    let body = form(&[("file", Some("a.wav"), &[7; 6_000_000]), ("model", None, b"whisper")]);
    let answer = upload(&gateway, "/v1/audio/transcriptions", body).await;
    assert_eq!(
        (answer.status, answer.header("x-azgate-key"), answer.header("x-azgate-attempts")),
        (200, "free", "2"),
        "{}",
        answer.text()
    );
    let stranger =
        send(gateway.address, Method::POST, "/v1/audio/transcriptions", &[("content-type", FORM)], Bytes::new()).await;
    assert_eq!(stranger.status, 401);
}

#[tokio::test]
async fn large_uploads_take_no_memory() {
    let azure = studio().await;
    let mut config = config_of(&azure, "v1");
    config["server"]["max_request_body_mb"] = json!(300);
    let gateway = Gateway::start(&config).await;
    let before = gateway.memory().1 / 1024;
    let part = Bytes::from(vec![9u8; 1024 * 1024]);
    let head =
        Bytes::from_static(b"--xYzZY\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\r\n");
    let tail = Bytes::from_static(
        b"\r\n--xYzZY\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nwhisper\r\n--xYzZY--\r\n",
    );
    let chunks = std::iter::once(head).chain(std::iter::repeat_n(part, 80)).chain([tail]).collect();
    let authorization = format!("Bearer {KEY}");
    let headers = [("authorization", authorization.as_str()), ("content-type", FORM)];
    let answer = send_chunked(gateway.address, "/v1/audio/transcriptions", &headers, chunks).await;
    assert_eq!(answer.json()["text"], format!("I heard {} bytes of a.wav.", 80 * 1024 * 1024), "{}", answer.text());
    let grown = gateway.memory().1 / 1024 - before;
    assert!(grown < 40, "the peak grew by {grown} MiB");
}
