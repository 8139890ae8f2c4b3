//! What answers at which address. Whether a caller may do it, the gateway has decided; here only the records' own rules
//! hold: a caller must be asserted, and nobody approves what they wrote.

use std::{convert::Infallible, sync::Arc};

use axum::{
    Router,
    extract::{FromRequestParts, Path, Request, State},
    http::{HeaderMap, StatusCode, header, request::Parts},
    middleware::{Next, from_fn},
    response::{IntoResponse, Redirect, Response, Sse, sse},
    routing::{get, post},
};
use futures_util::Stream;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast::error::RecvError;

use super::{
    Caller, Options, Refusal, Store,
    data::{Approval, Failed},
    pages::{AboutPage, Frame, MessagePage, RecordPage, StudiesPage, StudyPage, show},
    socket,
};

pub(super) struct Service {
    pub(super) store: Arc<Store>,
    options: Options,
}

pub(super) fn router(store: Arc<Store>, options: Options) -> Router {
    Router::new()
        .route("/", get(|| async { Redirect::to("/studies") }))
        .route("/about", get(about))
        .route("/studies", get(studies))
        .route("/studies/{study}", get(study))
        .route("/studies/{study}/records", get(study).post(create))
        .route("/studies/{study}/records/{record}", get(record))
        .route("/studies/{study}/records/{record}/approve", post(approve))
        .route("/events", get(events))
        .route("/ws", get(socket::open))
        .fallback(|| async { problem(StatusCode::NOT_FOUND, "there is nothing at this address") })
        .layer(from_fn(same_origin))
        .with_state(Arc::new(Service { store, options }))
}

/// Refuses what a page of another site sends (a second lock behind the gateway's).
async fn same_origin(request: Request, next: Next) -> Response {
    let site = request.headers().get("sec-fetch-site").map(|value| value.as_bytes());
    if request.method().is_safe() || matches!(site, None | Some(b"same-origin" | b"none")) {
        return next.run(request).await;
    }
    problem(StatusCode::FORBIDDEN, "the request comes from another site")
}

/// A caller whom the gateway asserts; without one there is no answer.
pub(super) struct Asserted(pub(super) Caller);

impl FromRequestParts<Arc<Service>> for Asserted {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, service: &Arc<Service>) -> Result<Self, Response> {
        match service.caller(&parts.headers).await {
            Ok(Some(caller)) => Ok(Self(caller)),
            Ok(None) => Err(problem(StatusCode::UNAUTHORIZED, "the request carries no assertion")),
            Err(Refusal::Invalid(why)) => {
                tracing::warn!(%why, "an assertion was refused");
                Err(problem(StatusCode::UNAUTHORIZED, "the assertion does not verify"))
            }
            Err(Refusal::NoKeys(error)) => {
                tracing::warn!(error = %format!("{error:#}"), "the gateway's keys cannot be had");
                Err(problem(StatusCode::SERVICE_UNAVAILABLE, "the gateway's keys cannot be had"))
            }
        }
    }
}

impl Service {
    async fn caller(&self, headers: &HeaderMap) -> Result<Option<Caller>, Refusal> {
        let mut found = headers.get_all("cardea-assertion").iter();
        let Some(assertion) = found.next() else { return Ok(None) };
        if found.next().is_some() {
            return Err(Refusal::Invalid("there are two".to_owned()));
        }
        let text = assertion.to_str().map_err(|_| Refusal::Invalid("it is no text".to_owned()))?;
        self.options.assertions.verify(text).await.map(Some)
    }

    fn frame<'a>(&'a self, caller: Option<&'a Caller>) -> Frame<'a> {
        Frame::new(&self.options.tenant, caller)
    }

    fn message(&self, caller: &Caller, status: StatusCode, title: &str, text: &str) -> Response {
        show(status, &MessagePage { frame: self.frame(Some(caller)), title, text })
    }

    /// A failed change, for a person or a program.
    fn failed(&self, caller: &Caller, headers: &HeaderMap, failed: &Failed) -> Response {
        let status = match failed {
            Failed::NotFound => StatusCode::NOT_FOUND,
            Failed::Approved | Failed::OwnRecord => StatusCode::CONFLICT,
            Failed::Fault(error) => {
                tracing::error!(error = %format!("{error:#}"), "a change was not kept");
                StatusCode::INTERNAL_SERVER_ERROR
            }
        };
        let text = match failed {
            Failed::Fault(_) => "the change could not be kept, so nothing has changed".to_owned(),
            other => other.to_string(),
        };
        if wants_json(headers) {
            problem(status, &text)
        } else {
            self.message(caller, status, "Nothing has changed", &text)
        }
    }
}

async fn about(State(service): State<Arc<Service>>, headers: HeaderMap) -> Response {
    // A visitor has no assertion; one that does not verify is no caller either, and the page is public.
    let caller = service.caller(&headers).await.ok().flatten();
    show(StatusCode::OK, &AboutPage { frame: service.frame(caller.as_ref()) })
}

async fn studies(State(service): State<Arc<Service>>, Asserted(caller): Asserted, headers: HeaderMap) -> Response {
    let state = service.store.state();
    if wants_json(&headers) {
        return axum::Json(&*state).into_response();
    }
    show(StatusCode::OK, &StudiesPage { frame: service.frame(Some(&caller)), state: &state })
}

async fn study(
    State(service): State<Arc<Service>>,
    Asserted(caller): Asserted,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Response {
    let state = service.store.state();
    let Some(study) = state.study(&id) else { return service.failed(&caller, &headers, &Failed::NotFound) };
    if wants_json(&headers) {
        return axum::Json(study).into_response();
    }
    show(StatusCode::OK, &StudyPage { frame: service.frame(Some(&caller)), study })
}

async fn record(
    State(service): State<Arc<Service>>,
    Asserted(caller): Asserted,
    Path((study, id)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    let state = service.store.state();
    let found = state.study(&study).and_then(|study| Some((study, study.records.iter().find(|one| one.id == id)?)));
    let Some((study, record)) = found else { return service.failed(&caller, &headers, &Failed::NotFound) };
    if wants_json(&headers) {
        return axum::Json(record).into_response();
    }
    let own = record.author == caller.label();
    show(StatusCode::OK, &RecordPage { frame: service.frame(Some(&caller)), study, record, own })
}

/// A record to be written.
#[derive(Debug, Deserialize)]
struct NewRecord {
    title: String,
    text: String,
}

#[derive(Serialize)]
struct Created {
    study: String,
    record: String,
}

async fn create(
    State(service): State<Arc<Service>>,
    Asserted(caller): Asserted,
    Path(study): Path<String>,
    headers: HeaderMap,
    request: Request,
) -> Response {
    let Some(new) = new_record(&headers, request).await else {
        return problem(
            StatusCode::UNPROCESSABLE_ENTITY,
            "a record has a title of 1 to 120 characters and a text of 1 to 4000",
        );
    };
    let now = service.options.clock.now();
    match service.store.create(study.clone(), new.title, new.text, caller.label().to_owned(), now).await {
        Ok(record) if wants_json(&headers) => {
            let at = format!("/studies/{study}/records/{record}");
            (StatusCode::CREATED, [(header::LOCATION, at)], axum::Json(Created { study, record })).into_response()
        }
        Ok(record) => Redirect::to(&format!("/studies/{study}/records/{record}")).into_response(),
        Err(failed) => service.failed(&caller, &headers, &failed),
    }
}

/// Reads a form or JSON, and holds it to its limits.
async fn new_record(headers: &HeaderMap, request: Request) -> Option<NewRecord> {
    use axum::extract::FromRequest as _;
    let json = headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
    let new = if json {
        axum::Json::<NewRecord>::from_request(request, &()).await.ok()?.0
    } else {
        axum::Form::<NewRecord>::from_request(request, &()).await.ok()?.0
    };
    let (title, text) = (new.title.trim().to_owned(), new.text.trim().to_owned());
    let fine = (1..=120).contains(&title.chars().count()) && (1..=4000).contains(&text.chars().count());
    fine.then_some(NewRecord { title, text })
}

async fn approve(
    State(service): State<Arc<Service>>,
    Asserted(caller): Asserted,
    Path((study, record)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    let at = format!("/studies/{study}/records/{record}");
    let approval =
        Approval { by: caller.label().to_owned(), at: service.options.clock.now(), assurance: caller.assurance };
    match service.store.approve(study, record, approval).await {
        Ok(()) if wants_json(&headers) => StatusCode::NO_CONTENT.into_response(),
        Ok(()) => Redirect::to(&at).into_response(),
        Err(failed) => service.failed(&caller, &headers, &failed),
    }
}

async fn events(
    State(service): State<Arc<Service>>,
    Asserted(_): Asserted,
) -> Sse<impl Stream<Item = Result<sse::Event, Infallible>>> {
    let changes = service.store.changes();
    let stream = futures_util::stream::unfold(changes, |mut changes| async move {
        loop {
            match changes.recv().await {
                Ok(change) => {
                    let event = sse::Event::default().event("change").json_data(&change).unwrap_or_default();
                    return Some((Ok(event), changes));
                }
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return None,
            }
        }
    });
    Sse::new(stream).keep_alive(sse::KeepAlive::default())
}

/// Whether a program asks: it takes JSON and no page.
fn wants_json(headers: &HeaderMap) -> bool {
    let accepts = |what: &str| {
        headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).is_some_and(|accept| accept.contains(what))
    };
    accepts("json") && !accepts("text/html")
}

pub(super) fn problem(status: StatusCode, detail: &str) -> Response {
    let body = serde_json::json!({ "title": status.canonical_reason(), "status": status.as_u16(), "detail": detail });
    (status, [(header::CONTENT_TYPE, "application/problem+json")], body.to_string()).into_response()
}
