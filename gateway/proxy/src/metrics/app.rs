//! What is counted of one app. Its counters are found once for each generation; from then on, a request touches no map and
//! no lock.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use cardea_core::{AppId, Reason, TenantId};
use http::Method;

use super::Histogram;
use crate::{SiteRole, Snapshot};

/// Status classes, by their label.
pub(super) const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// Methods by what they may change, as policies group them.
pub(super) const METHODS: [&str; 2] = ["read", "write"];

/// Apps that are told apart, our own four of each tenant among them. Two thousand: with some thirty series each, as many as
/// one gateway should give to a collector.
const MOST: usize = 2_000;

/// What stands for all further ones.
const OTHER: &str = "other";

/// The counters of one app, or of everybody who asked for none.
#[derive(Debug, Default)]
pub(crate) struct Meters {
    pub(super) tenant: String,
    pub(super) app: String,
    /// Requests without a reason, by method and class.
    pub(super) answered: [[AtomicU64; CLASSES.len()]; METHODS.len()],
    /// Those with one, by method, class and reason; made when the first is refused.
    refused: OnceLock<Box<[AtomicU64]>>,
    pub(super) seconds: Histogram,
    pub(super) bytes_in: AtomicU64,
    pub(super) bytes_out: AtomicU64,
}

impl Meters {
    fn of(tenant: &str, app: &str) -> Arc<Self> {
        Arc::new(Self { tenant: tenant.to_owned(), app: app.to_owned(), ..Self::default() })
    }

    /// Counts the end of a request.
    pub(super) fn count(&self, method: &Method, status: u16, reason: Option<Reason>) {
        let reads = [Method::GET, Method::HEAD, Method::OPTIONS].contains(method);
        let (method, class) = (usize::from(!reads), usize::from(status / 100).clamp(1, CLASSES.len()) - 1);
        let Some(reason) = reason else {
            self.answered[method][class].fetch_add(1, Ordering::Relaxed);
            return;
        };
        let refused = self.refused.get_or_init(|| {
            (0..METHODS.len() * CLASSES.len() * Reason::ALL.len()).map(|_| AtomicU64::new(0)).collect()
        });
        if let Some(count) = refused.get((method * CLASSES.len() + class) * Reason::ALL.len() + reason as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Bytes of a request's body on their way to the service.
    pub(crate) fn received(&self, bytes: usize) {
        self.bytes_in.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Bytes of an answer's body on their way to the client.
    pub(crate) fn sent(&self, bytes: usize) {
        self.bytes_out.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Every count of requests that is not nothing: method, class, reason, count.
    pub(super) fn requests(&self) -> impl Iterator<Item = (&'static str, &'static str, &'static str, u64)> {
        let answered = self.answered.iter().zip(METHODS).flat_map(|(row, method)| {
            row.iter().zip(CLASSES).map(move |(count, class)| (method, class, "", count.load(Ordering::Relaxed)))
        });
        let refused = self.refused.get().into_iter().flat_map(|all| {
            all.chunks(Reason::ALL.len()).enumerate().flat_map(|(nth, row)| {
                let (method, class) = (METHODS[nth / CLASSES.len()], CLASSES[nth % CLASSES.len()]);
                let one = move |(count, reason): (&AtomicU64, &Reason)| {
                    (method, class, reason.code(), count.load(Ordering::Relaxed))
                };
                row.iter().zip(Reason::ALL).map(one)
            })
        });
        answered.chain(refused).filter(|(.., count)| *count > 0)
    }
}

/// The counters of all apps.
#[derive(Debug)]
pub(crate) struct Apps {
    known: Mutex<HashMap<(TenantId, AppId), Arc<Meters>>>,
    other: Arc<Meters>,
    /// Of requests that came to no app: refused at the edge, or for a host that is nobody's.
    pub(super) nobody: Meters,
}

impl Default for Apps {
    fn default() -> Self {
        Self { known: Mutex::default(), other: Meters::of(OTHER, OTHER), nobody: Meters::default() }
    }
}

impl Apps {
    /// The counters of an app, which go on where another generation's left off; those of all others if there are too many.
    pub(super) fn of(&self, tenant: &TenantId, app: &AppId) -> Arc<Meters> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (tenant.clone(), app.clone());
        if known.len() >= MOST && !known.contains_key(&key) {
            return Arc::clone(&self.other);
        }
        Arc::clone(known.entry(key).or_insert_with(|| Meters::of(tenant.as_str(), app.as_str())))
    }

    /// Forgets the counters of apps that are no longer there, which makes room for others.
    pub(super) fn retain(&self, snapshot: &Snapshot) {
        let mut there: HashSet<(&TenantId, &AppId)> = HashSet::new();
        for site in snapshot.hosts.values() {
            let own = &site.tenant.own;
            let apps = [&own.sign_in, &own.portal, &own.console, &own.machines, &own.decisions];
            there.extend(apps.map(|app| (&site.tenant.id, &app.spec.id)));
            if let SiteRole::App(app) = &site.role {
                there.insert((&site.tenant.id, &app.spec.id));
            }
        }
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|(tenant, app), _| there.contains(&(tenant, app)));
    }

    /// All of them, in the order of their names.
    pub(super) fn all(&self) -> Vec<Arc<Meters>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> = known.values().cloned().collect();
        drop(known);
        all.sort_by(|a, b| (&a.tenant, &a.app).cmp(&(&b.tenant, &b.app)));
        all.push(Arc::clone(&self.other));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beyond_the_most_all_further_apps_are_counted_as_one() {
        let (apps, tenant) = (Apps::default(), TenantId::parse("acme").unwrap());
        let of = |nth: usize| apps.of(&tenant, &AppId::parse(&format!("app-{nth}")).unwrap());
        for nth in 0..=MOST {
            of(nth).count(&Method::GET, 200, None);
        }
        assert!(Arc::ptr_eq(&of(MOST), &of(MOST + 1)) && !Arc::ptr_eq(&of(0), &of(1)));
        assert_eq!(of(MOST).requests().collect::<Vec<_>>(), [("read", "2xx", "", 1)]);
        assert_eq!(apps.all().len(), MOST + 1);
        apps.retain(&Snapshot::default());
        assert_eq!((apps.all().len(), &*of(MOST).app), (1, &*format!("app-{MOST}")));
    }

    #[test]
    fn every_end_has_one_place() {
        let meters = Meters::default();
        for reason in Reason::ALL {
            meters.count(&Method::POST, reason.status(), Some(*reason));
        }
        let told: Vec<_> = meters.requests().collect();
        assert!(told.iter().all(|(method, .., count)| (*method, *count) == ("write", 1)));
        let reasons: HashSet<_> = told.iter().map(|(_, _, reason, _)| *reason).collect();
        assert_eq!(reasons, Reason::ALL.iter().map(|reason| reason.code()).collect());
        // Not a status at all: it is counted nonetheless.
        meters.count(&Method::GET, 0, None);
        assert!(meters.requests().any(|one| one == ("read", "1xx", "", 1)));
    }
}
