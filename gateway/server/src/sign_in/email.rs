//! A one-time code by e-mail, in place of a password, or as a fresh proof of who has nothing better.
//!
//! INVARIANT: what is done and answered here is the same for whoever has the address and for nobody: a code is drawn and
//! kept within the browser's sign-in, and whether there is somebody to send it to is found out beside the request (see
//! `crate::mail`).

use axum::{Form, response::Response};
use cardea_core::{Reason, Secret, UserId};
use cardea_identity::{
    Email, TicketHash,
    assurance::Means,
    factors::email::{self, Rejected, Sent},
    guard::Target,
    sign_in::{Aim, Awaits, Flow},
};
use serde::Deserialize;

use super::{
    complete::Enrolled,
    flow::{self, query_to},
    invitation, step_up,
    visit::{No, Visit, carried, see_other},
};
use crate::{
    mail::{CodeWanted, Wanted},
    pages::{MailCode, Page as _, Problem},
};

/// `POST /sign-in/email`.
#[derive(Deserialize)]
pub(super) struct Proof {
    code: Secret<String>,
}

const HERE: &str = "/sign-in/email";

/// `POST /sign-in/email/send`: a code, or another one, for the sign-in under way.
pub(super) async fn send(visit: Visit) -> Response {
    visit.answer(sent(&visit).await)
}

async fn sent(visit: &Visit) -> Result<Response, No> {
    visit.doer()?;
    let flow = visit.take_flow().await?;
    send_for(visit, flow).await
}

/// Draws a code for the address that the sign-in is about, and has it sent.
pub(super) async fn send_for(visit: &Visit, flow: Flow) -> Result<Response, No> {
    let email = match flow.awaits() {
        Awaits::Password(email) | Awaits::Code(email) => email.clone(),
        Awaits::Factor(user, email) if may_confirm(visit, &flow, user).await? => email.clone(),
        _ => return Err(Reason::SignInExpired.into()),
    };
    let link = flow.invitation();
    match draw(visit, &email, link).await? {
        Err(problem) => again(visit, &flow, &email, problem).await,
        Ok((code, sent)) => {
            let flow = flow.mailed(sent)?;
            await_code(visit, &flow, (email, code, link.is_some())).await
        }
    }
}

/// Whether a step-up may be passed by a code.
async fn may_confirm(visit: &Visit, flow: &Flow, user: UserId) -> Result<bool, No> {
    let user = visit.house.store.user(visit.id(), user).await?;
    let enrolled = visit.enrolled(user).await?.ok_or(Reason::SignInExpired)?;
    step_up::takes_mail(visit, flow, &enrolled).await
}

/// A code for that address, unless too many were asked for: with the link of an invitation, or without any.
async fn draw(
    visit: &Visit,
    email: &Email,
    link: Option<TicketHash>,
) -> Result<Result<(email::Code, Sent), Problem>, No> {
    if !visit.house.sends_codes(&visit.tenant) {
        return Err(Reason::FactorNotAllowed.into());
    }
    Ok(match visit.limited_for(Target::Letter, email, link).await? {
        Some(wait) => Err(Problem::TooMany(wait)),
        None => Ok(email::draw(visit.now, &*visit.house.entropy)),
    })
}

/// Keeps the sign-in that awaits a code, then has the code sent: none arrives that opens nothing.
async fn await_code(
    visit: &Visit,
    flow: &Flow,
    (email, code, invited): (Email, email::Code, bool),
) -> Result<Response, No> {
    let cookie = visit.keep_flow(flow).await?;
    let (tenant, language, by) = (visit.id().clone(), visit.look.w.language, visit.noting());
    visit.house.send_letter(Wanted::Code(Box::new(CodeWanted { tenant, email, code, language, invited, by })));
    Ok(cookie.on(see_other(HERE)))
}

/// A first code for somebody who is invited, and wants no other factor.
pub(super) async fn begin_invited(visit: &Visit, link: TicketHash, invited: &Enrolled) -> Result<Response, No> {
    let email = invited.user.email.clone();
    let (code, sent) = match draw(visit, &email, Some(link)).await? {
        Ok(drawn) => drawn,
        Err(Problem::TooMany(wait)) => return Err(No::Wait(wait)),
        Err(_) => return Err(Reason::FactorNotAllowed.into()),
    };
    let destination = visit.destination(&super::visit::Onward::default())?;
    let flow = Flow::invited_by_mail(&invited.user, destination, link, sent);
    await_code(visit, &flow, (email, code, true)).await
}

/// `GET /sign-in/email`: where the code is typed.
pub(super) async fn show(visit: Visit) -> Response {
    match visit.peek_flow().await {
        Ok(flow) => match flow.awaits() {
            Awaits::Code(email) => page(&visit, &flow, email, None),
            Awaits::Factor(..) => see_other("/sign-in/step-up"),
            _ => see_other("/sign-in"),
        },
        Err(No::Refused(_)) => see_other("/sign-in"),
        Err(no) => visit.answer(Err(no)),
    }
}

/// `POST /sign-in/email`.
pub(super) async fn prove(visit: Visit, Form(form): Form<Proof>) -> Response {
    visit.answer(proved(&visit, &form.code).await)
}

async fn proved(visit: &Visit, typed: &Secret<String>) -> Result<Response, No> {
    let doer = visit.doer()?;
    let flow = visit.take_flow().await?;
    let Awaits::Code(email) = flow.awaits() else { return Err(Reason::SignInExpired.into()) };
    let email = email.clone();
    if let Some(wait) = visit.limited_for(Target::Email, &email, flow.invitation()).await? {
        return again(visit, &flow, &email, Problem::TooMany(wait)).await;
    }
    // Looked for whatever was typed: a wrong code takes as long for nobody's address.
    let user = visit.house.store.user_by_email(visit.id(), &email).await?;
    let (flow, answer) = flow.answered(typed.expose(), visit.now)?;
    let user = match (answer, user) {
        (Ok(()), Some(user)) => user,
        (answer, user) => {
            let rejected = answer.err().unwrap_or(Rejected::Wrong);
            let known = user.map(|user| Enrolled { user, factors: Vec::new() });
            visit.note_refused(&email, known.as_ref(), Means::Email.name(), &rejected.to_string());
            let problem = if rejected == Rejected::Spent { Problem::SpentMailCode } else { Problem::WrongMailCode };
            return again(visit, &flow, &email, problem).await;
        }
    };
    let enrolled = match flow.invitation() {
        Some(link) => invitation::accept_by_mail(visit, link, &user, &doer).await?,
        None => visit.enrolled(Some(user)).await?.ok_or(Reason::SignInExpired)?,
    };
    // Once more: what was linked since the code was sent is something better.
    if matches!(flow.aim(), Aim::StepUp { .. }) && !step_up::takes_mail(visit, &flow, &enrolled).await? {
        return Err(Reason::SignInExpired.into());
    }
    visit.proven(flow, &enrolled, Means::Email, doer).await?.respond(visit).await
}

/// The page that was left, with what was wrong.
async fn again(visit: &Visit, flow: &Flow, email: &Email, problem: Problem) -> Result<Response, No> {
    let response = match flow.awaits() {
        Awaits::Factor(..) if matches!(flow.aim(), Aim::StepUp { .. }) => {
            step_up::page(visit, flow, Some(problem)).await?
        }
        Awaits::Password(_) => flow::page(visit, flow.destination(), email.as_str(), Some(problem)),
        _ => page(visit, flow, email, Some(problem)),
    };
    visit.stays(flow, response, problem).await
}

fn page(visit: &Visit, flow: &Flow, email: &Email, problem: Option<Problem>) -> Response {
    let onward = carried(flow.destination());
    let fields = onward.each_ref().map(|(name, value)| (*name, value.as_str()));
    let signs_in = *flow.aim() == Aim::SignIn;
    let back = format!("/sign-in{}", query_to(flow.destination(), &[]));
    MailCode {
        look: &visit.look,
        email: email.as_str(),
        problem,
        carried: &fields,
        password: signs_in && visit.tenant.bundle.tenant.factors.password,
        back: signs_in.then_some(back.as_str()),
    }
    .respond()
}
