//! What answers where: the immutable snapshot that requests are routed by.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use cardea_audit::PolicyRef;
use cardea_core::{
    Diagnostic, Diagnostics, Language, Reason, TenantId,
    resources::{AppSpec, Claim, Rate},
};
use cardea_policy::{AppModel, Engine};
use http::HeaderName;

use crate::{Canonical, Connection, Door, Settings, declared::Declared, metrics::Meters, upstream::Upstream};

/// Everything that configuration and resources decide: one immutable value for each generation, swapped whole.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// What answers at each canonical host.
    pub hosts: HashMap<Box<str>, Arc<Site>>,
    /// Hosts of tenants that cannot be served now: they are known, and closed.
    pub closed: HashSet<Box<str>>,
    /// What the configuration says.
    pub settings: Arc<Settings>,
}

/// One host and what answers there.
#[derive(Debug)]
pub struct Site {
    /// The host.
    pub host: Arc<str>,
    /// Whose it is.
    pub tenant: Arc<Tenant>,
    /// What it is for.
    pub role: SiteRole,
}

/// What a host is for.
#[derive(Debug)]
pub enum SiteRole {
    /// Sign-in pages, portal, console, APIs.
    SignIn,
    /// A protected app.
    App(Arc<App>),
}

/// A tenant as the request path needs it.
#[derive(Debug)]
pub struct Tenant {
    /// Its name.
    pub id: TenantId,
    /// Its name as people read it.
    pub name: String,
    /// Accent colour of its pages.
    pub accent: Option<String>,
    /// The name under which its logo is served.
    pub logo: Option<Arc<str>>,
    /// The language of its pages where a reader asks for none of ours.
    pub language: Language,
    /// The host of its sign-in pages.
    pub sign_in_host: Arc<str>,
    /// `https://host[:port]` of its sign-in pages, as browsers see it.
    pub sign_in_origin: String,
    /// The SPIFFE trust domain of its workloads, `<tenant>.<trust_domain>`.
    pub trust_domain: String,
    /// How many requests may come in how much time, for all of its apps together.
    pub rate: Option<Rate>,
    /// Its policies, compiled.
    pub engine: Arc<Engine>,
    /// Their version and hash, as entries name them.
    pub policy: PolicyRef,
    /// Cardea's own apps at this tenant.
    pub own: OwnApps,
}

/// Cardea's own apps at one tenant.
#[derive(Debug)]
pub struct OwnApps {
    /// `cardea-sign-in`.
    pub sign_in: Arc<App>,
    /// `cardea-portal`.
    pub portal: Arc<App>,
    /// `cardea-console`.
    pub console: Arc<App>,
    /// `cardea-machines`.
    pub machines: Arc<App>,
    /// `cardea-decisions`.
    pub decisions: Arc<App>,
}

/// Cardea's own apps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OwnApp {
    /// `cardea-sign-in`: sign-in pages, `/.cardea/*` on app hosts, sign-out, assets, keys, discovery.
    SignIn,
    /// `cardea-portal`: the person's own pages.
    Portal,
    /// `cardea-console`: `/admin/…` and `/api/v1/…`.
    Console,
    /// `cardea-machines`: `/ca/…`.
    Machines,
    /// `cardea-decisions`: `/access/…`.
    Decisions,
}

/// An app, compiled for the request path.
#[derive(Debug)]
pub struct App {
    /// What the administrator wrote; for Cardea's own apps, their name and nothing else.
    pub spec: AppSpec,
    /// Which of ours it is; none for a tenant's.
    pub own: Option<OwnApp>,
    /// Its addresses and actions, compiled.
    pub model: Arc<AppModel>,
    /// Where it is forwarded to; none for ours, and where another proxy carries it.
    pub upstream: Option<Arc<Upstream>>,
    /// Headers that carry claims, and the claim that fills each.
    pub(crate) mapped: Vec<(HeaderName, Claim)>,
    /// What it declares at the edge.
    pub(crate) declared: Declared,
    /// Its counters, found on first use.
    pub(crate) meters: std::sync::OnceLock<Arc<Meters>>,
}

impl App {
    /// A tenant's app.
    pub fn new(spec: AppSpec, model: Arc<AppModel>, upstream: Option<Arc<Upstream>>) -> Result<Self, Diagnostics> {
        let mut found = Diagnostics::default();
        let mut mapped = Vec::with_capacity(spec.headers.len());
        for (name, claim) in &spec.headers {
            match HeaderName::try_from(name.as_str()) {
                Ok(name) => mapped.push((name, *claim)),
                Err(_) => found.push(
                    Diagnostic::new(format!("apps/{}.toml", spec.id), format!("`{name}` is not a header name"))
                        .help("use letters, digits and `-`"),
                ),
            }
        }
        let declared = Declared::of(&spec, &mut found);
        found.or_ok(Self { spec, own: None, model, upstream, mapped, declared, meters: Default::default() })
    }

    /// The cookie that keeps a browser with one address of its service, by name.
    pub(crate) fn sticky_cookie(&self) -> Option<&str> {
        self.upstream.as_ref()?.spec().sticky_cookie.as_deref()
    }

    /// Whether addresses on its hosts that begin with this segment are Cardea's.
    pub(crate) fn is_ours(&self, first: &str) -> bool {
        first == ".cardea" || first == "oauth2" && self.spec.forward_auth.as_ref().is_some_and(|spec| spec.oauth2_proxy)
    }

    /// One of Cardea's own apps.
    pub fn ours(which: OwnApp, model: Arc<AppModel>) -> Self {
        let spec = AppSpec::named(model.id().clone());
        let declared = Declared::default();
        Self { spec, own: Some(which), model, upstream: None, mapped: Vec::new(), declared, meters: Default::default() }
    }
}

impl Snapshot {
    /// Every service of it begins to be looked after that wants to be before its first request.
    pub(crate) fn begin(&self) {
        for upstream in self.apps().filter_map(|(_, app)| app.upstream.as_ref()) {
            upstream.begin();
        }
    }

    /// The tenants' apps; one with several hosts comes once for each.
    pub(crate) fn apps(&self) -> impl Iterator<Item = (&Tenant, &App)> {
        self.hosts.values().filter_map(|site| match &site.role {
            SiteRole::App(app) => Some((&*site.tenant, &**app)),
            SiteRole::SignIn => None,
        })
    }

    /// Why nothing answers at a host that has no site.
    pub(crate) fn nobody_at(&self, host: &str) -> Reason {
        if self.closed.contains(host) { Reason::TenantUnavailable } else { Reason::UnknownHost }
    }
}

/// Whether it is one of the pages at which a person is asked what a program may do.
fn is_for_people(canonical: &Canonical) -> bool {
    let mut segments = canonical.segments();
    segments.next() == Some("oauth2") && matches!(segments.next(), Some("authorize" | "device"))
}

/// The app that answers `canonical`. On app hosts only `/.cardea/` is ours (and `/oauth2/`, where the app says so); on sign-in
/// hosts everything is. What is for machines is behind their door, and behind no other.
pub(crate) fn route(site: &Site, canonical: &Canonical, connection: &Connection) -> Result<Arc<App>, Reason> {
    let own = &site.tenant.own;
    let first = canonical.segments().next().unwrap_or_default();
    let at_sign_in = matches!(site.role, SiteRole::SignIn);
    let for_machines = at_sign_in && matches!(first, "ca" | "access");
    // Programs come to either door: to the machines' where their certificate is to be seen (RFC 8705).
    let for_either = at_sign_in && first == "oauth2" && !is_for_people(canonical);
    if !for_either && for_machines != (connection.door == Door::Machines) {
        return Err(Reason::NotFound);
    }
    let app = match &site.role {
        SiteRole::App(app) if app.is_ours(first) => &own.sign_in,
        SiteRole::App(app) => app,
        SiteRole::SignIn => match first {
            "ca" => &own.machines,
            "access" => &own.decisions,
            "oauth2" if is_for_people(canonical) => &own.portal,
            "oauth2" if connection.door == Door::Machines => &own.machines,
            "" | "factors" | "sessions" | "activity" | "programs" => &own.portal,
            "admin" | "api" => &own.console,
            _ => &own.sign_in,
        },
    };
    Ok(Arc::clone(app))
}
