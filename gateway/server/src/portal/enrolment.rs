//! A factor between the two halves of its enrolment: kept sealed, for ten minutes, for the one person who began it.

use axum::{
    http::{HeaderValue, header::SET_COOKIE},
    response::Response,
};
use cardea_audit::Event;
use cardea_core::{Reason, UserId};
use cardea_identity::{
    Factor, Ticket, User,
    assurance::{self, Means, Proof},
    factors::{passkey, recovery::CodeHash},
    one_time::{OneTime, Purpose},
    pool,
};
use cardea_storage::FactorInserted;
use serde::{Deserialize, Serialize};

use super::{
    fresh::Proven,
    visit::{Failed, Visit},
};
use crate::house::{Doer, Raising, subject};

/// Longest name of a factor, in characters.
pub(super) const NAME_MOST: usize = 80;

/// What is kept until the browser answers.
#[derive(Serialize, Deserialize)]
pub(super) struct Pending {
    user: UserId,
    pub(super) what: What,
}

/// What is being enrolled.
#[derive(Serialize, Deserialize)]
pub(super) enum What {
    /// An app for codes: its seed in base32, which counts for nothing until a code of it was typed.
    Totp(String),
    /// A passkey: its challenge.
    Passkey(passkey::Enrolment),
    /// Recovery codes: the set, and the hashes of its codes.
    Recovery(Box<Factor>, Vec<CodeHash>),
}

/// Keeps it; the ticket goes to the browser.
pub(super) async fn keep(visit: &Visit, what: What) -> Result<String, Failed> {
    let pending = Pending { user: visit.user_id(), what };
    let house = &visit.house;
    let sealer = house.sealer(visit.tenant_id()).await?;
    let issued = OneTime::issue(Purpose::Enrolment, visit.tenant_id(), &pending, &sealer, visit.now(), &*house.entropy);
    let (ticket, value) = issued.map_err(|_| Failed::Refused(Reason::Internal))?;
    house.shared.put(&value, visit.now()).await?;
    Ok(ticket.expose_text())
}

/// Looks at it and leaves it, as a mistyped code may be typed again.
pub(super) async fn peek(visit: &Visit, ticket: &str, again: &'static str) -> Result<What, Failed> {
    let spent = || Failed::Again(Reason::SignInExpired, again);
    let hash = Ticket::parse(ticket).map_err(|_| spent())?.hash();
    let kept = visit.house.shared.peek(visit.tenant_id(), Purpose::Enrolment, &hash, visit.now()).await?;
    open(visit, &kept.ok_or_else(spent)?).await?.ok_or_else(spent)
}

/// Takes it: of racing answers exactly one gets it.
pub(super) async fn take(visit: &Visit, ticket: &str, again: &'static str) -> Result<What, Failed> {
    let spent = || Failed::Again(Reason::SignInExpired, again);
    let hash = Ticket::parse(ticket).map_err(|_| spent())?.hash();
    let kept = visit.house.shared.take(visit.tenant_id(), Purpose::Enrolment, &hash, visit.now()).await?;
    open(visit, &kept.ok_or_else(spent)?).await?.ok_or_else(spent)
}

async fn open(visit: &Visit, kept: &OneTime) -> Result<Option<What>, Failed> {
    let sealer = visit.house.sealer(visit.tenant_id()).await?;
    let opened = kept.open::<Pending>(Purpose::Enrolment, visit.tenant_id(), &sealer, visit.now());
    // INVARIANT: what one person began nobody else ends: a planted ticket enrols nothing.
    Ok(opened.ok().filter(|pending| pending.user == visit.user_id()).map(|pending| pending.what))
}

/// What the browser is to keep from now on; nothing where its session stays as it is.
#[derive(Debug, Default)]
pub(super) struct Opens(Option<String>);

impl Opens {
    /// Gives it to the browser.
    pub(super) fn on(self, mut response: Response) -> Response {
        if let Some(value) = self.0.and_then(|text| HeaderValue::from_str(&text).ok()) {
            response.headers_mut().append(SET_COOKIE, value);
        }
        response
    }
}

/// Enrols a factor that has shown itself; its entry is on disk before this returns. The session rises by what was shown,
/// as by a step-up: the next page would ask for just that, and a code that was typed once opens nothing more.
///
/// INVARIANT: whoever comes here has `proven` all that the account could ask for, and nothing was added since: the store
/// looks again in the step that adds. So nobody gets past a factor that is there by adding another, not even in a race.
pub(super) async fn enrol(visit: &Visit, factor: &Factor, proven: Proven, doer: Doer) -> Result<Opens, Failed> {
    let user = visit.user().await?;
    match visit.house.store.insert_factor_beside(visit.tenant_id(), user.id, factor, &proven.had).await? {
        FactorInserted::Done => {}
        FactorInserted::CredentialTaken | FactorInserted::Changed => return Err(Failed::Refused(Reason::Conflict)),
        FactorInserted::NoUser => return Err(Failed::Refused(Reason::SessionEnded)),
    }
    visit.house.forget_user(user.id);
    let event = Event::FactorAdded {
        user: subject(&user),
        factor: factor.id,
        factor_kind: factor.kind().as_str().into(),
        name: factor.name.clone(),
    };
    visit.house.record(visit.tenant_id(), &doer, event).await?;
    rise(visit, &user, factor, doer).await
}

/// Raises the session, where what was shown makes it worth more.
async fn rise(visit: &Visit, user: &User, factor: &Factor, doer: Doer) -> Result<Opens, Failed> {
    let (house, now) = (&visit.house, visit.now());
    let proofs = [Proof { means: Means::by_enrolling(factor), at: now }];
    let over = || Failed::Refused(Reason::SessionEnded);
    let before = house.shared.session(visit.tenant_id(), visit.live.id).await?.ok_or_else(over)?;
    if assurance::of(&assurance::joined(&before.proofs, &proofs)) <= Some(before.assurance) {
        return Ok(Opens::default());
    }
    let raising = Raising { tenant: &visit.tenant, user, session: before.id, proofs: &proofs, now };
    let raised = house.raise(&raising, doer).await?.ok_or_else(over)?;
    Ok(Opens(Some(house.hand(&raised, &visit.live.host, now).await?)))
}

/// A name as it is kept: trimmed, of 1 to 80 characters, none of which hides or reverses others.
pub(super) fn name(text: &str) -> Option<String> {
    pool::legible(text, NAME_MOST).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_what_a_person_can_read() {
        assert_eq!(name("  Work laptop ").as_deref(), Some("Work laptop"));
        assert_eq!(name("נייד").as_deref(), Some("נייד"));
        assert!(name(&"x".repeat(80)).is_some());
        for bad in [
            "",
            "   ",
            "a\nb",
            "a\u{202e}b",
            "a\u{2028}b",
            "a\u{61c}b",
            "\u{200b}",
            "\u{200d}",
            "\u{3164}",
            &"x".repeat(81),
        ] {
            assert_eq!(name(bad), None, "{bad:?}");
        }
    }
}
