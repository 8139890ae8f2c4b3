//! Reading the logs: single entries, ranges for exports, verification.

use cardea_audit::{Break, Chain, Entry, Hash, Head, Row};
use cardea_core::{EntryId, TenantId, UserId};
use cardea_identity::sealing::{EntrySealer, KeyId};
use sqlx::any::AnyRow;

use super::{columns::Columns, commit::hash};
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

/// A row of the log, opened or not.
pub(crate) enum Opened {
    Whole(Logged),
    /// It does not open: its key was destroyed, or it was changed.
    Closed {
        seq: u64,
        leaf: Hash,
        link: Hash,
        key: Option<KeyId>,
    },
}

impl Opened {
    pub(crate) fn whole(self) -> Option<Logged> {
        match self {
            Self::Whole(logged) => Some(logged),
            Self::Closed { .. } => None,
        }
    }
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
        let sql = "SELECT tenant, seq, sealed, leaf, link FROM log WHERE id = $1";
        let mut rows = sqlx::query(sql).bind(id.to_string()).fetch_all(self.reader()).await?;
        rows.retain(|row| row.text("tenant").is_ok_and(|of| of == owner(tenant)));
        let found = self.opened(tenant, &rows).await?.into_iter().filter_map(Opened::whole);
        Ok(found.min_by_key(|logged| logged.seq))
    }

    /// The entries that tell of a person's account, newest first, without the first `skip`: what the person is shown. By an
    /// index that holds no requests, so that it costs what it finds, however long the log.
    pub async fn log_about(
        &self,
        tenant: &TenantId,
        person: UserId,
        skip: u32,
        limit: u32,
    ) -> Result<Vec<Logged>, StoreFault> {
        // Not by the tenant: its order would lead SQLite through the tenant's whole log.
        let sql =
            "SELECT tenant, seq, sealed, leaf, link FROM log WHERE person = $1 ORDER BY seq DESC LIMIT $2 OFFSET $3";
        let mut rows = sqlx::query(sql)
            .bind(person.to_string())
            .bind(i64::from(limit))
            .bind(i64::from(skip))
            .fetch_all(self.reader())
            .await?;
        rows.retain(|row| row.text("tenant").is_ok_and(|of| of == tenant.as_str()));
        Ok(self.opened(Some(tenant), &rows).await?.into_iter().filter_map(Opened::whole).collect())
    }

    /// Entries from `seq` on, oldest first, at most `limit`: for exports. One that does not open is a fault.
    pub async fn log_range(&self, tenant: Option<&TenantId>, seq: u64, limit: u32) -> Result<Vec<Logged>, StoreFault> {
        let opened = self.range(tenant, seq, limit).await?;
        opened
            .into_iter()
            .map(|one| match one {
                Opened::Whole(logged) => Ok(logged),
                Opened::Closed { seq, .. } => Err(StoreFault::Closed { seq }),
            })
            .collect()
    }

    async fn range(&self, tenant: Option<&TenantId>, seq: u64, limit: u32) -> Result<Vec<Opened>, StoreFault> {
        let sql = "SELECT seq, sealed, leaf, link FROM log WHERE tenant = $1 AND seq >= $2 ORDER BY seq LIMIT $3";
        let rows = sqlx::query(sql)
            .bind(owner(tenant))
            .bind(number(seq))
            .bind(i64::from(limit))
            .fetch_all(self.reader())
            .await?;
        self.opened(tenant, &rows).await
    }

    /// Opens rows of one log, as far as they open.
    pub(crate) async fn opened(&self, tenant: Option<&TenantId>, rows: &[AnyRow]) -> Result<Vec<Opened>, StoreFault> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        // Of a tenant that is gone there is no key. Reading makes none: it would be of no use, and who only reads could not.
        let mut sealer = match self.has_key(tenant).await? {
            true => Some(EntrySealer::new(self.opener(tenant, rows, "sealed").await?, owner(tenant))),
            false => None,
        };
        rows.iter().map(|row| opened(sealer.as_mut(), row)).collect()
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

    /// The head behind entry `seq`, which need not open.
    pub async fn log_head_behind(&self, tenant: Option<&TenantId>, seq: u64) -> Result<Option<Head>, StoreFault> {
        let sql = "SELECT link FROM log WHERE tenant = $1 AND seq = $2";
        let row = sqlx::query(sql).bind(owner(tenant)).bind(number(seq)).fetch_optional(self.reader()).await?;
        row.map(|row| Ok(Head { size: seq + 1, link: hash(row.bytes("link")?, "link")? })).transpose()
    }

    /// The logs that there are, those of deleted tenants too.
    pub async fn logs(&self) -> Result<Vec<Option<TenantId>>, StoreFault> {
        // Of entries without a head, too. From one tenant to the next: a log is not walked through for its name.
        let sql = "WITH RECURSIVE kept (tenant) AS (SELECT MIN(tenant) FROM log UNION ALL \
                   SELECT (SELECT MIN(log.tenant) FROM log WHERE log.tenant > kept.tenant) FROM kept WHERE kept.tenant IS NOT NULL) \
                   SELECT tenant FROM kept WHERE tenant IS NOT NULL UNION SELECT tenant FROM log_heads ORDER BY tenant";
        let rows = sqlx::query(sql).fetch_all(self.reader()).await?;
        rows.iter().map(|row| row.owner("tenant")).collect()
    }

    /// Rows from `seq` on with all that they say in the open, oldest first, at most [`STRIDE`].
    async fn stretch(&self, tenant: Option<&TenantId>, seq: u64) -> Result<Vec<AnyRow>, StoreFault> {
        let sql = "SELECT seq, id, at, event, app, caller, person, reason, verdict, admission, sealed, leaf, link \
                   FROM log WHERE tenant = $1 AND seq >= $2 ORDER BY seq LIMIT $3";
        let rows = sqlx::query(sql).bind(owner(tenant)).bind(number(seq)).bind(i64::from(STRIDE));
        Ok(rows.fetch_all(self.reader()).await?)
    }

    /// Checks a whole log against its own head and those that somebody remembers, and each row's open columns against its
    /// entry. Entries that come while it runs are checked too. Of those whose key was destroyed the links are checked, and
    /// nobody can tell what they said.
    pub async fn verify_log(
        &self,
        tenant: Option<&TenantId>,
        known: &[Head],
    ) -> Result<Result<Head, Break>, StoreFault> {
        let mut chain = Chain::start().knowing(self.log_head(tenant).await?);
        for head in known {
            chain = chain.knowing(*head);
        }
        let mut columns = Columns::default();
        let mut why: Option<(Option<KeyId>, Why)> = None;
        loop {
            // INVARIANT: asked by number and not by what was read last, so that a gap shows.
            let rows = self.stretch(tenant, chain.head().size).await?;
            for (one, row) in self.opened(tenant, &rows).await?.iter().zip(&rows) {
                let checked = match one {
                    Opened::Whole(logged) => {
                        whole(&mut chain, logged, tenant).and_then(|()| listed(&mut columns, logged, row))
                    }
                    Opened::Closed { seq, leaf, link, key } => {
                        // Asked once for each key: all entries of a tenant that is gone are under a few.
                        let known = why.filter(|(of, _)| of == key).map(|(_, why)| why);
                        let reason = match known {
                            Some(reason) => reason,
                            None => self.why_closed(tenant, *key).await?,
                        };
                        why = Some((*key, reason));
                        match reason {
                            Why::Destroyed => chain.take_closed(*seq, leaf, link),
                            Why::Foreign => Err(Break::Foreign { seq: *seq }),
                            Why::Changed => chain.take_closed(*seq, leaf, link).and(Err(Break::Edited { seq: *seq })),
                        }
                    }
                };
                if let Err(found) = checked {
                    return Ok(Err(found));
                }
            }
            if rows.len() < STRIDE as usize {
                break;
            }
        }
        let found = chain.head().size;
        // Looked for once more where there was none: the log may have begun meanwhile.
        if found > 0 && self.log_head(tenant).await?.size == 0 {
            return Ok(Err(Break::Headless { found }));
        }
        Ok(chain.end())
    }
}

/// Why an entry does not open.
#[derive(Clone, Copy)]
enum Why {
    /// Its key was destroyed, with the tenant that was.
    Destroyed,
    /// It is sealed under the key of another.
    Foreign,
    /// The key is there, or never was: the bytes are others.
    Changed,
}

impl Store {
    async fn why_closed(&self, tenant: Option<&TenantId>, key: Option<KeyId>) -> Result<Why, StoreFault> {
        let Some(key) = key else { return Ok(Why::Changed) };
        let rows = sqlx::query("SELECT tenant, sealed FROM tenant_keys WHERE id = $1")
            .bind(key.as_bytes().to_vec())
            .fetch_all(self.reader())
            .await?;
        for row in &rows {
            if row.text("tenant")? == owner(tenant) {
                return Ok(if row.text("sealed")?.is_empty() { Why::Destroyed } else { Why::Changed });
            }
        }
        Ok(if rows.is_empty() { Why::Changed } else { Why::Foreign })
    }

    /// How many entries of a log nobody can read any more, since their key was destroyed.
    pub async fn closed_entries(&self, tenant: Option<&TenantId>) -> Result<u64, StoreFault> {
        let sql = "SELECT COUNT(*) AS closed FROM log WHERE tenant = $1 AND substr(sealed, length(sealed) - 3) IN \
                   (SELECT id FROM tenant_keys WHERE tenant = $1 AND sealed = '')";
        sqlx::query(sql).bind(owner(tenant)).fetch_one(self.reader()).await?.count("closed")
    }
}

fn whole(chain: &mut Chain, logged: &Logged, tenant: Option<&TenantId>) -> Result<(), Break> {
    chain.take(&logged.row())?;
    if Entry::tenant_of(&logged.body).is_ok_and(|owner| owner.as_ref() == tenant) {
        return Ok(());
    }
    Err(Break::Foreign { seq: logged.seq })
}

/// What this version cannot read has no columns to compare; its bytes are the ones that were linked.
fn listed(columns: &mut Columns, logged: &Logged, row: &AnyRow) -> Result<(), Break> {
    let entry = Entry::read(&logged.body).ok();
    match entry.and_then(|entry| columns.differing(&entry, row)) {
        Some(column) => Err(Break::Mislisted { seq: logged.seq, column }),
        None => Ok(()),
    }
}

fn opened(sealer: Option<&mut EntrySealer>, row: &AnyRow) -> Result<Opened, StoreFault> {
    let (seq, sealed) = (row.count("seq")?, row.bytes("sealed")?);
    let (leaf, link) = (hash(row.bytes("leaf")?, "leaf")?, hash(row.bytes("link")?, "link")?);
    let key = KeyId::of(&sealed);
    Ok(match sealer.and_then(|sealer| sealer.open(seq, &link, sealed).ok()) {
        Some(body) => Opened::Whole(Logged { seq, body, leaf, link }),
        None => Opened::Closed { seq, leaf, link, key },
    })
}
