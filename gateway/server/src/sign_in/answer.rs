//! What sign-in pages answer beside a page: a redirect, a word to a script, a cookie.

use std::time::Duration;

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use cardea_identity::sign_in::Destination;

/// A `Set-Cookie` to be added to a response.
#[derive(Debug)]
pub(super) struct SetCookie(String);

impl SetCookie {
    /// Any cookie value made by `cardea_identity::cookie`.
    pub(super) const fn new(value: String) -> Self {
        Self(value)
    }

    /// Adds it.
    pub(super) fn on(self, mut response: Response) -> Response {
        if let Ok(value) = HeaderValue::from_str(&self.0) {
            response.headers_mut().append(header::SET_COOKIE, value);
        }
        response
    }
}

/// Sends the browser on with GET, whatever it came with (RFC 9110 section 15.4.4); nothing of it may be kept.
pub(super) fn see_other(location: &str) -> Response {
    let Ok(location) = HeaderValue::from_str(location) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let mut response = StatusCode::SEE_OTHER.into_response();
    response.headers_mut().insert(header::LOCATION, location);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.headers_mut().insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

/// What a page's script is answered when it may go on.
pub(super) fn go_to(location: &str) -> Response {
    let body = serde_json::json!({ "location": location }).to_string();
    let kind = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    (kind, body).into_response()
}

/// Says when to try again (RFC 9110 section 10.2.3), rounded up: who comes at that second has waited long enough.
pub(super) fn retry_after(response: &mut Response, wait: Duration) {
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(whole_seconds(wait)));
}

fn whole_seconds(wait: Duration) -> u64 {
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
}

/// A query of these pairs, without the empty ones; starts with `?` unless there is none.
pub(super) fn query_of(pairs: &[(&str, &str)]) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(pairs.iter().filter(|(_, value)| !value.is_empty()));
    let query = query.finish();
    if query.is_empty() { query } else { format!("?{query}") }
}

/// The hidden fields by which a page remembers where it leads.
pub(super) fn carried(destination: &Destination) -> [(&'static str, String); 2] {
    let flow = destination.flow.map(|flow| flow.to_string()).unwrap_or_default();
    [("to", destination.to.to_string()), ("flow", flow)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_told_to_come_too_early() {
        for (millis, told) in [(0, 1), (1, 1), (1_000, 1), (1_001, 2), (29_300, 30), (30_000, 30)] {
            let mut response = StatusCode::TOO_MANY_REQUESTS.into_response();
            retry_after(&mut response, Duration::from_millis(millis));
            assert_eq!(response.headers()[header::RETRY_AFTER], told.to_string(), "{millis} ms");
        }
    }
}
