//! From one entry of a request to the other, where its app wants one before the request is forwarded.

use std::time::Duration;

use cardea_audit::Entry;
use cardea_core::{TenantId, Timestamp};

use crate::{
    Logged, Store, StoreFault,
    log::Opened,
    row::{Read, owner},
};

/// So many entries of one millisecond are looked through; at ten thousand requests a second there are some twenty.
const NEIGHBOURS: i64 = 1_000;

impl Store {
    /// The other entry of the same request: the end of an admission, or the admission of an end. None for an entry that
    /// stands alone, and for an admission whose request is under way, or was broken off with the gateway.
    pub async fn other_half(&self, tenant: Option<&TenantId>, entry: &Entry) -> Result<Option<Logged>, StoreFault> {
        if let Some(admission) = entry.ended() {
            return self.log_entry(tenant, admission).await;
        }
        if !entry.is_admission() {
            return Ok(None);
        }
        // Both entries tell when the request came, and their ids begin with that millisecond. The tenant is compared
        // here, so that the index over ids is the only way to go.
        let (from, to) = (first_id_of(entry.at), first_id_of(entry.at.plus(Duration::from_millis(1))));
        let sql = "SELECT tenant, seq, sealed, leaf, link FROM log WHERE id >= $1 AND id < $2 ORDER BY id LIMIT $3";
        let mut rows = sqlx::query(sql).bind(from).bind(to).bind(NEIGHBOURS).fetch_all(self.reader()).await?;
        rows.retain(|row| row.text("tenant").is_ok_and(|of| of == owner(tenant)));
        for near in self.opened(tenant, &rows).await?.into_iter().filter_map(Opened::whole) {
            if near.entry()?.ended() == Some(entry.id) {
                return Ok(Some(near));
            }
        }
        Ok(None)
    }
}

/// The least id that could be minted then: the time in front (RFC 9562 section 5.7), zeros behind.
fn first_id_of(at: Timestamp) -> String {
    let millis = format!("{:012x}", at.as_millis().max(0));
    let (high, low) = millis.split_at(8);
    format!("{high}-{low}-0000-0000-000000000000")
}

#[cfg(test)]
#[path = "halves_tests.rs"]
mod tests;
