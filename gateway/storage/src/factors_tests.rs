use super::*;
use crate::testing::{Dir, t0, tenant, user};
use crate::{Accepted, Accepting, TicketKind, TicketRecord};
use cardea_core::{Assurance, entropy::Fixed};
use cardea_identity::{Sealed, Status, TicketHash, User};

fn factor(seed: u64, data: FactorData) -> Factor {
    let id = FactorId::mint(t0(), &Fixed::new(seed));
    Factor { id, name: format!("factor {seed}"), data, created: t0(), last_used: None }
}

fn password(seed: u64) -> Factor {
    factor(seed, FactorData::Password { phc: format!("$argon2id$v=19${seed}") })
}

fn totp(seed: u64) -> Factor {
    factor(seed, FactorData::Totp { secret: Sealed::from_stored("sealed"), last_step: None })
}

fn passkey(seed: u64, counter: u32) -> FactorData {
    FactorData::Passkey {
        credential_id: format!("cred-{seed}"),
        credential: serde_json::json!({"counter": counter, "cred": {"y": 1, "x": 2}}),
        reach: Assurance::Two,
        copied: None,
    }
}

async fn store_with_ada(dir: &Dir) -> (Store, User) {
    let (store, ada) = (dir.store().await, user("acme", "ada@x.example"));
    store.insert_user(&ada).await.unwrap();
    (store, ada)
}

#[tokio::test]
async fn factors_come_back_as_they_were_put() {
    let dir = Dir::new();
    let (store, ada) = store_with_ada(&dir).await;
    let all = [password(1), totp(2), factor(3, passkey(3, 0))];
    for one in &all {
        assert_eq!(store.insert_factor(&ada.tenant, ada.id, one).await.unwrap(), FactorInserted::Done);
    }
    let mut kept = store.factors(&ada.tenant, ada.id).await.unwrap();
    kept.sort_by_key(|one| one.name.clone());
    assert_eq!(kept, all);
    assert_eq!(store.factors(&tenant("beta"), ada.id).await.unwrap(), []);
    let query = crate::UserQuery { limit: 1, ..Default::default() };
    let page = store.users(&ada.tenant, &query).await.unwrap();
    assert_eq!(page.items[0].factors, [FactorKind::Password, FactorKind::Totp, FactorKind::Passkey]);
}

#[tokio::test]
async fn a_passkey_belongs_to_one_user_of_the_pool() {
    let dir = Dir::new();
    let (store, ada) = store_with_ada(&dir).await;
    let bob = user("acme", "bob@x.example");
    store.insert_user(&bob).await.unwrap();
    let (mine, his) = (factor(1, passkey(9, 0)), factor(2, passkey(9, 0)));
    assert_eq!(store.insert_factor(&ada.tenant, ada.id, &mine).await.unwrap(), FactorInserted::Done);
    assert_eq!(store.insert_factor(&bob.tenant, bob.id, &his).await.unwrap(), FactorInserted::CredentialTaken);
    assert_eq!(store.insert_factor(&tenant("beta"), ada.id, &password(3)).await.unwrap(), FactorInserted::NoUser);
}

#[tokio::test]
async fn of_fifty_who_show_the_same_code_one_is_let_in() {
    let dir = Dir::new();
    let (store, ada) = store_with_ada(&dir).await;
    let app = totp(1);
    store.insert_factor(&ada.tenant, ada.id, &app).await.unwrap();
    let racing = (0..50).map(|_| store.advance_totp(&ada.tenant, ada.id, app.id, 100, t0()));
    let spent: Vec<_> = futures_util::future::join_all(racing).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(spent.iter().filter(|s| **s).count(), 1);
    assert!(!store.advance_totp(&ada.tenant, ada.id, app.id, 99, t0()).await.unwrap(), "an earlier step");
    assert!(store.advance_totp(&ada.tenant, ada.id, app.id, 101, t0()).await.unwrap());
    let kept = store.factors(&ada.tenant, ada.id).await.unwrap();
    assert!(matches!(kept[0].data, FactorData::Totp { last_step: Some(101), .. }));
    assert_eq!(kept[0].last_used, Some(t0()));
}

#[tokio::test]
async fn of_two_who_raise_a_counter_one_succeeds() {
    let dir = Dir::new();
    let (store, ada) = store_with_ada(&dir).await;
    let key = factor(1, passkey(1, 0));
    store.insert_factor(&ada.tenant, ada.id, &key).await.unwrap();
    let (one, two) = (passkey(1, 1), passkey(1, 2));
    let racing = [&one, &two].map(|to| store.replace_passkey(&ada.tenant, ada.id, key.id, &key.data, to, t0()));
    let done: Vec<_> = futures_util::future::join_all(racing).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(done.iter().filter(|d| **d).count(), 1);
    for (what, to) in [("another credential", passkey(2, 1)), ("another kind", password(2).data)] {
        let now = store.factors(&ada.tenant, ada.id).await.unwrap().remove(0).data;
        assert!(!store.replace_passkey(&ada.tenant, ada.id, key.id, &now, &to, t0()).await.unwrap(), "{what}");
    }
    let word = password(2);
    store.insert_factor(&ada.tenant, ada.id, &word).await.unwrap();
    let other = password(3).data;
    let done = store.replace_passkey(&ada.tenant, ada.id, word.id, &word.data, &other, t0()).await.unwrap();
    assert!(!done, "a password");
}

#[tokio::test]
async fn only_the_owner_renames_and_removes() {
    let dir = Dir::new();
    let (store, ada) = store_with_ada(&dir).await;
    let bob = user("acme", "bob@x.example");
    store.insert_user(&bob).await.unwrap();
    let mine = password(1);
    store.insert_factor(&ada.tenant, ada.id, &mine).await.unwrap();
    assert!(!store.rename_factor(&ada.tenant, bob.id, mine.id, "his").await.unwrap());
    assert_eq!(store.remove_factor(&ada.tenant, bob.id, mine.id, t0()).await.unwrap(), None);
    assert!(store.rename_factor(&ada.tenant, ada.id, mine.id, "old").await.unwrap());
    let removed = store.remove_factor(&ada.tenant, ada.id, mine.id, t0()).await.unwrap();
    assert_eq!(removed, Some(Factor { name: "old".to_owned(), ..mine.clone() }));
    assert_eq!(store.remove_factor(&ada.tenant, ada.id, mine.id, t0()).await.unwrap(), None);
}

#[tokio::test]
async fn an_invitation_is_accepted_whole_or_not_at_all() {
    let dir = Dir::new();
    let (store, mut ada) = (dir.store().await, user("acme", "ada@x.example"));
    ada.status = Status::Invited;
    store.insert_user(&ada).await.unwrap();
    let ben = user("acme", "ben@x.example");
    store.insert_user(&ben).await.unwrap();
    let bens = factor(9, passkey(9, 0));
    assert_eq!(store.insert_factor(&ben.tenant, ben.id, &bens).await.unwrap(), FactorInserted::Done);
    let (hash, old, new) = (TicketHash::from_bytes([1; 32]), password(1), password(2));
    store.insert_ticket(&invitation(&ada, hash)).await.unwrap();
    store.insert_factor(&ada.tenant, ada.id, &old).await.unwrap();
    let with =
        Accepting { ticket: &hash, user: ada.id, before: std::slice::from_ref(&old), chosen: Some(&new), now: t0() };
    let stolen = Factor { id: new.id, ..bens.clone() };
    for (what, with, expected) in [
        ("another ticket", Accepting { ticket: &TicketHash::from_bytes([2; 32]), ..with }, Accepted::Spent),
        ("too late", Accepting { now: t0().plus(std::time::Duration::from_secs(60)), ..with }, Accepted::Spent),
        ("other factors meanwhile", Accepting { before: &[], ..with }, Accepted::Moved),
        ("nobody", Accepting { user: user("acme", "no@x.example").id, before: &[], ..with }, Accepted::Moved),
        ("another's passkey", Accepting { chosen: Some(&stolen), ..with }, Accepted::CredentialTaken),
    ] {
        assert_eq!(store.accept_invitation(&ada.tenant, &with).await.unwrap(), expected, "{what}");
        assert_eq!(store.factors(&ada.tenant, ada.id).await.unwrap(), std::slice::from_ref(&old), "{what}");
        assert_eq!(store.user(&ada.tenant, ada.id).await.unwrap().unwrap().status, Status::Invited, "{what}");
    }
    // The link is as good as before, and good once.
    let racing = (0..10).map(|_| store.accept_invitation(&ada.tenant, &with));
    let outcomes: Vec<_> = futures_util::future::join_all(racing).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(outcomes.iter().filter(|one| **one == Accepted::Done { joined: true }).count(), 1, "{outcomes:?}");
    assert_eq!(outcomes.iter().filter(|one| **one == Accepted::Spent).count(), 9);
    assert_eq!(store.factors(&ada.tenant, ada.id).await.unwrap(), [new]);
    assert_eq!(store.user(&ada.tenant, ada.id).await.unwrap().unwrap().status, Status::Active);
}

fn invitation(of: &User, hash: TicketHash) -> TicketRecord {
    TicketRecord {
        hash,
        tenant: of.tenant.clone(),
        kind: TicketKind::Invitation,
        subject: of.id.to_string(),
        payload: serde_json::Value::Null,
        author: "operator".to_owned(),
        created: t0(),
        expires: t0().plus(std::time::Duration::from_secs(60)),
        used: None,
    }
}

/// Two sessions that were both asked for no more than a password, since there was nothing more, add a second factor at
/// once: one of them may be a thief's.
#[tokio::test]
async fn of_two_second_factors_added_at_once_one_is() {
    let dir = Dir::new();
    let (store, ada) = store_with_ada(&dir).await;
    store.insert_factor(&ada.tenant, ada.id, &password(1)).await.unwrap();
    let had = [password(1).id];
    let (mine, thiefs) = (totp(2), totp(3));
    let (one, other) = tokio::join!(
        store.insert_factor_beside(&ada.tenant, ada.id, &mine, &had),
        store.insert_factor_beside(&ada.tenant, ada.id, &thiefs, &had),
    );
    let mut both = [one.unwrap(), other.unwrap()];
    both.sort_by_key(|inserted| *inserted != FactorInserted::Done);
    assert_eq!(both, [FactorInserted::Done, FactorInserted::Changed]);
    assert_eq!(store.factors(&ada.tenant, ada.id).await.unwrap().len(), 2);
}
