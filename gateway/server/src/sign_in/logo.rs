//! A tenant's logo, from the tenant's own hosts alone.

use axum::{body::Body, extract::Path, http::StatusCode, response::Response};

use cardea_core::resources::Logo;

use super::visit::Visit;
use crate::pages::assets;

/// `GET /assets/logo/{name}`, and the same below `/.cardea/` on an app's host.
pub(super) async fn show(visit: Visit, Path(name): Path<String>) -> Response {
    let served = visit.tenant.route.logo.as_ref().filter(|served| ***served == *name);
    let written = served.and(visit.tenant.bundle.tenant.logo.as_deref()).and_then(|text| Logo::parse(text).ok());
    match written {
        Some(logo) => assets::respond(logo.mime, &name, Body::from(logo.bytes), visit.headers()),
        None => {
            let mut missing = Response::new(Body::empty());
            *missing.status_mut() = StatusCode::NOT_FOUND;
            missing
        }
    }
}
