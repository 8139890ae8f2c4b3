//! `/policies`: read, checked, activated by compare-and-set, and brought back. A set takes effect only if it validates
//! and its own tests pass.
#![allow(unused_qualifications, reason = "the macro that describes query parameters writes its own paths")]

mod judged;

use std::{str::FromStr, sync::Arc};

use axum::Json;
use cardea_audit::{Event, PolicyRef};
use cardea_core::{
    Diagnostic, Reason,
    resources::{PolicySet, PolicyText, TestSpec},
};
use cardea_policy::TestOutcome;
use cardea_storage::{Activation, NewVersion, Version};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    asked::{Asked, Filter, Named, Sent},
    problem::{Answer, Problem},
    times::text,
};
use crate::house::{Doer, with_causes};
use judged::{Judged, judged};

/// A set of policies with their tests.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SetBody {
    #[schema(value_type = Vec<Object>)]
    policies: Vec<PolicyText>,
    #[serde(default)]
    #[schema(value_type = Vec<Object>)]
    tests: Vec<TestSpec>,
}

/// A set that is to take effect.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewSet {
    #[schema(value_type = Vec<Object>)]
    policies: Vec<PolicyText>,
    #[serde(default)]
    #[schema(value_type = Vec<Object>)]
    tests: Vec<TestSpec>,
    /// What changes, and why.
    #[serde(default)]
    note: String,
    /// The version that this one was made from; must still be active.
    base_version: u64,
}

/// The set in force.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Active {
    active: VersionedSet,
}

/// One version with its texts.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct VersionedSet {
    #[serde(flatten)]
    version: VersionView,
    #[schema(value_type = Vec<Object>)]
    policies: Vec<PolicyText>,
    #[schema(value_type = Vec<Object>)]
    tests: Vec<TestSpec>,
}

/// One version.
#[derive(Debug, Serialize, ToSchema)]
struct VersionView {
    version: u64,
    /// The hash over the texts.
    hash: String,
    author: String,
    at: String,
    note: String,
    active: bool,
}

/// Versions, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct VersionPage {
    items: Vec<VersionView>,
    next: Option<String>,
}

/// Where a list begins, and how long it is.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Page {
    /// The `next` of the page before.
    cursor: Option<String>,
    /// At most so many, up to 200; 50 where not given.
    limit: Option<u32>,
}

/// What was found in a set.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CheckedView {
    /// Mistakes, with their places in the texts.
    #[schema(value_type = Vec<Object>)]
    diagnostics: Vec<Diagnostic>,
    /// How its tests went; none ran where there are mistakes.
    #[schema(value_type = Vec<Object>)]
    tests: Vec<TestOutcome>,
}

/// The version that decides now.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Activated {
    version: u64,
}

/// The schema that policies are validated against.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Schema {
    /// In Cedar's human syntax.
    text: String,
}

impl From<Version> for VersionView {
    fn from(version: Version) -> Self {
        Self {
            version: version.version,
            hash: version.hash,
            author: version.author,
            at: text(version.at),
            note: version.note,
            active: version.active,
        }
    }
}

impl VersionedSet {
    fn of((version, set): (Version, PolicySet)) -> Self {
        Self { version: version.into(), policies: set.policies, tests: set.tests }
    }
}

/// The policies in force.
#[utoipa::path(get, path = "/policies", tag = "policies", responses((status = 200, body = Active)))]
pub(super) async fn active(asked: Asked) -> Answer<Json<Active>> {
    let found = asked.house.store.active_policies(asked.tenant.id()).await?;
    let active = found.map_or_else(
        || VersionedSet {
            version: VersionView {
                version: 0,
                hash: String::new(),
                author: String::new(),
                at: text(asked.house.now()),
                note: String::new(),
                active: true,
            },
            policies: Vec::new(),
            tests: Vec::new(),
        },
        VersionedSet::of,
    );
    Ok(Json(Active { active }))
}

/// The generated schema.
#[utoipa::path(get, path = "/policies/schema", tag = "policies", responses((status = 200, body = Schema)))]
pub(super) async fn schema(asked: Asked) -> Answer<Json<Schema>> {
    Ok(Json(Schema { text: asked.tenant.engine.schema().to_owned() }))
}

/// Check a set without keeping it.
#[utoipa::path(
    post, path = "/policies/check", tag = "policies", request_body = SetBody, responses((status = 200, body = CheckedView))
)]
pub(super) async fn check(asked: Asked, Sent(set): Sent<SetBody>) -> Answer<Json<CheckedView>> {
    let set = PolicySet { policies: set.policies, tests: set.tests };
    let view = match judged(&asked, &set).await? {
        Ok(found) => CheckedView { diagnostics: Vec::new(), tests: found.tests },
        Err(found) => CheckedView { diagnostics: found.0, tests: Vec::new() },
    };
    Ok(Json(view))
}

/// Make a set the one that decides, if its base still does.
#[utoipa::path(
    post, path = "/policies/activate", tag = "policies", request_body = NewSet,
    responses(
        (status = 201, body = Activated),
        (status = 409, description = "another version was activated, or the resources were changed, in the meantime"),
        (status = 422, description = "the set has mistakes, or a test fails")
    )
)]
pub(super) async fn activate(asked: Asked, Sent(new): Sent<NewSet>) -> Answer<(StatusCode, Json<Activated>)> {
    let doer = asked.doer()?;
    let mut set = PolicySet { policies: new.policies, tests: new.tests };
    set.policies.sort_by(|a, b| a.name.cmp(&b.name));
    let Judged { hash, ground, .. } = fit_to_decide(&asked, &set, &doer).await?;
    let author = doer.name();
    let version = NewVersion { set: &set, hash: &hash, author: &author, note: new.note.trim() };
    let base = Some(new.base_version).filter(|version| *version > 0);
    let house = &asked.house;
    let done = house.store.activate_new(asked.tenant.id(), version, base, &ground, house.now()).await?;
    let version = finished(&asked, &doer, done, hash, new.note.trim()).await?;
    Ok((StatusCode::CREATED, Json(Activated { version })))
}

/// What was found of a set that may decide; else a problem that says what is wrong, and an entry.
async fn fit_to_decide(asked: &Asked, set: &PolicySet, doer: &Doer) -> Answer<Judged> {
    let refused = |detail: &str| {
        let event = Event::PolicyRefused { reason: Reason::PolicyInvalid, detail: detail.to_owned() };
        asked.house.note(asked.tenant.id(), doer, event);
        Problem::new(Reason::PolicyInvalid, detail)
    };
    match judged(asked, set).await? {
        Err(found) => {
            let first = found.0.first().map(ToString::to_string).unwrap_or_default();
            Err(refused(&first).diagnostics(found))
        }
        Ok(found) => match found.tests.iter().find(|test| !test.passed) {
            Some(failed) => Err(refused(&format!("test `{}` fails", failed.name)).tests(found.tests)),
            None => Ok(found),
        },
    }
}

async fn finished(asked: &Asked, doer: &Doer, done: Activation, hash: String, note: &str) -> Answer<u64> {
    let (house, tenant) = (&asked.house, asked.tenant.id());
    let conflict = |detail: String| {
        let event = Event::PolicyRefused { reason: Reason::Conflict, detail: detail.clone() };
        house.note(tenant, doer, event);
        Problem::new(Reason::Conflict, detail)
    };
    match done {
        Activation::Active { version, before } => {
            let policy = PolicyRef { version, hash: Arc::from(hash) };
            house.record(tenant, doer, Event::PolicyActivated { policy, before, note: note.to_owned() }).await?;
            let late = || Problem::new(Reason::Internal, "the policies are kept, but not in force yet");
            house.load_state().await.map_err(|fault| {
                tracing::error!(error = %with_causes(&fault), "the activated policies cannot be loaded");
                late()
            })?;
            if house.state.load().behind.contains_key(tenant) { Err(late()) } else { Ok(version) }
        }
        Activation::BaseMoved { active } => {
            let detail =
                active.map_or_else(|| "no version is active".to_owned(), |now| format!("version {now} is active now"));
            Err(conflict(detail).active_version(active))
        }
        Activation::GroundMoved => {
            Err(conflict("apps, groups or guard-rails were changed in the meantime: try again".to_owned()))
        }
        Activation::Unknown => Err(Problem::not_found("policy version")),
    }
}

/// All versions, newest first.
#[utoipa::path(
    get, path = "/policies/versions", tag = "policies", params(Page), responses((status = 200, body = VersionPage))
)]
pub(super) async fn versions(asked: Asked, Filter(page): Filter<Page>) -> Answer<Json<VersionPage>> {
    let before = match page.cursor.as_deref().filter(|text| !text.is_empty()) {
        Some(text) => Some(u64::from_str(text).map_err(|_| Problem::bad(format!("`{text}` is not a cursor")))?),
        None => None,
    };
    let limit = page.limit.unwrap_or(50).clamp(1, 200);
    let found = asked.house.store.policy_versions(asked.tenant.id(), before, limit).await?;
    let full = u32::try_from(found.len()).is_ok_and(|count| count == limit);
    let next = found.last().filter(|last| full && last.version > 1).map(|last| last.version.to_string());
    Ok(Json(VersionPage { items: found.into_iter().map(VersionView::from).collect(), next }))
}

/// One version with its texts.
#[utoipa::path(
    get, path = "/policies/versions/{version}", tag = "policies", params(("version" = u64, Path)),
    responses((status = 200, body = VersionedSet), (status = 404, description = "there is no such version"))
)]
pub(super) async fn version(asked: Asked, Named(version): Named<u64>) -> Answer<Json<VersionedSet>> {
    let found = asked.house.store.policy_version(asked.tenant.id(), version).await?;
    found.map(VersionedSet::of).map(Json).ok_or_else(|| Problem::not_found("policy version"))
}

/// Make a kept version decide again.
#[utoipa::path(
    post, path = "/policies/versions/{version}/activate", tag = "policies", params(("version" = u64, Path)),
    responses(
        (status = 200, body = Activated),
        (status = 404, description = "there is no such version"),
        (status = 409, description = "another version was activated, or the resources were changed, in the meantime"),
        (status = 422, description = "the version does not fit today's apps and groups, or a test fails")
    )
)]
pub(super) async fn activate_again(asked: Asked, Named(version): Named<u64>) -> Answer<Json<Activated>> {
    let doer = asked.doer()?;
    let house = &asked.house;
    let found = house.store.policy_version(asked.tenant.id(), version).await?;
    let (_, set) = found.ok_or_else(|| Problem::not_found("policy version"))?;
    let Judged { hash, ground, .. } = fit_to_decide(&asked, &set, &doer).await?;
    let done = house.store.activate_again(asked.tenant.id(), version, ground.version, &ground, house.now()).await?;
    let note = format!("back to version {version}");
    finished(&asked, &doer, done, hash, &note).await.map(|version| Json(Activated { version }))
}
