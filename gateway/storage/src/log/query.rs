//! Reading the logs: pages for people, ranges for exports, verification.

use cardea_audit::{Break, Chain, Entry, Hash, Head, Row};
use cardea_core::{EntryId, TenantId, Timestamp};
use sqlx::{Any, AssertSqlSafe, any::AnyRow};

use super::commit::hash;
use crate::{
    Store, StoreFault,
    row::{Read, containing, number, owner},
};

/// Which entries to show.
#[derive(Debug, Clone, Default)]
pub struct LogQuery {
    /// Only of these events (codes); all where empty.
    pub events: Vec<String>,
    /// Only of this app.
    pub app: Option<String>,
    /// Only by this caller: a label such as `user:<id>`.
    pub caller: Option<String>,
    /// Only with this reason.
    pub reason: Option<String>,
    /// Only with this verdict.
    pub verdict: Option<String>,
    /// Only those whose body holds this text, in any case (of ASCII letters).
    pub text: Option<String>,
    /// Only from then on.
    pub from: Option<Timestamp>,
    /// Only before then.
    pub to: Option<Timestamp>,
    /// Where the page before ended: its `next`.
    pub cursor: Option<u64>,
    /// At most so many; between 1 and 500.
    pub limit: u32,
}

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

/// A page of entries, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogPage {
    /// The entries.
    pub items: Vec<Logged>,
    /// Where the next page begins, if there is one.
    pub next: Option<u64>,
}

/// The longest page.
const LONGEST_PAGE: u32 = 500;

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
    /// A page of entries, newest first.
    pub async fn log(&self, tenant: Option<&TenantId>, query: &LogQuery) -> Result<LogPage, StoreFault> {
        let limit = query.limit.clamp(1, LONGEST_PAGE);
        let (conditions, values) = conditions(query);
        // Only placeholders are composed; every value is bound.
        let sql = format!(
            "SELECT seq, body, leaf, link FROM log WHERE tenant = $1 AND seq < $2{conditions} ORDER BY seq DESC LIMIT $3"
        );
        let mut select = sqlx::query::<Any>(AssertSqlSafe(sql))
            .bind(owner(tenant))
            .bind(query.cursor.map_or(i64::MAX, number))
            .bind(i64::from(limit) + 1);
        for value in values {
            select = match value {
                Value::Text(text) => select.bind(text),
                Value::Time(at) => select.bind(at.as_micros()),
            };
        }
        let rows = select.fetch_all(self.reader()).await?;
        let mut items = rows.iter().map(logged).collect::<Result<Vec<_>, _>>()?;
        let more = items.len() > limit as usize;
        items.truncate(limit as usize);
        let next = items.last().filter(|_| more).map(|last| last.seq);
        Ok(LogPage { items, next })
    }

    /// One entry.
    pub async fn log_entry(&self, tenant: Option<&TenantId>, id: EntryId) -> Result<Option<Logged>, StoreFault> {
        let row =
            sqlx::query("SELECT seq, body, leaf, link FROM log WHERE tenant = $1 AND id = $2 ORDER BY seq LIMIT 1")
                .bind(owner(tenant))
                .bind(id.to_string())
                .fetch_optional(self.reader())
                .await?;
        row.as_ref().map(logged).transpose()
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

enum Value {
    Text(String),
    Time(Timestamp),
}

/// The conditions beyond the tenant, with placeholders from `$4` on, and their values.
fn conditions(query: &LogQuery) -> (String, Vec<Value>) {
    let (mut sql, mut values) = (String::new(), Vec::new());
    let mut add = |before: &str, value: Value, after: &str| {
        values.push(value);
        sql.push_str(&format!(" AND {before}${}{after}", values.len() + 3));
    };
    let facets = [
        ("app = ", &query.app),
        ("caller = ", &query.caller),
        ("reason = ", &query.reason),
        ("verdict = ", &query.verdict),
    ];
    for (before, value) in facets {
        if let Some(value) = value {
            add(before, Value::Text(value.clone()), "");
        }
    }
    if let Some(from) = query.from {
        add("at >= ", Value::Time(from), "");
    }
    if let Some(to) = query.to {
        add("at < ", Value::Time(to), "");
    }
    if let Some(text) = query.text.as_deref().map(str::trim).filter(|text| !text.is_empty()) {
        add("lower(body) LIKE ", Value::Text(containing(text)), " ESCAPE '\\'");
    }
    let first = values.len() + 4;
    if !query.events.is_empty() {
        let marks: Vec<_> = (first..first + query.events.len()).map(|nth| format!("${nth}")).collect();
        sql.push_str(&format!(" AND event IN ({})", marks.join(", ")));
        values.extend(query.events.iter().cloned().map(Value::Text));
    }
    (sql, values)
}

fn logged(row: &AnyRow) -> Result<Logged, StoreFault> {
    Ok(Logged {
        seq: row.count("seq")?,
        body: row.text("body")?.into_bytes(),
        leaf: hash(row.bytes("leaf")?, "leaf")?,
        link: hash(row.bytes("link")?, "link")?,
    })
}
