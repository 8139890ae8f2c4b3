//! Starting over: all that a user could prove is taken away, in one step.

use cardea_core::{FactorId, TenantId, Timestamp, UserId};
use cardea_identity::{FactorKind, LinkedIdentity, Status};

use crate::{
    Store, StoreFault,
    changes::{Change, announce},
    devices, factors, identities,
    row::Read,
    tickets,
};

/// What came of letting a user start over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StartedOver {
    /// This is gone.
    Done {
        /// Factors.
        factors: Vec<(FactorId, FactorKind)>,
        /// Accounts at providers that the user had linked.
        accounts: Vec<LinkedIdentity>,
    },
    /// The user is suspended: nothing is changed.
    Suspended,
    /// There is no such user.
    NoUser,
}

impl Store {
    /// Removes every factor of a user, with recovery codes and the accounts at providers that they linked, and takes every unused
    /// link back. Whoever has no account by a provider's word is invited again: without this, a mailbox alone would open where codes
    /// by e-mail do. Sessions are the shared state's: end them too.
    pub async fn reset_user(&self, tenant: &TenantId, id: UserId, now: Timestamp) -> Result<StartedOver, StoreFault> {
        let (mut tx, sealer) = self.write_sealed(Some(tenant)).await?;
        let row = sqlx::query("SELECT status FROM users WHERE tenant = $1 AND id = $2 AND status <> 'deleted'")
            .bind(tenant.as_str())
            .bind(id.to_string())
            .fetch_optional(&mut *tx)
            .await?;
        let Some(row) = row else { return Ok(StartedOver::NoUser) };
        if row.text("status")? == Status::Suspended.as_str() {
            return Ok(StartedOver::Suspended);
        }
        let accounts = identities::drop_own(&mut tx, &sealer, tenant, id).await?;
        // Whoever was active was here, though nobody may have noted it yet: no letter carries their link (`Invited::by_letter`).
        sqlx::query(
            "UPDATE users SET status = 'invited', changed_at = $3, \
             last_seen_at = CASE WHEN status = 'active' THEN COALESCE(last_seen_at, $3) ELSE last_seen_at END \
             WHERE tenant = $1 AND id = $2 \
             AND status IN ('active', 'invited') AND NOT EXISTS (SELECT 1 FROM identities WHERE user_id = $2)",
        )
        .bind(tenant.as_str())
        .bind(id.to_string())
        .bind(now.as_micros())
        .execute(&mut *tx)
        .await?;
        let rows = sqlx::query("DELETE FROM factors WHERE tenant = $1 AND user_id = $2 RETURNING id, kind")
            .bind(tenant.as_str())
            .bind(id.to_string())
            .fetch_all(&mut *tx)
            .await?;
        let factors = rows.iter().map(|row| Ok((row.parsed("id", FactorId::parse)?, factors::kind(row)?)));
        let factors = factors.collect::<Result<Vec<_>, StoreFault>>()?;
        tickets::drop_links(&mut tx, tenant, id).await?;
        devices::drop_all(&mut tx, tenant, id).await?;
        announce(&mut tx, Some(tenant), &Change::User(id), now).await?;
        tx.commit().await?;
        Ok(StartedOver::Done { factors, accounts })
    }
}

#[cfg(test)]
mod tests {
    use cardea_core::{ProviderId, entropy::Fixed};
    use cardea_identity::{Factor, FactorData, Had, LinkedIdentity};

    use super::*;
    use crate::FactorInserted;
    use crate::testing::{Dir, t0, tenant, user};

    #[tokio::test]
    async fn whoever_starts_over_has_nothing_left_and_nobody_else_loses_anything() {
        let dir = Dir::new();
        let store = dir.store().await;
        let acme = tenant("acme");
        let entropy = Fixed::new(3);
        let (mira, ben) = (user("acme", "mira@acme.example"), user("acme", "ben@acme.example"));
        let mut ids = Vec::new();
        for user in [&mira, &ben] {
            store.insert_user(user).await.unwrap();
            let id = FactorId::mint(t0(), &entropy);
            ids.push(id);
            let data = FactorData::Password { phc: "$argon2id$".to_owned() };
            let factor = Factor { id, name: String::new(), data, created: t0(), last_used: None };
            store.insert_factor(&acme, user.id, &factor).await.unwrap();
        }
        assert_eq!(store.reset_user(&tenant("north"), mira.id, t0()).await.unwrap(), StartedOver::NoUser, "another's");
        let gone = store.reset_user(&acme, mira.id, t0()).await.unwrap();
        let done = |factors| StartedOver::Done { factors, accounts: vec![] };
        assert_eq!(gone, done(vec![(ids[0], FactorKind::Password)]));
        assert!(store.factors(&acme, mira.id).await.unwrap().is_empty());
        assert_eq!(store.factors(&acme, ben.id).await.unwrap().len(), 1);
        let status = async |id| store.user(&acme, id).await.unwrap().unwrap().status;
        assert_eq!((status(mira.id).await, status(ben.id).await), (Status::Invited, Status::Active));
        let again = store.reset_user(&acme, mira.id, t0()).await.unwrap();
        assert_eq!(again, done(vec![]), "once more is no fault");
        // A session of before that is not ended yet adds nothing, though it was asked for all that there is: for nothing.
        let data = FactorData::Password { phc: "$argon2id$".to_owned() };
        let late =
            Factor { id: FactorId::mint(t0(), &entropy), name: String::new(), data, created: t0(), last_used: None };
        let added = store.insert_factor_beside(&acme, mira.id, &late, &[]).await.unwrap();
        assert_eq!(added, FactorInserted::NoUser);
        store.set_status(&acme, ben.id, Status::Active, Status::Suspended, t0()).await.unwrap();
        assert_eq!(store.reset_user(&acme, ben.id, t0()).await.unwrap(), StartedOver::Suspended);
        assert_eq!(store.factors(&acme, ben.id).await.unwrap().len(), 1, "whoever is suspended lost something");
    }

    #[tokio::test]
    async fn whoever_has_an_account_at_a_provider_starts_over_there() {
        let dir = Dir::new();
        let store = dir.store().await;
        let mira = user("acme", "mira@acme.example");
        store.insert_user(&mira).await.unwrap();
        let account = LinkedIdentity {
            provider: ProviderId::parse("work").unwrap(),
            issuer: "https://idp.example".to_owned(),
            subject: "mira".to_owned(),
        };
        store.link_identity(&mira.tenant, mira.id, &account, t0()).await.unwrap();
        let had = Had::of(&[], &store.identities(&mira.tenant, mira.id).await.unwrap());
        let own = LinkedIdentity { subject: "own".to_owned(), ..account.clone() };
        store.link_own_identity(&mira.tenant, mira.id, &own, &had, t0()).await.unwrap();
        let gone = store.reset_user(&mira.tenant, mira.id, t0()).await.unwrap();
        assert_eq!(gone, StartedOver::Done { factors: vec![], accounts: vec![own.clone()] });
        assert_eq!(store.identities(&mira.tenant, mira.id).await.unwrap()[0].identity, account);
        assert_eq!(store.user(&mira.tenant, mira.id).await.unwrap().unwrap().status, Status::Active);
        assert_eq!(
            store.user_by_identity(&mira.tenant, &own).await.unwrap(),
            None,
            "whoever had the factors may have linked it"
        );
    }
}
