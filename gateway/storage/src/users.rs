//! The pool: people and the groups that they are put in. Deleted people are never found again, and their ids never
//! given to another.

use cardea_core::{Attributes, Entropy, GroupId, TenantId, Timestamp, UserId};
use cardea_identity::{Email, Factor, Sealer, Status, User};

use sqlx::any::AnyRow;

use crate::{
    Store, StoreFault,
    changes::{Change, announce},
    devices, factors,
    limited::Limited,
    row::{Read, const_sql},
    sealed::{self, EMAIL},
    tickets,
    writing::Writing,
};

/// What came of adding a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inserted {
    /// The user is in the pool.
    Done,
    /// Another user of the pool has the address.
    EmailTaken,
    /// The id was used before.
    IdUsed,
}

/// What is read of a user; groups come apart.
pub(crate) const COLUMNS: &str = "SELECT id, tenant, person, status, created_at, changed_at, last_seen_at FROM users";

impl Store {
    /// Adds a user with their groups.
    pub async fn insert_user(&self, user: &User) -> Result<Inserted, StoreFault> {
        let (mut tx, sealer) = self.write_sealed(Some(&user.tenant)).await?;
        let came = add(&mut tx, &sealer, self.entropy()?, user).await?;
        tx.commit().await?;
        Ok(came)
    }

    /// Adds users of one tenant with their groups, in one step; tells of each what came of it.
    pub async fn insert_users(&self, tenant: &TenantId, users: &[User]) -> Result<Vec<Inserted>, StoreFault> {
        let (mut tx, sealer) = self.write_sealed(Some(tenant)).await?;
        let mut came = Vec::with_capacity(users.len());
        for user in users {
            came.push(add(&mut tx, &sealer, self.entropy()?, user).await?);
        }
        tx.commit().await?;
        Ok(came)
    }

    /// A user, unless deleted.
    pub async fn user(&self, tenant: &TenantId, id: UserId) -> Result<Option<User>, StoreFault> {
        let row = sqlx::query(const_sql!(COLUMNS, " WHERE tenant = $1 AND id = $2 AND status <> 'deleted'"))
            .bind(tenant.as_str())
            .bind(id.to_string())
            .fetch_optional(self.reader())
            .await?;
        self.with_groups(tenant, row).await
    }

    /// The user of that address, unless deleted.
    pub async fn user_by_email(&self, tenant: &TenantId, email: &Email) -> Result<Option<User>, StoreFault> {
        let (mut tx, sealer) = self.read_marks(tenant).await?;
        let found = of_email(&mut tx, &sealer, tenant, email).await?;
        tx.end().await?;
        Ok(found)
    }

    /// The user with that address, with their factors, oldest first.
    pub async fn enrolled_by_email(
        &self,
        tenant: &TenantId,
        email: &Email,
    ) -> Result<Option<(User, Vec<Factor>)>, StoreFault> {
        let (mut tx, sealer) = self.read_marks(tenant).await?;
        let user = of_email(&mut tx, &sealer, tenant, email).await?;
        let factors = match &user {
            Some(user) => factors::of_user(&mut *tx, tenant, user.id).await?,
            None => Vec::new(),
        };
        tx.end().await?;
        let Some(user) = user else { return Ok(None) };
        let factors = factors.iter().map(|row| factors::factor(&sealer, row)).collect::<Result<_, _>>()?;
        Ok(Some((user, factors)))
    }

    /// Sets a user's status, if it is `from`; tells whether it was. Deleting is [`Store::delete_user`].
    pub async fn set_status(
        &self,
        tenant: &TenantId,
        id: UserId,
        from: Status,
        to: Status,
        now: Timestamp,
    ) -> Result<bool, StoreFault> {
        if from == Status::Deleted || to == Status::Deleted {
            return Ok(false);
        }
        let mut tx = self.write().await?;
        let sql = "UPDATE users SET status = $4, changed_at = $5, suspended_from = $6 \
                   WHERE tenant = $1 AND id = $2 AND status = $3";
        let done = sqlx::query(sql)
            .bind(tenant.as_str())
            .bind(id.to_string())
            .bind(from.as_str())
            .bind(to.as_str())
            .bind(now.as_micros())
            .bind((to == Status::Suspended).then(|| from.as_str()))
            .execute(&mut *tx)
            .await?;
        // What was made before must not open the door when it is unlocked again.
        if to == Status::Suspended && done.rows_affected() > 0 {
            tickets::drop_links(&mut tx, tenant, id).await?;
            devices::drop_all(&mut tx, tenant, id).await?;
        }
        finish(tx, tenant, id, done.rows_affected(), now).await
    }

    /// Makes a suspended user what they were before, or `unknown` where that was not noted; tells what, or nothing if they are
    /// not suspended. In one step, so that what was noted is of this suspension.
    pub async fn lift_suspension(
        &self,
        tenant: &TenantId,
        id: UserId,
        unknown: Status,
        now: Timestamp,
    ) -> Result<Option<Status>, StoreFault> {
        let mut tx = self.write().await?;
        let sql = "UPDATE users SET status = COALESCE(suspended_from, $3), changed_at = $4, suspended_from = NULL \
                   WHERE tenant = $1 AND id = $2 AND status = 'suspended' RETURNING status";
        let row = sqlx::query(sql)
            .bind(tenant.as_str())
            .bind(id.to_string())
            .bind(unknown.as_str())
            .bind(now.as_micros())
            .fetch_optional(&mut *tx)
            .await?;
        let to = row.as_ref().map(status).transpose()?;
        finish(tx, tenant, id, u64::from(to.is_some()), now).await?;
        Ok(to)
    }

    /// Puts a user into exactly these groups; gives those before, or nothing if there is no such user.
    pub async fn set_groups(
        &self,
        tenant: &TenantId,
        id: UserId,
        groups: &[GroupId],
        now: Timestamp,
    ) -> Result<Option<Vec<GroupId>>, StoreFault> {
        let changed = self.change_groups(tenant, id, |_| groups.to_vec(), now).await?;
        Ok(changed.map(|(before, _)| before))
    }

    /// Puts a user into the groups that `to` makes of those they are in, in one step; gives those before and after, or
    /// nothing if there is no such user.
    pub async fn change_groups(
        &self,
        tenant: &TenantId,
        id: UserId,
        to: impl FnOnce(&[GroupId]) -> Vec<GroupId> + Send,
        now: Timestamp,
    ) -> Result<Option<(Vec<GroupId>, Vec<GroupId>)>, StoreFault> {
        let mut tx = self.write().await?;
        let done =
            sqlx::query("UPDATE users SET changed_at = $3 WHERE tenant = $1 AND id = $2 AND status <> 'deleted'")
                .bind(tenant.as_str())
                .bind(id.to_string())
                .bind(now.as_micros())
                .execute(&mut *tx)
                .await?;
        if done.rows_affected() == 0 {
            return Ok(None);
        }
        let before = groups_of(&mut tx, id).await?;
        let after = to(&before);
        sqlx::query("DELETE FROM memberships WHERE user_id = $1").bind(id.to_string()).execute(&mut *tx).await?;
        insert_groups(&mut tx, tenant, id, &after).await?;
        announce(&mut tx, Some(tenant), &Change::User(id), now).await?;
        tx.commit().await?;
        Ok(Some((before, after)))
    }

    /// Says exactly this of a user; gives what was said before, or nothing if there is no such user.
    pub async fn set_attributes(
        &self,
        tenant: &TenantId,
        id: UserId,
        to: &Attributes,
        now: Timestamp,
    ) -> Result<Option<Attributes>, StoreFault> {
        let (mut tx, sealer) = self.write_sealed(Some(tenant)).await?;
        let row = sqlx::query(const_sql!(COLUMNS, " WHERE tenant = $1 AND id = $2 AND status <> 'deleted'"))
            .bind(tenant.as_str())
            .bind(id.to_string())
            .fetch_optional(&mut *tx)
            .await?;
        let Some(user) = row.as_ref().map(|row| user(&sealer, row)).transpose()? else { return Ok(None) };
        let person = sealed::seal_person(&sealer, id, &user.email, &called(&user.name, to)?, self.entropy()?)?;
        let mark = sealer.mark(EMAIL, user.email.as_str())?;
        sqlx::query("UPDATE users SET person = $3, mark = $4, changed_at = $5 WHERE tenant = $1 AND id = $2")
            .bind(tenant.as_str())
            .bind(id.to_string())
            .bind(person)
            .bind(mark)
            .bind(now.as_micros())
            .execute(&mut *tx)
            .await?;
        announce(&mut tx, Some(tenant), &Change::User(id), now).await?;
        tx.commit().await?;
        Ok(Some(user.attributes))
    }

    /// Notes that a user was seen; never moves back.
    pub async fn user_seen(&self, tenant: &TenantId, id: UserId, at: Timestamp) -> Result<(), StoreFault> {
        sqlx::query(
            "UPDATE users SET last_seen_at = $3 WHERE tenant = $1 AND id = $2 AND status <> 'deleted' \
             AND (last_seen_at IS NULL OR last_seen_at < $3)",
        )
        .bind(tenant.as_str())
        .bind(id.to_string())
        .bind(at.as_micros())
        .execute(&mut *self.turn().await?)
        .await?;
        Ok(())
    }

    /// Deletes a user with factors, identities and groups; the id stays taken. Tells whether there was one. Sessions
    /// are the shared state's: end them too.
    pub async fn delete_user(&self, tenant: &TenantId, id: UserId, now: Timestamp) -> Result<bool, StoreFault> {
        let mut tx = self.write().await?;
        let done = sqlx::query(
            "UPDATE users SET status = 'deleted', person = $4, mark = '', changed_at = $3 \
             WHERE tenant = $1 AND id = $2 AND status <> 'deleted'",
        )
        .bind(tenant.as_str())
        .bind(id.to_string())
        .bind(now.as_micros())
        .bind(Vec::<u8>::new())
        .execute(&mut *tx)
        .await?;
        if done.rows_affected() == 1 {
            for sql in DELETE {
                sqlx::query(*sql).bind(id.to_string()).execute(&mut *tx).await?;
            }
        }
        finish(tx, tenant, id, done.rows_affected(), now).await
    }

    async fn with_groups(&self, tenant: &TenantId, row: Option<AnyRow>) -> Result<Option<User>, StoreFault> {
        let Some(row) = row else { return Ok(None) };
        let sealer = self.opener(Some(tenant), std::slice::from_ref(&row), "person").await?;
        let mut user = user(&sealer, &row)?;
        user.groups = groups_of(&mut self.reader().acquire().await?, user.id).await?;
        Ok(Some(user))
    }
}

/// What goes with a user.
const DELETE: &[&str] = &[
    "DELETE FROM memberships WHERE user_id = $1",
    "DELETE FROM factors WHERE user_id = $1",
    "DELETE FROM identities WHERE user_id = $1",
    "DELETE FROM unlinked WHERE user_id = $1",
    "DELETE FROM access_keys WHERE user_id = $1",
    "DELETE FROM programs_ended WHERE user_id = $1",
    "DELETE FROM refresh_tokens WHERE grant_id IN (SELECT id FROM grants WHERE user_id = $1)",
    "DELETE FROM grants WHERE user_id = $1",
    "DELETE FROM tickets WHERE kind IN ('invitation', 'factor', 'device') AND subject = $1",
];

/// Commits a change of one user, if there was one.
async fn finish(
    mut tx: Writing,
    tenant: &TenantId,
    id: UserId,
    changed: u64,
    now: Timestamp,
) -> Result<bool, StoreFault> {
    if changed == 0 {
        return Ok(false);
    }
    announce(&mut tx, Some(tenant), &Change::User(id), now).await?;
    tx.commit().await?;
    Ok(true)
}

/// The user of an address. While keys change, it may be known by the mark under either: asked for in one statement, so that
/// a row that is marked anew meanwhile is not passed over.
async fn by_email(
    from: &mut Limited,
    sealer: &Sealer,
    tenant: &TenantId,
    email: &Email,
) -> Result<Option<AnyRow>, StoreFault> {
    let marks = serde_json::to_string(&sealer.marks(EMAIL, email.as_str()))?;
    let sql =
        const_sql!(COLUMNS, " WHERE tenant = $1 AND mark IN (SELECT value FROM json_each($2)) AND status <> 'deleted'");
    Ok(sqlx::query(sql).bind(tenant.as_str()).bind(marks).fetch_optional(from).await?)
}

async fn of_email(
    from: &mut Limited,
    sealer: &Sealer,
    tenant: &TenantId,
    email: &Email,
) -> Result<Option<User>, StoreFault> {
    let Some(row) = by_email(from, sealer, tenant, email).await? else { return Ok(None) };
    let mut user = user(sealer, &row)?;
    user.groups = groups_of(from, user.id).await?;
    Ok(Some(user))
}

/// Adds a user with their groups, unless id or address is another's.
async fn add(tx: &mut Writing, sealer: &Sealer, entropy: &dyn Entropy, user: &User) -> Result<Inserted, StoreFault> {
    let row = sqlx::query("SELECT COUNT(*) AS ids FROM users WHERE id = $1")
        .bind(user.id.to_string())
        .fetch_one(&mut **tx)
        .await?;
    if row.count("ids")? > 0 {
        return Ok(Inserted::IdUsed);
    }
    if by_email(tx, sealer, &user.tenant, &user.email).await?.is_some() {
        return Ok(Inserted::EmailTaken);
    }
    insert(tx, sealer, entropy, user).await?;
    announce(tx, Some(&user.tenant), &Change::User(user.id), user.created).await?;
    Ok(Inserted::Done)
}

pub(crate) async fn insert(
    tx: &mut Writing,
    sealer: &Sealer,
    entropy: &dyn Entropy,
    user: &User,
) -> Result<(), StoreFault> {
    sqlx::query(
        "INSERT INTO users (id, tenant, person, mark, status, created_at, changed_at, last_seen_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(user.id.to_string())
    .bind(user.tenant.as_str())
    .bind(sealed::seal_person(sealer, user.id, &user.email, &called(&user.name, &user.attributes)?, entropy)?)
    .bind(sealer.mark(EMAIL, user.email.as_str())?)
    .bind(user.status.as_str())
    .bind(user.created.as_micros())
    .bind(user.changed.as_micros())
    .bind(user.last_seen.map(Timestamp::as_micros))
    .execute(&mut **tx)
    .await?;
    insert_groups(tx, &user.tenant, user.id, &user.groups).await
}

async fn insert_groups(tx: &mut Writing, tenant: &TenantId, id: UserId, groups: &[GroupId]) -> Result<(), StoreFault> {
    for group in groups {
        sqlx::query("INSERT INTO memberships (tenant, user_id, group_id) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING")
            .bind(tenant.as_str())
            .bind(id.to_string())
            .bind(group.as_str())
            .execute(&mut **tx)
            .await?;
    }
    Ok(())
}

async fn groups_of(connection: &mut Limited, id: UserId) -> Result<Vec<GroupId>, StoreFault> {
    let rows = sqlx::query("SELECT group_id FROM memberships WHERE user_id = $1 ORDER BY group_id")
        .bind(id.to_string())
        .fetch_all(connection)
        .await?;
    rows.iter().map(|row| row.parsed("group_id", GroupId::parse)).collect()
}

/// The user of a row, without groups.
pub(crate) fn user(sealer: &Sealer, row: &AnyRow) -> Result<User, StoreFault> {
    let id = row.parsed("id", UserId::parse)?;
    let (email, rest) = sealed::open_person(sealer, id, row.bytes("person")?)?;
    let (name, attributes) = apart(rest)?;
    Ok(User {
        id,
        tenant: row.parsed("tenant", TenantId::parse)?,
        email,
        name,
        status: status(row)?,
        groups: Vec::new(),
        created: row.time("created_at")?,
        changed: row.time("changed_at")?,
        last_seen: row.opt_time("last_seen_at")?,
        attributes,
    })
}

/// A name with what is said of the person beside, as they are sealed together: JSON on a line of its own, where anything
/// is said.
fn called(name: &str, said: &Attributes) -> Result<String, StoreFault> {
    let name = name.replace('\n', " ");
    if said.is_empty() { Ok(name) } else { Ok([name, serde_json::to_string(said)?].join("\n")) }
}

/// The two of them, apart.
fn apart(mut text: String) -> Result<(String, Attributes), StoreFault> {
    let Some(at) = text.find('\n') else { return Ok((text, Attributes::default())) };
    let said = serde_json::from_str(&text[at + 1..]).map_err(|why| StoreFault::corrupt("person", why))?;
    text.truncate(at);
    Ok((text, said))
}

/// The status in a row.
pub(crate) fn status(row: &AnyRow) -> Result<Status, StoreFault> {
    row.parsed("status", |text| Status::parse(text).ok_or_else(|| format!("unknown status `{text}`")))
}

#[cfg(test)]
#[path = "users_tests.rs"]
mod tests;
