//! `GET /overview`: how the tenant stands, in a few numbers.

use std::time::Duration;

use axum::Json;
use cardea_identity::Status;
use cardea_policy::built_in;
use serde::Serialize;
use utoipa::ToSchema;

use super::{asked::Asked, problem::Answer, times::text};

/// How the tenant stands.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Overview {
    people: People,
    /// Sessions that are live.
    sessions: u64,
    apps: usize,
    policy: PolicyFacts,
    last_day: Verdicts,
}

/// People by status.
#[derive(Debug, Serialize, ToSchema)]
struct People {
    active: u64,
    invited: u64,
    suspended: u64,
    /// Active people who have a password and nothing else.
    without_second_factor: u64,
}

/// The policy set in force.
#[derive(Debug, Serialize, ToSchema)]
struct PolicyFacts {
    version: u64,
    author: Option<String>,
    at: Option<String>,
    files: usize,
    tests: usize,
}

/// How requests to the tenant's apps ended in the last 24 hours; those to Cardea's own pages are left out.
#[derive(Debug, Serialize, ToSchema)]
struct Verdicts {
    allowed: u64,
    denied: u64,
    challenged: u64,
    /// Those that a fault of ours or of a service ended.
    faulted: u64,
}

const DAY: Duration = Duration::from_secs(24 * 3600);

/// How the tenant stands.
#[utoipa::path(get, path = "/overview", tag = "overview", responses((status = 200, body = Overview)))]
pub(super) async fn overview(asked: Asked) -> Answer<Json<Overview>> {
    let (house, id, now) = (&asked.house, asked.tenant.id(), asked.house.now());
    let counts = house.store.user_counts(id).await?;
    let of = |status: Status| counts.get(status.as_str()).copied().unwrap_or_default();
    let last = house.store.active_policies(id).await?;
    let day = house.store.verdict_counts(id, now.minus(DAY), &built_in::apps()).await?;
    let policies = &asked.tenant.bundle.policies;
    Ok(Json(Overview {
        people: People {
            active: of(Status::Active),
            invited: of(Status::Invited),
            suspended: of(Status::Suspended),
            without_second_factor: house.store.users_with_password_only(id).await?,
        },
        sessions: house.shared.session_count(id, now).await?,
        apps: asked.tenant.bundle.apps.len(),
        policy: PolicyFacts {
            version: asked.tenant.policy.version,
            author: last.as_ref().map(|(version, _)| version.author.clone()),
            at: last.as_ref().map(|(version, _)| text(version.at)),
            files: policies.policies.len(),
            tests: policies.tests.len(),
        },
        last_day: Verdicts {
            allowed: day.allowed,
            denied: day.denied,
            challenged: day.challenged,
            faulted: day.faulted,
        },
    }))
}
