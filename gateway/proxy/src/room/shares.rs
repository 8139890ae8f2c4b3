//! Who has how many requests in flight: counted without a lock or an allocation, in a table of fixed size.
//!
//! It is a count-min sketch (Cormode and Muthukrishnan 2005) of two rows. Two holders may fall on the same count, and are then
//! taken for one; they are refused only where that is so in both rows, and where they fall is drawn anew with each start. So few
//! can have a full share at once that the chance of it is one in a million.

use std::{
    hash::{BuildHasher as _, Hash, RandomState},
    net::IpAddr,
    sync::atomic::{AtomicU32, Ordering},
};

use cardea_core::{AppId, SessionId, TenantId, UserId};

/// Counts in a row. Some forty holders can have a full share at once, callers, apps and tenants together: each of the two rows
/// then holds one in sixteen hundred. Only what is used of half a megabyte is ever touched.
const WIDTH: usize = 65_536;

/// Who has a share.
#[derive(Debug, Clone, Copy, Hash)]
pub(crate) enum Holder<'a> {
    /// Nobody who is known, at this address (an IPv6 network as one).
    Client(IpAddr),
    /// Whoever at this address shows something that the store must be asked about.
    Unread(IpAddr),
    /// All of them at a tenant.
    AllUnread(&'a TenantId),
    /// Somebody who is signed in, wherever they are.
    Session(SessionId),
    /// A service with our certificate.
    Workload(&'a str),
    /// A person in whose name programs ask.
    Person(UserId),
    /// A service account.
    Program(&'a TenantId, &'a str),
    /// All who ask an app.
    App(&'a TenantId, &'a AppId),
    /// All who ask a tenant.
    Tenant(&'a TenantId),
}

/// The shares of all.
pub(crate) struct Shares {
    seed: RandomState,
    rows: [Box<[AtomicU32]>; 2],
}

/// One request in a holder's share, until it is dropped.
#[derive(Debug)]
pub(crate) struct Share<'a>([&'a AtomicU32; 2]);

impl Shares {
    /// One more for `holder`, if it has fewer than `most`.
    pub(crate) fn take(&self, holder: Holder<'_>, most: usize) -> Option<Share<'_>> {
        let place = self.seed.hash_one(holder);
        let [one, other] = &self.rows;
        let at = |row: &'_ [AtomicU32], place: u64| usize::try_from(place).unwrap_or_default() % row.len();
        let counts = [&one[at(one, place & u64::from(u32::MAX))], &other[at(other, place >> 32)]];
        // Counted before it is looked at: two that come at once are never both the last.
        let before = counts.map(|count| count.fetch_add(1, Ordering::AcqRel));
        let share = Share(counts);
        before.iter().any(|&before| usize::try_from(before).is_ok_and(|before| before < most)).then_some(share)
    }
}

impl Default for Shares {
    fn default() -> Self {
        let row = || (0..WIDTH).map(|_| AtomicU32::new(0)).collect();
        Self { seed: RandomState::new(), rows: [row(), row()] }
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        for count in self.0 {
            count.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(last: u8) -> Holder<'static> {
        Holder::Client([192, 0, 2, last].into())
    }

    #[test]
    fn a_holder_has_its_share_and_gets_back_what_it_leaves() {
        let shares = Shares::default();
        let (first, second) = (shares.take(client(1), 2), shares.take(client(1), 2));
        assert!(first.is_some() && second.is_some() && shares.take(client(1), 2).is_none());
        assert!(shares.take(client(2), 2).is_some(), "another's share is another's");
        drop(first);
        assert!(shares.take(client(1), 2).is_some());
        assert!(shares.take(client(1), 0).is_none());
        drop(second);
        assert!(shares.rows.iter().flatten().all(|count| count.load(Ordering::SeqCst) == 0), "nothing is left behind");
    }

    #[test]
    fn whoever_meets_a_full_holder_in_one_row_only_is_let_in() {
        let mut shares = Shares::default();
        shares.rows[0] = [AtomicU32::new(0)].into();
        let full: Vec<_> = (0..3).map(|_| shares.take(client(1), 3)).collect();
        assert!(full.iter().all(Option::is_some) && shares.take(client(1), 3).is_none());
        // They share the one count of the first row; in the second they fall on one in 65,536, and not all of five.
        assert!((2..7).any(|other| shares.take(client(other), 3).is_some()));
    }
}
