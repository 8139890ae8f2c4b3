//! `GET /sessions`, `POST /sessions/{id}/end`, `POST /sessions/end-others`: where the person is signed in, and ending it there.

use axum::{
    extract::{Path, Query, rejection::QueryRejection},
    response::Response,
};
use cardea_core::{Reason, SessionId};
use cardea_identity::{Session, session::EndReason};
use serde::Deserialize;

use super::{
    devices,
    visit::{Failed, Visit, see_other},
};
use crate::pages::{Page, SessionRow, Sessions, when::When};

#[derive(Debug, Default, Deserialize)]
pub(super) struct Shown {
    done: Option<String>,
}

/// Lists the person's sessions, this one first.
pub(super) async fn show(visit: Visit, shown: Result<Query<Shown>, QueryRejection>) -> Response {
    let done = shown.ok().and_then(|Query(shown)| shown.done);
    let words = &visit.look.w.sessions;
    let done = match done.as_deref() {
        Some("ended") => Some(words.done_ended.to_string()),
        Some("others") => Some(words.done_others.to_string()),
        Some("forgotten") => Some(words.done_forgotten.to_string()),
        _ => None,
    };
    let result = list(&visit, done).await;
    visit.answer(result)
}

async fn list(visit: &Visit, done: Option<String>) -> Result<Response, Failed> {
    let now = visit.now();
    let rules = &visit.tenant.bundle.tenant.session;
    let mut open = visit.house.shared.sessions_of_user(visit.tenant_id(), visit.user_id(), now).await?;
    open.retain(|session| session.id == visit.live.id || now.since(session.last_seen) < rules.idle(session.assurance));
    open.sort_by_key(|session| (session.id != visit.live.id, std::cmp::Reverse(session.last_seen)));
    let sessions = open.iter().map(|session| row(visit, session)).collect();
    let devices = devices::rows(visit).await?;
    Ok(Sessions { look: &visit.look, person: visit.person(), sessions, devices, done }.respond())
}

fn row(visit: &Visit, session: &Session) -> SessionRow {
    let current = session.id == visit.live.id;
    SessionRow {
        id: session.id.to_string(),
        current,
        browser: visit.look.w.browser(&session.agent),
        address: session.client.map(|address| address.to_string()).unwrap_or_default(),
        assurance: session.assurance.level(),
        since: When::new(session.shown_at(), visit.now()),
        seen: (!current).then(|| When::new(session.last_seen, visit.now())),
    }
}

/// Ends one of the person's own sessions.
pub(super) async fn end(visit: Visit, Path(id): Path<String>) -> Response {
    let result = end_own(&visit, &id).await;
    visit.answer(result)
}

async fn end_own(visit: &Visit, id: &str) -> Result<Response, Failed> {
    let doer = visit.doer()?;
    let id = SessionId::parse(id).map_err(|_| Failed::Refused(Reason::NotFound))?;
    let session = visit.house.shared.session(visit.tenant_id(), id).await?;
    // INVARIANT: a session of somebody else is as if it were not there.
    let own = session.filter(|session| session.user == visit.user_id());
    if own.is_none() {
        return Err(Failed::Refused(Reason::NotFound));
    }
    visit.house.end_session(visit.tenant_id(), id, EndReason::SignedOut, &doer).await?;
    if id != visit.live.id {
        // Thrown out from elsewhere: it may have been a stranger's.
        visit.house.end_grants_given_in(visit.tenant_id(), visit.user_id(), |given| given == id).await?;
    }
    Ok(see_other("/sessions?done=ended"))
}

/// Ends all of the person's sessions but this one, and forgets their devices but this one.
pub(super) async fn end_others(visit: Visit) -> Response {
    let result = end_all_others(&visit).await;
    visit.answer(result)
}

async fn end_all_others(visit: &Visit) -> Result<Response, Failed> {
    let (doer, spared) = (visit.doer()?, Some(visit.live.id));
    let (tenant, user, why) = (visit.tenant_id(), visit.user_id(), EndReason::SignedOut);
    // First what opens the door.
    let here = devices::key_here(visit);
    visit.house.forget_devices(tenant, user, |key, _| Some(*key) != here, (why.as_str(), &doer)).await?;
    visit.house.end_sessions_of_user(tenant, user, spared, why, &doer).await?;
    Ok(see_other("/sessions?done=others"))
}
