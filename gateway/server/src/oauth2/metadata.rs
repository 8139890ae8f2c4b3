//! What there is to ask here, for programs to find out by themselves (RFC 8414).

use std::sync::Arc;

use axum::{
    Extension, Json,
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use cardea_proxy::{Admitted, SiteRole};
use serde_json::{Value, json};

use crate::{House, state::TenantState};

/// `GET /.well-known/oauth-authorization-server`.
pub(super) async fn metadata(State(house): State<Arc<House>>, Extension(admitted): Extension<Admitted>) -> Response {
    let tenant = house.tenant(&admitted.tenant().id);
    match (&admitted.site().role, tenant) {
        (SiteRole::SignIn, Some(tenant)) => {
            let mut response = Json(described(&house, &tenant)).into_response();
            // Five minutes: long enough for a crowd of clients that start, short enough for a change.
            let kept = HeaderValue::from_static("public, max-age=300");
            response.headers_mut().insert(header::CACHE_CONTROL, kept);
            response
        }
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

fn described(house: &House, tenant: &TenantState) -> Value {
    let issuer = &tenant.route.sign_in_origin;
    let at = |path: &str| format!("{issuer}{path}");
    let scopes: std::collections::BTreeSet<_> =
        tenant.bundle.clients.values().flat_map(|client| &client.scope).collect();
    let ways = ["none", "client_secret_basic", "client_secret_post", "private_key_jwt", "tls_client_auth"];
    let algorithms = ["ES256", "EdDSA", "Ed25519"];
    let mut body = json!({
        "issuer": issuer,
        "authorization_endpoint": at("/oauth2/authorize"),
        "token_endpoint": at("/oauth2/token"),
        "device_authorization_endpoint": at("/oauth2/device_authorization"),
        "revocation_endpoint": at("/oauth2/revoke"),
        "introspection_endpoint": at("/oauth2/introspect"),
        "jwks_uri": at("/oauth2/jwks.json"),
        "scopes_supported": scopes,
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": [
            "authorization_code", "client_credentials", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code",
        ],
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": ways,
        "token_endpoint_auth_signing_alg_values_supported": algorithms,
        "revocation_endpoint_auth_methods_supported": ways,
        "revocation_endpoint_auth_signing_alg_values_supported": algorithms,
        "introspection_endpoint_auth_methods_supported": &ways[1..],
        "introspection_endpoint_auth_signing_alg_values_supported": algorithms,
        "dpop_signing_alg_values_supported": algorithms,
        "authorization_response_iss_parameter_supported": true,
        "tls_client_certificate_bound_access_tokens": true,
    });
    if let Some(machines) = house.machines_origin(tenant) {
        let at = |path: &str| format!("{machines}{path}");
        body["mtls_endpoint_aliases"] = json!({
            "token_endpoint": at("/oauth2/token"),
            "revocation_endpoint": at("/oauth2/revoke"),
            "introspection_endpoint": at("/oauth2/introspect"),
        });
    }
    body
}
