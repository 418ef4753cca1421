//! How plain values are written: references, addresses, times. Each form decodes to a plain type, so that nobody beside
//! the decoder meets it.

use std::{borrow::Cow, fmt, net::SocketAddr, str::FromStr};

use ipnet::IpNet;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer,
    de::{Error, Visitor},
};

use super::{ApiVersion, Members};
use crate::azure::UnknownVersion;
use crate::{
    base::{Endpoint, OriginPattern, Secret},
    config::read::REFERENCE,
};

mod times;

pub use times::{Milliseconds, Seconds, milliseconds, seconds, timestamp};

/// A way to write a plain value.
pub trait Form {
    type Plain;

    fn plain(self) -> Self::Plain;
}

/// `#[serde(deserialize_with = "form::one::<…, _>")]`
pub fn one<'de, F: Form + Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<F::Plain, D::Error> {
    F::deserialize(deserializer).map(F::plain)
}

pub fn optional<'de, F, D>(deserializer: D) -> Result<Option<F::Plain>, D::Error>
where
    F: Form + Deserialize<'de>,
    D: Deserializer<'de>,
{
    Ok(Option::<F>::deserialize(deserializer)?.map(F::plain))
}

pub fn list<'de, F, D>(deserializer: D) -> Result<Vec<F::Plain>, D::Error>
where
    F: Form + Deserialize<'de>,
    D: Deserializer<'de>,
{
    Ok(Vec::<F>::deserialize(deserializer)?.into_iter().map(F::plain).collect())
}

pub fn members<'de, F, D>(deserializer: D) -> Result<Members<F::Plain>, D::Error>
where
    F: Form + Deserialize<'de>,
    D: Deserializer<'de>,
{
    let members = Members::<F>::deserialize(deserializer)?;
    Ok(members.into_iter().map(|(name, form)| (name, form.plain())).collect())
}

/// A text or a reference to one, references followed. The bare text of this type is never shown.
struct Resolved(String);

impl<'de> Deserialize<'de> for Resolved {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = String;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<String, E> {
                Ok(text.to_owned())
            }
        }
        deserializer.deserialize_newtype_struct(REFERENCE, Text).map(Self)
    }
}

/// Declares a form that is written as a text which may be a reference.
macro_rules! referable {
    ($(#[$doc:meta])* $name:ident -> $plain:ty, $format:literal, $read:expr) => {
        $(#[$doc])*
        pub struct $name($plain);

        impl Form for $name {
            type Plain = $plain;

            fn plain(self) -> $plain {
                self.0
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let read: fn(String) -> Result<$plain, String> = $read;
                read(Resolved::deserialize(deserializer)?.0).map(Self).map_err(D::Error::custom)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "format": $format })
            }
        }
    };
}

referable! {
    /// A secret.
    SecretText -> Secret, "secret", |text| match text.trim().is_empty() {
        true => Err("this secret is empty; give it a value, or leave the field out".to_owned()),
        false => Ok(Secret::new(text)),
    }
}
referable! {
    /// A text that is not secret, such as an identifier or a PEM document.
    PlainText -> String, "reference", |text| match text.trim() {
        "" => Err("this is empty; give it a value, or leave the field out".to_owned()),
        trimmed => Ok(trimmed.to_owned()),
    }
}
referable! {
    /// The address of an upstream.
    EndpointText -> Endpoint, "address", |text| Endpoint::parse(&text).map_err(|error| format!("the address {error}"))
}
referable! {
    /// The address of an Azure resource, or its bare name.
    ResourceText -> Endpoint, "address", |text| {
        Endpoint::parse_azure(&text).map_err(|error| format!("the address {error}"))
    }
}
referable! {
    /// An origin that callers may name.
    OriginText -> OriginPattern, "address", |text| {
        OriginPattern::parse(&text).map_err(|error| format!("the address {error}"))
    }
}
referable! {
    /// An address to listen on.
    SocketText -> SocketAddr, "address", |text| SocketAddr::from_str(text.trim()).map_err(|_| {
        "this is no address to listen on; write `IP:port` such as `127.0.0.1:8080`, `0.0.0.0:8080` or `[::]:8080`"
            .to_owned()
    })
}
referable! {
    /// The address of a name server.
    NameServerText -> SocketAddr, "address", |text| {
        let text = text.trim();
        let bare = || text.trim_matches(['[', ']']).parse::<std::net::IpAddr>().map(|ip| SocketAddr::new(ip, 53));
        text.parse::<SocketAddr>().or_else(|_| bare()).map_err(|_| {
            "this is no address of a name server; write its `IP`, or `IP:port`, such as `10.0.0.2` or `[2001:db8::53]:5353`"
                .to_owned()
        })
    }
}
referable! {
    /// A network in CIDR form, or a single address.
    NetworkText -> IpNet, "address", |text| {
        let text = text.trim();
        let single = || text.parse::<std::net::IpAddr>().map(IpNet::from);
        text.parse::<IpNet>().or_else(|_| single()).map(|network| network.trunc()).map_err(|_| {
            "this is no network; write one such as `10.0.0.0/8` or `2001:db8::/32`, or one address".to_owned()
        })
    }
}

referable! {
    /// A version of Azure's API.
    VersionText -> ApiVersion, "reference", |text| text.trim().parse().map_err(|error: UnknownVersion| error.to_string())
}

/// A secret that may be absent in two ways: no field or `null`, and an empty string, as existing files have it for
/// keys that need none. A reference to something empty is an error all the same.
pub fn secret_or_blank<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Secret>, D::Error> {
    let text = Option::<Resolved>::deserialize(deserializer)?;
    Ok(text.filter(|text| !text.0.is_empty()).map(|text| Secret::new(text.0)))
}
