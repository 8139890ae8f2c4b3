//! What an app's host has of oauth2-proxy's addresses, where the app asks for them, beside `/oauth2/auth` and
//! `/oauth2/start`, which the data plane answers. The same sessions and rules as at `/.cardea/`, under other names.

use axum::{
    Json,
    body::Body,
    extract::Query,
    http::{Method, header},
    response::{IntoResponse as _, Response},
};
use cardea_core::{Caller, Reason};
use cardea_proxy::SiteRole;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    hand_over,
    sign_out::ended_at_app,
    visit::{No, Onward, Visit},
};

/// The query of `/oauth2/sign_out`.
#[derive(Debug, Deserialize)]
pub(super) struct Leaving {
    #[serde(default)]
    rd: Option<String>,
}

/// `/oauth2/sign_out`: the page leads on to `rd`, if that is the tenant's.
pub(super) async fn sign_out(visit: Visit, method: Method, Query(leaving): Query<Leaving>) -> Response {
    visit.answer(signed_out(&visit, &method, leaving).await)
}

async fn signed_out(visit: &Visit, method: &Method, leaving: Leaving) -> Result<Response, No> {
    is_opened(visit)?;
    let next = match leaving.rd.as_deref() {
        None => "/".to_owned(),
        Some(path) if path.starts_with('/') => {
            cardea_identity::return_to::local_path(path).map_err(|_| Reason::ForeignReturn)?.to_owned()
        }
        Some(_) => visit.destination(&Onward { to: leaving.rd, flow: None })?.to.to_string(),
    };
    ended_at_app(visit, method, &next).await
}

/// `/oauth2/userinfo`: who is signed in, as far as the app is told.
pub(super) async fn user_info(visit: Visit) -> Response {
    told(&visit).unwrap_or_else(|reason| visit.house.tell(&visit.admitted, reason).map(Body::new))
}

fn told(visit: &Visit) -> Result<Response, Reason> {
    is_opened(visit)?;
    let Caller::User(user) = visit.admitted.caller() else { return Err(Reason::SignInRequired) };
    let renamed = |name: String| match name.as_str() {
        "id" => "user".to_owned(),
        "name" => "preferredUsername".to_owned(),
        _ => name,
    };
    let known = hand_over::person(user, &visit.admitted.site().role);
    let told: Map<String, Value> = known.into_iter().map(|(name, value)| (renamed(name), value)).collect();
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(told)).into_response())
}

/// Elsewhere than on the host of an app that says so, there are no such addresses.
fn is_opened(visit: &Visit) -> Result<(), Reason> {
    match &visit.admitted.site().role {
        SiteRole::App(app) if app.spec.forward_auth.as_ref().is_some_and(|spec| spec.oauth2_proxy) => Ok(()),
        _ => Err(Reason::NotFound),
    }
}
