//! The statements of a group, in the two kinds of connection that it is written with.
//!
//! In SQLite it is the log's own, of SQLite's kind: through the common one each value would be copied twice more, and nothing is
//! written so often. A server's is the common one.

use std::{future::Future, sync::Arc};

use cardea_audit::Head;
use cardea_core::{AppId, TenantId};
use sqlx::{Any, AssertSqlSafe, Row as _, Sqlite, Transaction};

use super::commit::{Placed, Words, hash};
use crate::{
    StoreFault,
    engine::Engine,
    row::{Read as _, number, owner},
    writing::Writing,
};

/// A transaction in which a group is written.
pub(super) trait GroupTx: Send {
    /// The name of the key that seals an owner's log.
    fn key(&mut self, tenant: Option<&TenantId>) -> impl Future<Output = Result<Option<Vec<u8>>, StoreFault>> + Send;

    /// The head of a log.
    fn head(&mut self, tenant: Option<&TenantId>) -> impl Future<Output = Result<Head, StoreFault>> + Send;

    /// Moves a head by compare-and-set; tells whether it did. If another process has moved it, the whole group is placed anew.
    fn move_head(
        &mut self,
        tenant: Option<&TenantId>,
        from: &Head,
        to: &Head,
    ) -> impl Future<Output = Result<bool, StoreFault>> + Send;

    /// Writes as many rows as `sql` takes.
    fn insert(
        &mut self,
        sql: Arc<str>,
        words: &mut Words,
        rows: Vec<Placed<'_>>,
    ) -> impl Future<Output = Result<(), StoreFault>> + Send;
}

const KEY: &str = "SELECT id FROM tenant_keys WHERE tenant = $1 AND sealed <> '' ORDER BY nth DESC LIMIT 1";
const HEAD: &str = "SELECT size, link FROM log_heads WHERE tenant = $1";
const MOVE_HEAD: &str = "INSERT INTO log_heads (tenant, size, link) VALUES ($1, $2, $3) ON CONFLICT (tenant) \
     DO UPDATE SET size = excluded.size, link = excluded.link WHERE log_heads.size = $4 AND log_heads.link = $5";
const COLUMNS: usize = 14;
const INTO: &str =
    "log (tenant, seq, id, at, event, app, caller, person, reason, verdict, admission, sealed, leaf, link) VALUES ";

/// The statement for so many rows.
pub(super) fn insert_sql(engine: Engine, rows: usize) -> Arc<str> {
    match engine {
        // Marks without numbers: SQLite keeps names of the others in a list that each bind walks, so that the cost of a
        // statement would grow with the square of its rows. And a statement that fails takes back the rows before it, for which
        // it keeps a copy of each page. Here a failure takes back the whole group (its transaction is dropped), so the copies
        // would be for nothing: `OR FAIL` makes none.
        Engine::Sqlite => {
            let row = format!("({})", ["?"; COLUMNS].join(", "));
            format!("INSERT OR FAIL INTO {INTO}{}", vec![row; rows].join(", ")).into()
        }
        Engine::Postgres => {
            let row = |nth: usize| {
                let marks: Vec<_> = (1..=COLUMNS).map(|column| format!("${}", nth * COLUMNS + column)).collect();
                format!("({})", marks.join(", "))
            };
            format!("INSERT INTO {INTO}{}", (0..rows).map(row).collect::<Vec<_>>().join(", ")).into()
        }
    }
}

impl GroupTx for Transaction<'_, Sqlite> {
    async fn key(&mut self, tenant: Option<&TenantId>) -> Result<Option<Vec<u8>>, StoreFault> {
        let row = sqlx::query::<Sqlite>(KEY).bind(owner(tenant)).fetch_optional(&mut **self).await?;
        Ok(row.map(|row| row.try_get("id")).transpose()?)
    }

    async fn head(&mut self, tenant: Option<&TenantId>) -> Result<Head, StoreFault> {
        let row = sqlx::query::<Sqlite>(HEAD).bind(owner(tenant)).fetch_optional(&mut **self).await?;
        let Some(row) = row else { return Ok(Head::EMPTY) };
        let (size, link): (i64, Vec<u8>) = (row.try_get("size")?, row.try_get("link")?);
        let size = u64::try_from(size).map_err(|why| StoreFault::corrupt("size", why))?;
        Ok(Head { size, link: hash(link, "link")? })
    }

    async fn move_head(&mut self, tenant: Option<&TenantId>, from: &Head, to: &Head) -> Result<bool, StoreFault> {
        let done = sqlx::query::<Sqlite>(MOVE_HEAD)
            .bind(owner(tenant))
            .bind(number(to.size))
            .bind(to.link.to_vec())
            .bind(number(from.size))
            .bind(from.link.to_vec())
            .execute(&mut **self)
            .await?;
        Ok(done.rows_affected() == 1)
    }

    async fn insert(&mut self, sql: Arc<str>, words: &mut Words, rows: Vec<Placed<'_>>) -> Result<(), StoreFault> {
        let mut query = sqlx::query::<Sqlite>(AssertSqlSafe(sql));
        for Placed { entry, head, leaf, sealed } in rows {
            let facets = entry.facets();
            query = query
                .bind(entry.tenant.as_ref().map_or_else(|| words.of(owner(None)), TenantId::shared))
                .bind(number(head.size - 1))
                .bind(entry.id.to_string())
                .bind(entry.at.as_micros())
                .bind(words.of(facets.event))
                .bind(facets.app.map(AppId::shared))
                .bind(facets.caller.into_owned())
                .bind(facets.person.map(|person| person.to_string()))
                .bind(facets.reason.map(|reason| words.of(reason)))
                .bind(facets.verdict.map(|verdict| words.of(verdict)))
                .bind(i64::from(entry.is_admission()))
                .bind(sealed)
                .bind(leaf.to_vec())
                .bind(head.link.to_vec());
        }
        query.execute(&mut **self).await?;
        Ok(())
    }
}

impl GroupTx for Writing {
    async fn key(&mut self, tenant: Option<&TenantId>) -> Result<Option<Vec<u8>>, StoreFault> {
        let row = sqlx::query(KEY).bind(owner(tenant)).fetch_optional(&mut **self).await?;
        row.map(|row| row.bytes("id")).transpose()
    }

    async fn head(&mut self, tenant: Option<&TenantId>) -> Result<Head, StoreFault> {
        let row = sqlx::query(HEAD).bind(owner(tenant)).fetch_optional(&mut **self).await?;
        let Some(row) = row else { return Ok(Head::EMPTY) };
        Ok(Head { size: row.count("size")?, link: hash(row.bytes("link")?, "link")? })
    }

    async fn move_head(&mut self, tenant: Option<&TenantId>, from: &Head, to: &Head) -> Result<bool, StoreFault> {
        let done = sqlx::query(MOVE_HEAD)
            .bind(owner(tenant))
            .bind(number(to.size))
            .bind(to.link.to_vec())
            .bind(number(from.size))
            .bind(from.link.to_vec())
            .execute(&mut **self)
            .await?;
        Ok(done.rows_affected() == 1)
    }

    async fn insert(&mut self, sql: Arc<str>, _: &mut Words, rows: Vec<Placed<'_>>) -> Result<(), StoreFault> {
        let mut query = sqlx::query::<Any>(AssertSqlSafe(sql));
        for Placed { entry, head, leaf, sealed } in rows {
            let facets = entry.facets();
            query = query
                .bind(owner(entry.tenant.as_ref()).to_owned())
                .bind(number(head.size - 1))
                .bind(entry.id.to_string())
                .bind(entry.at.as_micros())
                .bind(facets.event)
                .bind(facets.app.map(ToString::to_string))
                .bind(facets.caller.into_owned())
                .bind(facets.person.map(|person| person.to_string()))
                .bind(facets.reason)
                .bind(facets.verdict)
                .bind(i64::from(entry.is_admission()))
                .bind(sealed)
                .bind(leaf.to_vec())
                .bind(head.link.to_vec());
        }
        query.execute(&mut **self).await?;
        Ok(())
    }
}
