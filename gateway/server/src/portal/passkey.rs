//! `/factors/passkey`: a passkey is added. Page, challenge, answer; the script is `assets/passkey.js`.

use axum::{Json, extract::rejection::JsonRejection, http::StatusCode, response::Response};
use cardea_audit::Event;
use cardea_core::{FactorId, Reason};
use cardea_identity::{Factor, FactorKind, factors::passkey::Site};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    enrolment::{self, What},
    fresh::{self, Act, Proven},
    visit::{Failed, Visit},
};
use crate::{
    pages::{EnrolPasskey, Page},
    sign_in::enrolment_refused,
};

const HERE: &str = "/factors/passkey";

#[derive(Deserialize)]
pub(super) struct Answer {
    ticket: String,
    name: String,
    credential: Value,
}

/// The page with the button.
pub(super) async fn show(visit: Visit) -> Response {
    let result = offer(&visit).await;
    visit.answer(result)
}

async fn offer(visit: &Visit) -> Result<Response, Failed> {
    may_add(visit).await?;
    let (look, person) = (&visit.look, visit.person());
    Ok(EnrolPasskey { look, person, problem: None, carried: &[], back: "/factors" }.respond())
}

/// The person's factors, and the proof that a passkey may be added to them now.
async fn may_add(visit: &Visit) -> Result<(Vec<Factor>, Proven), Failed> {
    if !visit.tenant.bundle.tenant.factors.passkey {
        return Err(Failed::Refused(Reason::FactorNotAllowed));
    }
    let factors = visit.factors().await?;
    let proven = fresh::require(visit, Act::Add, &factors, HERE).await?;
    Ok((factors, proven))
}

/// The challenge.
pub(super) async fn options(visit: Visit) -> Response {
    let result = challenge(&visit).await;
    visit.answer(result)
}

async fn challenge(visit: &Visit) -> Result<Response, Failed> {
    let (factors, _) = may_add(visit).await?;
    let user = visit.user().await?;
    let (options, state) =
        site(visit)?.begin_enrolment(&user, &factors).map_err(|_| Failed::Refused(Reason::Internal))?;
    let ticket = enrolment::keep(visit, What::Passkey(state)).await?;
    Ok(visit.json(StatusCode::OK, &json!({ "publicKey": options, "ticket": ticket })))
}

/// The answer to it.
pub(super) async fn finish(visit: Visit, answer: Result<Json<Answer>, JsonRejection>) -> Response {
    let result = match answer {
        Ok(Json(answer)) => enrol(&visit, answer).await,
        Err(_) => Err(Failed::Refused(Reason::BadInput)),
    };
    visit.answer(result)
}

async fn enrol(visit: &Visit, answer: Answer) -> Result<Response, Failed> {
    let doer = visit.doer()?;
    let (_, proven) = may_add(visit).await?;
    let name = enrolment::name(&answer.name).ok_or(Failed::Refused(Reason::BadInput))?;
    // Taken before it is verified: a challenge is good for one answer, whatever that is worth.
    let What::Passkey(state) = enrolment::take(visit, &answer.ticket, HERE).await? else {
        return Err(Failed::Again(Reason::SignInExpired, HERE));
    };
    let data = site(visit)?.finish_enrolment(answer.credential, &state).map_err(|rejected| {
        let reason = enrolment_refused(&rejected);
        let event = Event::FactorRefused {
            user: visit.user_id(),
            factor_kind: FactorKind::Passkey.as_str().into(),
            reason,
            detail: rejected.to_string(),
        };
        visit.house.note(visit.tenant_id(), &visit.noting(), event);
        Failed::Refused(reason)
    })?;
    let id = FactorId::mint(visit.now(), &*visit.house.entropy);
    let factor = Factor { id, name, data, created: visit.now(), last_used: None };
    let opens = enrolment::enrol(visit, &factor, proven, doer).await?;
    let answer = visit.json(StatusCode::OK, &json!({ "location": visit.after_adding() }));
    Ok(visit.gone_onward(opens.on(answer)))
}

fn site(visit: &Visit) -> Result<Site<'_>, Failed> {
    let tenant = visit.admitted().tenant();
    let site = Site::new(&tenant.sign_in_host, &tenant.sign_in_origin, &tenant.name).map_err(|fault| {
        tracing::error!(%fault, tenant = %tenant.id, "passkeys");
        Failed::Refused(Reason::Internal)
    })?;
    Ok(site.of_makes(&visit.tenant.bundle.tenant.factors.attested))
}
