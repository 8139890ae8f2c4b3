//! Shared state in Redis, for several gateways. Each step is one command or one script.

use std::{sync::Arc, time::Duration};

use ::redis::{AsyncCommands, FromRedisValue};
use async_trait::async_trait;
use cardea_core::{SessionId, TenantId, Timestamp, UserId};
use cardea_identity::{
    HandleHash, HandleRecord, Sealed, Session, TicketHash,
    guard::{Limit, Tries},
    one_time::{OneTime, Purpose},
    session::End,
};

use super::{
    Forgiven, SharedState,
    connection::{Connection, RedisAt},
    keys::Keys,
    scripts::{Script, Scripts},
};
use crate::{Grounds, Store, StoreFault, changes::Change, sealed::Place};

/// Shared state in Redis. Ends and changes of sessions are announced in the change feed of the durable store, so that
/// every gateway learns of them in the same way.
#[derive(Clone)]
pub struct RedisShared {
    pub(super) connection: Connection,
    pub(super) keys: Keys,
    pub(super) store: Store,
    pub(super) scripts: Arc<Scripts>,
}

/// What Redis keeps beyond a value's own time: clocks may differ, and what ended must be told from what never was.
const BEYOND: Duration = Duration::from_secs(600);

impl RedisShared {
    /// Connects; every key begins with `prefix`.
    pub async fn open(at: &RedisAt, prefix: &str, store: Store) -> Result<Self, StoreFault> {
        let connection = Connection::open(at).await?;
        Ok(Self { connection, keys: Keys::new(prefix), store, scripts: Arc::new(Scripts::new()) })
    }

    /// Asks what is there: `Redis 7.0.15`, or `Redis Cluster 7.0.15, 3 masters`.
    pub async fn reach(at: &RedisAt) -> Result<String, StoreFault> {
        at.reach().await
    }

    pub(super) async fn run<T: FromRedisValue>(
        &self,
        script: &Script,
        keys: &[String],
        args: &[&str],
    ) -> Result<T, StoreFault> {
        self.connection.clone().run(script, keys, args).await
    }

    /// Where a session is kept, and the two indexes that name it.
    fn keys_of(&self, session: &Session) -> [String; 3] {
        let Session { tenant, id, user, .. } = session;
        [self.keys.session(tenant, *id), self.keys.sessions_of(tenant, *user), self.keys.sessions(tenant)]
    }

    async fn end_all(
        &self,
        index: String,
        tenant: &TenantId,
        except: &str,
        end: End,
        change: &Change,
    ) -> Result<u64, StoreFault> {
        let (at, stem) = (end.at.as_micros().to_string(), self.keys.session_stem(tenant));
        let done: u64 = self.run(&self.scripts.end_all, &[index], &[&at, end.why.as_str(), except, &stem]).await?;
        // Also where nothing was left to end: whoever ended it may have failed to say so, and asks again.
        self.store.announce(Some(tenant), change, end.at).await?;
        Ok(done)
    }

    /// What is kept of a session, as the scripts take it.
    async fn kept(&self, session: &Session) -> Result<[String; 8], StoreFault> {
        let (ended_at, ended_why) = ended(session);
        let sealer = self.store.sealer(Some(&session.tenant)).await?;
        let plain = serde_json::to_vec(session)?;
        let body = sealer.seal(&Place::Session(session.id).to_string(), &plain, self.store.entropy()?)?;
        Ok([
            session.id.to_string(),
            body.as_str().to_owned(),
            session.version.to_string(),
            session.last_seen.as_micros().to_string(),
            session.expires.as_micros().to_string(),
            px(session.expires, session.created),
            ended_at,
            ended_why.to_owned(),
        ])
    }

    /// None where it was sealed under a key that is destroyed: whoever held it signs in again.
    async fn session_of(
        &self,
        tenant: &TenantId,
        id: SessionId,
        body: &str,
        version: u64,
        seen: i64,
    ) -> Result<Option<Session>, StoreFault> {
        let body = Sealed::from_stored(body);
        let sealer = self.store.sealer_with(Some(tenant), body.key_id()).await?;
        if !body.key_id().is_some_and(|key| sealer.has(key)) {
            return Ok(None);
        }
        let plain = sealer.open(&Place::Session(id).to_string(), &body)?;
        let mut session: Session =
            serde_json::from_slice(plain.expose()).map_err(|why| StoreFault::corrupt("session", why))?;
        session.version = version;
        session.last_seen = Timestamp::from_micros(seen);
        session.ended = None;
        Ok(Some(session))
    }
}

#[async_trait]
impl SharedState for RedisShared {
    async fn session_insert(&self, session: &Session) -> Result<(), StoreFault> {
        let args = self.kept(session).await?;
        let args: Vec<_> = args.iter().map(String::as_str).collect();
        let _: u32 = self.run(&self.scripts.session_insert, &self.keys_of(session), &args).await?;
        Ok(())
    }

    async fn handle_insert(&self, handle: &HandleRecord, session: &Session) -> Result<(), StoreFault> {
        self.keep_handle(handle, session).await
    }

    async fn session_open(
        &self,
        (session, handle): (&Session, &HandleRecord),
        forgiven: &Forgiven,
        now: Timestamp,
    ) -> Result<Grounds, StoreFault> {
        // First, since it may fail: else a session would stand that nobody holds.
        self.forgive_each(&session.tenant, forgiven, now).await?;
        self.session_insert(session).await?;
        self.handle_insert(handle, session).await?;
        self.store.entered(&session.tenant, session.user, &session.proofs, now).await
    }

    async fn session_by_handle(
        &self,
        tenant: &TenantId,
        hash: &HandleHash,
    ) -> Result<Option<(HandleRecord, Session)>, StoreFault> {
        let Some(handle) = self.handle(tenant, hash).await? else { return Ok(None) };
        Ok(self.session(tenant, handle.session).await?.map(|session| (handle, session)))
    }

    async fn session(&self, tenant: &TenantId, id: SessionId) -> Result<Option<Session>, StoreFault> {
        let fields = ["body", "version", "last_seen", "ended_at", "ended_why"];
        let (body, version, seen, at, why): (Option<String>, Option<u64>, Option<i64>, Option<i64>, Option<String>) =
            self.connection.clone().hmget(self.keys.session(tenant, id), &fields).await?;
        let (Some(body), Some(version), Some(seen)) = (body, version, seen) else { return Ok(None) };
        let Some(mut session) = self.session_of(tenant, id, &body, version, seen).await? else { return Ok(None) };
        if let Some(at) = at {
            let why = super::end_reason(why.as_deref().unwrap_or_default())
                .map_err(|why| StoreFault::corrupt("ended_why", why))?;
            session.ended = Some(End { at: Timestamp::from_micros(at), why });
        }
        Ok(Some(session))
    }

    async fn handle_offer(
        &self,
        before: &HandleRecord,
        next: &HandleRecord,
        session: &Session,
    ) -> Result<bool, StoreFault> {
        self.offer(before, next, session).await
    }

    async fn handle_shown(&self, handle: &HandleRecord, at: Timestamp) -> Result<bool, StoreFault> {
        self.shown(handle, at).await
    }

    async fn session_touch(&self, tenant: &TenantId, id: SessionId, at: Timestamp) -> Result<(), StoreFault> {
        let at = at.as_micros().to_string();
        let _: u32 = self.run(&self.scripts.session_touch, &[self.keys.session(tenant, id)], &[&at]).await?;
        Ok(())
    }

    async fn session_end(&self, tenant: &TenantId, id: SessionId, end: End) -> Result<bool, StoreFault> {
        let at = end.at.as_micros().to_string();
        let keys = [self.keys.session(tenant, id)];
        let done: u32 = self.run(&self.scripts.session_end, &keys, &[&at, end.why.as_str()]).await?;
        // See [`RedisShared::end_all`].
        self.store.announce(Some(tenant), &Change::Session(id), end.at).await?;
        Ok(done == 1)
    }

    async fn session_replace(&self, old: SessionId, end: End, next: &Session) -> Result<bool, StoreFault> {
        let (mut keys, mut args) = (self.keys_of(next).to_vec(), self.kept(next).await?.to_vec());
        keys.push(self.keys.session(&next.tenant, old));
        args.extend([end.at.as_micros().to_string(), end.why.as_str().to_owned()]);
        let args: Vec<_> = args.iter().map(String::as_str).collect();
        let done: u32 = self.run(&self.scripts.session_replace, &keys, &args).await?;
        self.store.announce(Some(&next.tenant), &Change::Session(old), end.at).await?;
        Ok(done == 1)
    }

    async fn sessions_of_user(
        &self,
        tenant: &TenantId,
        user: UserId,
        now: Timestamp,
    ) -> Result<Vec<Session>, StoreFault> {
        let (now, stem) = (now.as_micros().to_string(), self.keys.session_stem(tenant));
        let keys = [self.keys.sessions_of(tenant, user)];
        let flat: Vec<String> = self.run(&self.scripts.live, &keys, &[&now, &stem]).await?;
        let mut live = Vec::with_capacity(flat.len() / 4);
        for fields in flat.chunks_exact(4) {
            let id = SessionId::parse(&fields[0]).map_err(|why| StoreFault::corrupt("session", why))?;
            let version = fields[2].parse().map_err(|why| StoreFault::corrupt("version", why))?;
            let seen = fields[3].parse().map_err(|why| StoreFault::corrupt("last_seen", why))?;
            live.extend(self.session_of(tenant, id, &fields[1], version, seen).await?);
        }
        live.sort_unstable_by_key(|session| std::cmp::Reverse(session.id));
        Ok(live)
    }

    async fn end_all_of_user(
        &self,
        tenant: &TenantId,
        user: UserId,
        except: Option<SessionId>,
        end: End,
    ) -> Result<u64, StoreFault> {
        let except = except.map(|id| id.to_string()).unwrap_or_default();
        let index = self.keys.sessions_of(tenant, user);
        self.end_all(index, tenant, &except, end, &Change::SessionsOf(user)).await
    }

    async fn session_count(&self, tenant: &TenantId, now: Timestamp) -> Result<u64, StoreFault> {
        let (now, stem) = (now.as_micros().to_string(), self.keys.session_stem(tenant));
        self.run(&self.scripts.count, &[self.keys.sessions(tenant)], &[&now, &stem]).await
    }

    async fn put(&self, value: &OneTime, now: Timestamp) -> Result<(), StoreFault> {
        let key = self.keys.one_time(&value.tenant, value.purpose, &value.hash);
        let text = format!("{} {}", value.expires.as_micros(), value.body.as_str());
        let mut set = ::redis::cmd("SET");
        set.arg(key).arg(text).arg("PX").arg(px(value.expires, now));
        Ok(set.query_async(&mut self.connection.clone()).await?)
    }

    async fn peek(
        &self,
        tenant: &TenantId,
        purpose: Purpose,
        hash: &TicketHash,
        now: Timestamp,
    ) -> Result<Option<OneTime>, StoreFault> {
        let text: Option<String> = self.connection.clone().get(self.keys.one_time(tenant, purpose, hash)).await?;
        let Some(text) = text else { return Ok(None) };
        let value = one_time(&text, tenant, purpose, hash)?;
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
        let (keys, now) = ([self.keys.one_time(tenant, purpose, hash)], now.as_micros().to_string());
        let text: Option<String> = self.run(&self.scripts.take, &keys, &[&now]).await?;
        let value = text.map(|text| one_time(&text, tenant, purpose, hash)).transpose()?;
        self.store.sealer_with(Some(tenant), value.as_ref().and_then(|value| value.body.key_id())).await?;
        Ok(value)
    }

    async fn attempt(&self, tenant: &TenantId, limit: &Limit, now: Timestamp) -> Result<Option<Duration>, StoreFault> {
        Ok(self.change_tries(tenant, limit, now, |stood| stood.admit(&limit.rule, now)).await?.err())
    }

    async fn give_back(&self, tenant: &TenantId, limit: &Limit, now: Timestamp) -> Result<(), StoreFault> {
        let back = |stood: Tries| Some(stood.given_back()).filter(|tries| *tries != stood).ok_or(());
        self.change_tries(tenant, limit, now, back).await.map(|_| ())
    }

    async fn forgive(&self, tenant: &TenantId, key: &str) -> Result<(), StoreFault> {
        Ok(self.connection.clone().del(self.keys_of_tries(tenant, key).await?).await?)
    }

    async fn sweep(&self, _: Timestamp) -> Result<(), StoreFault> {
        // Redis drops what is past its bound by itself.
        Ok(())
    }

    async fn ping(&self) -> Result<(), StoreFault> {
        self.connection.ping().await
    }
}

/// Milliseconds that Redis keeps a value which ends at `expires`.
pub(super) fn px(expires: Timestamp, now: Timestamp) -> String {
    (expires.since(now) + BEYOND).as_millis().to_string()
}

fn ended(session: &Session) -> (String, &'static str) {
    session.ended.map_or_else(Default::default, |end| (end.at.as_micros().to_string(), end.why.as_str()))
}

fn one_time(text: &str, tenant: &TenantId, purpose: Purpose, hash: &TicketHash) -> Result<OneTime, StoreFault> {
    let (expires, body) = text.split_once(' ').ok_or_else(|| StoreFault::corrupt("one-time value", "no space"))?;
    let expires = expires.parse().map_err(|why| StoreFault::corrupt("one-time value", why))?;
    Ok(OneTime {
        purpose,
        hash: *hash,
        tenant: tenant.clone(),
        body: Sealed::from_stored(body),
        expires: Timestamp::from_micros(expires),
    })
}
