//! What a session rests on, looked at once more when it is there. Whoever takes away what somebody signs in with ends the sessions
//! that there are: one that was under way is not among them yet.

use cardea_core::{TenantId, UserId};
use cardea_identity::{
    AccountId, Status,
    assurance::{Means, Proof},
};

use crate::{Store, StoreFault, row::Read};

/// What is left of what somebody has shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grounds {
    /// All of it.
    Stand,
    /// A factor, or an account at a provider, is theirs no more.
    Gone,
    /// They may not enter at all.
    NoEntry,
}

impl Store {
    /// Whether a user may enter still, and still has what these proofs show; by one statement. Of an account of which only the
    /// provider is known any there will do.
    pub async fn grounds(&self, tenant: &TenantId, user: UserId, proofs: &[Proof]) -> Result<Grounds, StoreFault> {
        let factors: Vec<_> = proofs.iter().filter_map(|proof| proof.means.factor()).map(|id| id.to_string()).collect();
        let accounts: Vec<_> = proofs.iter().filter_map(|proof| account(&proof.means)).collect();
        let row = sqlx::query(
            "SELECT status, (SELECT COUNT(*) FROM json_each($3) AS shown WHERE NOT EXISTS \
             (SELECT 1 FROM factors WHERE tenant = $1 AND user_id = $2 AND id = shown.value)) \
             + (SELECT COUNT(*) FROM json_each($4) AS shown WHERE NOT EXISTS \
             (SELECT 1 FROM identities WHERE tenant = $1 AND user_id = $2 \
             AND shown.value IN (provider || '-' || linked_at, provider))) AS gone \
             FROM users WHERE tenant = $1 AND id = $2",
        )
        .bind(tenant.as_str())
        .bind(user.to_string())
        .bind(serde_json::to_string(&factors)?)
        .bind(serde_json::to_string(&accounts)?)
        .fetch_optional(self.reader())
        .await?;
        Ok(match row {
            Some(row) if row.text("status")? != Status::Active.as_str() => Grounds::NoEntry,
            Some(row) if row.count("gone")? > 0 => Grounds::Gone,
            Some(_) => Grounds::Stand,
            None => Grounds::NoEntry,
        })
    }
}

/// As the statement above writes it.
fn account(means: &Means) -> Option<&str> {
    match means {
        Means::Oidc { provider, account, .. } => Some(account.as_ref().map_or(provider.as_str(), AccountId::as_str)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use cardea_core::{Assurance, FactorId, ProviderId, entropy::Fixed};
    use cardea_identity::{Factor, FactorData, Had, LinkedIdentity, Origin};

    use super::*;
    use crate::{
        Unlinking,
        testing::{Dir, t0, tenant, user},
    };

    #[tokio::test]
    async fn what_was_shown_stands_until_a_part_of_it_is_taken_away() {
        let dir = Dir::new();
        let store = dir.store().await;
        let (acme, ada, bob) = (tenant("acme"), user("acme", "ada@x.example"), user("acme", "bob@x.example"));
        let factor = |seed| {
            let (id, data) = (FactorId::mint(t0(), &Fixed::new(seed)), FactorData::Password { phc: String::new() });
            Factor { id, name: String::new(), data, created: t0(), last_used: None }
        };
        let (hers, his, work) = (factor(1), factor(2), ProviderId::parse("work").unwrap());
        for (person, factor) in [(&ada, &hers), (&bob, &his)] {
            store.insert_user(person).await.unwrap();
            store.insert_factor(&acme, person.id, factor).await.unwrap();
        }
        let account = LinkedIdentity { provider: work.clone(), issuer: "i".to_owned(), subject: "1".to_owned() };
        store
            .link_own_identity(&acme, ada.id, &account, &Had::of(std::slice::from_ref(&hers), &[]), t0())
            .await
            .unwrap();
        let proof = |means| Proof { means, at: t0() };
        let password = |factor: &Factor| proof(Means::Password { factor: factor.id });
        let word = |account| {
            let (provider, origin) = (work.clone(), Origin::Person);
            proof(Means::Oidc { provider, assurance: Assurance::One, origin, account })
        };
        let at = |time| Some(AccountId::of(&work, time));
        let look = async |proofs: &[Proof]| store.grounds(&acme, ada.id, proofs).await.unwrap();

        let (mail, later) = (proof(Means::Email), t0().plus(std::time::Duration::from_secs(1)));
        assert_eq!(look(&[password(&hers), word(at(t0())), word(None), mail]).await, Grounds::Stand);
        assert_eq!(look(&[]).await, Grounds::Stand);
        assert_eq!(look(&[password(&his)]).await, Grounds::Gone, "another's is none of hers");
        assert_eq!(look(&[word(at(later))]).await, Grounds::Gone, "another account there");
        for which in [at(t0()), None] {
            assert_eq!(store.grounds(&acme, bob.id, &[word(which)]).await.unwrap(), Grounds::Gone);
        }
        assert_eq!(store.grounds(&tenant("beta"), ada.id, &[]).await.unwrap(), Grounds::NoEntry);

        let by = Unlinking::Administrator { mailbox: false };
        store.unlink_identity(&acme, ada.id, (&work, t0()), by, t0()).await.unwrap();
        assert_eq!(look(&[password(&hers), word(at(t0()))]).await, Grounds::Gone);
        assert_eq!(look(&[word(None)]).await, Grounds::Gone);
        assert_eq!(look(&[password(&hers)]).await, Grounds::Stand);
        store.remove_factor(&acme, ada.id, hers.id, t0()).await.unwrap();
        assert_eq!(look(&[password(&hers)]).await, Grounds::Gone);
        store.set_status(&acme, ada.id, Status::Active, Status::Suspended, t0()).await.unwrap();
        assert_eq!(look(&[]).await, Grounds::NoEntry);
    }
}
