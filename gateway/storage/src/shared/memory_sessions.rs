//! Sessions in memory, as they are: what the durable store knows of their ends is asked before each answer.

use std::collections::{BTreeSet, HashMap, hash_map::Entry};

use cardea_core::{SessionId, TenantId, Timestamp, UserId};
use cardea_identity::{Session, session::End};

use super::{
    ended::{Ends, What, dropped},
    memory::{Held, MemoryShared},
};
use crate::{
    LINGER_IN_REDIS, StoreFault,
    changes::{Announced, Change},
};

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
        let Session { id, user, expires, .. } = *session;
        if self.sessions.holds(&id) {
            return false;
        }
        self.of_users.entry(user).or_default().insert(id);
        if session.ended.is_none() {
            self.open.insert((expires, id));
        }
        self.sessions.insert(id, expires, KeptSession { session: session.clone(), told: false });
        true
    }

    /// The session, as far as memory knows.
    pub(super) fn session(&self, id: SessionId) -> Option<&Session> {
        self.sessions.get(&id).map(|kept| &kept.session)
    }

    /// A user's sessions that have neither ended nor reached their greatest age.
    fn open(&self, user: UserId, now: Timestamp) -> impl Iterator<Item = &Session> {
        let theirs = self.of_users.get(&user).into_iter().flatten().filter_map(|id| self.session(*id));
        theirs.filter(move |session| session.ended.is_none() && session.expires > now)
    }

    /// How many there are of all users. Whatever has reached its greatest age is counted off one by one, and goes with the next sweeps.
    pub(super) fn count_open(&self, now: Timestamp) -> u64 {
        let over = self.open.iter().take_while(|(expires, _)| *expires <= now).count();
        (self.open.len() - over) as u64
    }

    /// A user's, newest first.
    pub(super) fn open_of(&self, user: UserId, now: Timestamp) -> Vec<Session> {
        let mut open: Vec<_> = self.open(user, now).cloned().collect();
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
            let Some(KeptSession { session, .. }) = self.sessions.get_mut(id) else { continue };
            *session = ends.applied(session.clone())?;
            if session.ended.is_some() {
                self.open.remove(&(session.expires, *id));
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
            self.open.remove(&(kept.session.expires, id));
        }
        true
    }

    /// Drops one that reached its greatest age by then; tells whether there was any.
    pub(super) fn drop_session(&mut self, by: Timestamp) -> bool {
        let Some((id, KeptSession { session, .. })) = self.sessions.pop_over(by) else { return false };
        self.open.remove(&(session.expires, id));
        if let Entry::Occupied(mut theirs) = self.of_users.entry(session.user) {
            theirs.get_mut().remove(&id);
            if theirs.get().is_empty() {
                theirs.remove();
            }
        }
        true
    }

    /// The sessions that are open here of which an announced change tells an end.
    fn meant(&self, change: &Change) -> Vec<SessionId> {
        let theirs: Vec<_> = match change {
            Change::Session(id) => vec![*id],
            Change::SessionsOf(user) => self.of_users.get(user).into_iter().flatten().copied().collect(),
            _ => Vec::new(),
        };
        let open = |id: &SessionId| self.session(*id).is_some_and(|session| session.ended.is_none());
        theirs.into_iter().filter(open).collect()
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

    /// Asks the durable store which of a user's sessions that are open here have ended.
    pub(super) async fn learn_ends_of(
        &self,
        tenant: &TenantId,
        user: UserId,
        now: Timestamp,
    ) -> Result<(), StoreFault> {
        let open: Vec<_> = self.of(tenant, |held| held.open(user, now).map(|session| session.id).collect());
        self.learn_ends(tenant, &open).await
    }

    /// The same of what others have announced since this was last asked: whoever ends a session says so where it is written.
    pub(super) async fn learn_announced(&self) -> Result<(), StoreFault> {
        let mut heard = self.heard.lock().await;
        loop {
            let news = self.store.changes_since(*heard).await?;
            let Some(last) = news.last().map(|one| one.seq) else { return Ok(()) };
            let mut meant = HashMap::<_, BTreeSet<_>>::new();
            for Announced { tenant, change, .. } in &news {
                if let (Some(tenant), Change::Session(_) | Change::SessionsOf(_)) = (tenant, change) {
                    meant.entry(tenant).or_default().extend(self.of(tenant, |held| held.meant(change)));
                }
            }
            for (tenant, ids) in meant {
                self.learn_ends(tenant, &ids.into_iter().collect::<Vec<_>>()).await?;
            }
            *heard = last;
        }
    }

    async fn learn_ends(&self, tenant: &TenantId, ids: &[SessionId]) -> Result<(), StoreFault> {
        for ids in ids.chunks(STRIDE) {
            let users = |held: &mut Held| ids.iter().filter_map(|id| Some(held.session(*id)?.user)).collect();
            let users: BTreeSet<UserId> = self.of(tenant, users);
            let whats: Vec<_> = ids.iter().copied().map(What::Session).collect();
            let ends = self.store.ends(tenant, &whats, &users.into_iter().collect::<Vec<_>>()).await?;
            self.of(tenant, |held| held.apply(ids, &ends))?;
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
        let open = || -> Vec<SessionId> {
            let all = |held: &mut Held| held.open(user, end.at).map(|one| one.id).collect::<Vec<_>>();
            self.of(tenant, all).into_iter().filter(|id| Some(*id) != except).collect()
        };
        // One that is about to give its place to another is written as ended before it is marked so here.
        let known = open();
        self.learn_ends_of(tenant, user, end.at).await?;
        let ids = open();
        let spared = except.map(|id| id.to_string()).unwrap_or_default();
        self.store.user_ended((tenant, user), &ids, &spared, end).await?;
        // It is done, whatever becomes of this: whoever asks again would be told of none.
        let ends = self.store.ends(tenant, &[], &[user]).await.unwrap_or_else(|error| {
            tracing::warn!(%tenant, %error, "a session that rose while all ended may be told to no app");
            Ends::default()
        });
        Ok(self.of(tenant, |held| {
            // One of them may have given its place to another meanwhile, which then has ended as well.
            let open: Vec<_> = held.open(user, end.at).filter(|one| Some(one.id) != except).cloned().collect();
            let late = open.iter().filter(|one| !ids.contains(&one.id) && ends.of_late(one, &known).unwrap_or(true));
            let all: Vec<_> = ids.iter().copied().chain(late.map(|one| one.id)).collect();
            all.into_iter().filter(|id| held.mark_ended(*id, end, true)).collect()
        }))
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
