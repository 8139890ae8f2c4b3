//! Shared state in this process, for a gateway that is alone. Sessions, handles, one-time values, tries and rates are gone with it:
//! everybody signs in again. What is over is written in the durable store first, as it is with Redis, since the command line ends
//! sessions that it cannot see.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use cardea_core::{SessionId, TenantId, Timestamp, UserId};
use cardea_identity::{
    HandleHash, HandleRecord, Session, TicketHash,
    guard::Limit,
    one_time::{OneTime, Purpose},
    session::End,
};
use tokio::sync::OnceCell;

use super::{
    Forgiven, RateLevel, RateUse, SharedState,
    ended::BEYOND,
    memory_handles::KeptHandle,
    memory_sessions::KeptSession,
    memory_tries::{Counted, Undone},
    names_of_tries, sql_once,
};
use crate::{Grounds, Store, StoreFault};

/// Signals of providers that were taken are noted in the durable store's table: no restart makes one good again.
const ON_DISK: Purpose = Purpose::Signal;

/// Shared state in the memory of one process. Clones share it.
#[derive(Clone)]
pub struct MemoryShared {
    pub(super) store: Store,
    held: Arc<Mutex<HashMap<TenantId, Held>>>,
    bounds: Bounds,
    /// Made once what lay in the durable store's own tables is gone.
    cleared: Arc<OnceCell<()>>,
}

/// How much strangers may cause to be held of one tenant.
#[derive(Clone, Copy)]
pub(super) struct Bounds {
    /// One-time values; beyond, none is taken.
    pub(super) values: usize,
    /// Keys of tries; beyond, those go first that are forgotten first.
    pub(super) tries: usize,
}

impl Default for Bounds {
    /// A hundred thousand sign-ins under way in twenty minutes, some 150 MB, are a flood; so are half a million keys of tries, some
    /// 100 MB, in a day.
    fn default() -> Self {
        Self { values: 100_000, tries: 500_000 }
    }
}

/// What is held of one tenant.
#[derive(Default)]
pub(super) struct Held {
    pub(super) sessions: HashMap<SessionId, KeptSession>,
    /// Which of them are whose.
    pub(super) of_users: HashMap<UserId, BTreeSet<SessionId>>,
    pub(super) handles: HashMap<HandleHash, KeptHandle>,
    pub(super) values: HashMap<(Purpose, TicketHash), OneTime>,
    /// By marks of their keys.
    pub(super) tries: HashMap<String, Counted>,
    /// Each with when it is forgotten.
    pub(super) rates: HashMap<u128, (RateLevel, Timestamp)>,
}

impl MemoryShared {
    /// Nothing yet, beside what `store` keeps.
    pub fn new(store: Store) -> Self {
        Self { store, held: Arc::default(), bounds: Bounds::default(), cleared: Arc::default() }
    }

    /// With other bounds.
    #[cfg(test)]
    pub(super) fn within(self, values: usize, tries: usize) -> Self {
        Self { bounds: Bounds { values, tries }, ..self }
    }

    /// Looks at a tenant's, or changes it, in one step. INVARIANT: nobody waits for anything meanwhile, so that each step is over
    /// before the next begins.
    pub(super) fn of<T>(&self, tenant: &TenantId, step: impl FnOnce(&mut Held) -> T) -> T {
        // Each step leaves what it has not come to as it was: whoever broke off in the middle spoilt nothing.
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        match held.get_mut(tenant) {
            Some(of) => step(of),
            None => step(held.entry(tenant.clone()).or_default()),
        }
    }

    /// Of whom anything is held.
    pub(super) fn tenants(&self) -> Vec<TenantId> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }

    /// Drops a tenant's where nothing is left of it, or where nothing is to be left.
    fn let_go(&self, tenant: &TenantId, whole: bool) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if whole || held.get(tenant).is_some_and(Held::is_empty) {
            held.remove(tenant);
        }
    }
}

impl Held {
    fn is_empty(&self) -> bool {
        let Self { sessions, of_users: _, handles, values, tries, rates } = self;
        sessions.is_empty() && handles.is_empty() && values.is_empty() && tries.is_empty() && rates.is_empty()
    }

    /// Keeps a value in the place of one of the same name. Where there are `most`, what is past its time goes first.
    fn put(&mut self, value: &OneTime, most: usize, now: Timestamp) -> Result<(), StoreFault> {
        let name = (value.purpose, value.hash);
        if self.values.len() >= most && !self.values.contains_key(&name) {
            self.values.retain(|_, kept| kept.expires > now);
            if self.values.len() >= most {
                return Err(StoreFault::Full { what: "one-time values" });
            }
        }
        self.values.insert(name, value.clone());
        Ok(())
    }

    /// Drops what came to its end by then.
    fn drop_ended(&mut self, by: Timestamp) {
        self.drop_sessions(by);
        self.handles.retain(|_, kept| kept.expires > by);
        self.values.retain(|_, kept| kept.expires > by);
        self.tries.retain(|_, kept| kept.forget > by);
        self.rates.retain(|_, (_, forget)| *forget > by);
    }
}

#[async_trait]
impl SharedState for MemoryShared {
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
        self.learn_ends(tenant, Some(user), now).await?;
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
        self.learn_ends(tenant, None, now).await?;
        Ok(self.of(tenant, |held| held.open(None, now).count() as u64))
    }

    async fn put(&self, value: &OneTime, now: Timestamp) -> Result<(), StoreFault> {
        if value.purpose == ON_DISK {
            return sql_once::put(&self.store, value).await;
        }
        self.keyed(&value.tenant).await?;
        self.of(&value.tenant, |held| held.put(value, self.bounds.values, now))
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
        let Some(value) = self.of(tenant, |held| held.values.get(&(purpose, *hash)).cloned()) else { return Ok(None) };
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
        let value = self.of(tenant, |held| held.values.remove(&(purpose, *hash)));
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
        let refused = self.of(tenant, |held| {
            held.make_room(self.bounds.tries);
            held.attempt(&named, now)
        });
        match refused {
            None => self.spend(tenant, &named, now).await,
            Some(wait) => Ok(Some(wait)),
        }
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
        for tenant in self.tenants() {
            // INVARIANT: what is held of a tenant goes with its key.
            let gone = !self.store.has_key(Some(&tenant)).await?;
            self.of(&tenant, |held| held.drop_ended(now.minus(BEYOND)));
            self.let_go(&tenant, gone);
        }
        // Who has left the tables for this one comes back to empty ones, not to sessions that have ended since.
        self.cleared.get_or_try_init(|| self.store.clear_shared(ON_DISK)).await?;
        self.store.sweep_ended(now).await
    }

    async fn hear(&self) {
        self.store.hear().await;
    }

    async fn ping(&self) -> Result<(), StoreFault> {
        self.store.ping().await
    }
}
