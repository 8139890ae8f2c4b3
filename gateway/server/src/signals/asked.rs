//! A provider's request: of whom it is to be, its body, and the keys that it is checked with.

use std::sync::Arc;

use axum::{
    body::Bytes,
    extract::{FromRequest, Request},
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER},
    },
    response::{IntoResponse as _, Response},
};
use cardea_audit::Event;
use cardea_core::{ProviderId, Reason, Timestamp, resources::ProviderSpec};
use cardea_identity::{TicketHash, oidc::Provider, signals::Refused};
use cardea_proxy::{Admitted, SiteRole};
use cardea_storage::StoreFault;

use crate::{
    House,
    house::{Doer, with_causes},
    sign_in::Known,
    state::TenantState,
};

/// A request that comes, it says, from one of the tenant's providers.
pub(super) struct Asked {
    pub(super) house: Arc<House>,
    pub(super) tenant: Arc<TenantState>,
    pub(super) spec: ProviderSpec,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    admitted: Admitted,
}

/// Why a signal is not taken.
#[derive(Debug)]
pub(super) enum No {
    /// It is not believed.
    Refused(Refused),
    /// It was taken before.
    Again,
    /// A store, the log, or the way to the provider's keys: whoever sent it may send it again.
    Broken(String),
}

impl From<StoreFault> for No {
    fn from(fault: StoreFault) -> Self {
        Self::Broken(with_causes(&fault))
    }
}

impl From<Refused> for No {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

impl FromRequest<Arc<House>> for Asked {
    type Rejection = Response;

    async fn from_request(request: Request, house: &Arc<House>) -> Result<Self, Response> {
        let (head, body) = request.into_parts();
        let admitted = head.extensions.get::<Admitted>().cloned().ok_or_else(|| nowhere(Reason::Internal))?;
        // An app's host has addresses of ours, but not these.
        if !matches!(admitted.site().role, SiteRole::SignIn) {
            return Err(nowhere(Reason::NotFound));
        }
        let tenant = house.tenant(&admitted.tenant().id).ok_or_else(|| nowhere(Reason::Internal))?;
        let named = admitted.canonical().segments().nth(2).and_then(|name| ProviderId::parse(name).ok());
        let spec = named.and_then(|id| tenant.bundle.providers.get(&id).cloned());
        let spec = spec.ok_or_else(|| nowhere(Reason::NotFound))?;
        let body = Bytes::from_request(Request::new(body), house).await.map_err(|_| nowhere(Reason::BodyTooLarge))?;
        Ok(Self { house: Arc::clone(house), tenant, spec, headers: head.headers, body, admitted })
    }
}

impl Asked {
    /// When the request came.
    pub(super) fn now(&self) -> Timestamp {
        self.admitted.at()
    }

    /// Who does what follows, as entries tell it.
    pub(super) fn doer(&self) -> Doer {
        Doer::noting(&self.admitted).with_agent(&self.headers)
    }

    /// Whether the body is of this kind.
    pub(super) fn brings(&self, kind: &str) -> bool {
        let said = self.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        said.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(kind)
    }

    /// The provider with its documents.
    pub(super) async fn known(&self) -> Result<Arc<Known>, No> {
        let known = self.house.providers.find(&self.house, self.tenant.id(), &self.spec).await;
        known.map_err(|refused| No::Broken(refused.to_string()))
    }

    /// What `verify` believes by the provider's keys; where the key is unknown, with keys fetched anew, once: the provider may have
    /// rotated them just now.
    pub(super) async fn believed<T>(&self, verify: impl Fn(&Provider) -> Result<T, Refused> + Send) -> Result<T, No> {
        let unreachable = |refused: cardea_identity::oidc::Refused| No::Broken(refused.to_string());
        let (house, tenant) = (&self.house, self.tenant.id());
        let known = self.known().await?;
        match verify(&known.provider) {
            Err(Refused::UnknownKey) => {
                let renewed = house.providers.with_new_keys(house, tenant, &known).await.map_err(unreachable)?;
                let renewed = renewed.ok_or(Refused::UnknownKey)?;
                Ok(verify(&renewed.provider)?)
            }
            outcome => Ok(outcome?),
        }
    }

    /// Does what a signal says, unless that was done before, and notes that it is done.
    pub(super) async fn once(
        &self,
        once: &TicketHash,
        done: impl Future<Output = Result<(), No>> + Send,
    ) -> Result<(), No> {
        if self.house.was_taken(self.tenant.id(), once).await? {
            return Err(No::Again);
        }
        done.await?;
        Ok(self.house.is_taken(self.tenant.id(), once).await?)
    }

    /// Writes an entry of what is not believed, and tells the reason for metrics and the request's own entry.
    pub(super) fn note(&self, detail: String, mut response: Response) -> Response {
        let event = Event::SignalRefused { provider: self.spec.id.clone(), detail };
        self.house.note(self.tenant.id(), &self.doer(), event);
        response.extensions_mut().insert(Reason::ProviderRejected);
        unkept(response)
    }

    /// A fault that is not the provider's: it may try again.
    pub(super) fn broken(&self, why: &str) -> Response {
        tracing::error!(tenant = %self.tenant.id(), provider = %self.spec.id, error = why, "a signal could not be taken");
        let mut response = StatusCode::SERVICE_UNAVAILABLE.into_response();
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("5"));
        response.extensions_mut().insert(Reason::StoreUnavailable);
        unkept(response)
    }
}

/// An answer that nobody keeps.
pub(super) fn unkept(mut response: Response) -> Response {
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn nowhere(reason: Reason) -> Response {
    let mut response = StatusCode::NOT_FOUND.into_response();
    response.extensions_mut().insert(reason);
    response
}
