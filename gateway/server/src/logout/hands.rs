//! How many words are brought at once: so few of one app that whoever does not answer keeps no other app waiting, and so few of one
//! tenant that it keeps no other tenant waiting.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use cardea_core::{AppId, TenantId};
use tokio::sync::Notify;

use super::Word;

/// At once to all. Thirty-two: a connection each, for seconds at the most.
const ALL: usize = 32;
/// At once to the apps of one tenant: a quarter.
const OF_TENANT: usize = 8;
/// At once to one app. Two: where four of a tenant do not answer, its fifth waits until one of them is given up, some twenty seconds.
const OF_APP: usize = 2;

/// The hands, free and at work.
pub(super) struct Hands {
    busy: Mutex<HashMap<TenantId, HashMap<AppId, usize>>>,
    /// Rung when one is free.
    bell: Arc<Notify>,
}

/// One that is at work, until dropped.
pub(super) struct Hand {
    of: Arc<Hands>,
    tenant: TenantId,
    app: AppId,
}

impl Hands {
    pub(super) fn new(bell: Arc<Notify>) -> Arc<Self> {
        Arc::new(Self { busy: Mutex::default(), bell })
    }

    /// One for this word, if one is free for its app.
    pub(super) fn take(self: &Arc<Self>, word: &Word) -> Option<Hand> {
        let Word { tenant, app, .. } = word;
        let mut busy = self.busy();
        let all: usize = busy.values().flat_map(HashMap::values).sum();
        let (of_tenant, of_app) =
            busy.get(tenant).map_or((0, 0), |apps| (apps.values().sum(), apps.get(app).copied().unwrap_or_default()));
        if all >= ALL || of_tenant >= OF_TENANT || of_app >= OF_APP {
            return None;
        }
        *busy.entry(tenant.clone()).or_default().entry(app.clone()).or_default() += 1;
        Some(Hand { of: Arc::clone(self), tenant: tenant.clone(), app: app.clone() })
    }

    /// Whether none is at work.
    pub(super) fn are_idle(&self) -> bool {
        self.busy().is_empty()
    }

    fn busy(&self) -> MutexGuard<'_, HashMap<TenantId, HashMap<AppId, usize>>> {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Hand {
    fn drop(&mut self) {
        let mut busy = self.of.busy();
        if let Some(apps) = busy.get_mut(&self.tenant) {
            if let Some(at_work) = apps.get_mut(&self.app) {
                *at_work -= 1;
            }
            apps.retain(|_, at_work| *at_work > 0);
            if apps.is_empty() {
                busy.remove(&self.tenant);
            }
        }
        drop(busy);
        self.of.bell.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use cardea_audit::Subject;
    use cardea_core::{SessionId, Timestamp, UserId, entropy::Fixed};

    use super::*;

    fn word(tenant: &str, app: &str) -> Word {
        let at = Timestamp::from_micros(0);
        Word {
            tenant: TenantId::parse(tenant).unwrap(),
            app: AppId::parse(app).unwrap(),
            user: Subject { id: UserId::mint(at, &Fixed::new(1)), email: String::new() },
            session: SessionId::mint(at, &Fixed::new(2)),
            since: at,
        }
    }

    #[test]
    fn no_app_and_no_tenant_has_all_hands() {
        let hands = Hands::new(Arc::default());
        let take = |tenant: &str, app: &str| hands.take(&word(tenant, app));
        let mut held = vec![take("acme", "dead").unwrap(), take("acme", "dead").unwrap()];
        assert!(take("acme", "dead").is_none(), "an app has two");
        held.extend((0..6).map(|nth| take("acme", &format!("a{nth}")).unwrap()));
        assert!(take("acme", "another").is_none(), "a tenant has a quarter");
        for tenant in ["b", "c", "d"] {
            held.extend((0..8).map(|nth| take(tenant, &format!("a{nth}")).unwrap()));
        }
        assert!(take("e", "first").is_none(), "there are no more");
        held.pop();
        let last = take("e", "first");
        assert!(last.is_some() && !hands.are_idle());
        drop((held, last));
        assert!(hands.are_idle() && take("acme", "dead").is_some());
    }
}
