//! `/factors/recovery`: a set of recovery codes is shown, once, and counts from when the person says that it was kept.

use axum::{Form, extract::rejection::FormRejection, response::Response};
use cardea_audit::Event;
use cardea_core::Reason;
use cardea_identity::{
    Factor, FactorKind,
    factors::recovery::{self, CodeHash},
    sign_in,
};
use cardea_storage::FactorInserted;
use serde::Deserialize;

use super::{
    enrolment::{self, What},
    factors::Standing,
    fresh::{self, Act, Proven},
    visit::{Failed, Visit, see_other},
};
use crate::{
    house::{Doer, subject},
    pages::{EnrolRecovery, Page},
};

const HERE: &str = "/factors/recovery";

#[derive(Deserialize)]
pub(super) struct Kept {
    ticket: String,
    #[serde(default)]
    kept: String,
}

/// Whether this person may make codes: they would be of use, and the tenant takes them.
pub(super) fn may_make(visit: &Visit, standing: &Standing) -> bool {
    let vouched_for = !standing.accounts.is_empty() || visit.house.sends_codes(&visit.tenant);
    sign_in::may_keep_recovery_codes(&visit.tenant.bundle.tenant.factors, &standing.factors, vouched_for)
}

/// Draws a set and shows it; those that there are stay good.
pub(super) async fn show(visit: Visit) -> Response {
    let result = offer(&visit).await;
    visit.answer(result)
}

async fn offer(visit: &Visit) -> Result<Response, Failed> {
    let standing = Standing::read(visit).await?;
    if !visit.tenant.bundle.tenant.factors.recovery {
        return Err(Failed::Refused(Reason::FactorNotAllowed));
    }
    if !may_make(visit, &standing) {
        return Ok(see_other("/factors"));
    }
    fresh::require(visit, Act::Add, &standing.factors, HERE).await?;
    let house = &visit.house;
    let drawn = recovery::draw(&house.sealer(visit.tenant_id()).await?, visit.now(), &*house.entropy);
    let drawn = drawn.map_err(|_| Failed::Refused(Reason::Internal))?;
    let codes: Vec<_> = drawn.codes.iter().map(recovery::Code::expose_grouped).collect();
    // What is kept of them until the person answers can be read back into no code.
    let ticket = enrolment::keep(visit, What::Recovery(Box::new(drawn.factor), drawn.hashes)).await?;
    let page = EnrolRecovery {
        look: &visit.look,
        person: visit.person(),
        codes: &codes,
        replaces: set_of(&standing.factors).is_some(),
        carried: &[("ticket", &ticket)],
        back: "/factors",
    };
    Ok(page.respond())
}

/// The person has kept them: from now on they count, and those before do not.
pub(super) async fn confirm(visit: Visit, form: Result<Form<Kept>, FormRejection>) -> Response {
    let result = match form {
        Ok(Form(kept)) => enrol(&visit, &kept).await,
        Err(_) => Err(Failed::Refused(Reason::BadInput)),
    };
    visit.answer(result)
}

async fn enrol(visit: &Visit, form: &Kept) -> Result<Response, Failed> {
    let doer = visit.doer()?;
    let standing = Standing::read(visit).await?;
    if !may_make(visit, &standing) {
        return Err(Failed::Refused(Reason::FactorNotAllowed));
    }
    let proven = fresh::require(visit, Act::Add, &standing.factors, HERE).await?;
    if form.kept.is_empty() {
        return Err(Failed::Again(Reason::BadInput, HERE));
    }
    let What::Recovery(factor, hashes) = enrolment::take(visit, &form.ticket, HERE).await? else {
        return Err(Failed::Again(Reason::SignInExpired, HERE));
    };
    replace(visit, &standing, (&factor, &hashes), proven, &doer).await?;
    Ok(see_other("/factors?done=recovery"))
}

/// Puts the set in place of the one before. Both are told; sessions elsewhere that a code of the old one opened end.
async fn replace(
    visit: &Visit,
    standing: &Standing,
    (factor, hashes): (&Factor, &[CodeHash]),
    proven: Proven,
    doer: &Doer,
) -> Result<(), Failed> {
    let user = visit.user().await?;
    let (house, tenant) = (&visit.house, visit.tenant_id());
    match house.store.replace_recovery(tenant, user.id, factor, hashes, &proven.had).await? {
        FactorInserted::Done => {}
        FactorInserted::CredentialTaken | FactorInserted::Changed => return Err(Failed::Refused(Reason::Conflict)),
        FactorInserted::NoUser => return Err(Failed::Refused(Reason::SessionEnded)),
    }
    house.forget_user(user.id);
    let factor_kind = FactorKind::Recovery.as_str();
    if let Some(old) = set_of(&standing.factors) {
        house.end_what_rests_on_factor(tenant, user.id, old.id, Some(visit.live.id), doer).await?;
        let gone = Event::FactorRemoved { user: subject(&user), factor: old.id, factor_kind: factor_kind.into() };
        house.record(tenant, doer, gone).await?;
    }
    let event = Event::FactorAdded {
        user: subject(&user),
        factor: factor.id,
        factor_kind: factor_kind.into(),
        name: String::new(),
    };
    Ok(house.record(tenant, doer, event).await?)
}

/// The set among these factors.
pub(super) fn set_of(factors: &[Factor]) -> Option<&Factor> {
    factors.iter().find(|factor| factor.kind() == FactorKind::Recovery)
}
