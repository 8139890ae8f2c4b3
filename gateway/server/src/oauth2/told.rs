//! What a program is told that is refused (RFC 6749 section 5.2, RFC 8628 section 3.5, RFC 9449 section 5).

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use cardea_core::{ClientId, Reason};
use cardea_storage::StoreFault;
use serde_json::json;

/// An expected no at one of a program's addresses, or a fault of ours.
#[derive(Debug)]
pub(super) enum No {
    /// A refusal.
    Refused(Refusal),
    /// A store, or the log.
    Broken(StoreFault),
}

/// A refusal, with what it is told and what the entry tells.
#[derive(Debug)]
pub(super) struct Refusal {
    /// The error's name.
    pub error: &'static str,
    /// What would be right, for whoever writes the client.
    pub says: &'static str,
    /// Which check failed, for the entry; nothing where there is none to write.
    pub detail: Option<String>,
    /// The client that was named, where there is one.
    pub client: Option<ClientId>,
}

impl No {
    /// A refusal of which an entry is written.
    pub(super) fn of(error: &'static str, says: &'static str, detail: impl Into<String>) -> Self {
        Self::Refused(Refusal { error, says, detail: Some(detail.into()), client: None })
    }

    /// A no that is part of how it goes, and worth no entry.
    pub(super) const fn yet(error: &'static str, says: &'static str) -> Self {
        Self::Refused(Refusal { error, says, detail: None, client: None })
    }

    /// The client is not the one that it says, or says none.
    pub(super) fn client(detail: impl Into<String>) -> Self {
        Self::of("invalid_client", "the client did not prove that it is the one", detail)
    }

    /// The code, refresh token or device code is none that is good.
    pub(super) fn grant(detail: impl Into<String>) -> Self {
        Self::of("invalid_grant", "it is unknown, used, too old, or another client's", detail)
    }

    /// The request lacks something, or holds what it may not.
    pub(super) fn request(says: &'static str) -> Self {
        Self::of("invalid_request", says, says)
    }

    /// The same, of that client.
    #[must_use]
    pub(super) fn by(mut self, client: &ClientId) -> Self {
        if let Self::Refused(refusal) = &mut self {
            refusal.client.get_or_insert_with(|| client.clone());
        }
        self
    }
}

impl From<StoreFault> for No {
    fn from(fault: StoreFault) -> Self {
        Self::Broken(fault)
    }
}

impl Refusal {
    /// The answer. Who tried in the `Authorization` header is told which kind is taken there (RFC 6749 section 5.2).
    pub(super) fn respond(&self, tried_in_header: bool) -> Response {
        let status = if self.error == "invalid_client" { StatusCode::UNAUTHORIZED } else { StatusCode::BAD_REQUEST };
        let mut response = json(status, &json!({ "error": self.error, "error_description": self.says }));
        if self.error == "invalid_client" && tried_in_header {
            let basic = HeaderValue::from_static(r#"Basic realm="cardea""#);
            response.headers_mut().insert(header::WWW_AUTHENTICATE, basic);
        }
        if self.detail.is_some() {
            response.extensions_mut().insert(Reason::TokenRefused);
        }
        response
    }
}

/// A fault of ours: whoever asked may ask again.
pub(super) fn broken(fault: &StoreFault) -> Response {
    tracing::error!(fault = %crate::house::with_causes(fault), "a program could not be answered");
    let says = "a store does not answer: ask again in a moment";
    let body = json!({ "error": "temporarily_unavailable", "error_description": says });
    let mut response = json(StatusCode::SERVICE_UNAVAILABLE, &body);
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
    response.extensions_mut().insert(Reason::StoreUnavailable);
    response
}

/// An answer that nobody keeps (RFC 6749 section 5.1).
pub(super) fn json(status: StatusCode, body: &serde_json::Value) -> Response {
    let mut response = (status, Json(body)).into_response();
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
