//! Passkeys: the two halves of the ceremony, for anyone at the first page and for the person at later ones.

use axum::{
    Json,
    http::header,
    response::{IntoResponse as _, Response},
};
use cardea_audit::Event;
use cardea_core::{FactorId, ProviderId, Reason};
use cardea_identity::{
    FactorData,
    factors::passkey::{Ceremony, Rejected, Site, Used},
    guard::Target,
    sign_in::{Aim, Awaits, Flow},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    complete::{Enrolled, Outcome, with},
    remembered::Remember,
    visit::{No, Onward, Visit, go_to},
};
use crate::{House, pages::Problem, state::TenantState};

/// What a page's script sends: the page's fields, and in the second half the credential.
#[derive(Debug, Deserialize)]
pub(super) struct Request {
    #[serde(flatten)]
    onward: Onward,
    /// Said by the first page, which begins a sign-in and does not continue one.
    #[serde(default)]
    begin: Option<String>,
    /// The box that stands beside the second factor.
    #[serde(default)]
    remember: Remember,
    #[serde(default)]
    credential: Option<Value>,
}

/// The relying party of a tenant: its sign-in host, at the one origin that browsers know it by.
pub(super) fn site<'a>(house: &House, tenant: &'a TenantState) -> Result<Site<'a>, No> {
    let spec = &tenant.bundle.tenant;
    let origin = house.config.origin(&spec.sign_in_host);
    let site = Site::new(&spec.sign_in_host, &origin, &spec.name);
    let site = site.map_err(|error| No::Faulted(Reason::Internal, error.to_string()))?;
    Ok(site.of_makes(&spec.factors.attested))
}

/// What whoever enrols a passkey is told that is not taken.
pub(crate) const fn enrolment_refused(rejected: &Rejected) -> Reason {
    match rejected {
        Rejected::OtherMake(_) => Reason::FactorNotAllowed,
        _ => Reason::FactorRejected,
    }
}

/// Options for a page's script.
pub(super) fn options_for_script(options: &Value) -> Response {
    let kind = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    (kind, json!({ "publicKey": options }).to_string()).into_response()
}

/// `POST /sign-in/passkey/options`.
pub(super) async fn options(visit: Visit, Json(request): Json<Request>) -> Response {
    visit.answer_script(asked(&visit, request).await)
}

async fn asked(visit: &Visit, request: Request) -> Result<Response, No> {
    visit.doer()?;
    if !visit.tenant.bundle.tenant.factors.passkey {
        return Err(Reason::FactorNotAllowed.into());
    }
    let site = site(&visit.house, &visit.tenant)?;
    let flow = if request.begin.is_some() { None } else { visit.taken().await? };
    let flow = match flow {
        Some(flow) => flow,
        None => visit.begin_flow(visit.destination(&request.onward)?).await?,
    };
    let (options, ceremony) = match flow.awaits() {
        Awaits::Factor(user, _) => {
            let user = visit.house.store.user(visit.id(), user).await?;
            let enrolled = visit.enrolled(user).await?.ok_or(Reason::SignInExpired)?;
            site.ask(&enrolled.factors)
        }
        _ => site.ask_anyone(),
    }
    .map_err(|_| Reason::FactorRejected)?;
    let flow = flow.challenged(ceremony)?;
    Ok(visit.keep_flow(&flow).await?.on(options_for_script(&options)))
}

/// `POST /sign-in/passkey`.
pub(super) async fn prove(visit: Visit, Json(request): Json<Request>) -> Response {
    match proved(&visit, request).await {
        Err(No::Refused(Reason::FactorRejected)) => visit.tell_script(&Problem::WrongPasskey, Reason::FactorRejected),
        made => visit.answer_script(made),
    }
}

async fn proved(visit: &Visit, request: Request) -> Result<Response, No> {
    let doer = visit.doer()?;
    let answer = request.credential.ok_or(Reason::BadInput)?;
    // Taken, and the challenge out of it, before anything is verified: a challenge is answered once.
    let (flow, ceremony) = visit.take_flow().await?.spend_challenge()?;
    let enrolled = match flow.awaits() {
        Awaits::Factor(user, _) => visit.enrolled(visit.house.store.user(visit.id(), user).await?).await?,
        _ => match Site::claimed(&answer) {
            Some(user) => visit.enrolled(visit.house.store.user(visit.id(), user).await?).await?,
            None => None,
        },
    };
    let used = match &enrolled {
        Some(enrolled) => check(visit, answer, ceremony, enrolled),
        None => Err(Rejected::Foreign),
    };
    let (used, enrolled) = match (used, enrolled) {
        (Ok(used), Some(enrolled)) => (used, enrolled),
        (outcome, enrolled) => {
            return failed(visit, &flow, enrolled.as_ref(), &outcome.err().unwrap_or(Rejected::Foreign)).await;
        }
    };
    keep(visit, &enrolled, &used).await?;
    finish(visit, visit.proven_in(flow, &enrolled, used.means, doer, request.remember).await?).await
}

/// Keeps the sign-in for another try, and tells what failed. A passkey is not guessed, so that failures alone are counted:
/// whoever shows a right one waits for nobody who shares their address. Where too many failed, no more is written down of them; the
/// work is bounded by the pace of the steps.
async fn failed(visit: &Visit, flow: &Flow, known: Option<&Enrolled>, rejected: &Rejected) -> Result<Response, No> {
    if let (Rejected::Copied(factor), Some(known)) = (rejected, known) {
        mark_as_copied(visit, known, *factor).await?;
    }
    let cookie = visit.keep_flow(flow).await?;
    let told = match visit.limited_by_address(Target::Passkey).await {
        Ok(()) => {
            note(visit, known, rejected);
            visit.tell_script(&Problem::WrongPasskey, Reason::FactorRejected)
        }
        Err(wait @ No::Wait(_)) => visit.answer_script(Err(wait)),
        Err(no) => return Err(no),
    };
    Ok(cookie.on(told))
}

fn check(visit: &Visit, answer: Value, ceremony: Ceremony, enrolled: &Enrolled) -> Result<Used, Rejected> {
    let site = site(&visit.house, &visit.tenant).map_err(|_| Rejected::Malformed)?;
    site.finish(answer, ceremony, &enrolled.user, &enrolled.factors)
}

/// Keeps a counter or flag that has moved. Of two racing answers with one counter the second finds it moved already.
async fn keep(visit: &Visit, enrolled: &Enrolled, used: &Used) -> Result<(), No> {
    let House { store, .. } = &*visit.house;
    let user = enrolled.user.id;
    let Some(update) = &used.update else { return Ok(()) };
    let from = enrolled.factors.iter().find(|factor| factor.id == used.factor).ok_or(Reason::FactorRejected)?;
    if !store.replace_passkey(visit.id(), user, used.factor, &from.data, update, visit.now).await? {
        return Err(Reason::FactorRejected.into());
    }
    Ok(())
}

/// Keeps that a copy was used, so that the portal tells whose it is. Where the factor is another by now, whoever changed it
/// has just proven it: the next use of the copy is found again.
async fn mark_as_copied(visit: &Visit, enrolled: &Enrolled, id: FactorId) -> Result<(), No> {
    let Some(factor) = enrolled.factors.iter().find(|factor| factor.id == id) else { return Ok(()) };
    let mut to = factor.data.clone();
    if let FactorData::Passkey { copied, .. } = &mut to {
        *copied = Some(visit.now);
    }
    // It proved nothing: when it last did stays as it is; of one that never did, it is when it was made.
    let (user, used) = (enrolled.user.id, factor.last_used.unwrap_or(factor.created));
    visit.house.store.replace_passkey(visit.id(), user, id, &factor.data, &to, used).await?;
    Ok(())
}

async fn finish(visit: &Visit, outcome: Outcome) -> Result<Response, No> {
    Ok(match outcome {
        Outcome::More(flow) => {
            let page = if matches!(flow.aim(), Aim::StepUp { .. }) { "/sign-in/step-up" } else { "/sign-in/totp" };
            visit.keep_flow(&flow).await?.on(go_to(page))
        }
        Outcome::Onward(location, cookies) => with(go_to(&location), cookies),
    })
}

fn note(visit: &Visit, known: Option<&Enrolled>, rejected: &Rejected) {
    let event = Event::SignInRefused {
        email: known.map(|one| one.user.email.to_string()),
        user: known.map(|one| one.user.id),
        factor: Some("passkey".into()),
        provider: None::<ProviderId>,
        reason: Reason::FactorRejected,
        detail: rejected.to_string(),
    };
    visit.house.note(visit.id(), &visit.noting(), event);
}

impl Visit {
    /// The sign-in under way, if there is one; another state of things is none.
    pub(super) async fn taken(&self) -> Result<Option<Flow>, No> {
        match self.take_flow().await {
            Ok(flow) => Ok(Some(flow)),
            Err(No::Refused(_)) => Ok(None),
            Err(no) => Err(no),
        }
    }
}
