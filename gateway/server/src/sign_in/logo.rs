//! A tenant's logo, from the tenant's own hosts alone.

use axum::{body::Body, extract::Path, http::StatusCode, response::Response};

use super::visit::Visit;
use crate::pages::assets;

/// `GET /assets/logo/{name}`, and the same below `/.cardea/` on an app's host.
pub(super) async fn show(visit: Visit, Path(name): Path<String>) -> Response {
    match &visit.tenant.logo {
        Some(logo) if *logo.name == *name => {
            assets::respond(logo.mime, &logo.name, Body::from(logo.bytes.clone()), visit.headers())
        }
        _ => {
            let mut missing = Response::new(Body::empty());
            *missing.status_mut() = StatusCode::NOT_FOUND;
            missing
        }
    }
}
