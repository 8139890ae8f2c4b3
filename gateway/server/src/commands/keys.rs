//! `cardea keys`: another key in the place of the one that seals, while the gateway runs; and a passphrase for the first of all.

use std::{path::PathBuf, sync::Arc};

use cardea_core::TenantId;
use clap::Subcommand;
use serde_json::json;

use super::{
    Context, Ended, Failure, Outcome, counted, remark, say, say_json, serve::open_failure, to_the_end, wanted,
};
use crate::{
    House,
    house::{Doer, OperatorKey},
};

/// Put other keys into the place of those that seal what is kept, or seal the first of them under a passphrase. A running gateway
/// goes on.
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
    /// Seal the operator's key under a passphrase, or under another one: without it nothing that lies in the state folder opens
    /// while the gateway is off. From then on `serve` and the commands take it from what `[keys] passphrase` names, from systemd's
    /// credential `cardea-passphrase`, or ask at the terminal. Where there is no key yet, one is made that never lay open.
    Protect(Protect),
    /// Take the passphrase off again: the operator's key then lies open in its file.
    Unprotect,
}

#[derive(Debug, clap::Args)]
struct Protect {
    /// Take the new passphrase from this file, such as `/dev/stdin`. Else, where the key is not sealed yet, it is
    /// the one that the next start will be given; else it is asked for at the terminal.
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
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
    /// Do not ask where the key that lies there as `operator.key.before` is overwritten, and with it the last that opens
    /// backups of its time.
    #[arg(long)]
    yes: bool,
}

/// Does it.
pub async fn run(arguments: Arguments, context: &Context) -> Ended {
    let config = context.config()?;
    if let Act::Protect(what) = &arguments.act {
        let (key, database) = (OperatorKey::of(&config), config.database());
        // Before the first start: it is sealed from the beginning, and never lies open.
        if !key.is_there() && config.kept().holds_nothing().await.map_err(anyhow::Error::from)? {
            let passphrase = key.wished(what.passphrase_file.as_deref()).map_err(anyhow::Error::from)?;
            key.begin_sealed(&database, &passphrase, &*context.entropy).map_err(anyhow::Error::from)?;
            return protected(1, context);
        }
    }
    let house = House::open_to_change(config, Arc::clone(&context.clock), Arc::clone(&context.entropy));
    let house = house.await.map_err(open_failure)?;
    let ended = match arguments.act {
        Act::Rotate(what) => rotate(&house, &what, context).await,
        Act::Protect(what) => protect(&house, &what, context).await,
        Act::Unprotect => unprotect(&house, context).await,
    };
    house.close().await;
    ended
}

async fn protect(house: &House, what: &Protect, context: &Context) -> Ended {
    let passphrase = house.operator_key().wished(what.passphrase_file.as_deref()).map_err(anyhow::Error::from)?;
    let lay_open = !house.operator_key().is_sealed();
    to_the_end()?;
    let files = house.protect_operator_key(&passphrase, &Doer::operator()).await.map_err(anyhow::Error::from)?;
    let ended = protected(files, context);
    if !context.is_json() {
        remark(
            "a gateway that runs goes on: from now on it is to be given this passphrase, or to be started again before the next \
             `cardea keys rotate`",
        );
        if lay_open {
            remark(
                "the key lay open until now, perhaps in backups, too: `cardea keys rotate` makes one that never did",
            );
        }
    }
    ended
}

fn protected(files: usize, context: &Context) -> Ended {
    if context.is_json() {
        say_json(&json!({ "operator_key": "sealed", "files": files }))?;
    } else {
        say("the operator's key is sealed under a passphrase: without it nothing opens");
    }
    Ok(Outcome::Done)
}

async fn unprotect(house: &House, context: &Context) -> Ended {
    to_the_end()?;
    let files = house.unprotect_operator_key(&Doer::operator()).await.map_err(anyhow::Error::from)?;
    if context.is_json() {
        say_json(&json!({ "operator_key": "open", "files": files }))?;
    } else {
        say("the operator's key lies open in its file");
    }
    Ok(Outcome::Done)
}

async fn rotate(house: &Arc<House>, what: &Rotate, context: &Context) -> Ended {
    let state = house.state.load_full();
    let all = state.tenants.keys().chain(state.behind.keys());
    let tenants: Vec<_> = if what.all_tenants { all.cloned().collect() } else { what.tenants.clone() };
    if let Some(unknown) = tenants.iter().find(|id| !state.tenants.contains_key(*id) && !state.behind.contains_key(*id))
    {
        return Err(Failure::Misused(format!("there is no tenant `{unknown}`")));
    }
    let operators = what.operator || tenants.is_empty();
    if operators && let Some(before) = house.operator_key().replaced() {
        let what_goes =
            format!("`{}` is overwritten: backups of the store that it opens will not open any more", before.display());
        if !wanted(what.yes, &what_goes, "operator.key.before")? {
            return Ok(Outcome::No);
        }
    }
    to_the_end()?;
    if operators {
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
    let keys = counted(keys, ["key is", "keys are"]);
    say(format_args!("the operator's key is another one: {keys} sealed under it"));
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
    let rows = counted(rows, ["row was", "rows were"]);
    say(format_args!("{tenant}: {begun}; {rows} sealed again; {old}"));
    Ok(())
}
