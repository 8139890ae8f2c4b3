//! Errors of the API as problem details (RFC 9457). Handlers say the reason; the request's id is filled in once, here.

use axum::{
    extract::Request,
    middleware::Next,
    response::{IntoResponse, Response},
};
use cardea_core::{Diagnostic, Diagnostics, Reason};
use cardea_policy::TestOutcome;
use cardea_proxy::Admitted;
use cardea_storage::StoreFault;
use http::{
    HeaderValue, StatusCode,
    header::{CONTENT_TYPE, RETRY_AFTER},
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::house::{Busy, ChangeFault, NoPermit, with_causes};

/// An answer of the API, or why there is none.
pub(super) type Answer<T> = Result<T, Problem>;

/// Why there is no answer. Boxed: the good answer should not carry its size.
#[derive(Debug, Clone)]
pub(super) struct Problem(Box<Inner>);

#[derive(Debug, Clone)]
struct Inner {
    reason: Reason,
    detail: String,
    diagnostics: Vec<Diagnostic>,
    tests: Vec<TestOutcome>,
    active_version: Option<u64>,
}

/// Problem details (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ProblemBody {
    /// `urn:cardea:reason:<reason>`.
    #[serde(rename = "type")]
    kind: String,
    /// What went wrong, in a few words.
    title: String,
    /// The status of the answer.
    status: u16,
    /// The stable code that programs rely on.
    reason: &'static str,
    /// What went wrong this time.
    #[schema(required = false)]
    detail: String,
    /// Names the request in the log.
    request_id: Option<String>,
    /// Mistakes in what was sent, with their places.
    #[schema(value_type = Vec<Object>)]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    diagnostics: Vec<Diagnostic>,
    /// Tests that ran, where a policy set was refused.
    #[schema(value_type = Vec<Object>)]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tests: Vec<TestOutcome>,
    /// The policy version that is active now, where a change was made on another.
    #[serde(skip_serializing_if = "Option::is_none")]
    active_version: Option<u64>,
    /// What would turn this no into a yes. Said by the gateway before a request reaches the API.
    #[serde(skip_serializing_if = "Option::is_none")]
    challenge: Option<Challenge>,
}

/// What would turn a no into a yes.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Challenge {
    /// `sign-in`, `fresh`, or the assurance that is asked for.
    need: String,
    /// The address at which a person proves it.
    url: String,
}

impl Problem {
    pub(super) fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            reason,
            detail: detail.into(),
            diagnostics: Vec::new(),
            tests: Vec::new(),
            active_version: None,
        }))
    }

    pub(super) fn not_found(what: &str) -> Self {
        Self::new(Reason::NotFound, format!("there is no such {what}"))
    }

    pub(super) fn bad(detail: impl Into<String>) -> Self {
        Self::new(Reason::BadInput, detail)
    }

    pub(super) fn diagnostics(mut self, found: Diagnostics) -> Self {
        self.0.diagnostics = found.0;
        self
    }

    pub(super) fn tests(mut self, tests: Vec<TestOutcome>) -> Self {
        self.0.tests = tests;
        self
    }

    pub(super) fn active_version(mut self, version: Option<u64>) -> Self {
        self.0.active_version = version;
        self
    }
}

impl From<StoreFault> for Problem {
    fn from(fault: StoreFault) -> Self {
        // Whoever asked can ask for less, and nothing is broken.
        if matches!(fault, StoreFault::Slow { .. }) {
            return Self::new(Reason::TimedOut, fault.to_string());
        }
        tracing::error!(error = %with_causes(&fault), "the store failed under the admin API");
        let reason =
            if matches!(fault, StoreFault::Log(_)) { Reason::LogUnavailable } else { Reason::StoreUnavailable };
        Self::new(reason, "the change or answer cannot be had now")
    }
}

impl From<ChangeFault> for Problem {
    fn from(fault: ChangeFault) -> Self {
        match fault {
            ChangeFault::Store(fault) => fault.into(),
            ChangeFault::NotFound(what) => Self::not_found(what),
            ChangeFault::Conflict(detail) => Self::new(Reason::Conflict, detail),
            ChangeFault::Busy => Busy.into(),
            ChangeFault::Invalid(one) => Self::bad(one.message.clone()).diagnostics(one.into()),
        }
    }
}

impl From<Busy> for Problem {
    fn from(_: Busy) -> Self {
        Self::new(Reason::Overloaded, "the same is being done for others: try again in a moment")
    }
}

impl From<NoPermit> for Problem {
    fn from(error: NoPermit) -> Self {
        tracing::error!("a handler asked for a second permit");
        Self::new(Reason::Internal, error.to_string())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = Response::new(axum::body::Body::empty());
        *response.status_mut() =
            StatusCode::from_u16(self.0.reason.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        response.extensions_mut().insert(self);
        response
    }
}

/// Writes the body of whatever ended in a problem, with the id of its request.
pub(super) async fn render(request: Request, next: Next) -> Response {
    let id = request.extensions().get::<Admitted>().map(|admitted| admitted.entry().to_string());
    let mut response = next.run(request).await;
    response.headers_mut().insert("cache-control", HeaderValue::from_static("no-store"));
    let Some(Problem(inner)) = response.extensions_mut().remove::<Problem>() else { return response };
    let reason = inner.reason;
    let body = ProblemBody {
        kind: format!("urn:cardea:reason:{reason}"),
        title: title(reason),
        status: reason.status(),
        reason: reason.code(),
        detail: inner.detail,
        request_id: id,
        diagnostics: inner.diagnostics,
        tests: inner.tests,
        active_version: inner.active_version,
        challenge: None,
    };
    let bytes = serde_json::to_vec(&body).unwrap_or_default();
    *response.body_mut() = axum::body::Body::from(bytes);
    response.extensions_mut().insert(reason);
    if reason.status() == 503 {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("5"));
    }
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    response
}

/// The code as a short sentence, as everywhere in the gateway: `step-up-required` is `Step up required`.
fn title(reason: Reason) -> String {
    let mut words = reason.code().replace('-', " ");
    if let Some(first) = words.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    words
}

pub(super) async fn no_such_address() -> Problem {
    Problem::not_found("address")
}

pub(super) async fn no_such_method() -> Problem {
    Problem::new(Reason::MethodNotAllowed, "this address knows no such method")
}
