//! Sessions in memory, by the hash of a handle: bounded, told of every change, and read anew after thirty seconds in
//! case the telling failed.

use std::{
    collections::HashMap,
    sync::{
        Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use cardea_core::{SessionId, TenantId, Timestamp, UserId};
use cardea_identity::HandleHash;
use cardea_proxy::LiveSession;

/// How long memory may answer without the store: what a lost message costs at the worst.
const READ_AGAIN: Duration = Duration::from_secs(30);

/// The cache. One lock, held for a look-up or an insert only: with two cores it costs less than a clever map.
pub(super) struct SessionCache {
    inner: RwLock<Inner>,
    bound: AtomicUsize,
}

#[derive(Default)]
struct Inner {
    held: HashMap<HandleHash, Held>,
    /// Which handles lead to a session or user, so that forgetting one does not walk over all.
    by_session: HashMap<SessionId, Vec<HandleHash>>,
    by_user: HashMap<UserId, Vec<HandleHash>>,
    /// Grows with every forgetting: what was read from the store before it is not put in after it.
    generation: u64,
}

struct Held {
    session: Arc<LiveSession>,
    read_at: Timestamp,
}

impl SessionCache {
    pub(super) fn new(bound: u64) -> Self {
        let cache = Self { inner: RwLock::default(), bound: AtomicUsize::default() };
        cache.resize(bound);
        cache
    }

    /// Makes it larger or smaller. What is too much goes with the next that is put in.
    pub(super) fn resize(&self, bound: u64) {
        self.bound.store(usize::try_from(bound).unwrap_or(usize::MAX), Ordering::Relaxed);
    }

    /// A session that may be used at `now` without asking the store.
    pub(super) fn get(&self, tenant: &TenantId, handle: &HandleHash, now: Timestamp) -> Option<Arc<LiveSession>> {
        let inner = self.read();
        let held = inner.held.get(handle)?;
        (held.is_fresh(now) && held.session.tenant == *tenant && held.session.is_live(now))
            .then(|| Arc::clone(&held.session))
    }

    /// To be asked before the store is, and shown when putting in what it said.
    pub(super) fn generation(&self) -> u64 {
        self.read().generation
    }

    /// Keeps what the store said, unless something was forgotten since it was asked.
    pub(super) fn put(&self, session: &Arc<LiveSession>, now: Timestamp, asked_at: u64) {
        let mut inner = self.write();
        if inner.generation != asked_at {
            return;
        }
        let bound = self.bound.load(Ordering::Relaxed);
        if inner.held.len() >= bound {
            inner.make_room(bound, now);
        }
        inner.insert(Held { session: Arc::clone(session), read_at: now });
    }

    /// Lets go of whatever would be read anew anyhow.
    pub(super) fn sweep(&self, now: Timestamp) {
        self.write().retain(|held| held.is_fresh(now));
    }

    pub(super) fn forget_handle(&self, handle: &HandleHash) {
        let mut inner = self.write();
        inner.generation += 1;
        inner.remove(handle);
    }

    pub(super) fn forget_session(&self, id: SessionId) {
        let mut inner = self.write();
        inner.generation += 1;
        for handle in inner.by_session.get(&id).cloned().unwrap_or_default() {
            inner.remove(&handle);
        }
    }

    pub(super) fn forget_user(&self, id: UserId) {
        let mut inner = self.write();
        inner.generation += 1;
        for handle in inner.by_user.get(&id).cloned().unwrap_or_default() {
            inner.remove(&handle);
        }
    }

    /// Forgets everything, and gives it: to let go of a hundred thousand sessions takes a while.
    pub(super) fn clear(&self) -> impl Send + use<> {
        let mut inner = self.write();
        let generation = inner.generation + 1;
        std::mem::replace(&mut *inner, Inner { generation, ..Inner::default() })
    }

    /// A panic elsewhere leaves the maps whole: each change of them is one call.
    fn read(&self) -> RwLockReadGuard<'_, Inner> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn is_fresh(&self, now: Timestamp) -> bool {
        now.since(self.read_at) < READ_AGAIN
    }
}

impl Inner {
    fn insert(&mut self, held: Held) {
        let (handle, session, user) = (held.session.handle, held.session.id, held.session.user.id);
        for handles in [self.by_session.entry(session).or_default(), self.by_user.entry(user).or_default()] {
            if !handles.contains(&handle) {
                handles.push(handle);
            }
        }
        self.held.insert(handle, held);
    }

    fn remove(&mut self, handle: &HandleHash) {
        let Some(held) = self.held.remove(handle) else { return };
        unlist(&mut self.by_session, &held.session.id, handle);
        unlist(&mut self.by_user, &held.session.user.id, handle);
    }

    fn retain(&mut self, keep: impl Fn(&Held) -> bool) {
        let gone: Vec<_> = self.held.iter().filter(|(_, held)| !keep(held)).map(|(handle, _)| *handle).collect();
        for handle in gone {
            self.remove(&handle);
        }
    }

    /// First what would be read anew anyhow; if that is not enough, an eighth and all that is too much, at random, so that
    /// the next room is not made at the next request.
    fn make_room(&mut self, bound: usize, now: Timestamp) {
        self.retain(|held| held.is_fresh(now));
        if self.held.len() >= bound {
            let some: Vec<_> = self.held.keys().take((bound / 8).max(1) + self.held.len() - bound).copied().collect();
            for handle in some {
                self.remove(&handle);
            }
        }
    }
}

fn unlist<K: std::hash::Hash + Eq>(index: &mut HashMap<K, Vec<HandleHash>>, key: &K, handle: &HandleHash) {
    if let Some(handles) = index.get_mut(key) {
        handles.retain(|one| one != handle);
        if handles.is_empty() {
            index.remove(key);
        }
    }
}
