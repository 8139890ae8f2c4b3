//! Makes access tokens, with an entry of each.

use std::collections::BTreeSet;

use axum::{http::StatusCode, response::Response};
use cardea_audit::Event;
use cardea_core::{AppId, TokenId};
use cardea_identity::{
    keys,
    oauth2::{
        Grant, Scope,
        access_token::{self, AccessToken, Confirmation, LIFE},
    },
};
use cardea_storage::StoreFault;
use serde_json::json;

use super::{
    client::Client,
    form::Asked,
    told::{self, No},
};

/// What a token is to say.
pub(super) struct Wanted<'a> {
    pub(super) client: &'a Client<'a>,
    /// What a person has let it do; none where it asks in its own name.
    pub(super) grant: Option<&'a Grant>,
    pub(super) scope: Scope,
    pub(super) apps: BTreeSet<AppId>,
    pub(super) bound: Option<Confirmation>,
    /// How it came by it, as entries name it.
    pub(super) by: &'static str,
    /// The refresh token that goes with it.
    pub(super) refresh: Option<String>,
}

/// Signs a token, writes its entry, and answers with it (RFC 6749 section 5.1).
pub(super) async fn token(asked: &Asked, wanted: Wanted<'_>) -> Result<Response, No> {
    let (house, tenant, now) = (&asked.house, &asked.tenant, asked.now());
    let id = TokenId::mint(now, &*house.entropy);
    let aud: Vec<_> = wanted.apps.iter().flat_map(|app| house.origins_of(tenant, app)).collect();
    let token = AccessToken {
        iss: tenant.route.sign_in_origin.clone(),
        sub: wanted.grant.map_or_else(|| wanted.client.spec.id.to_string(), |grant| grant.user.to_string()),
        aud,
        client_id: wanted.client.spec.id.clone(),
        scope: wanted.scope.clone(),
        jti: id,
        grant: wanted.grant.map(|grant| grant.id),
        assurance: wanted.grant.map(|grant| grant.assurance),
        auth_time: wanted.grant.map(|grant| grant.signed_in_at.as_secs()),
        amr: wanted.grant.map(|grant| grant.factors.clone()).unwrap_or_default(),
        cnf: wanted.bound.clone(),
        iat: now.as_secs(),
        exp: now.plus(LIFE).as_secs(),
    };
    let signed = sign(asked, &token)?;
    let event = Event::AccessTokenIssued {
        client: token.client_id.clone(),
        user: wanted.grant.map(|grant| grant.user),
        grant: token.grant,
        token: id,
        scope: token.scope.to_string(),
        by: wanted.by.into(),
    };
    house.record(tenant.id(), &asked.doer(), event).await?;
    let kind = if matches!(token.cnf, Some(Confirmation::Key(_))) { "DPoP" } else { "Bearer" };
    let mut body = json!({
        "access_token": signed,
        "token_type": kind,
        "expires_in": LIFE.as_secs(),
        "scope": token.scope.to_string(),
    });
    if let Some(refresh) = wanted.refresh {
        body["refresh_token"] = refresh.into();
    }
    Ok(told::json(StatusCode::OK, &body))
}

fn sign(asked: &Asked, token: &AccessToken) -> Result<String, No> {
    let fault = |what: &str| No::Broken(StoreFault::Corrupt { what: "signing_keys", why: what.to_owned() });
    let ring = asked.house.keys.of(asked.tenant.id()).ok_or_else(|| fault("the tenant has no keys"))?;
    let key = keys::signer(&ring.records, asked.now()).and_then(|record| ring.signing.get(&record.id));
    let key = key.ok_or_else(|| fault("the tenant has no key that signs now"))?;
    access_token::mint(token, key).map_err(|_| fault("the key cannot sign"))
}

/// The apps that a token is to be for (RFC 8707): those named by an origin of theirs, or all that it may be for.
pub(super) fn apps(asked: &Asked, allowed: &BTreeSet<AppId>) -> Result<BTreeSet<AppId>, No> {
    let here: BTreeSet<_> = allowed.iter().filter(|app| asked.tenant.bundle.apps.contains_key(*app)).cloned().collect();
    let named = match asked.get("resource") {
        None => here,
        Some(resource) => {
            let origin = resource.trim_end_matches('/').to_owned();
            asked.house.apps_of(&asked.tenant, &[origin]).intersection(&here).cloned().collect()
        }
    };
    if named.is_empty() {
        return Err(No::of(
            "invalid_target",
            "`resource` is to be the origin of an app that the client may use",
            "no such app",
        ));
    }
    Ok(named)
}

/// The scope that is asked for, of what may be.
pub(super) fn scope(asked: Option<&str>, allowed: &Scope) -> Result<Scope, No> {
    Scope::asked(asked, allowed)
        .map_err(|_| No::of("invalid_scope", "`scope` is to be of what the client may ask for", "more than it may"))
}

/// All that a client may ask for.
pub(super) fn whole_scope(client: &Client<'_>) -> Result<Scope, No> {
    let whole = Scope::of(client.spec.scope.iter().map(String::as_str));
    whole.map_err(|_| No::of("invalid_scope", "the client may ask for nothing", "its scope is empty"))
}
