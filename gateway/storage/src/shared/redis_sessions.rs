//! Sessions as Redis holds them: read, sealed and marked.

use std::collections::{BTreeMap, HashMap};

use ::redis::{FromRedisValue, ParsingError, Value};
use cardea_core::{SessionId, TenantId, Timestamp, UserId};
use cardea_identity::{Sealed, Session, session::End};

use super::{
    ended::{BEYOND, Ends, dropped},
    kept,
    keys::{Key, Keys},
    redis::{RedisShared, px},
};
use crate::{StoreFault, sealed::Place};

/// The longest value that Redis keeps in a list (`hash-max-listpack-value`, as it is unless somebody says otherwise).
const PIECE: usize = 64;

/// A session as a script takes it that keeps one: see [`super::scripts`].
pub(super) struct Kept {
    pub(super) user: UserId,
    pub(super) id: SessionId,
    pub(super) version: u64,
    pub(super) seen: i64,
    pub(super) expires: Timestamp,
    /// When it is kept, for as long as it lives from then on.
    pub(super) now: Timestamp,
    pub(super) ended: Option<(i64, String)>,
    pub(super) sealed: Vec<u8>,
}

impl Kept {
    /// The arguments, with three that are the script's own.
    pub(super) fn args(&self, own: [&[u8]; 3]) -> Vec<Vec<u8>> {
        let (at, why) = self.ended.as_ref().map_or_else(Default::default, |(at, why)| (at.to_string(), why.clone()));
        let texts = [
            self.version.to_string(),
            self.seen.to_string(),
            self.expires.as_micros().to_string(),
            self.now.minus(BEYOND).as_micros().to_string(),
            px(self.expires, self.now),
            at,
            why,
        ];
        let member = [self.user.as_bytes().as_slice(), self.id.as_bytes()].concat();
        let rest = own.into_iter().chain(self.sealed.chunks(PIECE)).map(<[u8]>::to_vec);
        [member].into_iter().chain(texts.map(String::into_bytes)).chain(rest).collect()
    }
}

impl Keys {
    /// Where a session is kept, and what counts it and names it.
    pub(super) fn of_session(&self, tenant: &TenantId, user: UserId, id: SessionId) -> [Key; 3] {
        [self.session(tenant, id), self.sessions_of(tenant, user), self.live(tenant)]
    }
}

impl RedisShared {
    /// As [`Keys::of_session`].
    pub(super) fn keys_of(&self, session: &Session) -> [Key; 3] {
        self.keys.of_session(&session.tenant, session.user, session.id)
    }

    /// Marks sessions as ended that are so in SQL: for lists and counts, since nobody is let in by what it says. Where it fails,
    /// whoever reads one does it.
    pub(super) async fn mark_ended(&self, tenant: &TenantId, ids: &[SessionId], end: End) {
        if ids.is_empty() {
            return;
        }
        let sessions = ids.iter().map(|id| self.keys.session(tenant, *id));
        let keys: Vec<_> = std::iter::once(self.keys.live(tenant)).chain(sessions).collect();
        let at = end.at.as_micros().to_string();
        let marked: Result<u64, _> = self.run(&self.scripts.end_all, &keys, &[&at, end.why.as_str()]).await;
        if let Err(error) = marked {
            tracing::warn!(%tenant, %error, "sessions that have ended are not marked so in Redis yet");
        }
    }

    /// A session as Redis knows it.
    pub(super) async fn known(&self, tenant: &TenantId, id: SessionId) -> Result<Option<Session>, StoreFault> {
        let mut all = ::redis::cmd("HGETALL");
        all.arg(self.keys.session(tenant, id));
        self.session_of(tenant, id, all.query_async(&mut self.connection.clone()).await?).await
    }

    /// A session as it is: what SQL knows of its end is told to a Redis that has forgotten it.
    pub(super) async fn as_it_is(&self, known: Session, ends: &Ends) -> Result<Session, StoreFault> {
        let forgotten = known.ended.is_none();
        let session = ends.applied(known)?;
        if let Some(end) = session.ended.filter(|_| forgotten) {
            self.mark_ended(&session.tenant, &[session.id], end).await;
        }
        Ok(session)
    }

    pub(super) async fn live(
        &self,
        tenant: &TenantId,
        user: UserId,
        now: Timestamp,
    ) -> Result<Vec<Session>, StoreFault> {
        let (now, keys) = (now.as_micros().to_string(), [self.keys.sessions_of(tenant, user)]);
        let args = [now.as_bytes(), user.as_bytes(), &self.keys.session_stem(tenant)];
        let found: Vec<(Vec<u8>, Fields)> = self.run(&self.scripts.live, &keys, &args).await?;
        let mut live = Vec::with_capacity(found.len());
        for (id, fields) in found {
            let id = <[u8; 16]>::try_from(id).map_err(|_| StoreFault::corrupt("session", "an id of 16 bytes"))?;
            live.extend(self.session_of(tenant, SessionId::from_bytes(id), fields).await?);
        }
        Ok(live)
    }

    /// Ends those of a user's that took the place of another while all ended, and tells of which nobody had.
    pub(super) async fn late(
        &self,
        tenant: &TenantId,
        user: UserId,
        known: &[SessionId],
        end: End,
    ) -> Result<Vec<SessionId>, StoreFault> {
        let (live, ends) = (self.live(tenant, user, end.at).await?, self.store.ends(tenant, &[], &[user]).await?);
        let mut late = Vec::new();
        for session in live.iter().filter(|session| !known.contains(&session.id)) {
            if !ends.of_late(session, known)? {
                continue;
            }
            if self.store.sessions_ended(tenant, &[(session.id, dropped(session.expires))], end).await? {
                late.push(session.id);
            }
            self.mark_ended(tenant, &[session.id], end).await;
        }
        Ok(late)
    }

    /// What is kept of a session.
    pub(super) async fn kept(&self, session: &Session) -> Result<Kept, StoreFault> {
        let sealer = self.store.sealer(Some(&session.tenant)).await?;
        let (place, plain) = (Place::Session(session.id).to_string(), kept::plain(session)?);
        Ok(Kept {
            user: session.user,
            id: session.id,
            version: session.version,
            seen: session.last_seen.as_micros(),
            expires: session.expires,
            // As it begins, and as it takes the place of another.
            now: session.last_seen,
            ended: session.ended.map(|end| (end.at.as_micros(), end.why.as_str().to_owned())),
            sealed: sealer.seal_bytes(&place, &plain, self.store.entropy()?)?,
        })
    }

    /// None where there is none, or it was sealed under a key that is destroyed: whoever held it signs in again.
    async fn session_of(
        &self,
        tenant: &TenantId,
        id: SessionId,
        fields: Fields,
    ) -> Result<Option<Session>, StoreFault> {
        let Some((version, seen)) = fields.number("v")?.zip(fields.number("s")?) else { return Ok(None) };
        let sealed = Sealed::from_bytes(&fields.pieces());
        let sealer = self.store.sealer_with(Some(tenant), sealed.key_id()).await?;
        if !sealed.key_id().is_some_and(|key| sealer.has(key)) {
            return Ok(None);
        }
        let plain = sealer.open(&Place::Session(id).to_string(), &sealed)?;
        let session = kept::session(tenant, id, plain.expose())?;
        Ok(Some(Session {
            version: u64::try_from(version).map_err(|why| StoreFault::corrupt("version", why))?,
            last_seen: Timestamp::from_micros(seen),
            ended: fields.end()?,
            ..session
        }))
    }
}

/// The fields of a session's hash; none where there is no session.
struct Fields(HashMap<String, Vec<u8>>);

impl FromRedisValue for Fields {
    fn from_redis_value(value: Value) -> Result<Self, ParsingError> {
        FromRedisValue::from_redis_value(value).map(Self)
    }
}

impl Fields {
    fn text(&self, name: &'static str) -> Result<Option<&str>, StoreFault> {
        let bytes = self.0.get(name).map(|bytes| std::str::from_utf8(bytes)).transpose();
        bytes.map_err(|why| StoreFault::corrupt(name, why))
    }

    fn number(&self, name: &'static str) -> Result<Option<i64>, StoreFault> {
        let number = self.text(name)?.map(str::parse).transpose();
        number.map_err(|why| StoreFault::corrupt(name, why))
    }

    fn end(&self) -> Result<Option<End>, StoreFault> {
        let Some(at) = self.number("at")? else { return Ok(None) };
        let why = super::end_reason(self.text("why")?.unwrap_or_default());
        Ok(Some(End { at: Timestamp::from_micros(at), why: why.map_err(|why| StoreFault::corrupt("why", why))? }))
    }

    /// What is sealed, put together.
    fn pieces(&self) -> Vec<u8> {
        let pieces: BTreeMap<u32, _> =
            self.0.iter().filter_map(|(name, piece)| Some((name.parse().ok()?, piece))).collect();
        pieces.into_values().flatten().copied().collect()
    }
}
