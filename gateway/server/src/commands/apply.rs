//! `cardea apply`: the store made to hold what a folder says, all of it or nothing.

mod entries;
mod replaced;

use std::path::PathBuf;

use cardea_audit::{Event, PolicyRef};
use cardea_core::{
    Diagnostics, TenantId,
    resources::{Bundle, PolicySet},
};
use cardea_policy::Sources;
use cardea_storage::{Applied, Applying, Plan, ResourceChange};
use serde_json::json;

use super::{
    Context, Ended, Failure, Outcome, agrees, answer,
    check::{placed, show, warn},
    counted, remark, say, say_json, to_the_end,
};
use crate::{House, checks, commands::serve::open_failure, folder, house::Doer};

/// Make the store hold what a folder of resources says. Shows the plan and asks; then changes all or nothing. Policies
/// must validate and their tests pass, and what apps name must be there. A running gateway takes the change over within a second.
/// A tenant that the folder does not hold is deleted, with its people, keys and policies: that wants its name, too. One of which
/// something in the store cannot be read is put anew, whole, if the folder holds it; else it is left as it is.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The folder of resources (it holds `tenants/`).
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Do not ask, but before a tenant is deleted.
    #[arg(long)]
    yes: bool,
    /// Delete this tenant, if the folder does not hold it; without a terminal there is no other way, nor for one that cannot be
    /// read. May be repeated.
    #[arg(long = "delete-tenant", value_name = "TENANT")]
    delete: Vec<TenantId>,
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
    let mut checked = checks::bundle(&wanted, Some(&config), context.clock.now());
    placed(&mut checked, Some(&arguments.dir));
    if !checked.passed() {
        if context.is_json() {
            let (found, warnings, tests) = (&checked.diagnostics, &checked.warnings, &checked.tests);
            say_json(&json!({ "ok": false, "diagnostics": found, "warnings": warnings, "tests": tests }))?;
        } else {
            show(&checked);
        }
        return Ok(Outcome::No);
    }
    if !context.is_json() {
        warn(&checked);
    }
    let house =
        House::unprepared(config, context.clock.clone(), context.entropy.clone()).await.map_err(open_failure)?;
    let ended = plan_and_apply(&house, &arguments, &wanted, context).await;
    house.close().await;
    ended
}

async fn plan_and_apply(house: &House, arguments: &Arguments, wanted: &Bundle, context: &Context) -> Ended {
    let before = house.store.legible().await.map_err(anyhow::Error::from)?;
    let plan = Plan::deleting(&arguments.delete, before, wanted);
    let left = left(&plan);
    let replaced = replaced::by(&plan, &house.store).await.map_err(anyhow::Error::from)?;
    let lines = plan.lines();
    let told = |done: bool| json!({ "ok": true, "applied": done, "plan": lines, "replaced": replaced, "left": left });
    if !context.is_json() {
        left.0.iter().for_each(remark);
        lines.iter().for_each(say);
        replaced.iter().for_each(remark);
    }
    if plan.is_empty() || arguments.plan {
        if context.is_json() {
            say_json(&told(false))?;
        } else if plan.is_empty() {
            say("nothing to change");
        }
        return Ok(Outcome::Done);
    }
    if !agreed(&plan, arguments) {
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

/// What is said of the tenants that a plan leaves as they are, since they cannot be read.
pub(super) fn left(plan: &Plan) -> Diagnostics {
    let mut left = plan.left().mistakes();
    for one in &mut left.0 {
        let name = one.source.trim_start_matches("tenants/");
        one.help = Some(format!(
            "the tenant is not among these files, and left as it is: put it there, and it is written anew, or delete it \
             (`cardea apply --delete-tenant {name}`)"
        ));
    }
    left
}

/// Whether somebody wants all of it; and of each tenant that is deleted, by its name: what goes with it does not come back.
fn agreed(plan: &Plan, arguments: &Arguments) -> bool {
    if !arguments.yes && !agrees(&format!("make {}?", counted(plan.changes.len(), ["change", "changes"]))) {
        remark("nothing was changed (say `--yes` where there is no terminal)");
        return false;
    }
    let deleted = plan.changes.iter().filter_map(|change| match change {
        ResourceChange::DropTenant(id) => Some(id),
        _ => None,
    });
    for id in deleted.filter(|id| !arguments.delete.contains(*id)) {
        let question = format!("tenant `{id}` is deleted, with its people, keys and policies; its name, to say so:");
        if answer(&question).as_deref() != Some(id.as_str()) {
            remark(format_args!(
                "nothing was changed: `{id}` is not among these files, and deleting a tenant wants its name \
                 (`--delete-tenant {id}` where there is no terminal)"
            ));
            return false;
        }
    }
    true
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
