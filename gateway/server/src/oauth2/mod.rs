//! `/oauth2/…` on the sign-in host: tokens for programs (RFC 6749 as OAuth 2.1 narrows it, RFC 8628, RFC 7009, RFC 7662, RFC 8414,
//! RFC 9068, RFC 9449, RFC 8705). What is believed of a client, a code or a token is decided in `cardea_identity::oauth2`, where the
//! files have the same names.
//!
//! Absent on purpose: the implicit and the password grant, `plain` code challenges, tokens in addresses, redirects that are
//! compared by anything but their whole text, and registration by whoever asks.

pub(crate) mod authorize;
mod client;
mod code;
pub(crate) mod consent;
pub(crate) mod device;
mod form;
mod issue;
mod metadata;
mod refresh;
mod revoke;
mod token;
mod told;

use std::sync::Arc;

use axum::{
    Router,
    routing::{get, post},
};

use crate::House;

/// What programs ask: `/oauth2/…` and what tells of it.
pub(crate) fn routes() -> Router<Arc<House>> {
    Router::new()
        .route("/oauth2/token", post(token::exchange))
        .route("/oauth2/device_authorization", post(device::begin))
        .route("/oauth2/revoke", post(revoke::revoke))
        .route("/oauth2/introspect", post(revoke::introspect))
        .route("/.well-known/oauth-authorization-server", get(metadata::metadata))
        .route("/.well-known/openid-configuration", get(metadata::metadata))
}

/// What programs ask at the machines listener, with their certificate (RFC 8705): the same addresses at another port.
pub(crate) fn for_machines() -> Router<Arc<House>> {
    Router::new()
        .route("/oauth2/token", post(token::exchange))
        .route("/oauth2/revoke", post(revoke::revoke))
        .route("/oauth2/introspect", post(revoke::introspect))
}
