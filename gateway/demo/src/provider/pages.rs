//! The provider's two pages: the login form, and an error that goes nowhere.

use std::sync::LazyLock;

use askama::Template;
use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{Html, IntoResponse, Response},
};

use super::flow::Asked;
use crate::seed::Person;

#[derive(Template)]
#[template(path = "provider/login.html")]
pub(super) struct LoginPage<'a> {
    pub(super) asked: &'a Asked,
    pub(super) people: &'a [Person],
    pub(super) email: &'a str,
    pub(super) error: Option<&'a str>,
}

#[derive(Template)]
#[template(path = "provider/error.html")]
pub(super) struct ErrorPage<'a> {
    pub(super) text: &'a str,
}

/// A page as an answer. `form-action` is left open: browsers apply it to the redirect after the form as well, and that
/// goes to the application.
pub(super) fn show(status: StatusCode, page: &impl Template) -> Response {
    static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
        let hash = crate::records::hash(crate::records::STYLE.trim_end());
        let policy = format!("default-src 'none'; style-src 'sha256-{hash}'; frame-ancestors 'none'; base-uri 'none'");
        HeaderValue::from_str(&policy).unwrap_or_else(|_| HeaderValue::from_static("default-src 'none'"))
    });
    match page.render() {
        Ok(html) => {
            let no_store = HeaderValue::from_static("no-store");
            let headers = [(header::CONTENT_SECURITY_POLICY, POLICY.clone()), (header::CACHE_CONTROL, no_store)];
            (status, headers, Html(html)).into_response()
        }
        Err(error) => {
            tracing::error!(%error, "a page was not rendered");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
