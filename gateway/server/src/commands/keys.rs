//! `cardea keys`: another key in the place of the one that seals, while the gateway runs.

use std::sync::Arc;

use cardea_core::TenantId;
use clap::Subcommand;
use serde_json::json;

use super::{Context, Ended, Failure, Outcome, remark, say, say_json, serve::open_failure, to_the_end};
use crate::{House, house::Doer};

/// Put other keys into the place of those that seal what is kept. A running gateway goes on.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Make another operator's key, or with `--tenant` or `--all-tenants` another key of these, and seal again what was sealed
    /// under the old one. What is interrupted goes on when it is called again.
    Rotate(Rotate),
}

#[derive(Debug, clap::Args)]
struct Rotate {
    /// A tenant whose key is replaced; may be given several times. Its old key opens for an hour longer (31 days where sessions are
    /// in Redis), for what is under way; then the gateway, or this command, destroys it.
    #[arg(long = "tenant", value_name = "TENANT")]
    tenants: Vec<TenantId>,
    /// Replace every tenant's key.
    #[arg(long, conflicts_with = "tenants")]
    all_tenants: bool,
    /// Replace the operator's key, as is done without options: the new one is `operator.key`, the old one is left beside it as
    /// `operator.key.before`, for backups of the store from before.
    #[arg(long)]
    operator: bool,
}

/// Does it.
pub async fn run(arguments: Arguments, context: &Context) -> Ended {
    let Act::Rotate(what) = arguments.act;
    let house = House::open_to_change(context.config()?, Arc::clone(&context.clock), Arc::clone(&context.entropy));
    let house = house.await.map_err(open_failure)?;
    let ended = rotate(&house, &what, context).await;
    house.close().await;
    ended
}

async fn rotate(house: &Arc<House>, what: &Rotate, context: &Context) -> Ended {
    let state = house.state.load_full();
    let all = state.tenants.keys().chain(state.behind.keys());
    let tenants: Vec<_> = if what.all_tenants { all.cloned().collect() } else { what.tenants.clone() };
    if let Some(unknown) = tenants.iter().find(|id| !state.tenants.contains_key(*id) && !state.behind.contains_key(*id))
    {
        return Err(Failure::Misused(format!("there is no tenant `{unknown}`")));
    }
    to_the_end()?;
    if what.operator || tenants.is_empty() {
        operator(house, context).await?;
    }
    for tenant in &tenants {
        one_tenant(house, tenant, context).await?;
    }
    Ok(Outcome::Done)
}

async fn operator(house: &House, context: &Context) -> Result<(), Failure> {
    let turned = house.turn_operator_key(&Doer::operator()).await.map_err(anyhow::Error::from)?;
    let (keys, before) = (turned.keys, turned.before.display());
    if context.is_json() {
        return say_json(&json!({ "operator": true, "keys": keys, "before": turned.before }));
    }
    say(format_args!("the operator's key is another one: {keys} keys are sealed under it"));
    remark(format_args!("the old one lies in `{before}`: without it no backup from before opens; keep or destroy it"));
    Ok(())
}

async fn one_tenant(house: &House, tenant: &TenantId, context: &Context) -> Result<(), Failure> {
    let turned = house.turn_tenant_key(tenant, &Doer::operator()).await.map_err(anyhow::Error::from)?;
    let (rows, until) = (turned.resealed.rows, turned.resealed.opens_until);
    if context.is_json() {
        return say_json(&json!({
            "tenant": tenant, "made": turned.made, "rows": rows, "old_opens_until": until.map(|at| at.to_string()),
        }));
    }
    let begun = if turned.made { "the key is another one" } else { "the change of the key went on" };
    let old = until.map_or_else(|| "the old one is destroyed".to_owned(), |at| format!("the old one opens until {at}"));
    say(format_args!("{tenant}: {begun}; {rows} rows were sealed again; {old}"));
    Ok(())
}
