//! `GET /`: the apps that the person could open now, or after confirming who they are.

use std::time::Duration;

use axum::response::Response;
use cardea_core::{AppId, Assurance, resources::AppSpec};
use cardea_identity::{Factor, FactorData, assurance::Means};
use cardea_policy::{Facts, Question, built_in};

use super::{
    fresh, recovery,
    visit::{Failed, Visit},
};
use crate::pages::{AppCard, Page, Portal, when::When};

/// Two weeks in which the portal says that a recovery code was used: whoever did not use it is back from a holiday.
const TOLD: Duration = Duration::from_secs(14 * 24 * 3600);

/// Shows the portal.
pub(super) async fn show(visit: Visit) -> Response {
    let result = portal(&visit).await;
    visit.answer(result)
}

async fn portal(visit: &Visit) -> Result<Response, Failed> {
    let rules = &visit.tenant.bundle.tenant.factors;
    let mut apps: Vec<AppCard> = visit.tenant.bundle.apps.values().filter_map(|app| card(visit, app)).collect();
    apps.sort_by_key(|app| app.name.to_lowercase());
    let host = visit.admitted().canonical().host();
    let factors = visit.factors().await?;
    let offer_second = visit.live.reachable < Assurance::Two && (rules.passkey || rules.totp);
    let needs_link = offer_second && fresh::needs_link(visit, &factors).await?;
    let used = recovery::set_of(&factors).and_then(|codes| codes.last_used);
    let console = (built_in::console(), host.as_ref(), "/admin/");
    let page = Portal {
        look: &visit.look,
        person: visit.person(),
        apps,
        assurance: visit.live.assurance.level(),
        since: When::new(visit.live.shown_at, visit.now()),
        administrator: opens(visit, &console.0, console.1, console.2).is_some(),
        offer_second,
        needs_link,
        must: offer_second && must(visit),
        recovery_used: used.filter(|at| visit.now().since(*at) < TOLD).map(|at| When::new(at, visit.now())),
        copied: copied(visit, &factors),
        done: None,
    };
    Ok(page.respond())
}

/// Whether without a second factor they cannot sign in again. Whom a provider brought is the provider's to check: the minimum is
/// about the pool's own factors.
fn must(visit: &Visit) -> bool {
    let below = visit.live.assurance < visit.tenant.bundle.tenant.factors.minimum;
    below && !visit.live.factors.contains(&Means::PROVIDER)
}

/// The passkey of which a copy seems to have been used; told until it is removed.
fn copied(visit: &Visit, factors: &[Factor]) -> Option<String> {
    let is = |factor: &&Factor| matches!(factor.data, FactorData::Passkey { copied: Some(_), .. });
    let one = factors.iter().find(is)?;
    let kind = visit.look.w.factors.passkey.0;
    Some(if one.name.is_empty() { kind.to_owned() } else { one.name.clone() })
}

fn card(visit: &Visit, app: &AppSpec) -> Option<AppCard> {
    let host = app.hosts.first().filter(|_| app.in_portal)?;
    let path = app.start_path.split(['?', '#']).next().unwrap_or("/");
    let opens = opens(visit, &app.id, host, path)?;
    Some(AppCard {
        name: app.name.clone(),
        description: app.description.clone(),
        host: host.clone(),
        href: format!("{}{}", visit.house.config.origin(host), app.start_path),
        asks_more: opens == Opens::AfterStepUp,
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Opens {
    Now,
    AfterStepUp,
}

/// Puts the question that the app's start page will put. INVARIANT: this only decides what is shown; opening the app
/// asks again.
fn opens(visit: &Visit, app: &AppId, host: &str, path: &str) -> Option<Opens> {
    let engine = &visit.tenant.engine;
    let target = engine.app(app)?.locate("GET", path)?;
    let live = &visit.live;
    let facts = Facts {
        assurance: Some(live.assurance),
        signed_in: Some(visit.now().since(live.signed_in_at).as_secs()),
        time: visit.now(),
        client: visit.admitted().client(),
        factors: &live.factors,
        method: "GET",
        host,
        path,
        client_id: "",
        scope: &[],
    };
    let question = Question { principal: live.principal(), target: &target, facts };
    let verdict = engine.decide(&question);
    if verdict.allowed && verdict.errors.is_empty() {
        return Some(Opens::Now);
    }
    engine.challenge(&question, live.reachable).map(|_| Opens::AfterStepUp)
}
