//! How sure we are of who it is, after NIST SP 800-63B-4. Computed from factors (in `cardea-identity`), never typed in.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An authentication assurance level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Assurance {
    /// AAL1: one factor.
    One = 1,
    /// AAL2: two distinct factors, or one that holds two.
    Two = 2,
    /// AAL3: a phishing-resistant factor whose key cannot be exported.
    Three = 3,
}

impl Assurance {
    /// The level as policies see it: 1, 2 or 3.
    pub const fn level(self) -> u8 {
        self as u8
    }

    /// The level of that number, if there is one.
    pub const fn from_level(level: u8) -> Option<Self> {
        match level {
            1 => Some(Self::One),
            2 => Some(Self::Two),
            3 => Some(Self::Three),
            _ => None,
        }
    }
}

impl fmt::Display for Assurance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.level(), f)
    }
}

impl Serialize for Assurance {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_u8(self.level())
    }
}

impl<'de> Deserialize<'de> for Assurance {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let level = u8::deserialize(d)?;
        Self::from_level(level)
            .ok_or_else(|| serde::de::Error::custom(format!("assurance is 1, 2 or 3, not `{level}`")))
    }
}
