//! The tenant's own directory: people, their addresses, and what each can prove.

mod account;

use std::fmt;

use cardea_core::{Assurance, Attributes, FactorId, GroupId, TenantId, Timestamp, UserId};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::sealing::Sealed;

pub use account::{AccountId, Had, LinkedAccount, LinkedIdentity, Origin};

/// A person of a tenant's pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Never reused, not even after deletion (21 CFR 11.100(a)).
    pub id: UserId,
    /// The tenant whose pool it is.
    pub tenant: TenantId,
    /// The address that names the person at sign-in; unique within the pool.
    pub email: Email,
    /// Name as shown.
    pub name: String,
    /// Whether the person may sign in.
    pub status: Status,
    /// Groups that the person is put in; ancestors are worked out by whoever decides.
    pub groups: Vec<GroupId>,
    /// When the person was added.
    pub created: Timestamp,
    /// When anything above last changed.
    pub changed: Timestamp,
    /// When the person last signed in or used a session, to the minute.
    pub last_seen: Option<Timestamp>,
    /// What the tenant says of the person beside.
    #[serde(default)]
    pub attributes: Attributes,
}

impl User {
    /// What to say to whoever gave something else.
    pub const NAME_HELP: &str = "a name has 1 to 120 characters, on one line, and none that hides or turns others";

    /// `text` without space around it, if it can be a name. 120 characters: longer than the longest name seen, short
    /// enough for a table.
    pub fn checked_name(text: &str) -> Option<&str> {
        legible(text, 120)
    }

    /// Whether the person may sign in and use sessions. Everything but `Active` is a no.
    pub fn may_enter(&self) -> bool {
        self.status == Status::Active
    }
}

/// `text` without space around it, if it is a name of 1 to `most` characters that shows itself as it is. Joiners may stand in
/// it, since some scripts need them, and are none by themselves.
pub fn legible(text: &str, most: usize) -> Option<&str> {
    let name = text.trim();
    let seen = name.chars().any(|c| !matches!(c, '\u{200c}' | '\u{200d}'));
    ((1..=most).contains(&name.chars().count()) && seen && !name.contains(misleads)).then_some(name)
}

/// Whether a character ends a line, hides, or turns others round.
pub fn misleads(c: char) -> bool {
    let fillers = [
        '\u{ad}', '\u{34f}', '\u{115f}', '\u{1160}', '\u{180e}', '\u{200b}', '\u{2800}', '\u{3164}', '\u{feff}',
        '\u{ffa0}',
    ];
    let turns = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}');
    c.is_control() || turns || fillers.contains(&c) || matches!(c, '\u{e0000}'..='\u{e007f}')
}

/// Where a person stands in the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// Added, but has not accepted the invitation: no factor yet.
    Invited,
    /// May sign in.
    Active,
    /// May not sign in; can be brought back.
    Suspended,
    /// Gone for good; the row stays so that the id is never given to another.
    Deleted,
}

impl Status {
    /// Every status, for filters and tables.
    pub const ALL: [Self; 4] = [Self::Invited, Self::Active, Self::Suspended, Self::Deleted];

    /// Its stable name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Invited => "invited",
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Deleted => "deleted",
        }
    }

    /// The status of that name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }
}

/// The kind of an enrolled factor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FactorKind {
    /// A password.
    Password,
    /// One-time codes from an authenticator app.
    Totp,
    /// A passkey.
    Passkey,
    /// Codes that stand in for a lost second factor.
    Recovery,
}

impl FactorKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Password, Self::Totp, Self::Passkey, Self::Recovery];

    /// Its stable name, as policies and entries write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Totp => "totp",
            Self::Passkey => "passkey",
            Self::Recovery => "recovery",
        }
    }
}

/// Something by which a person of the pool proves who they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Factor {
    /// Names it in the portal's addresses and in entries.
    pub id: FactorId,
    /// What the person calls it.
    pub name: String,
    /// What is needed to check it.
    pub data: FactorData,
    /// When it was enrolled.
    pub created: Timestamp,
    /// When it last proved something.
    pub last_used: Option<Timestamp>,
}

impl Factor {
    /// Its kind.
    pub const fn kind(&self) -> FactorKind {
        match self.data {
            FactorData::Password { .. } => FactorKind::Password,
            FactorData::Totp { .. } => FactorKind::Totp,
            FactorData::Passkey { .. } => FactorKind::Passkey,
            FactorData::Recovery { .. } => FactorKind::Recovery,
        }
    }
}

/// What a store keeps to check a factor.
///
/// A store changes `last_step` by compare-and-set only: `advance(factor, from, to)` succeeds once for each step, on
/// all gateways together (RFC 6238 section 5.2). INVARIANT: it never goes back.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum FactorData {
    /// Argon2id.
    Password {
        /// The hash in PHC form, parameters and salt included.
        phc: String,
    },
    /// RFC 6238.
    Totp {
        /// The shared secret, sealed.
        secret: Sealed,
        /// The last time step that was accepted; it and earlier ones are spent.
        last_step: Option<u64>,
    },
    /// WebAuthn.
    Passkey {
        /// The credential id, base64url: unique across the tenant.
        credential_id: String,
        /// The credential as JSON: public key, counter, backup flags.
        credential: serde_json::Value,
        /// The best that it can prove (see [`crate::assurance`]).
        reach: Assurance,
        /// When a copy of it seems to have been used: its counter went back. Its owner is told until it is removed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        copied: Option<Timestamp>,
    },
    /// Recovery codes, as one factor. The codes' hashes lie beside it, each to be spent once.
    Recovery {
        /// The key that they are hashed under, sealed.
        key: Sealed,
    },
}

impl fmt::Debug for FactorData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Password { .. } => f.write_str("Password(***)"),
            Self::Totp { last_step, .. } => write!(f, "Totp(***, last step {last_step:?})"),
            Self::Passkey { credential_id, .. } => write!(f, "Passkey({credential_id})"),
            Self::Recovery { .. } => f.write_str("Recovery(***)"),
        }
    }
}

/// An e-mail address in its one canonical form: lower case, international domains in their ASCII form.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Email(String);

/// Why a text is not an address that a pool takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEmail {
    /// Not exactly one `@` with something on both sides.
    #[error("an address has one `@` between a name and a domain")]
    Shape,
    /// The name holds what it may not: quotes, comments, spaces, letters beyond ASCII.
    #[error("the part before `@` may hold letters, digits and `.!#$&'*+/=?^_{{|}}~-`")]
    Local,
    /// The domain is not a host name with at least two labels.
    #[error("the part after `@` is not a domain")]
    Domain,
    /// Longer than an address can be (RFC 5321 section 4.5.3.1).
    #[error("an address has at most 254 characters, 64 of them before `@`")]
    Long,
}

impl Email {
    /// Reads an address. One form comes out for all that mail systems treat as one; what has two readings is refused,
    /// never repaired.
    pub fn parse(text: &str) -> Result<Self, InvalidEmail> {
        let text = text.trim();
        let (local, domain) = text.split_once('@').ok_or(InvalidEmail::Shape)?;
        if domain.contains('@') || local.is_empty() || domain.is_empty() {
            return Err(InvalidEmail::Shape);
        }
        let local = local.to_ascii_lowercase();
        let atoms = local.split('.').all(|atom| !atom.is_empty() && atom.bytes().all(is_atext));
        if !atoms {
            return Err(InvalidEmail::Local);
        }
        let domain = canonical_domain(domain)?;
        if local.len() > 64 || local.len() + 1 + domain.len() > 254 {
            return Err(InvalidEmail::Long);
        }
        Ok(Self(format!("{local}@{domain}")))
    }

    /// The canonical text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What follows the `@`.
    pub fn domain(&self) -> &str {
        self.0.split_once('@').map_or("", |(_, domain)| domain)
    }
}

/// RFC 5322 section 3.2.3, less the characters that shells, URLs and old gateways read as something else.
fn is_atext(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$&'*+/=?^_{|}~-".contains(&byte)
}

fn canonical_domain(text: &str) -> Result<String, InvalidEmail> {
    // A trailing dot, an escape or an address literal would give one mailbox two names.
    if text.ends_with('.') || text.contains(['%', '[', ':']) {
        return Err(InvalidEmail::Domain);
    }
    let Ok(url::Host::Domain(domain)) = url::Host::parse(text) else { return Err(InvalidEmail::Domain) };
    let labels = domain.split('.').all(|label| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    });
    if labels && domain.contains('.') { Ok(domain) } else { Err(InvalidEmail::Domain) }
}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Email {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Email {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(d)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_mailbox_has_one_form() {
        for text in ["ada@north.example", " Ada@North.Example\n", "ADA@NORTH.EXAMPLE", "ada@ＮＯＲＴＨ.example"] {
            assert_eq!(Email::parse(text).unwrap().as_str(), "ada@north.example", "{text:?}");
        }
        assert_eq!(Email::parse("ada@bücher.example").unwrap().as_str(), "ada@xn--bcher-kva.example");
        assert_eq!(Email::parse("ada+lab@x.example").unwrap().domain(), "x.example");
    }

    /// oauth2-proxy CVE-2026-40574 let `a@evil@company.com` pass a domain check; the rest are its cousins.
    #[test]
    fn an_address_with_two_readings_is_refused() {
        for bad in [
            "",
            "@",
            "ada",
            "ada@",
            "@x.example",
            "a@evil.example@company.example",
            "\"a@evil\"@company.example",
            "ada@company.example.",
            "ada@company..example",
            "ada@.company.example",
            "a..b@x.example",
            ".a@x.example",
            "a.@x.example",
            "a b@x.example",
            "a\u{0}@x.example",
            "a\r\nbcc:x@x.example",
            "a@x.example\0",
            "a@[10.0.0.1]",
            "a@10.0.0.1",
            "a@127.1",
            "a@x%2eexample",
            "a@x_y.example",
            "a@-x.example",
            "a@x",
            "a(c)@x.example",
            "a,b@x.example",
            "<a@x.example>",
            "a@x.example,b@y.example",
            "аda@x.example",
            "a@x.example/y",
            "a@x.example:25",
            "a@x\u{ad}\u{200b}.",
            &format!("{}@x.example", "a".repeat(65)),
            &format!("a@{}example", "x.".repeat(130)),
        ] {
            assert!(Email::parse(bad).is_err(), "{bad:?} was taken for an address");
        }
    }

    #[test]
    fn only_active_people_may_enter() {
        for status in Status::ALL {
            assert_eq!(Status::parse(status.as_str()), Some(status));
        }
        assert_eq!(Status::parse("Active"), None);
    }
}
