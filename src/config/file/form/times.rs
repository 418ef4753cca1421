//! Points in time and durations.

use std::{borrow::Cow, fmt, time::Duration};

use jiff::Timestamp;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer, Serializer,
    de::{Error, Unexpected, Visitor},
};

/// Longest time that any field takes, in seconds: far beyond use, near enough to calculate with.
const LONGEST: f64 = 1e9;

/// A number of seconds, in the schema.
pub struct Seconds;

/// A number of milliseconds, or a text with a unit, in the schema.
pub struct Milliseconds;

impl JsonSchema for Seconds {
    fn schema_name() -> Cow<'static, str> {
        "Seconds".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "number", "minimum": 0 })
    }
}

impl JsonSchema for Milliseconds {
    fn schema_name() -> Cow<'static, str> {
        "Milliseconds".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [{ "type": "number", "minimum": 0 }, { "type": "string" }] })
    }
}

/// Reads and writes a point in time as RFC 3339.
pub mod timestamp {
    use super::*;

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
        let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
        text.parse().map(Some).map_err(|_| {
            D::Error::custom("this is no point in time; write RFC 3339 with a zone, such as `2027-01-01T00:00:00Z`")
        })
    }

    pub fn serialize<S: Serializer>(time: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
        match time {
            Some(time) => serializer.collect_str(time),
            None => serializer.serialize_none(),
        }
    }
}

/// Reads and writes a duration as a number of seconds, fractions allowed.
pub mod seconds {
    use super::*;

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        duration(f64::deserialize(deserializer)?, "seconds")
    }

    pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        match duration.subsec_nanos() {
            0 => serializer.serialize_u64(duration.as_secs()),
            _ => serializer.serialize_f64(duration.as_secs_f64()),
        }
    }
}

/// Reads and writes a duration as a number of milliseconds; reads one with a unit (`500ms`, `2s`) too.
pub mod milliseconds {
    use super::*;

    struct Text;

    impl Visitor<'_> for Text {
        type Value = Duration;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a number of milliseconds, or a text such as `500ms` or `2s`")
        }

        fn visit_u64<E: Error>(self, number: u64) -> Result<Duration, E> {
            Ok(Duration::from_millis(number))
        }

        fn visit_f64<E: Error>(self, number: f64) -> Result<Duration, E> {
            duration(number / 1e3, "milliseconds")
        }

        fn visit_i64<E: Error>(self, number: i64) -> Result<Duration, E> {
            duration(number as f64, "milliseconds")
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<Duration, E> {
            let (number, unit) = text.split_at(text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len()));
            let number: f64 = number.parse().map_err(|_| E::invalid_value(Unexpected::Str(text), &self))?;
            match unit {
                "ms" => duration(number / 1e3, "milliseconds"),
                "s" => duration(number, "seconds"),
                "m" => duration(number * 60.0, "minutes"),
                _ => Err(E::invalid_value(Unexpected::Str(text), &self)),
            }
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        deserializer.deserialize_any(Text)
    }

    pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
    }
}

fn duration<E: Error>(seconds: f64, unit: &str) -> Result<Duration, E> {
    if !(0.0..=LONGEST).contains(&seconds) {
        return Err(E::custom(format_args!("this time is out of range; expected a number of {unit}, 0 or more")));
    }
    Duration::try_from_secs_f64(seconds).map_err(E::custom)
}
