//! The change feed: what each change touched, written in the change's own transaction, so that other processes learn of
//! it by asking for what came after.

use cardea_core::{AccessKeyId, GrantId, SessionId, TenantId, Timestamp, TokenId, UserId};
use serde::{Deserialize, Serialize};

use crate::{
    Store, StoreFault,
    push::CHANNEL,
    row::{Read, owner},
    writing::Writing,
};

/// What was touched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", content = "id", rename_all = "kebab-case")]
pub enum Change {
    /// Tenants, apps, providers, groups or guard-rails.
    Resources,
    /// The active policies.
    Policies,
    /// A user's status, name, groups or factors.
    User(UserId),
    /// A session ended or changed.
    Session(SessionId),
    /// All of a user's sessions.
    SessionsOf(UserId),
    /// Assertion keys, or the tenant's own key.
    Keys,
    /// CA material.
    Authority,
    /// What a person has let a client do ended.
    Grant(GrantId),
    /// An access token was given back.
    Token(TokenId),
    /// A personal access key is gone.
    AccessKey(AccessKeyId),
    /// Something that only a younger gateway than this knows, which has announced it.
    Unknown,
}

/// A change with its place in the feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announced {
    /// Its place; grows by one.
    pub seq: i64,
    /// Whose; the operator's where absent.
    pub tenant: Option<TenantId>,
    /// What was touched.
    pub change: Change,
}

/// The most that one question brings.
const AT_ONCE: i64 = 1_000;

impl Store {
    /// Announces a change that no other function of this crate announces.
    pub async fn announce(&self, tenant: Option<&TenantId>, change: &Change, now: Timestamp) -> Result<(), StoreFault> {
        let mut tx = self.write().await?;
        announce(&mut tx, tenant, change, now).await?;
        tx.commit().await
    }

    /// The place of the last change, 0 if there was none.
    pub async fn last_change(&self) -> Result<i64, StoreFault> {
        sqlx::query("SELECT COALESCE(MAX(seq), 0) AS seq FROM changes").fetch_one(self.reader()).await?.int("seq")
    }

    /// What was changed after `seq`, oldest first, at most 1,000 at once.
    pub async fn changes_since(&self, seq: i64) -> Result<Vec<Announced>, StoreFault> {
        let rows = sqlx::query("SELECT seq, tenant, body FROM changes WHERE seq > $1 ORDER BY seq LIMIT $2")
            .bind(seq)
            .bind(AT_ONCE)
            .fetch_all(self.reader())
            .await?;
        rows.iter()
            .map(|row| {
                Ok(Announced {
                    seq: row.int("seq")?,
                    tenant: row.owner("tenant")?,
                    change: row.json("body").unwrap_or(Change::Unknown),
                })
            })
            .collect()
    }

    /// Forgets changes older than `before`, except the last: whoever polls has long read them.
    pub async fn prune_changes(&self, before: Timestamp) -> Result<(), StoreFault> {
        let mut tx = self.write().await?;
        sqlx::query("DELETE FROM changes WHERE at < $1 AND seq < (SELECT MAX(seq) FROM changes)")
            .bind(before.as_micros())
            .execute(&mut *tx)
            .await?;
        tx.commit().await
    }
}

/// Announces a change in the transaction that makes it: who sees the one sees the other.
pub(crate) async fn announce(
    tx: &mut Writing,
    tenant: Option<&TenantId>,
    change: &Change,
    now: Timestamp,
) -> Result<(), StoreFault> {
    if !tx.is_alone() {
        // A defect of ours: another could give the same number at this moment.
        return Err(StoreFault::Contended { what: "changes" });
    }
    // INVARIANT: all rows read, or SQLite has not done it.
    let rows = sqlx::query(
        "INSERT INTO changes (seq, tenant, body, at) SELECT COALESCE(MAX(seq), 0) + 1, $1, $2, $3 FROM changes RETURNING seq",
    )
    .bind(owner(tenant))
    .bind(serde_json::to_string(change)?)
    .bind(now.as_micros())
    .fetch_all(&mut **tx)
    .await?;
    let seq = rows.first().ok_or(StoreFault::Contended { what: "changes" })?.int("seq")?;
    if tx.announces(seq) {
        let sql = "SELECT pg_notify($1, $2)";
        sqlx::query(sql).bind(CHANNEL).bind(seq.to_string()).execute(&mut **tx).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Dir, t0, tenant};

    #[tokio::test]
    async fn another_process_learns_what_was_changed_and_in_which_order() {
        let dir = Dir::new();
        let (ours, theirs) = (dir.store().await, dir.store().await);
        let seen = theirs.last_change().await.unwrap();
        assert_eq!(seen, 0);
        ours.announce(None, &Change::Resources, t0()).await.unwrap();
        ours.announce(Some(&tenant("acme")), &Change::Policies, t0()).await.unwrap();
        let news = theirs.changes_since(seen).await.unwrap();
        assert_eq!(news.iter().map(|n| n.seq).collect::<Vec<_>>(), [1, 2]);
        assert_eq!((news[1].tenant.clone(), &news[1].change), (Some(tenant("acme")), &Change::Policies));
        assert_eq!(theirs.changes_since(2).await.unwrap(), []);
    }

    #[tokio::test]
    async fn forgetting_old_changes_never_gives_a_number_twice() {
        let store = Dir::new();
        let store = store.store().await;
        store.announce(None, &Change::Resources, t0()).await.unwrap();
        store.announce(None, &Change::Resources, t0()).await.unwrap();
        store.prune_changes(t0().plus(std::time::Duration::from_secs(1))).await.unwrap();
        store.announce(None, &Change::Keys, t0()).await.unwrap();
        assert_eq!(store.last_change().await.unwrap(), 3);
        assert_eq!(store.changes_since(0).await.unwrap().len(), 2);
    }
}
