//! `GET /activity`: what lately happened to the person's account, whoever did it, so that a stranger's doing is seen.

use axum::{
    extract::{Query, rejection::QueryRejection},
    response::Response,
};
use cardea_audit::{Actor, Entry, Event};
use cardea_core::Caller;
use cardea_identity::cookie;
use serde::Deserialize;

use super::visit::{Failed, Visit};
use crate::pages::{Activity, ActivityRow, Look, Page, activity::Tone, factors::FactorKind, when::When};

/// Rows on a page: what is read in a minute.
const ROWS: u32 = 30;

/// The last page. What is older than so many is the administrator's to find.
const LAST: u32 = 20;

#[derive(Debug, Default, Deserialize)]
pub(super) struct Asked {
    page: Option<u32>,
}

/// Shows a page of it, newest first.
pub(super) async fn show(visit: Visit, asked: Result<Query<Asked>, QueryRejection>) -> Response {
    let page = asked.ok().and_then(|Query(asked)| asked.page).unwrap_or(1).clamp(1, LAST);
    let result = list(&visit, page).await;
    visit.answer(result)
}

async fn list(visit: &Visit, page: u32) -> Result<Response, Failed> {
    let skip = (page - 1) * ROWS;
    // One more than is shown tells that there is another page.
    let mut found = visit.house.store.log_about(visit.tenant_id(), visit.user_id(), skip, ROWS + 1).await?;
    let more = found.len() > ROWS as usize && page < LAST;
    found.truncate(ROWS as usize);
    let entries = found.iter().map(|logged| logged.entry()).collect::<Result<Vec<_>, _>>()?;
    let mut rows: Vec<ActivityRow> = Vec::with_capacity(entries.len());
    for row in entries.iter().filter_map(|entry| row(visit, entry)) {
        match rows.last_mut() {
            // A stranger's tries at a password are one row, however many: they hide nothing else.
            Some(last) if last.is_like(&row) => last.times += 1,
            _ => rows.push(row),
        }
    }
    let (newer, older) = ((page > 1).then(|| page - 1), more.then(|| page + 1));
    Ok(Activity { look: &visit.look, person: visit.person(), rows, newer, older }.respond())
}

fn row(visit: &Visit, entry: &Entry) -> Option<ActivityRow> {
    let (what, tone) = told(visit, &entry.event)?;
    let by_others = is_an_administrators(&entry.event)
        && match &entry.actor {
            Actor::Caller(Caller::User(user)) => user.id != visit.user_id(),
            Actor::Caller(_) => false,
            ours => *ours == Actor::OPERATOR,
        };
    // Where an administrator sits is no business of the person's.
    let client = entry.client.as_ref().filter(|_| !by_others);
    let agent = client.and_then(|client| client.agent.as_deref());
    Some(ActivityRow {
        what,
        tone,
        at: When::new(entry.at, visit.now()),
        times: 1,
        by_administrator: by_others,
        browser: agent.map(|agent| visit.look.w.browser(&cookie::agent_label(agent))).unwrap_or_default(),
        address: client.map(|client| client.address.to_string()).unwrap_or_default(),
    })
}

/// Whether others may do it to an account, being administrators. Whoever is signed in as somebody else and tries a password, or
/// a code, is none: where that came from is shown.
fn is_an_administrators(event: &Event) -> bool {
    let is_a_copy = matches!(event, Event::DeviceForgotten { cause, .. } if &**cause == "copied");
    !is_a_copy
        && !matches!(
            event,
            Event::SignedIn { .. }
                | Event::SteppedUp { .. }
                | Event::SignInRefused { .. }
                | Event::FactorRefused { .. }
                | Event::RecoveryUsed { .. }
                | Event::DeviceRemembered { .. }
                | Event::SessionReuse { .. }
        )
}

/// An event in words, and whether it is one to look at twice.
fn told(visit: &Visit, event: &Event) -> Option<(String, Tone)> {
    let (look, a) = (&visit.look, &visit.look.w.activity);
    let kind = |code: &str| kind_of(look, code);
    let named = |name: &str, code: &str| if name.is_empty() { kind(code).to_owned() } else { name.to_owned() };
    Some(match event {
        Event::SignedIn { factors, .. } => (a.signed_in.with(kinds(look, factors)), Tone::Good),
        Event::SteppedUp { factor, .. } => (a.confirmed.with(kind(factor)), Tone::Good),
        Event::SignInRefused { factor, .. } => {
            let text = factor.as_deref().map(|factor| a.refused_with.with(kind(factor)));
            (text.unwrap_or_else(|| a.refused.to_string()), Tone::Mind)
        }
        Event::FactorRefused { factor_kind, .. } => (a.refused_with.with(kind(factor_kind)), Tone::Mind),
        Event::RecoveryUsed { .. } => (a.recovery_used.to_string(), Tone::Mind),
        Event::SessionReuse { .. } => (a.reused.to_string(), Tone::Mind),
        Event::SignedOut { everywhere: true, .. } => (a.signed_out_everywhere.to_string(), Tone::Plain),
        Event::SignedOut { .. } => (a.signed_out.to_string(), Tone::Plain),
        Event::SessionEnded { .. } => (a.session_ended.to_string(), Tone::Plain),
        Event::UserJoined { .. } => (a.joined.to_string(), Tone::Plain),
        Event::IdentityLinked { provider, .. } => {
            let known = visit.tenant.bundle.providers.get(provider).map(|provider| provider.name.as_str());
            (a.linked.with(known.unwrap_or(provider.as_str())), Tone::Plain)
        }
        Event::IdentityUnlinked { provider, .. } => {
            let known = visit.tenant.bundle.providers.get(provider).map(|provider| provider.name.as_str());
            (a.unlinked.with(known.unwrap_or(provider.as_str())), Tone::Plain)
        }
        Event::UserSuspended { .. } => (a.suspended.to_string(), Tone::Plain),
        Event::UserActivated { .. } => (a.activated.to_string(), Tone::Plain),
        Event::UserReset { .. } => (a.reset.to_string(), Tone::Mind),
        Event::UserInvited { .. } => (a.invited.to_string(), Tone::Mind),
        Event::AttributesChanged { .. } => (a.attributes.to_string(), Tone::Plain),
        Event::FactorLinkMade { .. } => (a.link_made.to_string(), Tone::Mind),
        Event::FactorLinkUsed { .. } => (a.link_used.to_string(), Tone::Mind),
        Event::DeviceRemembered { browser, .. } => (a.remembered.with(look.w.browser(browser)), Tone::Mind),
        Event::DeviceForgotten { cause, .. } if matches!(&**cause, "copied" | "reuse") => {
            (a.forgotten.to_string(), Tone::Mind)
        }
        Event::DeviceForgotten { .. } => (a.forgotten.to_string(), Tone::Plain),
        Event::GrantMade { client, .. } => (a.program_allowed.with(program(visit, client)), Tone::Mind),
        Event::GrantEnded { client, .. } => (a.program_ended.with(program(visit, client)), Tone::Plain),
        Event::RefreshReuse { client, .. } => (a.program_reused.with(program(visit, client)), Tone::Mind),
        Event::ProgramsEnded { .. } => (a.programs_ended.to_string(), Tone::Plain),
        Event::AccessKeyMade { name, .. } => (a.key_made.with(name), Tone::Mind),
        Event::AccessKeyRemoved { name, .. } => (a.key_removed.with(name), Tone::Plain),
        Event::GroupsChanged { .. } => (a.groups.to_string(), Tone::Plain),
        Event::FactorAdded { factor_kind, name, .. } => (a.added.with(named(name, factor_kind)), Tone::Plain),
        Event::FactorRemoved { factor_kind, .. } => (a.removed.with(kind(factor_kind)), Tone::Plain),
        Event::FactorChanged { factor_kind, .. } => (a.changed.with(kind(factor_kind)), Tone::Plain),
        _ => return None,
    })
}

/// A client's name, as people know it.
fn program(visit: &Visit, client: &cardea_core::ClientId) -> String {
    visit.tenant.bundle.clients.get(client).map_or_else(|| client.to_string(), |client| client.name.clone())
}

fn kinds(look: &Look, factors: &[std::sync::Arc<str>]) -> String {
    factors.iter().map(|factor| kind_of(look, factor)).collect::<Vec<_>>().join(", ")
}

/// A factor's kind as entries name it, in words.
fn kind_of(look: &Look, code: &str) -> &'static str {
    let kind = match code {
        "password" => FactorKind::Password,
        "totp" => FactorKind::Totp,
        "passkey" => FactorKind::Passkey,
        "recovery" => FactorKind::Recovery,
        "email" => FactorKind::Email,
        "linked" => FactorKind::Linked,
        "remembered" => return look.w.activity.device.0,
        _ => FactorKind::Provider,
    };
    kind.word(look)
}
