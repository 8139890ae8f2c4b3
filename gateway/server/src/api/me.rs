//! `GET /me`: who is asking, and how strongly signed in.

use axum::Json;
use cardea_core::Reason;
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    asked::Asked,
    problem::{Answer, Problem},
    times::text,
};

/// Who is asking.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Me {
    user: Who,
    tenant: Tenant,
    /// 1, 2 or 3.
    assurance: u8,
    /// The factors shown: `password`, `totp`, `passkey`, `recovery`, `remembered`, `email`, `oidc`, `linked`.
    factors: Vec<&'static str>,
    /// When they signed in or confirmed who they are, as policies count it: where a remembered device stood in for a factor, when
    /// that was really shown.
    signed_in_at: String,
    session_id: String,
}

/// A person.
#[derive(Debug, Serialize, ToSchema)]
struct Who {
    id: String,
    name: String,
    email: String,
}

/// A tenant.
#[derive(Debug, Serialize, ToSchema)]
struct Tenant {
    id: String,
    name: String,
    /// Whether its people are to have a second factor.
    wants_second_factor: bool,
}

/// Who one is, and how strongly signed in.
#[utoipa::path(get, path = "/me", tag = "overview", responses((status = 200, body = Me)))]
pub(super) async fn me(asked: Asked) -> Answer<Json<Me>> {
    let user = asked.user()?;
    let session =
        asked.admitted.session().ok_or_else(|| Problem::new(Reason::SignInRequired, "nobody is signed in"))?;
    let tenant = &asked.tenant.bundle.tenant;
    Ok(Json(Me {
        user: Who { id: user.id.to_string(), name: user.name.clone(), email: user.email.clone() },
        tenant: Tenant {
            id: tenant.id.to_string(),
            name: tenant.name.clone(),
            wants_second_factor: tenant.factors.want_second(),
        },
        assurance: session.assurance.level(),
        factors: session.factors.clone(),
        signed_in_at: text(session.signed_in_at),
        session_id: session.id.to_string(),
    }))
}
