//! `cardea apply`: the store made to hold what a folder says, all of it or nothing.

mod entries;

use std::path::PathBuf;

use cardea_audit::{Event, PolicyRef};
use cardea_core::{
    TenantId,
    resources::{Bundle, PolicySet},
};
use cardea_policy::Sources;
use cardea_storage::{Applied, Applying, Plan};
use serde_json::json;

use super::{Context, Ended, Failure, Outcome, agrees, check::show, remark, say, say_json, to_the_end};
use crate::{House, checks, commands::serve::open_failure, folder, house::Doer};

/// Make the store hold what a folder of resources says. Shows the plan and asks; then changes all or nothing. Policies
/// must validate and their tests pass, and what apps name must be there. A running gateway takes the change over within a second.
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
    let config = context.config()?;
    let checked = checks::bundle(&wanted, Some(&config.folder), context.clock.now());
    if !checked.passed() {
        if context.is_json() {
            say_json(&json!({ "ok": false, "diagnostics": checked.diagnostics, "tests": checked.tests }))?;
        } else {
            show(&checked);
        }
        return Ok(Outcome::No);
    }
    let house =
        House::unprepared(config, context.clock.clone(), context.entropy.clone()).await.map_err(open_failure)?;
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
    let hash = |tenant: &TenantId, _: &PolicySet| -> String {
        let known = wanted.tenants.get(tenant);
        known.map(|tenant| Sources::of(tenant, &wanted.guard_rails).hash()).unwrap_or_default()
    };
    let with = Applying { author: &doer.name(), note, hash: &hash, now: house.now() };
    let applied = house.store.apply(plan, &with).await.map_err(anyhow::Error::from)?;
    let Applied::Done(succeeded) = &applied else { return Ok(applied) };
    for (log, event) in entries::of(plan, wanted) {
        let written = match log {
            Some(tenant) => house.record(&tenant, &doer, event).await,
            None => house.record_own(&doer, event).await,
        };
        written.map_err(anyhow::Error::from)?;
    }
    for one in succeeded {
        let policy = PolicyRef { version: one.version, hash: one.hash.as_str().into() };
        let event = Event::PolicyActivated { policy, before: one.before, note: note.to_owned() };
        house.record(&one.tenant, &doer, event).await.map_err(anyhow::Error::from)?;
    }
    Ok(applied)
}
