//! Refresh tokens (RFC 6749 section 6): each is used once and followed by another. One that comes twice ends the family, since two
//! parties hold it (RFC 9700 section 4.14.2).

use axum::response::Response;
use cardea_identity::oauth2::{
    access_token::Confirmation,
    grant::{GrantEndReason, RefreshSecret, Standing, judge},
};

use super::{
    client::Client,
    form::Asked,
    issue::{self, Wanted},
    told::No,
};
use crate::house::Doer;

/// Gives the next token for a refresh token.
pub(super) async fn renew(asked: &Asked, client: &Client<'_>) -> Result<Response, No> {
    let (house, tenant, now) = (&asked.house, &asked.tenant, asked.now());
    let text = asked.need("refresh_token", "`refresh_token` is missing")?;
    let hash = RefreshSecret::parse(text).map_err(|_| No::grant("it is no refresh token of ours"))?.hash();
    let Some(token) = house.store.refresh_token(tenant.id(), &hash, asked.admitted.client()).await? else {
        return Err(No::grant("the refresh token is unknown"));
    };
    let Some(grant) = house.store.grant(tenant.id(), token.grant).await? else {
        return Err(No::grant("what it belongs to is gone"));
    };
    if grant.client != client.spec.id {
        return Err(No::grant("the refresh token is another client's"));
    }
    if let Some(Confirmation::Key(_)) = &grant.bound
        && client.bound != grant.bound
    {
        return Err(No::grant("the refresh token is bound to another key"));
    }
    match judge(&token, &grant, client.spec, now) {
        Standing::Live => {}
        Standing::Racing => return Err(No::grant("the refresh token was used a moment ago")),
        Standing::Ended(why) => return Err(No::grant(format!("what it belongs to has ended: {}", why.as_str()))),
        Standing::Reused => {
            house.end_grant(tenant, &grant, (GrantEndReason::Reuse, &Doer::gateway())).await?;
            return Err(No::grant("the refresh token was used before: what it belongs to has ended"));
        }
    }
    // Before anything is used up: a mistake in the request costs the client nothing.
    let whole = grant.scope.clone();
    let scope = issue::scope(asked.get("scope"), &whole)?;
    let apps = issue::apps(asked, &grant.apps)?;
    let user = house.store.user(tenant.id(), grant.user).await?;
    if !user.is_some_and(|user| user.may_enter()) {
        return Err(No::grant("its person may not sign in"));
    }
    if house.would_owe(tenant, grant.user).await? {
        return Err(No::grant("its person owes a second factor"));
    }
    let (secret, next) = grant.refresh(now, &*house.entropy);
    if !house.store.refresh_succeed(&hash, &next, asked.admitted.client()).await? {
        return Err(No::grant("the refresh token was used at the same time"));
    }
    let (bound, refresh) = (client.bound.clone(), Some(secret.expose_text()));
    let wanted = Wanted { client, grant: Some(&grant), scope, apps, bound, by: "refresh_token", refresh };
    issue::token(asked, wanted).await
}
