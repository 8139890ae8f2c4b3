//! `cardea store`: where what the gateway keeps is kept.

use std::io::{IsTerminal as _, stderr};

use cardea_core::TenantId;
use cardea_storage::{Copied, Store, StoreFault, copy};
use serde_json::json;

use super::{Context, Ended, Failure, Outcome, counted, remark, say, say_json};
use crate::{
    commands::serve::open_failure,
    config::Config,
    house::{SESSIONS, store_to_read},
};

/// Move what is kept to another place.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, clap::Subcommand)]
enum Act {
    /// Copy all that is kept in the state folder's `cardea.db` into the empty PostgreSQL database that `[postgres]` names, and
    /// sessions with it to the Redis of `[redis]`, if there is one. The gateway is to be stopped. All is copied or nothing; the file
    /// stays as it is. The operator's key is needed as before, beside each gateway.
    Copy,
}

/// Runs the command.
pub async fn run(arguments: Arguments, context: &Context) -> Ended {
    let Act::Copy = arguments.act;
    let config = context.config()?;
    let Some(to) = &config.postgres else {
        let message = format!("`{}` names no `[postgres]` to copy to", config.source);
        return Err(Failure::Misused(message));
    };
    let shows = stderr().is_terminal() && !context.is_json();
    let told = |table: &str, rows: u64| {
        if shows {
            remark(format_args!("{table}: {}", counted(rows, ["row", "rows"])));
        }
    };
    let redis = config.redis.as_ref().map(|at| (at, SESSIONS));
    let copied = copy(&config.database(), to.expose(), redis, context.clock.now(), told).await;
    let copied = copied.map_err(|fault| failure(fault, &config))?;
    let store = store_to_read(&config).await.map_err(open_failure)?;
    let broken = broken(&store).await.map_err(anyhow::Error::from);
    store.close().await;
    tell(&copied, &broken?, &config, context)
}

fn failure(fault: StoreFault, config: &Config) -> Failure {
    match fault {
        StoreFault::Occupied => Failure::Misused(
            "the database of `[postgres]` is not empty: nothing was copied; name one that is, or go on with what it holds".to_owned(),
        ),
        StoreFault::Held { tenant, prefix } => Failure::Misused(format!(
            "the Redis of `[redis]` holds sessions of `{tenant}` already, of a copy that broke off, perhaps: nothing was copied; delete its keys \
             that begin with `{prefix}:`, or name another"
        )),
        StoreFault::InUse { path } => Failure::Misused(format!(
            "`{path}` is in use: stop the gateway first, so that nothing is written that would not be copied"
        )),
        StoreFault::File { .. } => {
            Failure::Misused(format!("there is no store at `{}`: there is nothing to copy", config.database().display()))
        }
        other => anyhow::Error::from(other).context("nothing was copied").into(),
    }
}

/// Which logs are not whole in the copy, and why.
async fn broken(store: &Store) -> Result<Vec<String>, StoreFault> {
    let mut broken = Vec::new();
    for log in store.logs().await? {
        if let Err(found) = store.verify_log(log.as_ref(), &[]).await? {
            broken.push(format!("the log of `{}`: {found}", log.as_ref().map_or("operator", TenantId::as_str)));
        }
    }
    Ok(broken)
}

fn tell(copied: &Copied, broken: &[String], config: &Config, context: &Context) -> Ended {
    let (tables, rows) = (copied.rows.len(), copied.rows.values().sum::<u64>());
    if context.is_json() {
        let shared = copied.shared.map(|taken| {
            json!({ "sessions": taken.sessions, "handles": taken.handles, "one_time": taken.values, "tries": taken.tries })
        });
        say_json(&json!({ "tables": copied.rows, "redis": shared, "broken": broken }))?;
    } else {
        let (tables, rows) = (counted(tables, ["table", "tables"]), counted(rows, ["row", "rows"]));
        say(format_args!("copied: {tables} with {rows}"));
        if let Some(taken) = copied.shared {
            say(format_args!("redis: {}", counted(taken.sessions, ["session", "sessions"])));
        }
        if broken.is_empty() {
            say("every log verifies in the copy");
        }
        broken.iter().for_each(remark);
        let file = config.database();
        remark(format_args!("`{}` is used no more: keep it as a backup of today, or destroy it", file.display()));
    }
    Ok(if broken.is_empty() { Outcome::Done } else { Outcome::No })
}
