//! Remembered devices: tickets of a person that are used again and again, each time under another key.

use cardea_core::{FactorId, TenantId, Timestamp, UserId};
use cardea_identity::TicketHash;

use crate::{
    Store, StoreFault, TicketKind, TicketRecord, factors,
    tickets::{insert, ticket},
    writing::Writing,
};

/// Devices that are remembered of one person: the newest. Ten: all that somebody signs in with, and room for those they gave away.
pub const DEVICES: usize = 10;

impl Store {
    /// Keeps a device, if its person is active and has the factors of `had` still; tells whether it did. With `before` it takes the
    /// place of the device under that key, which must be there still: of two who show one key, one goes on.
    ///
    /// INVARIANT: one step. Whoever removes a factor, or forgets a device, at the same time leaves none that stands in for it.
    pub async fn keep_device(
        &self,
        device: &TicketRecord,
        user: UserId,
        had: &[FactorId],
        before: Option<&TicketHash>,
    ) -> Result<bool, StoreFault> {
        let (tenant, now) = (&device.tenant, device.created);
        let (mut tx, sealer) = self.write_sealed(Some(tenant)).await?;
        if factors::amiss(&mut tx, tenant, user, Some(had)).await?.is_some() {
            return Ok(false);
        }
        if let Some(before) = before
            && !drop_one(&mut tx, tenant, user, before).await?
        {
            return Ok(false);
        }
        insert(&mut tx, (&sealer, self.entropy()?), device).await?;
        // Those of which the time is over, and the oldest of too many.
        sqlx::query(
            "DELETE FROM tickets WHERE tenant = $1 AND kind = $2 AND subject = $3 AND (expires_at <= $4 OR hash NOT IN \
             (SELECT hash FROM tickets WHERE tenant = $1 AND kind = $2 AND subject = $3 AND expires_at > $4 \
             ORDER BY created_at DESC, hash LIMIT $5))",
        )
        .bind(tenant.as_str())
        .bind(TicketKind::Device.as_str())
        .bind(user.to_string())
        .bind(now.as_micros())
        .bind(i64::try_from(DEVICES).unwrap_or(i64::MAX))
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Forgets those of a person's devices that `which` names; gives them. What is past its time goes too, and is not among them.
    pub async fn forget_devices(
        &self,
        tenant: &TenantId,
        user: UserId,
        which: impl Fn(&TicketRecord) -> bool + Send,
        now: Timestamp,
    ) -> Result<Vec<TicketRecord>, StoreFault> {
        let (mut tx, sealer) = self.write_sealed(Some(tenant)).await?;
        let rows = sqlx::query("SELECT * FROM tickets WHERE tenant = $1 AND kind = $2 AND subject = $3")
            .bind(tenant.as_str())
            .bind(TicketKind::Device.as_str())
            .bind(user.to_string())
            .fetch_all(&mut *tx)
            .await?;
        let mut gone = Vec::new();
        for row in &rows {
            let device = ticket(&sealer, row)?;
            let is_over = device.expires <= now;
            if is_over || which(&device) {
                drop_one(&mut tx, tenant, user, &device.hash).await?;
                gone.extend((!is_over).then_some(device));
            }
        }
        tx.commit().await?;
        Ok(gone)
    }

    /// Lets go of every device that is past its time, and of all of these tenants, which let none be remembered; tells how many
    /// those were.
    pub async fn drop_devices(&self, of: &[TenantId], now: Timestamp) -> Result<u64, StoreFault> {
        let mut tx = self.write().await?;
        let done = sqlx::query(
            "DELETE FROM tickets WHERE kind = $1 AND (expires_at <= $2 OR tenant IN (SELECT value FROM json_each($3)))",
        )
        .bind(TicketKind::Device.as_str())
        .bind(now.as_micros())
        .bind(serde_json::to_string(of)?)
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(done.rows_affected())
    }
}

async fn drop_one(tx: &mut Writing, tenant: &TenantId, user: UserId, hash: &TicketHash) -> Result<bool, StoreFault> {
    let done = sqlx::query("DELETE FROM tickets WHERE hash = $1 AND tenant = $2 AND kind = $3 AND subject = $4")
        .bind(hash.to_string())
        .bind(tenant.as_str())
        .bind(TicketKind::Device.as_str())
        .bind(user.to_string())
        .execute(&mut **tx)
        .await?;
    Ok(done.rows_affected() == 1)
}

/// Forgets every device of a person, once the transaction ends well: what they could show is another by then.
pub(crate) async fn drop_all(tx: &mut Writing, tenant: &TenantId, user: UserId) -> Result<(), StoreFault> {
    sqlx::query("DELETE FROM tickets WHERE tenant = $1 AND kind = $2 AND subject = $3")
        .bind(tenant.as_str())
        .bind(TicketKind::Device.as_str())
        .bind(user.to_string())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

#[cfg(test)]
#[path = "devices_tests.rs"]
mod tests;
