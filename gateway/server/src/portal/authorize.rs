//! `/oauth2/authorize`: a client asks what it may do in the person's name (RFC 6749 section 4.1).

use std::collections::BTreeMap;

use axum::{
    Form,
    extract::{Query, rejection::FormRejection},
    response::Response,
};
use cardea_core::Reason;

use super::{
    consent, fresh,
    visit::{Failed, Visit, see_other},
};
use crate::{
    oauth2::{
        authorize::{Request, Unasked},
        consent::Consent,
    },
    pages::Page,
};

type Parameters = BTreeMap<String, String>;

/// What a client may say here, and what is carried on to the answer; whatever else it says stays behind (RFC 6749 section 3.1).
const KNOWN: [&str; 10] = [
    "client_id",
    "code_challenge",
    "code_challenge_method",
    "dpop_jkt",
    "redirect_uri",
    "resource",
    "response_mode",
    "response_type",
    "scope",
    "state",
];

/// Asks the person. INVARIANT: nothing is given for a GET, whoever links here.
pub(super) async fn ask(visit: Visit, Query(form): Query<Parameters>) -> Response {
    if let Err(first) = proven(&visit, &form) {
        return visit.answer(Err(first));
    }
    match Request::read(&visit.house, &visit.tenant, &form) {
        Ok(request) => {
            let look = visit.look.leading_to(&request.leads_to().into_iter().collect::<Vec<_>>());
            let what = consent::What { client: &request.client, scope: &request.scope, apps: &request.apps };
            let carried = carried(&form).map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
            consent::page(&visit, &look, &what, ("/oauth2/authorize", carried)).respond()
        }
        Err(unasked) => visit.answer(elsewhere(unasked)),
    }
}

/// Takes the person's answer to the client.
pub(super) async fn answer(visit: Visit, form: Result<Form<Parameters>, FormRejection>) -> Response {
    let result = match form {
        Ok(Form(form)) => answered(&visit, &form).await,
        Err(_) => Err(Failed::Refused(Reason::BadInput)),
    };
    visit.answer(result)
}

async fn answered(visit: &Visit, form: &Parameters) -> Result<Response, Failed> {
    let _doer = visit.doer()?;
    proven(visit, form)?;
    let request = match Request::read(&visit.house, &visit.tenant, form) {
        Ok(request) => request,
        Err(unasked) => return elsewhere(unasked),
    };
    match form.get("answer").map(String::as_str) {
        Some("allow") => {}
        Some("deny") => return Ok(see_other(&request.deny(&visit.tenant))),
        _ => return Err(Failed::Refused(Reason::BadInput)),
    }
    let what = (request.scope.clone(), request.apps.clone());
    let consent = Consent::of(&visit.live, visit.from(), &request.client.id, what, visit.now());
    let to = request.allow(&visit.house, &visit.tenant, consent).await?;
    Ok(see_other(&to))
}

fn carried(form: &Parameters) -> impl Iterator<Item = (&str, &str)> {
    let pairs = form.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    pairs.filter(|(name, _)| KNOWN.contains(name))
}

/// What is given here outlives the session: whoever found a browser open gives nothing away.
fn proven(visit: &Visit, form: &Parameters) -> Result<(), Failed> {
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(carried(form)).finish();
    fresh::signed_in(visit, &format!("/oauth2/authorize?{query}"))
}

fn elsewhere(unasked: Unasked) -> Result<Response, Failed> {
    match unasked {
        Unasked::Here(reason) => Err(Failed::Refused(reason)),
        Unasked::There(address) => Ok(see_other(&address)),
    }
}
