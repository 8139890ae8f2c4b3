//! The end of a sign-in or step-up: the session, its entry, its first handle, and the way on.

use std::sync::Arc;

use axum::response::Response;
use cardea_audit::Event;
use cardea_core::{Assurance, Caller, Reason, SessionId};
use cardea_identity::{
    Email, HandleRecord, Session, User,
    assurance::{self, Means, Proof},
    cookie,
    device::{self, Device},
    guard::Account,
    hand_over::HandOver,
    one_time::{OneTime, Purpose},
    pool::Factor,
    session::{EndReason, Start},
    sign_in::{Aim, Destination, Done, Flow, Known, Step, usable},
};

use cardea_storage::{Forgiven, Grounds};

use super::{
    remembered::Remember,
    visit::{No, SetCookie, Visit, see_other},
};
use crate::{
    House,
    house::{BELOW_MINIMUM, Doer, Raising, subject},
    mail::Notice,
};

/// A person with the factors they have enrolled.
pub(super) struct Enrolled {
    /// The person.
    pub user: User,
    /// Their factors.
    pub factors: Vec<Factor>,
}

/// What came of a proof.
pub(super) enum Outcome {
    /// More is asked for: the flow to keep, and whether it is a step-up.
    More(Box<Flow>),
    /// Done: where to go, and the cookies that go along.
    Onward(String, Vec<SetCookie>),
}

impl Outcome {
    /// The same, with one more cookie where it is done.
    pub(super) fn and(mut self, more: Option<SetCookie>) -> Self {
        if let Self::Onward(_, cookies) = &mut self {
            cookies.extend(more);
        }
        self
    }

    /// As an answer to a form: a redirect.
    pub(super) async fn respond(self, visit: &Visit) -> Result<Response, No> {
        Ok(match self {
            Self::More(flow) => {
                let page = if matches!(flow.aim(), Aim::StepUp { .. }) { "/sign-in/step-up" } else { "/sign-in/totp" };
                visit.keep_flow(&flow).await?.on(see_other(page))
            }
            Self::Onward(location, cookies) => with(see_other(&location), cookies),
        })
    }
}

/// A response with these cookies.
pub(super) fn with(response: Response, cookies: Vec<SetCookie>) -> Response {
    cookies.into_iter().fold(response, |response, cookie| cookie.on(response))
}

impl Visit {
    /// The person of that id with their factors, as the rules need them.
    pub(super) async fn enrolled(&self, user: Option<User>) -> Result<Option<Enrolled>, No> {
        let Some(user) = user else { return Ok(None) };
        let factors = self.house.store.factors(self.id(), user.id).await?;
        Ok(Some(Enrolled { user, factors }))
    }

    /// The same of the person with that address.
    pub(super) async fn enrolled_by_email(&self, email: &Email) -> Result<Option<Enrolled>, No> {
        let found = self.house.store.enrolled_by_email(self.id(), email).await?;
        Ok(found.map(|(user, factors)| Enrolled { user, factors }))
    }

    /// The person as the rules know them.
    pub(super) fn known<'a>(&'a self, enrolled: &'a Enrolled) -> Known<'a> {
        let rules = &self.tenant.bundle.tenant.factors;
        Known { user: &enrolled.user, factors: &enrolled.factors, rules, words: &[] }
    }

    /// Takes the step that a proof allows, and ends the sign-in where it is complete.
    pub(super) async fn proven(
        &self,
        flow: Flow,
        enrolled: &Enrolled,
        means: Means,
        doer: Doer,
    ) -> Result<Outcome, No> {
        self.proven_in(flow, enrolled, means, doer, Remember::No).await
    }

    /// The same, where the person may have ticked the box by which this browser is remembered.
    pub(super) async fn proven_in(
        &self,
        flow: Flow,
        enrolled: &Enrolled,
        means: Means,
        doer: Doer,
        remember: Remember,
    ) -> Result<Outcome, No> {
        let browser = self.device().unwrap_or_else(|| Device::new(&*self.house.entropy));
        let remembers = remember == Remember::Yes && self.may_remember(&flow).is_some();
        let factor = means.factor().filter(|_| remembers);
        let words = match flow.enrols() {
            Some(user) if user == enrolled.user.id => self.house.words(&self.tenant, user).await?,
            _ => Vec::new(),
        };
        let forgiven = self.forgiven(&flow, &means, &enrolled.user.email);
        let shown = Proof { means: means.clone(), at: self.now };
        let step = flow.proven(Known { words: &words, ..self.known(enrolled) }, means, self.now);
        if !matches!(step, Ok(Step::Done(_))) {
            // What was shown counts as used, whatever comes of it: whoever it belongs to sees that somebody had it.
            self.house.store.shown(self.id(), enrolled.user.id, &[shown]).await?;
        }
        match step? {
            Step::Ask(flow) => {
                self.forgive(&forgiven).await?;
                self.recalled(flow, enrolled, &browser, doer).await
            }
            Step::Done(done) => {
                let (session, outcome) = self.complete(done, enrolled, &browser, (doer, forgiven)).await?;
                // Not before: whoever is refused at the end has nothing remembered.
                let holds = match factor {
                    Some(factor) => self.remember(enrolled, factor, &browser, session).await,
                    None => None,
                };
                Ok(outcome.and(holds))
            }
        }
    }

    /// Ends a sign-in, or a step-up, that is complete, in this browser, and makes the tries undone that led to it; gives the session
    /// too.
    pub(super) async fn complete(
        &self,
        done: Done,
        enrolled: &Enrolled,
        browser: &Device,
        (doer, forgiven): (Doer, Forgiven),
    ) -> Result<(SessionId, Outcome), No> {
        let (user, Done { proofs, aim, destination, .. }) = (&enrolled.user, done);
        let aim_begins = aim == Aim::SignIn;
        let recovered = proofs.iter().any(|proof| matches!(proof.means, Means::Recovery { .. }));
        let met_before = browser.has_met(&Account::of(self.id(), &user.email), self.now);
        let (session, opens) = match aim {
            Aim::SignIn | Aim::Invitation => self.begin(user, proofs, &aim, (doer, forgiven)).await?,
            Aim::StepUp { session, .. } => {
                self.forgive(&forgiven).await?;
                let raised = self.raise(user, session, &proofs, doer).await?;
                let opens = self.house.hand(&raised, self.host(), self.now).await?;
                (raised, opens)
            }
            Aim::Link { .. } => return Err(Reason::SignInExpired.into()),
        };
        // An invitation ends what there was, and says so; where a session is raised, its sign-in was told.
        if aim_begins && !met_before {
            let notice = Notice::NewBrowser { browser: self.agent(), client: Some(self.admitted.client()) };
            self.house.notify(self.id(), subject(user), notice);
        }
        // Whatever was wanted, what was lost comes first; the page says so.
        let onward = Some(&destination).filter(|_| !recovered);
        let arrived = self.arrive((&session, opens), onward, enrolled, browser).await;
        if arrived.is_err() {
            self.house.end_unheld(&session).await;
        }
        Ok((session.id, arrived?))
    }

    /// Where a browser goes that has come into a session, if not to the factors, and the cookies that it gets with that.
    async fn arrive(
        &self,
        (session, opens): (&Session, String),
        onward: Option<&Destination>,
        enrolled: &Enrolled,
        browser: &Device,
    ) -> Result<Outcome, No> {
        let user = &enrolled.user;
        let usable = usable(&self.tenant.bundle.tenant.factors, &enrolled.factors);
        // Whoever shows two factors shows enough, whatever their providers could say.
        let words = match session.shown_assurance() {
            Assurance::One => self.house.words(&self.tenant, user.id).await?,
            Assurance::Two | Assurance::Three => Vec::new(),
        };
        let is_theirs = device::shows_owner(&session.proofs, &usable, &words);
        let cookies =
            vec![SetCookie::new(opens), self.drop_flow(), self.known_device(&user.email, is_theirs, browser)?];
        let onward = match onward {
            Some(destination) => self.leave(session.id, destination).await?,
            None => "/factors".to_owned(),
        };
        Ok(Outcome::Onward(onward, cookies))
    }

    /// A new session, and the cookie that opens it. Whatever this browser was signed in as before ends: a sign-in never continues
    /// what it found.
    async fn begin(
        &self,
        user: &User,
        proofs: Vec<Proof>,
        aim: &Aim,
        (doer, forgiven): (Doer, Forgiven),
    ) -> Result<(Session, String), No> {
        let House { entropy, shared, .. } = &*self.house;
        let rules = &self.tenant.bundle.tenant.session;
        let provider = proofs.iter().find_map(|proof| match &proof.means {
            Means::Oidc { provider, .. } => Some(provider.clone()),
            _ => None,
        });
        let (agent, client) = (self.agent(), Some(self.admitted.client()));
        let start = Start { tenant: self.id().clone(), user: user.id, proofs, agent, client, rules, now: self.now };
        let mut session = Session::begin(start, &**entropy).ok_or(Reason::FactorRejected)?;
        session.joined = *aim == Aim::Invitation;
        session.by_link = session.joined;
        // By what the pool asks of its own people, others come in below it: by a link, or a recovery code.
        let short = !assurance::is_a_providers(&session.proofs) || assurance::recovered(&session.proofs).is_some();
        if short && session.assurance < self.tenant.bundle.tenant.factors.minimum {
            session.expires = session.expires.min(self.now.plus(BELOW_MINIMUM));
        }
        let event = Event::SignedIn {
            user: subject(user),
            session: session.id,
            factors: session.factor_names().into_iter().map(Into::into).collect(),
            provider,
            assurance: session.assurance,
        };
        // Durable before the cookie: if we crash here, the log tells of a session that nobody can open.
        let doer = doer.known_as(Caller::User(self.tenant.facts(user)), Some(session.id));
        self.house.record(self.id(), &doer, event).await?;
        let (handle, record) = HandleRecord::issue(&session, self.host(), self.now, &**entropy);
        let grounds = shared.session_open((&session, &record), &forgiven, self.now).await?;
        if let Some(before) = self.admitted.session() {
            self.house.end_replaced(self.id(), before.id).await?;
        }
        // Suspending shuts the door first and then ends the sessions it finds, and so does whoever takes away what this one rests
        // on: it may have slipped between.
        match grounds {
            Grounds::Stand => Ok((session, cookie::set_handle(&handle, self.house.is_secure()))),
            Grounds::NoEntry => {
                self.house.end_replaced(self.id(), session.id).await?;
                Err(Reason::UserSuspended.into())
            }
            Grounds::Gone => {
                self.house.end_session(self.id(), session.id, EndReason::FactorChanged, &doer).await?;
                Err(Reason::SessionEnded.into())
            }
        }
    }

    /// The session that takes the old one's place after a step-up.
    async fn raise(&self, user: &User, old: SessionId, proofs: &[Proof], doer: Doer) -> Result<Session, No> {
        // The same browser must still be in that session: a step-up begun before a sign-out raises nothing.
        if self.admitted.session().is_none_or(|session| session.id != old) {
            return Err(Reason::SessionEnded.into());
        }
        let raising = Raising { tenant: &self.tenant, user, session: old, proofs, now: self.now };
        let raised = self.house.raise(&raising, doer).await?;
        Ok(raised.ok_or(Reason::SessionEnded)?)
    }

    /// The address that ends a sign-in: the destination itself at this host, else by a one-time code to its host.
    pub(super) async fn leave(&self, session: SessionId, destination: &Destination) -> Result<String, No> {
        let Destination { to, flow } = destination;
        let Some(flow) = flow.filter(|_| to.host() != self.host()) else { return Ok(to.to_string()) };
        let House { entropy, shared, .. } = &*self.house;
        let sealer = &self.house.sealer(self.id()).await?;
        let value = HandOver { session, host: to.host().to_owned(), flow };
        let (code, kept) = OneTime::issue(Purpose::HandOver, self.id(), &value, sealer, self.now, &**entropy)?;
        shared.put(&kept, self.now).await?;
        let query = super::visit::query_of(&[("code", &code.expose_text()), ("to", to.path())]);
        Ok(format!("{}/.cardea/callback{query}", to.origin()))
    }

    /// The user of the session that this request is made in.
    pub(super) async fn signed_in(&self) -> Result<Option<(Arc<cardea_proxy::LiveSession>, Enrolled)>, No> {
        let Some(session) = self.admitted.session() else { return Ok(None) };
        let user = self.house.store.user(self.id(), session.user.id).await?;
        let enrolled = self.enrolled(user).await?;
        Ok(enrolled.map(|enrolled| (Arc::clone(session), enrolled)))
    }
}
