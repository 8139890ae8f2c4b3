//! What tenants' providers say by themselves, to the sign-in host: programs speak here, and no browser. What is believed is decided
//! in `cardea_identity::signals`, what it ends in `house/signalled.rs`.
//!
//! INVARIANT: nothing is done before the signal verified and was noted as spent, and no provider is told that it was taken before
//! what it ends is over for every gateway.

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
