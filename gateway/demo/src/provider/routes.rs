//! The provider's addresses: discovery, keys, authorize, token, userinfo.

use std::{future::Future, sync::Arc};

use axum::{
    Form, Json, Router,
    extract::{Query, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use serde::Deserialize;
use tokio::net::TcpListener;

use super::{
    Options,
    flow::{Asked, Provider, Redemption, claims},
    pages::{ErrorPage, LoginPage, show},
};

/// Serves the provider on `listener` until `stop` resolves.
pub async fn serve(
    listener: TcpListener,
    options: Options,
    stop: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    let router = router(Arc::new(Provider::new(options)?));
    axum::serve(listener, router).with_graceful_shutdown(stop).await?;
    Ok(())
}

fn router(provider: Arc<Provider>) -> Router {
    Router::new()
        .route("/.well-known/openid-configuration", get(discovery))
        .route("/jwks", get(jwks))
        .route("/authorize", get(authorize).post(log_in))
        .route("/token", post(token))
        .route("/userinfo", get(userinfo).post(userinfo))
        .with_state(provider)
}

async fn discovery(State(provider): State<Arc<Provider>>) -> Json<serde_json::Value> {
    let issuer = &provider.options.issuer;
    Json(serde_json::json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "userinfo_endpoint": format!("{issuer}/userinfo"),
        "jwks_uri": format!("{issuer}/jwks"),
        "response_types_supported": ["code"],
        "grant_types_supported": ["authorization_code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
        "token_endpoint_auth_methods_supported": ["none"],
        "code_challenge_methods_supported": ["S256"],
        "scopes_supported": ["openid", "email", "profile", "groups"],
        "claims_supported": ["sub", "email", "email_verified", "name", "groups", "acr", "amr", "auth_time"],
        "authorization_response_iss_parameter_supported": true,
    }))
}

async fn jwks(State(provider): State<Arc<Provider>>) -> Response {
    ([(header::CONTENT_TYPE, "application/jwk-set+json")], provider.key.jwks().to_owned()).into_response()
}

async fn authorize(State(provider): State<Arc<Provider>>, Query(asked): Query<Asked>) -> Response {
    match checked(&provider, &asked) {
        Ok(()) => login(&provider, &asked, &asked.login_hint, None),
        Err(answer) => *answer,
    }
}

/// The login form: what was asked, carried along, and who signs in.
#[derive(Debug, Deserialize)]
struct Login {
    email: String,
    password: String,
    #[serde(flatten)]
    asked: Asked,
}

async fn log_in(State(provider): State<Arc<Provider>>, Form(login_form): Form<Login>) -> Response {
    let Login { email, password, asked } = login_form;
    // The hidden fields come from the browser like everything else: they are checked as at first.
    if let Err(answer) = checked(&provider, &asked) {
        return *answer;
    }
    match provider.person(&email, &password) {
        Some(person) => {
            let code = provider.grant(asked.clone(), person);
            back(&provider, &asked, &[("code", &code)])
        }
        None => login(&provider, &asked, &email, Some("Address or password is wrong. Try again.")),
    }
}

/// The one place that decides whether a request goes on; a wrong address to return to is never returned to.
fn checked(provider: &Provider, asked: &Asked) -> Result<(), Box<Response>> {
    if let Err(error) = provider.check_client(asked) {
        let page = ErrorPage { text: &error.to_string() };
        return Err(Box::new(show(StatusCode::BAD_REQUEST, &page)));
    }
    Provider::check_request(asked).map_err(|error| Box::new(back(provider, asked, &[("error", error)])))
}

fn login(provider: &Provider, asked: &Asked, email: &str, error: Option<&str>) -> Response {
    let status = if error.is_some() { StatusCode::UNAUTHORIZED } else { StatusCode::OK };
    show(status, &LoginPage { asked, people: &provider.options.people, email, error })
}

/// Sends the browser back, with the issuer's name beside the answer (RFC 9207).
fn back(provider: &Provider, asked: &Asked, answer: &[(&str, &str)]) -> Response {
    let Ok(mut url) = url::Url::parse(&asked.redirect_uri) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    url.query_pairs_mut()
        .extend_pairs(answer)
        .append_pair("state", &asked.state)
        .append_pair("iss", &provider.options.issuer);
    Redirect::to(url.as_str()).into_response()
}

async fn token(State(provider): State<Arc<Provider>>, Form(redemption): Form<Redemption>) -> Response {
    let no_store = [(header::CACHE_CONTROL, "no-store")];
    match provider.redeem(&redemption) {
        Ok(tokens) => (no_store, Json(tokens)).into_response(),
        Err(error) => (StatusCode::BAD_REQUEST, no_store, Json(serde_json::json!({ "error": error }))).into_response(),
    }
}

async fn userinfo(State(provider): State<Arc<Provider>>, headers: HeaderMap) -> Response {
    let token = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    match token.and_then(|value| value.strip_prefix("Bearer ")).and_then(|token| provider.bearer(token)) {
        Some(person) => Json(claims(person)).into_response(),
        None => {
            (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Bearer error=\"invalid_token\"")]).into_response()
        }
    }
}

#[cfg(test)]
mod tests;
