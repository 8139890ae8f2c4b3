//! `/groups`: which there are, and how many people are in each.

use axum::Json;
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    asked::{Asked, Filter, Nothing},
    problem::Answer,
};

/// A group of the pool.
#[derive(Debug, Serialize, ToSchema)]
struct GroupView {
    id: String,
    name: String,
    /// Groups that this one is part of.
    parents: Vec<String>,
    /// How many people are put directly into it.
    members: u64,
}

/// The tenant's groups.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct GroupPage {
    items: Vec<GroupView>,
    /// Groups fit on one page.
    next: Option<String>,
}

/// The tenant's groups.
#[utoipa::path(
    get, path = "/groups", tag = "people",
    responses((status = 200, body = GroupPage), (status = 422, description = "the list takes no parameter"))
)]
pub(super) async fn list(asked: Asked, _none: Filter<Nothing>) -> Answer<Json<GroupPage>> {
    let sizes = asked.house.store.group_sizes(asked.tenant.id()).await?;
    let items = asked.tenant.bundle.groups.values().map(|group| GroupView {
        id: group.id.to_string(),
        name: group.name.clone(),
        parents: group.parents.iter().map(ToString::to_string).collect(),
        members: sizes.get(&group.id).copied().unwrap_or_default(),
    });
    Ok(Json(GroupPage { items: items.collect(), next: None }))
}
