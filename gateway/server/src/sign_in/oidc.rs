//! Signing in with a provider: the way there, and back.

use axum::{
    extract::{Path, Query},
    response::Response,
};
use cardea_audit::Event;
use cardea_core::{GroupId, ProviderId, Reason, Secret, UserId, resources::ProviderSpec};
use cardea_identity::{
    Email, Status, User,
    assurance::Means,
    oidc::{Admission, Ask, Attempt, Claims, Pool, ProviderPerson, Refused, Tokens, admit, regroup},
    sign_in::{Aim, Need},
};
use cardea_storage::{Inserted, Linked};
use openidconnect::{HttpClientError, HttpRequest, HttpResponse};
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use super::{
    linking,
    providers::{Known, get},
    visit::{No, Onward, Visit, see_other},
};
use crate::{
    house::{Doer, stands_twice, subject},
    outgoing::OutgoingClient,
};

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
    let known = visit.known_provider(spec).await?;
    let ask = Ask { fresh, assurance, hint: hint.as_ref() };
    let redirect = visit.redirect_uri(spec)?;
    let (url, attempt) = known
        .provider
        .send(&redirect, ask, visit.now, &*visit.house.entropy)
        .map_err(|refused| visit.provider_no(spec, &refused))?;
    let flow = flow.sent_to(spec.id.clone(), attempt)?;
    Ok(visit.keep_flow(&flow).await?.on(see_other(url.as_str())))
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
    let linking = linking::begun_here(visit, &flow, spec).await?;
    let known = visit.known_provider(spec).await?;
    let person = match person(visit, &known, &attempt).await {
        Ok(person) => person,
        Err(refused) => return Err(visit.provider_no(spec, &refused)),
    };
    if let Some(linking) = linking {
        return linking.end(visit, &person.identity, doer).await;
    }
    let Some((user, own)) = enter(visit, spec, &person, &doer).await? else {
        visit.note_provider(spec, Reason::NotAMember, person.email.as_ref(), "not in the pool, and may not join");
        return Err(Reason::NotAMember.into());
    };
    let enrolled = visit.enrolled(Some(user)).await?.ok_or(Reason::NotAMember)?;
    let means = Means::Oidc { provider: spec.id.clone(), assurance: person.assurance, own };
    let outcome = visit.proven(flow, &enrolled, means, doer).await?;
    visit.house.store.identity_used(visit.id(), &person.identity, visit.now).await?;
    outcome.respond(visit).await
}

async fn person(visit: &Visit, known: &Known, attempt: &Attempt) -> Result<ProviderPerson, Refused> {
    let provider = &known.provider;
    let code = provider.read_answer(&visit.query, attempt)?;
    let redirect = visit.redirect_uri(provider.spec()).map_err(|_| Refused::Answer("it has no address here"))?;
    let secret = visit.client_secret(provider.spec())?;
    let client = known.client.clone();
    let http = move |request: HttpRequest| call(client.clone(), request);
    let tokens = Box::pin(provider.exchange(code, attempt, &redirect, secret.as_ref(), &http)).await?;
    let claims = verified(visit, known, &tokens, attempt).await?;
    let userinfo = userinfo(known, &tokens, &claims).await?;
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

/// The user as whom the person comes in, and whether by an account that they linked themselves: then the provider gives and takes no
/// group, since they are the pool's. Nobody where they may not.
async fn enter(
    visit: &Visit,
    spec: &ProviderSpec,
    person: &ProviderPerson,
    doer: &Doer,
) -> Result<Option<(User, bool)>, No> {
    let store = &visit.house.store;
    let (linked, account) = store.user_by_identity(visit.id(), &person.identity).await?.unzip();
    let by_email = match &person.email {
        Some(email) if linked.is_none() => store.user_by_email(visit.id(), email).await?,
        _ => None,
    };
    let domain = person.email.as_ref().map(Email::domain);
    let others = visit.tenant.bundle.providers.values().filter(|other| other.id != spec.id);
    let domain_is_anothers =
        others.flat_map(|other| &other.email_domains).any(|theirs| Some(theirs.as_str()) == domain);
    let pool = Pool { linked: linked.as_ref(), by_email: by_email.as_ref(), domain_is_anothers };
    let user = match admit(spec, person, pool) {
        Admission::Known => linked,
        Admission::Link => match by_email {
            Some(user) => Some(link(visit, spec, user, person, doer).await?),
            None => None,
        },
        Admission::Join(email) => join(visit, spec, email, person, doer).await?,
        Admission::NotAMember => None,
    };
    if let (Some(user), Some(account)) = (&user, account.as_ref().filter(|account| !account.told)) {
        visit.house.tell_linked(visit.id(), user, (&account.identity, account.own), doer).await?;
    }
    match user {
        Some(user) if account.is_some_and(|account| account.own) => Ok(Some((user, true))),
        Some(user) => Ok(Some((follow_groups(visit, spec, person, user, doer).await?, false))),
        None => Ok(None),
    }
}

/// Makes an account a person's by the provider's word. INVARIANT: never one that was taken from them.
async fn link(
    visit: &Visit,
    spec: &ProviderSpec,
    mut user: User,
    person: &ProviderPerson,
    doer: &Doer,
) -> Result<User, No> {
    let identity = &person.identity;
    if !matches!(user.status, Status::Invited | Status::Active) {
        return Err(Reason::UserSuspended.into());
    }
    let store = &visit.house.store;
    match store.link_identity(visit.id(), user.id, identity, visit.now).await? {
        Linked::Done | Linked::Already { .. } => {}
        Linked::Unlinked => {
            let why = "it was unlinked, and is linked again by the person only";
            visit.note_provider(spec, Reason::AccountUnlinked, person.email.as_ref(), why);
            return Err(Reason::AccountUnlinked.into());
        }
        Linked::Taken | Linked::NoUser | Linked::Changed => return Err(Reason::NotAMember.into()),
    }
    visit.house.tell_linked(visit.id(), &user, (identity, false), doer).await?;
    if user.status == Status::Invited
        && store.set_status(visit.id(), user.id, Status::Invited, Status::Active, visit.now).await?
    {
        user.status = Status::Active;
        let event = Event::UserJoined { user: subject(&user), provider: Some(identity.provider.clone()) };
        visit.house.record(visit.id(), doer, event).await?;
    }
    Ok(user)
}

async fn join(
    visit: &Visit,
    spec: &ProviderSpec,
    email: Email,
    person: &ProviderPerson,
    doer: &Doer,
) -> Result<Option<User>, No> {
    let user = User {
        id: UserId::mint(visit.now, &*visit.house.entropy),
        tenant: visit.id().clone(),
        name: person.name.clone().unwrap_or_else(|| email.to_string()),
        email,
        status: Status::Active,
        groups: vec![],
        created: visit.now,
        changed: visit.now,
        last_seen: None,
        attributes: cardea_core::Attributes::default(),
    };
    if visit.house.store.insert_user(&user).await? != Inserted::Done {
        return Ok(None);
    }
    let provider = person.identity.provider.clone();
    let event = Event::UserJoined { user: subject(&user), provider: Some(provider) };
    visit.house.record(visit.id(), doer, event).await?;
    link(visit, spec, user, person, doer).await.map(Some)
}

async fn follow_groups(
    visit: &Visit,
    spec: &ProviderSpec,
    person: &ProviderPerson,
    mut user: User,
    doer: &Doer,
) -> Result<User, No> {
    let mut before = user.groups.clone();
    before.sort();
    if before == regroup(spec, &before, &person.groups) {
        return Ok(user);
    }
    // Decided anew on what stands in that moment: an administrator may have changed the other groups since it was read.
    let to = |current: &[GroupId]| regroup(spec, current, &person.groups);
    let changed = visit.house.store.change_groups(visit.id(), user.id, to, visit.now).await?;
    let (before, after) = changed.ok_or(Reason::NotAMember)?;
    visit.house.forget_user(user.id);
    let provider = Some(spec.id.clone());
    let event = Event::GroupsChanged { user: subject(&user), before, after: after.clone(), provider };
    visit.house.record(visit.id(), doer, event).await?;
    user.groups = after;
    Ok(user)
}

impl Visit {
    fn provider(&self, id: &str) -> Result<&ProviderSpec, No> {
        let id = ProviderId::parse(id).map_err(|_| Reason::NotFound)?;
        self.tenant.bundle.providers.get(&id).ok_or(No::Refused(Reason::NotFound))
    }

    async fn known_provider(&self, spec: &ProviderSpec) -> Result<std::sync::Arc<Known>, No> {
        let found = self.house.providers.find(&self.house, self.id(), spec).await;
        found.map_err(|refused| self.provider_no(spec, &refused))
    }

    /// The address that a provider sends the browser back to: one for each provider, so that none can pass for another.
    fn redirect_uri(&self, spec: &ProviderSpec) -> Result<Url, No> {
        let origin = self.house.config.origin(&self.tenant.bundle.tenant.sign_in_host);
        let text = format!("{origin}/sign-in/callback/{}", spec.id);
        Url::parse(&text).map_err(|error| No::Faulted(Reason::Internal, error.to_string()))
    }

    fn client_secret(&self, spec: &ProviderSpec) -> Result<Option<Secret<String>>, Refused> {
        let read = spec.client_secret.as_ref().map(|at| self.house.config.secret(at)).transpose();
        read.map_err(|error| Refused::Unreachable(format!("our client secret is not readable: {error}")))
    }

    /// What a provider's failure is to the person; the entry says more.
    fn provider_no(&self, spec: &ProviderSpec, refused: &Refused) -> No {
        let reason = match refused {
            Refused::Provider(_) => Reason::ProviderRefused,
            Refused::Unreachable(_) | Refused::Document { .. } => Reason::ProviderUnavailable,
            Refused::Answer(_) | Refused::UnknownKey | Refused::Token(_) => Reason::ProviderRejected,
        };
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
