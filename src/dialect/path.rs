//! Request paths and queries as text: segments, percent-encoding, query parameters. What a path means is
//! [`super::operation`]'s.

use std::borrow::Cow;

use memchr::memchr;

/// The segments of a path. Empty ones are skipped, because clients with a trailing slash in their base address write `//`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segments<'a> {
    rest: &'a str,
}

impl<'a> Segments<'a> {
    pub fn new(path: &'a str) -> Self {
        Self { rest: path.trim_matches('/') }
    }

    /// What was not taken yet, with neither leading nor trailing slash.
    pub fn rest(self) -> &'a str {
        self.rest
    }

    pub fn peek(mut self) -> Option<&'a str> {
        self.next()
    }

    /// Takes the next segment if it is that word.
    pub fn skip_word(&mut self, word: &str) -> bool {
        let taken = self.peek() == Some(word);
        if taken {
            self.next();
        }
        taken
    }
}

impl<'a> Iterator for Segments<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let (segment, rest) = match memchr(b'/', self.rest.as_bytes()) {
            Some(end) => (&self.rest[..end], self.rest[end..].trim_start_matches('/')),
            None => (self.rest, ""),
        };
        self.rest = rest;
        (!segment.is_empty()).then_some(segment)
    }
}

/// The value of the first query parameter of that name, decoded. `None` when it is absent or no text.
pub fn query_value<'a>(query: &'a str, name: &str) -> Option<Cow<'a, str>> {
    let pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let (_, value) =
        pairs.into_iter().find(|(key, _)| *key == name || decode_form(key).is_some_and(|key| key == name))?;
    decode_form(value)
}

/// Decodes `%xx`. `None` for broken escapes and for what is no UTF-8.
pub(super) fn decode(text: &str) -> Option<Cow<'_, str>> {
    let Some(first) = memchr(b'%', text.as_bytes()) else { return Some(Cow::Borrowed(text)) };
    let mut decoded = Vec::with_capacity(text.len());
    decoded.extend_from_slice(&text.as_bytes()[..first]);
    let mut rest = &text.as_bytes()[first..];
    while let Some((&byte, after)) = rest.split_first() {
        if byte == b'%' {
            let (digits, after) = after.split_at_checked(2)?;
            decoded.push(hex(digits[0])? << 4 | hex(digits[1])?);
            rest = after;
        } else {
            decoded.push(byte);
            rest = after;
        }
    }
    String::from_utf8(decoded).ok().map(Cow::Owned)
}

/// Decodes several segments as one name that holds slashes.
pub(super) fn decode_segments(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains("//") {
        return decode(text);
    }
    let joined = Segments::new(text).collect::<Vec<_>>().join("/");
    decode(&joined).map(|decoded| Cow::Owned(decoded.into_owned()))
}

/// In queries, `+` is a space.
fn decode_form(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('+') {
        return decode(text);
    }
    decode(&text.replace('+', "%20")).map(|decoded| Cow::Owned(decoded.into_owned()))
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|digit| digit as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_skip_empty_ones_and_resolve_nothing() {
        let all = |path| Segments::new(path).collect::<Vec<_>>();
        assert_eq!(all("//v1///chat/completions//"), ["v1", "chat", "completions"]);
        assert_eq!(all("/a/./../b"), ["a", ".", "..", "b"]);
        assert_eq!(all(""), [""; 0]);
        assert_eq!(all("///"), [""; 0]);
    }

    #[test]
    fn percent_encoding_is_decoded_or_refused() {
        assert_eq!(decode("a%2Fb%20%CE%b1").unwrap(), "a/b α");
        assert!(matches!(decode("gpt-4o"), Some(Cow::Borrowed("gpt-4o"))));
        for broken in ["%", "%2", "%zz", "%ff", "%C0%AF", "%+1", "a%", "%é"] {
            assert_eq!(decode(broken), None, "{broken}");
        }
    }

    #[test]
    fn the_first_parameter_of_a_name_counts() {
        let query = "a=1&api-version=2024-10-21&api-version=v1&limit=&note=a+b%26c&%6Cate=x&flag";
        assert_eq!(query_value(query, "api-version").unwrap(), "2024-10-21");
        assert_eq!(query_value(query, "limit").unwrap(), "");
        assert_eq!(query_value(query, "note").unwrap(), "a b&c");
        assert_eq!(query_value(query, "late").unwrap(), "x");
        assert_eq!(query_value(query, "flag").unwrap(), "");
        assert_eq!(query_value(query, "version"), None);
        assert_eq!(query_value("api-version=%ff", "api-version"), None);
        assert_eq!(query_value("", "a"), None);
    }
}
