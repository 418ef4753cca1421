//! API versions of the Azure OpenAI data plane: `v1`, its `preview`, and dated ones like `2024-10-21` or
//! `2025-04-01-preview` (Azure's API version lifecycle page).

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

impl ApiVersion {
    /// Whether chat completions take `stream_options`: from 2024-09-01-preview on. Sent to an older version it is
    /// answered with 400.
    pub fn has_stream_options(&self) -> bool {
        match self {
            Self::V1 | Self::Preview => true,
            Self::Dated(date) => date.as_str() >= "2024-09-01",
        }
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
    fn traps_27_versions_are_words_or_real_dates() {
        for good in ["v1", "preview", "2024-10-21", "2025-04-01-preview", "2024-02-29"] {
            assert_eq!(good.parse::<ApiVersion>().unwrap().to_string(), good);
        }
        for bad in [
            "",
            "V1",
            "latest",
            "2024-13-01",
            "2023-02-29",
            "2024-10-21-beta",
            "20241021",
            "2024-10-21&x=1",
            "api-version=2024-10-21",
            "2024-10-21\r\nx: y",
        ] {
            assert!(bad.parse::<ApiVersion>().is_err(), "{bad}");
        }
    }

    #[test]
    fn traps_05_old_versions_have_no_stream_options() {
        for (text, has) in [
            ("2024-08-01-preview", false),
            ("2024-06-01", false),
            ("2024-09-01-preview", true),
            ("2024-10-21", true),
            ("v1", true),
        ] {
            assert_eq!(text.parse::<ApiVersion>().unwrap().has_stream_options(), has, "{text}");
        }
    }
}
