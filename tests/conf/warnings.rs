//! What works and is worth a second look.

use azgate::config::{
    NOT_YET,
    reference::{Outline, schema},
};

use crate::surroundings::Surroundings;

fn warnings(text: &str) -> Vec<String> {
    let loaded = Surroundings::azure().parse(text).unwrap_or_else(|problems| panic!("{problems}"));
    loaded.warnings.iter().map(|warning| warning.to_string().replacen("c.json:", "", 1)).collect()
}

/// A file with one Azure key, one virtual key, and something more.
fn with(more: &str) -> String {
    format!(
        r#"{{"providers":{{"azure":{{"keys":[{{"name":"k","value":"v","azure_key_config":{{"endpoint":"acme"}}}}]}}}},
"client":{{"enforce_auth_on_inference":false}}{more}}}"#
    )
}

#[test]
fn a_plain_file_gives_none() {
    assert_eq!(warnings(&with("")), [""; 0]);
}

#[test]
fn open_listeners_are_pointed_out() {
    let open =
        with(r#", "server": {"listen": ["127.0.0.1:8080", "0.0.0.0:8000"], "admin": {"listen": "0.0.0.0:8081"}}"#);
    assert_eq!(
        warnings(&open),
        [
            "2:39: client.enforce_auth_on_inference: everybody who reaches `0.0.0.0:8000` may use every key; set it to true",
            "2:124: server.admin.listen: metrics and health are open to everybody who reaches this address; \
             use a loopback address",
        ]
    );
}

#[test]
fn virtual_keys_that_open_nothing_or_stand_in_the_file_are_pointed_out() {
    let keys = with(
        r#", "governance": {"virtual_keys": [
{"name": "plain", "value": "azgate-key"},
{"name": "closed", "value": "env.AZURE_API_KEY", "allowed_models": []}]}"#,
    );
    assert_eq!(
        warnings(&keys),
        [
            "3:28: governance.virtual_keys[0].value: this key can be read by everybody who sees the file; \
             write its `key_hash`, or a reference",
            "4:1: governance.virtual_keys[1]: no configured model is open to this key; \
             widen `allowed_models`, `allowed_providers` or `allowed_keys`",
        ]
    );
}

#[test]
fn reach_follows_aliases_models_and_lists() {
    let reach = |key: &str, caller: &str| {
        let text = format!(
            r#"{{"providers": {{"azure": {{"keys": [{{"name": "k", "value": "v", "azure_key_config": {{"endpoint": "acme"}}{key}}}]}}}},
                "governance": {{"virtual_keys": [{{"name": "c", "value": "env.AZURE_API_KEY", {caller}}}]}}}}"#
        );
        warnings(&text).is_empty()
    };
    assert!(reach("", r#""allowed_models": ["gpt-4o"]"#));
    assert!(reach("", r#""allowed_models": ["azure/gpt-4o"]"#));
    assert!(reach(r#", "models": ["gpt-4o"]"#, r#""allowed_models": ["gpt-*"]"#));
    assert!(reach(r#", "models": [], "aliases": {"mini": "d"}"#, r#""allowed_models": ["mini"]"#));
    assert!(!reach(r#", "models": ["gpt-4o"]"#, r#""allowed_models": ["claude-*"]"#));
    assert!(!reach(r#", "blacklisted_models": ["gpt-*"]"#, r#""allowed_models": ["gpt-4o"]"#));
    assert!(!reach(r#", "models": ["gpt-4o"], "blacklisted_models": ["gpt-4o"]"#, r#""allowed_models": ["*"]"#));
    assert!(!reach(r#", "enabled": false"#, r#""allowed_models": ["*"]"#));
    assert!(!reach("", r#""allowed_keys": ["other-*"]"#));
}

#[test]
fn a_file_of_other_software_loads_and_says_what_is_ignored() {
    let text = r#"{"providers": {"azure": {
"keys": [{"id": "1", "name": "k", "value": "v", "models": ["*"], "weight": 1, "use_for_batch_api": true,
"aliases": {"c": {"model_id": "d", "region": "eu"}},
"azure_key_config": {"endpoint": "env.AZURE_ENDPOINT", "deployments": {"a": "b"}}}],
"network_config": {"default_request_timeout_in_seconds": 30, "stream_throughput_guard": {"x": [1, {}]}},
"concurrency_and_buffer_size": {"concurrency": 1000, "buffer_size": 5000},
"proxy_config": {"type": "none"}, "send_back_raw_response": false}},
"client": {"enforce_auth_on_inference": false}}"#;
    let found = warnings(text);
    assert!(found.iter().all(|warning| warning.contains(": this is ignored: ")), "{found:#?}");
    let paths: Vec<&str> = found.iter().filter_map(|warning| warning.split(": ").nth(1)).collect();
    assert_eq!(
        paths,
        [
            "providers.azure.keys[0].id",
            "providers.azure.keys[0].use_for_batch_api",
            "providers.azure.keys[0].aliases.c.region",
            "providers.azure.network_config.stream_throughput_guard",
            "providers.azure.concurrency_and_buffer_size",
            "providers.azure.proxy_config",
            "providers.azure.send_back_raw_response",
        ]
    );
    assert_eq!(
        found[5],
        "7:17: providers.azure.proxy_config: this is ignored: connections go directly to the provider"
    );
}

#[test]
fn every_setting_without_effect_yet_is_a_field_and_only_a_change_of_it_is_reported() {
    let schema = schema();
    for (pattern, note) in NOT_YET {
        let mut outline = Outline::of(&schema);
        for step in pattern.split('.') {
            outline = match step {
                "*" => outline.elements().or_else(|| outline.values()),
                name => outline.property(name),
            }
            .unwrap_or_else(|| panic!("{pattern}: there is no {step}"));
        }
        assert!(!note.is_empty());
    }
    if NOT_YET.iter().any(|(pattern, _)| *pattern == "logs_store") {
        assert_eq!(warnings(&with(r#", "logs_store": {"retention_days": 30, "url": null}"#)), [""; 0]);
        assert_eq!(
            warnings(&with(r#", "logs_store": {"retention_days": 31}"#)),
            ["2:61: logs_store: this is accepted, but this version does not act on it: requests are not recorded"]
        );
    }
}

#[test]
fn what_many_keys_have_is_said_once() {
    let many = with(
        r#", "governance": {"virtual_keys": [
{"name": "a", "key_hash": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "rate_limit": {"requests_per_minute": 1}},
{"name": "b", "key_hash": "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb", "rate_limit": {"requests_per_minute": 1}},
{"name": "c", "key_hash": "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc", "rate_limit": {}}]}"#,
    );
    if NOT_YET.iter().any(|(pattern, _)| *pattern == "governance.virtual_keys.*.rate_limit") {
        assert_eq!(
            warnings(&many),
            ["3:109: governance.virtual_keys[0].rate_limit: this is accepted, but this version does not act on it: \
              the key is not limited (also at one other place)"]
        );
    }
}

#[test]
fn models_without_a_price_are_pointed_out_where_a_budget_meets_them() {
    let file = |governance: &str, pricing: &str| {
        format!(
            r#"{{"providers":{{"azure":{{"keys":[{{"name":"k","value":"v","models":["gpt-5","odd"],
"aliases":{{"gpt-4o":"east","Fast":"gpt-4o-mini","told":{{"model_id":"d-7","model_name":"gpt-5"}},"mystery":"m-1"}},"azure_key_config":{{"endpoint":"acme"}}}}]}}}},
"governance":{{"virtual_keys":[{{"name":"a","value":"env.AZURE_API_KEY"{governance}}}],
"teams":[{{"name":"t","customer":"c"}}],"customers":[{{"name":"c","budget":{{"monthly_limit_usd":5}}}}]}}{pricing}}}"#
        )
    };
    let told = "no price is known for `mystery`, `odd`, so that requests cost the budgets of their callers nothing; \
                add prices by these names to `pricing`";
    for budgeted in [r#","budget":{"total_limit_usd":1}"#, r#","team":"T""#] {
        let at = "2:106: providers.azure.keys[0].aliases.mystery";
        assert_eq!(warnings(&file(budgeted, "")), [format!("{at}: {told}")], "{budgeted}");
    }
    let mystery = r#", "pricing": {"Mystery": {"input_per_million": 1, "output_per_million": 2}}"#;
    let only_odd = warnings(&file(r#","team":"t""#, mystery));
    assert!(only_odd.len() == 1 && only_odd[0].contains("no price is known for `odd`, so"), "{only_odd:?}");
    // Nobody with a budget may name them, or nobody has one.
    for governance in ["", r#","team":"t","allowed_models":["gpt-*"]"#] {
        assert_eq!(warnings(&file(governance, "")), [""; 0], "{governance}");
    }
}
