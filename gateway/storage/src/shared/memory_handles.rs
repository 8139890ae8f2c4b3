//! Handles in memory.

use cardea_core::{TenantId, Timestamp};
use cardea_identity::{HandleHash, HandleRecord, Session};

use super::{
    ended::{What, dropped},
    memory::{Held, MemoryShared},
};
use crate::StoreFault;

/// A handle that is held.
pub(super) struct KeptHandle {
    record: HandleRecord,
    /// What was given out last to take its place.
    successor: Option<HandleHash>,
    /// What it superseded, and when, until that is written in the durable store.
    owes: Option<(HandleHash, Timestamp)>,
}

impl KeptHandle {
    fn new(record: HandleRecord) -> Self {
        Self { record, successor: None, owes: None }
    }
}

impl Held {
    /// Keeps a handle that is not kept yet, until its session reaches its greatest age.
    pub(super) fn keep_handle(&mut self, handle: &HandleRecord, session: &Session) {
        if !self.handles.holds(&handle.hash) {
            self.handles.insert(handle.hash, session.expires, KeptHandle::new(handle.clone()));
        }
    }

    /// Gives a handle a successor, in the place of one that was never shown.
    pub(super) fn offer(&mut self, before: &HandleRecord, next: &HandleRecord, session: &Session) -> bool {
        let Some(stands) = self.handles.get_mut(&before.hash) else { return false };
        if stands.record.superseded_at.is_some() || stands.record.offered_at != before.offered_at {
            return false;
        }
        stands.record.offered_at = Some(next.issued_at);
        if let Some(lost) = stands.successor.replace(next.hash) {
            self.handles.remove(&lost);
        }
        let next = HandleRecord { replaces: Some(before.hash), ..next.clone() };
        self.handles.insert(next.hash, session.expires, KeptHandle::new(next));
        true
    }

    /// Notes that a handle was shown, and tells what it owes; nothing where it is not kept.
    fn show(&mut self, hash: &HandleHash, at: Timestamp) -> Option<Owed> {
        let kept = self.handles.get_mut(hash)?;
        if let Some(replaced) = kept.record.replaces.take() {
            kept.owes = Some((replaced, at));
            if let Some(before) = self.handles.get_mut(&replaced) {
                before.record.superseded_at.get_or_insert(at);
                before.successor = None;
            }
        }
        self.owed(hash)
    }

    fn owed(&self, hash: &HandleHash) -> Option<Owed> {
        self.handles.until(hash).map(|(expires, kept)| Owed { shown: *hash, owes: kept.owes, expires })
    }

    fn settled(&mut self, owed: &Owed) {
        if let Some(kept) = self.handles.get_mut(&owed.shown)
            && kept.owes == owed.owes
        {
            kept.owes = None;
        }
    }
}

/// What a handle that was shown has superseded, if that is not written yet.
struct Owed {
    shown: HandleHash,
    owes: Option<(HandleHash, Timestamp)>,
    expires: Timestamp,
}

impl MemoryShared {
    pub(super) async fn opened(
        &self,
        tenant: &TenantId,
        hash: &HandleHash,
    ) -> Result<Option<(HandleRecord, Session)>, StoreFault> {
        let known = self.of(tenant, |held| {
            let session = held.session(held.handles.get(hash)?.record.session)?;
            Some((session.id, session.user, held.owed(hash)?))
        });
        let Some((id, user, owed)) = known else { return Ok(None) };
        // Whoever showed it failed in the middle.
        self.settle(tenant, &owed).await?;
        let ends = self.store.ends(tenant, &[What::Session(id), What::Handle(hash)], &[user]).await?;
        self.of(tenant, |held| {
            held.apply(&[id], &ends)?;
            let handle = held.handles.get(hash).map(|kept| ends.applied_to(kept.record.clone()));
            Ok(handle.zip(held.session(id).cloned()))
        })
    }

    pub(super) async fn shown(&self, handle: &HandleRecord, at: Timestamp) -> Result<bool, StoreFault> {
        let Some(owed) = self.of(&handle.tenant, |held| held.show(&handle.hash, at)) else { return Ok(false) };
        self.settle(&handle.tenant, &owed).await?;
        Ok(true)
    }

    /// Writes what a handle that was shown has superseded.
    async fn settle(&self, tenant: &TenantId, owed: &Owed) -> Result<(), StoreFault> {
        let Some((superseded, at)) = &owed.owes else { return Ok(()) };
        self.store.over(tenant, &What::Handle(superseded), *at, dropped(owed.expires)).await?;
        self.of(tenant, |held| held.settled(owed));
        Ok(())
    }
}
