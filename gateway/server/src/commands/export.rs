//! `cardea export`: the store's resources as files, the same that `apply` reads.

use std::path::PathBuf;

use serde_json::json;

use super::{Context, Ended, Outcome, counted, draw, say, say_json};
use crate::folder;

/// Write what the store holds as a folder of resources. What is written, applied again, changes nothing; resource files
/// in DIR that the store no longer holds are removed. Files of a tenant that cannot be read stay as they are: it is named, and the
/// exit status is 1.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The folder to write; made if it is not there.
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

/// Runs the command.
pub async fn run(arguments: Arguments, context: &Context) -> Ended {
    let store = context.config()?.kept().open_to_read(None).await.map_err(anyhow::Error::from)?;
    let stored = store.legible().await.map_err(anyhow::Error::from)?;
    store.close().await;
    let (bundle, missing) = (&stored.bundle, stored.mistakes());
    let changed = folder::write(&arguments.dir, bundle, &stored.illegible.keys().collect())
        .map_err(|error| anyhow::anyhow!("`{}` cannot be written: {error}", arguments.dir.display()))?;
    if context.is_json() {
        let (dir, tenants) = (&arguments.dir, bundle.tenants.len());
        say_json(&json!({ "dir": dir, "tenants": tenants, "files_changed": changed, "missing": missing }))?;
    } else {
        draw(&missing);
        let tenants = counted(bundle.tenants.len(), ["tenant", "tenants"]);
        let changed = counted(changed, ["file", "files"]);
        say(format_args!("{tenants} in `{}`; {changed} changed", arguments.dir.display()));
    }
    Ok(if missing.0.is_empty() { Outcome::Done } else { Outcome::No })
}
