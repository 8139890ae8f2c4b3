//! `/users/{id}/accounts`: a person's accounts at providers, seen with the person, and unlinked by an administrator.

use cardea_core::{Reason, UserId};
use cardea_identity::LinkedAccount;
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    asked::{Asked, Named},
    problem::{Answer, Problem},
    times::text,
};

/// An account at a provider by which a person signs in.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AccountView {
    id: String,
    provider: String,
    /// Who the person is to the provider.
    subject: String,
    /// Whether the person linked it themselves; else the provider's word brought them.
    own: bool,
    linked_at: String,
    last_used_at: Option<String>,
}

impl From<&LinkedAccount> for AccountView {
    fn from(account: &LinkedAccount) -> Self {
        Self {
            id: account.id().to_string(),
            provider: account.identity.provider.to_string(),
            subject: account.identity.subject.clone(),
            own: !account.is_brought(),
            linked_at: text(account.linked),
            last_used_at: account.used.map(text),
        }
    }
}

/// Unlink a person's account at a provider, and end the sessions that rest on it. Whoever had no other way in is invited from now on.
#[utoipa::path(
    delete, path = "/users/{id}/accounts/{account}", tag = "people",
    params(("id" = String, Path), ("account" = String, Path)),
    responses(
        (status = 204),
        (status = 404, description = "there is no such account"),
        (status = 409, description = "one's own"),
    )
)]
pub(super) async fn unlink(asked: Asked, Named((id, account)): Named<(UserId, String)>) -> Answer<StatusCode> {
    if asked.user()?.id == id {
        return Err(Problem::new(Reason::Conflict, "your own accounts are in your portal: unlink them there"));
    }
    asked.house.unlink_account(&asked.tenant, id, &account, &asked.doer()?).await?;
    Ok(StatusCode::NO_CONTENT)
}
