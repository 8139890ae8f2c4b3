//! Handles in Redis.

use std::time::Duration;

use ::redis::AsyncCommands as _;
use cardea_core::{SessionId, TenantId, Timestamp};
use cardea_identity::{HandleHash, HandleRecord, Session};

use super::{
    ended::{What, dropped},
    redis::{RedisShared, px},
};
use crate::StoreFault;

impl RedisShared {
    pub(super) async fn keep_handle(&self, handle: &HandleRecord, session: &Session) -> Result<(), StoreFault> {
        let keys = [self.keys.handle(&handle.tenant, &handle.hash)];
        let px = px(session.expires, handle.issued_at);
        let args = [handle.session.as_bytes(), handle.host.as_bytes(), &micros(Some(handle.issued_at)), px.as_bytes()];
        let _: u32 = self.run(&self.scripts.handle_insert, &keys, &args).await?;
        Ok(())
    }

    pub(super) async fn handle(
        &self,
        tenant: &TenantId,
        hash: &HandleHash,
    ) -> Result<Option<HandleRecord>, StoreFault> {
        type Bytes = Option<Vec<u8>>;
        type Fields = (Bytes, Option<String>, Option<i64>, Bytes, Option<i64>, Option<i64>, Bytes);
        let (key, names) = (self.keys.handle(tenant, hash), ["n", "h", "i", "r", "o", "s", "w"]);
        let (session, host, issued, replaces, offered, superseded, owes): Fields =
            self.connection.clone().hmget(key, &names).await?;
        let (Some(session), Some(host), Some(issued)) = (session, host, issued) else { return Ok(None) };
        if let Some(owes) = owes {
            // Whoever showed it failed in the middle.
            self.settle(tenant, hash, &owes).await?;
        }
        let session = session.try_into().map_err(|_| StoreFault::corrupt("handle", "a session's id has 16 bytes"))?;
        let replaces = replaces.map(<[u8; 32]>::try_from).transpose();
        let replaces = replaces.map_err(|_| StoreFault::corrupt("handle", "a hash has 32 bytes"))?;
        Ok(Some(HandleRecord {
            hash: *hash,
            tenant: tenant.clone(),
            session: SessionId::from_bytes(session),
            host,
            issued_at: Timestamp::from_micros(issued),
            replaces: replaces.map(HandleHash::from_bytes),
            offered_at: offered.map(Timestamp::from_micros),
            superseded_at: superseded.map(Timestamp::from_micros),
        }))
    }

    pub(super) async fn offer(
        &self,
        before: &HandleRecord,
        next: &HandleRecord,
        session: &Session,
    ) -> Result<bool, StoreFault> {
        let tenant = &before.tenant;
        let keys = [self.keys.handle(tenant, &before.hash), self.keys.handle(tenant, &next.hash)];
        let px = px(session.expires, next.issued_at);
        let args = [
            next.session.as_bytes(),
            next.host.as_bytes(),
            &micros(Some(next.issued_at)),
            px.as_bytes(),
            before.hash.as_bytes(),
            next.hash.as_bytes(),
            &micros(before.offered_at),
            &self.keys.handle_stem(tenant),
        ];
        let done: u32 = self.run(&self.scripts.handle_offer, &keys, &args).await?;
        Ok(done == 1)
    }

    pub(super) async fn shown(&self, handle: &HandleRecord, at: Timestamp) -> Result<bool, StoreFault> {
        let (tenant, at) = (&handle.tenant, micros(Some(at)));
        // Who replaces nothing replaces itself here: the script then finds nothing to do.
        let replaced = handle.replaces.as_ref().unwrap_or(&handle.hash);
        let keys = [self.keys.handle(tenant, &handle.hash), self.keys.handle(tenant, replaced)];
        let args = [at.as_slice(), replaced.as_bytes()];
        let owes: Option<Vec<u8>> = self.run(&self.scripts.handle_shown, &keys, &args).await?;
        let Some(owes) = owes else { return Ok(false) };
        if !owes.is_empty() {
            self.settle(tenant, &handle.hash, &owes).await?;
        }
        Ok(true)
    }

    /// Writes what a handle that was shown has superseded.
    async fn settle(&self, tenant: &TenantId, shown: &HandleHash, owes: &[u8]) -> Result<(), StoreFault> {
        let (superseded, at, left) = owed(owes).ok_or_else(|| StoreFault::corrupt("owes", "a hash and two times"))?;
        self.store.over(tenant, &What::Handle(&superseded), at, dropped(at.plus(left))).await?;
        let _: u32 = self.run(&self.scripts.handle_settled, &[self.keys.handle(tenant, shown)], &[owes]).await?;
        Ok(())
    }
}

/// Which handle was superseded, when, and for how long that counts.
fn owed(owes: &[u8]) -> Option<(HandleHash, Timestamp, Duration)> {
    let (hash, times) = owes.split_first_chunk()?;
    let (at, left) = std::str::from_utf8(times).ok()?.split_once(' ')?;
    let at = Timestamp::from_micros(at.parse().ok()?);
    Some((HandleHash::from_bytes(*hash), at, Duration::from_millis(left.parse().ok()?)))
}

/// Microseconds as scripts take them; nothing where there is no time.
pub(super) fn micros(at: Option<Timestamp>) -> Vec<u8> {
    at.map(|at| at.as_micros().to_string().into_bytes()).unwrap_or_default()
}
