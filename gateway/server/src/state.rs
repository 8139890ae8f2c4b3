//! What the request path reads: all that the store holds of tenants, prepared once, immutable, and swapped whole.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use cardea_audit::PolicyRef;
use cardea_core::{
    AppId, Diagnostics, TenantId,
    resources::{AppSpec, Bundle, PolicyText, TenantBundle},
};
use cardea_policy::{Engine, Sources, built_in};
use cardea_proxy::{App, OwnApp, Site, SiteRole, Snapshot, Tenant};

use crate::config::Config;

/// Every tenant, ready to answer.
#[derive(Debug, Default)]
pub struct State {
    /// The operator's guard-rails.
    pub guard_rails: Arc<[PolicyText]>,
    /// The tenants.
    pub tenants: BTreeMap<TenantId, Arc<TenantState>>,
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

    /// The app that answers at a host.
    pub fn app_at(&self, host: &str) -> Option<&AppSpec> {
        self.bundle.apps.values().find(|app| app.hosts.iter().any(|one| one == host))
    }
}
