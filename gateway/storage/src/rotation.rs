//! New keys in the place of old ones, while gateways run. A tenant's new key seals from the moment at which it stands; what
//! was sealed before is sealed again a stretch at a time, and the old key opens until nothing is under it any more. Whoever
//! is interrupted begins again: what is sealed anew already is passed over.

use std::time::Duration;

use cardea_core::{AccessKeyId, Entropy, FactorId, GrantId, ProviderId, SessionId, TenantId, Timestamp, UserId};
use cardea_identity::{
    FactorData, LinkedIdentity, Sealed, Sealer, TicketHash,
    factors::{recovery, totp},
    keys,
    sealing::{EntrySealer, KeyId},
};
use sqlx::{AssertSqlSafe, any::AnyRow};

use crate::{
    Store, StoreFault,
    changes::{Change, announce},
    factors::{Kept, WasKept},
    log::hash,
    row::{Read, owner},
    seal_up::{Row, To, update},
    sealed::{self, ACCOUNT, EMAIL, Place, account},
    writing::Writing,
};

/// How long a key that seals no more still opens at least: longer than what lies in memory, in a browser or in Redis for
/// minutes. An hour: one-time values live ten minutes.
pub const LINGER: Duration = Duration::from_secs(3_600);

/// The same where sessions lie in Redis, which are not sealed again: longer than any lives.
pub const LINGER_IN_REDIS: Duration = Duration::from_secs(31 * 24 * 3_600);

/// Rows that are sealed again in one transaction: whoever else writes waits some hundredth of a second at the most.
const STRIDE: i64 = 200;

/// What came of sealing again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Resealed {
    /// Rows that were sealed under an older key, and are under the newest now.
    pub rows: u64,
    /// From when the older keys open no more; none is left where absent.
    pub opens_until: Option<Timestamp>,
}

type Again = fn(&AnyRow, &Sealer, &dyn Entropy) -> Result<Vec<To>, StoreFault>;

/// What lies sealed: table, its order, columns read, columns set (from `$2` on), and how.
const TABLES: &[(&str, &str, &str, &str, Again)] = &[
    ("users", "rowid", "id, person AS sealed", "person = $2, mark = $3", person),
    ("identities", "rowid", "provider, mark, user_id, sealed", "mark = $2, sealed = $3", identity),
    // After `identities`, from which rows come as they are.
    ("unlinked", "rowid", "provider, mark, user_id, sealed", "mark = $2, sealed = $3", identity),
    ("factors", "rowid", "id, sealed", "sealed = $2", factor),
    ("tickets", "rowid", "hash, sealed", "sealed = $2", ticket),
    ("policy_versions", "rowid", "version, sealed", "sealed = $2", policies),
    ("sessions", "rowid", "id, sealed", "sealed = $2", session),
    ("grants", "rowid", "id, sealed", "sealed = $2", grant),
    ("access_keys", "rowid", "id, sealed", "sealed = $2", access_key),
    ("signing_keys", "rowid", "id, tenant, sealed", "sealed = $2", signing_key),
    ("secrets", "rowid", "id, tenant, purpose, sealed", "sealed = $2", secret),
    ("log", "seq", "tenant, seq, link, sealed", "sealed = $2", entry),
];

impl Store {
    /// Makes another key seal for a tenant, or for the operator's own, from now on. Where a change of keys is under way
    /// already, that one goes on: tells whether a key was made, and the name of the one that seals.
    pub async fn turn_key(&self, tenant: Option<&TenantId>, now: Timestamp) -> Result<(bool, KeyId), StoreFault> {
        let (mut tx, sealer) = self.write_sealed(tenant).await?;
        let newest = |sealer: &Sealer| sealer.ids().next().ok_or(StoreFault::NoKey);
        if sealer.ids().count() > 1 {
            return Ok((false, newest(&sealer)?));
        }
        sqlx::query("UPDATE tenant_keys SET retired_at = $2 WHERE tenant = $1 AND sealed <> ''")
            .bind(owner(tenant))
            .bind(now.as_micros())
            .execute(&mut *tx)
            .await?;
        self.vault().make(&mut tx, owner(tenant)).await?;
        announce(&mut tx, tenant, &Change::Keys, now).await?;
        tx.commit().await?;
        self.refresh_keys(tenant).await?;
        Ok((true, newest(&self.sealer(tenant).await?)?))
    }

    /// Whose keys are being changed.
    pub async fn turning(&self) -> Result<Vec<Option<TenantId>>, StoreFault> {
        let sql = "SELECT DISTINCT tenant FROM tenant_keys WHERE retired_at IS NOT NULL AND sealed <> ''";
        let rows = sqlx::query(sql).fetch_all(self.reader()).await?;
        rows.iter().map(|row| row.owner("tenant")).collect()
    }

    /// Seals again what is under an older key than the newest, and destroys the older ones if they have lingered for long
    /// enough. Others write in between.
    pub async fn reseal(
        &self,
        tenant: Option<&TenantId>,
        linger: Duration,
        now: Timestamp,
    ) -> Result<Resealed, StoreFault> {
        let mut done = Resealed::default();
        for table in TABLES {
            let mut after = -1;
            while let Some((rows, last)) = self.reseal_some(tenant, table, after).await? {
                done.rows += rows;
                after = last;
            }
        }
        done.opens_until = self.destroy_retired(tenant, linger, now).await?;
        Ok(done)
    }

    /// Seals some rows again; tells how many and how far it came, or nothing at the end of the table.
    async fn reseal_some(
        &self,
        tenant: Option<&TenantId>,
        (table, order, columns, set, again): &(&str, &str, &str, &str, Again),
        after: i64,
    ) -> Result<Option<(u64, i64)>, StoreFault> {
        let (mut tx, sealer) = self.write_sealed(tenant).await?;
        let newest = sealer.ids().next();
        // Where the order is the table's own, an index over tenants would only make it be sorted once more each time.
        let tenant_is = if *order == "rowid" { "tenant || ''" } else { "tenant" };
        // Only words of the table above are composed; every value is bound.
        let sql = format!(
            "SELECT {order} AS place, {columns} FROM {table} \
             WHERE {tenant_is} = $1 AND {order} > $2 ORDER BY {order} LIMIT $3"
        );
        let rows =
            sqlx::query(AssertSqlSafe(sql)).bind(owner(tenant)).bind(after).bind(STRIDE).fetch_all(&mut *tx).await?;
        let Some(last) = rows.last() else { return Ok(None) };
        let last = last.int("place")?;
        let mut count = 0;
        for row in &rows {
            // Emptied with its person, sealed anew already, or under a key that was destroyed.
            if !key_of(row)?.is_some_and(|id| Some(id) != newest && sealer.has(id)) {
                continue;
            }
            let values = again(row, &sealer, self.entropy()?)?;
            let place = row.int("place")?;
            let which = match *order {
                "rowid" => Row::Id(place),
                _ => Row::Entry { log: owner(tenant), seq: place },
            };
            update(&mut tx, table, set, which, values).await?;
            count += 1;
        }
        if count > 0 {
            tx.commit().await?;
        }
        Ok(Some((count, last)))
    }

    /// Destroys the keys that seal no more and have lingered; tells until when those that have not still open.
    async fn destroy_retired(
        &self,
        tenant: Option<&TenantId>,
        linger: Duration,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, StoreFault> {
        let mut tx = self.write().await?;
        let sql = "SELECT MAX(retired_at) AS retired_at FROM tenant_keys \
                   WHERE tenant = $1 AND retired_at IS NOT NULL AND sealed <> ''";
        let row = sqlx::query(sql).bind(owner(tenant)).fetch_one(&mut *tx).await?;
        let Some(retired) = row.opt_time("retired_at")? else { return Ok(None) };
        let until = retired.plus(linger);
        if now < until {
            return Ok(Some(until));
        }
        // Nothing that is whole is under them any more: their names go too, so that an entry which was changed shows as such.
        sqlx::query("DELETE FROM tenant_keys WHERE tenant = $1 AND retired_at IS NOT NULL AND sealed <> ''")
            .bind(owner(tenant))
            .execute(&mut *tx)
            .await?;
        announce(&mut tx, tenant, &Change::Keys, now).await?;
        tx.commit().await?;
        self.refresh_keys(tenant).await?;
        self.scrub().await?;
        Ok(None)
    }

    /// Destroys keys of tenants that are gone: whoever still writes in a log of theirs makes one. Tells how many there were.
    pub async fn destroy_ownerless(&self, now: Timestamp) -> Result<usize, StoreFault> {
        if sqlx::query(OWNERLESS).fetch_optional(self.reader()).await?.is_none() {
            return Ok(0);
        }
        let mut tx = self.write().await?;
        let gone = sqlx::query(OWNERLESS).fetch_all(&mut *tx).await?;
        let gone = gone.iter().map(|row| row.owner("tenant")).collect::<Result<Vec<_>, _>>()?;
        destroy_ownerless(&mut tx).await?;
        for tenant in &gone {
            announce(&mut tx, tenant.as_ref(), &Change::Keys, now).await?;
        }
        tx.commit().await?;
        for tenant in &gone {
            self.vault().keep(owner(tenant.as_ref()), None);
        }
        self.scrub().await?;
        Ok(gone.len())
    }

    /// Seals every tenant's key again under the newest of the operator's, in one step; tells how many there are.
    pub async fn reseal_keys(&self, operator: Sealer, now: Timestamp) -> Result<u64, StoreFault> {
        let mut tx = self.write().await?;
        let rows =
            sqlx::query("SELECT tenant, id, sealed FROM tenant_keys WHERE sealed <> ''").fetch_all(&mut *tx).await?;
        let mut count = 0;
        for row in &rows {
            let (of, id) = (row.text("tenant")?, row.bytes("id")?);
            let place = Place::Key { owner: &of, id: &id }.to_string();
            let key =
                operator.open(&place, &Sealed::from_stored(row.text("sealed")?)).map_err(|_| StoreFault::OtherKey)?;
            sqlx::query("UPDATE tenant_keys SET sealed = $3 WHERE tenant = $1 AND id = $2")
                .bind(of.as_str())
                .bind(id)
                .bind(operator.seal(&place, key.expose(), self.entropy()?)?.as_str())
                .execute(&mut *tx)
                .await?;
            count += 1;
        }
        announce(&mut tx, None, &Change::Keys, now).await?;
        tx.commit().await?;
        self.vault().take_operator(operator);
        self.scrub().await?;
        Ok(count)
    }
}

/// Tenants that are not there, and have a key that is not destroyed.
const OWNERLESS: &str = "SELECT DISTINCT tenant FROM tenant_keys \
     WHERE tenant <> '' AND sealed <> '' AND tenant NOT IN (SELECT id FROM tenants)";

/// The same in a transaction under way.
pub(crate) async fn destroy_ownerless(tx: &mut Writing) -> Result<(), StoreFault> {
    let sql = "UPDATE tenant_keys SET sealed = '' WHERE tenant <> '' AND tenant NOT IN (SELECT id FROM tenants)";
    sqlx::query(sql).execute(&mut **tx).await?;
    Ok(())
}

/// The key that a row is sealed under.
fn key_of(row: &AnyRow) -> Result<Option<KeyId>, StoreFault> {
    match row.bytes("sealed") {
        Ok(bytes) => Ok(KeyId::of(&bytes)),
        // Kept as text by whoever made it.
        Err(_) => Ok(Sealed::from_stored(row.text("sealed")?).key_id()),
    }
}

fn person(row: &AnyRow, sealer: &Sealer, entropy: &dyn Entropy) -> Result<Vec<To>, StoreFault> {
    let id = row.parsed("id", UserId::parse)?;
    let (email, name) = sealed::open_person(sealer, id, row.bytes("sealed")?)?;
    let person = sealed::seal_person(sealer, id, &email, &name, entropy)?;
    Ok(vec![To::Bytes(person), To::Text(sealer.mark(EMAIL, email.as_str())?)])
}

fn identity(row: &AnyRow, sealer: &Sealer, entropy: &dyn Entropy) -> Result<Vec<To>, StoreFault> {
    let (user, before) = (row.parsed("user_id", UserId::parse)?, row.text("mark")?);
    let (issuer, subject) = sealed::open(sealer, Place::Account { user, mark: &before }, row.bytes("sealed")?)?;
    let identity = LinkedIdentity { provider: row.parsed("provider", ProviderId::parse)?, issuer, subject };
    let mark = sealer.mark(ACCOUNT, &account(&identity))?;
    let value = (&identity.issuer, &identity.subject);
    let sealed = sealed::seal(sealer, Place::Account { user, mark: &mark }, &value, entropy)?;
    Ok(vec![To::Text(mark), To::Bytes(sealed)])
}

fn factor(row: &AnyRow, sealer: &Sealer, entropy: &dyn Entropy) -> Result<Vec<To>, StoreFault> {
    let id = row.parsed("id", FactorId::parse)?;
    let WasKept { name, mut data } = sealed::open(sealer, Place::Factor(id), row.bytes("sealed")?)?;
    secret_again(id, &mut data, sealer, entropy)?;
    let sealed = sealed::seal(sealer, Place::Factor(id), &Kept { name: &name, data }, entropy)?;
    Ok(vec![To::Bytes(sealed)])
}

/// Seals a factor's own secret again where it is under an older key. INVARIANT: whatever seals a factor brings its secret along:
/// what seals again looks at the outer key only.
pub(crate) fn secret_again(
    id: FactorId,
    data: &mut FactorData,
    sealer: &Sealer,
    entropy: &dyn Entropy,
) -> Result<(), StoreFault> {
    let (place, secret) = match data {
        FactorData::Totp { secret, .. } => (totp::place(id), secret),
        FactorData::Recovery { key } => (recovery::place(id), key),
        FactorData::Password { .. } | FactorData::Passkey { .. } => return Ok(()),
    };
    if secret.key_id().is_some_and(|key| sealer.has(key) && Some(key) != sealer.ids().next()) {
        *secret = text(&place, secret, sealer, entropy)?;
    }
    Ok(())
}

fn ticket(row: &AnyRow, sealer: &Sealer, entropy: &dyn Entropy) -> Result<Vec<To>, StoreFault> {
    bytes(row, Place::Ticket(&row.parsed("hash", TicketHash::parse)?), sealer, entropy)
}

fn policies(row: &AnyRow, sealer: &Sealer, entropy: &dyn Entropy) -> Result<Vec<To>, StoreFault> {
    bytes(row, Place::Policies(row.int("version")?), sealer, entropy)
}

fn session(row: &AnyRow, sealer: &Sealer, entropy: &dyn Entropy) -> Result<Vec<To>, StoreFault> {
    bytes(row, Place::Session(row.parsed("id", SessionId::parse)?), sealer, entropy)
}

fn grant(row: &AnyRow, sealer: &Sealer, entropy: &dyn Entropy) -> Result<Vec<To>, StoreFault> {
    bytes(row, Place::Grant(row.parsed("id", GrantId::parse)?), sealer, entropy)
}

fn access_key(row: &AnyRow, sealer: &Sealer, entropy: &dyn Entropy) -> Result<Vec<To>, StoreFault> {
    bytes(row, Place::AccessKey(row.parsed("id", AccessKeyId::parse)?), sealer, entropy)
}

fn bytes(row: &AnyRow, place: Place<'_>, sealer: &Sealer, entropy: &dyn Entropy) -> Result<Vec<To>, StoreFault> {
    let place = place.to_string();
    let plain = sealer.open_bytes(&place, row.bytes("sealed")?)?;
    Ok(vec![To::Bytes(sealer.seal_bytes(&place, &plain, entropy)?)])
}

fn signing_key(row: &AnyRow, sealer: &Sealer, entropy: &dyn Entropy) -> Result<Vec<To>, StoreFault> {
    let place = keys::place(&row.parsed("tenant", TenantId::parse)?, &row.text("id")?);
    let sealed = text(&place, &Sealed::from_stored(row.text("sealed")?), sealer, entropy)?;
    Ok(vec![To::Text(sealed.as_str().to_owned())])
}

fn secret(row: &AnyRow, sealer: &Sealer, entropy: &dyn Entropy) -> Result<Vec<To>, StoreFault> {
    let place = sealed::secret(row.owner("tenant")?.as_ref(), &row.text("purpose")?, &row.text("id")?);
    let sealed = text(&place, &Sealed::from_stored(row.text("sealed")?), sealer, entropy)?;
    Ok(vec![To::Text(sealed.as_str().to_owned())])
}

fn text(place: &str, sealed: &Sealed, sealer: &Sealer, entropy: &dyn Entropy) -> Result<Sealed, StoreFault> {
    Ok(sealer.seal(place, sealer.open(place, sealed)?.expose(), entropy)?)
}

fn entry(row: &AnyRow, sealer: &Sealer, _: &dyn Entropy) -> Result<Vec<To>, StoreFault> {
    let (seq, link) = (row.count("seq")?, hash(row.bytes("link")?, "link")?);
    let mut log = EntrySealer::new(sealer.clone(), &row.text("tenant")?);
    // What was changed is left as it is, for whoever checks the log.
    let Ok(mut body) = log.open(seq, &link, row.bytes("sealed")?) else {
        return Ok(vec![To::Bytes(row.bytes("sealed")?)]);
    };
    log.seal(seq, &link, &mut body)?;
    Ok(vec![To::Bytes(body)])
}

#[cfg(test)]
#[path = "rotation_tests.rs"]
mod tests;
