//! Questions of services before they act: may this user do that? Decided as the user's own request would be, and written
//! down; nothing is forwarded.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::{Arc, LazyLock},
    time::Instant,
};

use cardea_audit::{Actor, Client, Decision, Entry, Event, Request as Record};
use cardea_core::{Caller, EntryId, Reason, SessionId, Timestamp, caller::UserFacts, resources::AuditMode};
use cardea_policy::{Challenge as Need, Principal};

use super::{Answer, Asker, Canonical, Proxy, Site, Snapshot, StoreFault, access, routing};
use crate::{Admitted, App, Description, forward_auth, story::method_word};

/// What a service asks.
#[derive(Debug)]
pub struct Inquiry {
    /// About whom; none where nobody in the pool who is active has that name.
    pub user: Option<Arc<UserFacts>>,
    /// Whether the tenant wants a second factor of them before anything else, as far as it is known without a session; a session
    /// of theirs says so by itself.
    pub owes_second_factor: bool,
    /// The session in which they ask. It raises their assurance to what it has shown; without one, or with one that is not
    /// theirs or has ended, it is 0.
    pub session: Option<SessionId>,
    /// What they would do; none where that is no address at all.
    pub description: Option<Description>,
}

impl Inquiry {
    /// The client's address where the service says none. It is nobody's (RFC 1122 section 3.2.1.3), so no network holds it but
    /// those of everybody: whoever must come from some network does not.
    pub const NOWHERE: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
}

/// The answer.
#[derive(Debug)]
pub struct Evaluation {
    /// None for a yes.
    pub refused: Option<Reason>,
    /// The entry that says why.
    pub entry: EntryId,
}

/// What is found out about a question on its way, for its entry.
struct Found {
    entry: EntryId,
    at: Timestamp,
    began: Instant,
    canonical: Option<Canonical>,
    app: Option<Arc<App>>,
    session: Option<SessionId>,
    decision: Option<Decision>,
}

impl Proxy {
    /// Puts the question of the service that `admitted` is of; each has its entry. `Err` is what cannot be decided now, which
    /// is no answer. A permit that comes of it ends here.
    pub async fn evaluate(&self, admitted: &Admitted, inquiry: &Inquiry) -> Result<Evaluation, Reason> {
        let (at, began) = (self.now(), Instant::now());
        let entry = self.mint(at);
        let mut found = Found { entry, at, began, canonical: None, app: None, session: None, decision: None };
        let snapshot = self.snapshot.load_full();
        self.parts.recorder.admits(&admitted.tenant().id)?;
        let refused = match self.judge(admitted, inquiry, &snapshot, &mut found).await {
            Ok(()) => None,
            Err(fault) if fault.status() >= 500 => return Err(fault),
            Err(reason) => Some(reason),
        };
        let before = found.app.as_ref().is_some_and(|app| app.spec.audit == AuditMode::Before);
        let written = found.written(admitted, inquiry, refused);
        // INVARIANT: an app whose entries come first has one before the yes too.
        if refused.is_none() && before {
            let writing = self.parts.recorder.record_before(written);
            let ended = tokio::time::timeout(snapshot.settings.limits.decision, writing).await;
            ended.ok().and_then(Result::ok).ok_or(Reason::LogUnavailable)?;
        } else {
            self.parts.recorder.record(written);
        }
        Ok(Evaluation { refused, entry })
    }

    /// INVARIANT: the address is judged before it counts who the subject is, so that nobody is told from somebody by what is
    /// said of an address.
    async fn judge(
        &self,
        admitted: &Admitted,
        inquiry: &Inquiry,
        snapshot: &Snapshot,
        found: &mut Found,
    ) -> Result<(), Reason> {
        let description = inquiry.description.as_ref().ok_or(Reason::NotFound)?;
        let (canonical, site) = forward_auth::by_service(description, snapshot, &admitted.tenant().id)?;
        let canonical = &*found.canonical.insert(canonical);
        let app = match &site.role {
            routing::SiteRole::App(app) => &*found.app.insert(Arc::clone(app)),
            routing::SiteRole::SignIn => return Err(Reason::NotFound),
        };
        let method = canonical.method().as_str();
        let nothing = || if app.model.knows(method) { Reason::NotFound } else { Reason::MethodNotAllowed };
        let target = app.model.locate(method, canonical.path()).ok_or_else(nothing)?;
        let user = inquiry.user.as_ref().ok_or(Reason::Denied)?;
        let asker = self.asker((user, inquiry.session), &site, canonical).await;
        let asker = asker.map_err(|_| Reason::StoreUnavailable)?;
        found.session = asker.session().map(|session| session.id);
        let held = match asker.session() {
            Some(_) => access::is_held(&asker, app, canonical),
            None => inquiry.owes_second_factor,
        };
        if held {
            return Err(Reason::SecondFactorRequired);
        }
        let (answer, decision) = access::decide(&site.tenant, &asker, &target, canonical, (found.entry, found.at));
        found.decision = Some(decision);
        match answer {
            Answer::Allowed(permit) => {
                // It is the service's word that it acts; ours was all that was asked for.
                drop(permit);
                Ok(())
            }
            Answer::Denied(None) => Err(Reason::Denied),
            Answer::Denied(Some(Need::SignIn)) => Err(Reason::SignInRequired),
            Answer::Denied(Some(_)) => Err(Reason::StepUpRequired),
        }
    }

    /// INVARIANT: what a service says of how a person signed in raises nothing: only a live session of that person's does.
    async fn asker(
        &self,
        (user, session): (&Arc<UserFacts>, Option<SessionId>),
        site: &Site,
        canonical: &Canonical,
    ) -> Result<Asker, StoreFault> {
        let now = self.now();
        if let Some(id) = session {
            let found = self.parts.sessions.current(&site.tenant.id, id, canonical.host(), now).await?;
            let theirs = found.filter(|session| session.user.id == user.id && session.is_live(now));
            if let Some(session) = theirs.filter(|session| session.id == id && session.tenant == site.tenant.id) {
                return Ok(Asker::Session(session));
            }
        }
        Ok(Asker::Other(Arc::new(Principal::of(&Caller::User(Arc::clone(user))))))
    }
}

impl Found {
    fn written(self, admitted: &Admitted, inquiry: &Inquiry, refused: Option<Reason>) -> Entry {
        static NOTHING: LazyLock<Arc<str>> = LazyLock::new(|| Arc::from(""));
        let canonical = self.canonical.as_ref();
        let user = inquiry.user.as_ref();
        let client = canonical.map(Canonical::client).filter(|client| *client != Inquiry::NOWHERE);
        let asked_by = match admitted.caller() {
            Caller::Workload { spiffe_id } => Arc::clone(spiffe_id),
            other => other.label().into(),
        };
        Entry {
            id: self.entry,
            at: self.at,
            tenant: Some(admitted.tenant().id.clone()),
            actor: Actor::Caller(user.map_or(Caller::Visitor, |user| Caller::User(Arc::clone(user)))),
            session: self.session,
            client: client.map(|client| Client::new(client, None)),
            event: Event::Request(Box::new(Record {
                app: self.app.map(|app| app.spec.id.clone()),
                method: canonical.map_or_else(|| NOTHING.clone(), |canonical| method_word(canonical.method())),
                host: canonical.map_or_else(|| NOTHING.clone(), |canonical| canonical.host().clone()),
                path: canonical.map_or_else(|| NOTHING.clone(), |canonical| canonical.path().clone()),
                status: refused.map_or(200, Reason::status),
                reason: refused,
                micros: u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX),
                decision: self.decision,
                by: None,
                asked_by: Some(asked_by),
                detail: user.is_none().then(|| "the subject is no active user".to_owned()),
            })),
        }
    }
}
