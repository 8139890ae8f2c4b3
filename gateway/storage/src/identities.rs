//! Who a provider's people are in the pool. Keyed by provider, issuer and subject, of which a mark is kept; never by e-mail.

use std::collections::BTreeSet;

use cardea_core::{FactorId, ProviderId, TenantId, Timestamp, UserId};
use cardea_identity::{AccountId, Had, LinkedAccount, LinkedIdentity, Origin, Sealer, User};
use sqlx::any::AnyRow;

use crate::{
    FactorInserted, Store, StoreFault,
    changes::{Change, announce},
    devices, factors,
    limited::Limited,
    row::{Read, const_sql},
    sealed::{self, ACCOUNT, Place, account},
    tickets, unlinked,
    writing::Writing,
};

/// What came of linking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Linked {
    /// It is this user's now.
    Done,
    /// It was this user's already.
    Already {
        /// Whether an entry tells of it.
        told: bool,
    },
    /// It was taken from this user, and a provider's word does not give it back.
    Unlinked,
    /// It belongs to another user of the pool.
    Taken,
    /// There is no such user, or none who may link one.
    NoUser,
    /// The user's factors or accounts are others by now.
    Changed,
}

/// Who takes an account from a user.
#[derive(Debug, Clone, Copy)]
pub enum Unlinking<'a> {
    /// The person, who linked it. They have still what it was judged by that they may do without it.
    Own {
        /// What that was.
        had: &'a Had,
    },
    /// An administrator.
    Administrator {
        /// Whether codes by e-mail are a way in here.
        mailbox: bool,
    },
}

/// What came of unlinking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unlinked {
    /// It opens nothing any more.
    Done {
        /// Which it was.
        account: LinkedIdentity,
        /// Whether it was the user's last way in, so that they are invited from now on.
        invited: bool,
    },
    /// There is no such account, or none that may be taken.
    NoAccount,
    /// What the user has is something else by now.
    Changed,
}

impl Store {
    /// Links a user to an account at a provider, by the provider's word.
    pub async fn link_identity(
        &self,
        tenant: &TenantId,
        user: UserId,
        identity: &LinkedIdentity,
        now: Timestamp,
    ) -> Result<Linked, StoreFault> {
        self.link_identity_if(tenant, user, identity, None, now).await
    }

    /// Links an account that the user has proven from inside, if the user is active and has what is in `had` still: what was demanded
    /// was judged by it.
    pub async fn link_own_identity(
        &self,
        tenant: &TenantId,
        user: UserId,
        identity: &LinkedIdentity,
        had: &Had,
        now: Timestamp,
    ) -> Result<Linked, StoreFault> {
        self.link_identity_if(tenant, user, identity, Some(had), now).await
    }

    async fn link_identity_if(
        &self,
        tenant: &TenantId,
        user: UserId,
        identity: &LinkedIdentity,
        had: Option<&Had>,
        now: Timestamp,
    ) -> Result<Linked, StoreFault> {
        let (mut tx, sealer) = self.write_sealed(Some(tenant)).await?;
        let factors = had.map(|had| had.factors.iter().copied().collect::<Vec<FactorId>>());
        match factors::amiss(&mut tx, tenant, user, factors.as_deref()).await? {
            None => {}
            Some(FactorInserted::Changed) => return Ok(Linked::Changed),
            Some(_) => return Ok(Linked::NoUser),
        }
        let owner = find(&mut tx, &sealer, tenant, identity).await?;
        if let Some(row) = owner {
            let same = row.parsed("user_id", UserId::parse)? == user;
            return Ok(if same { Linked::Already { told: row.count("told")? > 0 } } else { Linked::Taken });
        }
        let marks = unlinked::marks(&sealer, identity)?;
        if let Some(had) = had {
            if ids(&mut tx, tenant, user).await? != had.accounts {
                return Ok(Linked::Changed);
            }
            unlinked::forget(&mut tx, tenant, user, &marks).await?;
        } else if unlinked::was(&mut tx, tenant, user, &marks).await? {
            return Ok(Linked::Unlinked);
        }
        let mark = sealer.mark(ACCOUNT, &account(identity))?;
        let place = Place::Account { user, mark: &mark };
        let sealed = sealed::seal(&sealer, place, &(&identity.issuer, &identity.subject), self.entropy()?)?;
        sqlx::query(
            "INSERT INTO identities (tenant, provider, mark, sealed, user_id, linked_at, own, told) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, 0)",
        )
        .bind(tenant.as_str())
        .bind(identity.provider.as_str())
        .bind(mark)
        .bind(sealed)
        .bind(user.to_string())
        .bind(now.as_micros())
        .bind(i64::from(had.is_some()))
        .execute(&mut *tx)
        .await?;
        // Whoever signs in by a provider needs no link, and a letter that lies in the mailbox still must open nothing. Devices are
        // forgotten as when a factor is added.
        tickets::drop_links(&mut tx, tenant, user).await?;
        devices::drop_all(&mut tx, tenant, user).await?;
        announce(&mut tx, Some(tenant), &Change::User(user), now).await?;
        tx.commit().await?;
        Ok(Linked::Done)
    }

    /// Takes an account from a user, to whom no word of the provider gives it back. Whoever is left with no way in is invited, as
    /// after a reset; so is whoever a provider brought, where codes by e-mail are a way in: else a mailbox alone would open what it
    /// never did. Devices are forgotten as when a factor is removed.
    pub async fn unlink_identity(
        &self,
        tenant: &TenantId,
        user: UserId,
        (provider, linked): (&ProviderId, Timestamp),
        by: Unlinking<'_>,
        now: Timestamp,
    ) -> Result<Unlinked, StoreFault> {
        let (mut tx, sealer) = self.write_sealed(Some(tenant)).await?;
        let rows = sqlx::query(ACCOUNTS).bind(tenant.as_str()).bind(user.to_string()).fetch_all(&mut *tx).await?;
        let accounts = rows.iter().map(|row| account_of(&sealer, user, row)).collect::<Result<Vec<_>, _>>()?;
        if let Unlinking::Own { had } = by {
            let has: BTreeSet<_> = accounts.iter().map(LinkedAccount::id).collect();
            if has != had.accounts || factors::ids(&mut tx, tenant, user).await? != had.factors {
                return Ok(Unlinked::Changed);
            }
        }
        let found = accounts.into_iter().find(|one| one.identity.provider == *provider && one.linked == linked);
        let may = |one: &LinkedAccount| !one.is_brought() || matches!(by, Unlinking::Administrator { .. });
        let Some(gone) = found.filter(may) else { return Ok(Unlinked::NoAccount) };
        for sql in [const_sql!(TAKE, " AND provider = $3 AND linked_at = $4"), UNLINK] {
            sqlx::query(sql)
                .bind(tenant.as_str())
                .bind(user.to_string())
                .bind(provider.as_str())
                .bind(linked.as_micros())
                .execute(&mut *tx)
                .await?;
        }
        let invited = match by {
            Unlinking::Own { .. } => false,
            Unlinking::Administrator { mailbox } if mailbox && !gone.is_brought() => false,
            Unlinking::Administrator { .. } => invite_the_bare(&mut tx, tenant, user, now).await?,
        };
        devices::drop_all(&mut tx, tenant, user).await?;
        announce(&mut tx, Some(tenant), &Change::User(user), now).await?;
        tx.commit().await?;
        Ok(Unlinked::Done { account: gone.identity, invited })
    }

    /// Notes that an entry tells of its linking.
    pub async fn linking_told(&self, tenant: &TenantId, identity: &LinkedIdentity) -> Result<(), StoreFault> {
        let (mut tx, sealer) = self.write_sealed(Some(tenant)).await?;
        let marks = unlinked::marks(&sealer, identity)?;
        let sql = "UPDATE identities SET told = 1 WHERE tenant = $1 AND mark IN (SELECT value FROM json_each($2))";
        sqlx::query(sql).bind(tenant.as_str()).bind(marks).execute(&mut *tx).await?;
        tx.commit().await
    }

    /// Takes from an account that it opens anything since `off`, or gives it back: a sign-in under way by it comes to no session.
    pub async fn turn_identity(
        &self,
        tenant: &TenantId,
        user: UserId,
        identity: &LinkedIdentity,
        off: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<(), StoreFault> {
        let (mut tx, sealer) = self.write_sealed(Some(tenant)).await?;
        let marks = unlinked::marks(&sealer, identity)?;
        let sql = "UPDATE identities SET off_at = $3 \
                   WHERE tenant = $1 AND user_id = $2 AND mark IN (SELECT value FROM json_each($4))";
        sqlx::query(sql)
            .bind(tenant.as_str())
            .bind(user.to_string())
            .bind(off.map(Timestamp::as_micros))
            .bind(marks)
            .execute(&mut *tx)
            .await?;
        announce(&mut tx, Some(tenant), &Change::User(user), now).await?;
        tx.commit().await
    }

    /// The user whom an account at a provider belongs to, and the account as it is linked.
    pub async fn user_by_identity(
        &self,
        tenant: &TenantId,
        identity: &LinkedIdentity,
    ) -> Result<Option<(User, LinkedAccount)>, StoreFault> {
        let (mut tx, sealer) = self.read_marks(tenant).await?;
        let row = find(&mut tx, &sealer, tenant, identity).await?;
        tx.end().await?;
        match row {
            Some(row) => {
                let user = self.user(tenant, row.parsed("user_id", UserId::parse)?).await?;
                let account = read_account(identity.clone(), &row)?;
                Ok(user.map(|user| (user, account)))
            }
            None => Ok(None),
        }
    }

    /// A user's accounts at providers.
    pub async fn identities(&self, tenant: &TenantId, user: UserId) -> Result<Vec<LinkedAccount>, StoreFault> {
        let rows = sqlx::query(ACCOUNTS).bind(tenant.as_str()).bind(user.to_string()).fetch_all(self.reader()).await?;
        let sealer = self.opener(Some(tenant), &rows, "sealed").await?;
        rows.iter().map(|row| account_of(&sealer, user, row)).collect()
    }
}

const ACCOUNTS: &str = "SELECT provider, mark, sealed, linked_at, used_at, own, told, off_at FROM identities \
                        WHERE tenant = $1 AND user_id = $2 ORDER BY linked_at, provider";

/// Notes a user's accounts among those that were taken from them, before they go. The seal goes along: it is bound to user and mark.
const TAKE: &str = "INSERT INTO unlinked (tenant, provider, mark, sealed, user_id, linked_at) \
                    SELECT tenant, provider, mark, sealed, user_id, linked_at FROM identities \
                    WHERE tenant = $1 AND user_id = $2";

const UNLINK: &str = "DELETE FROM identities WHERE tenant = $1 AND user_id = $2 AND provider = $3 AND linked_at = $4";

/// The names of a user's accounts.
async fn ids(tx: &mut Writing, tenant: &TenantId, user: UserId) -> Result<BTreeSet<AccountId>, StoreFault> {
    let rows = sqlx::query("SELECT provider, linked_at FROM identities WHERE tenant = $1 AND user_id = $2")
        .bind(tenant.as_str())
        .bind(user.to_string())
        .fetch_all(&mut **tx)
        .await?;
    let id = |row: &AnyRow| Ok(AccountId::of(&row.parsed("provider", ProviderId::parse)?, row.time("linked_at")?));
    rows.iter().map(id).collect()
}

/// Takes from a user the accounts that they linked, as factors that they added. What came by a provider's word stays the provider's.
pub(crate) async fn drop_own(
    tx: &mut Writing,
    sealer: &Sealer,
    tenant: &TenantId,
    user: UserId,
) -> Result<Vec<LinkedIdentity>, StoreFault> {
    sqlx::query(const_sql!(TAKE, " AND own = 1"))
        .bind(tenant.as_str())
        .bind(user.to_string())
        .execute(&mut **tx)
        .await?;
    let rows = sqlx::query(
        "DELETE FROM identities WHERE tenant = $1 AND user_id = $2 AND own = 1 \
         RETURNING provider, mark, sealed, linked_at, used_at, own, told, off_at",
    )
    .bind(tenant.as_str())
    .bind(user.to_string())
    .fetch_all(&mut **tx)
    .await?;
    rows.iter().map(|row| Ok(account_of(sealer, user, row)?.identity)).collect()
}

/// Whoever is active and has neither an account nor a factor that opens by itself is invited from now on: an app's codes and
/// recovery codes open nothing without another. They were here, so no letter carries
/// their next link.
async fn invite_the_bare(
    tx: &mut Writing,
    tenant: &TenantId,
    user: UserId,
    now: Timestamp,
) -> Result<bool, StoreFault> {
    let done = sqlx::query(
        "UPDATE users SET status = 'invited', changed_at = $3, last_seen_at = COALESCE(last_seen_at, $3) \
         WHERE tenant = $1 AND id = $2 AND status = 'active' \
         AND NOT EXISTS (SELECT 1 FROM identities WHERE tenant = $1 AND user_id = $2) \
         AND NOT EXISTS (SELECT 1 FROM factors WHERE tenant = $1 AND user_id = $2 AND kind IN ('password', 'passkey'))",
    )
    .bind(tenant.as_str())
    .bind(user.to_string())
    .bind(now.as_micros())
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() > 0)
}

fn account_of(sealer: &Sealer, user: UserId, row: &AnyRow) -> Result<LinkedAccount, StoreFault> {
    let place = Place::Account { user, mark: &row.text("mark")? };
    let (issuer, subject) = sealed::open(sealer, place, row.bytes("sealed")?)?;
    let identity = LinkedIdentity { provider: row.parsed("provider", ProviderId::parse)?, issuer, subject };
    read_account(identity, row)
}

fn read_account(identity: LinkedIdentity, row: &AnyRow) -> Result<LinkedAccount, StoreFault> {
    let (origin, told) = (Origin::from(row.count("own")? > 0), row.count("told")? > 0);
    let (linked, used) = (row.time("linked_at")?, row.opt_time("used_at")?);
    let off = row.opt_time("off_at")?.is_some();
    Ok(LinkedAccount { identity, linked, used, origin, told, off })
}

/// Whose an account is. While keys change, it may be known by the mark under either: asked for in one statement, so that a
/// row that is marked anew meanwhile is not passed over.
async fn find(
    from: &mut Limited,
    sealer: &Sealer,
    tenant: &TenantId,
    identity: &LinkedIdentity,
) -> Result<Option<AnyRow>, StoreFault> {
    let marks = unlinked::marks(sealer, identity)?;
    let sql = "SELECT user_id, linked_at, used_at, own, told, off_at FROM identities \
               WHERE tenant = $1 AND mark IN (SELECT value FROM json_each($2))";
    Ok(sqlx::query(sql).bind(tenant.as_str()).bind(marks).fetch_optional(from).await?)
}

#[cfg(test)]
#[path = "identities_tests.rs"]
mod tests;
