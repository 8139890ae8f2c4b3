//! `/factors/with/{provider}` and `/factors/accounts/{id}`: accounts at providers that the person links to their own, and unlinks. What
//! is shown of them stands in the list of factors.
//!
//! INVARIANT: an account is linked by proof of both: of this one here, as for any other way to sign in, and of the one over there,
//! anew, on a trip that belongs to this session (`sign_in/linking.rs`). An e-mail address links nothing.

use axum::{
    extract::Path,
    http::{HeaderValue, header::SET_COOKIE},
    response::Response,
};
use cardea_core::{Assurance, ProviderId, Reason, resources::ProviderSpec};
use cardea_identity::{
    Had, LinkedAccount,
    assurance::in_all,
    cookie,
    one_time::{OneTime, Purpose},
    sign_in::{Destination, Flow},
};
use cardea_storage::{Unlinked, Unlinking};

use super::{
    factors::{Standing, list},
    fresh::{self, Act},
    visit::{Failed, Visit, see_other},
};
use crate::{
    house::{Doer, best_of},
    pages::{LinkAccount, Page, Problem, ProviderButton, RemoveFactor},
    sign_in::way_to,
};

const WITH: &str = "/factors/with/";

/// The providers at which an account may be linked, each with the page that leads there.
pub(super) fn linkable(visit: &Visit) -> Vec<ProviderButton<'_>> {
    let open = visit.tenant.bundle.providers.values().filter(|provider| provider.link);
    open.map(|spec| ProviderButton { name: &spec.name, href: format!("{WITH}{}", spec.id) }).collect()
}

/// Asks before the person goes there.
pub(super) async fn ask(visit: Visit, Path(id): Path<String>) -> Response {
    let result = offer(&visit, &id).await;
    visit.answer(result)
}

async fn offer(visit: &Visit, id: &str) -> Result<Response, Failed> {
    let spec = provider(visit, id)?;
    let here = format!("{WITH}{}", spec.id);
    fresh::require(visit, Act::Add, &visit.factors().await?, &here).await?;
    // Of all pages of the portal only this one's form may end elsewhere: at this provider.
    let way = way_to(&visit.house, &visit.tenant, spec).await.map_err(|refused| {
        tracing::warn!(tenant = %visit.tenant_id(), provider = %spec.id, error = %refused, "no account can be linked there");
        Failed::Refused(Reason::ProviderUnavailable)
    })?;
    let look = &visit.look.leading_to(&way);
    Ok(LinkAccount { look, person: visit.person(), provider: &spec.name, action: &here }.respond())
}

fn provider<'a>(visit: &'a Visit, id: &str) -> Result<&'a ProviderSpec, Failed> {
    let spec = ProviderId::parse(id).ok().and_then(|id| visit.tenant.bundle.providers.get(&id));
    spec.filter(|spec| spec.link).ok_or(Failed::Refused(Reason::NotFound))
}

/// Sets out.
pub(super) async fn set_out(visit: Visit, Path(id): Path<String>) -> Response {
    let result = sent(&visit, &id).await;
    visit.answer(result)
}

async fn sent(visit: &Visit, id: &str) -> Result<Response, Failed> {
    visit.doer()?;
    let spec = provider(visit, id)?;
    let way = format!("{WITH}{}", spec.id);
    let (house, tenant) = (&visit.house, visit.tenant_id());
    // Before it is judged: what comes in between is another than was judged by.
    let (factors, accounts) = (visit.factors().await?, house.store.identities(tenant, visit.user_id()).await?);
    fresh::require(visit, Act::Add, &factors, &way).await?;
    let destination = Destination { to: visit.home(), flow: None };
    let (user, had) = (visit.user().await?, Had::of(&factors, &accounts));
    let flow = Flow::link(&user, visit.live.id, spec.id.clone(), had, destination);
    let sealer = house.sealer(tenant).await?;
    let issued = OneTime::issue(Purpose::Flow, tenant, &flow, &sealer, visit.now(), &*house.entropy);
    let (ticket, kept) = issued.map_err(|_| Failed::Refused(Reason::Internal))?;
    house.shared.put(&kept, visit.now()).await?;
    let mut response = see_other(&format!("/sign-in/with/{}?step=link", spec.id));
    let cookie = HeaderValue::from_str(&cookie::set_flow(&ticket, house.is_secure()));
    response.headers_mut().append(SET_COOKIE, cookie.map_err(|_| Failed::Refused(Reason::Internal))?);
    Ok(response)
}

/// Asks before one is unlinked.
pub(super) async fn ask_remove(visit: Visit, Path(id): Path<String>) -> Response {
    let result = confirm(&visit, &id).await;
    visit.answer(result)
}

async fn confirm(visit: &Visit, id: &str) -> Result<Response, Failed> {
    let standing = Standing::read(visit).await?;
    let account = find(&standing, id)?;
    let row = standing.account_row(visit, account);
    if !row.removable {
        return list(visit, None, Some(Problem::LastFactor)).await;
    }
    fresh::require(visit, Act::Remove, &standing.factors, &page_of(account)).await?;
    let usable = visit.usable(&standing.factors);
    let best = |accounts: &[LinkedAccount]| in_all(&[], &usable, best_of(&visit.tenant, accounts));
    let left = standing.without_account(account);
    let weakens = best(&standing.accounts) >= Some(Assurance::Two) && best(&left.accounts) < Some(Assurance::Two);
    Ok(RemoveFactor { look: &visit.look, person: visit.person(), factor: row, weakens }.respond())
}

/// INVARIANT: looks among those only that the person linked: another's, or what a provider brought, is as if it were not there.
fn find<'a>(standing: &'a Standing, id: &str) -> Result<&'a LinkedAccount, Failed> {
    let found = standing.accounts.iter().find(|account| !account.is_brought() && account.id().as_str() == id);
    found.ok_or(Failed::Refused(Reason::NotFound))
}

fn page_of(account: &LinkedAccount) -> String {
    format!("/factors/accounts/{}/remove", account.id())
}

/// Unlinks one, and ends the sessions elsewhere that rest on it.
pub(super) async fn remove(visit: Visit, Path(id): Path<String>) -> Response {
    let result = unlink(&visit, &id).await;
    visit.answer(result)
}

async fn unlink(visit: &Visit, id: &str) -> Result<Response, Failed> {
    let doer = visit.doer()?;
    let (store, tenant, user) = (&visit.house.store, visit.tenant_id(), visit.user_id());
    // With those that open nothing: the store knows of no providers.
    let accounts = store.identities(tenant, user).await?;
    let standing = Standing::read(visit).await?;
    // Once more, where it broke off after the step that counts.
    if visit.house.is_half_unlinked(tenant, user, id).await? {
        return told(visit, &doer).await;
    }
    let account = find(&standing, id)?;
    fresh::require(visit, Act::Remove, &standing.factors, &page_of(account)).await?;
    if !standing.account_row(visit, account).removable {
        return list(visit, None, Some(Problem::LastFactor)).await;
    }
    let had = Had::of(&standing.factors, &accounts);
    let which = (&account.identity.provider, account.linked);
    let by = Unlinking::Own { had: &had };
    match store.unlink_identity(tenant, user, which, by, visit.now()).await? {
        Unlinked::Done { .. } => told(visit, &doer).await,
        Unlinked::NoAccount => Err(Failed::Refused(Reason::NotFound)),
        Unlinked::Changed => Err(Failed::Refused(Reason::Conflict)),
    }
}

async fn told(visit: &Visit, doer: &Doer) -> Result<Response, Failed> {
    visit.house.forget_user(visit.user_id());
    let user = visit.user().await?;
    visit.house.finish_unlinking(visit.tenant_id(), &user, Some(visit.live.id), doer).await?;
    Ok(see_other("/factors?done=removed"))
}
