//! Other models, other providers: what answers when no key of the model that was asked for can.

use azgate::simulator::{Recorded, Rule, Running, Script, Settings};
use serde_json::{Value, json};

use crate::support::*;

/// One simulated resource with a key of its own for each provider: Azure in front, the OpenAI API behind it.
async fn two_providers(fallbacks: Value) -> (Running, Gateway) {
    let accepted = ["azure-key", "openai-key"].map(str::to_owned).to_vec();
    let azure = azure_with(Settings { keys: accepted, ..Settings::default() }).await;
    let gateway = Gateway::start(&config_of(&azure, fallbacks)).await;
    (azure, gateway)
}

fn config_of(azure: &Running, fallbacks: Value) -> Value {
    let mut config = config(&azure.base_url());
    let mut key = key("east", &azure.base_url());
    key["value"] = json!("azure-key");
    // The breaker has tests of its own.
    config["providers"]["azure"] = json!({
        "keys": [key],
        "network_config": {"retry_backoff_initial": 10},
        "circuit_breaker": {"consecutive_failures": 0, "min_requests": 1_000_000},
    });
    config["providers"]["openai"] = json!({
        "keys": [{"name": "openai", "value": "openai-key", "aliases": {"gpt-4o": "chat-east", "other": "gpt-4.1.dots"}}],
        "network_config": {"base_url": format!("{}/openai", azure.base_url()), "retry_backoff_initial": 10},
    });
    config["fallbacks"] = fallbacks;
    config
}

fn sent(request: &Recorded) -> Value {
    serde_json::from_str(request.body.as_deref().unwrap()).unwrap()
}

fn asking(model: &str, fallbacks: Value) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": "Hi"}], "fallbacks": fallbacks})
}

#[tokio::test]
async fn a_prefix_leads_to_a_provider_in_its_own_right() {
    let (azure, gateway) = two_providers(json!({})).await;
    for body in [chat_body("Hi"), stream_body("Hi")] {
        let mut body = body;
        body["model"] = json!("OpenAI/GPT-4o");
        let answer = gateway.chat(&body).await;
        assert_eq!((answer.status, answer.header("x-azgate-key")), (200, "openai"), "{}", answer.text());
        assert!(answer.text().contains(r#""model":"OpenAI/GPT-4o""#), "{}", answer.text());
        let seen = azure.recorded().pop().unwrap();
        assert_eq!((seen.path.as_str(), seen.query.as_deref()), ("/openai/v1/chat/completions", None));
        let credentials = seen.headers.iter().filter(|(name, _)| name.contains("key") || name == "authorization");
        let expected = ("authorization".to_owned(), "Bearer openai-key".to_owned());
        assert_eq!(credentials.collect::<Vec<_>>(), [&expected]);
        assert_eq!(sent(&seen)["model"], "chat-east");
    }
    let mut embeddings = json!({"model": "openai/embed-east", "input": "Hi"});
    assert_eq!(gateway.post("/v1/embeddings", &[], embeddings.to_string()).await.status, 200);
    embeddings["model"] = json!("openai/nothing-like-it");
    let unknown = gateway.post("/v1/embeddings", &[], embeddings.to_string()).await;
    assert_eq!(unknown.status, 404, "the provider's own words: {}", unknown.text());
}

#[tokio::test]
async fn whatever_closes_a_model_its_fallback_answers_plain_and_streamed() {
    let (azure, gateway) = two_providers(json!({"azure/gpt-4o": ["openai/gpt-4o"]})).await;
    for fault in [
        "status=429; retry-after-ms=1",
        "status=401",
        "status=404; code=DeploymentNotFound",
        "status=503",
        "reset-before-head",
    ] {
        azure.script(&Script::default().then(Rule::new(fault).key("azure-key"))).unwrap();
        for body in [chat_body("Hi"), stream_body("Hi")] {
            let answer = gateway.chat(&body).await;
            assert_eq!((answer.status, answer.header("x-azgate-key")), (200, "openai"), "{fault}: {}", answer.text());
            assert!(answer.complete);
        }
        // Enough requests that the retry budget is full again, and the breaker closed.
        azure.script(&Script::default()).unwrap();
        for _ in 0..20 {
            assert_eq!(gateway.chat(&chat_body("Hi")).await.status, 200);
        }
    }
    azure.script(&Script::default()).unwrap();
    let answer = gateway.chat(&chat_body("Hi")).await;
    assert_eq!(answer.header("x-azgate-key"), "east", "and the model itself answers as soon as it can");
}

#[tokio::test]
async fn a_stream_that_breaks_before_its_content_is_answered_by_the_fallback() {
    let (azure, gateway) = two_providers(json!({"gpt-4o": ["openai/gpt-4o"]})).await;
    azure.script(&Script::default().then(Rule::new("error-event-at=1").key("azure-key"))).unwrap();
    let answer = gateway.chat(&stream_body("one two three")).await;
    assert_eq!((answer.status, answer.header("x-azgate-key")), (200, "openai"));
    assert!(answer.text().ends_with("data: [DONE]\n\n") && !answer.text().contains("\"error\""), "{}", answer.text());
}

#[tokio::test]
async fn a_request_names_fallbacks_of_its_own_or_wants_none() {
    let (azure, gateway) = two_providers(json!({"gpt-4o": ["openai/gpt-4o"]})).await;
    azure.script(&Script::default().then(Rule::new("status=401").key("azure-key"))).unwrap();
    let own = gateway.chat(&asking("gpt-4o", json!(["openai/other"]))).await;
    assert_eq!((own.status, own.header("x-azgate-deployment")), (200, "gpt-4.1.dots"), "{}", own.text());
    assert_eq!(own.json()["model"], "gpt-4o", "the caller's own spelling");
    let seen = sent(&azure.recorded().pop().unwrap());
    assert!(seen.get("fallbacks").is_none(), "{seen}");
    let none = gateway.chat(&asking("gpt-4o", json!([]))).await;
    assert_eq!((none.status, none.code().as_str()), (502, "credential_unavailable"));
    let configured = gateway.chat(&asking("gpt-4o", json!(null))).await;
    assert_eq!((configured.status, configured.header("x-azgate-key")), (200, "openai"));
}

#[tokio::test]
async fn fallbacks_that_cannot_be_are_refused_by_name() {
    let (azure, gateway) = two_providers(json!({})).await;
    for (fallbacks, status, code) in [
        (json!("openai/gpt-4o"), 400, "bad_request"),
        (json!(["openai/gpt-4o", 3]), 400, "bad_request"),
        (json!(vec!["openai/gpt-4o"; 17]), 400, "bad_request"),
        (json!([""]), 400, "bad_request"),
    ] {
        let answer = gateway.chat(&asking("gpt-4o", fallbacks.clone())).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{fallbacks}: {}", answer.text());
        assert_eq!(answer.json()["error"]["param"], "fallbacks", "{fallbacks}");
    }
    assert_eq!(azure.recorded().len(), 0);
}

#[tokio::test]
async fn a_caller_gets_no_fallback_that_it_may_not_use() {
    let accepted = ["azure-key", "openai-key"].map(str::to_owned).to_vec();
    let azure = azure_with(Settings { keys: accepted, ..Settings::default() }).await;
    let mut config = config_of(&azure, json!({"gpt-4o": ["openai/gpt-4o"]}));
    config["governance"]["virtual_keys"][0]["allowed_providers"] = json!(["azure"]);
    let gateway = Gateway::start(&config).await;
    azure.script(&Script::default().then(Rule::new("status=401").key("azure-key"))).unwrap();
    let left_out = gateway.chat(&chat_body("Hi")).await;
    assert_eq!((left_out.status, left_out.code().as_str()), (502, "credential_unavailable"));
    let named = gateway.chat(&asking("gpt-4o", json!(["openai/gpt-4o"]))).await;
    assert_eq!((named.status, named.code().as_str()), (403, "provider_not_allowed"));
    assert_eq!(named.json()["error"]["param"], "fallbacks");
}

#[tokio::test]
async fn traps_14_when_all_is_throttled_the_caller_learns_the_soonest_of_every_model() {
    let (azure, gateway) = two_providers(json!({"gpt-4o": ["openai/gpt-4o"]})).await;
    let script = Script::default()
        .then(Rule::new("status=429; retry-after-ms=30000").key("azure-key"))
        .then(Rule::new("status=429; retry-after-ms=9000").key("openai-key"));
    azure.script(&script).unwrap();
    for _ in 0..2 {
        let answer = gateway.chat(&chat_body("Hi")).await;
        let told: u64 = answer.header("retry-after-ms").parse().unwrap();
        assert_eq!(answer.status, 429);
        assert!((1..=9_000).contains(&told), "{told}");
    }
    assert_eq!(azure.recorded().len(), 2, "each was asked once");
}

#[tokio::test]
async fn a_service_without_keys_is_asked_without_a_credential_where_its_address_says() {
    let (heads, mut seen) = tokio::sync::mpsc::channel(16);
    let address = upstream(move |mut stream| {
        let heads = heads.clone();
        async move {
            while let Some(head) = read_head(&mut stream).await {
                read_body(&mut stream, &head).await;
                heads.send(head).await.unwrap();
                let body = r#"{"object":"chat.completion","model":"llama","choices":[]}"#;
                tokio::io::AsyncWriteExt::write_all(&mut stream, plain_answer(body).as_bytes()).await.unwrap();
            }
        }
    })
    .await;
    for (base, path) in [
        ("", "/v1/chat/completions"),
        ("/v1", "/v1/chat/completions"),
        ("/v1beta/openai", "/v1beta/openai/chat/completions"),
    ] {
        let mut config = config("http://127.0.0.1:1");
        config["providers"]["ollama"] = json!({
            "type": "openai_compatible", "keys": [], "network_config": {"base_url": format!("http://{address}{base}")},
        });
        let gateway = Gateway::start(&config).await;
        let answer = gateway.chat(&json!({"model": "ollama/llama", "messages": []})).await;
        assert_eq!((answer.status, answer.json()["model"].as_str()), (200, Some("ollama/llama")), "{}", answer.text());
        let head = seen.recv().await.unwrap();
        assert!(head.starts_with(&format!("post {path} http/1.1\r\n")), "{head}");
        for credential in ["authorization:", "api-key:", KEY] {
            assert!(!head.contains(credential), "{credential}: {head}");
        }
    }
}
