//! What a session rests on, noted and looked at once more when it is there. Whoever takes away what somebody signs in with ends the
//! sessions that there are: one that was under way is not among them yet.

use cardea_core::{TenantId, Timestamp, UserId};
use cardea_identity::{
    AccountId, Status,
    assurance::{Means, Proof},
};

use crate::{Store, StoreFault, row::Read, writing::Writing};

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
    /// Notes that a user was seen and when each of these proofs was given, and tells whether they may enter still and still have what
    /// the proofs show. Of an account of which only the provider is known any there will do. Nothing moves back.
    pub async fn entered(
        &self,
        tenant: &TenantId,
        user: UserId,
        proofs: &[Proof],
        at: Timestamp,
    ) -> Result<Grounds, StoreFault> {
        let mut tx = self.write_in(tenant).await?;
        let grounds = enter(&mut tx, tenant, user, proofs, at).await?;
        tx.commit().await?;
        Ok(grounds)
    }

    /// Notes when each of these proofs was given, where nobody enters yet. Nothing moves back.
    pub async fn shown(&self, tenant: &TenantId, user: UserId, proofs: &[Proof]) -> Result<(), StoreFault> {
        let mut tx = self.write_in(tenant).await?;
        note(&mut tx, tenant, user, proofs).await?;
        tx.commit().await
    }
}

/// Notes, in a transaction under way, when factors and accounts were last used.
async fn note(tx: &mut Writing, tenant: &TenantId, user: UserId, proofs: &[Proof]) -> Result<(), StoreFault> {
    let factors = proofs.iter().filter_map(|proof| Some((proof.means.factor()?.to_string(), proof.at.as_micros())));
    let accounts = proofs.iter().filter_map(|proof| match &proof.means {
        Means::Oidc { account, .. } => Some((account.as_ref()?.to_string(), proof.at.as_micros())),
        _ => None,
    });
    for (sql, times) in [
        (
            "UPDATE factors SET last_used_at = CAST(json_extract(shown.value, '$[1]') AS BIGINT) FROM json_each($3) AS shown \
             WHERE tenant = $1 AND user_id = $2 AND factors.id = json_extract(shown.value, '$[0]') \
             AND (last_used_at IS NULL OR last_used_at < CAST(json_extract(shown.value, '$[1]') AS BIGINT))",
            factors.collect::<Vec<_>>(),
        ),
        (
            "UPDATE identities SET used_at = CAST(json_extract(shown.value, '$[1]') AS BIGINT) FROM json_each($3) AS shown \
             WHERE tenant = $1 AND user_id = $2 AND provider || '-' || linked_at = json_extract(shown.value, '$[0]') \
             AND (used_at IS NULL OR used_at < CAST(json_extract(shown.value, '$[1]') AS BIGINT))",
            accounts.collect(),
        ),
    ] {
        if times.is_empty() {
            continue;
        }
        sqlx::query(sql)
            .bind(tenant.as_str())
            .bind(user.to_string())
            .bind(serde_json::to_string(&times)?)
            .execute(&mut **tx)
            .await?;
    }
    Ok(())
}

/// As [`Store::entered`], in a transaction under way.
pub(crate) async fn enter(
    tx: &mut Writing,
    tenant: &TenantId,
    user: UserId,
    proofs: &[Proof],
    at: Timestamp,
) -> Result<Grounds, StoreFault> {
    note(tx, tenant, user, proofs).await?;
    let factors: Vec<_> = proofs.iter().filter_map(|proof| proof.means.factor()).map(|id| id.to_string()).collect();
    let accounts: Vec<_> = proofs.iter().filter_map(|proof| account(&proof.means)).collect();
    let rows = sqlx::query(
        "UPDATE users SET last_seen_at = MAX(COALESCE(last_seen_at, $5), $5) \
             WHERE tenant = $1 AND id = $2 AND status <> 'deleted' \
             RETURNING status, (SELECT COUNT(*) FROM json_each($3) AS shown WHERE NOT EXISTS \
             (SELECT 1 FROM factors WHERE tenant = $1 AND user_id = $2 AND id = shown.value)) \
             + (SELECT COUNT(*) FROM json_each($4) AS shown WHERE NOT EXISTS \
             (SELECT 1 FROM identities WHERE tenant = $1 AND user_id = $2 AND off_at IS NULL \
             AND shown.value IN (provider || '-' || linked_at, provider))) AS gone",
    )
    .bind(tenant.as_str())
    .bind(user.to_string())
    .bind(serde_json::to_string(&factors)?)
    .bind(serde_json::to_string(&accounts)?)
    .bind(at.as_micros())
    .fetch_all(&mut **tx)
    .await?;
    Ok(match rows.first() {
        Some(row) if row.text("status")? != Status::Active.as_str() => Grounds::NoEntry,
        Some(row) if row.count("gone")? > 0 => Grounds::Gone,
        Some(_) => Grounds::Stand,
        None => Grounds::NoEntry,
    })
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
            proof(Means::Oidc { provider, assurance: Assurance::One, origin, account, sid: None })
        };
        let at = |time| Some(AccountId::of(&work, time));
        let look = async |proofs: &[Proof]| store.entered(&acme, ada.id, proofs, t0()).await.unwrap();

        let (mail, later) = (proof(Means::Email), t0().plus(std::time::Duration::from_secs(1)));
        assert_eq!(look(&[password(&hers), word(at(t0())), word(None), mail]).await, Grounds::Stand);
        assert_eq!(look(&[]).await, Grounds::Stand);
        assert_eq!(look(&[password(&his)]).await, Grounds::Gone, "another's is none of hers");
        assert_eq!(look(&[word(at(later))]).await, Grounds::Gone, "another account there");
        for which in [at(t0()), None] {
            assert_eq!(store.entered(&acme, bob.id, &[word(which)], t0()).await.unwrap(), Grounds::Gone);
        }
        assert_eq!(store.entered(&tenant("beta"), ada.id, &[], t0()).await.unwrap(), Grounds::NoEntry);

        // Disabled over there, though the sign-in began before.
        for (off, stands) in [(Some(t0()), Grounds::Gone), (None, Grounds::Stand)] {
            store.turn_identity(&acme, ada.id, &account, off, t0()).await.unwrap();
            assert_eq!((look(&[word(at(t0()))]).await, look(&[word(None)]).await), (stands, stands));
        }
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

    /// A remembered device stands in for a factor, and holds the time at which that was really shown: it uses nothing.
    #[tokio::test]
    async fn who_entered_was_seen_and_what_they_showed_was_used_then() {
        let dir = Dir::new();
        let store = dir.store().await;
        let (acme, ada, bob) = (tenant("acme"), user("acme", "ada@x.example"), user("acme", "bob@x.example"));
        let after = |seconds| t0().plus(std::time::Duration::from_secs(seconds));
        let mut ids = Vec::new();
        for (seed, person) in [(1, &ada), (2, &ada), (3, &bob)] {
            let (id, data) = (FactorId::mint(t0(), &Fixed::new(seed)), FactorData::Password { phc: String::new() });
            let factor = Factor { id, name: String::new(), data, created: t0(), last_used: None };
            if seed != 2 {
                store.insert_user(person).await.unwrap();
            }
            store.insert_factor(&acme, person.id, &factor).await.unwrap();
            ids.push(id);
        }
        let shown = |nth: usize, at| Proof { means: Means::Password { factor: ids[nth] }, at };
        let remembered = Proof { means: Means::Remembered { factor: ids[1] }, at: after(10) };
        let used = async |person: &cardea_identity::User| {
            let factors = store.factors(&acme, person.id).await.unwrap();
            (
                store.user(&acme, person.id).await.unwrap().unwrap().last_seen,
                factors.iter().map(|one| one.last_used).collect::<Vec<_>>(),
            )
        };

        store.entered(&acme, ada.id, &[shown(0, after(20)), shown(1, after(10))], after(30)).await.unwrap();
        assert_eq!(used(&ada).await, (Some(after(30)), vec![Some(after(20)), Some(after(10))]));
        store.entered(&acme, ada.id, &[shown(0, after(40)), remembered], after(40)).await.unwrap();
        assert_eq!(used(&ada).await, (Some(after(40)), vec![Some(after(40)), Some(after(10))]));
        store.entered(&acme, ada.id, &[shown(0, after(5)), shown(2, after(50))], after(5)).await.unwrap();
        assert_eq!(used(&ada).await, (Some(after(40)), vec![Some(after(40)), Some(after(10))]), "back in time");
        assert_eq!(used(&bob).await, (None, vec![None]), "another's factor");
    }
}
