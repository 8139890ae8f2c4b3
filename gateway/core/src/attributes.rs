//! What a tenant says of its people beside name, address and groups: attributes of its own, each with a type that it declares.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde::{Deserialize, Serialize};

/// The type of an attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AttributeKind {
    /// A text.
    String,
    /// A whole number.
    Long,
    /// Yes or no.
    Bool,
    /// Texts, each once.
    Set,
}

/// The attributes that a tenant declares.
pub type AttributeKinds = BTreeMap<String, AttributeKind>;

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum AttributeValue {
    /// Yes or no.
    Bool(bool),
    /// A whole number.
    Long(i64),
    /// A text.
    String(String),
    /// Texts, each once.
    Set(BTreeSet<String>),
}

/// What is said of one person.
pub type Attributes = BTreeMap<String, AttributeValue>;

/// Attributes that a tenant may declare: more would be another system's record of the person.
pub const MOST_ATTRIBUTES: usize = 32;
/// Bytes that a text may have, and texts that a set may hold: what decides fits into a few words.
const MOST_BYTES: usize = 256;
const MOST_TEXTS: usize = 64;

impl AttributeKind {
    /// Its type in Cedar's schema.
    pub const fn cedar(self) -> &'static str {
        match self {
            Self::String => "String",
            Self::Long => "Long",
            Self::Bool => "Bool",
            Self::Set => "Set<String>",
        }
    }

    /// Reads a value as it is written at a command line: `true`, `7`, a text, or texts divided by commas.
    pub fn parse(self, text: &str) -> Option<AttributeValue> {
        let value = match self {
            Self::String => AttributeValue::String(text.to_owned()),
            Self::Long => AttributeValue::Long(text.parse().ok()?),
            Self::Bool => AttributeValue::Bool(text.parse().ok()?),
            Self::Set => AttributeValue::Set(
                text.split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect(),
            ),
        };
        value.fits(self).then_some(value)
    }
}

impl fmt::Display for AttributeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::String => "a text",
            Self::Long => "a whole number",
            Self::Bool => "true or false",
            Self::Set => "a list of texts",
        })
    }
}

impl AttributeValue {
    /// Whether it is of that kind, and no longer than a value may be.
    pub fn fits(&self, kind: AttributeKind) -> bool {
        let text = |text: &String| text.len() <= MOST_BYTES && !text.chars().any(char::is_control);
        match (self, kind) {
            (Self::Bool(_), AttributeKind::Bool) | (Self::Long(_), AttributeKind::Long) => true,
            (Self::String(one), AttributeKind::String) => text(one),
            (Self::Set(texts), AttributeKind::Set) => texts.len() <= MOST_TEXTS && texts.iter().all(text),
            _ => false,
        }
    }
}

/// Those of `said` that are declared so: what was said under another declaration is not handed to policies.
pub fn declared(said: &Attributes, kinds: &AttributeKinds) -> Attributes {
    let fits = |name: &str, value: &AttributeValue| kinds.get(name).is_some_and(|kind| value.fits(*kind));
    said.iter().filter(|(name, value)| fits(name, value)).map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// Whether `name` can be an attribute's: a word of policies that is not taken.
pub fn is_name(name: &str) -> bool {
    let word = name.len() <= 40
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    let cedars = ["true", "false", "if", "then", "else", "in", "is", "like", "has"];
    word && !["id", "email", "name", "groups"].contains(&name) && !cedars.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_read_as_its_kind_and_as_no_other() {
        for (kind, text, written) in [
            (AttributeKind::String, "North, wing 2", "\"North, wing 2\""),
            (AttributeKind::Long, "-7", "-7"),
            (AttributeKind::Bool, "true", "true"),
            (AttributeKind::Set, "b, a,b,", "[\"a\",\"b\"]"),
        ] {
            let value = kind.parse(text).unwrap();
            let read: Attributes = toml::from_str(&format!("said = {written}")).unwrap();
            assert_eq!(read["said"], value);
            let others = [AttributeKind::String, AttributeKind::Long, AttributeKind::Bool, AttributeKind::Set];
            assert_eq!(others.into_iter().filter(|other| value.fits(*other)).collect::<Vec<_>>(), [kind]);
        }
        assert_eq!(AttributeKind::Long.parse("7.5"), None);
        assert_eq!(AttributeKind::Bool.parse("yes"), None);
        assert_eq!(AttributeKind::String.parse(&"x".repeat(257)), None);
        assert_eq!(AttributeKind::String.parse("two\nlines"), None);
    }

    #[test]
    fn what_is_no_longer_declared_so_is_handed_to_nobody() {
        let kinds: AttributeKinds = [("clearance".to_owned(), AttributeKind::Long)].into();
        let said: Attributes = [("clearance", "2"), ("site", "1")]
            .map(|(name, text)| (name.to_owned(), AttributeKind::Long.parse(text).unwrap()))
            .into();
        assert_eq!(declared(&said, &kinds).keys().collect::<Vec<_>>(), ["clearance"]);
        let kinds = [("clearance".to_owned(), AttributeKind::String)].into();
        assert!(declared(&said, &kinds).is_empty());
    }

    #[test]
    fn names_are_words_of_policies_that_are_not_taken() {
        assert!(is_name("clearance") && is_name("cost_centre_2"));
        for bad in ["", "Clearance", "2nd", "cost-centre", "email", "id", "in", "größe", &"x".repeat(41)] {
            assert!(!is_name(bad), "{bad}");
        }
    }
}
