//! Lists of users: paged, searched, counted.

use std::collections::BTreeMap;

use cardea_core::{GroupId, TenantId};
use cardea_identity::{FactorKind, Status, User};
use sqlx::{Any, AssertSqlSafe};

use crate::{
    Store, StoreFault, factors,
    row::{Read, const_sql, containing},
    users::{COLUMNS, status, user},
};

/// Which users to list.
#[derive(Debug, Clone, Default)]
pub struct UserQuery {
    /// Part of the name or address.
    pub query: Option<String>,
    /// Only those of that status.
    pub status: Option<Status>,
    /// Only those put directly into that group.
    pub group: Option<GroupId>,
    /// Where the page before ended: its `next`.
    pub cursor: Option<String>,
    /// At most so many; between 1 and 200.
    pub limit: u32,
}

/// A user in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserSummary {
    /// The user.
    pub user: User,
    /// The kinds of factors enrolled, each once.
    pub factors: Vec<FactorKind>,
}

/// A page of users, by address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserPage {
    /// The users.
    pub items: Vec<UserSummary>,
    /// Where the next page begins, if there is one.
    pub next: Option<String>,
}

/// The longest page.
const LONGEST_PAGE: u32 = 200;

impl Store {
    /// A page of users, by address.
    pub async fn users(&self, tenant: &TenantId, query: &UserQuery) -> Result<UserPage, StoreFault> {
        let limit = query.limit.clamp(1, LONGEST_PAGE);
        let rows = sqlx::query(const_sql!(
            COLUMNS,
            " WHERE tenant = $1 AND status <> 'deleted' AND email > $2 AND ($3 = '' OR status = $3) \
             AND ($4 = '' OR lower(name) LIKE $4 ESCAPE '\\' OR email LIKE $4 ESCAPE '\\') \
             AND ($5 = '' OR EXISTS (SELECT 1 FROM memberships m WHERE m.user_id = users.id AND m.group_id = $5)) \
             ORDER BY email LIMIT $6"
        ))
        .bind(tenant.as_str())
        .bind(query.cursor.as_deref().unwrap_or_default())
        .bind(query.status.map_or("", Status::as_str))
        .bind(query.query.as_deref().map(str::trim).filter(|q| !q.is_empty()).map(containing).unwrap_or_default())
        .bind(query.group.as_ref().map_or("", GroupId::as_str))
        .bind(i64::from(limit) + 1)
        .fetch_all(self.reader())
        .await?;
        let mut users = rows.iter().map(user).collect::<Result<Vec<_>, _>>()?;
        let more = users.len() > limit as usize;
        users.truncate(limit as usize);
        let next = users.last().filter(|_| more).map(|last| last.email.as_str().to_owned());
        Ok(UserPage { items: self.summaries(users).await?, next })
    }

    /// How many users there are of each status.
    pub async fn user_counts(&self, tenant: &TenantId) -> Result<BTreeMap<&'static str, u64>, StoreFault> {
        let mut counts: BTreeMap<_, _> =
            Status::ALL.into_iter().filter(|s| *s != Status::Deleted).map(|s| (s.as_str(), 0)).collect();
        let sql =
            "SELECT status, COUNT(*) AS users FROM users WHERE tenant = $1 AND status <> 'deleted' GROUP BY status";
        for row in sqlx::query(sql).bind(tenant.as_str()).fetch_all(self.reader()).await? {
            counts.insert(status(&row)?.as_str(), row.count("users")?);
        }
        Ok(counts)
    }

    /// How many users are put directly into each group.
    pub async fn group_sizes(&self, tenant: &TenantId) -> Result<BTreeMap<GroupId, u64>, StoreFault> {
        let sql = "SELECT group_id, COUNT(*) AS users FROM memberships WHERE tenant = $1 GROUP BY group_id";
        let rows = sqlx::query(sql).bind(tenant.as_str()).fetch_all(self.reader()).await?;
        rows.iter().map(|row| Ok((row.parsed("group_id", GroupId::parse)?, row.count("users")?))).collect()
    }

    /// Adds groups and kinds of factors to a page of users, with one question for each.
    async fn summaries(&self, users: Vec<User>) -> Result<Vec<UserSummary>, StoreFault> {
        if users.is_empty() {
            return Ok(Vec::new());
        }
        let marks = (1..=users.len()).map(|nth| format!("${nth}")).collect::<Vec<_>>().join(", ");
        let mut groups: BTreeMap<String, Vec<GroupId>> = BTreeMap::new();
        let sql = format!("SELECT user_id, group_id FROM memberships WHERE user_id IN ({marks}) ORDER BY group_id");
        for row in bound(&sql, &users).fetch_all(self.reader()).await? {
            groups.entry(row.text("user_id")?).or_default().push(row.parsed("group_id", GroupId::parse)?);
        }
        let mut kinds: BTreeMap<String, Vec<FactorKind>> = BTreeMap::new();
        let sql = format!("SELECT DISTINCT user_id, kind FROM factors WHERE user_id IN ({marks})");
        for row in bound(&sql, &users).fetch_all(self.reader()).await? {
            kinds.entry(row.text("user_id")?).or_default().push(factors::kind(&row)?);
        }
        let summary = |mut user: User| {
            let id = user.id.to_string();
            user.groups = groups.remove(&id).unwrap_or_default();
            let mut factors = kinds.remove(&id).unwrap_or_default();
            factors.sort_unstable();
            UserSummary { user, factors }
        };
        Ok(users.into_iter().map(summary).collect())
    }
}

fn bound<'q>(sql: &str, users: &[User]) -> sqlx::query::Query<'q, Any, sqlx::any::AnyArguments> {
    // Only placeholders are composed; every value is bound.
    users.iter().fold(sqlx::query(AssertSqlSafe(sql.to_owned())), |query, user| query.bind(user.id.to_string()))
}
