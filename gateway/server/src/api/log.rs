//! `/log`: entries found, and one told with its decision.
#![allow(unused_qualifications, reason = "the macro that describes query parameters writes its own paths")]

use axum::Json;
use cardea_audit::{Entry, Event};
use cardea_core::{EntryId, Reason};
use cardea_storage::{LogQuery, Logged};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::{
    asked::{Asked, Filter, Named},
    problem::{Answer, Problem},
    times,
};
use crate::{
    explaining::{self, Untold},
    house::Busy,
};

/// Which entries to list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct LogFilter {
    /// An event's code, such as `request`; several with commas.
    event: Option<String>,
    /// An app.
    app: Option<String>,
    /// A caller's label: `user:<id>`, `visitor`, `operator`.
    caller: Option<String>,
    /// A reason's code, such as `denied`.
    reason: Option<String>,
    /// `allow`, `deny` or `challenge`.
    verdict: Option<String>,
    /// A text that stands in the entry.
    query: Option<String>,
    /// The `next` of the page before.
    cursor: Option<String>,
    /// At most so many, up to 500; 50 where not given.
    limit: Option<u32>,
}

/// A page of entries, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct LogPageView {
    /// Entries as they stand in the log, with `seq`, their place there.
    #[schema(value_type = Vec<Object>)]
    items: Vec<Value>,
    /// To be sent as `cursor` for the next page.
    next: Option<String>,
}

/// One entry and its decision.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Told {
    #[schema(value_type = Object)]
    entry: Value,
    /// The other entry of the same request, for an app that wants one before the request is forwarded: the end of an
    /// admission, or the admission of an end.
    #[schema(value_type = Option<Object>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    other: Option<Value>,
    /// The decision, put again to the policy set that made it; absent where none was made.
    #[schema(value_type = Option<Object>)]
    explanation: Option<Value>,
    /// Why a decision that was made cannot be told again.
    #[serde(skip_serializing_if = "Option::is_none")]
    untold: Option<String>,
}

const PAGE: u32 = 50;

/// The longest text that is looked for, in characters.
const LONGEST: usize = 100;

/// An entry as the API writes it.
fn view(logged: &Logged) -> Answer<Value> {
    let broken = |_| Problem::new(Reason::Internal, format!("entry {} cannot be read", logged.seq));
    let mut value: Value = serde_json::from_slice(&logged.body).map_err(broken)?;
    times::rewrite(&mut value);
    if let Value::Object(fields) = &mut value {
        fields.insert("seq".to_owned(), logged.seq.into());
    }
    Ok(value)
}

/// Find entries.
#[utoipa::path(
    get, path = "/log", tag = "log", params(LogFilter),
    responses(
        (status = 200, body = LogPageView),
        (status = 422, description = "the search asks for too much: a shorter text, fewer events"),
        (status = 504, description = "the search took too long: ask for less")
    )
)]
pub(super) async fn list(asked: Asked, Filter(filter): Filter<LogFilter>) -> Answer<Json<LogPageView>> {
    let said = |text: Option<String>| text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    let cursor = match said(filter.cursor) {
        Some(text) => Some(text.parse().map_err(|_| Problem::bad(format!("`{text}` is not a cursor")))?),
        None => None,
    };
    // What is looked for costs its length in every byte of the log.
    if filter.query.as_ref().is_some_and(|text| text.chars().count() > LONGEST) {
        return Err(Problem::bad(format!("`query` is longer than {LONGEST} characters: look for less")));
    }
    if filter.event.as_ref().is_some_and(|text| text.split(',').count() > Event::CODES.len()) {
        return Err(Problem::bad("`event` names more events than there are"));
    }
    let events = said(filter.event).map(|text| text.split(',').map(|one| one.trim().to_owned()).collect());
    let query = LogQuery {
        events: events.unwrap_or_default(),
        app: said(filter.app),
        caller: said(filter.caller),
        reason: said(filter.reason),
        verdict: said(filter.verdict),
        text: said(filter.query),
        cursor,
        limit: filter.limit.unwrap_or(PAGE).clamp(1, 500),
        ..LogQuery::default()
    };
    let _turn = if query.is_search() { Some(asked.house.searching.turn(asked.tenant.id()).await?) } else { None };
    let page = asked.house.store.log(Some(asked.tenant.id()), &query).await?;
    let items = page.items.iter().map(view).collect::<Answer<_>>()?;
    Ok(Json(LogPageView { items, next: page.next.map(|next| next.to_string()) }))
}

/// One entry; where it holds a decision, that decision explained.
#[utoipa::path(
    get, path = "/log/{id}", tag = "log", params(("id" = String, Path)),
    responses((status = 200, body = Told), (status = 404, description = "there is no such entry"))
)]
pub(super) async fn one(asked: Asked, Named(id): Named<EntryId>) -> Answer<Json<Told>> {
    let logged = asked.house.store.log_entry(Some(asked.tenant.id()), id).await?;
    let logged = logged.ok_or_else(|| Problem::not_found("entry"))?;
    let entry = Entry::read(&logged.body).map_err(|error| Problem::new(Reason::Internal, error.to_string()))?;
    let (house, state) = (&asked.house, asked.house.state.load_full());
    let (explanation, untold) = match explaining::entry(&house.store, &state, &house.judging, &entry).await {
        Ok(told) => (told.and_then(|told| serde_json::to_value(told).ok()), None),
        // What decided then may be gone; the entry itself stands.
        Err(Untold::Unknown(why)) => (None, Some(why)),
        Err(Untold::Busy) => return Err(Busy.into()),
        Err(Untold::Store(fault)) => return Err(fault.into()),
    };
    let other = house.store.other_half(Some(asked.tenant.id()), &entry).await?;
    let other = other.as_ref().map(view).transpose()?;
    Ok(Json(Told { entry: view(&logged)?, other, explanation, untold }))
}
