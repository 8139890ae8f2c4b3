//! `/users/import`: people from a CSV file.
#![allow(unused_qualifications, reason = "the macro that describes query parameters writes its own paths")]

use axum::Json;
use bytes::Buf;
use cardea_core::{Diagnostic, Diagnostics};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    asked::{Asked, Csv, Filter},
    problem::{Answer, Problem},
    users::UserView,
};
use crate::house::{Added, Imported, Importing};

/// How a file is to be taken.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct ImportFilter {
    /// Take the good rows though others are wrong.
    #[serde(default)]
    partial: bool,
    /// Change nothing, and tell what would be added.
    #[serde(default)]
    dry_run: bool,
    /// Make an invitation for each who is added.
    #[serde(default)]
    links: bool,
}

/// What came of a file.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ImportView {
    /// Whether it was taken; not so where it was only tried.
    applied: bool,
    /// Who was added, or would be.
    added: Vec<AddedView>,
    /// How many were there already, just as the file says.
    unchanged: u64,
    /// How many rows were left out.
    refused: u64,
    /// What is wrong with them, with their lines; the first thousand.
    #[schema(value_type = Vec<Object>)]
    diagnostics: Vec<Diagnostic>,
}

/// A person of the file.
#[derive(Debug, Serialize, ToSchema)]
struct AddedView {
    /// The line of the file.
    line: u64,
    user: UserView,
    /// To be sent to the person; shown this once, good for three days.
    #[serde(skip_serializing_if = "Option::is_none")]
    invitation_url: Option<String>,
}

/// Add people from a CSV file with the columns `email`, `name` and `groups`, the last divided by `;`. Nothing is changed
/// where a row is wrong, unless `partial` says so. Whoever is there as the file says is left alone, so it may be sent again.
#[utoipa::path(
    post, path = "/users/import", tag = "people", params(ImportFilter),
    request_body(content = String, content_type = "text/csv"),
    responses(
        (status = 200, body = ImportView),
        (status = 413, description = "the file is larger than `own_body_bytes`: send it in parts, or import it at the machine"),
        (status = 422, description = "a row is wrong: `diagnostics` says which and why"),
    )
)]
pub(super) async fn import(
    asked: Asked,
    Filter(how): Filter<ImportFilter>,
    Csv(file): Csv,
) -> Answer<Json<ImportView>> {
    let ImportFilter { partial, dry_run, links } = how;
    let how = Importing { partial, dry_run, links };
    let came = asked.house.import_users(&asked.tenant, ("people.csv", file.reader()), how, &asked.doer()?).await?;
    if came.is_refused(how) {
        return Err(refusal(came.refused, came.mistakes));
    }
    let Imported { added, unchanged, refused, mistakes, applied } = came;
    let view = |Added { line, user, invited }| AddedView {
        line,
        user: UserView::bare(user),
        invitation_url: invited.map(|invited| invited.url),
    };
    let added = added.into_iter().map(view).collect();
    Ok(Json(ImportView { applied, added, unchanged, refused, diagnostics: mistakes.0 }))
}

fn refusal(refused: u64, mistakes: Diagnostics) -> Problem {
    let rows = if refused == 1 { "a row is wrong" } else { "rows are wrong" };
    Problem::bad(format!("{rows}, and nothing was changed")).diagnostics(mistakes)
}
