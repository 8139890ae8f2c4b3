//! Shared state in this process, for a gateway that is alone. Sessions, handles, one-time values, tries and rates are gone with it:
//! everybody signs in again. What is over is written in the durable store first, as it is with Redis, since the command line ends
//! sessions that it cannot see.

use std::{
    collections::{BTreeSet, HashMap},
    mem,
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use async_trait::async_trait;
use cardea_core::{SessionId, TenantId, Timestamp, UserId};
use cardea_identity::{
    HandleHash, HandleRecord, Session, TicketHash,
    guard::{Limit, Tries},
    one_time::{OneTime, Purpose},
    session::End,
};

use super::{
    Forgiven, RateLevel, RateUse, SharedState, ended::BEYOND, memory_handles::KeptHandle, memory_sessions::KeptSession,
    memory_timed::Timed, memory_tries::Undone, memory_values::Values, names_of_tries, sql_once,
};
use crate::{Grounds, Store, StoreFault};

/// Signals of providers that were taken are noted in the durable store's table: no restart makes one good again.
const ON_DISK: Purpose = Purpose::Signal;

/// Shared state in the memory of one process. Clones share it.
#[derive(Clone)]
pub struct MemoryShared {
    pub(super) store: Store,
    held: Arc<RwLock<HashMap<TenantId, Arc<Mutex<Held>>>>>,
    pub(super) bounds: Bounds,
    /// The last announced change whose ends are known here.
    pub(super) heard: Arc<tokio::sync::Mutex<i64>>,
}

/// How much strangers may cause to be held of one tenant.
#[derive(Clone, Copy)]
pub(super) struct Bounds {
    /// One-time values that anybody causes, and as many of all others; beyond, none is taken.
    pub(super) values: usize,
    /// Keys of tries; beyond, those go first that are forgotten first.
    pub(super) tries: usize,
}

impl Default for Bounds {
    /// A hundred thousand sign-ins under way in ten minutes, some 150 MB, are a flood; so are half a million keys of tries, some
    /// 100 MB, in a day.
    fn default() -> Self {
        Self { values: 100_000, tries: 500_000 }
    }
}

/// What is held of one tenant.
#[derive(Default)]
pub(super) struct Held {
    pub(super) sessions: Timed<SessionId, KeptSession>,
    /// Those of them that have not ended, by when they reach their greatest age.
    pub(super) open: BTreeSet<(Timestamp, SessionId)>,
    /// Which of them are whose.
    pub(super) of_users: HashMap<UserId, BTreeSet<SessionId>>,
    pub(super) handles: Timed<HandleHash, KeptHandle>,
    pub(super) values: Values,
    /// By marks of their keys, until they are forgotten.
    pub(super) tries: Timed<Arc<str>, Tries>,
    pub(super) rates: Timed<u128, RateLevel>,
}

impl MemoryShared {
    /// Nothing yet, beside what `store` keeps.
    pub fn new(store: Store) -> Self {
        Self { store, held: Arc::default(), bounds: Bounds::default(), heard: Arc::default() }
    }

    /// With other bounds.
    #[cfg(test)]
    pub(super) fn within(self, values: usize, tries: usize) -> Self {
        Self { bounds: Bounds { values, tries }, ..self }
    }

    /// Looks at a tenant's, or changes it, in one step. INVARIANT: nobody waits for anything meanwhile, so that each step is over
    /// before the tenant's next begins. Other tenants' go on beside it.
    pub(super) fn of<T>(&self, tenant: &TenantId, step: impl FnOnce(&mut Held) -> T) -> T {
        let own = self.held_of(tenant);
        // Each step leaves what it has not come to as it was: whoever broke off in the middle spoilt nothing.
        let mut held = own.lock().unwrap_or_else(PoisonError::into_inner);
        step(&mut held)
    }

    /// INVARIANT: given out under the lock of all alone: where nobody else has it then, nobody can change it.
    fn held_of(&self, tenant: &TenantId) -> Arc<Mutex<Held>> {
        if let Some(own) = self.held.read().unwrap_or_else(PoisonError::into_inner).get(tenant) {
            return Arc::clone(own);
        }
        Arc::clone(self.held.write().unwrap_or_else(PoisonError::into_inner).entry(tenant.clone()).or_default())
    }

    /// Of whom anything is held.
    pub(super) fn tenants(&self) -> Vec<TenantId> {
        self.held.read().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }

    /// Forgets a tenant of whom nothing is left, if nobody is about to change that.
    fn let_go(&self, tenant: &TenantId) {
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        let alone = held.get(tenant).filter(|own| Arc::strong_count(own) == 1);
        if alone.is_some_and(|own| own.lock().unwrap_or_else(PoisonError::into_inner).is_empty()) {
            held.remove(tenant);
        }
    }

    /// Drops what is past its time of a tenant, and all of one whose key is destroyed. Where it cannot be told whether it is, the one is
    /// done all the same.
    async fn sweep_of(&self, tenant: &TenantId, by: Timestamp) -> Result<(), StoreFault> {
        let key = self.store.has_key(Some(tenant)).await;
        if matches!(key, Ok(false)) {
            // INVARIANT: what is held of a tenant goes with its key.
            drop(self.of(tenant, mem::take));
        }
        while self.of(tenant, |held| held.drop_some(by)) {
            tokio::task::yield_now().await;
        }
        self.let_go(tenant);
        key.map(|_| ())
    }
}

/// How many of each kind are dropped in one step: nobody waits for more than some tenth of a millisecond.
const AT_ONCE: usize = 200;

impl Held {
    fn is_empty(&self) -> bool {
        let Self { sessions, open: _, of_users: _, handles, values, tries, rates } = self;
        sessions.is_empty() && handles.is_empty() && values.is_empty() && tries.is_empty() && rates.is_empty()
    }

    /// Drops some of what came to its end by then; tells whether there may be more.
    fn drop_some(&mut self, by: Timestamp) -> bool {
        (0..AT_ONCE).all(|_| {
            self.drop_session(by)
                | self.handles.pop_over(by).is_some()
                | self.values.drop_one(by)
                | self.tries.pop_over(by).is_some()
                | self.rates.pop_over(by).is_some()
        })
    }
}

#[async_trait]
impl SharedState for MemoryShared {
    async fn take_up(&self, now: Timestamp) -> Result<(), StoreFault> {
        *self.heard.lock().await = self.store.last_change().await?;
        // First: what was shown before would count again if we crash after the next.
        sql_once::all_spent(&self.store, now).await?;
        // Who has left the tables for this one comes back to empty ones, not to sessions that have ended since.
        self.store.clear_shared(ON_DISK).await
    }

    async fn session_insert(&self, session: &Session) -> Result<(), StoreFault> {
        self.keyed(&session.tenant).await?;
        self.of(&session.tenant, |held| held.keep_session(session));
        Ok(())
    }

    async fn handle_insert(&self, handle: &HandleRecord, session: &Session) -> Result<(), StoreFault> {
        self.keyed(&handle.tenant).await?;
        self.of(&handle.tenant, |held| held.keep_handle(handle, session));
        Ok(())
    }

    async fn session_open(
        &self,
        (session, handle): (&Session, &HandleRecord),
        forgiven: &Forgiven,
        now: Timestamp,
    ) -> Result<Grounds, StoreFault> {
        let undone = Undone::of(&self.store.sealer(Some(&session.tenant)).await?, forgiven);
        self.of(&session.tenant, |held| {
            held.undo(&undone);
            held.keep_session(session);
            held.keep_handle(handle, session);
        });
        self.store.entered(&session.tenant, session.user, &session.proofs, now).await
    }

    async fn session_by_handle(
        &self,
        tenant: &TenantId,
        hash: &HandleHash,
    ) -> Result<Option<(HandleRecord, Session)>, StoreFault> {
        self.opened(tenant, hash).await
    }

    async fn session(&self, tenant: &TenantId, id: SessionId) -> Result<Option<Session>, StoreFault> {
        self.as_it_is(tenant, id).await
    }

    async fn handle_offer(
        &self,
        before: &HandleRecord,
        next: &HandleRecord,
        session: &Session,
    ) -> Result<bool, StoreFault> {
        Ok(self.of(&before.tenant, |held| held.offer(before, next, session)))
    }

    async fn handle_shown(&self, handle: &HandleRecord, at: Timestamp) -> Result<bool, StoreFault> {
        self.shown(handle, at).await
    }

    async fn session_touch(&self, tenant: &TenantId, id: SessionId, at: Timestamp) -> Result<(), StoreFault> {
        self.of(tenant, |held| held.touch(id, at));
        Ok(())
    }

    async fn session_end(&self, tenant: &TenantId, id: SessionId, end: End) -> Result<bool, StoreFault> {
        self.end(tenant, id, end).await
    }

    async fn session_replace(&self, old: SessionId, end: End, next: &Session) -> Result<bool, StoreFault> {
        self.replace(old, end, next).await
    }

    async fn sessions_of_user(
        &self,
        tenant: &TenantId,
        user: UserId,
        now: Timestamp,
    ) -> Result<Vec<Session>, StoreFault> {
        self.learn_ends_of(tenant, user, now).await?;
        Ok(self.of(tenant, |held| held.open_of(user, now)))
    }

    async fn end_all_of_user(
        &self,
        tenant: &TenantId,
        user: UserId,
        except: Option<SessionId>,
        end: End,
    ) -> Result<Vec<SessionId>, StoreFault> {
        self.end_all(tenant, user, except, end).await
    }

    async fn session_count(&self, tenant: &TenantId, now: Timestamp) -> Result<u64, StoreFault> {
        self.learn_announced().await?;
        Ok(self.of(tenant, |held| held.count_open(now)))
    }

    async fn put(&self, value: &OneTime, now: Timestamp) -> Result<(), StoreFault> {
        if value.purpose == ON_DISK {
            return sql_once::put(&self.store, value).await;
        }
        self.keyed(&value.tenant).await?;
        self.of(&value.tenant, |held| held.values.put(value, self.bounds.values, now))
    }

    async fn peek(
        &self,
        tenant: &TenantId,
        purpose: Purpose,
        hash: &TicketHash,
        now: Timestamp,
    ) -> Result<Option<OneTime>, StoreFault> {
        if purpose == ON_DISK {
            return sql_once::peek(&self.store, tenant, purpose, hash, now).await;
        }
        let Some(value) = self.of(tenant, |held| held.values.peek(purpose, hash)) else { return Ok(None) };
        // Whoever opens it then knows the key.
        self.store.sealer_with(Some(tenant), value.body.key_id()).await?;
        Ok(Some(value).filter(|value| value.expires > now))
    }

    async fn take(
        &self,
        tenant: &TenantId,
        purpose: Purpose,
        hash: &TicketHash,
        now: Timestamp,
    ) -> Result<Option<OneTime>, StoreFault> {
        if purpose == ON_DISK {
            return sql_once::take(&self.store, tenant, purpose, hash, now).await;
        }
        let value = self.of(tenant, |held| held.values.take(purpose, hash));
        match value.filter(|value| value.expires > now) {
            Some(value) => self.store.taken(value, now).await,
            None => Ok(None),
        }
    }

    async fn attempt(&self, tenant: &TenantId, limit: &Limit, now: Timestamp) -> Result<Option<Duration>, StoreFault> {
        self.attempt_each(tenant, &[limit], now).await
    }

    async fn attempt_each(
        &self,
        tenant: &TenantId,
        limits: &[&Limit],
        now: Timestamp,
    ) -> Result<Option<Duration>, StoreFault> {
        let sealer = self.store.sealer(Some(tenant)).await?;
        let named: Vec<_> = limits.iter().map(|limit| (*limit, names_of_tries(&sealer, &limit.key))).collect();
        self.count(tenant, &named, now).await
    }

    async fn give_back(&self, tenant: &TenantId, limit: &Limit, _: Timestamp) -> Result<(), StoreFault> {
        self.undo(tenant, &Forgiven { keys: Vec::new(), back: vec![limit.clone()] }).await
    }

    async fn forgive(&self, tenant: &TenantId, key: &str) -> Result<(), StoreFault> {
        self.undo(tenant, &Forgiven { keys: vec![key.to_owned()], back: Vec::new() }).await
    }

    async fn forgive_each(&self, tenant: &TenantId, forgiven: &Forgiven, _: Timestamp) -> Result<(), StoreFault> {
        self.undo(tenant, forgiven).await
    }

    async fn rates_used(&self, uses: &[RateUse], now: Timestamp) -> Result<Vec<RateLevel>, StoreFault> {
        Ok(uses.iter().map(|one| self.of(&one.tenant, |held| held.add(one, now))).collect())
    }

    async fn sweep(&self, now: Timestamp) -> Result<(), StoreFault> {
        let mut done = Vec::new();
        for tenant in self.tenants() {
            let swept = self.sweep_of(&tenant, now.minus(BEYOND)).await;
            done.push(
                swept.inspect_err(|error| tracing::warn!(%tenant, %error, "whether a tenant has a key is unknown")),
            );
        }
        done.push(self.learn_announced().await);
        done.push(self.store.sweep_ended(now).await);
        // Nothing waits for what failed; it is told all the same.
        done.into_iter().collect()
    }

    async fn hear(&self) {
        self.store.hear().await;
    }

    async fn ping(&self) -> Result<(), StoreFault> {
        self.store.ping().await
    }
}
