//! Ids, parsed once at the edge: whoever holds one holds a valid one.
//!
//! Names that people choose (tenants, apps, groups, providers) are slugs; things that Cardea makes (users, sessions,
//! entries, factors) are UUIDs of version 7, so that they sort by the time they were made (RFC 9562 section 5.7).

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

use crate::{Entropy, Timestamp, entropy};

/// Why a text is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidId {
    /// A slug holds a character, a length or an edge that it may not have.
    #[error("`{text}` is no {what} name: use 1 to 63 of `a-z`, `0-9` and `-`, not starting or ending with `-`")]
    Slug {
        /// What kind of thing was to be named.
        what: &'static str,
        /// What was written.
        text: String,
    },
    /// The text is no UUID.
    #[error("`{text}` is no {what} id: it must be a UUID")]
    Uuid {
        /// What kind of thing was to be named.
        what: &'static str,
        /// What was written.
        text: String,
    },
}

/// Longest slug: what fits a DNS label (RFC 1035 section 2.3.4), since tenant names become host labels.
const SLUG_MAX: usize = 63;

fn is_slug(text: &str) -> bool {
    (1..=SLUG_MAX).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// A UUID as we write it. The other forms (capitals, braces, no hyphens, `urn:uuid:`) would be second names of one thing.
fn written(text: &str) -> Option<Uuid> {
    let uuid = Uuid::try_parse(text).ok()?;
    (uuid.hyphenated().encode_lower(&mut Uuid::encode_buffer()) == text).then_some(uuid)
}

macro_rules! slug_id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Reads a name; the error says what a name may hold.
            pub fn parse(text: &str) -> Result<Self, InvalidId> {
                if is_slug(text) {
                    Ok(Self(text.into()))
                } else {
                    Err(InvalidId::Slug { what: $what, text: text.to_owned() })
                }
            }

            /// The name as it was written.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The name as text that is shared, and not copied.
            pub fn shared(&self) -> Arc<str> {
                Arc::clone(&self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.serialize_str(&self.0)
            }
        }

        text_id!($name);
    };
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// Makes a new id from the time and the randomness given.
            pub fn mint(now: Timestamp, entropy: &dyn Entropy) -> Self {
                let random = entropy::bytes::<10>(entropy);
                let millis = u64::try_from(now.as_millis()).unwrap_or_default();
                Self(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
            }

            /// Reads an id in the one form that we write: hyphenated, in lower case.
            pub fn parse(text: &str) -> Result<Self, InvalidId> {
                written(text).map(Self).ok_or_else(|| InvalidId::Uuid { what: $what, text: text.to_owned() })
            }

            /// The id as a UUID.
            pub fn as_uuid(&self) -> Uuid {
                self.0
            }

            /// Its bytes.
            pub fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }

            /// The id whose bytes these are, as a store kept them.
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0.hyphenated(), f)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                let mut text = Uuid::encode_buffer();
                s.serialize_str(self.0.hyphenated().encode_lower(&mut text))
            }
        }

        text_id!(@serde $name);
    };
}

macro_rules! text_id {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
        text_id!(@serde $name);
    };
    (@serde $name:ident) => {
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Self::parse(text)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(d)?;
                Self::parse(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}

slug_id!(
    /// Names a tenant, the root object.
    TenantId, "tenant"
);
slug_id!(
    /// Names a protected application within its tenant.
    AppId, "app"
);
slug_id!(
    /// Names a group within its tenant's pool.
    GroupId, "group"
);
slug_id!(
    /// Names an OpenID provider within its tenant.
    ProviderId, "provider"
);
slug_id!(
    /// Names a client, a program that obtains tokens, within its tenant: its `client_id` (RFC 6749 section 2.2).
    ClientId, "client"
);
uuid_id!(
    /// Names a user of a pool; never reused (21 CFR 11.100(a)).
    UserId, "user"
);
uuid_id!(
    /// Names a session; public, unlike the handles that open it.
    SessionId, "session"
);
uuid_id!(
    /// Names an audit entry, and with it the request that it records (`X-Request-Id`).
    EntryId, "entry"
);
uuid_id!(
    /// Names one enrolled factor of a user.
    FactorId, "factor"
);
uuid_id!(
    /// Names a remembered device of a user; public, unlike the key that its browser holds.
    DeviceId, "device"
);
uuid_id!(
    /// Names what a person has let a client do, and with it the family of its refresh tokens.
    GrantId, "grant"
);
uuid_id!(
    /// Names an access token, its `jti` (RFC 7519 section 4.1.7); public, unlike the token.
    TokenId, "token"
);
uuid_id!(
    /// Names a personal access key; public, unlike the key.
    AccessKeyId, "access key"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slug_is_what_fits_a_host_label() {
        for good in ["a", "acme", "north-lab-2", &"x".repeat(63)] {
            assert_eq!(TenantId::parse(good).unwrap().as_str(), good);
        }
        for bad in ["", "-a", "a-", "A", "a.b", "a_b", "ü", "a b", &"x".repeat(64)] {
            assert!(TenantId::parse(bad).is_err(), "{bad:?} was taken for a name");
        }
    }

    #[test]
    fn minted_ids_sort_by_time() {
        let entropy = entropy::Fixed::new(7);
        let early = EntryId::mint(Timestamp::from_micros(1_000_000_000), &entropy);
        let late = EntryId::mint(Timestamp::from_micros(2_000_000_000), &entropy);
        assert!(early < late);
        assert_eq!(EntryId::parse(&early.to_string()).unwrap(), early);
    }

    /// Found by the fuzz target `tokens`: the parser took five spellings of each id.
    #[test]
    fn an_id_has_one_spelling() {
        let id = EntryId::mint(Timestamp::from_micros(1_000_000_000), &entropy::Fixed::new(7)).to_string();
        for other in [id.to_uppercase(), id.replace('-', ""), format!("{{{id}}}"), format!("urn:uuid:{id}")] {
            assert!(EntryId::parse(&other).is_err(), "{other}");
        }
    }
}
