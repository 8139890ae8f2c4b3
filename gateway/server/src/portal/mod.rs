//! The portal: what a person can open, how they sign in, where they are signed in, and what programs do in their name. Each handler acts for the
//! person of the request's session only; no address names another.

mod accounts;
mod activity;
mod apps;
mod authorize;
mod consent;
mod device;
mod devices;
mod enrolment;
mod factors;
mod fresh;
mod link;
mod passkey;
mod programs;
mod recovery;
mod sessions;
mod totp;
mod visit;

use std::sync::Arc;

use axum::{
    Router,
    routing::{get, post},
};

use crate::House;

/// The portal's pages on the sign-in host.
pub fn routes() -> Router<Arc<House>> {
    Router::new()
        .route("/", get(apps::show))
        .route("/factors", get(factors::show))
        .route("/factors/totp", get(totp::show).post(totp::confirm))
        .route("/factors/passkey", get(passkey::show).post(passkey::finish))
        .route("/factors/passkey/options", post(passkey::options))
        .route("/factors/recovery", get(recovery::show).post(recovery::confirm))
        .route("/factors/link/{token}", get(link::show).post(link::accept))
        .route("/factors/with/{provider}", get(accounts::ask).post(accounts::set_out))
        .route("/factors/accounts/{id}/remove", get(accounts::ask_remove).post(accounts::remove))
        .route("/factors/{id}/remove", get(factors::ask_remove).post(factors::remove))
        .route("/factors/{id}/name", get(factors::ask_name).post(factors::rename))
        .route("/oauth2/authorize", get(authorize::ask).post(authorize::answer))
        .route("/oauth2/device", get(device::ask).post(device::answer))
        .route("/programs", get(programs::show))
        .route("/programs/{id}/end", post(programs::end))
        .route("/programs/keys", get(programs::ask).post(programs::make))
        .route("/programs/keys/{id}/remove", post(programs::remove))
        .route("/activity", get(activity::show))
        .route("/sessions", get(sessions::show))
        .route("/sessions/{id}/end", post(sessions::end))
        .route("/sessions/end-others", post(sessions::end_others))
        .route("/sessions/devices/{id}/forget", post(devices::forget))
}
