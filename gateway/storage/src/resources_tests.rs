use super::*;
use crate::testing::{Dir, t0, tenant, user};

fn bundle(files: &[(&str, &str)]) -> Bundle {
    let files = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
    Bundle::read(&files).unwrap()
}

const ACME: (&str, &str) =
    ("tenants/acme/tenant.toml", "id = \"acme\"\nname = \"Acme\"\nsign_in_host = \"acme.localhost\"\n");
const STAFF: (&str, &str) = ("tenants/acme/groups/staff.toml", "id = \"staff\"\nname = \"Staff\"\n");
const WIKI: (&str, &str) = (
    "tenants/acme/apps/wiki.toml",
    "id = \"wiki\"\nname = \"Wiki\"\nhosts = [\"wiki.localhost\"]\n[upstream]\nurl = \"http://127.0.0.1:1\"\n",
);
const POLICY: (&str, &str) = ("tenants/acme/policies/main.cedar", "permit(principal, action, resource);");
const RAIL: (&str, &str) = ("guard-rails/base.cedar", "forbid(principal, action, resource) when { false };");

fn with<'a>() -> Applying<'a> {
    Applying { author: "operator", note: "first", hash: &|_, set| format!("h{}", set.policies.len()), now: t0() }
}

async fn apply(store: &Store, after: &Bundle) -> Vec<String> {
    let plan = Plan::between(store.bundle().await.unwrap(), after);
    assert!(matches!(store.apply(&plan, &with()).await.unwrap(), Applied::Done(_)));
    plan.lines()
}

#[tokio::test]
async fn what_was_applied_loads_the_same_and_a_second_apply_changes_nothing() {
    let dir = Dir::new();
    let store = dir.store().await;
    let after = bundle(&[ACME, STAFF, WIKI, POLICY, RAIL]);
    let lines = apply(&store, &after).await;
    let expected = ["+ tenant acme", "+ acme: group staff", "+ acme: app wiki", "+ acme: policies", "+ guard-rails"];
    assert_eq!(lines, expected);
    assert_eq!(store.bundle().await.unwrap(), after);
    assert!(Plan::between(store.bundle().await.unwrap(), &after).is_empty());
    assert_eq!(store.tenants().await.unwrap().len(), 1);
    let (version, _) = store.active_policies(&tenant("acme")).await.unwrap().unwrap();
    assert_eq!((version.version, version.hash.as_str(), version.note.as_str()), (1, "h1", "first"));
}

#[tokio::test]
async fn what_is_gone_from_the_bundle_is_gone_from_the_store() {
    let dir = Dir::new();
    let store = dir.store().await;
    apply(&store, &bundle(&[ACME, STAFF, WIKI, POLICY, RAIL])).await;
    let mut ada = user("acme", "ada@x.example");
    ada.groups = vec![GroupId::parse("staff").unwrap()];
    store.insert_user(&ada).await.unwrap();
    let after = bundle(&[ACME, POLICY]);
    assert_eq!(apply(&store, &after).await, ["- acme: group staff", "- acme: app wiki", "~ guard-rails"]);
    assert_eq!(store.bundle().await.unwrap(), after);
    assert!(store.user(&ada.tenant, ada.id).await.unwrap().unwrap().groups.is_empty());
}

#[tokio::test]
async fn a_plan_made_from_what_no_longer_stands_changes_nothing() {
    let dir = Dir::new();
    let store = dir.store().await;
    let plan = Plan::between(store.bundle().await.unwrap(), &bundle(&[ACME, WIKI]));
    let first = bundle(&[ACME, STAFF]);
    apply(&store, &first).await;
    assert_eq!(store.apply(&plan, &with()).await.unwrap(), Applied::Moved);
    assert_eq!(store.bundle().await.unwrap(), first);
}

#[tokio::test]
async fn a_tenant_made_anew_under_an_old_name_starts_empty() {
    let dir = Dir::new();
    let store = dir.store().await;
    apply(&store, &bundle(&[ACME, POLICY])).await;
    let ada = user("acme", "ada@x.example");
    store.insert_user(&ada).await.unwrap();
    assert_eq!(apply(&store, &Bundle::default()).await, ["- tenant acme"]);
    assert_eq!(store.tenant(&tenant("acme")).await.unwrap(), None);
    apply(&store, &bundle(&[ACME])).await;
    assert_eq!(store.user_by_email(&ada.tenant, &ada.email).await.unwrap(), None);
    assert_eq!(store.user(&ada.tenant, ada.id).await.unwrap(), None);
    assert_eq!(store.insert_user(&ada).await.unwrap(), crate::Inserted::IdUsed);
}
