//! Decisions told: one that was made, from its entry and the policy set that made it, or one that is only tried.

use std::{net::IpAddr, sync::Arc};

use cardea_audit::{Actor, Decision, Entry, Event, PolicyRef, Request, Verdict};
use cardea_core::{AppId, Assurance, Caller, ClientId, Timestamp, diagnostic::nearest, resources::TenantBundle};
use cardea_identity::{Email, sign_in::usable};
use cardea_policy::{
    AppModel, Engine, Explanation, Facts, PATH_BYTES, Principal, Question, Sources, VerdictWord, built_in,
};
use cardea_storage::{Store, StoreFault};

use crate::{
    house::{Busy, Turns},
    state::{State, TenantState},
};

/// A request that is only tried.
#[derive(Debug, Clone)]
pub struct Trial {
    /// The app asked.
    pub app: AppId,
    /// The method, in capitals; `PREFLIGHT` for what a browser asks for a page of another origin.
    pub method: String,
    /// The path, decoded; a query is left off.
    pub path: String,
    /// Who asks; a visitor where absent.
    pub caller: Option<Email>,
    /// How strongly signed in; 1 where absent.
    pub assurance: Option<Assurance>,
}

/// Why a decision cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum Untold {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreFault),
    /// Other policies are being read.
    #[error("other policies are being read: try again in a moment")]
    Busy,
    /// What was asked about does not exist, or cannot be decided.
    #[error("{0}")]
    Unknown(String),
}

impl From<Busy> for Untold {
    fn from(_: Busy) -> Self {
        Self::Busy
    }
}

/// What would come of a request, and why. Forwards nothing and writes no entry.
pub async fn trial(store: &Store, tenant: &TenantState, trial: &Trial, now: Timestamp) -> Result<Explanation, Untold> {
    let (caller, reach) = who(store, tenant, trial).await?;
    let path = trial.path.split(['?', '#']).next().unwrap_or_default();
    if !path.starts_with('/') {
        return Err(Untold::Unknown(format!("path `{path}` does not start with `/`")));
    }
    if path.len() > PATH_BYTES {
        return Err(Untold::Unknown(format!("the path is longer than {PATH_BYTES} bytes")));
    }
    let host = tenant.bundle.apps.get(&trial.app).and_then(|app| app.hosts.first());
    let host = host.unwrap_or(&tenant.bundle.tenant.sign_in_host);
    let model = tenant.engine.app(&trial.app).ok_or_else(|| unknown_app(&trial.app, &tenant.engine))?;
    let preflight = trial.method == "PREFLIGHT";
    let method = if preflight { "OPTIONS" } else { trial.method.as_str() };
    let target = if preflight { model.preflight(path) } else { model.locate(method, path) };
    let target = target.ok_or_else(|| without_target(model, method, preflight))?;
    let signed_in = matches!(caller, Caller::User(_));
    let assurance = signed_in.then(|| trial.assurance.unwrap_or(Assurance::One));
    let facts = Facts {
        assurance,
        signed_in: signed_in.then_some(0),
        factors: factors_of(assurance),
        ..Facts::visitor(now, LOOPBACK, method, host, path)
    };
    let principal = Principal::of(&caller);
    let question = Question { principal: &principal, target: &target, facts };
    Ok(tenant.engine.explain(&question, reach))
}

/// Why an address or method has no meaning at an app.
fn without_target(model: &AppModel, method: &str, preflight: bool) -> Untold {
    Untold::Unknown(match (preflight, model.knows(method)) {
        (true, _) => {
            format!("app `{}` answers no preflights here: it declares no `[cors]`, or no such address", model.id())
        }
        (false, true) => format!("app `{}` has no such address: no pattern of its `resources` fits", model.id()),
        (false, false) => format!("`{method}` is a method that no policy knows"),
    })
}

const LOOPBACK: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

/// The factors by which that assurance is usually shown.
const fn factors_of(assurance: Option<Assurance>) -> &'static [&'static str] {
    match assurance {
        None => &[],
        Some(Assurance::One) => &["password"],
        Some(Assurance::Two) => &["password", "totp"],
        Some(Assurance::Three) => &["passkey"],
    }
}

async fn who(store: &Store, tenant: &TenantState, trial: &Trial) -> Result<(Caller, Assurance), Untold> {
    let Some(email) = &trial.caller else { return Ok((Caller::Visitor, Assurance::One)) };
    let user = store.user_by_email(tenant.id(), email).await?;
    let user = user.ok_or_else(|| Untold::Unknown(format!("there is no user `{email}` in this tenant's pool")))?;
    let enrolled = usable(&tenant.bundle.tenant.factors, &store.factors(tenant.id(), user.id).await?);
    let reach = cardea_identity::assurance::reachable(&[], &enrolled, None).unwrap_or(Assurance::One);
    Ok((Caller::User(tenant.facts(&user)), reach.max(trial.assurance.unwrap_or(Assurance::One))))
}

fn unknown_app(app: &AppId, engine: &Engine) -> Untold {
    let near = nearest(app.as_str(), engine.app_ids().map(AppId::as_str));
    let help = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
    Untold::Unknown(format!("there is no app `{app}`{help}"))
}

/// Tells the decision of an entry again, with the policy set that made it; `None` for an entry without a decision. Apps,
/// groups and guard-rails are today's: what shows that they have changed is told with it.
pub(crate) async fn entry(
    store: &Store,
    state: &State,
    judging: &Turns,
    entry: &Entry,
) -> Result<Option<Explanation>, Untold> {
    let (Some(id), Event::Request(request)) = (&entry.tenant, &entry.event) else { return Ok(None) };
    let (Some(decision), Actor::Caller(caller)) = (&request.decision, &entry.actor) else { return Ok(None) };
    let tenant = state.tenants.get(id).ok_or_else(|| Untold::Unknown(format!("tenant `{id}` is gone")))?;
    let engine = engine_of(store, state, tenant, &decision.policy, judging).await?;
    let app = request.app.as_ref().ok_or_else(|| Untold::Unknown("the entry names no app".to_owned()))?;
    let model = engine.app(app).ok_or_else(|| unknown_app(app, &engine))?;
    let was_preflight = &*decision.action == built_in::PREFLIGHT;
    let preflight = was_preflight.then(|| model.preflight(&request.path)).flatten();
    let target = preflight.or_else(|| model.locate(&request.method, &request.path));
    let target = target.ok_or_else(|| without_target(model, &request.method, false))?;
    let factors: Vec<&str> = decision.context.factors.iter().map(AsRef::as_ref).collect();
    let principal = Principal::of(caller);
    let question = Question { principal: &principal, target: &target, facts: facts(request, decision, &factors) };
    // The entry says what came out; how far the caller could reach then is read off it.
    let reach = match decision.verdict {
        Verdict::Challenge => Assurance::Three,
        Verdict::Allow | Verdict::Deny => Assurance::from_level(decision.context.assurance).unwrap_or(Assurance::One),
    };
    let mut told = engine.explain(&question, reach);
    told.changed_since = changed_since(&told, decision, engine.hash());
    Ok(Some(told))
}

/// What is no longer as it was when a decision was made, as far as its entry shows.
fn changed_since(told: &Explanation, decision: &Decision, hash: &str) -> Vec<String> {
    let meaning = (told.action.as_str(), told.resource.kind.as_str(), told.resource.id.as_str());
    let meant = (&*decision.action, &*decision.resource.kind, &*decision.resource.id);
    let attributes = told.resource.attributes.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let recorded = decision.resource.attributes.iter().map(|(name, value)| (&**name, &**value));
    let outcome = match told.verdict {
        VerdictWord::Allow => Verdict::Allow,
        VerdictWord::Deny => Verdict::Deny,
        VerdictWord::Challenge => Verdict::Challenge,
    };
    let was = decision.verdict.code();
    [
        (*decision.policy.hash != *hash, "the guard-rails or the built-in policies are others now".to_owned()),
        (meaning != meant || !attributes.eq(recorded), "the app gives the address another meaning now".to_owned()),
        (outcome != decision.verdict, format!("the outcome then was `{was}`, which the entry holds")),
    ]
    .into_iter()
    .filter_map(|(changed, said)| changed.then_some(said))
    .collect()
}

fn facts<'a>(request: &'a Request, decision: &'a Decision, factors: &'a [&'a str]) -> Facts<'a> {
    let context = &decision.context;
    let assurance = Assurance::from_level(context.assurance);
    Facts {
        assurance,
        signed_in: assurance.and_then(|_| u64::try_from(context.signed_in).ok()),
        factors,
        client_id: request.by.as_ref().and_then(|by| by.client.as_ref()).map_or("", ClientId::as_str),
        scope: &context.scope,
        ..Facts::visitor(context.time, context.client, &request.method, &request.host, &request.path)
    }
}

async fn engine_of(
    store: &Store,
    state: &State,
    tenant: &TenantState,
    policy: &PolicyRef,
    judging: &Turns,
) -> Result<Arc<Engine>, Untold> {
    if tenant.policy == *policy {
        return Ok(Arc::clone(&tenant.engine));
    }
    let turn = judging.turn(tenant.id()).await?;
    let (_, set) = store
        .policy_version(tenant.id(), policy.version)
        .await?
        .ok_or_else(|| Untold::Unknown(format!("policy version {} is gone", policy.version)))?;
    let (then, rails) = (TenantBundle { policies: set, ..tenant.bundle.clone() }, state.guard_rails.clone());
    // A thousand policies take a tenth of a second: not on a thread that answers requests.
    let compiled = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        Engine::compile(&Sources::of(&then, &rails))
    });
    let engine = compiled.await.map_err(|error| Untold::Unknown(error.to_string()))?;
    let unfit = |_| Untold::Unknown(format!("policy version {} does not fit today's apps", policy.version));
    engine.map(Arc::new).map_err(unfit)
}
