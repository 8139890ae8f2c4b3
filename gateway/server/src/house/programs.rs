//! Tokens of programs as the data plane asks for them: verified once, kept for thirty seconds at the most, and forgotten with
//! whatever they rest on. Whatever cannot be read is a fault, never "nobody".

use std::{
    collections::{BTreeSet, HashMap},
    sync::{
        Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use cardea_audit::event::Program;
use cardea_core::{AppId, Assurance, Caller, ClientId, GrantId, TenantId, Timestamp, TokenId, UserId};
use cardea_identity::{
    User,
    assurance::Means,
    oauth2::{
        Scope,
        access_key::{AccessKey, AccessKeySecret},
        access_token::{self, AccessToken, Confirmation},
    },
};
use cardea_proxy::{
    LiveToken, StoreFault, Tokens,
    live_token::{Ended, Judged, Said, Shown},
};
use cardea_storage::StoreFault as Fault;
use futures_util::future::BoxFuture;

use super::House;
use crate::{fingerprint, state::TenantState};

/// How long memory may answer without the store: what a lost message costs at the worst.
const READ_AGAIN: Duration = Duration::from_secs(30);

/// Verified tokens, by the hash of their text.
pub(super) struct TokenCache {
    inner: RwLock<Inner>,
    bound: AtomicUsize,
}

#[derive(Default)]
struct Inner {
    held: HashMap<[u8; 32], Held>,
    /// Grows with every forgetting: what was read from the store before it is not put in after it.
    generation: u64,
}

struct Held {
    token: Arc<LiveToken>,
    /// The tenant as it stood: another one may know the client otherwise.
    under: Arc<TenantState>,
    read_at: Timestamp,
}

impl TokenCache {
    pub(super) fn new(bound: u64) -> Self {
        Self { inner: RwLock::default(), bound: AtomicUsize::new(usize::try_from(bound).unwrap_or(usize::MAX)) }
    }

    pub(super) fn resize(&self, bound: u64) {
        self.bound.store(usize::try_from(bound).unwrap_or(usize::MAX), Ordering::Relaxed);
    }

    fn get(&self, hash: &[u8; 32], under: &Arc<TenantState>, now: Timestamp) -> Option<Arc<LiveToken>> {
        let inner = self.read();
        let held = inner.held.get(hash)?;
        let good = held.is_fresh(now) && Arc::ptr_eq(&held.under, under) && held.token.is_live(now);
        good.then(|| Arc::clone(&held.token))
    }

    fn generation(&self) -> u64 {
        self.read().generation
    }

    fn put(&self, hash: [u8; 32], held: Held, asked_at: u64) {
        let (bound, now) = (self.bound.load(Ordering::Relaxed), held.read_at);
        let mut inner = self.write();
        if inner.generation != asked_at {
            return;
        }
        if inner.held.len() >= bound {
            inner.held.retain(|_, one| one.is_fresh(now) && one.token.is_live(now));
        }
        if inner.held.len() >= bound {
            // A crowd of tokens: each is verified again when it comes next.
            inner.held.clear();
        }
        inner.held.insert(hash, held);
    }

    pub(super) fn forget(&self, end: Ended) {
        let mut inner = self.write();
        inner.generation += 1;
        inner.held.retain(|_, held| !held.token.is_of(end));
    }

    pub(super) fn clear(&self) {
        let mut inner = self.write();
        inner.generation += 1;
        inner.held.clear();
    }

    pub(super) fn sweep(&self, now: Timestamp) {
        self.write().held.retain(|_, held| held.is_fresh(now));
    }

    /// A panic elsewhere leaves the map whole: each change of it is one call.
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

impl Tokens for House {
    fn known(&self, tenant: &TenantId, shown: Shown<'_>, now: Timestamp) -> Option<Arc<LiveToken>> {
        self.tokens.get(&hash(tenant, shown.text), &self.tenant(tenant)?, now)
    }

    fn judge<'a>(
        &'a self,
        tenant: &'a TenantId,
        shown: Shown<'a>,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Judged, StoreFault>> {
        Box::pin(async move { self.judge_token(tenant, shown.text, now).await.map_err(fault) })
    }

    fn current<'a>(
        &'a self,
        token: &'a Arc<LiveToken>,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Option<Arc<LiveToken>>, StoreFault>> {
        Box::pin(async move { self.current_token(token, now).await.map_err(fault) })
    }
}

/// Why a token is good for nothing; for the entry.
type Why = &'static str;

/// What an access token says, as far as it stands on something that may change.
struct Standing<'a> {
    client: &'a ClientId,
    subject: &'a str,
    grant: Option<GrantId>,
    token: TokenId,
    scope: &'a Scope,
    apps: BTreeSet<AppId>,
    bound: Option<Confirmation>,
    ends_at: Timestamp,
}

impl House {
    async fn judge_token(&self, tenant: &TenantId, text: &str, now: Timestamp) -> Result<Judged, Fault> {
        let Some(state) = self.tenant(tenant) else { return Ok(Judged::Foreign) };
        let asked_at = self.tokens.generation();
        let found = match AccessKeySecret::shown(text) {
            Some(Err(_)) => Err("it is no whole access key"),
            Some(Ok(key)) => match self.store.access_key(tenant, &key).await? {
                Some(key) => {
                    let good = self.by_access_key(&state, &key, now).await?;
                    if good.is_ok() && key.needs_touch(now) {
                        self.store.access_key_used(tenant, key.id, now).await?;
                    }
                    good
                }
                None => Err("there is no such access key"),
            },
            None if access_token::claims_to_be_of(text, |issuer| self.signs_in_at(&state, issuer)) => {
                self.by_access_token(&state, text, now).await?
            }
            None => return Ok(Judged::Foreign),
        };
        Ok(match found {
            Err(why) => Judged::Refused(why),
            Ok(token) => {
                let token = Arc::new(token);
                let held = Held { token: Arc::clone(&token), under: state, read_at: now };
                self.tokens.put(hash(tenant, text), held, asked_at);
                Judged::Good(token)
            }
        })
    }

    async fn current_token(&self, token: &LiveToken, now: Timestamp) -> Result<Option<Arc<LiveToken>>, Fault> {
        let Some(state) = self.tenant(&token.tenant) else { return Ok(None) };
        let user = token.user.as_ref().map(|user| user.id);
        // INVARIANT: nothing here counts as a use.
        let found = match (&token.by.access_key, &token.by.client, token.by.token, user) {
            (Some(id), _, _, Some(user)) => {
                let keys = self.store.access_keys_of(&token.tenant, user).await?;
                match keys.iter().find(|key| key.id == *id) {
                    Some(key) => self.by_access_key(&state, key, now).await?,
                    None => return Ok(None),
                }
            }
            (None, Some(client), Some(id), _) => {
                let subject = user.map_or_else(|| client.to_string(), |user| user.to_string());
                let standing = Standing {
                    client,
                    subject: &subject,
                    grant: token.by.grant,
                    token: id,
                    scope: &token.scope,
                    apps: token.apps.clone(),
                    bound: token.bound.clone(),
                    ends_at: token.ends_at,
                };
                self.standing(&state, standing, now).await?
            }
            _ => return Ok(None),
        };
        Ok(found.ok().map(Arc::new))
    }

    async fn by_access_key(
        &self,
        state: &TenantState,
        key: &AccessKey,
        now: Timestamp,
    ) -> Result<Result<LiveToken, Why>, Fault> {
        if state.bundle.tenant.access_key_days.is_none() {
            return Ok(Err("the tenant takes no access keys"));
        }
        if !key.is_good(now) {
            return Ok(Err("the access key's time is over"));
        }
        let Some(user) = self.who_may_enter(state, key.user).await? else {
            return Ok(Err("its person may not sign in"));
        };
        let said = Said {
            tenant: state.id().clone(),
            caller: Caller::User(state.facts(&user)),
            scope: key.scope.clone(),
            apps: key.apps.iter().filter(|app| state.bundle.apps.contains_key(*app)).cloned().collect(),
            // One thing that is held, whatever its person showed when they made it.
            assurance: Some(Assurance::One),
            factors: vec!["access-key"],
            signed_in_at: Some(key.created),
            bound: None,
            ends_at: key.expires,
        };
        Ok(Ok(LiveToken::new(said, Program { client: None, grant: None, token: None, access_key: Some(key.id) })))
    }

    async fn by_access_token(
        &self,
        state: &TenantState,
        text: &str,
        now: Timestamp,
    ) -> Result<Result<LiveToken, Why>, Fault> {
        let Some(keys) = self.keys.of(state.id()) else { return Ok(Err("the tenant has no keys")) };
        let token = match access_token::verify(text, &keys.records, &state.route.sign_in_origin, now) {
            Ok(token) => token,
            Err(refused) => return Ok(Err(refused.0)),
        };
        let standing = Standing {
            client: &token.client_id,
            subject: &token.sub,
            grant: token.grant,
            token: token.jti,
            scope: &token.scope,
            apps: self.apps_of(state, &token.aud),
            bound: token.cnf.clone(),
            ends_at: Timestamp::from_secs(token.exp),
        };
        self.standing(state, standing, now).await
    }

    /// What a token that verified is worth now: it may have been given back, its grant ended, its client changed, its person
    /// suspended.
    async fn standing(
        &self,
        state: &TenantState,
        of: Standing<'_>,
        now: Timestamp,
    ) -> Result<Result<LiveToken, Why>, Fault> {
        let Some(client) = state.bundle.clients.get(of.client) else { return Ok(Err("its client is gone")) };
        if self.store.token_is_revoked(state.id(), of.token).await? {
            return Ok(Err("it was given back"));
        }
        if client.bound && of.bound.is_none() {
            return Ok(Err("its client's tokens have to be bound by now"));
        }
        let scope = of.scope.names().filter(|name| client.scope.contains(*name));
        let Ok(scope) = Scope::of(scope) else { return Ok(Err("its client may do nothing of it any more")) };
        let mut said = Said {
            tenant: state.id().clone(),
            caller: Caller::Visitor,
            scope,
            apps: of.apps.into_iter().filter(|app| client.apps.contains(app)).collect(),
            assurance: None,
            factors: Vec::new(),
            signed_in_at: None,
            bound: of.bound,
            ends_at: of.ends_at,
        };
        match of.grant {
            Some(grant) => {
                let Some(grant) = self.store.grant(state.id(), grant).await? else {
                    return Ok(Err("what its person let it do is gone"));
                };
                if grant.is_over(now) {
                    return Ok(Err("what its person let it do is over"));
                }
                if grant.client != *of.client || grant.user.to_string() != of.subject || !client.acts_for_people() {
                    return Ok(Err("its person let another do it"));
                }
                let Some(user) = self.who_may_enter(state, grant.user).await? else {
                    return Ok(Err("its person may not sign in"));
                };
                said.caller = Caller::User(state.facts(&user));
                said.assurance = Some(grant.assurance);
                said.factors = grant.factors.iter().filter_map(|name| Means::known_name(name)).collect();
                said.signed_in_at = Some(grant.signed_in_at);
            }
            None if client.is_service() && of.subject == of.client.as_str() => {
                let groups = state.bundle.all_groups(&client.groups);
                said.caller = Caller::Service { id: of.client.shared(), groups };
            }
            None => return Ok(Err("its client never asks in its own name")),
        }
        let by = Program { client: Some(of.client.clone()), grant: of.grant, token: Some(of.token), access_key: None };
        Ok(Ok(LiveToken::new(said, by)))
    }

    async fn who_may_enter(&self, state: &TenantState, user: UserId) -> Result<Option<User>, Fault> {
        let user = self.store.user(state.id(), user).await?.filter(User::may_enter);
        match user {
            // Whoever would be held at the next sign-in is not let in by what they gave before.
            Some(user) if !self.would_owe(state, user.id).await? => Ok(Some(user)),
            _ => Ok(None),
        }
    }

    /// Whether a tenant of this house signs people in at an origin: what says that it comes from there is ours to judge.
    fn signs_in_at(&self, state: &TenantState, origin: &str) -> bool {
        if state.route.sign_in_origin == origin {
            return true;
        }
        // By the host, as requests find their site: however many tenants there are.
        let (Some(proxy), Ok(url)) = (self.proxy(), url::Url::parse(origin)) else { return false };
        let (snapshot, host) = (proxy.snapshot(), url.host_str().unwrap_or_default());
        snapshot.hosts.get(host).is_some_and(|site| site.tenant.sign_in_origin == origin)
    }

    /// What an access token says, and what it is worth now; none where that is nothing.
    pub(crate) async fn introspected(
        &self,
        state: &TenantState,
        text: &str,
        now: Timestamp,
    ) -> Result<Option<(AccessToken, LiveToken)>, Fault> {
        let Some(keys) = self.keys.of(state.id()) else { return Ok(None) };
        let Ok(token) = access_token::verify(text, &keys.records, &state.route.sign_in_origin, now) else {
            return Ok(None);
        };
        let live = self.by_access_token(state, text, now).await?.ok();
        Ok(live.map(|live| (token, live)))
    }

    /// Where programs with a certificate of ours ask, where there is such a place.
    pub(crate) fn machines_origin(&self, tenant: &TenantState) -> Option<String> {
        let port = self.config.machines?.port();
        Some(format!("https://{}:{port}", tenant.bundle.tenant.sign_in_host))
    }

    /// The origins of an app, as tokens name it.
    pub(crate) fn origins_of(&self, state: &TenantState, app: &AppId) -> Vec<String> {
        let hosts = state.bundle.apps.get(app).map(|app| app.hosts.as_slice()).unwrap_or_default();
        hosts.iter().map(|host| self.config.origin(host)).collect()
    }

    /// The apps that these origins are of.
    pub(crate) fn apps_of(&self, state: &TenantState, origins: &[String]) -> BTreeSet<AppId> {
        let is_named = |app: &AppId| self.origins_of(state, app).iter().any(|origin| origins.contains(origin));
        state.bundle.apps.keys().filter(|app| is_named(app)).cloned().collect()
    }

    /// Lets go of what memory knows of tokens that have ended, and has open streams asked again.
    pub(crate) fn forget_program(&self, end: Ended) {
        self.tokens.forget(end);
        if let Some(proxy) = self.proxy() {
            proxy.changed(cardea_proxy::Changed::Program(end));
        }
    }
}

fn hash(tenant: &TenantId, text: &str) -> [u8; 32] {
    fingerprint::bytes(&[tenant.as_str().as_bytes(), b"\n", text.as_bytes()])
}

#[allow(clippy::needless_pass_by_value, reason = "for map_err")]
fn fault(error: Fault) -> StoreFault {
    tracing::error!(error = %crate::house::with_causes(&error), "a store failed");
    StoreFault(error.to_string())
}
