//! Joins the pages to the rest of the house: a tenant's look, and the page of each failure of the data plane.

use axum::response::Response;
use cardea_proxy::{Body, Faces, Tenant};

use super::{Failure, Look};
use crate::{config::Config, state::TenantState};

impl Look {
    /// The look at a tenant's sign-in host. Its forms may lead to all of the tenant's hosts and providers.
    pub fn at_sign_in(config: &Config, tenant: &TenantState) -> Self {
        let bundle = &tenant.bundle;
        let hosts = bundle.apps.values().flat_map(|app| &app.hosts).map(|host| config.origin(host));
        let providers = bundle.providers.values().map(|provider| provider.issuer.origin().ascii_serialization());
        let targets: Vec<String> = hosts.chain(providers).collect();
        Self::new(&bundle.tenant.name, bundle.tenant.accent.as_deref(), &targets)
    }

    /// The look at any of a tenant's hosts.
    pub fn of_route(tenant: &Tenant) -> Self {
        Self::anywhere(&tenant.name, tenant.accent.as_deref(), &tenant.sign_in_origin)
    }
}

/// Shows the data plane's failures as pages.
#[derive(Debug, Clone, Copy, Default)]
pub struct PageFaces;

impl Faces for PageFaces {
    fn page(&self, failure: &cardea_proxy::Failure) -> Response<Body> {
        let look = failure.tenant.as_deref().map_or_else(Look::bare, Look::of_route);
        let page = Failure {
            look: &look,
            reason: failure.reason,
            app: failure.app_name.as_deref(),
            signed_in_as: failure.signed_in_as.as_deref(),
            challenge: failure.challenge.as_ref().map(|challenge| challenge.url.as_str()),
            start_again: None,
            request_id: Some(failure.entry.to_string()),
        };
        page.respond().map(Body::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cardea_core::{EntryId, Reason, Timestamp, entropy::Fixed};

    #[test]
    fn a_failure_at_nobodys_host_loads_nothing() {
        let entry = EntryId::mint(Timestamp::from_secs(1), &Fixed::new(1));
        let response = PageFaces.page(&cardea_proxy::Failure::new(Reason::UnknownHost, entry));
        assert_eq!(response.status(), 404);
        let policy = response.headers()["content-security-policy"].to_str().unwrap();
        assert!(policy.contains("style-src 'sha256-") && !policy.contains("'self'"), "{policy}");
    }
}
