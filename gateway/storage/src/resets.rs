//! Starting over: all that a user could prove is taken away, in one step.

use cardea_core::{FactorId, TenantId, Timestamp, UserId};
use cardea_identity::FactorKind;

use crate::{
    Store, StoreFault, TicketKind,
    changes::{Change, announce},
    factors,
    row::Read,
};

impl Store {
    /// Removes every factor of a user, with recovery codes, and takes every unused invitation back; gives the factors that
    /// are gone, or nothing if there is no such user. Sessions are the shared state's: end them too.
    pub async fn reset_user(
        &self,
        tenant: &TenantId,
        id: UserId,
        now: Timestamp,
    ) -> Result<Option<Vec<(FactorId, FactorKind)>>, StoreFault> {
        let mut tx = self.write().await?;
        if factors::amiss(&mut tx, tenant, id, None).await?.is_some() {
            return Ok(None);
        }
        let rows = sqlx::query("DELETE FROM factors WHERE tenant = $1 AND user_id = $2 RETURNING id, kind")
            .bind(tenant.as_str())
            .bind(id.to_string())
            .fetch_all(&mut *tx)
            .await?;
        let gone = rows.iter().map(|row| Ok((row.parsed("id", FactorId::parse)?, factors::kind(row)?)));
        let gone = gone.collect::<Result<Vec<_>, StoreFault>>()?;
        sqlx::query("DELETE FROM tickets WHERE tenant = $1 AND kind = $2 AND subject = $3 AND used_at IS NULL")
            .bind(tenant.as_str())
            .bind(TicketKind::Invitation.as_str())
            .bind(id.to_string())
            .execute(&mut *tx)
            .await?;
        announce(&mut tx, Some(tenant), &Change::User(id), now).await?;
        tx.commit().await?;
        Ok(Some(gone))
    }
}

#[cfg(test)]
mod tests {
    use cardea_core::entropy::Fixed;
    use cardea_identity::{Factor, FactorData};

    use super::*;
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
        assert_eq!(store.reset_user(&tenant("north"), mira.id, t0()).await.unwrap(), None, "another tenant's user");
        let gone = store.reset_user(&acme, mira.id, t0()).await.unwrap();
        assert_eq!(gone, Some(vec![(ids[0], FactorKind::Password)]));
        assert!(store.factors(&acme, mira.id).await.unwrap().is_empty());
        assert_eq!(store.factors(&acme, ben.id).await.unwrap().len(), 1);
        assert_eq!(store.reset_user(&acme, mira.id, t0()).await.unwrap(), Some(vec![]), "once more is no fault");
    }
}
