//! Answers have the shape of Azure's: the same keys at the same places as in recorded traffic.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::client::*;

/// Every place in a document: `choices[].message.role`.
fn places(value: &Value) -> BTreeSet<String> {
    fn walk(value: &Value, at: &str, into: &mut BTreeSet<String>) {
        match value {
            Value::Object(map) if !map.is_empty() => {
                for (key, value) in map {
                    let at = if at.is_empty() { key.clone() } else { format!("{at}.{key}") };
                    walk(value, &at, into);
                }
            }
            Value::Array(list) if list.iter().any(Value::is_object) => {
                list.iter().for_each(|item| walk(item, &format!("{at}[]"), into));
            }
            _ => drop(into.insert(at.to_owned())),
        }
    }
    let mut all = BTreeSet::new();
    walk(value, "", &mut all);
    all
}

/// Recorded traffic, if this checkout lies beside it.
fn recording(name: &str) -> Option<String> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    ["../shared/fixtures", "../../shared/fixtures"]
        .iter()
        .find_map(|folder| std::fs::read_to_string(root.join(folder).join(name)).ok())
}

/// Compares with the keys written here, and these with the recording where there is one.
fn same_places(answer: &Value, written: &[&str], recorded: Option<Value>) {
    let expanded: BTreeSet<String> = written.iter().flat_map(|entry| expand(entry)).collect();
    assert_eq!(places(answer), expanded);
    if let Some(recorded) = recorded {
        assert_eq!(places(&recorded), expanded, "the keys written in the test differ from the recording");
    }
}

/// `a{b,c}` stands for `a.b` and `a.c`; `harms` for the four kinds of harm.
fn expand(entry: &str) -> Vec<String> {
    let Some((stem, inner)) = entry.strip_suffix('}').and_then(|entry| entry.split_once('{')) else {
        return vec![entry.to_owned()];
    };
    let inner = inner.replace("HARMS", "hate SEV,self_harm SEV,sexual SEV,violence SEV");
    let mut all = Vec::new();
    for name in inner.split(',') {
        match name.split_once(' ') {
            Some((name, "SEV")) => all.extend(["filtered", "severity"].map(|leaf| format!("{stem}.{name}.{leaf}"))),
            Some((name, "DET")) => all.extend(["filtered", "detected"].map(|leaf| format!("{stem}.{name}.{leaf}"))),
            _ => all.push(format!("{stem}.{name}")),
        }
    }
    all
}

const COMPLETION_FILTER: &str =
    "choices[].content_filter_results{HARMS,protected_material_code DET,protected_material_text DET}";
const PROMPT_FILTER: &str = "prompt_filter_results[].content_filter_results{HARMS,jailbreak DET}";
const DETAILS: [&str; 5] = [
    "usage.completion_tokens_details{accepted_prediction_tokens,audio_tokens,reasoning_tokens,rejected_prediction_tokens}",
    "usage.prompt_tokens_details{audio_tokens,cached_tokens}",
    "usage.completion_tokens",
    "usage.prompt_tokens",
    "usage.total_tokens",
];

fn json_recording(name: &str) -> Option<Value> {
    recording(name).map(|text| serde_json::from_str(&text).expect("a JSON recording"))
}

#[tokio::test]
async fn a_chat_answer() {
    let simulator = simulator().await;
    let answer = ok(&say(&simulator, "gpt-4.1-mini", "hi", json!({})).await);
    let mut keys = vec![
        COMPLETION_FILTER,
        PROMPT_FILTER,
        "prompt_filter_results[].prompt_index",
        "choices[].message{annotations,content,refusal,role}",
        "choices[].finish_reason",
        "choices[].index",
        "choices[].logprobs",
        "created",
        "id",
        "model",
        "object",
        "system_fingerprint",
    ];
    keys.extend(DETAILS);
    same_places(&answer, &keys, json_recording("azure/chat_200_gpt41mini_2026.body.json"));
    assert_eq!(answer["model"], "gpt-4.1-mini-2025-04-14");
    assert_eq!(answer["choices"][0]["message"]["content"], "You said: hi");
    assert_eq!(answer["choices"][0]["finish_reason"], "stop");
    assert_eq!(answer["id"].as_str().map(str::len), Some("chatcmpl-".len() + 29));
}

#[tokio::test]
async fn a_filtered_choice_has_no_message() {
    let simulator = simulator().await;
    let answer = ok(&say(&simulator, "gpt-4o", "[[filter-completion]]", json!({})).await)["choices"][0].clone();
    let keys = ["content_filter_results{HARMS}", "finish_reason", "index", "logprobs"];
    let recorded = json_recording("azure/chat_200_completion_content_filter_no_message.body.json");
    same_places(&answer, &keys, recorded.map(|recorded| recorded["choices"][0].clone()));
}

#[tokio::test]
async fn refusals_of_gate_lookup_and_filter() {
    let simulator = simulator().await;
    let body = chat_body("gpt-4o", "[[filter-prompt]]", json!({}));
    let reply = send(simulator.addr(), with_headers(V1_CHAT, &body, &[("api-key", "x")])).await;
    same_places(&reply.json(), &["error{code,message}"], json_recording("azure/embeddings_401_bad_key.body.json"));
    let reply = say(&simulator, "nope", "hi", json!({})).await;
    let recorded = json_recording("azure/chat_404_DeploymentNotFound.body.json");
    if let Some(recorded) = &recorded {
        assert_eq!(&reply.json(), recorded);
    }
    same_places(&reply.json(), &["error{type,code,message}"], recorded);
    let reply = chat(&simulator, &body).await;
    let keys = [
        "error{message,type,param,code,status}",
        "error.innererror.code",
        "error.innererror.content_filter_result{HARMS,jailbreak DET}",
    ];
    let recorded = json_recording("errors/azure_400_content_filter_prompt.json");
    same_places(&reply.json(), &keys, recorded.map(|recorded| recorded["body"].clone()));
}

#[tokio::test]
async fn stream_chunks() {
    let simulator = simulator().await;
    let more = json!({"stream": true, "stream_options": {"include_usage": true}});
    let chunks = say(&simulator, "gpt-5.2", "hi", more).await.chunks();
    let recorded: Option<Vec<Value>> = recording("azure/chat_stream_usage_obfuscation_gpt52.body.sse").map(|text| {
        let data = text.split("\n\n").filter_map(|event| event.strip_prefix("data: ")).filter(|data| *data != "[DONE]");
        data.map(|data| serde_json::from_str(data).expect("JSON")).collect()
    });
    let recorded = |at: fn(&[Value]) -> &Value| recorded.as_deref().map(|chunks| at(chunks).clone());
    let first = [PROMPT_FILTER, "prompt_filter_results[].prompt_index", "choices", "created", "id", "model", "object"];
    same_places(&chunks[0], &first, recorded(|chunks| &chunks[0]));
    let common = ["created", "id", "model", "obfuscation", "object", "service_tier", "system_fingerprint"];
    let choice = ["choices[].finish_reason", "choices[].index", "choices[].logprobs", "usage"];
    let with = |more: &[&'static str]| [&common[..], &choice, more].concat();
    let role = with(&["choices[].delta{content,refusal,role}", "choices[].content_filter_results"]);
    same_places(&chunks[1], &role, recorded(|chunks| &chunks[1]));
    // The recording has one kind of finding left out by the resource's own filter settings.
    same_places(&chunks[2], &with(&["choices[].delta.content", COMPLETION_FILTER]), None);
    let end = with(&["choices[].delta", "choices[].content_filter_results"]);
    same_places(&chunks[chunks.len() - 2], &end, recorded(|chunks| &chunks[chunks.len() - 2]));
    let mut usage = [&common[..], &["choices"], &DETAILS].concat();
    usage.push(
        "latency_checkpoint{engine_tbt_ms,engine_ttft_ms,engine_ttlt_ms,pre_inference_ms,service_tbt_ms,service_ttft_ms,\
         service_ttlt_ms,total_duration_ms,user_visible_ttft_ms}",
    );
    same_places(&chunks[chunks.len() - 1], &usage, recorded(|chunks| &chunks[chunks.len() - 1]));
}

#[tokio::test]
async fn response_headers() {
    let simulator = simulator().await;
    let names = |reply: &Reply| reply.headers.keys().map(|name| name.as_str().to_owned()).collect::<BTreeSet<String>>();
    for (more, name) in [
        (json!({}), "azure/chat_200_gpt41mini_2026.meta.json"),
        (json!({"stream": true}), "azure/chat_stream_usage_obfuscation_gpt52.meta.json"),
    ] {
        let reply = say(&simulator, "gpt-4.1-mini", "hi", more).await;
        let written = "apim-request-id azureml-model-session content-type date skip-error-remapping strict-transport-security \
             x-accel-buffering x-content-type-options x-ms-deployment-name x-ms-is-spilled-over x-ms-rai-invoked x-ms-region \
             x-ratelimit-abusepenalty-active x-ratelimit-limit-requests x-ratelimit-limit-tokens \
             x-ratelimit-remaining-requests x-ratelimit-remaining-tokens x-ratelimit-renewalperiod-requests \
             x-ratelimit-renewalperiod-tokens x-ratelimit-reset-requests x-ratelimit-reset-tokens x-request-id";
        let recorded = json_recording(name).map(|meta| meta["response"]["headers"].clone());
        let recorded: Vec<String> = recorded
            .iter()
            .flat_map(|list| list.as_array().into_iter().flatten())
            .filter_map(|pair| pair[0].as_str().map(str::to_lowercase))
            .collect();
        for name in written.split_whitespace().map(str::to_owned).chain(recorded) {
            assert!(names(&reply).contains(&name), "{name} is missing");
        }
    }
}

#[tokio::test]
async fn embeddings() {
    let simulator = simulator().await;
    let embed = |model: &str, more: Value| {
        let mut body = json!({"model": model});
        body.as_object_mut().expect("object").extend(more.as_object().expect("object").clone());
        let address = simulator.addr();
        async move { send(address, post("/openai/v1/embeddings", &body)).await }
    };
    let keys = ["data[]{embedding,index,object}", "model", "object", "usage{prompt_tokens,total_tokens}"];
    let answer = ok(&embed("text-embedding-3-large", json!({"input": "hi", "encoding_format": "base64"})).await);
    same_places(&answer, &keys, json_recording("azure/embeddings_200.body.json"));
    let base64 = answer["data"][0]["embedding"].as_str().expect("base64").to_owned();
    let bytes = data_encoding::BASE64.decode(base64.as_bytes()).expect("base64");
    let floats = ok(&embed("text-embedding-3-large", json!({"input": "hi"})).await)["data"][0]["embedding"].clone();
    let floats: Vec<f64> = serde_json::from_value(floats).expect("numbers");
    assert_eq!((bytes.len(), floats.len()), (3072 * 4, 3072));
    let first = f64::from(f32::from_le_bytes(bytes[..4].try_into().expect("four bytes")));
    assert!((first - floats[0]).abs() < 1e-6);
    assert!((floats.iter().map(|number| number * number).sum::<f64>() - 1.0).abs() < 1e-4);
    for (input, count, tokens) in [(json!(["a", "b c"]), 2, 3), (json!([1, 2, 3]), 1, 3), (json!([[1, 2], [3]]), 2, 3)]
    {
        let answer = ok(&embed("text-embedding-3-small", json!({"input": input, "dimensions": 64})).await);
        assert_eq!(answer["data"].as_array().map(Vec::len), Some(count));
        assert_eq!(answer["usage"]["prompt_tokens"], tokens, "{input}");
        assert_eq!(answer["data"][count - 1]["embedding"].as_array().map(Vec::len), Some(64));
    }
    for (model, more, message) in [
        (
            "text-embedding-3-small",
            json!({"input": "x", "dimensions": -1}),
            "-1 is less than the minimum of 1 - 'dimensions'",
        ),
        ("text-embedding-3-small", json!({"input": "x", "dimensions": 2000}), "Must be less than or equal to 1536"),
        ("text-embedding-ada-002", json!({"input": "x", "dimensions": 5}), "does not support specifying dimensions"),
        ("text-embedding-3-small", json!({"input": []}), "empty array"),
        ("text-embedding-3-small", json!({"input": {}}), "'$.input' is invalid"),
        ("text-embedding-3-small", json!({}), "Missing required parameter: 'input'."),
        ("text-embedding-3-small", json!({"input": "x", "encoding_format": "hex"}), "'float' and 'base64'"),
    ] {
        let reply = embed(model, more).await;
        assert!(reply.status == 400 && reply.message().contains(message), "{}", reply.text());
    }
}

#[tokio::test]
async fn legacy_completions() {
    let simulator = simulator().await;
    let path = "/openai/deployments/gpt-35-turbo-instruct/completions?api-version=2024-10-21";
    let complete = |body: Value| async { send(simulator.addr(), post(path, &{ body })).await };
    let answer = ok(&complete(json!({"prompt": "once", "max_tokens": 3})).await);
    let keys = [
        "choices[]{finish_reason,index,logprobs,text}",
        "created",
        "id",
        "model",
        "object",
        "prompt_filter_results[].prompt_index",
        "usage{completion_tokens,prompt_tokens,total_tokens}",
    ];
    // The recording is older than the findings about protected material and jailbreaks.
    let filters = [COMPLETION_FILTER, PROMPT_FILTER];
    same_places(&answer, &[&keys[..], &filters].concat(), None);
    let missing = |recorded: Value| places(&recorded).difference(&places(&answer)).cloned().collect::<Vec<String>>();
    assert_eq!(json_recording("azure/completions_legacy_200.body.json").map(missing).unwrap_or_default(), [""; 0]);
    assert_eq!(answer["choices"][0]["finish_reason"], "length");
    assert_eq!(answer["usage"]["completion_tokens"], 3);
    let more = json!({"prompt": ["a", "b"], "n": 2, "best_of": 3, "echo": true, "suffix": "end", "logprobs": 1, "max_tokens": 50});
    let answer = ok(&complete(more).await);
    let choices = answer["choices"].as_array().expect("choices");
    let texts: Vec<&str> = choices.iter().filter_map(|choice| choice["text"].as_str()).collect();
    assert_eq!(texts[0], "a You said: a (before: end)");
    assert_eq!(texts.len(), 4);
    assert_eq!(choices[3]["logprobs"]["tokens"].as_array().map(|tokens| tokens.len() > 5), Some(true));
    let reply = complete(json!({"prompt": "hi", "stream": true, "stream_options": {"include_usage": true}})).await;
    let chunks = reply.chunks();
    let text: String = chunks.iter().filter_map(|chunk| chunk["choices"][0]["text"].as_str()).collect();
    assert_eq!(text, " You said: hi");
    assert_eq!(chunks.last().expect("chunks")["usage"]["prompt_tokens"], 1);
    let reply = complete(json!({"prompt": "hi", "messages": []})).await;
    assert_eq!(reply.message(), "Unrecognized request argument supplied: messages");
}

#[tokio::test]
async fn models() {
    let simulator = simulator().await;
    let answer = ok(&get(simulator.addr(), "/openai/v1/models").await);
    let keys = [
        "data[].capabilities{chat_completion,completion,embeddings,fine_tune,inference}",
        "data[].deprecation.inference",
        "data[]{created_at,id,lifecycle_status,object,status}",
        "object",
    ];
    same_places(&answer, &keys, None);
    assert_eq!(ok(&get(simulator.addr(), "/openai/models?api-version=2024-10-21").await), answer);
    let one = ok(&get(simulator.addr(), "/openai/v1/models/gpt-4o-2024-11-20").await);
    assert_eq!(one["capabilities"]["chat_completion"], true);
    assert_eq!(get(simulator.addr(), "/openai/v1/models/gpt-4o").await.status, 404);
    assert_eq!(get(simulator.addr(), "/openai/models").await.status, 404);
}
