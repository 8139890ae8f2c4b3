//! Signing in, stepping up and signing out, over HTTP. Each file is one way of proving who one is; what they prove is
//! decided in `cardea-identity`, where the files have the same names.
//!
//! Between two requests a sign-in lies sealed in the shared store, under a ticket in the flow cookie that changes with
//! every step. A step takes it out, so that no step is made twice; what fails puts it back for another try.
//!
//! Absent on purpose: any answer that differs between an unknown person and a wrong password, and any step that a GET
//! could make (GET shows; POST proves). The two GETs that do change something are redirects which carry a one-time value.

mod answer;
mod complete;
mod email;
mod entering;
mod flow;
mod hand_over;
mod invitation;
mod keys;
mod linking;
mod logo;
mod no;
mod oauth2_proxy;
mod oidc;
mod pace;
mod passkey;
mod password;
mod providers;
mod recovery;
mod remembered;
mod sign_out;
mod step_up;
mod totp;
mod tries;
mod visit;

use std::sync::Arc;

use axum::{
    Router,
    routing::{get, post},
};

use crate::House;

pub use pace::Pace;
pub(crate) use passkey::enrolment_refused;
pub(crate) use password::hashed;
pub use providers::Providers;
pub(crate) use providers::{Known, get as document, way_to};
use visit::Visit;

/// Everything below `/sign-in`, `/sign-out` and `/.cardea/`, and what an app's host has of oauth2-proxy's addresses.
pub fn routes() -> Router<Arc<House>> {
    Router::new()
        .route("/sign-in", get(flow::show).post(flow::identify))
        .route("/sign-in/password", get(password::show).post(password::prove))
        .route("/sign-in/email", get(email::show).post(email::prove))
        .route("/sign-in/email/send", post(email::send))
        .route("/sign-in/totp", get(totp::show).post(totp::prove))
        .route("/sign-in/recovery", get(recovery::show).post(recovery::prove))
        .route("/sign-in/passkey/options", post(passkey::options))
        .route("/sign-in/passkey", post(passkey::prove))
        .route("/sign-in/with/{provider}", get(oidc::send))
        .route("/sign-in/callback/{provider}", get(oidc::receive))
        .route("/sign-in/step-up", get(step_up::show))
        .route("/sign-in/invitation/{token}", get(invitation::show).post(invitation::choose_password))
        .route("/sign-in/invitation/{token}/email", post(invitation::choose_mail))
        .route("/sign-in/invitation/{token}/passkey/options", post(invitation::passkey_options))
        .route("/sign-in/invitation/{token}/passkey", post(invitation::choose_passkey))
        .route("/sign-out", post(sign_out::here))
        .route("/sign-out/everywhere", post(sign_out::everywhere))
        .route("/assets/logo/{name}", get(logo::show))
        .route("/.cardea/assets/logo/{name}", get(logo::show))
        .route("/.cardea/callback", get(hand_over::receive))
        .route("/.cardea/sign-out", get(sign_out::at_app).post(sign_out::at_app))
        .route("/.cardea/session", get(hand_over::who_am_i))
        .route("/.cardea/jwks.json", get(keys::jwks))
        .route("/oauth2/jwks.json", get(keys::jwks))
        .route("/oauth2/sign_out", get(oauth2_proxy::sign_out).post(oauth2_proxy::sign_out))
        .route("/oauth2/userinfo", get(oauth2_proxy::user_info))
}
