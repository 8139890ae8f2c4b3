//! What the entries of an apply tell: each change, with the hashes of what stood and of what stands in its place.

use std::collections::BTreeMap;

use cardea_audit::{Event, Replaced};
use cardea_core::{
    TenantId,
    resources::{Bundle, TenantBundle},
};
use cardea_policy::Sources;
use cardea_storage::{Plan, ResourceChange};
use serde::Serialize;

use crate::fingerprint;

/// An entry for each log that is concerned; `None` is the operator's own. Guard-rails stand over every tenant, and are told
/// in the operator's own log, too. That a tenant is gone is told in the operator's: its own log's key went with it, and an
/// entry there would make another.
pub(super) fn of(plan: &Plan, wanted: &Bundle) -> BTreeMap<Option<TenantId>, Event> {
    let mut told: BTreeMap<Option<TenantId>, (Vec<String>, Vec<Replaced>)> = BTreeMap::new();
    for (change, line) in plan.changes.iter().zip(plan.lines()) {
        let replaced = replaced(change, &plan.before.bundle);
        let logs = match owner(change) {
            _ if matches!(change, ResourceChange::DropTenant(_)) => vec![None],
            Some(tenant) => vec![Some(tenant.clone())],
            None => std::iter::once(None).chain(wanted.tenants.keys().cloned().map(Some)).collect(),
        };
        for log in logs {
            let (changes, hashes) = told.entry(log).or_default();
            changes.push(line.clone());
            hashes.push(replaced.clone());
        }
    }
    for (log, (_, hashes)) in &mut told {
        hashes.extend(log.as_ref().and_then(|tenant| decisions(tenant, &plan.before.bundle, wanted)));
    }
    told.into_iter().map(|(log, (changes, hashes))| (log, Event::ResourcesApplied { changes, hashes })).collect()
}

/// The hash by which decisions name the policies, where it is another now: by the tenant's policies, its minimum, or the
/// guard-rails.
fn decisions(tenant: &TenantId, before: &Bundle, wanted: &Bundle) -> Option<Replaced> {
    let hash = |bundle: &Bundle| {
        let tenant = bundle.tenants.get(tenant)?;
        Some(Sources::of(tenant, &bundle.guard_rails).hash())
    };
    let (before, after) = (hash(before), hash(wanted));
    (before != after).then(|| Replaced { what: format!("{tenant}: decisions"), before, after })
}

fn replaced(change: &ResourceChange, before: &Bundle) -> Replaced {
    use ResourceChange as C;
    let was = |tenant: &TenantId, of: &dyn Fn(&TenantBundle) -> Option<String>| before.tenants.get(tenant).and_then(of);
    let (before, after) = match change {
        C::GuardRails(rails) => (some(&before.guard_rails), some(rails)),
        C::PutTenant(spec) => (was(&spec.id, &|t| sha256(&t.tenant)), sha256(spec)),
        C::ClearTenant(_) => (None, None),
        C::DropTenant(id) => (was(id, &|t| sha256(&t.tenant)), None),
        C::PutApp(id, spec) => (was(id, &|t| t.apps.get(&spec.id).and_then(sha256)), sha256(&**spec)),
        C::DropApp(id, app) => (was(id, &|t| t.apps.get(app).and_then(sha256)), None),
        C::PutProvider(id, spec) => (was(id, &|t| t.providers.get(&spec.id).and_then(sha256)), sha256(spec)),
        C::DropProvider(id, provider) => (was(id, &|t| t.providers.get(provider).and_then(sha256)), None),
        C::PutClient(id, spec) => (was(id, &|t| t.clients.get(&spec.id).and_then(sha256)), sha256(&**spec)),
        C::DropClient(id, client) => (was(id, &|t| t.clients.get(client).and_then(sha256)), None),
        C::PutGroup(id, spec) => (was(id, &|t| t.groups.get(&spec.id).and_then(sha256)), sha256(spec)),
        C::DropGroup(id, group) => (was(id, &|t| t.groups.get(group).and_then(sha256)), None),
        C::Policies(id, set) => (was(id, &|t| sha256(&t.policies)), sha256(set)),
    };
    Replaced { what: change.to_string(), before, after }
}

/// No guard-rails are as good as none there.
fn some<T: Serialize>(all: &[T]) -> Option<String> {
    if all.is_empty() { None } else { sha256(all) }
}

/// SHA-256, in hex, of the JSON in which the store keeps it.
fn sha256<T: Serialize + ?Sized>(spec: &T) -> Option<String> {
    Some(fingerprint::sha256(&serde_json::to_vec(spec).ok()?))
}

fn owner(change: &ResourceChange) -> Option<&TenantId> {
    match change {
        ResourceChange::GuardRails(_) => None,
        ResourceChange::PutTenant(spec) => Some(&spec.id),
        ResourceChange::ClearTenant(tenant)
        | ResourceChange::DropTenant(tenant)
        | ResourceChange::PutApp(tenant, _)
        | ResourceChange::DropApp(tenant, _)
        | ResourceChange::PutProvider(tenant, _)
        | ResourceChange::DropProvider(tenant, _)
        | ResourceChange::PutClient(tenant, _)
        | ResourceChange::DropClient(tenant, _)
        | ResourceChange::PutGroup(tenant, _)
        | ResourceChange::DropGroup(tenant, _)
        | ResourceChange::Policies(tenant, _) => Some(tenant),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACME: &str = "id = \"acme\"\nname = \"Acme\"\nsign_in_host = \"acme.localhost\"\n";

    fn bundle(tenant: &str, more: &[(&str, &str)]) -> Bundle {
        let files = [("tenants/acme/tenant.toml", tenant)];
        let files = files.iter().chain(more).map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
        Bundle::read(&files).unwrap()
    }

    fn told(before: &Bundle, wanted: &Bundle) -> BTreeMap<Option<TenantId>, (Vec<String>, Vec<Replaced>)> {
        let entries = of(&Plan::between(before.clone(), wanted), wanted);
        let parts = |event| match event {
            Event::ResourcesApplied { changes, hashes } => (changes, hashes),
            other => panic!("{other:?}"),
        };
        entries.into_iter().map(|(log, event)| (log, parts(event))).collect()
    }

    #[test]
    fn what_stood_is_named_beside_what_stands() {
        let group = |name: &str| format!("id = \"staff\"\nname = \"{name}\"\n");
        let path = "tenants/acme/groups/staff.toml";
        let (staff, all) = (group("Staff"), group("All"));
        let (none, first, second) = (bundle(ACME, &[]), bundle(ACME, &[(path, &staff)]), bundle(ACME, &[(path, &all)]));
        let acme = Some(TenantId::parse("acme").unwrap());
        let of_group = |before: &Bundle, wanted: &Bundle| {
            let (changes, hashes) = told(before, wanted).remove(&acme).unwrap();
            assert_eq!((changes.len(), hashes.len()), (1, 1), "{changes:?}");
            assert_eq!(hashes[0].what, "acme: group staff");
            (hashes[0].before.clone(), hashes[0].after.clone())
        };
        let (nothing, made) = of_group(&none, &first);
        assert!(nothing.is_none() && made.as_ref().is_some_and(|hash| hash.len() == 64));
        let (was, is) = of_group(&first, &second);
        assert!(was == made && is.is_some() && is != made);
        assert_eq!(of_group(&second, &none), (is, None));
    }

    #[test]
    fn guard_rails_are_told_in_every_log_with_what_decides_then() {
        let rail = [("guard-rails/base.cedar", "forbid(principal, action, resource) when { context.assurance < 1 };")];
        let (before, wanted) = (bundle(ACME, &[]), bundle(ACME, &rail));
        let told = told(&before, &wanted);
        let whats: Vec<Vec<_>> =
            told.values().map(|(_, hashes)| hashes.iter().map(|one| one.what.as_str()).collect()).collect();
        assert_eq!(whats, [vec!["guard-rails"], vec!["guard-rails", "acme: decisions"]]);
        let hash = |bundle: &Bundle| Sources::of(&bundle.tenants[&"acme".parse().unwrap()], &bundle.guard_rails).hash();
        let decisions = &told[&Some("acme".parse().unwrap())].1[1];
        assert_eq!((decisions.before.clone(), decisions.after.clone()), (Some(hash(&before)), Some(hash(&wanted))));
    }

    #[test]
    fn a_minimum_changes_what_decides_though_no_policy_changes() {
        let strict = format!("{ACME}[factors]\nminimum = 2\n");
        let told = told(&bundle(ACME, &[]), &bundle(&strict, &[]));
        let (changes, hashes) = &told[&Some("acme".parse().unwrap())];
        assert_eq!(changes, &["~ tenant acme"]);
        assert_eq!(hashes.iter().map(|one| one.what.as_str()).collect::<Vec<_>>(), ["tenant acme", "acme: decisions"]);
    }
}
