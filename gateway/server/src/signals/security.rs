//! `POST /sign-in/signals/{provider}`: a security event is pushed (RFC 8935, OpenID Shared Signals Framework 1.0).

use axum::{
    Json,
    http::{
        HeaderValue, StatusCode,
        header::{AUTHORIZATION, WWW_AUTHENTICATE},
    },
    response::{IntoResponse as _, Response},
};
use cardea_core::Secret;
use cardea_identity::{
    oidc::Provider,
    session::EndReason,
    signals::{About, Effect, Keys, Refused, Said, SecurityEvent, Transmitter, security_event},
};
use serde_json::json;

use super::asked::{Asked, No, unkept};
use crate::house::{Meant, Signalled};

/// Does what follows from an event: 202 once it is done, or where there is nothing to do.
pub(super) async fn receive(asked: Asked) -> Response {
    match authorised(&asked) {
        Ok(true) => {}
        Ok(false) => {
            return no(&asked, StatusCode::UNAUTHORIZED, "authentication_failed", "it brings no secret, or another");
        }
        Err(why) => return asked.broken(&why),
    }
    match taken(&asked).await {
        Ok(()) => unkept(StatusCode::ACCEPTED.into_response()),
        // Sent again, since our answer did not come back: it was done (RFC 8935 section 2), and is not done twice.
        Err(No::Again) => asked.note("it was shown before".to_owned(), StatusCode::ACCEPTED.into_response()),
        Err(No::Refused(refused)) => no(&asked, StatusCode::BAD_REQUEST, code(refused), &refused.to_string()),
        Err(No::Broken(why)) => asked.broken(&why),
    }
}

/// Whether the push brings the secret that the tenant agreed on with the transmitter, where there is one.
fn authorised(asked: &Asked) -> Result<bool, String> {
    let Some(at) = asked.spec.signals.as_ref().and_then(|signals| signals.secret.as_ref()) else { return Ok(true) };
    let secret = asked.house.config.secret(at)?;
    let said = asked.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (scheme, token) = said.split_once(' ').unwrap_or_default();
    let shown = Secret::new(token.trim().to_owned());
    Ok(scheme.eq_ignore_ascii_case("bearer") && !secret.expose().is_empty() && shown == secret)
}

async fn taken(asked: &Asked) -> Result<(), No> {
    if !asked.brings("application/secevent+jwt") {
        return Err(Refused::Malformed("it is not sent as `application/secevent+jwt`").into());
    }
    let token = std::str::from_utf8(&asked.body).map_err(|_| Refused::Malformed("it is no text"))?.trim();
    let event = believed(asked, token).await?;
    asked.once(&event.once, follow(asked, &event)).await
}

/// The event, by the keys of whoever sends it: the provider, or whom the tenant names in its place.
async fn believed(asked: &Asked, token: &str) -> Result<SecurityEvent, No> {
    let (spec, now) = (&asked.spec, asked.now());
    let said = spec.signals.as_ref();
    let audience = said.and_then(|signals| signals.audience.as_deref()).unwrap_or(&spec.client_id);
    let other =
        said.and_then(|signals| signals.issuer.as_deref().zip(signals.jwks_uri.as_ref().map(|url| url.as_str())));
    let Some((issuer, jwks)) = other else {
        let verify = |provider: &Provider| {
            let keys = &Keys::of(provider);
            security_event(token, &Transmitter { provider, issuer: provider.issuer(), audience, keys }, now)
        };
        return asked.believed(verify).await;
    };
    let known = asked.known().await?;
    let (house, key) = (&asked.house, (asked.tenant.id(), &spec.id));
    for anew in [false, true] {
        let keys = house.transmitters.keys(house, key, (jwks, &known.client), anew).await.map_err(No::Broken)?;
        let Some(keys) = &keys else { continue };
        let from = Transmitter { provider: &known.provider, issuer, audience, keys };
        match security_event(token, &from, now) {
            Err(Refused::UnknownKey) if !anew => {}
            outcome => return Ok(outcome?),
        }
    }
    Err(Refused::UnknownKey.into())
}

async fn follow(asked: &Asked, event: &SecurityEvent) -> Result<(), No> {
    let meant = meant(asked, &event.about).await?;
    for said in &event.said {
        one(asked, meant.clone(), event.sid.as_deref(), *said).await?;
    }
    Ok(())
}

async fn one(asked: &Asked, meant: Option<Meant>, sid: Option<&str>, said: Said) -> Result<(), No> {
    let (house, tenant, provider) = (&asked.house, &asked.tenant, &asked.spec.id);
    let off = match said.effect {
        Effect::Disables => Some(true),
        Effect::Enables => Some(false),
        Effect::Ends | Effect::Nothing => None,
    };
    if let (Some(off), Some((user, accounts))) = (off, &meant) {
        // First the door, then those inside: a sign-in that races this finds it shut.
        for account in accounts {
            house.turn_account(tenant.id(), user.id, &account.identity, off).await?;
        }
    }
    // Whoever held these sessions may not have been their owner: a yes that was given in one is worth nothing either.
    let ends = matches!(said.effect, Effect::Ends | Effect::Disables).then_some(EndReason::FactorChanged);
    // Of an account that is disabled no session goes on, whichever is named.
    let signal = Signalled { provider, signal: said.name, sid: sid.filter(|_| off.is_none()), ends };
    Ok(house.take_signal(tenant, meant, signal, &asked.doer()).await?)
}

async fn meant(asked: &Asked, about: &About) -> Result<Option<Meant>, No> {
    let (house, tenant) = (&asked.house, &asked.tenant);
    let known = asked.known().await?;
    let at = (&asked.spec.id, known.provider.issuer());
    Ok(match about {
        About::Account(subject) => house.whose_account(tenant, (at.0, at.1, subject)).await?,
        About::Address(email) => match house.store.user_by_email(tenant.id(), email).await? {
            Some(user) => Some(house.with_accounts(tenant, at, user).await?),
            None => None,
        },
        About::Nobody => None,
    })
}

/// What a refusal is called (RFC 8935 section 2.4).
const fn code(refused: Refused) -> &'static str {
    match refused {
        Refused::UnknownKey | Refused::Signature => "invalid_key",
        Refused::Issuer => "invalid_issuer",
        Refused::Audience => "invalid_audience",
        Refused::Malformed(_) => "invalid_request",
    }
}

fn no(asked: &Asked, status: StatusCode, err: &'static str, detail: &str) -> Response {
    let told =
        Json(json!({ "err": err, "description": "the security event is not taken; the receiver's log says why" }));
    let mut response = (status, told).into_response();
    if status == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    asked.note(detail.to_owned(), response)
}
