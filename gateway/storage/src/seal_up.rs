//! Seals what a store kept open, or under the operator's own key, before tenants had keys: once, in the transaction that
//! brings the tables up to date.

use std::collections::HashMap;

use cardea_audit::Entry;
use cardea_core::{Entropy, FactorId, ProviderId, SessionId, TenantId, UserId};
use cardea_identity::{
    Email, FactorData, LinkedIdentity, Sealed, Sealer, TicketHash,
    factors::{recovery, totp},
    keys,
    sealing::EntrySealer,
};
use serde_json::Value;
use sqlx::{AssertSqlSafe, any::AnyRow};

use crate::{
    StoreFault,
    factors::Kept,
    log::hash,
    rotation::destroy_ownerless,
    row::Read,
    sealed::{self, ACCOUNT, EMAIL, Place, account},
    vault::Vault,
    writing::Writing,
};

/// Rows that are read at once.
const STRIDE: i64 = 1_000;

/// Under way: the keys that were made, by their owners.
struct SealingUp<'a> {
    tx: &'a mut Writing,
    vault: &'a Vault,
    sealers: HashMap<String, Sealer>,
}

/// Seals everything that lies open.
pub(crate) async fn seal_what_lies_open(tx: &mut Writing, vault: &Vault) -> Result<(), StoreFault> {
    let mut up = SealingUp { tx, vault, sealers: HashMap::new() };
    for (table, columns, set, seal) in TABLES {
        let mut after = 0;
        loop {
            let sql = format!("SELECT rowid AS row, {columns} FROM {table} WHERE rowid > $1 ORDER BY rowid LIMIT $2");
            let rows = sqlx::query(AssertSqlSafe(sql)).bind(after).bind(STRIDE).fetch_all(&mut **up.tx).await?;
            let Some(last) = rows.last() else { break };
            after = last.int("row")?;
            for row in &rows {
                let sealer = up.sealer(&row.text("tenant")?).await?;
                let values = seal(row, &sealer, vault)?;
                update(up.tx, table, set, Row::Id(row.int("row")?), values).await?;
            }
        }
    }
    up.identities().await?;
    // What is left of tenants that were deleted before is for nobody any more.
    destroy_ownerless(up.tx).await
}

/// Gives a row other values, for columns from `$2` on. Only words of tables in the program are composed.
pub(crate) async fn update(
    tx: &mut Writing,
    table: &str,
    set: &str,
    row: Row<'_>,
    values: Vec<To>,
) -> Result<(), StoreFault> {
    let (id, of) = match row {
        Row::Id(id) => (id, None),
        Row::Entry { log, seq } => (seq, Some(log)),
    };
    let which = match of {
        None => "rowid = $1".to_owned(),
        Some(_) => format!("seq = $1 AND tenant = ${}", values.len() + 2),
    };
    let mut update = sqlx::query(AssertSqlSafe(format!("UPDATE {table} SET {set} WHERE {which}"))).bind(id);
    for value in values {
        update = match value {
            To::Bytes(bytes) => update.bind(bytes),
            To::Text(text) => update.bind(text),
            To::Number(number) => update.bind(number),
        };
    }
    if let Some(log) = of {
        update = update.bind(log);
    }
    update.execute(&mut **tx).await?;
    Ok(())
}

/// Which row is meant.
pub(crate) enum Row<'a> {
    /// By what SQLite gives every row, and our tables in PostgreSQL have of their own.
    Id(i64),
    /// An entry of a log, which nothing but its number names.
    Entry { log: &'a str, seq: i64 },
}

/// A value that a row is given.
pub(crate) enum To {
    Bytes(Vec<u8>),
    Text(String),
    Number(i64),
}

type Seal = fn(&AnyRow, &Sealer, &Vault) -> Result<Vec<To>, StoreFault>;

/// Table, columns read, columns set (from `$2` on), and how.
const TABLES: &[(&str, &str, &str, Seal)] = &[
    ("users", "tenant, id, email, name, status", "person = $2, mark = $3", person),
    ("factors", "tenant, id, name, data", "sealed = $2", factor),
    ("tickets", "tenant, hash, payload, author", "sealed = $2", ticket),
    ("policy_versions", "tenant, version, author, note", "sealed = $2", policies),
    ("sessions", "tenant, id, body", "sealed = $2", session),
    ("log", "tenant, seq, body, link", "sealed = $2, admission = $3", entry),
    ("signing_keys", "tenant, id, sealed", "sealed = $2", signing_key),
    ("secrets", "tenant, purpose, id, sealed", "sealed = $2", secret),
];

impl SealingUp<'_> {
    async fn sealer(&mut self, owner: &str) -> Result<Sealer, StoreFault> {
        if let Some(sealer) = self.sealers.get(owner) {
            return Ok(sealer.clone());
        }
        let sealer = self.vault.read_or_make(self.tx, owner).await?;
        self.sealers.insert(owner.to_owned(), sealer.clone());
        Ok(sealer)
    }

    async fn identities(&mut self) -> Result<(), StoreFault> {
        let sql = "SELECT tenant, provider, issuer, subject, user_id, linked_at FROM identities_before";
        for row in sqlx::query(sql).fetch_all(&mut **self.tx).await? {
            let (sealer, user) = (self.sealer(&row.text("tenant")?).await?, row.parsed("user_id", UserId::parse)?);
            let identity = LinkedIdentity {
                provider: row.parsed("provider", ProviderId::parse)?,
                issuer: row.text("issuer")?,
                subject: row.text("subject")?,
            };
            let mark = sealer.mark(ACCOUNT, &account(&identity))?;
            let (place, value) = (Place::Account { user, mark: &mark }, (&identity.issuer, &identity.subject));
            let sealed = sealed::seal(&sealer, place, &value, self.vault.entropy()?)?;
            sqlx::query(
                "INSERT INTO identities (tenant, provider, mark, sealed, user_id, linked_at) VALUES ($1, $2, $3, $4, $5, $6)",
            )
            .bind(row.text("tenant")?)
            .bind(identity.provider.as_str())
            .bind(mark)
            .bind(sealed)
            .bind(user.to_string())
            .bind(row.int("linked_at")?)
            .execute(&mut **self.tx)
            .await?;
        }
        Ok(())
    }
}

fn person(row: &AnyRow, sealer: &Sealer, vault: &Vault) -> Result<Vec<To>, StoreFault> {
    if row.text("status")? == "deleted" {
        return Ok(vec![To::Bytes(Vec::new()), To::Text(String::new())]);
    }
    let (id, email) = (row.parsed("id", UserId::parse)?, row.parsed("email", Email::parse)?);
    let person = sealed::seal_person(sealer, id, &email, &row.text("name")?, vault.entropy()?)?;
    Ok(vec![To::Bytes(person), To::Text(sealer.mark(EMAIL, email.as_str())?)])
}

/// What was sealed under the operator's own key, sealed under the tenant's.
fn again(place: &str, sealed: &Sealed, sealer: &Sealer, vault: &Vault) -> Result<Sealed, StoreFault> {
    let plain = vault.operator()?.open_unnamed(place, sealed).map_err(|_| StoreFault::OtherKey)?;
    Ok(sealer.seal(place, plain.expose(), vault.entropy()?)?)
}

fn factor(row: &AnyRow, sealer: &Sealer, vault: &Vault) -> Result<Vec<To>, StoreFault> {
    let (id, name) = (row.parsed("id", FactorId::parse)?, row.text("name")?);
    let data = match row.json("data")? {
        FactorData::Totp { secret, .. } => {
            FactorData::Totp { secret: again(&totp::place(id), &secret, sealer, vault)?, last_step: None }
        }
        FactorData::Recovery { key } => FactorData::Recovery { key: again(&recovery::place(id), &key, sealer, vault)? },
        other => other,
    };
    json(sealer, Place::Factor(id), &Kept { name: &name, data }, vault.entropy()?)
}

fn ticket(row: &AnyRow, sealer: &Sealer, vault: &Vault) -> Result<Vec<To>, StoreFault> {
    let hash = row.parsed("hash", TicketHash::parse)?;
    let value = (row.json::<Value>("payload")?, row.text("author")?);
    json(sealer, Place::Ticket(&hash), &value, vault.entropy()?)
}

fn policies(row: &AnyRow, sealer: &Sealer, vault: &Vault) -> Result<Vec<To>, StoreFault> {
    let value = (row.text("author")?, row.text("note")?);
    json(sealer, Place::Policies(row.int("version")?), &value, vault.entropy()?)
}

fn session(row: &AnyRow, sealer: &Sealer, vault: &Vault) -> Result<Vec<To>, StoreFault> {
    let id = row.parsed("id", SessionId::parse)?;
    json(sealer, Place::Session(id), &row.json::<Value>("body")?, vault.entropy()?)
}

fn json<T: serde::Serialize>(
    sealer: &Sealer,
    place: Place<'_>,
    value: &T,
    entropy: &dyn Entropy,
) -> Result<Vec<To>, StoreFault> {
    Ok(vec![To::Bytes(sealed::seal(sealer, place, value, entropy)?)])
}

fn entry(row: &AnyRow, sealer: &Sealer, _: &Vault) -> Result<Vec<To>, StoreFault> {
    let (mut body, link) = (row.text("body")?.into_bytes(), hash(row.bytes("link")?, "link")?);
    // What cannot be read is kept as it is, for whoever checks the log.
    let admission = Entry::read(&body).is_ok_and(|entry| entry.is_admission());
    EntrySealer::new(sealer.clone(), &row.text("tenant")?).seal(row.count("seq")?, &link, &mut body)?;
    Ok(vec![To::Bytes(body), To::Number(i64::from(admission))])
}

fn signing_key(row: &AnyRow, sealer: &Sealer, vault: &Vault) -> Result<Vec<To>, StoreFault> {
    let place = keys::place(&row.parsed("tenant", TenantId::parse)?, &row.text("id")?);
    let sealed = again(&place, &Sealed::from_stored(row.text("sealed")?), sealer, vault)?;
    Ok(vec![To::Text(sealed.as_str().to_owned())])
}

fn secret(row: &AnyRow, sealer: &Sealer, vault: &Vault) -> Result<Vec<To>, StoreFault> {
    let place = sealed::secret(row.owner("tenant")?.as_ref(), &row.text("purpose")?, &row.text("id")?);
    let sealed = again(&place, &Sealed::from_stored(row.text("sealed")?), sealer, vault)?;
    Ok(vec![To::Text(sealed.as_str().to_owned())])
}

#[cfg(test)]
#[path = "seal_up_tests.rs"]
mod tests;
