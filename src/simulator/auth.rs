//! Who is calling: the two ways to show an API key, and Entra's tokens, as strict about them as Azure.

use http::{HeaderMap, header};

use super::errors::Refusal;
use super::identity::Identity;
use super::routes::Surface;

/// The key a caller shows, whether or not it is right.
pub fn presented(headers: &HeaderMap) -> Option<&str> {
    let key = ["api-key", "x-api-key"].iter().find_map(|name| headers.get(*name)?.to_str().ok());
    key.or_else(|| bearer(headers).and_then(Result::ok))
}

/// Whether the caller may enter.
pub fn check(headers: &HeaderMap, surface: &Surface, keys: &[String], identity: &Identity) -> Result<(), Refusal> {
    let known = |key: &str| keys.iter().any(|known| known == key);
    if *surface == Surface::Claude {
        return check_claude(headers, known, identity);
    }
    let mut shown = headers.get_all("api-key").iter();
    let key = shown.next();
    if shown.next().is_some() || headers.get_all(header::AUTHORIZATION).iter().count() > 1 {
        return Err(Refusal::access_denied());
    }
    let key = match key.map(|value| value.to_str()) {
        None => None,
        Some(Ok(key)) if known(key) => Some(key),
        Some(_) => return Err(Refusal::access_denied()),
    };
    match (key, bearer(headers)) {
        (Some(_), None) => Ok(()),
        (Some(key), Some(Ok(token))) if key == token => Ok(()),
        (Some(_), Some(_)) => Err(Refusal::access_denied()),
        (None, Some(Ok(token))) if *surface == Surface::V1 && known(token) => Ok(()),
        (None, Some(Ok(token))) if is_token(token) => {
            identity.admits(token).then_some(()).ok_or_else(Refusal::bad_token)
        }
        (None, Some(_)) if *surface == Surface::V1 => Err(Refusal::access_denied()),
        (None, Some(_)) => Err(Refusal::bad_token()),
        (None, None) => Err(Refusal::access_denied()),
    }
}

/// Whether a text is a token rather than an API key: three parts, the first of which begins with `{"`.
fn is_token(text: &str) -> bool {
    text.starts_with("eyJ") && text.split('.').count() == 3
}

/// Claude's routes take a key in either header, or as a token, or an Entra token; of several, all must be right.
fn check_claude(headers: &HeaderMap, known: impl Fn(&str) -> bool, identity: &Identity) -> Result<(), Refusal> {
    let keys = ["x-api-key", "api-key"].iter().flat_map(|name| headers.get_all(*name));
    let mut shown: Vec<&str> = keys.map(|value| value.to_str().unwrap_or_default()).collect();
    if let Some(Ok(token)) = bearer(headers).filter(|token| token.is_ok_and(is_token)) {
        return if shown.is_empty() && identity.admits(token) { Ok(()) } else { Err(Refusal::bad_token()) };
    }
    shown.extend(bearer(headers).map(Result::unwrap_or_default));
    if !shown.is_empty() && shown.into_iter().all(known) { Ok(()) } else { Err(Refusal::access_denied()) }
}

/// The token of a Bearer header; an error for any other scheme.
fn bearer(headers: &HeaderMap) -> Option<Result<&str, ()>> {
    let value = headers.get(header::AUTHORIZATION)?;
    let token = value.to_str().ok().and_then(|text| text.split_once(' ')).filter(|(scheme, _)| {
        // The scheme is case-insensitive by RFC 9110.
        scheme.eq_ignore_ascii_case("bearer")
    });
    Some(token.map(|(_, token)| token.trim()).ok_or(()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(surface: &Surface, shown: &[(&'static str, &str)]) -> u16 {
        let mut headers = HeaderMap::new();
        for (name, value) in shown {
            headers.append(*name, value.parse().expect("value"));
        }
        check(&headers, surface, &["good".to_owned(), "also".to_owned()], &Identity::new(&Default::default()))
            .map_or_else(|refusal| refusal.status, |()| 200)
    }

    #[test]
    fn keys_are_taken_where_azure_takes_them() {
        let classic = Surface::Classic { deployment: None, version: "2024-10-21".into() };
        let (v1, claude) = (Surface::V1, Surface::Claude);
        for (surface, shown, expected) in [
            (&classic, &[("api-key", "good")][..], 200),
            (&v1, &[("api-key", "good")], 200),
            (&v1, &[("authorization", "Bearer good")], 200),
            (&v1, &[("authorization", "bearer also")], 200),
            (&classic, &[("authorization", "Bearer good")], 401),
            (&v1, &[("authorization", "good")], 401),
            (&v1, &[("authorization", "Basic good")], 401),
            (&v1, &[("api-key", "bad")], 401),
            (&v1, &[], 401),
            (&v1, &[("x-api-key", "good")], 401),
            (&claude, &[("x-api-key", "good")], 200),
            (&claude, &[("api-key", "good"), ("x-api-key", "good")], 200),
            (&claude, &[("authorization", "Bearer good")], 200),
            (&claude, &[("x-api-key", "good"), ("authorization", "Bearer bad")], 401),
            (&claude, &[], 401),
            (&v1, &[("api-key", "good"), ("api-key", "good")], 401),
            (&v1, &[("api-key", "good"), ("authorization", "Bearer also")], 401),
            (&classic, &[("api-key", "good"), ("authorization", "Bearer good")], 200),
            (&classic, &[("api-key", "bad"), ("authorization", "Bearer good")], 401),
        ] {
            assert_eq!(verdict(surface, shown), expected, "{surface:?} {shown:?}");
        }
    }
}
