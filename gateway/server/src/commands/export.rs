//! `cardea export`: the store's resources as files, the same that `apply` reads.

use std::path::PathBuf;

use cardea_storage::Store;
use serde_json::json;

use super::{Context, Ended, Outcome, counted, say, say_json};
use crate::folder;

/// Write what the store holds as a folder of resources. What is written, applied again, changes nothing; resource files
/// in DIR that the store no longer holds are removed.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The folder to write; made if it is not there.
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

/// Runs the command.
pub async fn run(arguments: Arguments, context: &Context) -> Ended {
    let store = Store::open_to_read(&context.config()?.database(), None).await.map_err(anyhow::Error::from)?;
    let bundle = store.bundle().await.map_err(anyhow::Error::from)?;
    store.close().await;
    let changed = folder::write(&arguments.dir, &bundle)
        .map_err(|error| anyhow::anyhow!("`{}` cannot be written: {error}", arguments.dir.display()))?;
    if context.is_json() {
        say_json(&json!({ "dir": arguments.dir, "tenants": bundle.tenants.len(), "files_changed": changed }))?;
    } else {
        let tenants = counted(bundle.tenants.len(), ["tenant", "tenants"]);
        let changed = counted(changed, ["file", "files"]);
        say(format_args!("{tenants} in `{}`; {changed} changed", arguments.dir.display()));
    }
    Ok(Outcome::Done)
}
