//! The mark of a browser in which somebody has signed in, so that strangers' guesses at an account do not slow down the
//! browsers of whoever owns it (see `guard`). It opens nothing: it only says under which counter a try falls.
//!
//! No store keeps it. The browser does, sealed, so that nobody makes one without having signed in. A key that was replaced
//! opens what it sealed until it is destroyed; a sign-in until then seals it anew, and the browser stays known.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use cardea_core::{Entropy, TenantId, Timestamp, entropy};
use serde::{Deserialize, Serialize};

use crate::{
    guard::Account,
    sealing::{CannotOpen, Sealed, Sealer},
};

/// A browser, and the accounts to which it has signed in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    id: String,
    known: Vec<Seen>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Seen {
    account: Account,
    at: Timestamp,
}

/// How long a browser is known after a sign-in. Ninety days: longer than a holiday, shorter than a career.
pub const KNOWN_FOR: Duration = Duration::from_secs(90 * 24 * 3600);

/// Accounts that one browser is known to. Eight: the people who share a bench.
const ACCOUNTS: usize = 8;

/// The longest text that is looked at: eight accounts take a third of it.
const LONGEST: usize = 4096;

impl Device {
    /// A browser that is known to nobody yet.
    pub fn new(entropy: &dyn Entropy) -> Self {
        Self { id: URL_SAFE_NO_PAD.encode(entropy::bytes::<16>(entropy)), known: Vec::new() }
    }

    /// Its name in counters.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Whether somebody has signed in to the account here, not too long ago.
    pub fn knows(&self, account: &Account, now: Timestamp) -> bool {
        self.known.iter().any(|seen| seen.account == *account && now.since(seen.at) < KNOWN_FOR)
    }

    /// The same browser, in which somebody has signed in to the account now.
    pub fn remember(mut self, account: Account, now: Timestamp) -> Self {
        self.known.retain(|seen| seen.account != account);
        self.known.insert(0, Seen { account, at: now });
        self.known.truncate(ACCOUNTS);
        self
    }

    /// The text that the browser keeps for the tenant.
    pub fn seal(&self, tenant: &TenantId, sealer: &Sealer, entropy: &dyn Entropy) -> Result<String, CannotOpen> {
        let plain = serde_json::to_vec(self).map_err(|_| CannotOpen)?;
        Ok(sealer.seal(&place(tenant), &plain, entropy)?.as_str().to_owned())
    }

    /// Reads what a browser sent back. What was not sealed by us for this tenant is no device.
    pub fn open(text: &str, tenant: &TenantId, sealer: &Sealer) -> Option<Self> {
        if text.len() > LONGEST {
            return None;
        }
        let plain = sealer.open(&place(tenant), &Sealed::from_stored(text)).ok()?;
        serde_json::from_slice(plain.expose()).ok()
    }
}

fn place(tenant: &TenantId) -> String {
    format!("device/{tenant}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        pool::Email,
        testing::{now, tenant},
    };
    use cardea_core::{Secret, entropy::Fixed};

    fn account(nth: usize) -> Account {
        Account::of(&tenant(), &Email::parse(&format!("p{nth}@north.example")).unwrap())
    }

    #[test]
    fn a_browser_knows_who_signed_in_there_and_forgets_in_time() {
        let device = Device::new(&Fixed::new(1));
        assert!(!device.knows(&account(0), now()));
        let device = device.remember(account(0), now());
        assert!(device.knows(&account(0), now().plus(KNOWN_FOR - Duration::from_secs(1))));
        assert!(!device.knows(&account(0), now().plus(KNOWN_FOR)));
        assert!(!device.knows(&account(1), now()));
        let shared = (1..=ACCOUNTS).fold(device, |device, nth| device.remember(account(nth), now()));
        assert!(!shared.knows(&account(0), now()) && shared.knows(&account(1), now()), "the eldest makes room");
    }

    #[test]
    fn nobody_makes_one_and_it_is_one_tenants() {
        let (sealer, entropy) = (Sealer::new(&Secret::new([3; 32])).unwrap(), Fixed::new(1));
        let device = (0..ACCOUNTS).fold(Device::new(&entropy), |device, nth| device.remember(account(nth), now()));
        let text = device.seal(&tenant(), &sealer, &entropy).unwrap();
        assert_eq!(Device::open(&text, &tenant(), &sealer), Some(device.clone()));
        // RFC 6265 section 4.1.1 names what a cookie's value may hold; browsers keep 4096 bytes.
        assert!(text.len() < LONGEST / 2 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/".contains(&b)));
        let plain = serde_json::to_string(&device).unwrap();
        for forged in [plain.as_str(), "", "null", &text[1..], &"A".repeat(LONGEST + 1)] {
            assert_eq!(Device::open(forged, &tenant(), &sealer), None, "{forged}");
        }
        assert_eq!(Device::open(&text, &TenantId::parse("south").unwrap(), &sealer), None);
        assert_eq!(Device::open(&text, &tenant(), &Sealer::new(&Secret::new([4; 32])).unwrap()), None);
    }

    #[test]
    fn a_key_that_was_replaced_still_tells_the_browser_which_then_has_a_mark_under_the_next() {
        let (old, new, entropy) = (Secret::new([3; 32]), Secret::new([4; 32]), Fixed::new(1));
        let before = Device::new(&entropy).remember(account(0), now());
        let text = before.seal(&tenant(), &Sealer::new(&old).unwrap(), &entropy).unwrap();
        let ring = Sealer::ring([&new, &old]).unwrap();
        let found = Device::open(&text, &tenant(), &ring).unwrap();
        assert_eq!((found.id(), found.knows(&account(0), now())), (before.id(), true));
        let again = found.remember(account(0), now()).seal(&tenant(), &ring, &entropy).unwrap();
        let alone = Sealer::new(&new).unwrap();
        assert_eq!(Device::open(&again, &tenant(), &alone).unwrap().id(), before.id());
        assert_eq!(Device::open(&text, &tenant(), &alone), None, "it was destroyed");
    }
}
