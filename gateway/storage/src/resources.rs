//! Resources as a whole: loading the bundle, planning a change of it, applying the plan in one transaction.

use std::{collections::BTreeMap, fmt};

use cardea_core::{
    AppId, ClientId, Diagnostic, Diagnostics, Entropy, GroupId, ProviderId, TenantId, Timestamp,
    resources::{
        AppSpec, Bundle, ClientSpec, GroupSpec, PolicySet, PolicyText, ProviderSpec, Resource, TenantBundle, TenantSpec,
    },
};
use cardea_identity::Sealer;
use serde_json::Value;
use sqlx::any::AnyRow;

use crate::{
    NewVersion, Store, StoreFault,
    changes::{Change, announce},
    limited::Limited,
    policies,
    row::{Read, whose},
    tenants,
    writing::Writing,
};

/// One difference between two bundles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResourceChange {
    /// The guard-rails are these now.
    GuardRails(Vec<PolicyText>),
    /// A tenant is new or other.
    PutTenant(TenantSpec),
    /// What is written of a tenant that cannot be read makes room, all of it, for what follows; its people and keys stay.
    ClearTenant(TenantId),
    /// A tenant is gone, with its people, keys and policies; its log stays.
    DropTenant(TenantId),
    /// An app is new or other.
    PutApp(TenantId, Box<AppSpec>),
    /// An app is gone.
    DropApp(TenantId, AppId),
    /// A provider is new or other.
    PutProvider(TenantId, Box<ProviderSpec>),
    /// A provider is gone.
    DropProvider(TenantId, ProviderId),
    /// A group is new or other.
    PutGroup(TenantId, GroupSpec),
    /// A group is gone, and nobody is in it any more.
    DropGroup(TenantId, GroupId),
    /// A client is new or other.
    PutClient(TenantId, Box<ClientSpec>),
    /// A client is gone: what it was let do ends with it.
    DropClient(TenantId, ClientId),
    /// A tenant's policies are these now: a new version, active at once.
    Policies(TenantId, PolicySet),
}

/// What applying a bundle would change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// What stood when the plan was made.
    pub before: Legible,
    /// The changes, in the order in which they are made.
    pub changes: Vec<ResourceChange>,
}

/// What came of applying a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Applied {
    /// Everything was changed; the policy versions that decide since.
    Done(Vec<Succeeded>),
    /// Nothing was changed: what stands is no longer what the plan was made from.
    Moved,
}

/// What could be read of the resources, and which tenants could not be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Legible {
    /// The guard-rails, and every tenant that was read whole.
    pub bundle: Bundle,
    /// The others.
    pub illegible: BTreeMap<TenantId, Illegible>,
}

/// A tenant of which something that is stored cannot be read: nothing of it is used.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Illegible {
    /// What, and why: one line each.
    pub why: Vec<String>,
    /// Its hosts, as far as they can be told.
    pub hosts: Vec<String>,
}

impl From<Bundle> for Legible {
    fn from(bundle: Bundle) -> Self {
        Self { bundle, illegible: BTreeMap::new() }
    }
}

impl Legible {
    /// What cannot be read, as a check tells it.
    pub fn mistakes(&self) -> Diagnostics {
        Diagnostics(self.illegible.iter().flat_map(|(id, one)| one.mistakes(id).0).collect())
    }
}

impl Illegible {
    /// What of that tenant cannot be read, as a check tells it.
    pub fn mistakes(&self, id: &TenantId) -> Diagnostics {
        Diagnostics(self.why.iter().map(|why| Diagnostic::new(format!("tenants/{id}"), why.clone())).collect())
    }
}

/// A policy version that took another's place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Succeeded {
    /// The tenant.
    pub tenant: TenantId,
    /// The version that decides now.
    pub version: u64,
    /// Its hash.
    pub hash: String,
    /// The one that it replaced: the one that decided, which need not be the youngest.
    pub before: Option<u64>,
}

/// Who applies, and how a policy set is named.
pub struct Applying<'a> {
    /// Who applies: an e-mail address, or `operator`.
    pub author: &'a str,
    /// What the author says of it; stands beside new policy versions.
    pub note: &'a str,
    /// The hash that names a policy set of a tenant.
    pub hash: &'a (dyn Fn(&TenantId, &PolicySet) -> String + Send + Sync),
    /// The present moment.
    pub now: Timestamp,
}

impl Plan {
    /// The way from `before` to `after`. A tenant that cannot be read is put anew, whole; one of which `after` says nothing is
    /// left as it is.
    pub fn between(before: impl Into<Legible>, after: &Bundle) -> Self {
        Self::deleting(&[], before, after)
    }

    /// The same; and of the tenants that cannot be read, those that are named are deleted, where `after` says nothing of them.
    pub fn deleting(named: &[TenantId], before: impl Into<Legible>, after: &Bundle) -> Self {
        let before: Legible = before.into();
        let mut changes = Vec::new();
        let illegible = before.illegible.keys().filter(|id| named.contains(id));
        for id in before.bundle.tenants.keys().chain(illegible).filter(|id| !after.tenants.contains_key(*id)) {
            changes.push(ResourceChange::DropTenant(id.clone()));
        }
        for (id, tenant) in &after.tenants {
            if before.illegible.contains_key(id) {
                changes.push(ResourceChange::ClearTenant(id.clone()));
            }
            plan_tenant(&mut changes, id, before.bundle.tenants.get(id), tenant);
        }
        if before.bundle.guard_rails != after.guard_rails {
            changes.push(ResourceChange::GuardRails(after.guard_rails.clone()));
        }
        Self { before, changes }
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// The tenants that cannot be read, and stay as they are.
    pub fn left(&self) -> Legible {
        let touched = self.changes.iter().filter_map(|change| match change {
            ResourceChange::ClearTenant(id) | ResourceChange::DropTenant(id) => Some(id),
            _ => None,
        });
        let touched: Vec<_> = touched.collect();
        let left = self.before.illegible.iter().filter(|(id, _)| !touched.contains(id));
        let illegible = left.map(|(id, one)| (id.clone(), one.clone())).collect();
        Legible { bundle: Bundle::default(), illegible }
    }

    /// One line for each change: `+` added, `~` changed, `-` removed.
    pub fn lines(&self) -> Vec<String> {
        self.changes.iter().map(|change| format!("{} {change}", self.sign(change))).collect()
    }

    /// How one of its changes is marked: `+` added, `~` changed, `-` removed.
    pub fn sign(&self, change: &ResourceChange) -> char {
        let tenant = |id| self.before.bundle.tenants.get(id);
        let known = match change {
            ResourceChange::ClearTenant(_)
            | ResourceChange::DropTenant(_)
            | ResourceChange::DropApp(..)
            | ResourceChange::DropProvider(..)
            | ResourceChange::DropClient(..)
            | ResourceChange::DropGroup(..) => return '-',
            ResourceChange::GuardRails(_) => !self.before.bundle.guard_rails.is_empty(),
            ResourceChange::PutTenant(spec) => {
                tenant(&spec.id).is_some() || self.before.illegible.contains_key(&spec.id)
            }
            ResourceChange::PutApp(id, app) => tenant(id).is_some_and(|t| t.apps.contains_key(&app.id)),
            ResourceChange::PutProvider(id, one) => tenant(id).is_some_and(|t| t.providers.contains_key(&one.id)),
            ResourceChange::PutClient(id, one) => tenant(id).is_some_and(|t| t.clients.contains_key(&one.id)),
            ResourceChange::PutGroup(id, group) => tenant(id).is_some_and(|t| t.groups.contains_key(&group.id)),
            ResourceChange::Policies(id, _) => tenant(id).is_some_and(|t| t.policies != PolicySet::default()),
        };
        if known { '~' } else { '+' }
    }
}

impl fmt::Display for ResourceChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::GuardRails(_) => f.write_str("guard-rails"),
            Self::PutTenant(TenantSpec { id, .. }) | Self::DropTenant(id) => write!(f, "tenant {id}"),
            Self::ClearTenant(id) => write!(f, "{id}: what of it cannot be read, and all beside it"),
            Self::PutApp(tenant, app) => write!(f, "{tenant}: app {}", app.id),
            Self::DropApp(tenant, id) => write!(f, "{tenant}: app {id}"),
            Self::PutProvider(tenant, provider) => write!(f, "{tenant}: provider {}", provider.id),
            Self::DropProvider(tenant, id) => write!(f, "{tenant}: provider {id}"),
            Self::PutClient(tenant, client) => write!(f, "{tenant}: client {}", client.id),
            Self::DropClient(tenant, id) => write!(f, "{tenant}: client {id}"),
            Self::PutGroup(tenant, GroupSpec { id, .. }) | Self::DropGroup(tenant, id) => {
                write!(f, "{tenant}: group {id}")
            }
            Self::Policies(tenant, _) => write!(f, "{tenant}: policies"),
        }
    }
}

fn plan_tenant(changes: &mut Vec<ResourceChange>, id: &TenantId, was: Option<&TenantBundle>, is: &TenantBundle) {
    use ResourceChange as C;
    if was.is_none_or(|was| was.tenant != is.tenant) {
        changes.push(C::PutTenant(is.tenant.clone()));
    }
    let put = |one: &GroupSpec| C::PutGroup(id.clone(), one.clone());
    plan_map(changes, was.map(|w| &w.groups), &is.groups, put, |gone| C::DropGroup(id.clone(), gone));
    let put = |one: &AppSpec| C::PutApp(id.clone(), Box::new(one.clone()));
    plan_map(changes, was.map(|w| &w.apps), &is.apps, put, |gone| C::DropApp(id.clone(), gone));
    let put = |one: &ClientSpec| C::PutClient(id.clone(), Box::new(one.clone()));
    plan_map(changes, was.map(|w| &w.clients), &is.clients, put, |gone| C::DropClient(id.clone(), gone));
    let put = |one: &ProviderSpec| C::PutProvider(id.clone(), Box::new(one.clone()));
    plan_map(changes, was.map(|w| &w.providers), &is.providers, put, |gone| C::DropProvider(id.clone(), gone));
    // A new tenant gets its first version even if it is empty: there is always one that decides.
    if was.is_none_or(|was| was.policies != is.policies) {
        changes.push(C::Policies(id.clone(), is.policies.clone()));
    }
}

fn plan_map<K: Ord + Clone, V: PartialEq>(
    changes: &mut Vec<ResourceChange>,
    was: Option<&BTreeMap<K, V>>,
    is: &BTreeMap<K, V>,
    put: impl Fn(&V) -> ResourceChange,
    drop: impl Fn(K) -> ResourceChange,
) {
    let gone = was.into_iter().flat_map(BTreeMap::keys).filter(|id| !is.contains_key(*id));
    changes.extend(gone.cloned().map(drop));
    let other = is.iter().filter(|(id, one)| was.and_then(|was| was.get(*id)) != Some(*one));
    changes.extend(other.map(|(_, one)| put(one)));
}

impl Store {
    /// Everything that administrators wrote, with each tenant's active policies.
    pub async fn bundle(&self) -> Result<Bundle, StoreFault> {
        let mut moment = self.moment().await?;
        let found = self.engine().at_last(load(&mut moment, None)).await?;
        moment.end().await?;
        Ok(found)
    }

    /// The same as far as it can be read. INVARIANT: what cannot be read of one tenant keeps no other from being read.
    pub async fn legible(&self) -> Result<Legible, StoreFault> {
        let mut moment = self.moment().await?;
        let found = self.engine().at_last(read(&mut moment, None)).await?;
        moment.end().await?;
        Ok(found)
    }

    /// Makes all changes of the plan in one transaction, and announces them.
    pub async fn apply(&self, plan: &Plan, with: &Applying<'_>) -> Result<Applied, StoreFault> {
        if plan.changes.iter().any(|change| matches!(change, ResourceChange::PutTenant(_))) {
            // No new tenant inherits what was made under its name after one before it was gone.
            self.destroy_ownerless(with.now).await?;
        }
        for change in &plan.changes {
            if let ResourceChange::Policies(tenant, _) = change {
                // Before the transaction, in which a key that was made would be known before it stands.
                self.sealer(Some(tenant)).await?;
            }
        }
        let mut tx = self.write().await?;
        if read(&mut tx, None).await? != plan.before {
            return Ok(Applied::Moved);
        }
        let mut succeeded = Vec::new();
        for change in &plan.changes {
            succeeded.extend(self.make(&mut tx, change, with).await?);
        }
        for change in &plan.changes {
            if let ResourceChange::ClearTenant(tenant) = change {
                leave_lost_groups(&mut tx, tenant).await?;
            }
        }
        announce(&mut tx, None, &Change::Resources, with.now).await?;
        tx.commit().await?;
        self.after_drops(plan).await;
        Ok(Applied::Done(succeeded))
    }

    /// The keys of tenants that are gone leave memory, and the file what was written before they were destroyed.
    async fn after_drops(&self, plan: &Plan) {
        let mut dropped = false;
        for change in &plan.changes {
            if let ResourceChange::DropTenant(id) = change {
                self.vault().keep(id.as_str(), None);
                dropped = true;
            }
        }
        if !dropped {
            return;
        }
        if let Err(fault) = self.scrub().await {
            tracing::warn!(
                error = fault.with_causes(),
                "the log of writes was not cut off: the next checkpoint does it"
            );
        }
    }

    async fn make(
        &self,
        tx: &mut Writing,
        change: &ResourceChange,
        with: &Applying<'_>,
    ) -> Result<Option<Succeeded>, StoreFault> {
        match change {
            ResourceChange::GuardRails(rails) => put_guard_rails(tx, rails).await?,
            ResourceChange::PutTenant(spec) => tenants::put(tx, spec).await?,
            ResourceChange::ClearTenant(id) => clear(tx, id).await?,
            ResourceChange::DropTenant(id) => tenants::drop(tx, id, with.now).await?,
            ResourceChange::PutApp(tenant, spec) => put(tx, tenant, spec.id.as_str(), &**spec).await?,
            ResourceChange::PutProvider(tenant, spec) => put(tx, tenant, spec.id.as_str(), &**spec).await?,
            ResourceChange::PutGroup(tenant, spec) => put(tx, tenant, spec.id.as_str(), spec).await?,
            ResourceChange::PutClient(tenant, spec) => put(tx, tenant, spec.id.as_str(), &**spec).await?,
            ResourceChange::DropClient(tenant, id) => {
                // One that is made later under its name was let do nothing by anybody.
                for sql in DROP_CLIENT {
                    sqlx::query(*sql).bind(tenant.as_str()).bind(id.as_str()).execute(&mut **tx).await?;
                }
                drop(tx, tenant, ClientSpec::KIND, id.as_str()).await?;
            }
            ResourceChange::DropApp(tenant, id) => drop(tx, tenant, AppSpec::KIND, id.as_str()).await?,
            ResourceChange::DropProvider(tenant, id) => drop(tx, tenant, ProviderSpec::KIND, id.as_str()).await?,
            ResourceChange::DropGroup(tenant, id) => {
                sqlx::query("DELETE FROM memberships WHERE tenant = $1 AND group_id = $2")
                    .bind(tenant.as_str())
                    .bind(id.as_str())
                    .execute(&mut **tx)
                    .await?;
                drop(tx, tenant, GroupSpec::KIND, id.as_str()).await?;
            }
            ResourceChange::Policies(tenant, set) => {
                let sealer = self.sealer_in(tx, Some(tenant)).await?;
                return succeed(tx, (&sealer, self.entropy()?), tenant, set, with).await.map(Some);
            }
        }
        Ok(None)
    }
}

/// What goes with a client.
const DROP_CLIENT: &[&str] = &[
    "DELETE FROM refresh_tokens WHERE tenant = $1 AND grant_id IN (SELECT id FROM grants WHERE tenant = $1 AND client = $2)",
    "DELETE FROM grants WHERE tenant = $1 AND client = $2",
    "DELETE FROM client_secrets WHERE tenant = $1 AND client = $2",
];

async fn succeed(
    tx: &mut Writing,
    seals: (&Sealer, &dyn Entropy),
    tenant: &TenantId,
    set: &PolicySet,
    with: &Applying<'_>,
) -> Result<Succeeded, StoreFault> {
    let before = policies::active(tx, tenant).await?.flatten();
    let hash = (with.hash)(tenant, set);
    let new = NewVersion { set, hash: &hash, author: with.author, note: with.note };
    let version = policies::insert(tx, seals, tenant, &new, with.now).await?;
    Ok(Succeeded { tenant: tenant.clone(), version, hash, before })
}

async fn put<R: Resource>(tx: &mut Writing, tenant: &TenantId, id: &str, spec: &R) -> Result<(), StoreFault> {
    sqlx::query(
        "INSERT INTO resources (tenant, kind, id, spec) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (tenant, kind, id) DO UPDATE SET spec = excluded.spec",
    )
    .bind(tenant.as_str())
    .bind(R::KIND)
    .bind(id)
    .bind(serde_json::to_string(spec)?)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

async fn drop(tx: &mut Writing, tenant: &TenantId, kind: &str, id: &str) -> Result<(), StoreFault> {
    sqlx::query("DELETE FROM resources WHERE tenant = $1 AND kind = $2 AND id = $3")
        .bind(tenant.as_str())
        .bind(kind)
        .bind(id)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Takes away what is written of a tenant. The number of its active version goes only where it cannot be read: else it is told
/// which version the next one replaces.
async fn clear(tx: &mut Writing, tenant: &TenantId) -> Result<(), StoreFault> {
    sqlx::query("DELETE FROM resources WHERE tenant = $1").bind(tenant.as_str()).execute(&mut **tx).await?;
    if policies::active(tx, tenant).await.is_err() {
        sqlx::query("UPDATE tenants SET active_policy = NULL WHERE id = $1")
            .bind(tenant.as_str())
            .execute(&mut **tx)
            .await?;
    }
    Ok(())
}

/// Nobody is in a group that did not come back.
async fn leave_lost_groups(tx: &mut Writing, tenant: &TenantId) -> Result<(), StoreFault> {
    let sql = "DELETE FROM memberships WHERE tenant = $1 AND group_id NOT IN \
               (SELECT id FROM resources WHERE tenant = $1 AND kind = $2)";
    sqlx::query(sql).bind(tenant.as_str()).bind(GroupSpec::KIND).execute(&mut **tx).await?;
    Ok(())
}

async fn put_guard_rails(tx: &mut Writing, rails: &[PolicyText]) -> Result<(), StoreFault> {
    sqlx::query("DELETE FROM guard_rails").execute(&mut **tx).await?;
    for rail in rails {
        sqlx::query("INSERT INTO guard_rails (name, text) VALUES ($1, $2)")
            .bind(rail.name.as_str())
            .bind(rail.text.as_str())
            .execute(&mut **tx)
            .await?;
    }
    Ok(())
}

/// The whole bundle as of one moment, or one tenant of it under the guard-rails; a fault where any of it cannot be read.
pub(crate) async fn load(tx: &mut Limited, only: Option<&TenantId>) -> Result<Bundle, StoreFault> {
    let Legible { bundle, illegible } = read(tx, only).await?;
    match illegible.into_iter().next() {
        None => Ok(bundle),
        Some((tenant, found)) => Err(StoreFault::Illegible { tenant, why: found.why.join("; ") }),
    }
}

async fn read(tx: &mut Limited, only: Option<&TenantId>) -> Result<Legible, StoreFault> {
    let only = only.map_or("", TenantId::as_str);
    let (mut found, mut why) = (Legible::default(), BTreeMap::<TenantId, Vec<String>>::new());
    let sql = "SELECT t.id, t.spec, t.active_policy, v.body FROM tenants t \
               LEFT JOIN policy_versions v ON v.tenant = t.id AND v.version = t.active_policy \
               WHERE $1 = '' OR t.id = $1 ORDER BY t.id";
    let tenants = sqlx::query(sql).bind(only).fetch_all(&mut *tx).await?;
    for row in &tenants {
        let Some(id) = whose(row, "id") else { continue };
        match tenant_in(row, &id) {
            Ok(tenant) => {
                found.bundle.tenants.insert(id, tenant);
            }
            Err(fault) => why.entry(id).or_default().push(format!("tenant: {}", fault.with_causes())),
        }
    }
    let sql = "SELECT tenant, kind, id, spec FROM resources WHERE $1 = '' OR tenant = $1 ORDER BY tenant, kind, id";
    let resources = sqlx::query(sql).bind(only).fetch_all(&mut *tx).await?;
    for row in &resources {
        let Some(id) = whose(row, "tenant") else { continue };
        let Some(tenant) = found.bundle.tenants.get_mut(&id) else { continue };
        if let Err(fault) = take(tenant, row) {
            let named = |column| row.text(column).unwrap_or_else(|_| "?".to_owned());
            let (kind, name) = (named("kind"), named("id"));
            why.entry(id).or_default().push(format!("{kind} `{name}`: {}", fault.with_causes()));
        }
    }
    for (id, why) in why {
        found.bundle.tenants.remove(&id);
        let own = tenants.iter().filter(|row| row.text("id").is_ok_and(|of| of == id.as_str()));
        let more = resources.iter().filter(|row| row.text("tenant").is_ok_and(|of| of == id.as_str()));
        let hosts = own.chain(more).flat_map(hosts_in).collect();
        found.illegible.insert(id, Illegible { why, hosts });
    }
    for row in sqlx::query("SELECT name, text FROM guard_rails ORDER BY name").fetch_all(&mut *tx).await? {
        found.bundle.guard_rails.push(PolicyText { name: row.text("name")?, text: row.text("text")? });
    }
    Ok(found)
}

/// The tenant of a row, with its policies. One that bears another's name would take that one's place.
fn tenant_in(row: &AnyRow, id: &TenantId) -> Result<TenantBundle, StoreFault> {
    let mut tenant = TenantBundle::new(row.json("spec")?);
    if tenant.tenant.id != *id {
        return Err(StoreFault::corrupt("spec", format!("it names itself `{}`", tenant.tenant.id)));
    }
    policies::active_in(row)?;
    if row.opt_text("body")?.is_some() {
        tenant.policies = row.json("body")?;
    }
    Ok(tenant)
}

fn take(tenant: &mut TenantBundle, row: &AnyRow) -> Result<(), StoreFault> {
    match row.text("kind")?.as_str() {
        AppSpec::KIND => insert(&mut tenant.apps, row.json("spec")?, |one: &AppSpec| one.id.clone()),
        ProviderSpec::KIND => insert(&mut tenant.providers, row.json("spec")?, |one: &ProviderSpec| one.id.clone()),
        ClientSpec::KIND => insert(&mut tenant.clients, row.json("spec")?, |one: &ClientSpec| one.id.clone()),
        GroupSpec::KIND => insert(&mut tenant.groups, row.json("spec")?, |one: &GroupSpec| one.id.clone()),
        other => return Err(StoreFault::corrupt("kind", format!("unknown kind `{other}`"))),
    }
    Ok(())
}

/// The hosts that a row names, whatever else it says: there, too, it is to be told that the tenant is not available.
fn hosts_in(row: &AnyRow) -> Vec<String> {
    let spec = row.json::<Value>("spec").unwrap_or_default();
    let named = spec["hosts"].as_array().into_iter().flatten().chain([&spec["sign_in_host"]]);
    named.filter_map(Value::as_str).map(str::to_owned).collect()
}

fn insert<K: Ord, V>(into: &mut BTreeMap<K, V>, one: V, id: impl Fn(&V) -> K) {
    into.insert(id(&one), one);
}

#[cfg(test)]
#[path = "resources_tests.rs"]
mod tests;
