//! Who a provider's people are in the pool. Keyed by provider, issuer and subject, of which a mark is kept; never by e-mail.

use cardea_core::{ProviderId, TenantId, Timestamp, UserId};
use cardea_identity::{LinkedIdentity, Sealer, User};
use sqlx::{AnyConnection, any::AnyRow};

use crate::{
    Store, StoreFault,
    changes::{Change, announce},
    row::Read,
    sealed::{self, ACCOUNT, Place, account},
    tickets,
};

/// What came of linking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Linked {
    /// It is this user's now, or was already.
    Done,
    /// It belongs to another user of the pool.
    Taken,
    /// There is no such user.
    NoUser,
}

impl Store {
    /// Links a user to an account at a provider.
    pub async fn link_identity(
        &self,
        tenant: &TenantId,
        user: UserId,
        identity: &LinkedIdentity,
        now: Timestamp,
    ) -> Result<Linked, StoreFault> {
        let (mut tx, sealer) = self.write_sealed(Some(tenant)).await?;
        let known = sqlx::query("SELECT 1 FROM users WHERE tenant = $1 AND id = $2 AND status <> 'deleted'")
            .bind(tenant.as_str())
            .bind(user.to_string())
            .fetch_optional(&mut *tx)
            .await?;
        if known.is_none() {
            return Ok(Linked::NoUser);
        }
        let owner = find(&mut tx, &sealer, tenant, identity).await?;
        if let Some(row) = owner {
            let same = row.parsed("user_id", UserId::parse)? == user;
            return Ok(if same { Linked::Done } else { Linked::Taken });
        }
        let mark = sealer.mark(ACCOUNT, &account(identity))?;
        let place = Place::Account { user, mark: &mark };
        let sealed = sealed::seal(&sealer, place, &(&identity.issuer, &identity.subject), self.entropy()?)?;
        sqlx::query(
            "INSERT INTO identities (tenant, provider, mark, sealed, user_id, linked_at) VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(tenant.as_str())
        .bind(identity.provider.as_str())
        .bind(mark)
        .bind(sealed)
        .bind(user.to_string())
        .bind(now.as_micros())
        .execute(&mut *tx)
        .await?;
        // Whoever signs in by a provider needs no link, and a letter that lies in the mailbox still must open nothing.
        tickets::drop_links(&mut tx, tenant, user).await?;
        announce(&mut tx, Some(tenant), &Change::User(user), now).await?;
        tx.commit().await?;
        Ok(Linked::Done)
    }

    /// The user whom an account at a provider belongs to.
    pub async fn user_by_identity(
        &self,
        tenant: &TenantId,
        identity: &LinkedIdentity,
    ) -> Result<Option<User>, StoreFault> {
        let (mut tx, sealer) = self.read_marks(tenant).await?;
        let row = find(&mut tx, &sealer, tenant, identity).await?;
        drop(tx);
        match row {
            Some(row) => self.user(tenant, row.parsed("user_id", UserId::parse)?).await,
            None => Ok(None),
        }
    }

    /// A user's accounts at providers.
    pub async fn identities(&self, tenant: &TenantId, user: UserId) -> Result<Vec<LinkedIdentity>, StoreFault> {
        let rows = sqlx::query(
            "SELECT provider, mark, sealed FROM identities WHERE tenant = $1 AND user_id = $2 ORDER BY linked_at, provider",
        )
        .bind(tenant.as_str())
        .bind(user.to_string())
        .fetch_all(self.reader())
        .await?;
        let sealer = self.opener(Some(tenant), &rows, "sealed").await?;
        rows.iter()
            .map(|row| {
                let place = Place::Account { user, mark: &row.text("mark")? };
                let (issuer, subject) = sealed::open(&sealer, place, row.bytes("sealed")?)?;
                Ok(LinkedIdentity { provider: row.parsed("provider", ProviderId::parse)?, issuer, subject })
            })
            .collect()
    }
}

/// Whose an account is. While keys change, it may be known by the mark under either: asked for in one statement, so that a
/// row that is marked anew meanwhile is not passed over.
async fn find(
    from: &mut AnyConnection,
    sealer: &Sealer,
    tenant: &TenantId,
    identity: &LinkedIdentity,
) -> Result<Option<AnyRow>, StoreFault> {
    let marks = serde_json::to_string(&sealer.marks(ACCOUNT, &account(identity)))?;
    let sql = "SELECT user_id FROM identities WHERE tenant = $1 AND mark IN (SELECT value FROM json_each($2))";
    Ok(sqlx::query(sql).bind(tenant.as_str()).bind(marks).fetch_optional(from).await?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        TicketKind, TicketRecord,
        testing::{Dir, t0, tenant, user},
    };
    use cardea_core::entropy::Fixed;
    use cardea_identity::Ticket;

    fn at(issuer: &str, subject: &str) -> LinkedIdentity {
        LinkedIdentity {
            provider: ProviderId::parse("work").unwrap(),
            issuer: issuer.to_owned(),
            subject: subject.to_owned(),
        }
    }

    #[tokio::test]
    async fn an_account_elsewhere_names_one_user_of_one_pool() {
        let dir = Dir::new();
        let store = dir.store().await;
        let (ada, bob) = (user("acme", "ada@x.example"), user("acme", "bob@x.example"));
        store.insert_user(&ada).await.unwrap();
        store.insert_user(&bob).await.unwrap();
        let acme = tenant("acme");
        let account = at("https://idp.example", "1");
        assert_eq!(store.link_identity(&acme, ada.id, &account, t0()).await.unwrap(), Linked::Done);
        assert_eq!(store.link_identity(&acme, ada.id, &account, t0()).await.unwrap(), Linked::Done);
        assert_eq!(store.link_identity(&acme, bob.id, &account, t0()).await.unwrap(), Linked::Taken);
        assert_eq!(store.user_by_identity(&acme, &account).await.unwrap().unwrap().id, ada.id);
        assert_eq!(store.identities(&acme, ada.id).await.unwrap(), std::slice::from_ref(&account));
        for other in [at("https://other.example", "1"), at("https://idp.example", "2")] {
            assert_eq!(store.user_by_identity(&acme, &other).await.unwrap(), None);
        }
        assert_eq!(store.user_by_identity(&tenant("beta"), &account).await.unwrap(), None);
    }

    /// Whoever was invited by a letter and signs in by a provider leaves the letter unused: it replaced all that they sign in with,
    /// for whoever reads the mailbox.
    #[tokio::test]
    async fn who_signs_in_by_a_provider_leaves_no_link_that_opens_something() {
        let dir = Dir::new();
        let store = dir.store().await;
        let (ada, bob) = (user("acme", "ada@x.example"), user("acme", "bob@x.example"));
        let mut kept = Vec::new();
        for (nth, (person, kind)) in
            [(&ada, TicketKind::Invitation), (&ada, TicketKind::Factor), (&bob, TicketKind::Invitation)]
                .into_iter()
                .enumerate()
        {
            let ticket = TicketRecord {
                hash: Ticket::draw(&Fixed::new(nth as u64 + 1)).hash(),
                tenant: tenant("acme"),
                kind,
                subject: person.id.to_string(),
                payload: serde_json::json!({}),
                author: "operator".to_owned(),
                created: t0(),
                expires: t0().plus(std::time::Duration::from_secs(60)),
                used: None,
            };
            store.insert_ticket(&ticket).await.unwrap();
            kept.push(ticket);
        }
        for person in [&ada, &bob] {
            store.insert_user(person).await.unwrap();
        }
        store.link_identity(&tenant("acme"), ada.id, &at("https://idp.example", "1"), t0()).await.unwrap();
        let mut there = Vec::new();
        for ticket in &kept {
            let found = store.peek_ticket(&ticket.tenant, ticket.kind, &ticket.hash, t0()).await.unwrap();
            there.push(found.is_some());
        }
        assert_eq!(there, [false, false, true]);
    }

    #[tokio::test]
    async fn a_user_of_another_pool_cannot_be_linked() {
        let dir = Dir::new();
        let store = dir.store().await;
        let ada = user("acme", "ada@x.example");
        store.insert_user(&ada).await.unwrap();
        let linked = store.link_identity(&tenant("beta"), ada.id, &at("i", "1"), t0()).await.unwrap();
        assert_eq!(linked, Linked::NoUser);
    }
}
