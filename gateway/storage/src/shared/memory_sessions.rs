//! Sessions in memory, as they are: what the durable store knows of their ends is asked before each answer.

use cardea_core::{SessionId, TenantId, Timestamp, UserId};
use cardea_identity::{Session, session::End};

use super::{
    ended::{Ends, What, dropped},
    memory::{Held, MemoryShared},
};
use crate::{LINGER_IN_REDIS, StoreFault};

/// A session that is held.
pub(super) struct KeptSession {
    session: Session,
    /// Somebody was told that it ended by them.
    told: bool,
}

/// How many sessions are asked about at once: enough for anybody's, and a statement of some ten thousand characters.
const STRIDE: usize = 250;

impl Held {
    /// Keeps a session that is not kept yet; tells whether it was so. What has ended is not begun again.
    pub(super) fn keep_session(&mut self, session: &Session) -> bool {
        if self.sessions.contains_key(&session.id) {
            return false;
        }
        self.of_users.entry(session.user).or_default().insert(session.id);
        self.sessions.insert(session.id, KeptSession { session: session.clone(), told: false });
        true
    }

    /// The session, as far as memory knows.
    pub(super) fn session(&self, id: SessionId) -> Option<&Session> {
        self.sessions.get(&id).map(|kept| &kept.session)
    }

    /// The sessions, of a user if one is given, that have neither ended nor reached their greatest age.
    pub(super) fn open(&self, user: Option<UserId>, now: Timestamp) -> impl Iterator<Item = &Session> {
        let theirs = user.and_then(|user| self.of_users.get(&user)).into_iter().flatten();
        let theirs = theirs.filter_map(|id| self.session(*id));
        let all = user.is_none().then(|| self.sessions.values().map(|kept| &kept.session));
        let some = theirs.chain(all.into_iter().flatten());
        some.filter(move |session| session.ended.is_none() && session.expires > now)
    }

    /// A user's, newest first.
    pub(super) fn open_of(&self, user: UserId, now: Timestamp) -> Vec<Session> {
        let mut open: Vec<_> = self.open(Some(user), now).cloned().collect();
        open.sort_unstable_by_key(|session| std::cmp::Reverse(session.id));
        open
    }

    pub(super) fn touch(&mut self, id: SessionId, at: Timestamp) {
        if let Some(kept) = self.sessions.get_mut(&id) {
            kept.session.last_seen = kept.session.last_seen.max(at);
        }
    }

    /// Takes over what the durable store knows of these.
    pub(super) fn apply(&mut self, ids: &[SessionId], ends: &Ends) -> Result<(), StoreFault> {
        for id in ids {
            if let Some(kept) = self.sessions.get_mut(id) {
                kept.session = ends.applied(kept.session.clone())?;
            }
        }
        Ok(())
    }

    /// Marks a session as ended. True for exactly one caller: of those whose end was the `first` that was written, or who come before
    /// anybody has read of it.
    fn mark_ended(&mut self, id: SessionId, end: End, first: bool) -> bool {
        let Some(kept) = self.sessions.get_mut(&id) else { return false };
        if kept.told || (kept.session.ended.is_some() && !first) {
            return false;
        }
        kept.told = true;
        if kept.session.ended.is_none() {
            kept.session.version += 1;
            kept.session.ended = Some(end);
        }
        true
    }

    /// Drops those that reached their greatest age by then.
    pub(super) fn drop_sessions(&mut self, by: Timestamp) {
        let of_users = &mut self.of_users;
        self.sessions.retain(|id, KeptSession { session, .. }| {
            let stays = session.expires > by;
            if !stays && let Some(theirs) = of_users.get_mut(&session.user) {
                theirs.remove(id);
            }
            stays
        });
        of_users.retain(|_, theirs| !theirs.is_empty());
    }
}

impl MemoryShared {
    /// Sees to it that a tenant has a key: as long as that is there, so is what is held of it.
    pub(super) async fn keyed(&self, tenant: &TenantId) -> Result<(), StoreFault> {
        self.store.sealer(Some(tenant)).await.map(|_| ())
    }

    pub(super) async fn as_it_is(&self, tenant: &TenantId, id: SessionId) -> Result<Option<Session>, StoreFault> {
        let Some(user) = self.of(tenant, |held| held.session(id).map(|session| session.user)) else { return Ok(None) };
        let ends = self.store.ends(tenant, &[What::Session(id)], &[user]).await?;
        self.of(tenant, |held| {
            held.apply(&[id], &ends)?;
            Ok(held.session(id).cloned())
        })
    }

    /// Asks the durable store which of the sessions that are open here have ended.
    pub(super) async fn learn_ends(
        &self,
        tenant: &TenantId,
        user: Option<UserId>,
        now: Timestamp,
    ) -> Result<(), StoreFault> {
        let open: Vec<_> =
            self.of(tenant, |held| held.open(user, now).map(|session| (session.id, session.user)).collect());
        for some in open.chunks(STRIDE) {
            let (ids, mut users): (Vec<_>, Vec<_>) = some.iter().copied().unzip();
            users.sort_unstable();
            users.dedup();
            let whats: Vec<_> = ids.iter().copied().map(What::Session).collect();
            let ends = self.store.ends(tenant, &whats, &users).await?;
            self.of(tenant, |held| held.apply(&ids, &ends))?;
        }
        Ok(())
    }

    pub(super) async fn end(&self, tenant: &TenantId, id: SessionId, end: End) -> Result<bool, StoreFault> {
        let known = self.as_it_is(tenant, id).await?;
        if known.as_ref().is_some_and(|session| session.ended.is_some()) {
            return Ok(false);
        }
        // One that is not known here may be in another process.
        let until = known.map_or(end.at.plus(LINGER_IN_REDIS), |session| dropped(session.expires));
        let first = self.store.sessions_ended(tenant, &[(id, until)], end).await?;
        Ok(self.of(tenant, |held| held.mark_ended(id, end, first)))
    }

    pub(super) async fn end_all(
        &self,
        tenant: &TenantId,
        user: UserId,
        except: Option<SessionId>,
        end: End,
    ) -> Result<Vec<SessionId>, StoreFault> {
        self.learn_ends(tenant, Some(user), end.at).await?;
        let mut ids: Vec<_> = self.of(tenant, |held| held.open(Some(user), end.at).map(|one| one.id).collect());
        ids.retain(|id| Some(*id) != except);
        let spared = except.map(|id| id.to_string()).unwrap_or_default();
        self.store.user_ended((tenant, user), &ids, &spared, end).await?;
        let ends = self.store.ends(tenant, &[], &[user]).await?;
        self.of(tenant, |held| {
            // One of them may have given its place to another meanwhile, which then has ended as well.
            for late in held.open(Some(user), end.at).filter(|one| !ids.contains(&one.id)).cloned().collect::<Vec<_>>()
            {
                if ends.of(&late)?.is_some() {
                    ids.push(late.id);
                }
            }
            ids.retain(|id| held.mark_ended(*id, end, true));
            Ok(ids)
        })
    }

    pub(super) async fn replace(&self, old: SessionId, end: End, next: &Session) -> Result<bool, StoreFault> {
        let tenant = &next.tenant;
        let before = self.as_it_is(tenant, old).await?.filter(|before| before.ended.is_none());
        let Some(before) = before.filter(|_| self.of(tenant, |held| held.session(next.id).is_none())) else {
            return Ok(false);
        };
        // If we crash after this, the person signs in again.
        if !self.store.sessions_ended(tenant, &[(old, dropped(before.expires))], end).await? {
            return Ok(false);
        }
        // Whom somebody else has ended meanwhile, and was told so: nothing takes its place.
        Ok(self.of(tenant, |held| held.mark_ended(old, end, true) && held.keep_session(next)))
    }
}
