//! Endpoints and origin patterns, good and bad.

use super::*;

fn written(text: &str) -> String {
    Endpoint::parse_azure(text).unwrap().to_string()
}

#[test]
fn endpoints_take_one_normal_form() {
    for (text, normal) in [
        ("acme-west", "https://acme-west.openai.azure.com"),
        ("https://ACME.openai.azure.com/", "https://acme.openai.azure.com"),
        ("https://acme.openai.azure.com:443//", "https://acme.openai.azure.com"),
        (" https://gate.example.com:8443/azure/eu/ ", "https://gate.example.com:8443/azure/eu"),
        ("http://127.0.0.1:9000", "http://127.0.0.1:9000"),
        ("http://localhost:80", "http://localhost"),
        ("http://[::1]:9000/", "http://[::1]:9000"),
    ] {
        assert_eq!(written(text), normal);
    }
}

#[test]
fn ipv6_hosts_lose_their_brackets_and_get_them_back_in_the_authority() {
    let endpoint = Endpoint::parse("http://[::1]:9000").unwrap();
    assert_eq!((endpoint.host.as_str(), endpoint.authority().as_str()), ("::1", "[::1]:9000"));
    assert!(endpoint.is_loopback());
}

#[test]
fn what_is_no_endpoint_is_refused_with_its_reason() {
    use EndpointError::*;
    for (text, error) in [
        ("", NotUrl),
        ("a", NotUrl),
        ("acme-west", NotUrl),
        ("https://", NotUrl),
        ("https:///acme.openai.azure.com", NotUrl),
        ("https://acme\\.openai.azure.com", NotUrl),
        ("https://acme .openai.azure.com", NotUrl),
        ("https://acme.openai.azure.com:99999", NotUrl),
        ("acme.openai.azure.com", NoScheme),
        ("acme:443", NoScheme),
        ("ftp://acme.openai.azure.com", OtherScheme),
        ("http://acme.openai.azure.com", NotEncrypted),
        ("http://127.0.0.1.example.com", NotEncrypted),
        ("http://localhost.example.com", NotEncrypted),
        ("https://user@acme.openai.azure.com", UserInformation),
        ("https://:secret@acme.openai.azure.com", UserInformation),
        ("https://acme.openai.azure.com?api-version=v1", Query),
        ("https://acme.openai.azure.com/#top", Fragment),
        ("https://acme.openai.azure.com:0", PortZero),
    ] {
        assert_eq!(Endpoint::parse(text), Err(error), "{text}");
    }
}

#[test]
fn only_what_can_name_a_resource_becomes_a_host() {
    for text in ["", "a", "-acme", "acme_west", "localhost", "0123456789abcdef0123456789abcdef"] {
        assert_eq!(Endpoint::parse_azure(text), Err(EndpointError::NoResource), "{text}");
    }
    assert_eq!(Endpoint::parse_azure("acme.openai.azure.com"), Err(EndpointError::NoScheme));
}

#[test]
fn a_pattern_matches_whole_labels_of_the_same_scheme_and_port() {
    let pattern = OriginPattern::parse("https://*.openai.azure.com").unwrap();
    let matches = |text: &str| pattern.matches(&Endpoint::parse(text).unwrap());
    assert!(matches("https://acme.openai.azure.com") && matches("https://ACME.openai.azure.com/x"));
    for text in [
        "https://openai.azure.com",
        "https://a.b.openai.azure.com",
        "https://acme.openai.azure.com.example.com",
        "https://acmeopenai.azure.com",
        "https://acme.openai.azure.com:8443",
        "https://127.0.0.1",
    ] {
        assert!(!matches(text), "{text}");
    }
    let plain = OriginPattern::parse("http://127.0.0.1:9000").unwrap();
    assert!(plain.matches(&Endpoint::parse("http://127.0.0.1:9000").unwrap()));
    assert!(!plain.matches(&Endpoint::parse("http://127.0.0.1:9001").unwrap()));
    assert!(!plain.matches(&Endpoint::parse("https://127.0.0.1:9000").unwrap()));
}

#[test]
fn patterns_that_allow_strangers_are_refused() {
    use EndpointError::*;
    for (text, error) in [
        ("https://*", WideOpen),
        ("https://*.com", WideOpen),
        ("https://acme.*.com", WideOpen),
        ("https://acme-*.openai.azure.com", PartialLabel),
        ("https://**.openai.azure.com", PartialLabel),
        ("https://*.openai.azure.com/openai", PatternPath),
        ("http://*.openai.azure.com", NotEncrypted),
        ("*.openai.azure.com", NoScheme),
    ] {
        assert_eq!(OriginPattern::parse(text), Err(error), "{text}");
    }
    assert_eq!(OriginPattern::parse("https://*.example.com:8443").unwrap().to_string(), "https://*.example.com:8443");
}
