//! The providers' documents, fetched when they are needed and kept for a while; keys are fetched anew, once, when a token
//! is signed with one that is not known.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use cardea_core::{ProviderId, TenantId, Timestamp, resources::ProviderSpec};
use cardea_identity::oidc::{Provider, Refused};
use http::{Request, StatusCode, header};

use crate::{House, outgoing::OutgoingClient, state::TenantState};

/// What is known of the tenants' providers.
#[derive(Default)]
pub struct Providers(Mutex<HashMap<(TenantId, ProviderId), Arc<Known>>>);

/// A provider with its keys, and a way to call it.
pub(crate) struct Known {
    /// The provider.
    pub provider: Provider,
    /// Calls it, under the roots that the tenant named for it.
    pub client: OutgoingClient,
    read_at: Timestamp,
    /// When keys were last fetched for the sake of a token; absent where they came with the documents.
    renewed_at: Option<Timestamp>,
    /// Whether nothing came of that.
    failed: bool,
}

/// How long documents are kept. An hour: what most providers say in `Cache-Control`.
const KEPT: Duration = Duration::from_secs(3600);
/// How long they are used when the provider cannot be reached. A day: a provider's bad hour is not ours.
const AT_MOST: Duration = Duration::from_secs(24 * 3600);
/// Least time between two fetches of keys for the sake of a token: strangers can make up tokens at will.
const COOL_DOWN: Duration = Duration::from_secs(30);

/// The origins to which a form may lead on its way to a provider.
pub(super) fn form_targets(house: &House, tenant: &TenantState, spec: &ProviderSpec) -> Vec<String> {
    let known = house.providers.kept(tenant.id(), &spec.id);
    let endpoint = known.map(|known| known.provider.authorization_url().origin().ascii_serialization());
    [Some(spec.issuer.origin().ascii_serialization()), endpoint].into_iter().flatten().collect()
}

/// The origins to which a form may lead whose end is this provider, once its documents are there; so the way is known to be open.
pub(crate) async fn way_to(house: &House, tenant: &TenantState, spec: &ProviderSpec) -> Result<Vec<String>, Refused> {
    house.providers.find(house, tenant.id(), spec).await?;
    Ok(form_targets(house, tenant, spec))
}

impl Providers {
    fn kept(&self, tenant: &TenantId, id: &ProviderId) -> Option<Arc<Known>> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(&(tenant.clone(), id.clone())).cloned()
    }

    fn keep(&self, tenant: &TenantId, known: Known) -> Arc<Known> {
        let known = Arc::new(known);
        let key = (tenant.clone(), known.provider.spec().id.clone());
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key, Arc::clone(&known));
        known
    }

    /// A provider with its documents: kept ones, else fetched.
    pub(crate) async fn find(
        &self,
        house: &House,
        tenant: &TenantId,
        spec: &ProviderSpec,
    ) -> Result<Arc<Known>, Refused> {
        let now = house.now();
        let kept = self.kept(tenant, &spec.id).filter(|known| known.provider.spec() == spec);
        if let Some(known) = kept.as_ref().filter(|known| now.since(known.read_at) < KEPT) {
            return Ok(Arc::clone(known));
        }
        match fetch(house, spec, now).await {
            Ok(known) => Ok(self.keep(tenant, known)),
            Err(refused) => match kept.filter(|known| now.since(known.read_at) < AT_MOST) {
                Some(known) => {
                    tracing::warn!(tenant = %tenant, provider = %spec.id, error = %refused, "a provider's kept documents are used");
                    Ok(known)
                }
                None => Err(refused),
            },
        }
    }

    /// The provider with keys fetched anew, unless that was done just now.
    pub(crate) async fn with_new_keys(
        &self,
        house: &House,
        tenant: &TenantId,
        known: &Known,
    ) -> Result<Option<Arc<Known>>, Refused> {
        let now = house.now();
        if known.renewed_at.is_some_and(|at| now.since(at) < COOL_DOWN) {
            let just_now = || Refused::Unreachable("its keys could not be fetched a moment ago".to_owned());
            return if known.failed { Err(just_now()) } else { Ok(None) };
        }
        let fetched = match get(&known.client, known.provider.jwks_url().as_str(), None).await {
            Ok(keys) => known.provider.clone().with_keys(&keys),
            Err(refused) => Err(refused),
        };
        let (client, read_at) = (known.client.clone(), known.read_at);
        let after = |provider, failed| Known { provider, client, read_at, renewed_at: Some(now), failed };
        match fetched {
            Ok(provider) => Ok(Some(self.keep(tenant, after(provider, false)))),
            // Noted, too: strangers need no more than a made-up name of a key to have them asked for.
            Err(refused) => {
                self.keep(tenant, after(known.provider.clone(), true));
                Err(refused)
            }
        }
    }
}

async fn fetch(house: &House, spec: &ProviderSpec, now: Timestamp) -> Result<Known, Refused> {
    let client = match &spec.ca_file {
        Some(file) => OutgoingClient::with_roots(&house.config.folder.join(file))
            .map_err(|error| Refused::Unreachable(format!("ca_file `{file}`: {error}")))?,
        None => house.http.clone(),
    };
    let discovery = get(&client, &Provider::discovery_url(spec), None).await?;
    let provider = Provider::read(spec, &discovery)?;
    let keys = get(&client, provider.jwks_url().as_str(), None).await?;
    Ok(Known { provider: provider.with_keys(&keys)?, client, read_at: now, renewed_at: None, failed: false })
}

/// Fetches a JSON document, with an access token where it is the person's.
pub(crate) async fn get(client: &OutgoingClient, url: &str, token: Option<&str>) -> Result<Vec<u8>, Refused> {
    let mut request = Request::get(url).header(header::ACCEPT, "application/json");
    if let Some(token) = token {
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    let request = request.body(Vec::new()).map_err(|error| Refused::Unreachable(error.to_string()))?;
    let answer = client.call(request).await.map_err(|error| Refused::Unreachable(error.to_string()))?;
    if answer.status() != StatusCode::OK {
        return Err(Refused::Unreachable(format!("`{url}` answered {}", answer.status())));
    }
    Ok(answer.into_body().to_vec())
}
