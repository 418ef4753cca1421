//! `Location` and `Operation-Location` of an answer: where the upstream says that what it made can be found. Callers find it
//! here, under the id by which they know it.

use http::HeaderValue;

use super::form::Form;
use crate::dialect::classify;
use crate::dialect::responses::Bound;

/// Whether a header says where something is. `name` is in lower case.
pub fn is_told_by(name: &str) -> bool {
    matches!(name, "location" | "operation-location" | "content-location")
}

/// The same place at the gateway, as a path: the name under which a caller reaches the gateway is the caller's to know
/// (RFC 9110, section 10.2.2, allows a relative reference). `None` where the gateway has no such place; the upstream's own
/// address would lead past the gateway.
pub fn here(told: &HeaderValue, bound: Option<&dyn Bound>) -> Option<HeaderValue> {
    let path = path(told.to_str().ok()?)?;
    let route = classify("GET", path).ok()?;
    let id = route.id?;
    let known = bound.map_or_else(|| id.to_string(), |bound| bound.id(&id));
    let form = Form::of_object(route.operation, &known, String::new())?;
    HeaderValue::from_str(&format!("/openai/v1/{}", form.path)).ok()
}

/// The path of an address, from where a service's own begin: a front door may stand before them with a prefix.
fn path(address: &str) -> Option<&str> {
    let path = match address.split_once("://") {
        Some((_, rest)) => &rest[rest.find('/')?..],
        None => address,
    };
    let path = path.split(['?', '#']).next()?;
    let own = path.find("/openai/").or_else(|| path.find("/v1/"))?;
    Some(&path[own..])
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    struct Marked;

    impl Bound for Marked {
        fn id(&self, id: &str) -> String {
            format!("~{id}")
        }

        fn mark(&self) -> Bytes {
            Bytes::new()
        }
    }

    #[test]
    fn what_was_made_is_found_here_and_nothing_leads_past_the_gateway() {
        for (told, expected) in [
            (
                "https://acme.openai.azure.com/openai/files/file-1?api-version=2024-10-21",
                Some("/openai/v1/files/~file-1"),
            ),
            ("https://acme.openai.azure.com/openai/v1/files/file-1", Some("/openai/v1/files/~file-1")),
            ("https://front.example/apim/openai/v1/responses/resp_1", Some("/openai/v1/responses/~resp_1")),
            ("https://api.openai.com/v1/batches/batch_1", Some("/openai/v1/batches/~batch_1")),
            ("/openai/v1/videos/video_1/content", Some("/openai/v1/videos/~video_1/content")),
            ("https://acme.openai.azure.com/openai/uploads/runs/fine-tune-1", None),
            ("https://acme.openai.azure.com/openai/operations/images/1", None),
            ("https://acme.openai.azure.com", None),
            ("https://acme.openai.azure.com/openai/files", None),
            ("/v1/realtime/calls/rtc_1", None),
            ("https://acme.openai.azure.com/openai/files/..%2fx", None),
        ] {
            let here = here(&HeaderValue::from_static(told), Some(&Marked));
            assert_eq!(here.as_ref().map(|value| value.to_str().unwrap()), expected, "{told}");
        }
        let own = here(&HeaderValue::from_static("https://a.example/openai/files/file-1"), None);
        assert_eq!(own.unwrap(), "/openai/v1/files/file-1", "of a caller with a key of their own");
    }
}
