//! What people have let clients do, and the refresh tokens of it. INVARIANT: of two who use one refresh token, one gets a successor; and
//! what has ended never becomes live again.

use std::{collections::BTreeSet, net::IpAddr};

use cardea_core::{AppId, Assurance, ClientId, GrantId, SessionId, TenantId, Timestamp, UserId};
use cardea_identity::{
    Sealer, TicketHash,
    oauth2::{
        Grant, RefreshHash, RefreshToken, Scope,
        access_token::Confirmation,
        grant::{GrantEnd, GrantEndReason},
    },
};
use serde::{Deserialize, Serialize};
use sqlx::any::AnyRow;

use crate::{
    Store, StoreFault,
    changes::{Change, announce},
    row::Read,
    sealed::{self, Place},
    writing::Writing,
};

/// What of a grant lies sealed.
#[derive(Serialize, Deserialize)]
struct Body {
    scope: Scope,
    apps: BTreeSet<AppId>,
    assurance: Assurance,
    factors: Vec<String>,
    signed_in_at: Timestamp,
    bound: Option<Confirmation>,
    agent: String,
    address: Option<IpAddr>,
    session: SessionId,
}

impl Store {
    /// Keeps a new grant with its first refresh token, unless all that its person let programs do was ended after they had said yes,
    /// at `given`; tells whether it did. `code`: what it was given for; a second grant for one code is a fault. Of more than
    /// [`MOST`] for one client the oldest ends.
    ///
    /// INVARIANT: one step. Whoever ends all at the same time leaves none.
    pub async fn grant_insert(
        &self,
        grant: &Grant,
        (code, given): (Option<&TicketHash>, Timestamp),
        first: &RefreshToken,
    ) -> Result<bool, StoreFault> {
        let (mut tx, sealer) = self.write_sealed(Some(&grant.tenant)).await?;
        let sql = "SELECT 1 AS over FROM programs_ended WHERE tenant = $1 AND user_id = $2 AND at >= $3";
        let over = sqlx::query(sql)
            .bind(grant.tenant.as_str())
            .bind(grant.user.to_string())
            .bind(given.as_micros())
            .fetch_optional(&mut *tx)
            .await?;
        if over.is_some() {
            return Ok(false);
        }
        let body = Body {
            scope: grant.scope.clone(),
            apps: grant.apps.clone(),
            assurance: grant.assurance,
            factors: grant.factors.clone(),
            signed_in_at: grant.signed_in_at,
            bound: grant.bound.clone(),
            agent: grant.agent.clone(),
            address: grant.address,
            session: grant.session,
        };
        let sealed = sealed::seal(&sealer, Place::Grant(grant.id), &body, self.entropy()?)?;
        sqlx::query(
            "INSERT INTO grants (tenant, id, user_id, client, code, sealed, created_at, last_used_at, expires_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        )
        .bind(grant.tenant.as_str())
        .bind(grant.id.to_string())
        .bind(grant.user.to_string())
        .bind(grant.client.as_str())
        .bind(code.map(ToString::to_string))
        .bind(sealed)
        .bind(grant.created.as_micros())
        .bind(grant.last_used.as_micros())
        .bind(grant.expires.as_micros())
        .execute(&mut *tx)
        .await?;
        put_refresh(&mut tx, first).await?;
        let sql = "UPDATE grants SET ended_at = $4, ended_why = $5 WHERE tenant = $1 AND user_id = $2 AND client = $3 \
                   AND ended_at IS NULL AND id NOT IN (SELECT id FROM grants WHERE tenant = $1 AND user_id = $2 \
                   AND client = $3 AND ended_at IS NULL ORDER BY created_at DESC, id DESC LIMIT $6)";
        let oldest = sqlx::query(sql)
            .bind(grant.tenant.as_str())
            .bind(grant.user.to_string())
            .bind(grant.client.as_str())
            .bind(grant.created.as_micros())
            .bind(GrantEndReason::Expired.as_str())
            .bind(MOST)
            .execute(&mut *tx)
            .await?;
        if oldest.rows_affected() > 0 {
            announce(&mut tx, Some(&grant.tenant), &Change::User(grant.user), grant.created).await?;
        }
        tx.commit().await?;
        Ok(true)
    }

    /// A grant, ended or not.
    pub async fn grant(&self, tenant: &TenantId, id: GrantId) -> Result<Option<Grant>, StoreFault> {
        let sql = "SELECT * FROM grants WHERE tenant = $1 AND id = $2";
        let rows = sqlx::query(sql).bind(tenant.as_str()).bind(id.to_string()).fetch_all(self.reader()).await?;
        Ok(self.opened_grants(tenant, &rows).await?.pop())
    }

    /// The grant that was given for a code.
    pub async fn grant_by_code(&self, tenant: &TenantId, code: &TicketHash) -> Result<Option<Grant>, StoreFault> {
        let sql = "SELECT * FROM grants WHERE tenant = $1 AND code = $2";
        let rows = sqlx::query(sql).bind(tenant.as_str()).bind(code.to_string()).fetch_all(self.reader()).await?;
        Ok(self.opened_grants(tenant, &rows).await?.pop())
    }

    /// A user's grants that are not over, newest first.
    pub async fn grants_of(&self, tenant: &TenantId, user: UserId, now: Timestamp) -> Result<Vec<Grant>, StoreFault> {
        let sql = "SELECT * FROM grants WHERE tenant = $1 AND user_id = $2 AND ended_at IS NULL AND expires_at > $3 \
                   ORDER BY created_at DESC, id DESC";
        let rows = sqlx::query(sql)
            .bind(tenant.as_str())
            .bind(user.to_string())
            .bind(now.as_micros())
            .fetch_all(self.reader())
            .await?;
        self.opened_grants(tenant, &rows).await
    }

    async fn opened_grants(&self, tenant: &TenantId, rows: &[AnyRow]) -> Result<Vec<Grant>, StoreFault> {
        let sealer = self.opener(Some(tenant), rows, "sealed").await?;
        rows.iter().map(|row| grant(&sealer, tenant, row)).collect()
    }

    /// A refresh token, used or not; `from` shows it now.
    pub async fn refresh_token(
        &self,
        tenant: &TenantId,
        hash: &RefreshHash,
        from: IpAddr,
    ) -> Result<Option<RefreshToken>, StoreFault> {
        let sql = "SELECT grant_id, issued_at, used_at, used_from FROM refresh_tokens WHERE tenant = $1 AND hash = $2";
        let row = sqlx::query(sql).bind(tenant.as_str()).bind(hash.to_string()).fetch_optional(self.reader()).await?;
        let Some(row) = row else { return Ok(None) };
        let marks = self.sealer(Some(tenant)).await?.marks(USED_FROM, &from.to_canonical().to_string());
        let used_from = row.opt_text("used_from")?;
        Ok(Some(RefreshToken {
            hash: *hash,
            tenant: tenant.clone(),
            grant: row.parsed("grant_id", GrantId::parse)?,
            issued_at: row.time("issued_at")?,
            used_at: row.opt_time("used_at")?,
            used_here: used_from.is_some_and(|used| marks.contains(&used)),
        }))
    }

    /// Gives a refresh token its successor, if it was not used and its grant has not ended; true for exactly one caller. The
    /// grant was used at that time, from that address.
    pub async fn refresh_succeed(
        &self,
        before: &RefreshHash,
        next: &RefreshToken,
        from: IpAddr,
    ) -> Result<bool, StoreFault> {
        let (tenant, at) = (next.tenant.as_str(), next.issued_at.as_micros());
        let (mut tx, sealer) = self.write_sealed(Some(&next.tenant)).await?;
        let from = sealer.marks(USED_FROM, &from.to_canonical().to_string()).into_iter().next();
        let sql = "UPDATE grants SET last_used_at = $3 WHERE tenant = $1 AND id = $2 AND ended_at IS NULL";
        let live = sqlx::query(sql).bind(tenant).bind(next.grant.to_string()).bind(at).execute(&mut *tx).await?;
        let sql = "UPDATE refresh_tokens SET used_at = $4, used_from = $5 \
                   WHERE tenant = $1 AND hash = $2 AND grant_id = $3 AND used_at IS NULL";
        let used = sqlx::query(sql)
            .bind(tenant)
            .bind(before.to_string())
            .bind(next.grant.to_string())
            .bind(at)
            .bind(from)
            .execute(&mut *tx)
            .await?;
        if live.rows_affected() != 1 || used.rows_affected() != 1 {
            return Ok(false);
        }
        put_refresh(&mut tx, next).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Ends a grant; true for exactly one caller, and the first end stands. It is announced, so that no gateway takes a token of it
    /// any more.
    pub async fn grant_end(&self, tenant: &TenantId, id: GrantId, end: GrantEnd) -> Result<bool, StoreFault> {
        let mut tx = self.write().await?;
        let sql = "UPDATE grants SET ended_at = $3, ended_why = $4 WHERE tenant = $1 AND id = $2 AND ended_at IS NULL";
        let done = sqlx::query(sql)
            .bind(tenant.as_str())
            .bind(id.to_string())
            .bind(end.at.as_micros())
            .bind(end.why.as_str())
            .execute(&mut *tx)
            .await?;
        announce(&mut tx, Some(tenant), &Change::Grant(id), end.at).await?;
        tx.commit().await?;
        Ok(done.rows_affected() == 1)
    }

    /// Ends all grants of a user, and lets go of all of their access keys; tells how many there were of both. A yes from before is
    /// worth nothing from then on.
    pub async fn end_programs_of(&self, tenant: &TenantId, user: UserId, end: GrantEnd) -> Result<u64, StoreFault> {
        let mut tx = self.write().await?;
        let done = end_all_in(&mut tx, tenant, user, end).await?;
        announce(&mut tx, Some(tenant), &Change::User(user), end.at).await?;
        tx.commit().await?;
        Ok(done)
    }

    /// Lets go of grants that ended long ago, with their refresh tokens, and of what else is past its time; to be called now and then.
    pub async fn sweep_programs(&self, now: Timestamp) -> Result<(), StoreFault> {
        let mut tx = self.write().await?;
        let past = now.minus(KEPT).as_micros();
        for sql in SWEEP {
            sqlx::query(*sql).bind(past).execute(&mut *tx).await?;
        }
        // Who shows one of these is refused as if it had never been; what came of it has gone on for a week.
        let week = now.minus(std::time::Duration::from_secs(7 * 24 * 3600)).as_micros();
        sqlx::query("DELETE FROM refresh_tokens WHERE used_at < $1").bind(week).execute(&mut *tx).await?;
        // A code that lies in a browser's history ends nothing any more.
        let hour = now.minus(std::time::Duration::from_secs(3600)).as_micros();
        let sql = "UPDATE grants SET code = NULL WHERE code IS NOT NULL AND created_at < $1";
        sqlx::query(sql).bind(hour).execute(&mut *tx).await?;
        sqlx::query("DELETE FROM programs_ended WHERE at < $1").bind(past).execute(&mut *tx).await?;
        sqlx::query("DELETE FROM revoked_tokens WHERE until < $1").bind(now.as_micros()).execute(&mut *tx).await?;
        tx.commit().await
    }
}

/// The most grants of one person for one client: a tool on each of their machines, and those that they gave away.
const MOST: i64 = 20;

/// By which marks the address is known from which a refresh token was used.
const USED_FROM: &str = "refresh-from";

/// How long what is over is kept: a refresh token of a grant that ended is told from one that never was. A day.
const KEPT: std::time::Duration = std::time::Duration::from_secs(24 * 3600);

const SWEEP: &[&str] = &[
    "DELETE FROM refresh_tokens WHERE grant_id IN (SELECT id FROM grants WHERE expires_at < $1 OR ended_at < $1)",
    "DELETE FROM grants WHERE expires_at < $1 OR ended_at < $1",
    "DELETE FROM access_keys WHERE expires_at < $1",
];

/// Ends a user's grants and deletes their keys, once the transaction ends well.
pub(crate) async fn end_all_in(
    tx: &mut Writing,
    tenant: &TenantId,
    user: UserId,
    end: GrantEnd,
) -> Result<u64, StoreFault> {
    let sql = "UPDATE grants SET ended_at = $3, ended_why = $4 WHERE tenant = $1 AND user_id = $2 AND ended_at IS NULL";
    let grants = sqlx::query(sql)
        .bind(tenant.as_str())
        .bind(user.to_string())
        .bind(end.at.as_micros())
        .bind(end.why.as_str())
        .execute(&mut **tx)
        .await?;
    let keys = sqlx::query("DELETE FROM access_keys WHERE tenant = $1 AND user_id = $2")
        .bind(tenant.as_str())
        .bind(user.to_string())
        .execute(&mut **tx)
        .await?;
    let sql = "INSERT INTO programs_ended (tenant, user_id, at) VALUES ($1, $2, $3) \
               ON CONFLICT (tenant, user_id) DO UPDATE SET at = max(programs_ended.at, excluded.at)";
    sqlx::query(sql).bind(tenant.as_str()).bind(user.to_string()).bind(end.at.as_micros()).execute(&mut **tx).await?;
    Ok(grants.rows_affected() + keys.rows_affected())
}

async fn put_refresh(tx: &mut Writing, token: &RefreshToken) -> Result<(), StoreFault> {
    sqlx::query("INSERT INTO refresh_tokens (tenant, hash, grant_id, issued_at) VALUES ($1, $2, $3, $4)")
        .bind(token.tenant.as_str())
        .bind(token.hash.to_string())
        .bind(token.grant.to_string())
        .bind(token.issued_at.as_micros())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

fn grant(sealer: &Sealer, tenant: &TenantId, row: &AnyRow) -> Result<Grant, StoreFault> {
    let id = row.parsed("id", GrantId::parse)?;
    let body: Body = sealed::open(sealer, Place::Grant(id), row.bytes("sealed")?)?;
    let ended = match (row.opt_time("ended_at")?, row.opt_text("ended_why")?) {
        (Some(at), Some(why)) => {
            let why = GrantEndReason::parse(&why).ok_or_else(|| StoreFault::corrupt("ended_why", why))?;
            Some(GrantEnd { at, why })
        }
        (None, None) => None,
        _ => return Err(StoreFault::corrupt("ended_at", "without its reason, or that without it")),
    };
    Ok(Grant {
        id,
        tenant: tenant.clone(),
        client: row.parsed("client", ClientId::parse)?,
        user: row.parsed("user_id", UserId::parse)?,
        scope: body.scope,
        apps: body.apps,
        assurance: body.assurance,
        factors: body.factors,
        signed_in_at: body.signed_in_at,
        bound: body.bound,
        agent: body.agent,
        address: body.address,
        session: body.session,
        created: row.time("created_at")?,
        last_used: row.time("last_used_at")?,
        expires: row.time("expires_at")?,
        ended,
    })
}

#[cfg(test)]
#[path = "grants_tests.rs"]
mod tests;
