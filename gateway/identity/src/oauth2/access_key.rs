//! Personal access keys: what a person gives to a tool that can do no more than send a header. Good for less than the person:
//! for named apps and a named scope, until a day that is set, and never for more than one factor.

use std::{collections::BTreeSet, time::Duration};

use cardea_core::{AccessKeyId, AppId, Entropy, TenantId, Timestamp, UserId};
use serde::{Deserialize, Serialize};

use super::Scope;
use crate::token::bearer;

bearer!(
    /// The secret part of a key.
    AccessKeySecret,
    /// What stores know a key by.
    AccessKeyHash
);

/// What every key begins with, so that scanners for leaked secrets find it.
pub const PREFIX: &str = "cardea_key_";

/// The longest that a key may last.
pub const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

/// The most keys of one person.
pub const MOST: usize = 50;

/// How old the time of the last use may get before it is written anew. A minute: a write for each request would cost more than it tells.
pub const LAST_USE: Duration = Duration::from_secs(60);

/// A key as stores keep it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessKey {
    /// Its name in entries and addresses.
    pub id: AccessKeyId,
    /// The tenant.
    pub tenant: TenantId,
    /// Whose it is.
    pub user: UserId,
    /// What its secret is known by.
    pub hash: AccessKeyHash,
    /// What the person calls it.
    pub name: String,
    /// What it is good for.
    pub scope: Scope,
    /// The apps that it is for.
    pub apps: BTreeSet<AppId>,
    /// When it was made.
    pub created: Timestamp,
    /// From when it is good for nothing.
    pub expires: Timestamp,
    /// When it was last used, to the minute.
    pub last_used: Option<Timestamp>,
}

impl AccessKeySecret {
    /// Draws a new key's secret, and the text that the person is shown once.
    pub fn issue(entropy: &dyn Entropy) -> (AccessKeyHash, String) {
        let secret = Self::draw(entropy);
        (secret.hash(), format!("{PREFIX}{}", secret.expose_text()))
    }

    /// Reads what a tool showed; `None` for what does not even look like a key.
    pub fn shown(text: &str) -> Option<Result<AccessKeyHash, crate::token::InvalidToken>> {
        let rest = text.strip_prefix(PREFIX)?;
        Some(Self::parse(rest).map(|secret| secret.hash()))
    }
}

impl AccessKey {
    /// Whether it may be used at `now`.
    pub fn is_good(&self, now: Timestamp) -> bool {
        now < self.expires
    }

    /// Whether the time of its last use is to be written anew.
    pub fn needs_touch(&self, now: Timestamp) -> bool {
        self.last_used.is_none_or(|at| now.since(at) >= LAST_USE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cardea_core::entropy::Fixed;

    #[test]
    fn a_key_is_found_by_its_text_and_by_nothing_like_it() {
        let (hash, text) = AccessKeySecret::issue(&Fixed::new(1));
        assert!(text.starts_with("cardea_key_") && text.len() == 11 + 43);
        assert_eq!(AccessKeySecret::shown(&text).unwrap().unwrap(), hash);
        assert!(AccessKeySecret::shown(&text[1..]).is_none());
        assert!(AccessKeySecret::shown(&text[..50]).unwrap().is_err());
        assert!(AccessKeySecret::shown(&format!("{text}x")).unwrap().is_err());
    }
}
