//! `cardea check`: everything that can be known to be wrong before it is wrong in use.

mod diff;

use std::path::{Path, PathBuf};

use cardea_core::{Diagnostic, Diagnostics, resources::Gathered};
use cardea_storage::{RedisShared, Store, StoreFault};
use serde_json::json;

use super::{Context, Ended, Failure, Outcome, counted, draw, say, say_json};
use crate::{checks, config::Config, folder, house::OperatorKey};

/// Check the configuration, the resources, the policies and their tests, without changing anything, and tell all that is wrong at
/// once. Resources come from DIR, else from the folder that the configuration names, else from the store. Tells, too, what a start
/// brings with it: a passphrase that is asked for, and sessions that are in memory.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// A folder of resources (it holds `tenants/`). With it, a configuration is checked only if one is named or lies here.
    #[arg(value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Show what would change: the resources of DIR (or of the folder that the configuration names) against the store, and
    /// the configuration and its certificates against those in force. Exit status 1 if something would be refused.
    #[arg(long)]
    diff: bool,
    /// Ask the servers that the configuration names, too (`[postgres]`, `[redis]`), whether they can be reached. Nothing is made in
    /// them.
    #[arg(long, conflicts_with = "diff")]
    connect: bool,
}

/// Runs the command.
pub async fn run(arguments: Arguments, context: &Context) -> Ended {
    if arguments.diff {
        return diff::run(arguments.dir, context).await;
    }
    let needless = arguments.dir.is_some() && context.config_file.is_none() && !context.config_path().exists();
    let read = if needless { Ok(None) } else { context.config().map(Some) };
    let (config, mut amiss) = match read {
        Ok(config) => (config, Diagnostics::default()),
        // The resources are looked at all the same, as far as nothing of them hangs on it.
        Err(Failure::Mistakes(found)) => (None, found),
        Err(other) => return Err(other),
    };
    if let Some(config) = &config
        && let Some(fault) = OperatorKey::of(config).amiss(&config.kept())
    {
        amiss.push(Diagnostic::new(config.operator_key().display().to_string(), fault.to_string()));
    }
    if let Some(config) = config.as_ref().filter(|_| arguments.connect) {
        amiss.0.extend(connected(config, context).await);
    }
    let named = || match &config {
        Some(config) => config.resources.clone(),
        None => Config::resources_named(&context.config_path()),
    };
    let dir = arguments.dir.or_else(named);
    let gathered = match gathered(dir.as_deref(), config.as_ref()).await {
        Ok(gathered) => gathered,
        Err(Failure::Mistakes(mut found)) => {
            found.0.splice(0..0, amiss.0);
            return Err(found.into());
        }
        Err(other) => return Err(other),
    };
    let Some(Gathered { bundle, found, torn }) = gathered else {
        let nothing = ("configuration is fine; there are no resources yet", 0);
        let checked = checks::Checked { diagnostics: amiss, ..checks::Checked::default() };
        return told(context, nothing, &checked, config.as_ref());
    };
    let mut checked = checks::gathered(&bundle, &torn, config.as_ref(), context.clock.now());
    placed(&mut checked, dir.as_deref());
    checked.diagnostics.0.splice(0..0, [amiss.0, found.0].concat());
    let (tenants, tests) = (bundle.tenants.len(), checked.count());
    let (tenants_told, tests) =
        (counted(tenants, ["tenant", "tenants"]), counted(tests, ["policy test", "policy tests"]));
    told(context, (&format!("{tenants_told} and {tests} are fine"), tenants), &checked, config.as_ref())
}

/// Which servers cannot be reached; says which can.
async fn connected(config: &Config, context: &Context) -> Vec<Diagnostic> {
    let mut amiss = Vec::new();
    let mut tell = |table: &str, asked: Result<String, StoreFault>| match asked {
        Ok(server) if context.is_json() => drop(server),
        Ok(server) => super::remark(format_args!("[{table}] is reached: {server}")),
        Err(fault) => {
            let message = format!("the server of `[{table}]` cannot be reached: {}", fault.with_causes());
            amiss.push(Diagnostic::new(config.source.clone(), message).help("start it, or mend its `url`"));
        }
    };
    if let Some(url) = &config.postgres {
        tell("postgres", Store::reach(url.expose()).await);
    }
    if let Some(at) = &config.redis {
        tell("redis", RedisShared::reach(at).await);
    }
    amiss
}

/// What is to be checked, as far as it can be read: of a folder, else of the store.
async fn gathered(dir: Option<&Path>, config: Option<&Config>) -> Result<Option<Gathered>, Failure> {
    if let Some(dir) = dir {
        return Ok(Some(folder::gather(dir)?));
    }
    let Some(kept) = config.map(Config::kept) else { return Ok(None) };
    if kept.holds_nothing().await.map_err(anyhow::Error::from)? {
        return Ok(None);
    }
    let store = kept.open_to_read(None).await.map_err(anyhow::Error::from)?;
    let stored = store.legible().await.map_err(anyhow::Error::from)?;
    store.close().await;
    Ok(Some(Gathered { found: stored.mistakes(), bundle: stored.bundle, ..Gathered::default() }))
}

fn told(
    context: &Context,
    (fine, tenants): (&str, usize),
    checked: &checks::Checked,
    config: Option<&Config>,
) -> Ended {
    // What whoever starts the gateway will be asked.
    let key = config.and_then(|config| OperatorKey::of(config).told());
    let sessions = config.map(Config::sessions_are_in);
    let passed = checked.passed();
    if context.is_json() {
        say_json(&json!({
            "ok": passed, "tenants": tenants, "diagnostics": checked.diagnostics, "warnings": checked.warnings,
            "tests": checked.tests, "operator_key": key, "sessions": sessions,
        }))?;
    } else if passed {
        if let Some(key) = key {
            super::remark(key);
        }
        if sessions == Some("memory") {
            super::remark("sessions are in the gateway's memory: whoever is signed in signs in again after each start");
        }
        warn(checked);
        say(fine);
    } else {
        show(checked);
    }
    Ok(if passed { Outcome::Done } else { Outcome::No })
}

/// Gives what was found its line, where the resources lie in a folder.
pub(super) fn placed(checked: &mut checks::Checked, dir: Option<&Path>) {
    if let Some(dir) = dir {
        folder::place(dir, &mut checked.diagnostics);
        folder::place(dir, &mut checked.warnings);
    }
}

/// Shows what may be meant so.
pub(super) fn warn(checked: &checks::Checked) {
    for one in &checked.warnings.0 {
        super::remark(format_args!("warning: {one}"));
    }
}

/// Shows what a check found: mistakes drawn, failed tests with what came out instead.
pub(super) fn show(checked: &checks::Checked) {
    warn(checked);
    draw(&checked.diagnostics);
    for (tenant, test) in checked.failed() {
        let message = test.message.as_deref().unwrap_or("it came out otherwise");
        super::remark(format_args!("tenants/{tenant}/policies/tests.toml: test `{}` fails: {message}", test.name));
        if !test.determined_by.is_empty() {
            super::remark(format_args!("  determined by {}", test.determined_by.join(", ")));
        }
        if test.determined_by.iter().any(|by| **by == *"built-in/minimum-assurance") {
            super::remark(
                "  help: the tenant's `factors.minimum` forbids it to whoever shows less: say `assurance = 2` in the test",
            );
        }
    }
}
