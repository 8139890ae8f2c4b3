//! `/factors/totp`: an authenticator app is shown its key, and counts once a code of it was typed.

use axum::{Form, extract::rejection::FormRejection, response::Response};
use cardea_audit::Event;
use cardea_core::{FactorId, Reason};
use cardea_identity::{Factor, FactorData, FactorKind, enrolment::codes_are_of_use, factors::totp::Seed};
use serde::Deserialize;

use super::{
    enrolment::{self, What},
    fresh::{self, Act},
    visit::{Failed, Visit, see_other},
};
use crate::pages::{EnrolTotp, Page, Problem, totp};

const HERE: &str = "/factors/totp";

#[derive(Deserialize)]
pub(super) struct Typed {
    ticket: String,
    code: String,
}

/// Draws a seed and shows it.
pub(super) async fn show(visit: Visit) -> Response {
    let result = offer(&visit).await;
    visit.answer(result)
}

/// Whether codes are of use to the visitor.
pub(super) async fn is_of_use(visit: &Visit, factors: &[Factor]) -> Result<bool, Failed> {
    let has_account = !visit.house.accounts(&visit.tenant, visit.user_id()).await?.is_empty();
    Ok(codes_are_of_use(&visit.tenant.bundle.tenant.factors, &visit.usable(factors), has_account))
}

async fn offer(visit: &Visit) -> Result<Response, Failed> {
    let factors = visit.factors().await?;
    if !is_of_use(visit, &factors).await? {
        return Err(Failed::Refused(Reason::FactorNotAllowed));
    }
    if factors.iter().any(|factor| factor.kind() == FactorKind::Totp) {
        return Ok(see_other("/factors"));
    }
    fresh::require(visit, Act::Add, &factors, HERE).await?;
    let seed = Seed::draw(&*visit.house.entropy);
    let ticket = enrolment::keep(visit, What::Totp(seed.base32())).await?;
    page(visit, &seed, &ticket, None)
}

fn page(visit: &Visit, seed: &Seed, ticket: &str, problem: Option<Problem>) -> Result<Response, Failed> {
    let qr = totp::qr_svg(&seed.url(&visit.look.name, &visit.live.user.email));
    let page = EnrolTotp {
        look: &visit.look,
        person: visit.person(),
        qr: &qr.ok_or(Failed::Refused(Reason::Internal))?,
        key: &totp::grouped_key(&seed.base32()),
        problem,
        carried: &[("ticket", ticket)],
        back: "/factors",
    };
    Ok(page.respond())
}

/// Checks a code of it; with that the app is a factor.
pub(super) async fn confirm(visit: Visit, form: Result<Form<Typed>, FormRejection>) -> Response {
    let result = match form {
        Ok(Form(typed)) => enrol(&visit, &typed).await,
        Err(_) => Err(Failed::Refused(Reason::BadInput)),
    };
    visit.answer(result)
}

async fn enrol(visit: &Visit, typed: &Typed) -> Result<Response, Failed> {
    let doer = visit.doer()?;
    let factors = visit.factors().await?;
    if !is_of_use(visit, &factors).await? {
        return Err(Failed::Refused(Reason::FactorNotAllowed));
    }
    if factors.iter().any(|factor| factor.kind() == FactorKind::Totp) {
        return Err(Failed::Refused(Reason::Conflict));
    }
    let proven = fresh::require(visit, Act::Add, &factors, HERE).await?;
    let seed = seed_of(enrolment::peek(visit, &typed.ticket, HERE).await?)?;
    let Ok(step) = seed.verify(&typed.code, None, visit.now()) else {
        let event = Event::FactorRefused {
            user: visit.user_id(),
            factor_kind: FactorKind::Totp.as_str().into(),
            reason: Reason::FactorRejected,
            detail: "wrong code at enrolment".to_owned(),
        };
        visit.house.note(visit.tenant_id(), &visit.noting(), event);
        return page(visit, &seed, &typed.ticket, Some(Problem::WrongCode));
    };
    // Taken only now: of two forms sent at once one enrols, the other finds it spent.
    enrolment::take(visit, &typed.ticket, HERE).await?;
    let house = &visit.house;
    let id = FactorId::mint(visit.now(), &*house.entropy);
    let sealer = house.sealer(visit.tenant_id()).await?;
    let secret = seed.seal(id, &sealer, &*house.entropy).map_err(|_| Failed::Refused(Reason::Internal))?;
    let factor = Factor {
        id,
        name: String::new(),
        // The code that confirmed it is spent: nobody who saw it typed can use it again.
        data: FactorData::Totp { secret, last_step: Some(step) },
        created: visit.now(),
        last_used: None,
    };
    let opens = enrolment::enrol(visit, &factor, proven, doer).await?;
    Ok(visit.gone_onward(opens.on(see_other(&visit.after_adding()))))
}

fn seed_of(what: What) -> Result<Seed, Failed> {
    match what {
        What::Totp(base32) => Seed::from_base32(&base32).ok_or(Failed::Refused(Reason::Internal)),
        What::Passkey(_) | What::Recovery(..) => Err(Failed::Again(Reason::SignInExpired, HERE)),
    }
}
