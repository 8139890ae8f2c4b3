//! What answers where: the immutable snapshot that requests are routed by.

use std::{collections::HashMap, net::IpAddr, sync::Arc};

use cardea_core::{TenantId, resources::AppSpec};
use ipnet::IpNet;

/// Everything that configuration and resources decide, swapped whole.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// What answers at each canonical host.
    pub hosts: HashMap<Box<str>, Arc<Site>>,
    /// Proxies whose word about the client's address is believed.
    pub trusted_proxies: Vec<IpNet>,
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
    /// The host of its sign-in pages.
    pub sign_in_host: Arc<str>,
    /// `https://host[:port]` of its sign-in pages, as browsers see it.
    pub sign_in_origin: String,
    /// The SPIFFE trust domain of its workloads, `<tenant>.<trust_domain>`.
    pub trust_domain: String,
    /// Cardea's own apps at this tenant.
    pub own: HashMap<OwnApp, Arc<App>>,
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
}

/// An app, compiled for the request path.
#[derive(Debug)]
pub struct App {
    /// What the administrator wrote; built by the gateway for its own apps.
    pub spec: AppSpec,
    /// Which of ours it is; none for a tenant's.
    pub own: Option<OwnApp>,
}

impl Snapshot {
    /// Whether `address` is a proxy whose word is believed.
    pub fn trusts(&self, address: IpAddr) -> bool {
        self.trusted_proxies.iter().any(|net| net.contains(&address))
    }
}
