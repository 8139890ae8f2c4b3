//! Slows guessing down. Delays grow with the failures and never lock an account for good, so that a stranger cannot
//! lock a person out; unknown users are counted like known ones.

use std::{net::IpAddr, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use cardea_core::{TenantId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{pool::Email, token::sha256};

/// What was tried under one key so far.
///
/// Contract of a store: `attempt(key, rule, now)` loads the tries of the key (or [`Tries::default`]), applies
/// [`Tries::admit`] and stores the outcome in one atomic step, before anything is verified, so that parallel guesses
/// count each. `forgive(key)` deletes them after a success. They survive restarts; a store may drop them once
/// [`Tries::forgotten`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tries {
    /// Tries since the last success.
    pub count: u32,
    /// When the last one was admitted.
    pub last: Timestamp,
}

/// How tries under a key are slowed down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// Tries that cost nothing.
    pub free: u32,
    /// The wait after the last free one; it doubles with each further try.
    pub first_wait: Duration,
    /// The longest wait.
    pub longest_wait: Duration,
    /// Quiet time after which the count starts anew.
    pub forget: Duration,
}

/// A key to count under, with its rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    /// The key; holds no personal data in the clear.
    pub key: String,
    /// Its rule.
    pub rule: Rule,
}

impl Tries {
    /// Admits one more try, or says how long to wait. A refused try does not count: else a stranger who keeps asking
    /// would keep the owner out.
    pub fn admit(self, rule: &Rule, now: Timestamp) -> Result<Self, Duration> {
        let tries = if self.forgotten(rule, now) { Self::default() } else { self };
        let wait = rule.wait_after(tries.count);
        let waited = now.since(tries.last);
        if tries.count > 0 && waited < wait {
            return Err(wait - waited);
        }
        // A clock that stepped back must not shorten the wait.
        Ok(Self { count: tries.count.saturating_add(1), last: now.max(tries.last) })
    }

    /// Whether the tries are too old to matter.
    pub fn forgotten(self, rule: &Rule, now: Timestamp) -> bool {
        now.since(self.last) >= rule.forget
    }
}

impl Rule {
    /// The wait that `count` tries call for before the next.
    pub fn wait_after(&self, count: u32) -> Duration {
        let Some(over) = count.checked_sub(self.free) else { return Duration::ZERO };
        self.first_wait.saturating_mul(1_u32.checked_shl(over).unwrap_or(u32::MAX)).min(self.longest_wait)
    }
}

/// What a try is aimed at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// A password.
    Password,
    /// A one-time code.
    Totp,
    /// A passkey.
    Passkey,
    /// An invitation link.
    Invitation,
}

impl Target {
    /// Its stable name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Totp => "totp",
            Self::Passkey => "passkey",
            Self::Invitation => "invitation",
        }
    }
}

/// The limits that one try must pass, narrowest first: the account's and the address's. The account is named by its
/// canonical e-mail address, known or not, so that spelling, path and existence make no difference; hashed, so that
/// the counters hold no personal data.
pub fn limits(target: Target, tenant: &TenantId, email: &Email, address: IpAddr) -> [Limit; 2] {
    let account = URL_SAFE_NO_PAD.encode(sha256(format!("{tenant}\n{email}").as_bytes()));
    [
        Limit { key: format!("tries/{}/account/{account}", target.as_str()), rule: PER_ACCOUNT },
        Limit { key: format!("tries/{}/address/{}", target.as_str(), network(address)), rule: PER_ADDRESS },
    ]
}

/// The network that an address counts as: itself, or the /64 that one IPv6 subscriber has.
fn network(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    }
}

/// An account: ten tries, then from 30 seconds up to an hour (SP 800-63B-4 section 3.2.2 allows 100 in all).
pub const PER_ACCOUNT: Rule = Rule {
    free: 10,
    first_wait: Duration::from_secs(30),
    longest_wait: Duration::from_secs(3600),
    forget: Duration::from_secs(24 * 3600),
};

/// An address: many people may share one, so it may try more often and waits less.
pub const PER_ADDRESS: Rule = Rule {
    free: 100,
    first_wait: Duration::from_secs(5),
    longest_wait: Duration::from_secs(300),
    forget: Duration::from_secs(3600),
};
