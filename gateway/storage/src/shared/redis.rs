//! Shared state in Redis, for several gateways. Each step is one command or one script.

use std::{sync::Arc, time::Duration};

use ::redis::{AsyncCommands, FromRedisValue, ToRedisArgs};
use async_trait::async_trait;
use cardea_core::{SessionId, TenantId, Timestamp, UserId};
use cardea_identity::{
    HandleHash, HandleRecord, Sealed, Session, TicketHash,
    guard::{Limit, Tries},
    one_time::{OneTime, Purpose},
    session::End,
};

use super::{
    Forgiven, RateLevel, RateUse, SharedState,
    connection::{Connection, RedisAt},
    ended::{BEYOND, What, dropped},
    keys::{Key, Keys},
    redis_handles::micros,
    redis_push::ByRedis,
    scripts::{Script, Scripts},
};
use crate::{Grounds, LINGER_IN_REDIS, Store, StoreFault};

/// Shared state in Redis. Ends of sessions are written and announced in the durable store first, so that they stand whatever Redis
/// forgets, and every gateway learns of them in the same way.
#[derive(Clone)]
pub struct RedisShared {
    pub(super) connection: Connection,
    pub(super) keys: Keys,
    pub(super) store: Store,
    pub(super) scripts: Arc<Scripts>,
}

impl RedisShared {
    /// Connects; every key begins with `prefix`.
    pub async fn open(at: &RedisAt, prefix: &str, store: Store) -> Result<Self, StoreFault> {
        let (connection, keys) = (Connection::open(at).await?, Keys::new(prefix));
        store.news().push_by(Arc::new(ByRedis { connection: connection.clone(), channel: keys.channel() }));
        Ok(Self { connection, keys, store, scripts: Arc::new(Scripts::new()) })
    }

    /// Asks what is there: `Redis 7.0.15`, or `Redis Cluster 7.0.15, 3 masters`.
    pub async fn reach(at: &RedisAt) -> Result<String, StoreFault> {
        at.reach().await
    }

    pub(super) async fn run<T: FromRedisValue>(
        &self,
        script: &Script,
        keys: &[Key],
        args: impl ToRedisArgs,
    ) -> Result<T, StoreFault> {
        self.connection.clone().run(script, keys, args).await
    }
}

#[async_trait]
impl SharedState for RedisShared {
    async fn session_insert(&self, session: &Session) -> Result<(), StoreFault> {
        let args = self.kept(session).await?.args([&[]; 3]);
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
        let [kept, of, live] = self.keys_of(session);
        let keys = [kept, of, live, self.keys.handle(&handle.tenant, &handle.hash)];
        let own = [handle.session.as_bytes(), handle.host.as_bytes(), &micros(Some(handle.issued_at))];
        let args = self.kept(session).await?.args(own);
        let _: u32 = self.run(&self.scripts.session_open, &keys, &args).await?;
        self.store.entered(&session.tenant, session.user, &session.proofs, now).await
    }

    async fn session_by_handle(
        &self,
        tenant: &TenantId,
        hash: &HandleHash,
    ) -> Result<Option<(HandleRecord, Session)>, StoreFault> {
        let Some(handle) = self.handle(tenant, hash).await? else { return Ok(None) };
        let Some(known) = self.known(tenant, handle.session).await? else { return Ok(None) };
        let whats = [What::Session(known.id), What::Handle(hash)];
        let ends = self.store.ends(tenant, &whats, &[known.user]).await?;
        Ok(Some((ends.applied_to(handle), self.as_it_is(known, &ends).await?)))
    }

    async fn session(&self, tenant: &TenantId, id: SessionId) -> Result<Option<Session>, StoreFault> {
        let Some(known) = self.known(tenant, id).await? else { return Ok(None) };
        let ends = self.store.ends(tenant, &[What::Session(id)], &[known.user]).await?;
        self.as_it_is(known, &ends).await.map(Some)
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
        // By what is sealed, since until then it is told from one that lives. What cannot be read is as if it were unknown.
        let known = match self.known(tenant, id).await {
            Err(StoreFault::Corrupt { .. } | StoreFault::Sealed(_)) => None,
            known => known?,
        };
        // One that Redis does not know may be one that it has forgotten, and comes back.
        let until = known.as_ref().map_or(end.at.plus(LINGER_IN_REDIS), |known| dropped(known.expires));
        // Who ended it SQL says: what is marked in Redis whoever reads may have marked.
        let first = self.store.sessions_ended(tenant, &[(id, until)], end).await?;
        self.mark_ended(tenant, &[id], end).await;
        Ok(first && known.is_some())
    }

    async fn session_replace(&self, old: SessionId, end: End, next: &Session) -> Result<bool, StoreFault> {
        let tenant = &next.tenant;
        let Some(before) = self.session(tenant, old).await? else { return Ok(false) };
        let until = dropped(before.expires);
        if let Some(end) = before.ended {
            // Whoever ended it may have failed to write so.
            self.store.sessions_ended(tenant, &[(old, until)], end).await?;
            return Ok(false);
        }
        let [kept, of, live] = self.keys_of(next);
        let keys = [kept, of, live, self.keys.session(tenant, old)];
        let own = [&micros(Some(end.at)), end.why.as_str().as_bytes(), &[]];
        let args = self.kept(next).await?.args(own);
        let done: u32 = self.run(&self.scripts.session_replace, &keys, &args).await?;
        let first = self.store.sessions_ended(tenant, &[(old, until)], end).await?;
        if done == 1 && !first {
            // Somebody else has ended it meanwhile, and was told so: nothing takes its place.
            self.session_end(tenant, next.id, end).await?;
        }
        Ok(done == 1 && first)
    }

    async fn sessions_of_user(
        &self,
        tenant: &TenantId,
        user: UserId,
        now: Timestamp,
    ) -> Result<Vec<Session>, StoreFault> {
        let mut live = self.live(tenant, user, now).await?;
        let whats: Vec<_> = live.iter().map(|session| What::Session(session.id)).collect();
        let ends = self.store.ends(tenant, &whats, &[user]).await?;
        let mut still = Vec::with_capacity(live.len());
        for session in live.drain(..) {
            still.extend(Some(self.as_it_is(session, &ends).await?).filter(|session| session.ended.is_none()));
        }
        still.sort_unstable_by_key(|session| std::cmp::Reverse(session.id));
        Ok(still)
    }

    async fn end_all_of_user(
        &self,
        tenant: &TenantId,
        user: UserId,
        except: Option<SessionId>,
        end: End,
    ) -> Result<Vec<SessionId>, StoreFault> {
        let live = self.live(tenant, user, end.at).await?;
        let ids: Vec<_> = live.iter().map(|session| session.id).filter(|id| Some(*id) != except).collect();
        let spared = except.map(|id| id.to_string()).unwrap_or_default();
        let mut ended = self.store.user_ended((tenant, user), &ids, &spared, end).await?;
        self.mark_ended(tenant, &ids, end).await;
        // It is done, whatever becomes of this: whoever asks again would be told of none.
        match self.late(tenant, user, &ids, end).await {
            Ok(late) => ended.extend(late),
            Err(error) => tracing::warn!(%tenant, %error, "a session that rose while all ended may be told to no app"),
        }
        Ok(ended)
    }

    async fn session_count(&self, tenant: &TenantId, now: Timestamp) -> Result<u64, StoreFault> {
        self.run(&self.scripts.count, &[self.keys.live(tenant)], &[now.as_micros().to_string()]).await
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
        let keys = [self.keys.one_time(tenant, purpose, hash)];
        let text: Option<String> = self.run(&self.scripts.take, &keys, &[&now.as_micros().to_string()]).await?;
        let Some(text) = text else { return Ok(None) };
        self.store.taken(one_time(&text, tenant, purpose, hash)?, now).await
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

    async fn rates_used(&self, uses: &[RateUse], now: Timestamp) -> Result<Vec<RateLevel>, StoreFault> {
        self.add_to_rates(uses, now).await
    }

    async fn sweep(&self, now: Timestamp) -> Result<(), StoreFault> {
        // Redis drops what is past its bound by itself.
        self.store.sweep_ended(now).await
    }

    async fn hear(&self) {
        self.hear_published().await;
    }

    async fn ping(&self) -> Result<(), StoreFault> {
        self.connection.ping().await
    }
}

/// Milliseconds that Redis keeps a value which ends at `expires`.
pub(super) fn px(expires: Timestamp, now: Timestamp) -> String {
    (expires.since(now) + BEYOND).as_millis().to_string()
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
