//! What every handler of the API takes: the tenant that was asked, who asks, and a body that is JSON and says so.

use std::sync::Arc;

use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Path, Query, Request},
    http::{HeaderMap, request::Parts},
};
use cardea_core::{Caller, Reason, caller::UserFacts};
use cardea_proxy::Admitted;
use http::header::CONTENT_TYPE;
use serde::{Deserialize, de::DeserializeOwned};

use super::problem::Problem;
use crate::{House, house::Doer, state::TenantState};

/// A question to the API, admitted.
pub(super) struct Asked {
    pub house: Arc<House>,
    pub tenant: Arc<TenantState>,
    pub admitted: Admitted,
    headers: HeaderMap,
}

impl Asked {
    /// Whoever asks, with the right to make one change.
    pub(super) fn doer(&self) -> Result<Doer, Problem> {
        Ok(Doer::admitted(&self.admitted)?.with_agent(&self.headers))
    }

    /// Whoever asks, to note what changes nothing.
    pub(super) fn noting(&self) -> Doer {
        Doer::noting(&self.admitted).with_agent(&self.headers)
    }

    /// The administrator who asks; the built-in policies admit only users.
    pub(super) fn user(&self) -> Result<&Arc<UserFacts>, Problem> {
        match self.admitted.caller() {
            Caller::User(user) => Ok(user),
            _ => Err(Problem::new(Reason::Denied, "the admin API is for users")),
        }
    }
}

impl FromRequestParts<Arc<House>> for Asked {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, house: &Arc<House>) -> Result<Self, Problem> {
        let internal = || Problem::new(Reason::Internal, "the request did not come through the gateway's door");
        let admitted = parts.extensions.get::<Admitted>().cloned().ok_or_else(internal)?;
        let tenant = house.tenant(&admitted.tenant().id).ok_or_else(|| Problem::not_found("tenant"))?;
        Ok(Self { house: Arc::clone(house), tenant, admitted, headers: parts.headers.clone() })
    }
}

/// A JSON body. It must say that it is JSON: no form of another site can (Fetch standard, CORS-safelisted types).
pub(super) struct Sent<T>(pub T);

impl<T: DeserializeOwned> FromRequest<Arc<House>> for Sent<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, house: &Arc<House>) -> Result<Self, Problem> {
        let bytes = body(request, house, "application/json").await?;
        serde_json::from_slice(&bytes).map(Self).map_err(|error| Problem::bad(error.to_string()))
    }
}

/// A body that is a table, and says so: no form of another site can, either.
pub(super) struct Csv(pub Bytes);

impl FromRequest<Arc<House>> for Csv {
    type Rejection = Problem;

    async fn from_request(request: Request, house: &Arc<House>) -> Result<Self, Problem> {
        body(request, house, "text/csv").await.map(Self)
    }
}

/// The body, if it is marked as of that kind.
async fn body(request: Request, house: &House, wanted: &str) -> Result<Bytes, Problem> {
    let kind = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case(wanted) {
        return Err(Problem::bad(format!("the body is not marked as `{wanted}`")));
    }
    let bytes = axum::body::to_bytes(request.into_body(), house.limits().own_body_bytes).await;
    bytes.map_err(|_| Problem::new(Reason::BodyTooLarge, "the body is larger than the limit, or broke off"))
}

/// A part of the address that names something.
pub(super) struct Named<T>(pub T);

impl<T: DeserializeOwned + Send> FromRequestParts<Arc<House>> for Named<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, house: &Arc<House>) -> Result<Self, Problem> {
        let path = Path::<T>::from_request_parts(parts, house).await;
        path.map(|Path(named)| Self(named)).map_err(|_| Problem::not_found("address"))
    }
}

/// The parameters of a list that takes none.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

/// The query's parameters. What is asked for by another name must not be left out: whoever asked would take all for some.
pub(super) struct Filter<T>(pub T);

impl<T: DeserializeOwned> FromRequestParts<Arc<House>> for Filter<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, house: &Arc<House>) -> Result<Self, Problem> {
        let query = Query::<T>::from_request_parts(parts, house).await;
        query.map(|Query(filter)| Self(filter)).map_err(|error| Problem::bad(error.body_text()))
    }
}
