//! How many apps are asked at once. The more somebody has, the more must be free for another: so apps that do not answer keep neither
//! the others of their tenant waiting, nor other tenants.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use cardea_core::{AppId, TenantId};
use tokio::sync::Notify;

use super::Word;

/// At once in all. Thirty-two: a connection each, for seconds at the most.
const ALL: usize = 32;
/// At once of one tenant: a quarter.
const OF_TENANT: usize = ALL / 4;
/// What is kept for tenants that have none: an eighth.
const FOR_OTHERS: usize = ALL / 8;

/// The hands, free and at work.
#[derive(Debug)]
pub(super) struct Hands {
    all: Mutex<All>,
    /// Rung when one is free.
    bell: Arc<Notify>,
}

#[derive(Debug, Default)]
struct All {
    load: Load,
    of: HashMap<TenantId, Tenant>,
}

#[derive(Debug, Default)]
struct Tenant {
    load: Load,
    of: HashMap<AppId, App>,
}

#[derive(Debug, Default)]
struct App {
    load: Load,
    /// Words that failed once and are not over.
    failing: usize,
}

/// How many are at work.
#[derive(Debug, Clone, Copy, Default)]
struct Load {
    all: usize,
    /// Those for apps of which a word had failed.
    slow: usize,
}

impl Load {
    /// INVARIANT: each of these counts is one more while a hand is at work, and one less from then on.
    fn add(&mut self, slow: bool) {
        self.all += 1;
        self.slow += usize::from(slow);
    }

    fn remove(&mut self, slow: bool) {
        self.all -= 1;
        self.slow -= usize::from(slow);
    }
}

/// Whether an app gets another that has so many, of so many of its tenant, where so many are free in all. Its second one only while half
/// of its tenant's and half of all are free.
const fn is_free(of_app: usize, of_tenant: usize, free: usize) -> bool {
    match (of_app, of_tenant) {
        (0, 0) => free > 0,
        (0, _) => of_tenant < OF_TENANT && free > FOR_OTHERS,
        (1, _) => of_tenant < OF_TENANT / 2 && free > ALL / 2,
        _ => false,
    }
}

/// One that is at work, until dropped.
#[derive(Debug)]
pub(super) struct Hand {
    of: Arc<Hands>,
    tenant: TenantId,
    app: AppId,
    slow: bool,
}

/// That a word of an app has failed once and is not over, until dropped.
#[derive(Debug)]
pub(super) struct Failing {
    of: Arc<Hands>,
    tenant: TenantId,
    app: AppId,
}

impl Hands {
    pub(super) fn new(bell: Arc<Notify>) -> Arc<Self> {
        Arc::new(Self { all: Mutex::default(), bell })
    }

    /// One for this word, if one is free for its app. An app of which a word has failed has one at the most, and all such have half: they
    /// may keep whoever asks them for as long as that waits, and others need not wait for that.
    pub(super) fn take(self: &Arc<Self>, Word { tenant, app, .. }: &Word) -> Option<Hand> {
        let mut all = self.all();
        let of_tenant = all.of.get(tenant);
        let (tenants, found) = of_tenant.map_or_else(Default::default, |of| (of.load, of.of.get(app)));
        let (apps, failing) = found.map_or_else(Default::default, |of| (of.load, of.failing));
        let slow = failing > 0;
        let fits_slow = apps.all == 0 && tenants.slow < OF_TENANT / 2 && all.load.slow < ALL / 2;
        if !is_free(apps.all, tenants.all, ALL - all.load.all) || slow && !fits_slow {
            return None;
        }
        all.load.add(slow);
        let of_tenant = all.of.entry(tenant.clone()).or_default();
        of_tenant.load.add(slow);
        of_tenant.of.entry(app.clone()).or_default().load.add(slow);
        Some(Hand { of: Arc::clone(self), tenant: tenant.clone(), app: app.clone(), slow })
    }

    /// Notes that a word has failed.
    pub(super) fn failing(self: &Arc<Self>, Word { tenant, app, .. }: &Word) -> Failing {
        let mut all = self.all();
        all.of.entry(tenant.clone()).or_default().of.entry(app.clone()).or_default().failing += 1;
        Failing { of: Arc::clone(self), tenant: tenant.clone(), app: app.clone() }
    }

    /// Whether none is at work.
    pub(super) fn are_idle(&self) -> bool {
        self.all().load.all == 0
    }

    fn all(&self) -> MutexGuard<'_, All> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl All {
    /// Changes what is known of an app, and forgets those of which there is nothing.
    fn change(&mut self, tenant: &TenantId, app: &AppId, change: impl FnOnce(&mut Load, &mut App)) {
        let Some(of_tenant) = self.of.get_mut(tenant) else { return };
        if let Some(of_app) = of_tenant.of.get_mut(app) {
            change(&mut of_tenant.load, of_app);
        }
        of_tenant.of.retain(|_, of| of.load.all > 0 || of.failing > 0);
        if of_tenant.of.is_empty() {
            self.of.remove(tenant);
        }
    }
}

impl Drop for Hand {
    fn drop(&mut self) {
        let mut all = self.of.all();
        all.load.remove(self.slow);
        all.change(&self.tenant, &self.app, |of_tenant, of_app| {
            of_tenant.remove(self.slow);
            of_app.load.remove(self.slow);
        });
        drop(all);
        self.of.bell.notify_one();
    }
}

impl Drop for Failing {
    fn drop(&mut self) {
        self.of.all().change(&self.tenant, &self.app, |_, of_app| of_app.failing -= 1);
        self.of.bell.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tests::word, *};

    #[test]
    fn no_app_and_no_tenant_has_all_hands() {
        let hands = Hands::new(Arc::default());
        let take = |tenant: &str, app: &str| hands.take(&word(tenant, app));
        let mut held: Vec<_> = std::iter::from_fn(|| take("acme", "dead")).collect();
        assert_eq!(held.len(), 2, "an app has two");
        let many = || (0..40).map(|nth| format!("a{nth}"));
        held.extend(many().map_while(|app| take("acme", &app)));
        assert_eq!(held.len(), OF_TENANT, "a tenant has a quarter");
        let second = take("b", "a0").zip(take("b", "a0"));
        assert!(second.is_some(), "while much is free an app has a second");
        for tenant in ["c", "d", "e"] {
            held.extend(many().map_while(|app| take(tenant, &app)));
        }
        assert_eq!(held.len() + 2, ALL - FOR_OTHERS, "whoever has some leaves some");
        assert!(take("e", "another").is_none() && take("g", "first").is_some(), "to those that have none");
        held.extend(["g", "h", "i", "j"].map(|tenant| take(tenant, "first").unwrap()));
        assert!(take("k", "first").is_none(), "there are no more");
        held.pop();
        let last = take("k", "first");
        assert!(last.is_some() && !hands.are_idle());
        drop((held, second, last));
        assert!(hands.are_idle() && hands.all().of.is_empty() && take("acme", "dead").is_some());
    }

    #[test]
    fn apps_of_which_a_word_failed_have_half() {
        let hands = Hands::new(Arc::default());
        let take = |tenant: &str, app: &str| hands.take(&word(tenant, app));
        let apps: Vec<_> = (0..8).map(|nth| format!("dead{nth}")).collect();
        let tenants = ["acme", "b", "c", "d", "e", "f", "g", "h"];
        let failing: Vec<_> =
            tenants.iter().flat_map(|of| apps.iter().map(|app| hands.failing(&word(of, app)))).collect();
        let one = take("acme", "dead0");
        assert!(one.is_some() && take("acme", "dead0").is_none(), "one for each");
        let held: Vec<_> = apps.iter().filter_map(|app| take("acme", app)).collect();
        assert_eq!(held.len(), OF_TENANT / 2 - 1);
        assert!(take("acme", "well").is_some(), "who is well waits for them");
        let more: Vec<_> = tenants.iter().flat_map(|of| apps.iter().filter_map(|app| take(of, app))).collect();
        assert_eq!(held.len() + more.len() + 1, ALL / 2);
        assert!(tenants.iter().all(|of| take(of, "well").is_some()), "who is well waits for other tenants'");
        drop((failing, one, held, more));
        assert!(hands.are_idle() && hands.all().of.is_empty(), "what was forgotten is kept");
        assert!((take("acme", "dead0"), take("acme", "dead0")).1.is_some(), "and it is as it was before");
    }
}
