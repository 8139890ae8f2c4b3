//! Lists of users: paged, searched, counted.

use std::collections::BTreeMap;

use cardea_core::{GroupId, ProviderId, TenantId, Timestamp};
use cardea_identity::{Email, FactorKind, LinkedAccount, Sealer, Status, User, sealing::KeyId};
use sqlx::{Any, AnyPool, AssertSqlSafe};

use crate::{
    Store, StoreFault, factors,
    row::{Read, number},
    sealed,
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
    /// Only those who have joined and can show no second factor; see [`UserSummary::lacks_second`].
    pub without_second: bool,
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
    /// The accounts at providers by which the user signs in.
    pub accounts: Vec<AccountSummary>,
}

/// A user's account at a provider, as far as it is told without opening anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountSummary {
    /// The provider.
    pub provider: ProviderId,
    /// Since when it is theirs.
    pub linked: Timestamp,
    /// When it was last signed in with.
    pub used: Option<Timestamp>,
    /// Whether the provider's word brought the user; else they linked it from inside.
    pub brought: bool,
}

impl From<&LinkedAccount> for AccountSummary {
    fn from(account: &LinkedAccount) -> Self {
        let provider = account.identity.provider.clone();
        Self { provider, linked: account.linked, used: account.used, brought: account.is_brought() }
    }
}

impl UserSummary {
    /// Whether the user has a second factor, or came by a provider's word, and is the provider's to check. What they linked by
    /// themselves may be worth no more than a password.
    pub fn has_second(&self) -> bool {
        self.factors.iter().any(|kind| matches!(kind, FactorKind::Totp | FactorKind::Passkey))
            || self.accounts.iter().any(|account| account.brought)
    }

    /// Whether the user has joined, and has none.
    pub fn lacks_second(&self) -> bool {
        self.user.status == Status::Active && !self.has_second()
    }
}

/// A page of users, the youngest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserPage {
    /// The users.
    pub items: Vec<UserSummary>,
    /// Where the next page begins, if there is one.
    pub next: Option<String>,
}

/// The longest page.
const LONGEST_PAGE: u32 = 200;

/// Users that are read at once in a search. Two thousand: half a megabyte, and some two milliseconds, after which others that
/// search have their turn.
const STRETCH: usize = 2_000;

/// Digits and hyphens of an id.
const ID_LEN: usize = 36;

/// Hexadecimal digits of a key's name, which stands at the end.
const KEY_DIGITS: usize = 8;

/// Comes after every id.
const BEYOND_ALL: &str = "~";

impl Store {
    /// A page of users, the youngest first: in an order by address nothing could be read page by page, since addresses
    /// are sealed. A whole address finds its user by its mark; a part of one, or of a name, is looked for by opening one
    /// stretch of users after the other.
    pub async fn users(&self, tenant: &TenantId, query: &UserQuery) -> Result<UserPage, StoreFault> {
        let limit = query.limit.clamp(1, LONGEST_PAGE) as usize;
        let part = query.query.as_deref().map(str::trim).filter(|part| !part.is_empty());
        let mut ids = match part {
            Some(part) => self.search_users(tenant, query, part, limit + 1).await?,
            None => {
                let (after, row) = (query.cursor.as_deref(), "u.id AS one");
                let found = self.stretch_of_users(self.reader().pool(), tenant, query, after, limit + 1, row);
                self.engine().promptly(async { Ok(found.await) }).await??
            }
        };
        let more = ids.len() > limit;
        ids.truncate(limit);
        let next = ids.last().filter(|_| more).cloned();
        let mut items = self.summaries(tenant, self.users_of(tenant, &ids).await?).await?;
        // The user of a whole address was found by that alone.
        items.retain(|one| !query.without_second || one.lacks_second());
        Ok(UserPage { items, next })
    }

    /// The ids of those whose address or name holds `part`.
    async fn search_users(
        &self,
        tenant: &TenantId,
        query: &UserQuery,
        part: &str,
        most: usize,
    ) -> Result<Vec<String>, StoreFault> {
        if let Ok(email) = Email::parse(part)
            && let Some(user) = self.user_by_email(tenant, &email).await?
        {
            let fits = query.status.is_none_or(|status| status == user.status)
                && query.group.as_ref().is_none_or(|group| user.groups.contains(group));
            return Ok(if fits && query.cursor.is_none() { vec![user.id.to_string()] } else { Vec::new() });
        }
        let part = part.to_lowercase();
        let (mut found, mut below) = (Vec::new(), query.cursor.clone());
        loop {
            // As one text: a row costs the driver several times what opening it does.
            let row = "u.id || hex(u.person) AS one";
            let rows = self.stretch_of_users(self.searcher(), tenant, query, below.as_deref(), STRETCH, row).await?;
            let Some(last) = rows.last().and_then(|row| row.get(..ID_LEN)).map(str::to_owned) else { break };
            let mut sealer = self.sealer(Some(tenant)).await?;
            for row in &rows {
                if let Some(key) = key_of(row)
                    && !sealer.has(key)
                {
                    sealer = self.sealer_with(Some(tenant), Some(key)).await?;
                }
                if holds(&sealer, row, &part)? {
                    found.push(row[..ID_LEN].to_owned());
                }
            }
            if rows.len() < STRETCH || found.len() >= most {
                break;
            }
            below = Some(last);
        }
        found.truncate(most);
        Ok(found)
    }

    /// Up to `most` rows of those that are asked for, the youngest first, from below an id on; given as one text.
    async fn stretch_of_users(
        &self,
        pool: &AnyPool,
        tenant: &TenantId,
        query: &UserQuery,
        below: Option<&str>,
        most: usize,
        row: &'static str,
    ) -> Result<Vec<String>, StoreFault> {
        // Each way leads along an index that has the ids in order.
        let (from, order) = match &query.group {
            Some(_) => {
                ("memberships m JOIN users u ON u.id = m.user_id WHERE m.tenant = $1 AND m.group_id = $4", "m.user_id")
            }
            None => ("users u WHERE u.tenant = $1 AND $4 = ''", "u.id"),
        };
        let status = if query.status.is_some() {
            "u.status = $3 AND u.status <> 'deleted'"
        } else {
            "u.status <> 'deleted' AND $3 = ''"
        };
        let second = if query.without_second { WITHOUT_SECOND } else { "" };
        let sql = format!(
            "SELECT COALESCE({}(one, ' '), '') AS found FROM \
             (SELECT {row} FROM {from} AND {order} < $2 AND {status}{second} ORDER BY {order} DESC LIMIT $5) AS stretch",
            self.engine().joins_texts()
        );
        // Only words of this function are composed; every value is bound.
        let found = sqlx::query(AssertSqlSafe(sql))
            .bind(tenant.as_str())
            .bind(below.unwrap_or(BEYOND_ALL))
            .bind(query.status.map_or("", Status::as_str))
            .bind(query.group.as_ref().map_or("", GroupId::as_str))
            .bind(number(most as u64))
            .fetch_one(pool)
            .await?;
        let mut rows: Vec<_> = found.text("found")?.split_ascii_whitespace().map(str::to_owned).collect();
        // They come so, but nothing promises that they do.
        rows.sort_unstable_by(|one, other| other.cmp(one));
        Ok(rows)
    }

    /// The users of these ids, in their order.
    async fn users_of(&self, tenant: &TenantId, ids: &[String]) -> Result<Vec<User>, StoreFault> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        // Whoever was deleted meanwhile is left out: nothing of them opens any more.
        let sql = format!("{COLUMNS} WHERE status <> 'deleted' AND id IN ({}) ORDER BY id DESC", marks(ids.len()));
        let rows = bound(&sql, ids.iter().cloned()).fetch_all(self.reader()).await?;
        let sealer = self.opener(Some(tenant), &rows, "person").await?;
        rows.iter().map(|row| user(&sealer, row)).collect()
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

    /// Adds groups, kinds of factors and accounts to a page of users, with one question for each.
    async fn summaries(&self, tenant: &TenantId, users: Vec<User>) -> Result<Vec<UserSummary>, StoreFault> {
        if users.is_empty() {
            return Ok(Vec::new());
        }
        let (marks, ids) = (marks(users.len()), || users.iter().map(|user| user.id.to_string()));
        let mut groups: BTreeMap<String, Vec<GroupId>> = BTreeMap::new();
        let sql = format!("SELECT user_id, group_id FROM memberships WHERE user_id IN ({marks}) ORDER BY group_id");
        for row in bound(&sql, ids()).fetch_all(self.reader()).await? {
            groups.entry(row.text("user_id")?).or_default().push(row.parsed("group_id", GroupId::parse)?);
        }
        let mut kinds: BTreeMap<String, Vec<FactorKind>> = BTreeMap::new();
        let sql = format!("SELECT DISTINCT user_id, kind FROM factors WHERE user_id IN ({marks})");
        for row in bound(&sql, ids()).fetch_all(self.reader()).await? {
            kinds.entry(row.text("user_id")?).or_default().push(factors::kind(&row)?);
        }
        let mut accounts = self.accounts_of(tenant, &users).await?;
        let summary = |mut user: User| {
            let id = user.id.to_string();
            user.groups = groups.remove(&id).unwrap_or_default();
            let mut factors = kinds.remove(&id).unwrap_or_default();
            factors.sort_unstable();
            UserSummary { user, factors, accounts: accounts.remove(&id).unwrap_or_default() }
        };
        Ok(users.into_iter().map(summary).collect())
    }

    async fn accounts_of(
        &self,
        tenant: &TenantId,
        users: &[User],
    ) -> Result<BTreeMap<String, Vec<AccountSummary>>, StoreFault> {
        let mut accounts: BTreeMap<String, Vec<AccountSummary>> = BTreeMap::new();
        // By the tenant, too: so it stands in the index. It comes last, where the users' places are the first ones.
        let sql = format!(
            "SELECT user_id, provider, linked_at, used_at, own FROM identities \
             WHERE user_id IN ({}) AND tenant = ${} ORDER BY linked_at, provider",
            marks(users.len()),
            users.len() + 1
        );
        let ids = users.iter().map(|user| user.id.to_string());
        for row in bound(&sql, ids.chain([tenant.to_string()])).fetch_all(self.reader()).await? {
            accounts.entry(row.text("user_id")?).or_default().push(AccountSummary {
                provider: row.parsed("provider", ProviderId::parse)?,
                linked: row.time("linked_at")?,
                used: row.opt_time("used_at")?,
                brought: row.count("own")? == 0,
            });
        }
        Ok(accounts)
    }
}

/// The same as [`UserSummary::lacks_second`].
const WITHOUT_SECOND: &str = " AND u.status = 'active' \
     AND NOT EXISTS (SELECT 1 FROM factors f WHERE f.user_id = u.id AND f.kind IN ('totp', 'passkey')) \
     AND NOT EXISTS (SELECT 1 FROM identities i WHERE i.tenant = u.tenant AND i.user_id = u.id AND i.own = 0)";

fn marks(count: usize) -> String {
    (1..=count).map(|nth| format!("${nth}")).collect::<Vec<_>>().join(", ")
}

fn bound<'q>(sql: &str, values: impl Iterator<Item = String>) -> sqlx::query::Query<'q, Any, sqlx::any::AnyArguments> {
    // Only placeholders are composed; every value is bound.
    values.fold(sqlx::query(AssertSqlSafe(sql.to_owned())), |query, value| query.bind(value))
}

/// Whether the address or name in a row of a search holds `part`, which is in lower case.
fn holds(sealer: &Sealer, row: &str, part: &str) -> Result<bool, StoreFault> {
    let (id, sealed) = row.split_at(ID_LEN);
    let sealed = from_hex(sealed).ok_or_else(|| StoreFault::corrupt("person", "no hex"))?;
    let mut text = sealed::person_text(sealer, id, sealed)?;
    if text.is_ascii() {
        text.make_ascii_lowercase();
    } else {
        text = text.to_lowercase();
    }
    // What is said of the person beside stands behind the two.
    Ok(text.split('\n').take(2).any(|one| one.contains(part)))
}

/// The key that a row of a search was sealed under.
fn key_of(row: &str) -> Option<KeyId> {
    KeyId::of(&from_hex(row.get(row.len().checked_sub(KEY_DIGITS)?..)?)?)
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    text.as_bytes().chunks_exact(2).map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect()
}
