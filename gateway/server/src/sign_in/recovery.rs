//! A recovery code, where the second factor is lost. It is spent, and leads to the page where factors are changed; what
//! the session opens is what it opened without.

use axum::{Form, response::Response};
use cardea_audit::Event;
use cardea_core::{FactorId, Reason, Secret};
use cardea_identity::{
    Email, FactorData, FactorKind,
    assurance::Means,
    factors::recovery::{Code, Key},
    guard::Target,
    sign_in::{Aim, Awaits, Flow},
};
use cardea_storage::CodeSpent;
use serde::Deserialize;

use super::{
    complete::Enrolled,
    flow::query_to,
    visit::{No, Visit, carried, see_other},
};
use crate::{
    house::subject,
    pages::{Page as _, Problem, Recovery},
};

/// `POST /sign-in/recovery`.
#[derive(Deserialize)]
pub(super) struct Proof {
    recovery: Secret<String>,
}

/// `GET /sign-in/recovery`: in place of the second factor that the sign-in, or step-up, asks for. The same for who has no
/// codes.
pub(super) async fn show(visit: Visit) -> Response {
    visit.answer(shown(&visit).await)
}

async fn shown(visit: &Visit) -> Result<Response, No> {
    let flow = match visit.peek_flow().await {
        Ok(flow) => flow,
        Err(No::Refused(_)) => return Ok(see_other("/sign-in")),
        Err(no) => return Err(no),
    };
    match flow.awaits() {
        Awaits::Factor(user, email) if flow.takes_recovery() => {
            let user = visit.house.store.user(visit.id(), user).await?;
            let enrolled = visit.enrolled(user).await?.ok_or(Reason::SignInExpired)?;
            Ok(page(visit, &flow, email, &enrolled, None))
        }
        Awaits::Factor(..) => Ok(see_other("/sign-in/step-up")),
        _ => Ok(see_other("/sign-in")),
    }
}

/// `POST /sign-in/recovery`.
pub(super) async fn prove(visit: Visit, Form(form): Form<Proof>) -> Response {
    visit.answer(proved(&visit, form.recovery).await)
}

async fn proved(visit: &Visit, typed: Secret<String>) -> Result<Response, No> {
    let doer = visit.doer()?;
    let flow = visit.take_flow().await?;
    let (user, email) = match flow.awaits() {
        Awaits::Factor(user, email) if flow.takes_recovery() => (user, email.clone()),
        _ => return Err(Reason::SignInExpired.into()),
    };
    // Looked at before a code is spent: a session that is over is raised by none.
    let here = visit.admitted.session().map(|live| live.id);
    if matches!(flow.aim(), Aim::StepUp { session, .. } if Some(*session) != here) {
        return Err(Reason::SessionEnded.into());
    }
    let user = visit.house.store.user(visit.id(), user).await?;
    let enrolled = visit.enrolled(user).await?.ok_or(Reason::SignInExpired)?;
    if let Some(wait) = visit.limited(Target::Recovery, &email).await? {
        return again(visit, &flow, &email, &enrolled, Problem::TooMany(wait)).await;
    }
    let spent = match spend(visit, &enrolled, &typed).await? {
        Ok(spent) => spent,
        Err(why) => {
            visit.note_refused(&email, Some(&enrolled), FactorKind::Recovery.as_str(), why);
            return again(visit, &flow, &email, &enrolled, Problem::WrongRecovery).await;
        }
    };
    // If we crash before this is written, a code is spent of which nothing is told, and nobody is in.
    let event = Event::RecoveryUsed { user: subject(&enrolled.user), factor: spent.factor, left: spent.left };
    visit.house.record(visit.id(), &doer, event).await?;
    let means = Means::Recovery { factor: spent.factor };
    visit.proven(flow, &enrolled, means, doer).await?.respond(visit).await
}

/// A code that was good until now.
struct Spent {
    factor: FactorId,
    left: u64,
}

/// Spends a code, in the store's one atomic step; else says what the entry is told. Whoever may not enter spends none.
async fn spend(visit: &Visit, enrolled: &Enrolled, typed: &Secret<String>) -> Result<Result<Spent, &'static str>, No> {
    if !enrolled.user.may_enter() {
        return Err(Reason::UserSuspended.into());
    }
    let kept = enrolled.factors.iter().find_map(|factor| match &factor.data {
        FactorData::Recovery { key } => Some((factor.id, key)),
        _ => None,
    });
    let Some((factor, key)) = kept.filter(|_| visit.known(enrolled).has(FactorKind::Recovery)) else {
        return Ok(Err("there are no recovery codes"));
    };
    let Some(code) = Code::parse(typed.expose()) else { return Ok(Err("what was typed is no recovery code")) };
    let fault = |error: cardea_identity::sealing::CannotOpen| No::Faulted(Reason::Internal, error.to_string());
    let hash = Key::open(factor, key, &visit.house.sealer(visit.id()).await?).map_err(fault)?.hash(&code);
    let store = &visit.house.store;
    Ok(match store.spend_recovery_code(visit.id(), enrolled.user.id, factor, &hash, visit.now).await? {
        CodeSpent::Done { left } => Ok(Spent { factor, left }),
        CodeSpent::Before => Err("the recovery code was used already"),
        CodeSpent::Unknown => Err("the recovery code is wrong"),
    })
}

async fn again(
    visit: &Visit,
    flow: &Flow,
    email: &Email,
    enrolled: &Enrolled,
    problem: Problem,
) -> Result<Response, No> {
    visit.stays(flow, page(visit, flow, email, enrolled, Some(problem)), problem).await
}

fn page(visit: &Visit, flow: &Flow, email: &Email, enrolled: &Enrolled, problem: Option<Problem>) -> Response {
    let onward = carried(flow.destination());
    let fields = onward.each_ref().map(|(name, value)| (*name, value.as_str()));
    let known = visit.known(enrolled);
    let start = format!("/sign-in{}", query_to(flow.destination(), &[]));
    let (back, other) = match flow.aim() {
        Aim::StepUp { .. } => (None, Some("/sign-in/step-up")),
        _ if known.has(FactorKind::Totp) || known.has(FactorKind::Passkey) => {
            (Some(start.as_str()), Some("/sign-in/totp"))
        }
        _ => (Some(start.as_str()), None),
    };
    Recovery { look: &visit.look, email: email.as_str(), problem, carried: &fields, back, other }.respond()
}
