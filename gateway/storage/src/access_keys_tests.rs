use std::time::Duration;

use cardea_core::entropy::Fixed;
use cardea_identity::oauth2::access_key::AccessKeySecret;

use super::*;
use crate::testing::{Dir, add_user, t0, tenant};

fn of(user: UserId, seed: u64) -> AccessKey {
    AccessKey {
        id: AccessKeyId::mint(t0(), &Fixed::new(seed)),
        tenant: tenant("acme"),
        user,
        hash: AccessKeySecret::draw(&Fixed::new(1000 + seed)).hash(),
        name: "Notebook".to_owned(),
        scope: Scope::parse("read").unwrap(),
        apps: [AppId::parse("records").unwrap()].into(),
        created: t0(),
        expires: t0().plus(Duration::from_secs(3600)),
        last_used: None,
    }
}

#[tokio::test]
async fn a_key_is_found_by_its_secret_at_its_own_tenant_until_it_is_removed() {
    let dir = Dir::new();
    let store = dir.store().await;
    let (acme, ada) = (tenant("acme"), add_user(&store, "acme", "ada@acme.example").await);
    let key = of(ada, 1);
    assert!(store.access_key_insert(&key).await.unwrap());
    assert_eq!(store.access_key(&acme, &key.hash).await.unwrap().as_ref(), Some(&key));
    assert_eq!(store.access_key(&tenant("beta"), &key.hash).await.unwrap(), None);
    assert_eq!(store.access_key(&acme, &of(ada, 2).hash).await.unwrap(), None);
    let later = t0().plus(Duration::from_secs(60));
    for at in [later, t0()] {
        store.access_key_used(&acme, key.id, at).await.unwrap();
        assert_eq!(store.access_key(&acme, &key.hash).await.unwrap().unwrap().last_used, Some(later));
    }
    let ben = add_user(&store, "acme", "ben@acme.example").await;
    assert_eq!(store.access_key_remove(&acme, ben, key.id, later).await.unwrap(), None, "it is not theirs");
    let gone = store.access_key_remove(&acme, ada, key.id, later).await.unwrap().unwrap();
    assert_eq!(gone, AccessKey { last_used: Some(later), ..key.clone() });
    assert_eq!(store.access_key_remove(&acme, ada, key.id, later).await.unwrap(), None);
    assert_eq!(store.access_key(&acme, &key.hash).await.unwrap(), None);
    let told = store.changes_since(0).await.unwrap();
    assert_eq!(told.iter().filter(|one| one.change == Change::AccessKey(key.id)).count(), 1);
}

#[tokio::test]
async fn nobody_has_more_keys_than_one_may_have() {
    let dir = Dir::new();
    let store = dir.store().await;
    let ada = add_user(&store, "acme", "ada@acme.example").await;
    for seed in 0..u64::try_from(MOST).unwrap() {
        assert!(store.access_key_insert(&of(ada, seed)).await.unwrap());
    }
    assert!(!store.access_key_insert(&of(ada, 999)).await.unwrap());
    assert_eq!(store.access_keys_of(&tenant("acme"), ada).await.unwrap().len(), MOST);
}
