//! Handles in Redis.

use std::time::Duration;

use ::redis::AsyncCommands as _;
use cardea_core::{TenantId, Timestamp};
use cardea_identity::{HandleHash, HandleRecord, Session};

use super::{
    ended::{What, dropped},
    redis::{RedisShared, px},
};
use crate::StoreFault;

impl RedisShared {
    pub(super) async fn keep_handle(&self, handle: &HandleRecord, session: &Session) -> Result<(), StoreFault> {
        let keys = [self.keys.handle(&handle.tenant, &handle.hash)];
        let args = [&body(handle)?, &px(session.expires, handle.issued_at)];
        let _: u32 = self.run(&self.scripts.handle_insert, &keys, &args.map(String::as_str)).await?;
        Ok(())
    }

    pub(super) async fn handle(
        &self,
        tenant: &TenantId,
        hash: &HandleHash,
    ) -> Result<Option<HandleRecord>, StoreFault> {
        type Fields = (Option<String>, Option<String>, Option<i64>, Option<i64>, Option<String>);
        let key = self.keys.handle(tenant, hash);
        let fields = ["body", "replaces", "offered_at", "superseded_at", "owes"];
        let (body, replaces, offered, superseded, owes): Fields = self.connection.clone().hmget(key, &fields).await?;
        let Some(body) = body else { return Ok(None) };
        if let Some(owes) = owes {
            // Whoever showed it failed in the middle.
            self.settle(tenant, hash, &owes).await?;
        }
        let handle: HandleRecord = serde_json::from_str(&body).map_err(|why| StoreFault::corrupt("handle", why))?;
        let replaces = replaces.map(|text| HandleHash::parse(&text)).transpose();
        Ok(Some(HandleRecord {
            replaces: replaces.map_err(|why| StoreFault::corrupt("replaces", why))?,
            offered_at: offered.map(Timestamp::from_micros),
            superseded_at: superseded.map(Timestamp::from_micros),
            ..handle
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
        let args = [
            &micros(before.offered_at),
            &micros(Some(next.issued_at)),
            &before.hash.to_string(),
            &next.hash.to_string(),
            &body(next)?,
            &px(session.expires, next.issued_at),
            &self.keys.handle_stem(tenant),
        ];
        let done: u32 = self.run(&self.scripts.handle_offer, &keys, &args.map(String::as_str)).await?;
        Ok(done == 1)
    }

    pub(super) async fn shown(&self, handle: &HandleRecord, at: Timestamp) -> Result<bool, StoreFault> {
        let (tenant, at) = (&handle.tenant, micros(Some(at)));
        // Who replaces nothing replaces itself here: the script then finds nothing to do.
        let replaced = handle.replaces.as_ref().unwrap_or(&handle.hash);
        let keys = [self.keys.handle(tenant, &handle.hash), self.keys.handle(tenant, replaced)];
        let owes: Option<String> = self.run(&self.scripts.handle_shown, &keys, &[&at, &replaced.to_string()]).await?;
        let Some(owes) = owes else { return Ok(false) };
        if !owes.is_empty() {
            self.settle(tenant, &handle.hash, &owes).await?;
        }
        Ok(true)
    }

    /// Writes what a handle that was shown has superseded.
    async fn settle(&self, tenant: &TenantId, shown: &HandleHash, owes: &str) -> Result<(), StoreFault> {
        let read = || {
            let mut words = owes.split(' ');
            let superseded = HandleHash::parse(words.next()?).ok()?;
            let at = Timestamp::from_micros(words.next()?.parse().ok()?);
            Some((superseded, at, Duration::from_millis(words.next()?.parse().ok()?)))
        };
        let (superseded, at, left) = read().ok_or_else(|| StoreFault::corrupt("owes", format!("`{owes}`")))?;
        self.store.over(tenant, &What::Handle(&superseded), at, dropped(at.plus(left))).await?;
        let _: u32 = self.run(&self.scripts.handle_settled, &[self.keys.handle(tenant, shown)], &[owes]).await?;
        Ok(())
    }
}

/// What never changes of a handle; the rest has fields of its own.
pub(super) fn body(handle: &HandleRecord) -> Result<String, StoreFault> {
    let still = HandleRecord { replaces: None, offered_at: None, superseded_at: None, ..handle.clone() };
    Ok(serde_json::to_string(&still)?)
}

/// Microseconds as scripts take them; an empty text where there is no time.
fn micros(at: Option<Timestamp>) -> String {
    at.map(|at| at.as_micros().to_string()).unwrap_or_default()
}
