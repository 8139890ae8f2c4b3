//! Pages of a log for people, and the search for entries. No index helps a search, so it reads the log itself: on a
//! connection of its own, a stretch at a time, and no longer than its limit.

use std::time::Duration;

use cardea_core::{TenantId, Timestamp};
use sqlx::{Any, AnyPool, AssertSqlSafe};

use super::query::{Logged, Opened};
use crate::{
    Store, StoreFault,
    row::{Read, number, owner},
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

/// How much of a log is read at once, and how long in all.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// Entries in a stretch. SQLite does not let go of a statement before it has ended: between two of them searches take
    /// turns, and the limit is looked at.
    pub(super) stretch: u64,
    /// The limit.
    pub(super) limit: Duration,
}

impl LogQuery {
    /// Whether it asks for more than the newest: such a query reads the log.
    pub fn is_search(&self) -> bool {
        !conditions(self).1.is_empty() || text(self).is_some()
    }
}

/// Five hundred entries: of usual ones a millisecond, of the longest with the worst of patterns a second, by which the
/// limit may be missed. Five seconds, in which somebody who waits loses patience.
const USUAL: Patience = Patience { stretch: 500, limit: Duration::from_secs(5) };

/// A log is named by its tenant, or by `None` for the operator's own.
impl Store {
    /// A page of entries, newest first. A query that asks for more than the newest is a search, and ends in
    /// [`StoreFault::Slow`] where it takes too long.
    pub async fn log(&self, tenant: Option<&TenantId>, query: &LogQuery) -> Result<LogPage, StoreFault> {
        if !query.is_search() {
            let page = async { Ok(self.page(self.reader().pool(), tenant, query, u64::MAX).await) };
            return self.engine().promptly(page).await?;
        }
        self.search(tenant, query, USUAL).await
    }

    pub(super) async fn search(
        &self,
        tenant: Option<&TenantId>,
        query: &LogQuery,
        patience: Patience,
    ) -> Result<LogPage, StoreFault> {
        let search = self.page(self.searcher(), tenant, query, patience.stretch.max(1));
        let slow = |_| StoreFault::Slow { seconds: patience.limit.as_secs() };
        tokio::time::timeout(patience.limit, search).await.map_err(slow)?
    }

    async fn page(
        &self,
        pool: &AnyPool,
        tenant: Option<&TenantId>,
        query: &LogQuery,
        stretch: u64,
    ) -> Result<LogPage, StoreFault> {
        let limit = query.limit.clamp(1, LONGEST_PAGE) as usize;
        let mut items = Vec::new();
        let sql = "SELECT COALESCE(MAX(seq), -1) + 1 AS size FROM log WHERE tenant = $1";
        let size = sqlx::query(sql).bind(owner(tenant)).fetch_one(pool).await?.count("size")?;
        let mut below = query.cursor.map_or(size, |cursor| cursor.min(size));
        // One more than the page holds tells that there is another.
        while below > 0 && items.len() <= limit {
            let from = below.saturating_sub(stretch);
            items.extend(self.stretch_of(pool, tenant, query, (from, below), limit + 1 - items.len()).await?);
            below = from;
        }
        let more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| more).map(|last| last.seq);
        Ok(LogPage { items, next })
    }
}

impl Store {
    /// The newest entries within a stretch that the query asks for. What they say is asked of them here, once opened; those
    /// that nobody can open any more are left out.
    async fn stretch_of(
        &self,
        pool: &AnyPool,
        tenant: Option<&TenantId>,
        query: &LogQuery,
        (from, below): (u64, u64),
        most: usize,
    ) -> Result<Vec<Logged>, StoreFault> {
        let (conditions, values) = conditions(query);
        let text = text(query);
        // Only placeholders are composed; every value is bound.
        let sql = format!(
            "SELECT seq, sealed, leaf, link FROM log WHERE tenant = $1 AND seq < $2 AND seq >= $3{conditions} \
             ORDER BY seq DESC LIMIT $4"
        );
        let mut select = sqlx::query::<Any>(AssertSqlSafe(sql))
            .bind(owner(tenant))
            .bind(number(below))
            .bind(number(from))
            .bind(if text.is_some() { i64::MAX } else { number(most as u64) });
        for value in values {
            select = match value {
                Value::Text(text) => select.bind(text),
                Value::Time(at) => select.bind(at.as_micros()),
            };
        }
        let rows = select.fetch_all(pool).await?;
        let found = self.opened(tenant, &rows).await?.into_iter().filter_map(Opened::whole);
        Ok(match text {
            Some(text) => found.filter(|logged| holds(&logged.body, text.as_bytes())).take(most).collect(),
            None => found.collect(),
        })
    }
}

/// The text that is looked for, in lower case.
fn text(query: &LogQuery) -> Option<String> {
    query.text.as_deref().map(str::trim).filter(|text| !text.is_empty()).map(str::to_ascii_lowercase)
}

/// Whether a body holds `text`, which is in lower case, in any case of ASCII letters.
fn holds(body: &[u8], text: &[u8]) -> bool {
    let Some((first, _)) = text.split_first() else { return true };
    body.windows(text.len()).any(|part| part[0].eq_ignore_ascii_case(first) && part.eq_ignore_ascii_case(text))
}

enum Value {
    Text(String),
    Time(Timestamp),
}

/// The conditions beyond the tenant, with placeholders from `$5` on, and their values.
fn conditions(query: &LogQuery) -> (String, Vec<Value>) {
    let (mut sql, mut values) = (String::new(), Vec::new());
    let mut add = |before: &str, value: Value, after: &str| {
        values.push(value);
        sql.push_str(&format!(" AND {before}${}{after}", values.len() + 4));
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
    let first = values.len() + 5;
    if !query.events.is_empty() {
        let marks: Vec<_> = (first..first + query.events.len()).map(|nth| format!("${nth}")).collect();
        sql.push_str(&format!(" AND event IN ({})", marks.join(", ")));
        values.extend(query.events.iter().cloned().map(Value::Text));
    }
    (sql, values)
}
