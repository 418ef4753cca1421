//! What answers of the identity platform say: how long a token lives, and why there is none. Pure.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

/// Longest text of an error that is kept.
const LONGEST_TEXT: usize = 600;

/// What an answer with a token says about its time.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// From the answer on.
    pub life: Option<Duration>,
    pub refresh_in: Option<Duration>,
}

/// Reads the times of a token. Numbers come as numbers from Entra, as strings from version 1 and from managed identities.
/// A moment (`expires_on`) is compared with the sender's own clock `date` where it tells one, so that ours may be wrong.
pub fn times(document: &Value, date: SystemTime) -> Times {
    let number = |name: &str| match document.get(name)? {
        Value::String(text) => text.parse::<f64>().ok(),
        value => value.as_f64(),
    };
    let span = |name: &str| number(name).and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let moment = span("expires_on").map(|since| (UNIX_EPOCH + since).duration_since(date).unwrap_or_default());
    let life = [span("expires_in"), moment].into_iter().flatten().min();
    Times { life, refresh_in: span("refresh_in") }
}

/// The answer as `azure_identity` can read it: `expires_in` a number, `expires_on` a string.
pub fn mended(mut document: Value) -> Value {
    let Some(members) = document.as_object_mut() else { return document };
    if let Some(Value::String(text)) = members.get("expires_in")
        && let Ok(seconds) = text.parse::<i64>()
    {
        members.insert("expires_in".to_owned(), seconds.into());
    }
    if let Some(Value::Number(seconds)) = members.get("expires_on") {
        let text = seconds.to_string();
        members.insert("expires_on".to_owned(), text.into());
    }
    document
}

/// The platform's own words, on one line.
pub fn error_text(body: &[u8]) -> String {
    let document: Value = serde_json::from_slice(body).unwrap_or_default();
    let named = |name: &str| document.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let text = match (named("error_description").or_else(|| named("message")), named("error")) {
        (Some(text), _) => text.to_owned(),
        (None, Some(error)) => error.to_owned(),
        (None, None) => match document.pointer("/error/message").and_then(Value::as_str) {
            Some(text) => text.to_owned(),
            None if body.is_empty() => "an empty body".to_owned(),
            None => String::from_utf8_lossy(&body[..body.len().min(LONGEST_TEXT)]).into_owned(),
        },
    };
    let words: Vec<&str> =
        text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()).collect();
    words.join(" ").chars().take(LONGEST_TEXT).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn times_come_as_numbers_and_as_strings() {
        let seconds = |life: u64| Some(Duration::from_secs(life));
        let life = |document: Value| times(&document, at(1_000)).life;
        assert_eq!(life(json!({"expires_in": 3_599, "ext_expires_in": 3_599})), seconds(3_599));
        assert_eq!(life(json!({"expires_in": "3599"})), seconds(3_599));
        assert_eq!(life(json!({"expires_on": "1600"})), seconds(600));
        assert_eq!(
            life(json!({"expires_on": "1600", "expires_in": "3599"})),
            seconds(600),
            "from a cache, so less is left"
        );
        assert_eq!(life(json!({"expires_on": "900"})), seconds(0));
        for junk in [json!({}), json!({"expires_in": "soon"}), json!({"expires_in": -1}), json!([1])] {
            assert_eq!(life(junk), None);
        }
        assert_eq!(times(&json!({"refresh_in": 1_800}), at(0)).refresh_in, seconds(1_800));
    }

    #[test]
    fn a_recorded_error_with_line_breaks_keeps_its_words() {
        let body = br#"{"error":"invalid_request","error_description":"AADSTS90011: Request is ambiguous.\r\nTrace ID: 4457d068\r\nTimestamp: 2013-12-31 06:31:41Z","error_codes":[90011]}"#;
        assert_eq!(
            error_text(body),
            "AADSTS90011: Request is ambiguous. Trace ID: 4457d068 Timestamp: 2013-12-31 06:31:41Z"
        );
        assert_eq!(error_text(b"<html>\r\n<h1>502</h1></html>"), "<html> <h1>502</h1></html>");
        assert_eq!(error_text(b""), "an empty body");
        assert_eq!(error_text(br#"{"error":{"code":"x","message":"not here"}}"#), "not here");
        assert!(error_text(&[b'a'; 5_000]).len() <= LONGEST_TEXT);
    }

    #[test]
    fn answers_are_mended_for_their_reader() {
        let mended = mended(json!({"expires_in": "3599", "expires_on": 1_506_484_173, "access_token": "a"}));
        assert_eq!(mended, json!({"expires_in": 3_599, "expires_on": "1506484173", "access_token": "a"}));
    }
}
