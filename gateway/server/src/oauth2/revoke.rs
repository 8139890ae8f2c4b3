//! `POST /oauth2/revoke` (RFC 7009) and `POST /oauth2/introspect` (RFC 7662): a client gives a token back, or asks what one is worth.

use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};
use cardea_audit::Event;
use cardea_core::Timestamp;
use cardea_identity::oauth2::{
    access_token::{Confirmation, LIFE},
    grant::{GrantEndReason, RefreshSecret},
};
use serde_json::json;

use super::{
    client::{self, Client},
    form::Asked,
    told::{self, No},
};

/// Takes a token back. What is unknown, or another's, is as good as taken back: the answer tells nothing of it.
pub(super) async fn revoke(asked: Asked) -> Response {
    let result = revoked(&asked).await;
    asked.answered(result)
}

async fn revoked(asked: &Asked) -> Result<Response, No> {
    let client = client::of(asked).await?;
    let token = asked.need("token", "`token` is missing")?;
    match RefreshSecret::parse(token) {
        Ok(secret) => end_family(asked, &client, &secret).await?,
        Err(_) => end_token(asked, &client, token).await?,
    }
    Ok(StatusCode::OK.into_response())
}

async fn end_family(asked: &Asked, client: &Client<'_>, secret: &RefreshSecret) -> Result<(), No> {
    let (house, tenant) = (&asked.house, &asked.tenant);
    let Some(token) = house.store.refresh_token(tenant.id(), &secret.hash(), asked.admitted.client()).await? else {
        return Ok(());
    };
    let grant = house.store.grant(tenant.id(), token.grant).await?;
    if let Some(grant) = grant.filter(|grant| grant.client == client.spec.id) {
        house.end_grant(tenant, &grant, (GrantEndReason::Revoked, &asked.doer())).await?;
    }
    Ok(())
}

async fn end_token(asked: &Asked, client: &Client<'_>, text: &str) -> Result<(), No> {
    let (house, tenant, now) = (&asked.house, &asked.tenant, asked.now());
    let Some((token, _)) = house.introspected(tenant, text, now).await? else { return Ok(()) };
    if token.client_id != client.spec.id {
        return Ok(());
    }
    let until = Timestamp::from_secs(token.exp).plus(LIFE);
    house.store.token_revoke(tenant.id(), token.jti, until, now).await?;
    house.forget_program(cardea_proxy::live_token::Ended::Token(token.jti));
    let event = Event::AccessTokenRevoked { client: token.client_id, token: token.jti };
    house.record(tenant.id(), &asked.doer(), event).await?;
    Ok(())
}

/// Says what a token is worth, to a client that can prove who it is and may use one of the token's apps.
pub(super) async fn introspect(asked: Asked) -> Response {
    let result = introspected(&asked).await;
    asked.answered(result)
}

async fn introspected(asked: &Asked) -> Result<Response, No> {
    let client = client::of(asked).await?;
    if client.spec.is_public() {
        return Err(No::client("it cannot prove who it is, and asks about tokens").by(&client.spec.id));
    }
    let text = asked.need("token", "`token` is missing")?;
    let inactive = || Ok(told::json(StatusCode::OK, &json!({ "active": false })));
    let Some((token, live)) = asked.house.introspected(&asked.tenant, text, asked.now()).await? else {
        return inactive();
    };
    if live.apps.is_disjoint(&client.spec.apps) {
        return inactive();
    }
    let kind = if matches!(token.cnf, Some(Confirmation::Key(_))) { "DPoP" } else { "Bearer" };
    let mut body = json!({
        "active": true,
        "iss": token.iss,
        "sub": token.sub,
        "aud": token.aud,
        "client_id": token.client_id,
        "scope": live.scope.to_string(),
        "token_type": kind,
        "jti": token.jti,
        "iat": token.iat,
        "exp": token.exp,
    });
    if let Some(cnf) = &token.cnf {
        body["cnf"] = json!(cnf);
    }
    if let Some(user) = &live.user {
        body["username"] = user.email.as_str().into();
    }
    Ok(told::json(StatusCode::OK, &body))
}
