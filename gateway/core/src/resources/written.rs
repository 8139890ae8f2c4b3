//! An address as somebody wrote it.

use std::{fmt, ops::Deref, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use url::Url;

/// A URL with the text that it was read from. A [`Url`] writes `https://host` with a slash behind it, so that what was applied
/// would be exported as something else, and an issuer is compared letter by letter.
#[derive(Clone, PartialEq, Eq)]
pub struct WrittenUrl {
    text: String,
    url: Url,
}

impl WrittenUrl {
    /// The text, letter by letter.
    pub fn written(&self) -> &str {
        &self.text
    }
}

impl FromStr for WrittenUrl {
    type Err = url::ParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self { text: text.to_owned(), url: Url::parse(text)? })
    }
}

impl Deref for WrittenUrl {
    type Target = Url;

    fn deref(&self) -> &Url {
        &self.url
    }
}

impl fmt::Display for WrittenUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for WrittenUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

impl Serialize for WrittenUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for WrittenUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl de::Visitor<'_> for Text {
            type Value = WrittenUrl;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a URL")
            }

            // Refused here, and not once the text was taken: a reader of TOML knows the place until then.
            fn visit_str<E: de::Error>(self, text: &str) -> Result<WrittenUrl, E> {
                text.parse().map_err(|error| E::custom(format!("{error}: {text:?}")))
            }
        }

        deserializer.deserialize_str(Text)
    }
}
