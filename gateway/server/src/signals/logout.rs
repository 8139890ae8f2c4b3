//! `POST /sign-in/back-channel/{provider}`: somebody signed out over there (OpenID Connect Back-Channel Logout 1.0 section 2.5).

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use cardea_identity::{
    session::EndReason,
    signals::{self, Logout},
};
use serde_json::json;

use super::asked::{Asked, No, unkept};
use crate::house::Signalled;

/// Ends the sessions that rest on the provider's word about whom the token names.
pub(super) async fn receive(asked: Asked) -> Response {
    match taken(&asked).await {
        Ok(()) => unkept(StatusCode::OK.into_response()),
        Err(No::Broken(why)) => asked.broken(&why),
        Err(No::Refused(refused)) => no(&asked, refused.to_string()),
        Err(No::Again) => no(&asked, "it was shown before".to_owned()),
    }
}

async fn taken(asked: &Asked) -> Result<(), No> {
    let missing = || No::Refused(signals::Refused::Malformed("it brings no `logout_token` in a form"));
    if !asked.brings("application/x-www-form-urlencoded") {
        return Err(missing());
    }
    let mut form = url::form_urlencoded::parse(&asked.body);
    let (_, token) = form.find(|(name, _)| name == "logout_token").ok_or_else(missing)?;
    let now = asked.now();
    let said = asked.believed(|provider| signals::logout(&token, provider, now)).await?;
    asked.once(&said.once, end(asked, &said)).await
}

async fn end(asked: &Asked, said: &Logout) -> Result<(), No> {
    let (house, tenant) = (&asked.house, &asked.tenant);
    let known = asked.known().await?;
    let issuer = known.provider.issuer();
    let whose = match &said.subject {
        Some(subject) => house.whose_account(tenant, (&asked.spec.id, issuer, subject)).await?,
        None => house.whose_session(tenant, (&asked.spec.id, issuer), said.sid.as_deref().unwrap_or_default()).await?,
    };
    // An end like any sign-out: its person signed out, elsewhere.
    let ends = Some(EndReason::SignedOut);
    let signal = Signalled { provider: &asked.spec.id, signal: "logout", sid: said.sid.as_deref(), ends };
    house.take_signal(tenant, whose, signal, &asked.doer()).await?;
    Ok(())
}

fn no(asked: &Asked, detail: String) -> Response {
    let told = (StatusCode::BAD_REQUEST, Json(json!({ "error": "invalid_request" }))).into_response();
    asked.note(detail, told)
}
