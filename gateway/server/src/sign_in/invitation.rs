//! An invitation: the person chooses the first factor, and is in.

use std::collections::BTreeMap;

use axum::{Form, Json, extract::Path, response::Response};
use cardea_audit::Event;
use cardea_core::{Assurance, FactorId, Reason, Secret};
use cardea_identity::{
    Factor, FactorData, FactorKind, Status, Ticket, TicketHash, User,
    assurance::Means,
    cookie,
    factors::{
        passkey::Enrolment,
        password::{self, Weak},
    },
    guard::Target,
    one_time::{OneTime, Purpose},
    session::EndReason,
    sign_in::{Destination, Flow, allowed},
};
use cardea_storage::{Accepted, Accepting};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    complete::{Enrolled, Outcome, with},
    email,
    passkey::{enrolment_refused, options_for_script, site},
    password::hashing,
    visit::{No, SetCookie, Visit, go_to},
};
use crate::{
    House,
    house::{Doer, subject},
    pages::{self, Page as _, Person, Problem, SecondFactor},
};

/// `POST /sign-in/invitation/{token}`.
#[derive(Deserialize)]
pub(super) struct Choice {
    password: Secret<String>,
    again: Secret<String>,
}

/// A passkey under way, bound to the invitation that it is for.
#[derive(Serialize, Deserialize)]
struct UnderWay {
    invitation: TicketHash,
    enrolment: Enrolment,
}

/// `GET /sign-in/invitation/{token}`.
pub(super) async fn show(visit: Visit, Path(token): Path<String>) -> Response {
    visit.answer(
        async {
            let (_, invited) = invited(&visit, &token).await?;
            Ok(page(&visit, &token, &invited, None))
        }
        .await,
    )
}

/// The person whom the link is for, if it still opens the door.
async fn invited(visit: &Visit, token: &str) -> Result<(TicketHash, Enrolled), No> {
    visit.limited_by_address(Target::Invitation).await?;
    let hash = Ticket::parse(token).map_err(|_| Reason::CodeSpent)?.hash();
    let (user, factors) = visit.house.invitation(visit.id(), &hash).await?.ok_or(Reason::CodeSpent)?;
    visit.forgive_address(Target::Invitation).await?;
    Ok((hash, Enrolled { user, factors }))
}

/// `POST /sign-in/invitation/{token}`: a password.
pub(super) async fn choose_password(visit: Visit, Path(token): Path<String>, Form(choice): Form<Choice>) -> Response {
    visit.answer(chosen(&visit, &token, choice).await)
}

async fn chosen(visit: &Visit, token: &str, choice: Choice) -> Result<Response, No> {
    let (hash, invited) = invited(visit, token).await?;
    if !allowed(&visit.tenant.bundle.tenant.factors, FactorKind::Password) {
        return Err(Reason::FactorNotAllowed.into());
    }
    if choice.password != choice.again {
        return Ok(page(visit, token, &invited, Some(Problem::PasswordsDiffer)));
    }
    if let Err(weak) = password::check(&choice.password, &invited.user.email, &invited.user.name) {
        let problem = match weak {
            Weak::Short => Problem::PasswordShort(password::LEAST),
            Weak::Long => Problem::PasswordLong(password::MOST),
            Weak::Common | Weak::Personal => Problem::PasswordCommon,
        };
        return Ok(page(visit, token, &invited, Some(problem)));
    }
    let doer = visit.doer()?;
    let entropy = std::sync::Arc::clone(&visit.house.entropy);
    let phc = hashing(move || password::hash(&choice.password, &*entropy)).await?;
    let enrolled = accept(visit, hash, invited, Some(FactorData::Password { phc }), &doer).await?;
    let means = newest(&enrolled)?;
    let (location, cookies) = enter(visit, &enrolled, means, doer).await?;
    let rules = &visit.tenant.bundle.tenant.factors;
    let offer = SecondFactor {
        look: &visit.look,
        person: Person { name: &enrolled.user.name, email: enrolled.user.email.as_str() },
        totp: rules.totp,
        passkey: rules.passkey,
        onward: &location,
        must: rules.minimum > Assurance::One && (rules.totp || rules.passkey),
    };
    Ok(with(offer.respond(), cookies))
}

/// `POST /sign-in/invitation/{token}/passkey/options`.
pub(super) async fn passkey_options(visit: Visit, Path(token): Path<String>) -> Response {
    visit.answer_script(asked(&visit, &token).await)
}

async fn asked(visit: &Visit, token: &str) -> Result<Response, No> {
    visit.doer()?;
    let (hash, invited) = invited(visit, token).await?;
    if !allowed(&visit.tenant.bundle.tenant.factors, FactorKind::Passkey) {
        return Err(Reason::FactorNotAllowed.into());
    }
    let site = site(&visit.house, &visit.tenant)?;
    let begun = site.begin_enrolment(&invited.user, &invited.factors);
    let begun = begun.map_err(|rejected| enrolment_refused(&rejected))?;
    let (options, enrolment) = begun;
    let House { entropy, shared, .. } = &*visit.house;
    let sealer = &visit.house.sealer(visit.id()).await?;
    let value = UnderWay { invitation: hash, enrolment };
    let (ticket, kept) = OneTime::issue(Purpose::Enrolment, visit.id(), &value, sealer, visit.now, &**entropy)?;
    shared.put(&kept, visit.now).await?;
    let cookie = SetCookie::new(cookie::set_flow(&ticket, visit.house.is_secure()));
    Ok(cookie.on(options_for_script(&options)))
}

/// `POST /sign-in/invitation/{token}/passkey`.
pub(super) async fn choose_passkey(
    visit: Visit,
    Path(token): Path<String>,
    Json(mut fields): Json<BTreeMap<String, Value>>,
) -> Response {
    let answer = fields.remove("credential").unwrap_or_default();
    visit.answer_script(proven(&visit, &token, answer).await)
}

async fn proven(visit: &Visit, token: &str, answer: Value) -> Result<Response, No> {
    let doer = visit.doer()?;
    let (hash, invited) = invited(visit, token).await?;
    let ticket = visit.ticket().ok_or(Reason::SignInExpired)?;
    let House { shared, .. } = &*visit.house;
    // Taken before it is verified: a challenge is answered once.
    let kept = shared.take(visit.id(), Purpose::Enrolment, &ticket.hash(), visit.now).await?;
    let sealer = &visit.house.sealer(visit.id()).await?;
    let under_way: UnderWay =
        kept.ok_or(Reason::SignInExpired)?.open(Purpose::Enrolment, visit.id(), sealer, visit.now)?;
    if under_way.invitation != hash {
        return Err(Reason::SignInExpired.into());
    }
    let data = site(&visit.house, &visit.tenant)?
        .finish_enrolment(answer, &under_way.enrolment)
        .map_err(|rejected| enrolment_refused(&rejected))?;
    let enrolled = accept(visit, hash, invited, Some(data), &doer).await?;
    let means = newest(&enrolled)?;
    let (location, cookies) = enter(visit, &enrolled, means, doer).await?;
    Ok(with(go_to(&location), cookies))
}

/// `POST /sign-in/invitation/{token}/email`: no factor of their own, but codes by e-mail.
pub(super) async fn choose_mail(visit: Visit, Path(token): Path<String>) -> Response {
    visit.answer(
        async {
            visit.doer()?;
            visit.pace()?;
            let (hash, invited) = invited(&visit, &token).await?;
            email::begin_invited(&visit, hash, &invited).await
        }
        .await,
    )
}

/// Spends the invitation of somebody who has shown link and mailbox both.
pub(super) async fn accept_by_mail(visit: &Visit, hash: TicketHash, shown: &User, doer: &Doer) -> Result<Enrolled, No> {
    // The tenant may have thought better of it since the code was asked for; the link stays good.
    if !visit.house.sends_codes(&visit.tenant) {
        return Err(Reason::FactorNotAllowed.into());
    }
    let (user, factors) = visit.house.invitation(visit.id(), &hash).await?.ok_or(Reason::CodeSpent)?;
    if user.id != shown.id {
        return Err(Reason::CodeSpent.into());
    }
    accept(visit, hash, Enrolled { user, factors }, None, doer).await
}

/// Spends the invitation and enrols the factor that was chosen with it, if one was. For one who had factors it is a new start:
/// the old ones and every session go. Sessions end first: if we crash right after, the link is as good as before.
async fn accept(
    visit: &Visit,
    hash: TicketHash,
    invited: Enrolled,
    data: Option<FactorData>,
    doer: &Doer,
) -> Result<Enrolled, No> {
    let (house, id) = (&visit.house, visit.id());
    let Enrolled { mut user, factors } = invited;
    // Who starts over is invited, and has sessions still where ending them broke off: none must come back to life.
    let again =
        user.status == Status::Active || !house.shared.sessions_of_user(id, user.id, visit.now).await?.is_empty();
    if again {
        house.end_sessions_of_user(id, user.id, None, EndReason::FactorChanged, doer).await?;
    }
    let chosen = data.map(|data| Factor {
        id: FactorId::mint(visit.now, &*house.entropy),
        name: String::new(),
        data,
        created: visit.now,
        last_used: Some(visit.now),
    });
    let with = Accepting { ticket: &hash, user: user.id, before: &factors, chosen: chosen.as_ref(), now: visit.now };
    let joined = match house.store.accept_invitation(id, &with).await? {
        Accepted::Done { joined } => joined,
        Accepted::Spent | Accepted::Moved => return Err(Reason::CodeSpent.into()),
        Accepted::CredentialTaken => return Err(Reason::Conflict.into()),
    };
    house.forget_user(user.id);
    user.status = Status::Active;
    house.finish_unlinking(id, &user, None, doer).await?;
    told(visit, &user, &factors, chosen.as_ref(), joined, doer).await?;
    // Somebody may have signed in with an old factor just before it went.
    if again && !house.shared.sessions_of_user(id, user.id, visit.now).await?.is_empty() {
        house.end_sessions_of_user(id, user.id, None, EndReason::FactorChanged, doer).await?;
    }
    Ok(Enrolled { user, factors: chosen.into_iter().collect() })
}

/// The entries of an invitation that was accepted.
async fn told(
    visit: &Visit,
    user: &User,
    gone: &[Factor],
    chosen: Option<&Factor>,
    joined: bool,
    doer: &Doer,
) -> Result<(), No> {
    let kind = |factor: &Factor| factor.kind().as_str().into();
    let removed =
        gone.iter().map(|old| Event::FactorRemoved { user: subject(user), factor: old.id, factor_kind: kind(old) });
    let added = chosen.map(|one| Event::FactorAdded {
        user: subject(user),
        factor: one.id,
        factor_kind: kind(one),
        name: String::new(),
    });
    let joined = joined.then(|| Event::UserJoined { user: subject(user), provider: None });
    for event in removed.chain(added).chain(joined) {
        visit.house.record(visit.id(), doer, event).await?;
    }
    Ok(())
}

/// What choosing the newest factor has shown.
fn newest(enrolled: &Enrolled) -> Result<Means, No> {
    enrolled.factors.last().map(Means::by_enrolling).ok_or(No::Refused(Reason::FactorRejected))
}

async fn enter(visit: &Visit, enrolled: &Enrolled, means: Means, doer: Doer) -> Result<(String, Vec<SetCookie>), No> {
    let flow = Flow::invited(&enrolled.user, Destination { to: visit.home(), flow: None });
    match visit.proven(flow, enrolled, means, doer).await? {
        Outcome::Onward(location, cookies) => Ok((location, cookies)),
        Outcome::More(_) => Err(Reason::FactorNotAllowed.into()),
    }
}

fn page(visit: &Visit, token: &str, invited: &Enrolled, problem: Option<Problem>) -> Response {
    let rules = &visit.tenant.bundle.tenant.factors;
    let action = format!("/sign-in/invitation/{token}");
    let options = format!("{action}/passkey/options");
    let by_mail = format!("{action}/email");
    pages::Invitation {
        look: &visit.look,
        person: Person { name: &invited.user.name, email: invited.user.email.as_str() },
        action: &action,
        passkey_options: rules.passkey.then_some(options.as_str()),
        passkey_finish: &format!("{action}/passkey"),
        password: rules.password,
        mail: visit.house.sends_codes(&visit.tenant).then_some(by_mail.as_str()),
        password_least: password::LEAST,
        problem,
        carried: &[],
    }
    .respond()
}
