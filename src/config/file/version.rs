//! The version of Azure's API that a key speaks.

use std::{fmt, str::FromStr};

use serde::{Serialize, Serializer};

/// `v1`, `preview`, or a dated version.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ApiVersion {
    /// Everything under `/openai/v1`, without `api-version`.
    V1,
    /// Everything under `/openai/v1`, with `api-version=preview`.
    Preview,
    /// The classic paths, with `api-version=` this date.
    Dated(String),
}

/// A text that names no version.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no API version; write `v1`, `preview`, or a date such as `2024-10-21` or `2025-04-01-preview`")]
pub struct UnknownVersion;

impl FromStr for ApiVersion {
    type Err = UnknownVersion;

    fn from_str(text: &str) -> Result<Self, UnknownVersion> {
        match text {
            "v1" => return Ok(Self::V1),
            "preview" => return Ok(Self::Preview),
            _ => {}
        }
        let date = text.strip_suffix("-preview").unwrap_or(text);
        // The date parser forgives other forms, which Azure does not know.
        let plain = date.len() == 10 && date.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
        if plain && date.parse::<jiff::civil::Date>().is_ok() {
            return Ok(Self::Dated(text.to_owned()));
        }
        Err(UnknownVersion)
    }
}

impl Default for ApiVersion {
    fn default() -> Self {
        Self::Dated("2024-10-21".to_owned())
    }
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V1 => "v1",
            Self::Preview => "preview",
            Self::Dated(date) => date,
        })
    }
}

impl Serialize for ApiVersion {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_words_or_real_dates() {
        for good in ["v1", "preview", "2024-10-21", "2025-04-01-preview", "2024-02-29"] {
            assert_eq!(good.parse::<ApiVersion>().unwrap().to_string(), good);
        }
        for bad in ["", "V1", "latest", "2024-13-01", "2023-02-29", "2024-10-21-beta", "20241021", "2024-10-21&x=1"] {
            assert!(bad.parse::<ApiVersion>().is_err(), "{bad}");
        }
    }
}
