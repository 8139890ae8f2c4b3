//! Slows guessing down. Delays grow with the failures and never lock an account for good; unknown users are counted
//! like known ones.
//!
//! Two things must hold at once: nobody guesses often at one account, from however many networks; and nobody who only
//! guesses keeps its owner out. So a try at what can be guessed falls under one of two sets of counters:
//!
//! ```text
//! a browser that was shown to be the account's owner's:          account + browser ▸ account, all such browsers
//! any other:                  address (any account) ▸ account + network ▸ account, all networks
//! ```
//!
//! A stranger only ever fills the second set. It slows down whoever signs in from a browser that is new to the account,
//! and no other. Each set ends free guessing at fifty: a hundred in all, which is what SP 800-63B-4 section 3.2.2 allows
//! in a row; after that at most one an hour gets through until a success or a quiet day. One-time codes and recovery codes are no
//! exception, though they are asked for after another proof: whoever has stolen that one guesses among the strangers, however
//! often they sign in with it, since a browser becomes the owner's only by two factors, or all that there are (see `device`).
//!
//! Letters with codes are counted in the same way, and more tightly, since each lands in somebody's mailbox: a stranger fills
//! it with so many, and no more, and does not keep its owner from asking for one where they have signed in before.
//!
//! A set is passed from left to right, and a refusal stops there and costs nothing: who is refused by address raises
//! nobody's counter.

use std::{net::IpAddr, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use cardea_core::{TenantId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    device::Device,
    pool::Email,
    token::{TicketHash, sha256},
};

/// What was tried under one key so far.
///
/// Contract of a store: `attempt(key, rule, now)` loads the tries of the key (or [`Tries::default`]), applies
/// [`Tries::admit`] and stores the outcome in one atomic step, before anything is verified, so that parallel guesses
/// count each. `give_back(limit)` applies [`Tries::given_back`] in one atomic step. `forgive(key)` deletes them after a
/// success. They survive restarts; a store may drop them once [`Tries::forgotten`].
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
    /// What it counts.
    pub counts: Counts,
    /// Tries that cost nothing.
    pub free: u32,
    /// The wait after the last free one; it doubles with each further try.
    pub first_wait: Duration,
    /// The longest wait.
    pub longest_wait: Duration,
    /// Quiet time after which the count starts anew.
    pub forget: Duration,
}

/// What a rule counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Counts {
    /// Tries. A store that forgets some lets in nobody: whoever guesses has a few more.
    Tries,
    /// Showings of what counts once. INVARIANT: none is forgotten before its time, whatever a store forgets of tries.
    Showings,
}

/// A key to count under, with its rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    /// The key: what is tried, at which account, from where. Stores keep a keyed mark of it alone.
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

    /// One try less: it proved honest, or went no further. The wait after the last one stays as it would have been.
    pub fn given_back(self) -> Self {
        Self { count: self.count.saturating_sub(1), ..self }
    }

    /// Whether the tries are too old to matter.
    pub fn forgotten(self, rule: &Rule, now: Timestamp) -> bool {
        now.since(self.last) >= rule.forget
    }
}

impl Rule {
    /// Of what counts once, within `life`: the first is admitted, and none after it until that is over. INVARIANT: `life` is the same at each
    /// showing. One that is worked out of the time that is left grows shorter, and would forget at its half what it was to remember.
    pub const fn once(life: Duration) -> Self {
        Self { counts: Counts::Showings, free: 1, first_wait: life, longest_wait: life, forget: life }
    }

    /// Whether it is of what counts once.
    pub const fn is_once(&self) -> bool {
        matches!(self.counts, Counts::Showings)
    }

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
    /// A recovery code.
    Recovery,
    /// A code that was sent by e-mail.
    Email,
    /// A mailbox: a code that is asked to be sent there.
    Letter,
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
            Self::Recovery => "recovery",
            Self::Email => "email",
            Self::Letter => "letter",
            Self::Invitation => "invitation",
        }
    }
}

/// An account as counters know it, whether anybody has it or not: the hash of tenant and canonical e-mail address, so
/// that spelling, path and existence make no difference. Anybody can compute it, so it is kept nowhere but sealed, or
/// within a keyed mark.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Account(String);

impl Account {
    /// The account of that address in the tenant's pool.
    pub fn of(tenant: &TenantId, email: &Email) -> Self {
        Self(URL_SAFE_NO_PAD.encode(sha256(format!("{tenant}\n{email}").as_bytes())))
    }
}

/// The limits that one try must pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The address's, passed first. A success gives its one try back and no more: one good guess of many is no excuse.
    pub address: Option<Limit>,
    /// The account's, in the order in which they are passed. A success forgives them.
    pub account: Vec<Limit>,
}

impl Limits {
    /// All of them, in the order in which they are passed.
    pub fn in_order(&self) -> impl Iterator<Item = &Limit> {
        self.address.iter().chain(&self.account)
    }
}

/// The limits of a try at an account's `target`, from `address` and, where the browser showed one, `device`.
pub fn limits(target: Target, account: &Account, address: IpAddr, device: Option<&Device>, now: Timestamp) -> Limits {
    let limit = |of: &str, rule| Limit { key: format!("tries/{}/account/{}{of}", target.as_str(), account.0), rule };
    let (from_here, in_all) = match target {
        Target::Letter => (LETTERS, LETTERS_IN_ALL),
        _ => (PER_ACCOUNT, PER_ACCOUNT_IN_ALL),
    };
    match device.filter(|device| device.knows(account, now)) {
        Some(device) => Limits {
            address: None,
            account: vec![limit(&format!("/device/{}", device.id()), from_here), limit("/devices", in_all)],
        },
        None => Limits {
            address: Some(by_address(target, address)),
            account: vec![limit(&format!("/network/{}", network(address)), from_here), limit("/networks", in_all)],
        },
    }
}

/// The limit of letters to somebody who holds an invitation link, and of tries at their codes. Its own: whoever has no link
/// cannot fill it, and who is invited has signed in nowhere yet, so that strangers who want letters for that mailbox, and guess
/// at their codes, would keep them from joining.
pub fn by_link(target: Target, link: &TicketHash) -> Limit {
    let rule = if target == Target::Letter { LETTERS } else { PER_ACCOUNT };
    Limit { key: format!("tries/{}/link/{link}", target.as_str()), rule }
}

/// The limit of the client's address alone, for proofs that name no account.
pub fn by_address(target: Target, address: IpAddr) -> Limit {
    Limit { key: format!("tries/{}/address/{}", target.as_str(), network(address)), rule: PER_ADDRESS }
}

/// The network that an address counts as: itself, or the /64 that one IPv6 subscriber has.
pub fn network(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    }
}

/// An account from one place: ten tries, then from 30 seconds up to an hour.
pub const PER_ACCOUNT: Rule = Rule {
    counts: Counts::Tries,
    free: 10,
    first_wait: Duration::from_secs(30),
    longest_wait: Duration::from_secs(3600),
    forget: Duration::from_secs(24 * 3600),
};

/// An account from all places: fifty tries, so that it takes a stranger with several networks to be felt at all; then
/// from a minute up to an hour.
pub const PER_ACCOUNT_IN_ALL: Rule = Rule {
    counts: Counts::Tries,
    free: 50,
    first_wait: Duration::from_secs(60),
    longest_wait: Duration::from_secs(3600),
    forget: Duration::from_secs(24 * 3600),
};

/// Letters to one mailbox that are asked for from one place: five, then from a minute up to an hour. A success forgets them.
pub const LETTERS: Rule = Rule {
    counts: Counts::Tries,
    free: 5,
    first_wait: Duration::from_secs(60),
    longest_wait: Duration::from_secs(3600),
    forget: Duration::from_secs(24 * 3600),
};

/// The same from all places: fifteen, then from two minutes up to an hour. A nuisance in a mailbox, and no flood.
pub const LETTERS_IN_ALL: Rule = Rule {
    counts: Counts::Tries,
    free: 15,
    first_wait: Duration::from_secs(120),
    longest_wait: Duration::from_secs(3600),
    forget: Duration::from_secs(24 * 3600),
};

/// An address: many people may share one, so it may try more often and waits less.
pub const PER_ADDRESS: Rule = Rule {
    counts: Counts::Tries,
    free: 100,
    first_wait: Duration::from_secs(5),
    longest_wait: Duration::from_secs(300),
    forget: Duration::from_secs(3600),
};

#[cfg(test)]
#[path = "guard_tests.rs"]
mod tests;
