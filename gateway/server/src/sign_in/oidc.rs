//! Signing in with a provider: the way there, and back.

use axum::{
    extract::{Path, Query},
    response::Response,
};
use cardea_audit::Event;
use cardea_core::{Assurance, ProviderId, Reason, Secret, resources::ProviderSpec};
use cardea_identity::{
    Email,
    assurance::Means,
    oidc::{Ask, Attempt, Claims, ProviderPerson, Refused, Tokens},
    sign_in::{Aim, Flow, Need},
};
use openidconnect::{HttpClientError, HttpRequest, HttpResponse};
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use super::{
    entering::enter,
    linking,
    providers::{Known, get},
    visit::{No, Onward, Visit, see_other},
};
use crate::{house::stands_twice, outgoing::OutgoingClient};

/// The query of `GET /sign-in/with/{provider}`.
#[derive(Debug, Deserialize)]
pub(super) struct Sending {
    #[serde(default)]
    to: Option<String>,
    #[serde(default)]
    flow: Option<String>,
    #[serde(default)]
    email: Option<String>,
    /// Said by the step-up page: the step-up under way goes on at the provider.
    #[serde(default)]
    step: Option<String>,
}

/// `GET /sign-in/with/{provider}`.
pub(super) async fn send(visit: Visit, Path(id): Path<String>, Query(query): Query<Sending>) -> Response {
    visit.answer(sent(&visit, &id, query).await)
}

async fn sent(visit: &Visit, id: &str, query: Sending) -> Result<Response, No> {
    let spec = visit.provider(id)?;
    let flow = if query.step.is_some() {
        visit.take_flow().await?
    } else {
        visit.begin_flow(visit.destination(&Onward { to: query.to, flow: query.flow })?).await?
    };
    let hint = query.email.and_then(|email| Email::parse(&email).ok());
    let (fresh, assurance) = match flow.aim() {
        Aim::StepUp { need: Need::Assurance(level), .. } => (true, Some(*level)),
        // Whoever sits at this browser must be the account's own, not whom it was left signed in as.
        Aim::StepUp { need: Need::Fresh, .. } | Aim::Link { .. } => (true, None),
        _ => (false, None),
    };
    let ask = Ask { fresh, assurance, hint: hint.as_ref() };
    let (url, attempt) = match set_out(visit, spec, ask).await {
        Ok(sent) => sent,
        Err(refused) => return Err(linking::no_way(visit, &flow, spec, &refused)),
    };
    let flow = flow.sent_to(spec.id.clone(), attempt)?;
    Ok(visit.keep_flow(&flow).await?.on(see_other(url.as_str())))
}

async fn set_out(visit: &Visit, spec: &ProviderSpec, ask: Ask<'_>) -> Result<(Url, Attempt), Refused> {
    let known = visit.known_provider(spec).await?;
    known.provider.send(&visit.redirect_uri(spec)?, ask, visit.now, &*visit.house.entropy)
}

/// `GET /sign-in/callback/{provider}`.
pub(super) async fn receive(visit: Visit, Path(id): Path<String>) -> Response {
    visit.answer(received(&visit, &id).await)
}

async fn received(visit: &Visit, id: &str) -> Result<Response, No> {
    let doer = visit.doer()?;
    let spec = visit.provider(id)?;
    // Taken before anything is verified: an answer is read once, whatever comes of it.
    let (flow, attempt) = visit.take_flow().await?.back_from(&spec.id)?;
    if stands_twice(visit.query.as_bytes()) {
        return Err(Reason::DoubledParameter.into());
    }
    // INVARIANT: before the code is redeemed. An answer in a browser that did not set out to link opens nothing at the provider either.
    if let Some(linking) = linking::begun_here(visit, &flow, spec)? {
        return linking.end(visit, spec, &attempt, doer).await;
    }
    let person = match vouched_for(visit, spec, &attempt).await {
        Ok(person) => person,
        Err(refused) => return Err(visit.provider_no(spec, &refused)),
    };
    let whose = match flow.aim() {
        Aim::StepUp { user, .. } => Some(*user),
        _ => None,
    };
    let Some((user, account)) = enter(visit, spec, &person, whose, &doer).await? else {
        visit.note_provider(spec, Reason::NotAMember, person.email.as_ref(), "not in the pool, and may not join");
        return Err(No::Stranger { reason: Reason::NotAMember, may_link: spec.link });
    };
    let enrolled = visit.enrolled(Some(user)).await?.ok_or(Reason::NotAMember)?;
    let (provider, origin, account) = (spec.id.clone(), account.origin, Some(account.id()));
    let sid = person.sid.clone();
    if let Some(sid) = &sid {
        visit.house.know_session(visit.id(), (&person.identity.issuer, sid), enrolled.user.id).await?;
    }
    let means = Means::Oidc { provider, assurance: person.assurance, origin, account, sid };
    let asked = asked(&flow, visit.tenant.bundle.tenant.factors.minimum);
    match visit.proven(flow, &enrolled, means, doer).await {
        Ok(outcome) => outcome.respond(visit).await,
        Err(No::Refused(Reason::WordTooWeak)) => Err(too_weak(visit, spec, &person, asked)),
        Err(no) => Err(no),
    }
}

/// What is asked for, and whether whoever shows too little is signed in already.
fn asked(flow: &Flow, minimum: Assurance) -> (Assurance, bool) {
    match flow.aim() {
        Aim::StepUp { need: Need::Assurance(level), .. } => (*level, true),
        Aim::StepUp { need: Need::Fresh, .. } => (minimum, true),
        _ => (minimum, false),
    }
}

fn too_weak(visit: &Visit, spec: &ProviderSpec, person: &ProviderPerson, (asked, signed_in): (Assurance, bool)) -> No {
    let said = person.assurance;
    let detail = format!("{} is asked for, and the provider's word is worth {}", asked.level(), said.level());
    visit.note_provider(spec, Reason::WordTooWeak, person.email.as_ref(), &detail);
    No::TooWeak { asked, said, signed_in }
}

/// Whom the provider's answer is about.
pub(super) async fn vouched_for(
    visit: &Visit,
    spec: &ProviderSpec,
    attempt: &Attempt,
) -> Result<ProviderPerson, Refused> {
    let known = visit.known_provider(spec).await?;
    let provider = &known.provider;
    let code = provider.read_answer(&visit.query, attempt)?;
    let redirect = visit.redirect_uri(spec)?;
    let secret = visit.client_secret(provider.spec())?;
    let client = known.client.clone();
    let http = move |request: HttpRequest| call(client.clone(), request);
    let tokens = Box::pin(provider.exchange(code, attempt, &redirect, secret.as_ref(), &http)).await?;
    let claims = verified(visit, &known, &tokens, attempt).await?;
    let userinfo = userinfo(&known, &tokens, &claims).await?;
    provider.person(&claims, userinfo.as_ref())
}

/// Verifies; where the key is unknown, with keys fetched anew, once (the provider may have rotated them just now).
async fn verified(visit: &Visit, known: &Known, tokens: &Tokens, attempt: &Attempt) -> Result<Claims, Refused> {
    match known.provider.verify(tokens, attempt, visit.now) {
        Err(Refused::UnknownKey) => match visit.house.providers.with_new_keys(&visit.house, visit.id(), known).await? {
            Some(renewed) => renewed.provider.verify(tokens, attempt, visit.now),
            None => Err(Refused::UnknownKey),
        },
        outcome => outcome,
    }
}

/// More claims, where the token does not say who the person is to people.
async fn userinfo(known: &Known, tokens: &Tokens, claims: &Claims) -> Result<Option<Value>, Refused> {
    let Some(url) = known.provider.userinfo_url().filter(|_| !known.provider.says_enough(claims)) else {
        return Ok(None);
    };
    let body = get(&known.client, url.as_str(), Some(tokens.access_token().secret())).await?;
    serde_json::from_slice(&body).map(Some).map_err(|_| Refused::Answer("its userinfo is unreadable"))
}

async fn call(client: OutgoingClient, request: HttpRequest) -> Result<HttpResponse, HttpClientError<std::io::Error>> {
    let answer = client.call(request).await.map_err(|error| HttpClientError::Other(error.to_string()))?;
    Ok(answer.map(|body| body.to_vec()))
}

/// What a provider's failure is called.
pub(super) const fn reason_of(refused: &Refused) -> Reason {
    match refused {
        Refused::Provider(_) => Reason::ProviderRefused,
        Refused::Unreachable(_) | Refused::Document { .. } => Reason::ProviderUnavailable,
        Refused::Answer(_) | Refused::UnknownKey | Refused::Token(_) => Reason::ProviderRejected,
    }
}

impl Visit {
    fn provider(&self, id: &str) -> Result<&ProviderSpec, No> {
        let id = ProviderId::parse(id).map_err(|_| Reason::NotFound)?;
        self.tenant.bundle.providers.get(&id).ok_or(No::Refused(Reason::NotFound))
    }

    async fn known_provider(&self, spec: &ProviderSpec) -> Result<std::sync::Arc<Known>, Refused> {
        self.house.providers.find(&self.house, self.id(), spec).await
    }

    /// The address that a provider sends the browser back to: one for each provider, so that none can pass for another.
    fn redirect_uri(&self, spec: &ProviderSpec) -> Result<Url, Refused> {
        let origin = self.house.config.origin(&self.tenant.bundle.tenant.sign_in_host);
        let text = format!("{origin}/sign-in/callback/{}", spec.id);
        Url::parse(&text).map_err(|error| Refused::Unreachable(format!("our address is no URL: {error}")))
    }

    fn client_secret(&self, spec: &ProviderSpec) -> Result<Option<Secret<String>>, Refused> {
        let read = spec.client_secret.as_ref().map(|at| self.house.config.secret(at)).transpose();
        read.map_err(|error| Refused::Unreachable(format!("our client secret is not readable: {error}")))
    }

    /// What a provider's failure is to the person; the entry says more.
    pub(super) fn provider_no(&self, spec: &ProviderSpec, refused: &Refused) -> No {
        let reason = reason_of(refused);
        self.note_provider(spec, reason, None, &refused.to_string());
        tracing::warn!(tenant = %self.id(), provider = %spec.id, reason = %reason, error = %refused, "sign-in with a provider failed");
        No::Refused(reason)
    }

    pub(super) fn note_provider(&self, spec: &ProviderSpec, reason: Reason, email: Option<&Email>, detail: &str) {
        let event = Event::SignInRefused {
            email: email.map(ToString::to_string),
            user: None,
            factor: Some("oidc".into()),
            provider: Some(spec.id.clone()),
            reason,
            detail: detail.to_owned(),
        };
        self.house.note(self.id(), &self.noting(), event);
    }
}
