//! `cardea check`: everything that can be known to be wrong before it is wrong in use.

mod diff;

use std::path::{Path, PathBuf};

use cardea_core::resources::Bundle;
use cardea_storage::Store;
use serde_json::json;

use super::{Context, Ended, Failure, Outcome, draw, say, say_json};
use crate::{checks, config::Config, folder, house::OperatorKey};

/// Check the configuration, the resources, the policies and their tests, without changing anything. Resources come from
/// DIR, else from the folder that the configuration names, else from the store.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// A folder of resources (it holds `tenants/`). With it, a configuration is checked only if one is named or lies here.
    #[arg(value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Show what would change: the resources of DIR (or of the folder that the configuration names) against the store, and
    /// the configuration and its certificates against those in force. Exit status 1 if something would be refused.
    #[arg(long)]
    diff: bool,
}

/// Runs the command.
pub async fn run(arguments: Arguments, context: &Context) -> Ended {
    if arguments.diff {
        return diff::run(arguments.dir, context).await;
    }
    let needless = arguments.dir.is_some() && context.config_file.is_none() && !context.config_path().exists();
    let config = if needless { None } else { Some(context.config()?) };
    let dir = arguments.dir.or_else(|| config.as_ref().and_then(|config| config.resources.clone()));
    let bundle = bundle(dir.as_deref(), config.as_ref()).await?;
    let Some(bundle) = bundle else {
        let nothing = ("configuration is fine; there are no resources yet", 0);
        return told(context, nothing, &checks::Checked::default(), config.as_ref());
    };
    let mut checked = checks::bundle(&bundle, config.as_ref(), context.clock.now());
    placed(&mut checked, dir.as_deref());
    let (tenants, tests) = (bundle.tenants.len(), checked.count());
    let line = format!("{} and {} are fine", counted(tenants, "tenant"), counted(tests, "policy test"));
    told(context, (&line, tenants), &checked, config.as_ref())
}

/// A number of things: `1 tenant`, `2 tenants`.
fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

async fn bundle(dir: Option<&Path>, config: Option<&Config>) -> Result<Option<Bundle>, Failure> {
    if let Some(dir) = dir {
        return Ok(Some(folder::read(dir)?));
    }
    let Some(database) = config.map(Config::database).filter(|path| path.exists()) else { return Ok(None) };
    let store = Store::open_to_read(&database, None).await.map_err(anyhow::Error::from)?;
    let bundle = store.bundle().await.map_err(anyhow::Error::from)?;
    store.close().await;
    Ok(Some(bundle))
}

fn told(
    context: &Context,
    (fine, tenants): (&str, usize),
    checked: &checks::Checked,
    config: Option<&Config>,
) -> Ended {
    // What whoever starts the gateway will be asked.
    let key = config.and_then(|config| OperatorKey::of(config).told());
    let passed = checked.passed();
    if context.is_json() {
        say_json(&json!({
            "ok": passed, "tenants": tenants, "diagnostics": checked.diagnostics, "warnings": checked.warnings,
            "tests": checked.tests, "operator_key": key,
        }))?;
    } else if passed {
        if let Some(key) = key {
            super::remark(key);
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
    }
}
