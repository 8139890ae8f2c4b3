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
    let account = Limit { key: format!("tries/{}/account/{account}", target.as_str()), rule: PER_ACCOUNT };
    [account, by_address(target, address)]
}

/// The limit of the client's address alone, for proofs that name no account.
pub fn by_address(target: Target, address: IpAddr) -> Limit {
    Limit { key: format!("tries/{}/address/{}", target.as_str(), network(address)), rule: PER_ADDRESS }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{now, tenant};

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    /// AuthQuake (2024): parallel sessions made unlimited guesses. Here a thousand in one second get ten.
    #[test]
    fn guesses_stop_at_the_limit_and_then_trickle() {
        let (mut tries, mut admitted) = (Tries::default(), 0);
        for _ in 0..1000 {
            if let Ok(next) = tries.admit(&PER_ACCOUNT, now()) {
                tries = next;
                admitted += 1;
            }
        }
        assert_eq!(admitted, 10);
        let mut at = now();
        for _ in 0..24 * 3600 {
            at = at.plus(seconds(1));
            if let Ok(next) = tries.admit(&PER_ACCOUNT, at) {
                tries = next;
                admitted += 1;
            }
        }
        assert!(admitted < 45, "{admitted} guesses in a day");
    }

    #[test]
    fn waits_grow_and_nobody_is_locked_out() {
        let waits: Vec<_> = (9..14).map(|count| PER_ACCOUNT.wait_after(count)).collect();
        assert_eq!(waits, [0, 30, 60, 120, 240].map(seconds));
        assert_eq!(PER_ACCOUNT.wait_after(u32::MAX), seconds(3600));
        let tired = Tries { count: 500, last: now() };
        assert!(tired.admit(&PER_ACCOUNT, now().plus(seconds(3600))).is_ok());
        assert_eq!(tired.admit(&PER_ACCOUNT, now().plus(seconds(24 * 3600))).unwrap().count, 1);
    }

    #[test]
    fn a_refused_try_costs_nothing_and_a_clock_set_back_gains_nothing() {
        let tries = Tries { count: 10, last: now() };
        assert_eq!(tries.admit(&PER_ACCOUNT, now().plus(seconds(10))), Err(seconds(20)));
        assert_eq!(tries.admit(&PER_ACCOUNT, now().minus(seconds(3600))), Err(seconds(30)));
    }

    /// Authelia CVE-2025-24806: counters per spelling of the login name.
    #[test]
    fn one_account_has_one_counter_however_it_is_spelt() {
        let address = "192.0.2.1".parse().unwrap();
        let of = |text| limits(Target::Totp, &tenant(), &Email::parse(text).unwrap(), address);
        assert_eq!(of("ada@north.example"), of(" ADA@North.Example "));
        assert_ne!(of("ada@north.example")[0], of("bob@north.example")[0]);
        assert!(!of("ada@north.example")[0].key.contains("ada"));
    }

    #[test]
    fn an_ipv6_subscriber_is_one_address() {
        let of = |text: &str| by_address(Target::Password, text.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:2"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
    }
}
