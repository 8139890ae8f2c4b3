use super::*;
use crate::testing::{Dir, spec, t0, tenant};
fn set(text: &str) -> PolicySet {
    PolicySet { policies: vec![PolicyText { name: "main".to_owned(), text: text.to_owned() }], tests: vec![] }
}

fn new<'a>(set: &'a PolicySet, hash: &'a str) -> NewVersion<'a> {
    NewVersion { set, hash, author: "ada@x.example", note: "" }
}

async fn store_with_acme(dir: &Dir) -> Store {
    let store = dir.store().await;
    let mut tx = store.write().await.unwrap();
    crate::tenants::put(&mut tx, &spec("acme")).await.unwrap();
    tx.commit().await.unwrap();
    store
}

#[tokio::test]
async fn versions_are_kept_and_one_can_go_back() {
    let dir = Dir::new();
    let (store, acme) = (store_with_acme(&dir).await, tenant("acme"));
    let checked = store.ground(&acme).await.unwrap().unwrap();
    assert_eq!(store.active_policies(&acme).await.unwrap(), None);
    let (one, two) = (set("permit(principal, action, resource);"), set("// none"));
    let first = store.activate_new(&acme, new(&one, "h1"), None, &checked, t0()).await.unwrap();
    assert_eq!(first, Activation::Active { version: 1, before: None });
    let second = store.activate_new(&acme, new(&two, "h2"), Some(1), &checked, t0()).await.unwrap();
    assert_eq!(second, Activation::Active { version: 2, before: Some(1) });
    let back = store.activate_again(&acme, 1, Some(2), &checked, t0()).await.unwrap();
    assert_eq!(back, Activation::Active { version: 1, before: Some(2) });
    let (version, active) = store.active_policies(&acme).await.unwrap().unwrap();
    assert_eq!((version.version, version.active, active), (1, true, one));
    let (version, kept) = store.policy_version(&acme, 2).await.unwrap().unwrap();
    assert_eq!((version.active, kept), (false, two));
    let all = store.policy_versions(&acme, None, 10).await.unwrap();
    assert_eq!(all.iter().map(|v| (v.version, v.active)).collect::<Vec<_>>(), [(2, false), (1, true)]);
    assert_eq!(store.policy_versions(&acme, Some(2), 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn of_two_who_edit_the_same_version_one_is_told_to_look_again() {
    let dir = Dir::new();
    let (store, acme) = (store_with_acme(&dir).await, tenant("acme"));
    let (set, checked) = (set("x"), store.ground(&acme).await.unwrap().unwrap());
    let racing = (0..8).map(|_| store.activate_new(&acme, new(&set, "h"), None, &checked, t0()));
    let outcomes = futures_util::future::join_all(racing).await;
    let won = outcomes.iter().filter(|o| matches!(o, Ok(Activation::Active { .. }))).count();
    assert_eq!(won, 1);
    assert!(outcomes.iter().any(|o| matches!(o, Ok(Activation::BaseMoved { active: Some(1) }))));
}

#[tokio::test]
async fn neither_an_unknown_version_nor_an_unknown_tenant_is_activated() {
    let dir = Dir::new();
    let store = store_with_acme(&dir).await;
    let checked = store.ground(&tenant("acme")).await.unwrap().unwrap();
    let unknown = store.activate_again(&tenant("acme"), 7, None, &checked, t0()).await.unwrap();
    assert_eq!(unknown, Activation::Unknown);
    let set = set("x");
    let none = store.activate_new(&tenant("none"), new(&set, "h"), None, &checked, t0()).await.unwrap();
    assert_eq!(store.ground(&tenant("none")).await.unwrap(), None);
    assert_eq!(none, Activation::Unknown);
    assert_eq!(store.last_change().await.unwrap(), 0);
}

#[tokio::test]
async fn a_set_does_not_take_effect_on_resources_that_it_was_not_checked_against() {
    let dir = Dir::new();
    let (store, acme) = (store_with_acme(&dir).await, tenant("acme"));
    let (one, two) = (set("permit(principal, action, resource);"), set("// none"));
    let checked = store.ground(&acme).await.unwrap().unwrap();
    store.activate_new(&acme, new(&one, "h1"), None, &checked, t0()).await.unwrap();
    // Somebody applies a folder while the next set is being checked.
    let before = store.bundle().await.unwrap();
    let (mut group, mut rails) = (before.clone(), before.clone());
    let staff = serde_json::json!({ "id": "staff", "name": "Staff" });
    let staff: cardea_core::resources::GroupSpec = serde_json::from_value(staff).unwrap();
    group.tenants.get_mut(&acme).unwrap().groups.insert(staff.id.clone(), staff);
    rails.guard_rails = set("forbid(principal, action, resource);").policies;
    for after in [group, rails] {
        let plan = crate::Plan::between(before.clone(), &after);
        let with = crate::Applying { author: "operator", note: "", hash: &|_, _| String::new(), now: t0() };
        store.apply(&plan, &with).await.unwrap();
        let moved = store.activate_new(&acme, new(&two, "h2"), Some(1), &checked, t0()).await.unwrap();
        assert_eq!(moved, Activation::GroundMoved);
        let moved = store.activate_again(&acme, 1, Some(1), &checked, t0()).await.unwrap();
        assert_eq!(moved, Activation::GroundMoved);
        store.apply(&crate::Plan::between(after, &before), &with).await.unwrap();
    }
    assert_eq!(store.policy_versions(&acme, None, 10).await.unwrap().len(), 1);
    let done = store.activate_new(&acme, new(&two, "h2"), Some(1), &checked, t0()).await.unwrap();
    assert_eq!(done, Activation::Active { version: 2, before: Some(1) });
}

/// The version before is the one that decided, not the one made last.
#[tokio::test]
async fn what_is_applied_after_a_way_back_names_what_decided() {
    let dir = Dir::new();
    let (store, acme) = (store_with_acme(&dir).await, tenant("acme"));
    let checked = store.ground(&acme).await.unwrap().unwrap();
    for (text, base) in [("// one", None), ("// two", Some(1)), ("// three", Some(2))] {
        store.activate_new(&acme, new(&set(text), "h"), base, &checked, t0()).await.unwrap();
    }
    let back = store.activate_again(&acme, 1, Some(3), &checked, t0()).await.unwrap();
    assert_eq!(back, Activation::Active { version: 1, before: Some(3) });
    let before = store.bundle().await.unwrap();
    let mut after = before.clone();
    after.tenants.get_mut(&acme).unwrap().policies = set("// four");
    let hash = |tenant: &TenantId, _: &PolicySet| format!("{tenant}'s");
    let with = crate::Applying { author: "operator", note: "", hash: &hash, now: t0() };
    let applied = store.apply(&crate::Plan::between(before, &after), &with).await.unwrap();
    let four = crate::Succeeded { tenant: acme, version: 4, hash: "acme's".to_owned(), before: Some(1) };
    assert_eq!(applied, crate::Applied::Done(vec![four]));
}
