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
    let plan = Plan::between(store.legible().await.unwrap(), after);
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

/// Writes past the store, as a program of another version, or a careless hand, would.
async fn by_hand(store: &Store, sql: &'static str) {
    let mut tx = store.write().await.unwrap();
    assert_eq!(sqlx::query(sql).execute(&mut *tx).await.unwrap().rows_affected(), 1, "{sql}");
    tx.commit().await.unwrap();
}

const NORTH: (&str, &str) =
    ("tenants/north/tenant.toml", "id = \"north\"\nname = \"North\"\nsign_in_host = \"north.localhost\"\n");
const CREW: (&str, &str) = ("tenants/north/groups/crew.toml", "id = \"crew\"\nname = \"Crew\"\n");
const LOST: (&str, &str) = ("tenants/north/groups/lost.toml", "id = \"lost\"\nname = \"Lost\"\n");

/// Each row held up every apply, the one that would have mended it among them.
#[tokio::test]
async fn a_tenant_that_cannot_be_read_is_put_anew_deleted_or_left_and_holds_up_no_other() {
    for broken in [
        "UPDATE resources SET spec = '{' WHERE tenant = 'north' AND id = 'crew'",
        "UPDATE tenants SET spec = '{' WHERE id = 'north'",
        "UPDATE tenants SET active_policy = 'first' WHERE id = 'north'",
        "UPDATE policy_versions SET body = '{' WHERE tenant = 'north' \
         AND version = (SELECT MAX(version) FROM policy_versions WHERE tenant = 'north')",
        "INSERT INTO resources (tenant, kind, id, spec) VALUES ('north', x'01', 'staff', '{}')",
    ] {
        // Columns that take anything are a file's alone.
        let anything = ["'first'", "x'01'"].iter().any(|odd| broken.contains(odd));
        let dir = if anything { Dir::in_file() } else { Dir::new() };
        let store = dir.store().await;
        let north = tenant("north");
        apply(&store, &bundle(&[ACME, POLICY, NORTH, CREW, LOST])).await;
        let mut ada = user("north", "ada@x.example");
        ada.groups = ["crew", "lost"].map(|id| GroupId::parse(id).unwrap()).to_vec();
        store.insert_user(&ada).await.unwrap();
        by_hand(&store, broken).await;
        assert!(matches!(store.bundle().await, Err(StoreFault::Illegible { .. })), "{broken}");

        // Of whom nothing is said is left, and told; another is changed.
        let without = bundle(&[ACME, STAFF, POLICY]);
        let plan = Plan::between(store.legible().await.unwrap(), &without);
        assert_eq!(plan.left().illegible.keys().collect::<Vec<_>>(), [&north], "{broken}");
        assert_eq!(apply(&store, &without).await, ["+ acme: group staff"], "{broken}");

        let whole = bundle(&[ACME, STAFF, POLICY, NORTH, CREW]);
        // It is not deleted by its name where it is to be there.
        let plan = Plan::deleting(std::slice::from_ref(&north), store.legible().await.unwrap(), &whole);
        let lines = ["- north: what of it cannot be read, and all beside it", "~ tenant north", "+ north: group crew"];
        assert_eq!(plan.lines(), [&lines[..], &["+ north: policies"]].concat(), "{broken}");
        assert!(plan.left().illegible.is_empty(), "{broken}");
        let Applied::Done(succeeded) = store.apply(&plan, &with()).await.unwrap() else { panic!("{broken}: moved") };
        let before = if broken.contains("SET active_policy") { None } else { Some(1) };
        assert_eq!((succeeded[0].version, succeeded[0].before), (2, before), "{broken}");
        assert_eq!(store.bundle().await.unwrap(), whole, "{broken}");
        assert_eq!(store.user(&north, ada.id).await.unwrap().unwrap().groups, ada.groups[..1], "{broken}");
        // What was planned before it was mended is not done after.
        assert_eq!(store.apply(&plan, &with()).await.unwrap(), Applied::Moved, "{broken}");

        by_hand(&store, broken).await;
        let plan = Plan::deleting(std::slice::from_ref(&north), store.legible().await.unwrap(), &without);
        assert_eq!(plan.lines(), ["- tenant north"], "{broken}");
        assert!(matches!(store.apply(&plan, &with()).await.unwrap(), Applied::Done(_)), "{broken}");
        assert_eq!(store.bundle().await.unwrap(), without, "{broken}");
        assert_eq!(store.user(&north, ada.id).await.unwrap(), None, "{broken}");
    }
}
