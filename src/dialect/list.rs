//! A page of a list, as services of the OpenAI API write it, cut into its objects without a copy.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

/// One object of a page.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listed {
    pub id: String,
    /// Seconds since 1970; 0 where the object does not tell.
    pub created: i64,
    /// The object as it stands in the page.
    pub text: Bytes,
}

/// A page.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Page {
    pub objects: Vec<Listed>,
    pub has_more: bool,
}

#[derive(Deserialize)]
struct Written<'a> {
    #[serde(borrow)]
    data: Vec<&'a RawValue>,
    #[serde(default)]
    has_more: bool,
}

#[derive(Deserialize)]
struct Brief {
    id: String,
    #[serde(default)]
    created_at: Option<i64>,
}

impl Page {
    /// `None` when the text is no page, or an object in it has no id.
    pub fn read(text: &Bytes) -> Option<Self> {
        let written: Written<'_> = serde_json::from_slice(text).ok()?;
        let listed = |raw: &&RawValue| {
            let Brief { id, created_at } = serde_json::from_str(raw.get()).ok()?;
            Some(Listed { id, created: created_at.unwrap_or_default(), text: text.slice_ref(raw.get().as_bytes()) })
        };
        Some(Self { objects: written.data.iter().map(listed).collect::<Option<_>>()?, has_more: written.has_more })
    }
}

/// When an object was made, in seconds since 1970; `None` when the text is no object that tells.
pub fn created(text: &[u8]) -> Option<i64> {
    serde_json::from_slice::<Brief>(text).ok()?.created_at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_stand_as_they_were_written() {
        let text = Bytes::from_static(
            br#"{"object":"list","data":[{"id":"a", "created_at": 3,"n":1.0},{"id":"b","x":{"id":"c"}}],"has_more":true}"#,
        );
        let page = Page::read(&text).unwrap();
        let seen: Vec<_> = page.objects.iter().map(|object| (&*object.id, object.created, &object.text[..])).collect();
        let first: &[u8] = br#"{"id":"a", "created_at": 3,"n":1.0}"#;
        assert_eq!(seen, [("a", 3, first), ("b", 0, br#"{"id":"b","x":{"id":"c"}}"#)]);
        assert!(page.has_more);
        assert_eq!(created(first), Some(3));
    }

    #[test]
    fn what_is_no_page_is_none() {
        for text in ["", "[]", "{}", r#"{"data":{}}"#, r#"{"data":[{}]}"#, r#"{"data":[1]}"#, "<html>"] {
            assert_eq!(Page::read(&Bytes::from_static(text.as_bytes())), None, "{text}");
        }
        assert_eq!(Page::read(&Bytes::from_static(b"{\"data\":[]}")), Some(Page { objects: vec![], has_more: false }));
    }
}
