use super::*;
use crate::testing::{Dir, t0, tenant, user};
use crate::{Accepted, Accepting, TicketKind, TicketRecord};
use cardea_core::{Secret, entropy::Fixed};
use cardea_identity::{
    FactorData, FactorKind, Sealer, TicketHash, User,
    factors::recovery::{self, Drawn},
};

fn set(seed: u64) -> Drawn {
    recovery::draw(&Sealer::new(&Secret::new([7; 32])).unwrap(), t0(), &Fixed::new(seed)).unwrap()
}

fn password() -> Factor {
    let data = FactorData::Password { phc: String::new() };
    let before = t0().minus(std::time::Duration::from_secs(1));
    Factor {
        id: FactorId::mint(before, &Fixed::new(1_000)),
        name: String::new(),
        data,
        created: before,
        last_used: None,
    }
}

/// A store in which Ada has a password and these codes.
async fn ada_with(dir: &Dir, codes: &Drawn) -> (Store, User) {
    let (store, ada) = (dir.store().await, user("acme", "ada@x.example"));
    store.insert_user(&ada).await.unwrap();
    store.insert_factor(&ada.tenant, ada.id, &password()).await.unwrap();
    let had = [password().id];
    let put = store.replace_recovery(&ada.tenant, ada.id, &codes.factor, &codes.hashes, &had).await.unwrap();
    assert_eq!(put, FactorInserted::Done);
    (store, ada)
}

#[tokio::test]
async fn of_fifty_who_show_the_same_code_one_is_let_in() {
    let (dir, codes) = (Dir::new(), set(1));
    let (store, ada) = ada_with(&dir, &codes).await;
    let spend = |nth: usize| store.spend_recovery_code(&ada.tenant, ada.id, codes.factor.id, &codes.hashes[nth], t0());
    let spent: Vec<_> =
        futures_util::future::join_all((0..50).map(|_| spend(0))).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(spent.iter().filter(|one| **one == CodeSpent::Done { left: 9 }).count(), 1, "{spent:?}");
    assert_eq!(spent.iter().filter(|one| **one == CodeSpent::Before).count(), 49);
    for nth in 1..10 {
        assert_eq!(spend(nth).await.unwrap(), CodeSpent::Done { left: 9 - u64::try_from(nth).unwrap() });
    }
    assert_eq!(store.recovery_codes_left(&ada.tenant, ada.id, codes.factor.id).await.unwrap(), 0);
    let kept = store.factors(&ada.tenant, ada.id).await.unwrap();
    assert_eq!(kept[1].last_used, Some(t0()));
    // As after a restart.
    store.close().await;
    let store = dir.store().await;
    let again = store.spend_recovery_code(&ada.tenant, ada.id, codes.factor.id, &codes.hashes[0], t0()).await.unwrap();
    assert_eq!(again, CodeSpent::Before);
}

#[tokio::test]
async fn a_code_is_its_owners_alone() {
    let (dir, codes, other) = (Dir::new(), set(1), set(2));
    let (store, ada) = ada_with(&dir, &codes).await;
    let (bob, eve) = (user("acme", "bob@x.example"), user("beta", "ada@x.example"));
    for one in [&bob, &eve] {
        store.insert_user(one).await.unwrap();
    }
    let put = store.replace_recovery(&bob.tenant, bob.id, &other.factor, &other.hashes, &[]).await.unwrap();
    assert_eq!(put, FactorInserted::Done);
    for (what, tenant, user, factor, hash) in [
        ("another person", &ada.tenant, bob.id, codes.factor.id, &codes.hashes[0]),
        ("another tenant", &tenant("beta"), ada.id, codes.factor.id, &codes.hashes[0]),
        ("another tenant's person of that address", &eve.tenant, eve.id, codes.factor.id, &codes.hashes[0]),
        ("another's set", &ada.tenant, ada.id, other.factor.id, &other.hashes[0]),
        ("another's code", &ada.tenant, ada.id, codes.factor.id, &other.hashes[0]),
    ] {
        let spent = store.spend_recovery_code(tenant, user, factor, hash, t0()).await.unwrap();
        assert_eq!(spent, CodeSpent::Unknown, "{what}");
    }
    assert_eq!(store.recovery_codes_left(&ada.tenant, bob.id, codes.factor.id).await.unwrap(), 0);
    assert_eq!(store.recovery_codes_left(&ada.tenant, ada.id, codes.factor.id).await.unwrap(), 10, "all are good");
}

#[tokio::test]
async fn a_new_set_replaces_the_old_one_whole() {
    let (dir, old, new, twin) = (Dir::new(), set(1), set(2), set(3));
    let (store, ada) = ada_with(&dir, &old).await;
    let had = [password().id, old.factor.id];
    let replace = async |with: &Drawn, had: &[FactorId]| {
        store.replace_recovery(&ada.tenant, ada.id, &with.factor, &with.hashes, had).await.unwrap()
    };
    // Judged by factors that are others by now, it changes nothing.
    assert_eq!(replace(&new, &had[..1]).await, FactorInserted::Changed);
    assert_eq!(store.recovery_codes_left(&ada.tenant, ada.id, old.factor.id).await.unwrap(), 10);
    // Of two at once one counts.
    let (one, two) = tokio::join!(replace(&new, &had), replace(&twin, &had));
    let (won, lost) = if one == FactorInserted::Done { (&new, two) } else { (&twin, one) };
    assert_eq!(lost, FactorInserted::Changed);
    let kept = store.factors(&ada.tenant, ada.id).await.unwrap();
    let kinds: Vec<_> = kept.iter().map(Factor::kind).collect();
    assert_eq!((kinds.as_slice(), kept[1].id), (&[FactorKind::Password, FactorKind::Recovery][..], won.factor.id));
    let spend = async |of: &Drawn| {
        store.spend_recovery_code(&ada.tenant, ada.id, of.factor.id, &of.hashes[0], t0()).await.unwrap()
    };
    assert_eq!(spend(&old).await, CodeSpent::Unknown, "a code of the old set");
    assert_eq!(spend(won).await, CodeSpent::Done { left: 9 });
}

async fn codes_in(store: &Store) -> u64 {
    let row = sqlx::query("SELECT COUNT(*) AS codes FROM recovery_codes").fetch_one(store.reader()).await.unwrap();
    row.count("codes").unwrap()
}

/// Each way in which a person's factors go takes the codes along.
#[tokio::test]
async fn codes_end_with_the_factors() {
    for way in ["removed", "invited anew", "deleted"] {
        let (dir, codes) = (Dir::new(), set(1));
        let (store, ada) = ada_with(&dir, &codes).await;
        assert_eq!(codes_in(&store).await, 10);
        match way {
            "removed" => {
                let removed = store.remove_factor(&ada.tenant, ada.id, codes.factor.id, t0()).await.unwrap();
                assert_eq!(removed.as_ref(), Some(&codes.factor));
            }
            "invited anew" => {
                let hash = TicketHash::from_bytes([1; 32]);
                let expires = t0().plus(std::time::Duration::from_secs(60));
                let ticket = TicketRecord {
                    hash,
                    tenant: ada.tenant.clone(),
                    kind: TicketKind::Invitation,
                    subject: ada.id.to_string(),
                    payload: serde_json::Value::Null,
                    author: "operator".to_owned(),
                    created: t0(),
                    expires,
                    used: None,
                };
                store.insert_ticket(&ticket).await.unwrap();
                let before = [password(), codes.factor.clone()];
                let chosen = Factor { id: FactorId::mint(t0(), &Fixed::new(2_000)), ..password() };
                let with = Accepting { ticket: &hash, user: ada.id, before: &before, chosen: Some(&chosen), now: t0() };
                let accepted = store.accept_invitation(&ada.tenant, &with).await.unwrap();
                assert_eq!(accepted, Accepted::Done { joined: false });
            }
            _ => assert!(store.delete_user(&ada.tenant, ada.id, t0()).await.unwrap()),
        }
        assert_eq!(codes_in(&store).await, 0, "{way}");
        let spent = store.spend_recovery_code(&ada.tenant, ada.id, codes.factor.id, &codes.hashes[0], t0()).await;
        assert_eq!(spent.unwrap(), CodeSpent::Unknown, "{way}");
    }
}
