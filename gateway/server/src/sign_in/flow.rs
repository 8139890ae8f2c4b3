//! The first page: who is it? By address, by passkey, or by a provider.

use axum::{Form, extract::Query, response::Response};
use cardea_core::resources::ProviderSpec;
use cardea_identity::{Email, sign_in::Destination};
use serde::Deserialize;

use super::{
    email,
    visit::{No, Onward, Visit, carried, query_of, see_other},
};
use crate::pages::{Page as _, Problem, ProviderButton, SignIn};

/// `POST /sign-in`.
#[derive(Debug, Deserialize)]
pub(super) struct Identity {
    email: String,
    #[serde(default)]
    to: Option<String>,
    #[serde(default)]
    flow: Option<String>,
}

/// `GET /sign-in`.
#[derive(Debug, Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    to: Option<String>,
    #[serde(default)]
    flow: Option<String>,
    /// Said where a session was shown that is over. Anybody can make such a link: it changes nothing but a sentence.
    #[serde(default)]
    ended: Option<String>,
}

/// `GET /sign-in`: who is signed in already goes on at once; that is how one sign-in serves all apps.
pub(super) async fn show(visit: Visit, Query(asked): Query<Asked>) -> Response {
    visit.answer(shown(&visit, asked).await)
}

async fn shown(visit: &Visit, asked: Asked) -> Result<Response, No> {
    let over = asked.ended.is_some();
    let destination = visit.destination(&Onward { to: asked.to, flow: asked.flow })?;
    if let Some(session) = visit.admitted.session() {
        return Ok(see_other(&visit.leave(session.id, &destination).await?));
    }
    Ok(drawn(visit, &destination, "", None, over))
}

/// `POST /sign-in`: the password is asked for next, whoever it is; a code by e-mail where there are no passwords.
pub(super) async fn identify(visit: Visit, Form(form): Form<Identity>) -> Response {
    visit.answer(identified(&visit, form).await)
}

async fn identified(visit: &Visit, form: Identity) -> Result<Response, No> {
    let destination = visit.destination(&Onward { to: form.to, flow: form.flow })?;
    let Ok(address) = Email::parse(&form.email) else {
        return Ok(page(visit, &destination, &form.email, Some(Problem::BadEmail)));
    };
    visit.doer()?;
    if let Some(provider) = provider_of(visit, &address) {
        let query = query_to(&destination, &[("email", address.as_str())]);
        return Ok(see_other(&format!("/sign-in/with/{}{query}", provider.id)));
    }
    let flow = visit.begin_flow(destination).await?.identified(address)?;
    if !visit.tenant.bundle.tenant.factors.password && visit.house.sends_codes(&visit.tenant) {
        return email::send_for(visit, flow).await;
    }
    Ok(visit.keep_flow(&flow).await?.on(see_other("/sign-in/password")))
}

/// The provider to which people of this address's domain are sent.
fn provider_of<'a>(visit: &'a Visit, email: &Email) -> Option<&'a ProviderSpec> {
    let providers = visit.tenant.bundle.providers.values();
    providers.into_iter().find(|provider| provider.email_domains.iter().any(|domain| domain == email.domain()))
}

/// The page, with what was typed and what was wrong with it.
pub(super) fn page(visit: &Visit, destination: &Destination, email: &str, problem: Option<Problem>) -> Response {
    drawn(visit, destination, email, problem, false)
}

fn drawn(visit: &Visit, destination: &Destination, email: &str, problem: Option<Problem>, over: bool) -> Response {
    let rules = &visit.tenant.bundle.tenant.factors;
    let onward = carried(destination);
    // `begin` tells the passkey's request that it starts a sign-in and does not continue one.
    let mut fields: Vec<_> = onward.iter().map(|(name, value)| (*name, value.as_str())).collect();
    fields.push(("begin", "yes"));
    let providers = visit.tenant.bundle.providers.values();
    SignIn {
        look: &visit.look,
        email,
        problem,
        over,
        carried: &fields,
        app: visit.tenant.app_at(destination.to.host()).map(|app| app.name.as_str()),
        passkey: rules.passkey,
        pool: rules.password || visit.house.sends_codes(&visit.tenant),
        providers: providers
            .into_iter()
            .map(|provider| ProviderButton {
                name: &provider.name,
                href: format!("/sign-in/with/{}{}", provider.id, query_to(destination, &[])),
            })
            .collect(),
    }
    .respond()
}

/// The query that carries a destination along.
pub(super) fn query_to(destination: &Destination, more: &[(&str, &str)]) -> String {
    let onward = carried(destination);
    let pairs: Vec<_> =
        onward.iter().map(|(name, value)| (*name, value.as_str())).chain(more.iter().copied()).collect();
    query_of(&pairs)
}
