//! Reading the logs: single entries, ranges for exports, verification.

use cardea_audit::{Break, Chain, Entry, Hash, Head, Row};
use cardea_core::{EntryId, TenantId};
use sqlx::any::AnyRow;

use super::commit::hash;
use crate::{
    Store, StoreFault,
    row::{Read, number, owner},
};

/// A stored entry with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logged {
    /// Its number in the log.
    pub seq: u64,
    /// The canonical bytes.
    pub body: Vec<u8>,
    /// Their hash.
    pub leaf: Hash,
    /// The link.
    pub link: Hash,
}

/// Entries read at once for verification.
const STRIDE: u32 = 2_000;

impl Logged {
    /// As a verifier takes it.
    pub fn row(&self) -> Row<'_> {
        Row { seq: self.seq, body: &self.body, leaf: self.leaf, link: self.link }
    }

    /// The entry itself.
    pub fn entry(&self) -> Result<Entry, StoreFault> {
        Entry::read(&self.body).map_err(|why| StoreFault::corrupt("body", why))
    }
}

/// A log is named by its tenant, or by `None` for the operator's own.
impl Store {
    /// One entry.
    pub async fn log_entry(&self, tenant: Option<&TenantId>, id: EntryId) -> Result<Option<Logged>, StoreFault> {
        // By the id alone: an order or the tenant beside it would lead SQLite through the tenant's whole log.
        let sql = "SELECT tenant, seq, body, leaf, link FROM log WHERE id = $1";
        let rows = sqlx::query(sql).bind(id.to_string()).fetch_all(self.reader()).await?;
        let mut first: Option<Logged> = None;
        for row in rows {
            if row.text("tenant")? == owner(tenant) {
                let found = logged(&row)?;
                first = first.filter(|first| first.seq < found.seq).or(Some(found));
            }
        }
        Ok(first)
    }

    /// Entries from `seq` on, oldest first, at most `limit`: for exports and verification.
    pub async fn log_range(&self, tenant: Option<&TenantId>, seq: u64, limit: u32) -> Result<Vec<Logged>, StoreFault> {
        let sql = "SELECT seq, body, leaf, link FROM log WHERE tenant = $1 AND seq >= $2 ORDER BY seq LIMIT $3";
        let rows = sqlx::query(sql)
            .bind(owner(tenant))
            .bind(number(seq))
            .bind(i64::from(limit))
            .fetch_all(self.reader())
            .await?;
        rows.iter().map(logged).collect()
    }

    /// The head that the log was left with.
    pub async fn log_head(&self, tenant: Option<&TenantId>) -> Result<Head, StoreFault> {
        let row = sqlx::query("SELECT size, link FROM log_heads WHERE tenant = $1")
            .bind(owner(tenant))
            .fetch_optional(self.reader())
            .await?;
        row.map_or(Ok(Head::EMPTY), |row| {
            Ok(Head { size: row.count("size")?, link: hash(row.bytes("link")?, "link")? })
        })
    }

    /// The logs that there are, those of deleted tenants too.
    pub async fn logs(&self) -> Result<Vec<Option<TenantId>>, StoreFault> {
        let rows = sqlx::query("SELECT tenant FROM log_heads ORDER BY tenant").fetch_all(self.reader()).await?;
        rows.iter().map(|row| row.owner("tenant")).collect()
    }

    /// Checks a whole log against its own head and those that somebody remembers. Entries that come while it runs are
    /// checked too.
    pub async fn verify_log(
        &self,
        tenant: Option<&TenantId>,
        known: &[Head],
    ) -> Result<Result<Head, Break>, StoreFault> {
        let mut chain = Chain::start().knowing(self.log_head(tenant).await?);
        for head in known {
            chain = chain.knowing(*head);
        }
        loop {
            // INVARIANT: asked by number and not by what was read last, so that a gap shows.
            let rows = self.log_range(tenant, chain.head().size, STRIDE).await?;
            for row in &rows {
                if let Err(found) = chain.take(&row.row()) {
                    return Ok(Err(found));
                }
                if !Entry::tenant_of(&row.body).is_ok_and(|owner| owner.as_ref() == tenant) {
                    return Ok(Err(Break::Foreign { seq: row.seq }));
                }
            }
            if rows.len() < STRIDE as usize {
                return Ok(chain.end());
            }
        }
    }
}

pub(super) fn logged(row: &AnyRow) -> Result<Logged, StoreFault> {
    Ok(Logged {
        seq: row.count("seq")?,
        body: row.text("body")?.into_bytes(),
        leaf: hash(row.bytes("leaf")?, "leaf")?,
        link: hash(row.bytes("link")?, "link")?,
    })
}
