//! `/users/{id}/sessions`: ended by an administrator, one or all.

use cardea_core::{SessionId, UserId};
use cardea_identity::session::EndReason;
use http::StatusCode;

use super::{
    asked::{Asked, Named},
    problem::{Answer, Problem},
};

/// End every session of a person, and forget the devices that are remembered.
#[utoipa::path(
    delete, path = "/users/{id}/sessions", tag = "people", params(("id" = String, Path)),
    responses((status = 204), (status = 404, description = "there is no such user"))
)]
pub(super) async fn end_all(asked: Asked, Named(id): Named<UserId>) -> Answer<StatusCode> {
    let (house, tenant) = (&asked.house, asked.tenant.id());
    house.store.user(tenant, id).await?.ok_or_else(|| Problem::not_found("user"))?;
    house.end_sessions_of_user(tenant, id, None, EndReason::Administrator, &asked.doer()?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// End one session of a person.
#[utoipa::path(
    delete, path = "/users/{id}/sessions/{session}", tag = "people",
    params(("id" = String, Path), ("session" = String, Path)),
    responses((status = 204), (status = 404, description = "there is no such session"))
)]
pub(super) async fn end_one(asked: Asked, Named((id, session)): Named<(UserId, SessionId)>) -> Answer<StatusCode> {
    let (house, tenant) = (&asked.house, asked.tenant.id());
    let theirs = house.shared.session(tenant, session).await?.is_some_and(|found| found.user == id);
    if !theirs {
        return Err(Problem::not_found("session"));
    }
    house.end_session(tenant, session, EndReason::Administrator, &asked.doer()?).await?;
    Ok(StatusCode::NO_CONTENT)
}
