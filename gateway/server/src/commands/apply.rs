//! `cardea apply`: the store made to hold what a folder says, all of it or nothing.

use std::{collections::BTreeMap, path::PathBuf};

use cardea_audit::{Event, PolicyRef};
use cardea_core::{
    TenantId,
    resources::{Bundle, PolicySet},
};
use cardea_policy::{Engine, Sources};
use cardea_storage::{Applied, Applying, Plan, ResourceChange};
use serde_json::json;

use super::{Context, Ended, Failure, Outcome, agrees, check::show, remark, say, say_json, to_the_end};
use crate::{House, checks, commands::serve::open_failure, folder, house::Doer};

/// Make the store hold what a folder of resources says. Shows the plan and asks; then changes all or nothing. Policies
/// must validate and their tests pass. A running gateway takes the change over within a second.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The folder of resources (it holds `tenants/`).
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
    /// Show the plan and change nothing.
    #[arg(long, conflicts_with = "yes")]
    plan: bool,
    /// What changes, and why: kept beside new policy versions.
    #[arg(long, value_name = "TEXT", default_value = "applied from files")]
    note: String,
}

/// Runs the command.
pub async fn run(arguments: Arguments, context: &Context) -> Ended {
    let wanted = folder::read(&arguments.dir)?;
    let checked = checks::bundle(&wanted, context.clock.now());
    if !checked.passed() {
        if context.is_json() {
            say_json(&json!({ "ok": false, "diagnostics": checked.diagnostics, "tests": checked.tests }))?;
        } else {
            show(&checked);
        }
        return Ok(Outcome::No);
    }
    let house = House::unprepared(context.config()?, context.clock.clone(), context.entropy.clone())
        .await
        .map_err(open_failure)?;
    let ended = plan_and_apply(&house, &arguments, &wanted, context).await;
    house.close().await;
    ended
}

async fn plan_and_apply(house: &House, arguments: &Arguments, wanted: &Bundle, context: &Context) -> Ended {
    let before = house.store.bundle().await.map_err(anyhow::Error::from)?;
    let plan = Plan::between(before, wanted);
    let told = |applied: bool| json!({ "ok": true, "applied": applied, "plan": plan.lines() });
    if plan.is_empty() || arguments.plan {
        return match context.is_json() {
            true => say_json(&told(false)).map(|()| Outcome::Done),
            false => {
                plan.lines().iter().for_each(say);
                if plan.is_empty() {
                    say("nothing to change");
                }
                Ok(Outcome::Done)
            }
        };
    }
    if !context.is_json() {
        plan.lines().iter().for_each(say);
    }
    if !arguments.yes && !agrees(&format!("make these {} changes?", plan.changes.len())) {
        remark("nothing was changed (say `--yes` where there is no terminal)");
        return Ok(Outcome::No);
    }
    to_the_end()?;
    if apply(house, &plan, wanted, &arguments.note).await? == Applied::Moved {
        remark("nothing was changed: somebody else changed the store meanwhile; look at the new plan");
        return Ok(Outcome::No);
    }
    if context.is_json() {
        say_json(&told(true))?;
    } else {
        say("done");
    }
    Ok(Outcome::Done)
}

/// Makes the changes of a plan and writes the entries; shared with the demonstration.
pub(super) async fn apply(house: &House, plan: &Plan, wanted: &Bundle, note: &str) -> Result<Applied, Failure> {
    let doer = Doer::operator();
    let hashes = hashes(wanted)?;
    let hash = |set: &PolicySet| -> String {
        let known = wanted.tenants.iter().find(|(_, tenant)| tenant.policies == *set);
        known.and_then(|(id, _)| hashes.get(id).cloned()).unwrap_or_default()
    };
    let with = Applying { author: &doer.name(), note, hash: &hash, now: house.now() };
    let applied = house.store.apply(plan, &with).await.map_err(anyhow::Error::from)?;
    if applied == Applied::Moved {
        return Ok(applied);
    }
    for (tenant, changes) in by_tenant(plan, wanted) {
        house.record(&tenant, &doer, Event::ResourcesApplied { changes }).await.map_err(anyhow::Error::from)?;
    }
    for change in &plan.changes {
        let ResourceChange::Policies(tenant, _) = change else { continue };
        let active = house.store.active_policies(tenant).await.map_err(anyhow::Error::from)?;
        let Some((version, _)) = active else { continue };
        let before = Some(version.version.saturating_sub(1)).filter(|before| *before > 0);
        let policy = PolicyRef { version: version.version, hash: version.hash.into() };
        let event = Event::PolicyActivated { policy, before, note: note.to_owned() };
        house.record(tenant, &doer, event).await.map_err(anyhow::Error::from)?;
    }
    Ok(applied)
}

fn hashes(wanted: &Bundle) -> Result<BTreeMap<TenantId, String>, Failure> {
    let mut hashes = BTreeMap::new();
    for (id, tenant) in &wanted.tenants {
        let engine = Engine::compile(&Sources::of(tenant, &wanted.guard_rails))?;
        hashes.insert(id.clone(), engine.hash().to_owned());
    }
    Ok(hashes)
}

/// The lines of a plan by the tenant whose log they belong in; guard-rails concern every tenant.
fn by_tenant(plan: &Plan, wanted: &Bundle) -> BTreeMap<TenantId, Vec<String>> {
    let mut lines: BTreeMap<TenantId, Vec<String>> = BTreeMap::new();
    for (change, line) in plan.changes.iter().zip(plan.lines()) {
        match owner(change) {
            Some(tenant) => lines.entry(tenant.clone()).or_default().push(line.clone()),
            None => {
                for tenant in wanted.tenants.keys() {
                    lines.entry(tenant.clone()).or_default().push(line.clone());
                }
            }
        }
    }
    lines
}

fn owner(change: &ResourceChange) -> Option<&TenantId> {
    match change {
        ResourceChange::GuardRails(_) => None,
        ResourceChange::PutTenant(spec) => Some(&spec.id),
        ResourceChange::DropTenant(tenant)
        | ResourceChange::PutApp(tenant, _)
        | ResourceChange::DropApp(tenant, _)
        | ResourceChange::PutProvider(tenant, _)
        | ResourceChange::DropProvider(tenant, _)
        | ResourceChange::PutGroup(tenant, _)
        | ResourceChange::DropGroup(tenant, _)
        | ResourceChange::Policies(tenant, _) => Some(tenant),
    }
}
