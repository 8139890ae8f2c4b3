//! The app host's side of a sign-in: the session arrives by a one-time code, and says who it is of.

use axum::{
    Json,
    extract::Query,
    http::header,
    response::{IntoResponse as _, Response},
};
use cardea_core::{Caller, Reason, caller::UserFacts, resources::Claim};
use cardea_identity::{HandleRecord, Ticket, cookie, hand_over::HandOver, one_time::Purpose, return_to::local_path};
use cardea_proxy::SiteRole;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::visit::{No, SetCookie, Visit, see_other};
use crate::House;

/// The query of `GET /.cardea/callback`.
#[derive(Debug, Deserialize)]
pub(super) struct Arrival {
    code: String,
    to: String,
}

/// `GET /.cardea/callback`: opens the session on this host, in the browser that began here, once.
pub(super) async fn receive(visit: Visit, Query(arrival): Query<Arrival>) -> Response {
    visit.answer(received(&visit, &arrival).await)
}

async fn received(visit: &Visit, arrival: &Arrival) -> Result<Response, No> {
    visit.doer()?;
    let path = local_path(&arrival.to).map_err(|_| Reason::ForeignReturn)?;
    let code = Ticket::parse(&arrival.code).map_err(|_| Reason::CodeSpent)?;
    let House { shared, entropy, .. } = &*visit.house;
    let (purpose, hash) = (Purpose::HandOver, code.hash());
    let kept = shared.peek(visit.id(), purpose, &hash, visit.now).await?.ok_or(Reason::CodeSpent)?;
    let sealer = &visit.house.sealer(visit.id()).await?;
    let value: HandOver = kept.open(purpose, visit.id(), sealer, visit.now).map_err(|_| Reason::CodeSpent)?;
    let ticket = visit.ticket();
    let session = value.accept(visit.host(), ticket.as_ref()).map_err(|no| {
        tracing::warn!(tenant = %visit.id(), host = visit.host(), error = %no, "a hand-over was refused");
        Reason::SignInExpired
    })?;
    // Only the browser that began here spends it: whoever else learns the address could keep a person from arriving. Of
    // two such visits one takes it.
    shared.take(visit.id(), purpose, &hash, visit.now).await?.ok_or(Reason::CodeSpent)?;
    let session = shared.session(visit.id(), session).await?.ok_or(Reason::SessionEnded)?;
    if session.ended.is_some() || visit.now >= session.expires {
        return Err(Reason::SessionEnded.into());
    }
    let (handle, record) = HandleRecord::issue(&session, visit.host(), visit.now, &**entropy);
    shared.handle_insert(&record, &session).await?;
    let set = SetCookie::new(cookie::set_handle(&handle, visit.house.is_secure()));
    Ok(visit.drop_flow().on(set.on(see_other(path))))
}

/// `GET /.cardea/session`: who am I, for the app's own pages. They are told what the app is told, and no more: whatever
/// scripts an app lets onto its pages can ask here.
pub(super) async fn who_am_i(visit: Visit) -> Response {
    let body = match (visit.admitted.caller(), visit.admitted.session()) {
        (Caller::User(user), Some(session)) => json!({
            "signed_in": true,
            "user": person(user, &visit.admitted.site().role),
            "assurance": session.assurance,
            "factors": session.factors,
            "signed_in_at": session.signed_in_at.to_string(),
            "expires_at": session.ends_at.to_string(),
        }),
        _ => json!({ "signed_in": false }),
    };
    ([(header::CACHE_CONTROL, "no-store")], Json(body)).into_response()
}

/// The person, as far as the app's assertion or headers tell of her; our own pages may know all.
pub(super) fn person(user: &UserFacts, role: &SiteRole) -> Map<String, Value> {
    let told = |claim| match role {
        SiteRole::App(app) => app.spec.claims.contains(&claim) || app.spec.headers.values().any(|own| *own == claim),
        SiteRole::SignIn => true,
    };
    let claims = [
        (Claim::Email, "email", json!(user.email)),
        (Claim::Name, "name", json!(user.name)),
        (Claim::Groups, "groups", json!(user.groups)),
    ];
    let known = claims.into_iter().filter(|(claim, ..)| told(*claim)).map(|(_, name, value)| (name.to_owned(), value));
    std::iter::once(("id".to_owned(), json!(user.id))).chain(known).collect()
}
