//! `/oauth2/device`: a person types the code that a device shows, and says what it may do (RFC 8628 section 3.3).

use std::collections::BTreeMap;

use axum::{
    Form,
    extract::{Query, rejection::FormRejection},
    response::Response,
};
use cardea_core::Reason;
use cardea_identity::oauth2::device::UserCode;
use serde::Deserialize;

use super::{
    consent, fresh,
    visit::{Failed, Visit},
};
use crate::{
    oauth2::{consent::Consent, device::Wish},
    pages::{self, Page, Problem},
};

#[derive(Debug, Default, Deserialize)]
pub(super) struct Shown {
    user_code: Option<String>,
}

/// Asks for the code. One that stands in the address is shown, and has to be compared: nobody is asked further before they have.
pub(super) async fn ask(visit: Visit, Query(shown): Query<Shown>) -> Response {
    let code = shown.user_code.as_deref().and_then(UserCode::parse).map(|code| code.expose_text());
    typing(&visit, code, None)
}

fn typing(visit: &Visit, code: Option<String>, problem: Option<Problem>) -> Response {
    pages::DeviceCode { look: &visit.look, person: visit.person(), code: code.unwrap_or_default(), problem }.respond()
}

/// Shows what the device asks for, or hands it the answer.
pub(super) async fn answer(visit: Visit, form: Result<Form<BTreeMap<String, String>>, FormRejection>) -> Response {
    let result = match form {
        Ok(Form(form)) => answered(&visit, &form).await,
        Err(_) => Err(Failed::Refused(Reason::BadInput)),
    };
    visit.answer(result)
}

async fn answered(visit: &Visit, form: &BTreeMap<String, String>) -> Result<Response, Failed> {
    // As at `/oauth2/authorize`: what is given here outlives the session.
    fresh::signed_in(visit, "/oauth2/device")?;
    let typed = form.get("user_code").map(String::as_str).unwrap_or_default();
    let Some(code) = UserCode::parse(typed) else {
        return Ok(typing(visit, Some(typed.chars().take(16).collect()), Some(Problem::NoDevice)));
    };
    let wish = match visit.house.device_wish(&visit.tenant, (&code, visit.user_id()), visit.now()).await? {
        Ok(Some(wish)) => wish,
        Ok(None) => return Ok(typing(visit, Some(code.expose_text()), Some(Problem::NoDevice))),
        Err(wait) => return Ok(typing(visit, None, Some(Problem::TooMany(wait)))),
    };
    let Some(client) = visit.tenant.bundle.clients.get(&wish.client) else {
        return Ok(typing(visit, None, Some(Problem::NoDevice)));
    };
    match form.get("answer").map(String::as_str) {
        None => {
            let what = consent::What { client, scope: &wish.scope, apps: &wish.apps };
            let carried = vec![("user_code".to_owned(), code.expose_text())];
            Ok(consent::page(visit, &visit.look, &what, ("/oauth2/device", carried)).respond())
        }
        Some("allow") => {
            let what = (wish.scope.clone(), wish.apps.clone());
            let consent = Consent::of(&visit.live, visit.from(), &client.id, what, visit.now());
            done(visit, (&code, &wish), Some(consent), &client.name).await
        }
        Some("deny") => done(visit, (&code, &wish), None, &client.name).await,
        Some(_) => Err(Failed::Refused(Reason::BadInput)),
    }
}

async fn done(
    visit: &Visit,
    what: (&UserCode, &Wish),
    consent: Option<Consent>,
    client: &str,
) -> Result<Response, Failed> {
    let _doer = visit.doer()?;
    let allowed = consent.is_some();
    if !visit.house.device_answer(&visit.tenant, what, consent, visit.now()).await? {
        return Ok(typing(visit, None, Some(Problem::NoDevice)));
    }
    Ok(pages::DeviceDone { look: &visit.look, person: visit.person(), client, allowed }.respond())
}
