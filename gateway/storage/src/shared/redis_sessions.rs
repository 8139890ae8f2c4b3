//! Sessions as Redis holds them: read, sealed and marked.

use ::redis::AsyncCommands as _;
use cardea_core::{SessionId, TenantId, Timestamp, UserId};
use cardea_identity::{Sealed, Session, session::End};

use super::{
    ended::Ends,
    redis::{RedisShared, px},
};
use crate::{StoreFault, sealed::Place};

impl RedisShared {
    /// Where a session is kept, and the two indexes that name it.
    pub(super) fn keys_of(&self, session: &Session) -> [String; 3] {
        let Session { tenant, id, user, .. } = session;
        [self.keys.session(tenant, *id), self.keys.sessions_of(tenant, *user), self.keys.sessions(tenant)]
    }

    /// Marks sessions as ended that are so in SQL: for lists and counts, since nobody is let in by what it says. Where it fails,
    /// whoever reads one does it.
    pub(super) async fn mark_ended(&self, tenant: &TenantId, ids: &[SessionId], end: End) {
        if ids.is_empty() {
            return;
        }
        let keys: Vec<_> = ids.iter().map(|id| self.keys.session(tenant, *id)).collect();
        let at = end.at.as_micros().to_string();
        let marked: Result<u64, _> = self.run(&self.scripts.end_all, &keys, &[&at, end.why.as_str()]).await;
        if let Err(error) = marked {
            tracing::warn!(%tenant, %error, "sessions that have ended are not marked so in Redis yet");
        }
    }

    /// A session as Redis knows it.
    pub(super) async fn known(&self, tenant: &TenantId, id: SessionId) -> Result<Option<Session>, StoreFault> {
        type Fields = (Option<String>, Option<u64>, Option<i64>, Option<i64>, Option<String>);
        let fields = ["body", "version", "last_seen", "ended_at", "ended_why"];
        let (body, version, seen, at, why): Fields =
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
        Ok(live)
    }

    /// What is kept of a session, as the scripts take it.
    pub(super) async fn kept(&self, session: &Session) -> Result<[String; 8], StoreFault> {
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

fn ended(session: &Session) -> (String, &'static str) {
    session.ended.map_or_else(Default::default, |end| (end.at.as_micros().to_string(), end.why.as_str()))
}
