//! Questions of services before they act: may this user do that? Decided as the user's own request would be, and written
//! down; nothing is forwarded.

use std::sync::Arc;

use cardea_audit::{Actor, Client, Entry, Event, Request as Record};
use cardea_core::{Caller, EntryId, Reason, SessionId, caller::UserFacts, resources::AuditMode};
use cardea_policy::{Challenge as Need, Principal};

use super::{Answer, Asker, Canonical, Proxy, Site, StoreFault, access, routing};
use crate::{Admitted, App, Description, forward_auth, story::method_word};

/// What a service asks.
#[derive(Debug)]
pub struct Inquiry {
    /// About whom.
    pub user: Arc<UserFacts>,
    /// The session in which they ask. It raises their assurance to what it has shown; without one, or with one that is not
    /// theirs or has ended, it is 0.
    pub session: Option<SessionId>,
    /// What they would do.
    pub description: Description,
}

/// The answer.
#[derive(Debug)]
pub struct Evaluation {
    /// None for a yes.
    pub refused: Option<Reason>,
    /// The entry that says why.
    pub entry: EntryId,
}

impl Proxy {
    /// Puts the question of the service that `admitted` is of. A permit that comes of it ends here.
    pub async fn evaluate(&self, admitted: &Admitted, inquiry: &Inquiry) -> Result<Evaluation, Reason> {
        let (now, began) = (self.now(), std::time::Instant::now());
        let tenant = &admitted.tenant().id;
        let snapshot = self.snapshot.load_full();
        let (canonical, site) = forward_auth::by_service(&inquiry.description, &snapshot, tenant)?;
        let app = match &site.role {
            routing::SiteRole::App(app) => Arc::clone(app),
            routing::SiteRole::SignIn => return Err(Reason::NotFound),
        };
        self.parts.recorder.admits(tenant)?;
        let asker = self.asker(inquiry, &site, &canonical).await.map_err(|_| Reason::StoreUnavailable)?;
        let method = canonical.method().as_str();
        let nothing = || if app.model.knows(method) { Reason::NotFound } else { Reason::MethodNotAllowed };
        let target = app.model.locate(method, canonical.path()).ok_or_else(nothing)?;
        let entry = self.mint(now);
        let (answer, decision) = access::decide(&site.tenant, &asker, &target, &canonical, (entry, now));
        let refused = match answer {
            Answer::Allowed(permit) => {
                // It is the service's word that it acts; ours was all that was asked for.
                drop(permit);
                None
            }
            Answer::Denied(None) => Some(Reason::Denied),
            Answer::Denied(Some(Need::SignIn)) => Some(Reason::SignInRequired),
            Answer::Denied(Some(_)) => Some(Reason::StepUpRequired),
        };
        let written = Entry {
            id: entry,
            at: now,
            tenant: Some(tenant.clone()),
            actor: Actor::Caller(Caller::User(Arc::clone(&inquiry.user))),
            session: asker.session().map(|session| session.id),
            client: Some(Client::new(canonical.client(), None)),
            event: Event::Request(Box::new(Record {
                decision: Some(decision),
                micros: u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX),
                ..record(admitted, &app, &canonical, refused)
            })),
        };
        // INVARIANT: an app whose entries come first has one before the yes too.
        if refused.is_none() && app.spec.audit == AuditMode::Before {
            let writing = self.parts.recorder.record_before(written);
            let ended = tokio::time::timeout(snapshot.settings.limits.decision, writing).await;
            ended.ok().and_then(Result::ok).ok_or(Reason::LogUnavailable)?;
        } else {
            self.parts.recorder.record(written);
        }
        Ok(Evaluation { refused, entry })
    }

    /// INVARIANT: what a service says of a person's circumstances raises nothing: only a live session of that person's does.
    async fn asker(&self, inquiry: &Inquiry, site: &Site, canonical: &Canonical) -> Result<Asker, StoreFault> {
        let now = self.now();
        if let Some(id) = inquiry.session {
            let found = self.parts.sessions.current(&site.tenant.id, id, canonical.host(), now).await?;
            let theirs = found.filter(|session| session.user.id == inquiry.user.id && session.is_live(now));
            if let Some(session) = theirs.filter(|session| session.id == id && session.tenant == site.tenant.id) {
                return Ok(Asker::Session(session));
            }
        }
        Ok(Asker::Other(Arc::new(Principal::of(&Caller::User(Arc::clone(&inquiry.user))))))
    }
}

fn record(admitted: &Admitted, app: &App, canonical: &Canonical, refused: Option<Reason>) -> Record {
    let asked_by = match admitted.caller() {
        Caller::Workload { spiffe_id } => Some(Arc::clone(spiffe_id)),
        other => Some(other.label().into()),
    };
    Record {
        app: Some(app.spec.id.clone()),
        method: method_word(canonical.method()),
        host: Arc::clone(canonical.host()),
        path: Arc::clone(canonical.path()),
        status: refused.map_or(200, Reason::status),
        reason: refused,
        micros: 0,
        decision: None,
        asked_by,
        detail: None,
    }
}
