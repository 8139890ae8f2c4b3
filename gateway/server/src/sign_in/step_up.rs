//! Proving more for a session that there is: what the computed challenge sends people to.

use axum::{extract::Query, response::Response};
use cardea_core::{Assurance, Reason, resources::ProviderSpec};
use cardea_identity::{
    FactorKind, LinkedAccount,
    assurance::{Proof, joined, reachable, shown as really_shown},
    sign_in::{Aim, Flow, Known, Lacks, Need, lacks},
};
use serde::Deserialize;

use super::{
    complete::Enrolled,
    flow::query_to,
    visit::{No, Onward, Visit, carried, see_other},
};
use crate::{
    house::opens_by,
    pages::{self, Page as _, Person, Problem, ProviderButton, StepUp},
};

/// The query of `GET /sign-in/step-up`.
#[derive(Debug, Deserialize)]
pub(super) struct Asking {
    #[serde(default)]
    need: Option<String>,
    #[serde(default)]
    to: Option<String>,
    #[serde(default)]
    flow: Option<String>,
}

/// `GET /sign-in/step-up`. Without `need` it shows the step-up under way.
pub(super) async fn show(visit: Visit, Query(asking): Query<Asking>) -> Response {
    visit.answer(shown(&visit, asking).await)
}

async fn shown(visit: &Visit, asking: Asking) -> Result<Response, No> {
    let Some(need) = asking.need.as_deref() else {
        let flow = visit.peek_flow().await?;
        return page(visit, &flow, None).await;
    };
    let need = Need::parse(need).ok_or(Reason::BadInput)?;
    let destination = visit.destination(&Onward { to: asking.to, flow: asking.flow })?;
    let Some((live, enrolled)) = visit.signed_in().await? else {
        return Ok(see_other(&format!("/sign-in{}", query_to(&destination, &[]))));
    };
    let session = visit.house.shared.session(visit.id(), live.id).await?.ok_or(Reason::SessionEnded)?;
    // Met already, and not by a remembered device, as when the app host's handle is older than the last step-up: the new handle is
    // all that was missing.
    if matches!(need, Need::Assurance(level) if session.shown_assurance() >= level) {
        return Ok(see_other(&visit.leave(session.id, &destination).await?));
    }
    visit.pace()?;
    let flow = Flow::step_up(&enrolled.user, session.id, session.proofs, need, destination);
    let page = page(visit, &flow, None).await?;
    Ok(visit.keep_flow(&flow).await?.on(page))
}

/// The page, with the ways that this person has.
pub(super) async fn page(visit: &Visit, flow: &Flow, problem: Option<Problem>) -> Result<Response, No> {
    let Aim::StepUp { proofs, need, .. } = flow.aim() else { return Err(Reason::SignInExpired.into()) };
    let Some((_, enrolled)) = visit.signed_in().await? else { return Err(Reason::SessionEnded.into()) };
    let all = joined(&really_shown(proofs), flow.proofs());
    let so_far = Shown { all, lacks: lacks(proofs, flow.proofs()) };
    let ways = Ways::of(visit, &enrolled, &so_far, *need).await?;
    let needs_link = ways.none() && needs_link(visit, &enrolled).await?;
    let onward = carried(flow.destination());
    let fields = onward.each_ref().map(|(name, value)| (*name, value.as_str()));
    let shown = StepUp {
        look: &visit.look,
        person: Person { name: &enrolled.user.name, email: enrolled.user.email.as_str() },
        need: match need {
            _ if ways.none() => pages::Need::Unavailable,
            Need::Assurance(Assurance::Three) => pages::Need::Three,
            Need::Assurance(_) => pages::Need::Two,
            Need::Fresh => pages::Need::Fresh,
        },
        app: visit.tenant.app_at(flow.destination().to.host()).map(|app| app.name.as_str()),
        passkey: ways.passkey,
        code: ways.code,
        password: ways.password,
        mail: ways.mail,
        recovery: ways.recovery,
        needs_link,
        providers: ways
            .providers
            .iter()
            .map(|spec| ProviderButton { name: &spec.name, href: format!("/sign-in/with/{}?step=up", spec.id) })
            .collect(),
        problem,
        carried: &fields,
        back: "/",
    };
    Ok(shown.respond())
}

/// Whether this person sets up nothing but by an administrator's link.
async fn needs_link(visit: &Visit, enrolled: &Enrolled) -> Result<bool, No> {
    let live = visit.admitted.session().ok_or(Reason::SessionEnded)?;
    let session = visit.house.shared.session(visit.id(), live.id).await?.ok_or(Reason::SessionEnded)?;
    Ok(visit.house.needs_link(&visit.tenant, &session, &enrolled.factors, visit.now).await?)
}

/// What was really shown so far, and what a fresh proof lacks still.
struct Shown {
    all: Vec<Proof>,
    lacks: Option<Lacks>,
}

/// Whether this person confirms by a code in the mail that it is them still, in the step-up under way. INVARIANT: not whoever has
/// anything better, an account at a provider among it: it is asked for where the code is sent, and not on the page alone.
pub(super) async fn takes_mail(visit: &Visit, flow: &Flow, enrolled: &Enrolled) -> Result<bool, No> {
    if !matches!(flow.aim(), Aim::StepUp { need: Need::Fresh, .. }) {
        return Ok(false);
    }
    let linked = visit.house.store.identities(visit.id(), enrolled.user.id).await?;
    Ok(confirms_by_mail(visit, &visit.known(enrolled), &linked))
}

fn confirms_by_mail(visit: &Visit, known: &Known<'_>, linked: &[LinkedAccount]) -> bool {
    known.confirms_by_mail() && linked.iter().all(|one| !one.is_brought() && opens_by(&visit.tenant, one).is_none())
}

/// What this person can show that leads there.
struct Ways<'a> {
    passkey: bool,
    code: bool,
    password: bool,
    /// A code by e-mail.
    mail: bool,
    /// A recovery code, which leads to where what is lost is replaced.
    recovery: bool,
    providers: Vec<&'a ProviderSpec>,
}

impl<'a> Ways<'a> {
    async fn of(visit: &'a Visit, enrolled: &Enrolled, so_far: &Shown, need: Need) -> Result<Self, No> {
        let proofs = &so_far.all[..];
        let known = visit.known(enrolled);
        let of = |kind: FactorKind| enrolled.factors.iter().filter(move |factor| factor.kind() == kind).cloned();
        let enough = |level, shown: Vec<_>| reachable(proofs, &shown, None) >= Some(level);
        let leads = |kind: FactorKind| {
            known.has(kind)
                && match need {
                    Need::Fresh if so_far.lacks == Some(Lacks::Second) => {
                        kind != FactorKind::Password && enough(Assurance::Two, of(kind).collect())
                    }
                    Need::Fresh => matches!(kind, FactorKind::Password | FactorKind::Passkey),
                    Need::Assurance(level) => enough(level, of(kind).collect()),
                }
        };
        let (passkey, code) = (leads(FactorKind::Passkey), leads(FactorKind::Totp));
        let mut password = leads(FactorKind::Password);
        // Whoever came by a code in the mail shows both factors, one after the other: the mailbox is neither.
        if let Need::Assurance(level) = need
            && !(code || password)
            && known.has(FactorKind::Password)
            && known.has(FactorKind::Totp)
        {
            password = enough(level, of(FactorKind::Password).chain(of(FactorKind::Totp)).collect());
        }
        let codes = known.has(FactorKind::Recovery);
        // The pool's own factor is one tap; the provider is a journey, for those who have nothing else, or may have lost it.
        let own = (passkey || code || password) && !codes;
        let vouches = |spec: &&ProviderSpec| {
            let worth = |level: Assurance| spec.assurance.values().any(|worth| *worth >= level);
            match need {
                // In place of the second factor that a remembered device stood in for, a word of less leads around in a circle.
                Need::Fresh => so_far.lacks != Some(Lacks::Second) || worth(Assurance::Two),
                Need::Assurance(level) => worth(level),
            }
        };
        let linked = visit.house.store.identities(visit.id(), enrolled.user.id).await?;
        let mail =
            need == Need::Fresh && visit.house.sends_codes(&visit.tenant) && confirms_by_mail(visit, &known, &linked);
        let known = linked.iter().filter_map(|one| opens_by(&visit.tenant, one));
        let mut providers: Vec<_> = known.filter(|_| !own).filter(vouches).collect();
        // Two accounts at one provider are one way there.
        providers.sort_by(|one, other| one.id.cmp(&other.id));
        providers.dedup_by(|one, other| one.id == other.id);
        Ok(Self { passkey, code, password, mail, recovery: codes && need != Need::Fresh, providers })
    }

    fn none(&self) -> bool {
        !(self.passkey || self.code || self.password || self.mail) && self.providers.is_empty()
    }
}
