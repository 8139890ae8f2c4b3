//! The one-time code, as a second factor.

use axum::{Form, response::Response};
use cardea_core::Reason;
use cardea_identity::{
    Email, FactorData, FactorKind,
    assurance::Means,
    factors::totp::{Rejected, Seed},
    guard::Target,
    sign_in::{Aim, Awaits, Flow},
};
use serde::Deserialize;

use super::{
    complete::Enrolled,
    flow::query_to,
    remembered::Remember,
    step_up,
    visit::{No, Visit, carried, see_other},
};
use crate::pages::{Code, Page as _, Problem};

/// `POST /sign-in/totp`.
#[derive(Deserialize)]
pub(super) struct Proof {
    code: String,
    #[serde(default)]
    remember: Remember,
}

/// `GET /sign-in/totp`: the second factor that the sign-in asks for.
pub(super) async fn show(visit: Visit) -> Response {
    visit.answer(shown(&visit).await)
}

async fn shown(visit: &Visit) -> Result<Response, No> {
    let flow = match visit.peek_flow().await {
        Ok(flow) => flow,
        Err(No::Refused(_)) => return Ok(see_other("/sign-in")),
        Err(no) => return Err(no),
    };
    let Awaits::Factor(user, email) = flow.awaits() else { return Ok(see_other("/sign-in")) };
    if matches!(flow.aim(), Aim::StepUp { .. }) {
        return step_up::page(visit, &flow, None).await;
    }
    let user = visit.house.store.user(visit.id(), user).await?;
    let enrolled = visit.enrolled(user).await?.ok_or(Reason::SignInExpired)?;
    let known = visit.known(&enrolled);
    if known.has(FactorKind::Recovery) && !known.has(FactorKind::Totp) && !known.has(FactorKind::Passkey) {
        return Ok(see_other("/sign-in/recovery"));
    }
    Ok(page(visit, &flow, email, &enrolled, (None, Remember::No)))
}

/// `POST /sign-in/totp`.
pub(super) async fn prove(visit: Visit, Form(form): Form<Proof>) -> Response {
    visit.answer(proved(&visit, &form).await)
}

async fn proved(visit: &Visit, Proof { code, remember }: &Proof) -> Result<Response, No> {
    let doer = visit.doer()?;
    let flow = visit.take_flow().await?;
    let Awaits::Factor(user, email) = flow.awaits() else { return Err(Reason::SignInExpired.into()) };
    let email = email.clone();
    let user = visit.house.store.user(visit.id(), user).await?;
    let enrolled = visit.enrolled(user).await?.ok_or(Reason::SignInExpired)?;
    if let Some(wait) = visit.limited(Target::Totp, &email).await? {
        return again(visit, flow, &email, &enrolled, (Problem::TooMany(wait), *remember)).await;
    }
    match spend(visit, &enrolled, code).await? {
        Ok(means) => visit.proven_in(flow, &enrolled, means, doer, *remember).await?.respond(visit).await,
        Err(rejected) => {
            visit.note_refused(&email, Some(&enrolled), "totp", &rejected.to_string());
            again(visit, flow, &email, &enrolled, (Problem::WrongCode, *remember)).await
        }
    }
}

/// Verifies a code and spends its step, in the store's one atomic step: a code that two gateways are shown at once
/// opens one door.
async fn spend(visit: &Visit, enrolled: &Enrolled, code: &str) -> Result<Result<Means, Rejected>, No> {
    let kept = enrolled.factors.iter().find_map(|factor| match &factor.data {
        FactorData::Totp { secret, last_step } => Some((factor.id, secret, *last_step)),
        _ => None,
    });
    let Some((factor, secret, last_step)) = kept else { return Ok(Err(Rejected::Wrong)) };
    let fault = |error: cardea_identity::sealing::CannotOpen| No::Faulted(Reason::Internal, error.to_string());
    let seed = Seed::open(factor, secret, &visit.house.sealer(visit.id()).await?).map_err(fault)?;
    let step = match seed.verify(code, last_step, visit.now) {
        Ok(step) => step,
        Err(rejected) => return Ok(Err(rejected)),
    };
    let first = visit.house.store.advance_totp(visit.id(), enrolled.user.id, factor, step, visit.now).await?;
    Ok(if first { Ok(Means::Totp { factor }) } else { Err(Rejected::Replayed) })
}

async fn again(
    visit: &Visit,
    flow: Flow,
    email: &Email,
    enrolled: &Enrolled,
    (problem, remember): (Problem, Remember),
) -> Result<Response, No> {
    let response = if matches!(flow.aim(), Aim::StepUp { .. }) {
        step_up::page(visit, &flow, Some(problem)).await?
    } else {
        page(visit, &flow, email, enrolled, (Some(problem), remember))
    };
    visit.stays(&flow, response, problem).await
}

fn page(
    visit: &Visit,
    flow: &Flow,
    email: &Email,
    enrolled: &Enrolled,
    (problem, remember): (Option<Problem>, Remember),
) -> Response {
    let onward = carried(flow.destination());
    let fields = onward.each_ref().map(|(name, value)| (*name, value.as_str()));
    Code {
        look: &visit.look,
        email: email.as_str(),
        problem,
        carried: &fields,
        passkey: visit.known(enrolled).has(FactorKind::Passkey),
        recovery: visit.known(enrolled).has(FactorKind::Recovery),
        remember: visit.may_remember(flow),
        remembered: remember == Remember::Yes,
        back: &format!("/sign-in{}", query_to(flow.destination(), &[])),
    }
    .respond()
}
