//! `/apps`: which there are, and what a request on them would come to.

use axum::Json;
use cardea_core::{AppId, Assurance, Reason};
use cardea_identity::Email;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{
    asked::{Asked, Filter, Named, Nothing, Sent},
    problem::{Answer, Problem},
};
use crate::{
    explaining::{self, Trial, Untold},
    house::Busy,
};

mod described;

use described::App;

/// The tenant's apps, each as its resource file says.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AppPage {
    #[schema(value_type = Vec<App>)]
    items: Vec<Value>,
    /// Apps fit on one page.
    next: Option<String>,
}

/// A request to be tried.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TrialBody {
    /// The method, in capitals; `PREFLIGHT` for what a browser asks for a page of another origin.
    method: String,
    /// The path; a query is left off.
    path: String,
    /// Who asks: an e-mail address of the pool; a visitor where absent.
    #[serde(rename = "as", default)]
    caller: Option<String>,
    /// How strongly signed in: 1, 2 or 3.
    #[serde(default)]
    #[schema(value_type = Option<u8>)]
    assurance: Option<u8>,
}

impl From<Untold> for Problem {
    fn from(untold: Untold) -> Self {
        match untold {
            Untold::Store(fault) => fault.into(),
            Untold::Busy => Busy.into(),
            Untold::Unknown(why) => Self::bad(why),
        }
    }
}

fn written(value: &impl Serialize) -> Answer<Value> {
    serde_json::to_value(value).map_err(|error| Problem::new(Reason::Internal, error.to_string()))
}

/// The tenant's apps.
#[utoipa::path(
    get, path = "/apps", tag = "apps",
    responses((status = 200, body = AppPage), (status = 422, description = "the list takes no parameter"))
)]
pub(super) async fn list(asked: Asked, _none: Filter<Nothing>) -> Answer<Json<AppPage>> {
    let items = asked.tenant.bundle.apps.values().map(written).collect::<Answer<_>>()?;
    Ok(Json(AppPage { items, next: None }))
}

/// One app.
#[utoipa::path(
    get, path = "/apps/{id}", tag = "apps", params(("id" = String, Path)),
    responses((status = 200, body = App), (status = 404, description = "there is no such app"))
)]
pub(super) async fn one(asked: Asked, Named(id): Named<AppId>) -> Answer<Json<Value>> {
    let app = asked.tenant.bundle.apps.get(&id).ok_or_else(|| Problem::not_found("app"))?;
    written(app).map(Json)
}

/// What a request would come to, and why: nothing is forwarded.
#[utoipa::path(
    post, path = "/apps/{id}/try", tag = "apps", params(("id" = String, Path)), request_body = TrialBody,
    responses((status = 200, description = "the decision, explained", body = Object))
)]
pub(super) async fn try_it(asked: Asked, Named(app): Named<AppId>, Sent(body): Sent<TrialBody>) -> Answer<Json<Value>> {
    let email = body.caller.as_deref().map(str::trim).filter(|text| !text.is_empty()).map(Email::parse).transpose();
    let assurance = match body.assurance {
        Some(level @ 1..) => Some(Assurance::from_level(level).ok_or_else(|| Problem::bad("assurance is 1, 2 or 3"))?),
        _ => None,
    };
    let trial = Trial {
        app,
        method: body.method.trim().to_ascii_uppercase(),
        path: body.path,
        caller: email.map_err(|error| Problem::bad(error.to_string()))?,
        assurance,
    };
    let told = explaining::trial(&asked.house.store, &asked.tenant, &trial, asked.house.now()).await?;
    written(&told).map(Json)
}
