//! What the request path reads: all that the store holds of tenants, prepared once, immutable, and swapped whole.

mod roots;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use cardea_audit::PolicyRef;
use cardea_core::{
    AppId, Diagnostic, Diagnostics, TenantId, Timestamp,
    resources::{AppSpec, Bundle, Logo, PolicyText, TenantBundle, TenantSpec, UpstreamSpec},
};
use cardea_policy::{AppModel, Engine, Sources, built_in};
use cardea_proxy::{
    App, OwnApp, Settings, Site, SiteRole, Snapshot, Tenant,
    routing::OwnApps,
    upstream::{Standing, StickyKey, TenantRoom, Transport, Upstream},
};
use cardea_storage::Illegible;

use crate::{checks::path_of, config::Config, pages::assets};

pub(crate) use roots::Roots;

/// One generation of everything that decides: every tenant, ready to answer, under the configuration in force.
#[derive(Debug, Clone, Default)]
pub struct State {
    /// Limits, trusted proxies and certificates.
    pub settings: Arc<Settings>,
    /// The operator's guard-rails.
    pub guard_rails: Vec<PolicyText>,
    /// The tenants that can answer.
    pub tenants: BTreeMap<TenantId, Arc<TenantState>>,
    /// Tenants whose latest resources are not in force. What they had before stays, if they had anything, until it is
    /// older than its limit.
    pub behind: BTreeMap<TenantId, Behind>,
}

/// A tenant whose latest resources are not in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Behind {
    /// Since when.
    pub since: Timestamp,
    /// Why.
    pub why: Diagnostics,
    /// Its hosts, as the latest resources name them.
    hosts: Vec<String>,
}

/// One tenant, ready to answer.
#[derive(Debug)]
pub struct TenantState {
    /// What administrators wrote of it.
    pub bundle: TenantBundle,
    /// The version and hash of the policies in force.
    pub policy: PolicyRef,
    /// The policies in force.
    pub engine: Arc<Engine>,
    /// The tenant as the request path knows it.
    pub route: Arc<Tenant>,
    /// What its services share.
    pub(crate) standing: Standing,
    /// What its services are checked by.
    pub(crate) roots: Roots,
    /// Its apps as the request path knows them.
    apps: Vec<Arc<App>>,
}

/// The name by which a logo is served: it changes with it. The picture itself lies in the tenant's own text, and nowhere else:
/// browsers keep it, so that it is read out of there seldom.
fn logo_name(spec: &TenantSpec) -> Option<Arc<str>> {
    let Logo { ending, bytes, .. } = Logo::parse(spec.logo.as_deref()?).ok()?;
    Some(assets::with_hash(&format!("logo.{ending}"), &bytes).into())
}

/// How the connection to an app's service is protected: by the tenant's CA, other roots, or not at all.
pub type Transports<'a> = &'a (dyn Fn(&TenantSpec, &UpstreamSpec) -> Result<Transport, Diagnostic> + Send + Sync);

/// What a state is compiled from.
pub struct Sheet<'a> {
    /// Hosts, ports and the trust domain.
    pub config: &'a Config,
    /// What administrators wrote.
    pub bundle: Bundle,
    /// Tenants of which that cannot be read.
    pub illegible: BTreeMap<TenantId, Illegible>,
    /// The active policy version of each tenant.
    pub versions: &'a BTreeMap<TenantId, u64>,
    /// The state in force: what did not change is taken over, connections included.
    pub before: &'a State,
    /// How services are reached.
    pub transports: Transports<'a>,
    /// Under which sticky cookies name addresses.
    pub sticky: StickyKey,
    /// Tenants that cannot be compiled, whatever they say: their keys or their authority cannot be had.
    pub amiss: BTreeMap<TenantId, Diagnostics>,
    /// The present moment.
    pub now: Timestamp,
}

impl State {
    /// Prepares everything. INVARIANT: one tenant's mistakes concern no other: it stays as it was, and is named in
    /// [`State::behind`].
    pub fn compile(sheet: &Sheet<'_>) -> Self {
        // Resources change nothing of the configuration: what is in force of it, stays.
        let settings = Arc::clone(&sheet.before.settings);
        let mut state = Self { settings, guard_rails: sheet.bundle.guard_rails.clone(), ..Self::default() };
        for (id, bundle) in &sheet.bundle.tenants {
            let before = sheet.before.tenants.get(id);
            let ready = match sheet.amiss.get(id) {
                Some(why) => Err(why.clone()),
                None => sheet.tenant(id, bundle, before),
            };
            let kept = match ready {
                Ok(tenant) => Some(tenant),
                Err(why) => {
                    let hosts = hosts(bundle).cloned().collect();
                    state.behind.insert(id.clone(), Behind { since: sheet.behind_since(id), why, hosts });
                    before.cloned()
                }
            };
            state.tenants.extend(kept.map(|tenant| (id.clone(), tenant)));
        }
        for (id, illegible) in &sheet.illegible {
            state.behind.insert(id.clone(), sheet.illegible(id, illegible));
            state.tenants.extend(sheet.before.tenants.get(id).map(|tenant| (id.clone(), Arc::clone(tenant))));
        }
        state
    }

    /// What the data plane routes by. A host that changed hands is with whom the latest resources give it to.
    pub fn snapshot(&self) -> Snapshot {
        let mut sites: HashMap<Box<str>, Arc<Site>> = HashMap::new();
        let (behind, ready): (Vec<_>, Vec<_>) = self.tenants.iter().partition(|(id, _)| self.behind.contains_key(*id));
        for (_, tenant) in behind.into_iter().chain(ready) {
            let mut add = |host: &str, role: SiteRole| {
                let site = Site { host: host.into(), tenant: Arc::clone(&tenant.route), role };
                sites.insert(host.into(), Arc::new(site));
            };
            add(&tenant.bundle.tenant.sign_in_host, SiteRole::SignIn);
            for app in &tenant.apps {
                for host in &app.spec.hosts {
                    add(host, SiteRole::App(Arc::clone(app)));
                }
            }
        }
        let closed = self.behind.values().flat_map(|behind| &behind.hosts).map(|host| host.as_str().into()).collect();
        Snapshot { hosts: sites, closed, settings: Arc::clone(&self.settings) }
    }

    /// Everything wrong with the tenants that are behind.
    pub fn mistakes(&self) -> Diagnostics {
        Diagnostics(self.behind.values().flat_map(|behind| behind.why.0.clone()).collect())
    }
}

impl Sheet<'_> {
    fn behind_since(&self, id: &TenantId) -> Timestamp {
        self.before.behind.get(id).map_or(self.now, |behind| behind.since)
    }

    /// A tenant that cannot be read. Which hosts it had is known, where it had any.
    fn illegible(&self, id: &TenantId, illegible: &Illegible) -> Behind {
        let before = self.before.tenants.get(id).into_iter().flat_map(|tenant| hosts(&tenant.bundle));
        let hosts = illegible.hosts.iter().chain(before).cloned().collect();
        Behind { since: self.behind_since(id), why: illegible.mistakes(id), hosts }
    }

    /// A tenant as it was if nothing of it changed, or compiled anew. Who is behind is tried anew, since what it lacks
    /// may be a file.
    fn tenant(
        &self,
        id: &TenantId,
        bundle: &TenantBundle,
        before: Option<&Arc<TenantState>>,
    ) -> Result<Arc<TenantState>, Diagnostics> {
        let version = self.versions.get(id).copied().unwrap_or_default();
        let same_rails = self.bundle.guard_rails == self.before.guard_rails;
        let settled = same_rails && !self.before.behind.contains_key(id);
        let roots = Roots::of(bundle, &self.config.folder);
        let same = |old: &&Arc<TenantState>| {
            settled && old.bundle == *bundle && old.policy.version == version && old.roots == roots
        };
        match before.filter(same) {
            Some(old) => Ok(Arc::clone(old)),
            None => tenant(self, (bundle, roots), version, before),
        }
    }
}

/// Every host of a tenant.
fn hosts(bundle: &TenantBundle) -> impl Iterator<Item = &String> {
    let of_apps = bundle.apps.values().flat_map(|app| &app.hosts);
    std::iter::once(&bundle.tenant.sign_in_host).chain(of_apps)
}

impl TenantState {
    /// Its name.
    pub fn id(&self) -> &TenantId {
        &self.bundle.tenant.id
    }

    /// Whether a host is one of this tenant's: only there may a sign-in return to.
    pub fn has_host(&self, host: &str) -> bool {
        self.bundle.tenant.sign_in_host == host || self.app_at(host).is_some()
    }

    /// An app as the request path knows it.
    pub(crate) fn app(&self, id: &AppId) -> Option<&Arc<App>> {
        self.apps.iter().find(|app| app.spec.id == *id)
    }

    /// The app that answers at a host.
    pub fn app_at(&self, host: &str) -> Option<&AppSpec> {
        self.bundle.apps.values().find(|app| app.hosts.iter().any(|one| one == host))
    }
}

fn tenant(
    sheet: &Sheet<'_>,
    (bundle, roots): (&TenantBundle, Roots),
    version: u64,
    before: Option<&Arc<TenantState>>,
) -> Result<Arc<TenantState>, Diagnostics> {
    let spec = &bundle.tenant;
    let engine = Engine::compile(&Sources::of(bundle, &sheet.bundle.guard_rails)).map_err(|mut found| {
        for one in &mut found.0 {
            one.source = path_of(&spec.id, &one.source);
        }
        found
    })?;
    let engine = Arc::new(engine);
    let policy = PolicyRef { version, hash: engine.hash().into() };
    let route = Arc::new(Tenant {
        id: spec.id.clone(),
        name: spec.name.clone(),
        accent: spec.accent.clone(),
        logo: logo_name(spec),
        language: spec.language,
        sign_in_host: spec.sign_in_host.as_str().into(),
        sign_in_origin: sheet.config.origin(&spec.sign_in_host),
        trust_domain: format!("{}.{}", spec.id, sheet.config.trust_domain),
        rate: spec.rates.tenant,
        engine: Arc::clone(&engine),
        policy: policy.clone(),
        own: own_apps(&engine)?,
    });
    // Connections that are open count in the room that they were opened in: it stays while its size does.
    let same = before.filter(|old| old.bundle.tenant.upstreams == spec.upstreams);
    let new = || Standing { room: TenantRoom::new(spec.upstreams.connections), key: sheet.sticky.clone() };
    let standing = same.map_or_else(new, |old| old.standing.clone());
    let apps = apps(bundle, &engine, sheet.transports, &standing, before.map(|old| (&**old, &roots)))?;
    Ok(Arc::new(TenantState { bundle: bundle.clone(), policy, engine, route, standing, roots, apps }))
}

/// The tenant as it was, and what its services are checked by now.
type Before<'a> = Option<(&'a TenantState, &'a Roots)>;

/// The apps of a tenant as the request path needs them, or everything that keeps them from being served.
pub(crate) fn apps(
    bundle: &TenantBundle,
    engine: &Engine,
    transports: Transports<'_>,
    standing: &Standing,
    before: Before<'_>,
) -> Result<Vec<Arc<App>>, Diagnostics> {
    let mut found = Diagnostics::default();
    let mut apps = Vec::new();
    for spec in bundle.apps.values() {
        match app(&bundle.tenant, spec, engine, (transports, standing), before) {
            Ok(app) => apps.push(Arc::new(app)),
            Err(mut errors) => {
                let source = format!("tenants/{}/apps/{}.toml", bundle.tenant.id, spec.id);
                errors.0.iter_mut().for_each(|one| one.source.clone_from(&source));
                found.extend(errors);
            }
        }
    }
    found.or_ok(apps)
}

fn own_apps(engine: &Engine) -> Result<OwnApps, Diagnostics> {
    let ours = |which, id: &AppId| model(engine, id).map(|model| Arc::new(App::ours(which, model)));
    Ok(OwnApps {
        sign_in: ours(OwnApp::SignIn, &built_in::sign_in())?,
        portal: ours(OwnApp::Portal, &built_in::portal())?,
        console: ours(OwnApp::Console, &built_in::console())?,
        machines: ours(OwnApp::Machines, &built_in::machines())?,
        decisions: ours(OwnApp::Decisions, &built_in::decisions())?,
    })
}

fn model(engine: &Engine, id: &AppId) -> Result<Arc<AppModel>, Diagnostics> {
    engine.app(id).cloned().ok_or_else(|| Diagnostic::new("policies", format!("app `{id}` was not compiled")).into())
}

fn app(
    tenant: &TenantSpec,
    spec: &AppSpec,
    engine: &Engine,
    (transports, standing): (Transports<'_>, &Standing),
    before: Before<'_>,
) -> Result<App, Diagnostics> {
    let upstream = match (&spec.upstream, &spec.forward_auth) {
        (Some(wanted), _) => Some(upstream(tenant, spec, wanted, (transports, standing), before)?),
        (None, Some(_)) => None,
        (None, None) => return Err(wrong(format!("app `{}` has no upstream", spec.id))),
    };
    App::new(spec.clone(), model(engine, &spec.id)?, upstream)
}

fn upstream(
    tenant: &TenantSpec,
    spec: &AppSpec,
    wanted: &UpstreamSpec,
    (transports, standing): (Transports<'_>, &Standing),
    before: Before<'_>,
) -> Result<Arc<Upstream>, Diagnostics> {
    // Connections outlive a change of policies: the pool is the old app's where the service is the same, and is checked by
    // the same.
    let kept = before
        .filter(|(old, roots)| old.roots.agree_on(wanted.ca_file.as_ref(), roots))
        .and_then(|(old, _)| old.apps.iter().find(|app| app.spec.id == spec.id))
        .and_then(|app| app.upstream.as_ref())
        .filter(|upstream| upstream.spec() == wanted && upstream.is_in(&standing.room));
    match kept {
        Some(upstream) => Ok(Arc::clone(upstream)),
        None => {
            let transport = transports(tenant, wanted)?;
            let upstream = Upstream::among(wanted, transport, standing.clone());
            let upstream = upstream.map_err(|error| wrong(error.to_string()))?;
            Ok(Arc::new(upstream.of(&tenant.id, &spec.id)))
        }
    }
}

fn wrong(message: String) -> Diagnostics {
    Diagnostic::new("", message).into()
}
