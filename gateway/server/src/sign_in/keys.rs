//! The keys that services verify assertions with.

use axum::{
    Json,
    http::header,
    response::{IntoResponse as _, Response},
};

use super::Visit;

/// `GET /.cardea/jwks.json`. May be kept for five minutes; each key is published a day before it signs.
pub(super) async fn jwks(visit: Visit) -> Response {
    let headers = [
        (header::CACHE_CONTROL, "public, max-age=300"),
        // Public keys: any page may read them.
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
    ];
    (headers, Json(visit.house.jwks(visit.id()))).into_response()
}
