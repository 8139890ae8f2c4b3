//! `cardea user import FILE`: people from a CSV file, with a line of report for each.

use std::{fs::File, io::BufReader, path::PathBuf};

use serde_json::json;

use super::super::{Context, Ended, Failure, Outcome, counted, draw, remark, say, say_json};
use crate::{
    House,
    house::{Added, Doer, Imported, Importing},
    state::TenantState,
};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The file, in UTF-8; its first line names the columns.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Take the good rows though others are wrong.
    #[arg(long)]
    partial: bool,
    /// Change nothing, and say what would be added.
    #[arg(long)]
    dry_run: bool,
    /// Make an invitation for each who is added, and print its link.
    #[arg(long)]
    links: bool,
}

/// Reads the file into the pool.
pub(super) async fn run(
    house: &House,
    tenant: &TenantState,
    arguments: Arguments,
    doer: &Doer,
    context: &Context,
) -> Ended {
    let Arguments { file, partial, dry_run, links } = arguments;
    let source = file.display().to_string();
    let opened =
        File::open(&file).map_err(|error| Failure::Misused(format!("`{source}` cannot be opened: {error}")))?;
    let how = Importing { partial, dry_run, links };
    let came = house.import_users(tenant, (&source, BufReader::new(opened)), how, doer).await?;
    if came.is_refused(how) {
        if !context.is_json() {
            let wrong = counted(came.refused, ["row is wrong", "rows are wrong"]);
            remark(format_args!("{wrong}, and nothing was changed"));
        }
        return Err(came.mistakes.into());
    }
    let verb = if came.applied { "added" } else { "would be added" };
    for Added { line, user, invited } in &came.added {
        let url = invited.as_ref().map(|invited| &invited.url);
        if context.is_json() {
            say_json(&json!({
                "line": line, "id": came.applied.then_some(user.id), "email": user.email, "groups": user.groups, "url": url,
            }))?;
        } else {
            let link = url.map_or_else(String::new, |url| format!(" {url}"));
            say(format_args!("{source}:{line}: {} {verb}{link}", user.email));
        }
    }
    summed_up(&came, verb, context)
}

fn summed_up(came: &Imported, verb: &str, context: &Context) -> Ended {
    let Imported { added, unchanged, refused, mistakes, applied } = came;
    if context.is_json() {
        say_json(&json!({
            "applied": applied, "added": added.len(), "unchanged": unchanged, "refused": refused, "diagnostics": mistakes,
        }))?;
    } else {
        if *refused > 0 {
            draw(mistakes);
        }
        say(format_args!("{} {verb}, {unchanged} there already, {refused} left out", added.len()));
    }
    Ok(if *refused == 0 { Outcome::Done } else { Outcome::No })
}
