//! `POST /oauth2/token`: what a client is given for what it shows.

use axum::response::Response;
use cardea_core::resources::GrantType;

use super::{
    client::{self, Client},
    code, device,
    form::Asked,
    issue::{self, Wanted},
    refresh,
    told::No,
};

/// Gives a token, or says why not.
pub(super) async fn exchange(asked: Asked) -> Response {
    let result = exchanged(&asked).await;
    asked.answered(result)
}

async fn exchanged(asked: &Asked) -> Result<Response, No> {
    let wanted = asked.need("grant_type", "`grant_type` is missing")?;
    let client = client::of(asked).await?;
    let id = client.spec.id.clone();
    if client.spec.bound && client.bound.is_none() {
        let says = "this client's tokens have to be bound: send a proof (DPoP)";
        return Err(No::of("invalid_request", says, "it sent no proof").by(&id));
    }
    let may = |grant| {
        let known = client.spec.grants.contains(&grant);
        if known {
            Ok(())
        } else {
            Err(No::of("unauthorized_client", "the client may not come by tokens so", "not its grant"))
        }
    };
    let done = match wanted {
        "client_credentials" => match may(GrantType::ClientCredentials) {
            Ok(()) => credentials(asked, &client).await,
            Err(no) => Err(no),
        },
        "authorization_code" => match may(GrantType::AuthorizationCode) {
            Ok(()) => code::redeem(asked, &client).await,
            Err(no) => Err(no),
        },
        "urn:ietf:params:oauth:grant-type:device_code" => match may(GrantType::DeviceCode) {
            Ok(()) => device::poll(asked, &client).await,
            Err(no) => Err(no),
        },
        "refresh_token" => refresh::renew(asked, &client).await,
        _ => {
            Err(No::of("unsupported_grant_type", "it is none of those that the metadata lists", "unknown `grant_type`"))
        }
    };
    done.map_err(|no| no.by(&id))
}

/// In the client's own name (RFC 6749 section 4.4). No refresh token: it comes by the next one as it came by this.
async fn credentials(asked: &Asked, client: &Client<'_>) -> Result<Response, No> {
    let scope = issue::scope(asked.get("scope"), &issue::whole_scope(client)?)?;
    let apps = issue::apps(asked, &client.spec.apps)?;
    let bound = client.bound.clone();
    let wanted = Wanted { client, grant: None, scope, apps, bound, by: "client_credentials", refresh: None };
    issue::token(asked, wanted).await
}
