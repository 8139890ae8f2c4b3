//! One-time values and tries in SQL, and what counts once wherever tries are.

use std::{collections::HashMap, time::Duration};

use cardea_core::{TenantId, Timestamp};
use cardea_identity::{
    Sealed, Sealer, TicketHash,
    guard::{Limit, Tries},
    one_time::{OneTime, Purpose},
};
use sqlx::{Any, Executor, any::AnyRow};

use super::{Forgiven, ended::What, names_of_tries};
use crate::{Store, StoreFault, row::Read, writing::Writing};

pub(super) async fn put(store: &Store, value: &OneTime) -> Result<(), StoreFault> {
    sqlx::query(
        "INSERT INTO one_time (tenant, purpose, hash, body, expires_at) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (tenant, purpose, hash) DO UPDATE SET body = excluded.body, expires_at = excluded.expires_at",
    )
    .bind(value.tenant.as_str())
    .bind(value.purpose.as_str())
    .bind(value.hash.to_string())
    .bind(value.body.as_str())
    .bind(value.expires.as_micros())
    .execute(&mut *store.turn().await?)
    .await?;
    Ok(())
}

pub(super) async fn peek(
    store: &Store,
    tenant: &TenantId,
    purpose: Purpose,
    hash: &TicketHash,
    now: Timestamp,
) -> Result<Option<OneTime>, StoreFault> {
    let row = sqlx::query(
        "SELECT body, expires_at FROM one_time \
         WHERE tenant = $1 AND purpose = $2 AND hash = $3 AND expires_at > $4",
    )
    .bind(tenant.as_str())
    .bind(purpose.as_str())
    .bind(hash.to_string())
    .bind(now.as_micros())
    .fetch_optional(store.reader())
    .await?;
    let Some(row) = row else { return Ok(None) };
    let value = one_time(&row, tenant, purpose, hash)?;
    // Whoever opens it then knows the key.
    store.sealer_with(Some(tenant), value.body.key_id()).await?;
    Ok(Some(value))
}

pub(super) async fn take(
    store: &Store,
    tenant: &TenantId,
    purpose: Purpose,
    hash: &TicketHash,
    now: Timestamp,
) -> Result<Option<OneTime>, StoreFault> {
    // INVARIANT: one statement, and all of its rows read: whoever is given the value has taken it, and nobody else.
    let rows = sqlx::query(
        "DELETE FROM one_time WHERE tenant = $1 AND purpose = $2 AND hash = $3 AND expires_at > $4 \
         RETURNING body, expires_at",
    )
    .bind(tenant.as_str())
    .bind(purpose.as_str())
    .bind(hash.to_string())
    .bind(now.as_micros())
    .fetch_all(&mut *store.turn().await?)
    .await?;
    let taken = rows.first().map(|row| one_time(row, tenant, purpose, hash)).transpose()?;
    store.sealer_with(Some(tenant), taken.as_ref().and_then(|value| value.body.key_id())).await?;
    Ok(taken)
}

pub(super) async fn attempt(
    store: &Store,
    tenant: &TenantId,
    limit: &Limit,
    now: Timestamp,
) -> Result<Option<Duration>, StoreFault> {
    attempt_each(store, tenant, &[limit], now).await
}

pub(super) async fn attempt_each(
    store: &Store,
    tenant: &TenantId,
    limits: &[&Limit],
    now: Timestamp,
) -> Result<Option<Duration>, StoreFault> {
    let (mut tx, sealer) = store.write_sealed_in(tenant).await?;
    let mut kept = Kept::read(&mut tx, &sealer, tenant, limits.iter().copied()).await?;
    for limit in limits {
        // It may have been shown while tries were in memory.
        if limit.rule.is_once()
            && let Some(until) = spent_until(&mut *tx, tenant, kept.names(limit), now).await?
        {
            return Ok(Some(until.since(now)));
        }
        // What was counted under those before is rolled back.
        if let Err(wait) = kept.change(&mut tx, tenant, limit, |stood| stood.admit(&limit.rule, now)).await? {
            return Ok(Some(wait));
        }
    }
    tx.commit().await?;
    Ok(None)
}

/// Writes that what counts once was shown, for as long as it counts, where tries themselves are not kept. How long that is yet where it
/// was shown before, under whichever key of its tenant. What was written and is past its time is as if it were not there.
pub(super) async fn spend(
    store: &Store,
    tenant: &TenantId,
    (names, life): (&[String], Duration),
    now: Timestamp,
) -> Result<Option<Duration>, StoreFault> {
    let newest = names.first().ok_or(StoreFault::NoKey)?;
    // INVARIANT: one statement: of those who show it at once one is the first.
    let done = sqlx::query(
        "INSERT INTO ended (tenant, what, at, why, until) SELECT $1, $2, $3, '', $4 WHERE NOT EXISTS (SELECT 1 FROM ended \
         WHERE tenant = $1 AND what IN (SELECT value FROM json_each($5)) AND until > $3) \
         ON CONFLICT (tenant, what) DO UPDATE SET at = excluded.at, until = excluded.until WHERE ended.until <= excluded.at",
    )
    .bind(tenant.as_str())
    .bind(What::Spent(newest).to_string())
    .bind(now.as_micros())
    .bind(now.plus(life).as_micros())
    .bind(spent(names)?)
    .execute(&mut *store.turn().await?)
    .await?;
    if done.rows_affected() == 1 {
        return Ok(None);
    }
    let until = spent_until(store.reader(), tenant, names, now).await?;
    Ok(Some(until.map_or(life, |until| until.since(now))))
}

/// Until when something counts no more that was shown under one of these names.
async fn spent_until(
    reader: impl Executor<'_, Database = Any>,
    tenant: &TenantId,
    names: &[String],
    now: Timestamp,
) -> Result<Option<Timestamp>, StoreFault> {
    let sql = "SELECT until FROM ended WHERE tenant = $1 AND what IN (SELECT value FROM json_each($2)) AND until > $3 \
               ORDER BY until DESC LIMIT 1";
    let asked = sqlx::query(sql).bind(tenant.as_str()).bind(spent(names)?).bind(now.as_micros());
    asked.fetch_optional(reader).await?.map(|row| row.time("until")).transpose()
}

fn spent(names: &[String]) -> Result<String, StoreFault> {
    Ok(serde_json::to_string(&names.iter().map(|name| What::Spent(name).to_string()).collect::<Vec<_>>())?)
}

/// Takes over what counts once from the tries that are kept here: it is looked for where [`spend`] writes it from now on. Which of them
/// are of that kind no row tells, and the others are asked for by nobody.
pub(super) async fn all_spent(store: &Store, now: Timestamp) -> Result<(), StoreFault> {
    sqlx::query(
        "INSERT INTO ended (tenant, what, at, why, until) \
         SELECT tenant, 'spent:' || name, last_at, '', forget_at FROM tries WHERE forget_at > $1 AND count > 0 \
         ON CONFLICT (tenant, what) DO UPDATE SET at = excluded.at, until = excluded.until WHERE ended.until < excluded.until",
    )
    .bind(now.as_micros())
    .execute(&mut *store.turn().await?)
    .await?;
    Ok(())
}

pub(super) async fn give_back(store: &Store, tenant: &TenantId, limit: &Limit) -> Result<(), StoreFault> {
    forgive_each(store, tenant, &Forgiven { keys: Vec::new(), back: vec![limit.clone()] }).await
}

pub(super) async fn forgive_each(store: &Store, tenant: &TenantId, forgiven: &Forgiven) -> Result<(), StoreFault> {
    let (mut tx, sealer) = store.write_sealed_in(tenant).await?;
    forgive_in(&mut tx, &sealer, tenant, forgiven).await?;
    tx.commit().await
}

/// Makes tries undone in a transaction under way.
pub(super) async fn forgive_in(
    tx: &mut Writing,
    sealer: &Sealer,
    tenant: &TenantId,
    Forgiven { keys, back }: &Forgiven,
) -> Result<(), StoreFault> {
    let names: Vec<_> = keys.iter().flat_map(|key| names_of_tries(sealer, key)).collect();
    if !names.is_empty() {
        sqlx::query("DELETE FROM tries WHERE tenant = $1 AND name IN (SELECT value FROM json_each($2))")
            .bind(tenant.as_str())
            .bind(serde_json::to_string(&names)?)
            .execute(&mut **tx)
            .await?;
    }
    if back.is_empty() {
        return Ok(());
    }
    let mut kept = Kept::read(tx, sealer, tenant, back).await?;
    for limit in back {
        let back = |stood: Tries| Some(stood.given_back()).filter(|tries| *tries != stood).ok_or(());
        // Nothing below none: what refuses leaves it as it was.
        let _ = kept.change(tx, tenant, limit, back).await?;
    }
    Ok(())
}

/// The tries under some limits, as they stand in a transaction.
struct Kept {
    /// Of each limit's key, the names under which its tries are looked for.
    names: HashMap<String, Vec<String>>,
    tries: HashMap<String, Tries>,
}

impl Kept {
    async fn read(
        tx: &mut Writing,
        sealer: &Sealer,
        tenant: &TenantId,
        limits: impl IntoIterator<Item = &Limit>,
    ) -> Result<Self, StoreFault> {
        let limits = limits.into_iter();
        let names: HashMap<_, _> =
            limits.map(|limit| (limit.key.clone(), names_of_tries(sealer, &limit.key))).collect();
        let all: Vec<_> = names.values().flatten().collect();
        let rows = sqlx::query(
            "SELECT name, count, last_at FROM tries WHERE tenant = $1 AND name IN (SELECT value FROM json_each($2))",
        )
        .bind(tenant.as_str())
        .bind(serde_json::to_string(&all)?)
        .fetch_all(&mut **tx)
        .await?;
        let tries =
            rows.iter().map(|row| Ok((row.text("name")?, Tries { count: count(row)?, last: row.time("last_at")? })));
        let tries = tries.collect::<Result<_, StoreFault>>()?;
        Ok(Self { names, tries })
    }

    fn names(&self, limit: &Limit) -> &[String] {
        self.names.get(&limit.key).map(Vec::as_slice).unwrap_or_default()
    }

    /// Applies `to` to the tries under a limit's key. What `to` refuses is left as it was.
    async fn change<No>(
        &mut self,
        tx: &mut Writing,
        tenant: &TenantId,
        limit: &Limit,
        to: impl FnOnce(Tries) -> Result<Tries, No>,
    ) -> Result<Result<(), No>, StoreFault> {
        let names = self.names.get(&limit.key).map(Vec::as_slice).unwrap_or_default();
        let newest = names.first().ok_or(StoreFault::NoKey)?;
        let stood = names.iter().find_map(|name| self.tries.get(name)).copied().unwrap_or_default();
        let tries = match to(stood) {
            Ok(tries) => tries,
            Err(no) => return Ok(Err(no)),
        };
        let stands = self.tries.insert(newest.clone(), tries).unwrap_or_default();
        // Compare-and-set, for databases where a transaction does not shut out other writers.
        let done = sqlx::query(
            "INSERT INTO tries (tenant, name, count, last_at, forget_at) VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT (tenant, name) DO UPDATE SET count = excluded.count, last_at = excluded.last_at, \
             forget_at = excluded.forget_at WHERE tries.count = $6 AND tries.last_at = $7",
        )
        .bind(tenant.as_str())
        .bind(newest.as_str())
        .bind(i64::from(tries.count))
        .bind(tries.last.as_micros())
        .bind(tries.last.plus(limit.rule.forget).as_micros())
        .bind(i64::from(stands.count))
        .bind(stands.last.as_micros())
        .execute(&mut **tx)
        .await?;
        if done.rows_affected() == 0 {
            return Err(StoreFault::Contended { what: "tries" });
        }
        Ok(Ok(()))
    }
}

fn one_time(row: &AnyRow, tenant: &TenantId, purpose: Purpose, hash: &TicketHash) -> Result<OneTime, StoreFault> {
    Ok(OneTime {
        purpose,
        hash: *hash,
        tenant: tenant.clone(),
        body: Sealed::from_stored(row.text("body")?),
        expires: row.time("expires_at")?,
    })
}

fn count(row: &AnyRow) -> Result<u32, StoreFault> {
    u32::try_from(row.int("count")?).map_err(|why| StoreFault::corrupt("count", why))
}
