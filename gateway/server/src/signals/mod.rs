//! What tenants' providers say by themselves, to the sign-in host: programs speak here, and no browser. What is believed is decided
//! in `cardea_identity::signals`, what it ends in `house/signalled.rs`.
//!
//! INVARIANT: nothing is done before the signal verified; it is noted as taken, and its provider told so, when what it ends is over for
//! every gateway, and not before. What broke off half-way is done when it is sent again: to end what has ended does nothing.

mod asked;
mod logout;
mod security;
mod transmitters;

use std::sync::Arc;

use axum::{Router, routing::post};

use crate::House;

pub(crate) use transmitters::Transmitters;

/// Below `/sign-in`, where no page has these names.
pub(crate) fn routes() -> Router<Arc<House>> {
    Router::new()
        .route("/sign-in/back-channel/{provider}", post(logout::receive))
        .route("/sign-in/signals/{provider}", post(security::receive))
}
