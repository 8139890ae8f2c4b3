//! `/programs`: what programs may do in the person's name, and the access keys that they have made; each can be taken back.

use std::collections::BTreeSet;

use axum::{
    Form,
    extract::{
        Path, Query,
        rejection::{FormRejection, QueryRejection},
    },
    response::Response,
};
use cardea_audit::Event;
use cardea_core::{AccessKeyId, AppId, GrantId, Reason};
use cardea_identity::oauth2::{
    Grant, Scope,
    access_key::{AccessKey, AccessKeySecret},
    grant::{GrantEndReason, days},
};
use cardea_proxy::live_token::Ended;
use serde::Deserialize;

use super::{
    fresh,
    visit::{Failed, Visit, see_other},
};
use crate::{
    house::subject,
    pages::{self, AccessKeyRow, AppChoice, Page, Problem, ProgramRow, when::When},
};

/// Where a key is made.
const KEYS: &str = "/programs/keys";

/// The longest name of a key.
const NAME: usize = 80;

#[derive(Debug, Default, Deserialize)]
pub(super) struct Shown {
    done: Option<String>,
}

/// Lists them.
pub(super) async fn show(visit: Visit, shown: Result<Query<Shown>, QueryRejection>) -> Response {
    let done = shown.ok().and_then(|Query(shown)| shown.done);
    let words = &visit.look.w.programs;
    let done = match done.as_deref() {
        Some("ended") => Some(words.done_ended.to_string()),
        Some("removed") => Some(words.done_removed.to_string()),
        _ => None,
    };
    let result = list(&visit, done).await;
    visit.answer(result)
}

async fn list(visit: &Visit, done: Option<String>) -> Result<Response, Failed> {
    let (tenant, user, now) = (visit.tenant_id(), visit.user_id(), visit.now());
    let grants = visit.house.store.grants_of(tenant, user, now).await?;
    let keys = visit.house.store.access_keys_of(tenant, user).await?;
    let page = pages::Programs {
        look: &visit.look,
        person: visit.person(),
        programs: grants.iter().filter_map(|grant| program(visit, grant)).collect(),
        keys: keys.iter().map(|one| key(visit, one)).collect(),
        makes_keys: visit.tenant.bundle.tenant.access_key_days.is_some(),
        done,
    };
    Ok(page.respond())
}

/// A client that is gone may do nothing, and is not shown.
fn program(visit: &Visit, grant: &Grant) -> Option<ProgramRow> {
    let client = visit.tenant.bundle.clients.get(&grant.client)?;
    Some(ProgramRow {
        id: grant.id.to_string(),
        name: client.name.clone(),
        scope: grant.scope.to_string(),
        apps: names(visit, &grant.apps),
        from: visit.look.w.browser(&grant.agent),
        since: When::new(grant.created, visit.now()),
        used: When::new(grant.last_used, visit.now()),
    })
}

fn key(visit: &Visit, key: &AccessKey) -> AccessKeyRow {
    AccessKeyRow {
        id: key.id.to_string(),
        name: key.name.clone(),
        scope: key.scope.to_string(),
        apps: names(visit, &key.apps),
        is_over: !key.is_good(visit.now()),
        expires: When::new(key.expires, visit.now()),
        used: key.last_used.map(|at| When::new(at, visit.now())),
    }
}

fn names(visit: &Visit, apps: &BTreeSet<AppId>) -> String {
    let known = apps.iter().filter_map(|app| visit.tenant.bundle.apps.get(app)).map(|app| app.name.as_str());
    known.collect::<Vec<_>>().join(", ")
}

/// Takes back what a program may do.
pub(super) async fn end(visit: Visit, Path(id): Path<String>) -> Response {
    let result = end_own(&visit, &id).await;
    visit.answer(result)
}

async fn end_own(visit: &Visit, id: &str) -> Result<Response, Failed> {
    let doer = visit.doer()?;
    let id = GrantId::parse(id).map_err(|_| Failed::Refused(Reason::NotFound))?;
    let grant = visit.house.store.grant(visit.tenant_id(), id).await?;
    // INVARIANT: what somebody else has given is as if it were not there.
    let grant = grant.filter(|grant| grant.user == visit.user_id()).ok_or(Failed::Refused(Reason::NotFound))?;
    visit.house.end_grant(&visit.tenant, &grant, (GrantEndReason::Portal, &doer)).await?;
    Ok(see_other("/programs?done=ended"))
}

/// Asks what a new key is to be good for.
pub(super) async fn ask(visit: Visit) -> Response {
    let result = asked(&visit, None);
    visit.answer(result)
}

fn asked(visit: &Visit, problem: Option<Problem>) -> Result<Response, Failed> {
    let most = visit.tenant.bundle.tenant.access_key_days.ok_or(Failed::Refused(Reason::NotFound))?;
    fresh::signed_in(visit, KEYS)?;
    let apps = visit.tenant.bundle.apps.values();
    let apps = apps.map(|app| AppChoice { id: app.id.to_string(), name: app.name.clone() }).collect();
    let days = [7, 30, 90, 180, 366].into_iter().filter(|days| *days < most).chain([most]).collect();
    Ok(pages::NewAccessKey { look: &visit.look, person: visit.person(), apps, days, problem }.respond())
}

/// Makes a key, and shows it once.
pub(super) async fn make(visit: Visit, form: Result<Form<Vec<(String, String)>>, FormRejection>) -> Response {
    let result = match form {
        Ok(Form(form)) => made(&visit, &form).await,
        Err(_) => Err(Failed::Refused(Reason::BadInput)),
    };
    visit.answer(result)
}

async fn made(visit: &Visit, form: &[(String, String)]) -> Result<Response, Failed> {
    let most = visit.tenant.bundle.tenant.access_key_days.ok_or(Failed::Refused(Reason::NotFound))?;
    fresh::signed_in(visit, KEYS)?;
    let first = |name: &str| form.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str());
    let name = first("name").map(str::trim).unwrap_or_default();
    if name.is_empty() || name.chars().count() > NAME || name.chars().any(char::is_control) {
        return asked(visit, Some(Problem::BadName));
    }
    // Each box that is ticked is a field of its own, since no field may stand twice.
    let apps = form.iter().filter_map(|(field, _)| AppId::parse(field.strip_prefix("app-")?).ok());
    let apps: BTreeSet<_> = apps.filter(|app| visit.tenant.bundle.apps.contains_key(app)).collect();
    let scope = ["read", "write"].into_iter().filter(|kind| first(&format!("scope-{kind}")).is_some());
    let (Ok(scope), false) = (Scope::of(scope), apps.is_empty()) else {
        return asked(visit, Some(Problem::NothingChosen));
    };
    let wanted = first("days").and_then(|days| days.parse::<u16>().ok());
    let Some(wanted) = wanted.filter(|wanted| (1..=most).contains(wanted)) else {
        return Err(Failed::Refused(Reason::BadInput));
    };
    let (doer, now, house) = (visit.doer()?, visit.now(), &visit.house);
    let (hash, text) = AccessKeySecret::issue(&*house.entropy);
    let key = AccessKey {
        id: AccessKeyId::mint(now, &*house.entropy),
        tenant: visit.tenant_id().clone(),
        user: visit.user_id(),
        hash,
        name: name.to_owned(),
        scope: scope.clone(),
        apps: apps.clone(),
        created: now,
        expires: now.plus(days(wanted)),
        last_used: None,
    };
    if !house.store.access_key_insert(&key).await? {
        return asked(visit, Some(Problem::TooManyKeys));
    }
    let user = subject(&visit.user().await?);
    let event = Event::AccessKeyMade {
        user,
        key: key.id,
        name: key.name.clone(),
        scope: scope.to_string(),
        apps: apps.into_iter().collect(),
        expires: key.expires,
    };
    house.record(visit.tenant_id(), &doer, event).await?;
    Ok(pages::AccessKeyMade { look: &visit.look, person: visit.person(), name: &key.name, key: &text }.respond())
}

/// Removes a key.
pub(super) async fn remove(visit: Visit, Path(id): Path<String>) -> Response {
    let result = remove_own(&visit, &id).await;
    visit.answer(result)
}

async fn remove_own(visit: &Visit, id: &str) -> Result<Response, Failed> {
    let doer = visit.doer()?;
    let id = AccessKeyId::parse(id).map_err(|_| Failed::Refused(Reason::NotFound))?;
    let (house, tenant) = (&visit.house, visit.tenant_id());
    let gone = house.store.access_key_remove(tenant, visit.user_id(), id, visit.now()).await?;
    let gone = gone.ok_or(Failed::Refused(Reason::NotFound))?;
    house.forget_program(Ended::AccessKey(id));
    let event = Event::AccessKeyRemoved { user: subject(&visit.user().await?), key: id, name: gone.name };
    house.record(tenant, &doer, event).await?;
    Ok(see_other("/programs?done=removed"))
}
