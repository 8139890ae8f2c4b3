//! `cardea policy`: test policies, and tell why a decision fell as it did.

mod card;

use std::path::PathBuf;

use cardea_audit::Entry;
use cardea_core::{AppId, Assurance, EntryId, TenantId};
use cardea_identity::Email;
use cardea_policy::Explanation;
use cardea_storage::Legible;

use super::{Context, Ended, Failure, Outcome, check, counted, say, say_json, serve::open_failure, user::tenant};
use crate::{
    checks,
    explaining::{self, Trial, Untold},
    folder,
    house::{Reading, Turns},
};

/// Test policies, or explain a decision: one that was made, or one that is only tried.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, clap::Subcommand)]
enum Act {
    /// Run the tests of the policies in a folder of resources, or of those in force. Exit status 1 if one fails.
    Test {
        /// A folder of resources (it holds `tenants/`); the store where not given.
        #[arg(value_name = "DIR")]
        dir: Option<PathBuf>,
    },
    /// Explain why a request was or would be allowed, denied or challenged: who did what on which under which
    /// circumstances, and each policy's conditions with the values that they saw.
    Explain(Explain),
}

#[derive(Debug, clap::Args)]
struct Explain {
    /// The request's id: in `X-Request-Id` of its answer, on its page, and in the log.
    #[arg(value_name = "REQUEST_ID", required_unless_present = "request", conflicts_with_all = ["request", "app"])]
    id: Option<EntryId>,
    /// The tenant; may be left out where there is only one, or with a request's id.
    #[arg(long, value_name = "TENANT")]
    tenant: Option<TenantId>,
    /// The app that is asked.
    #[arg(long, value_name = "APP", requires = "request")]
    app: Option<AppId>,
    /// A request to be tried, such as "GET /studies/S-12".
    #[arg(long, value_name = "REQUEST", requires = "app")]
    request: Option<String>,
    /// Who asks: an e-mail address of the pool; a visitor where not given.
    #[arg(long = "as", value_name = "EMAIL", requires = "request")]
    caller: Option<String>,
    /// How strongly signed in: 1, 2 or 3.
    #[arg(long, value_name = "LEVEL", requires = "caller", value_parser = clap::value_parser!(u8).range(1..=3))]
    assurance: Option<u8>,
}

/// Runs the command.
pub async fn run(arguments: Arguments, context: &Context) -> Ended {
    match arguments.act {
        Act::Test { dir: Some(dir) } => test(&folder::read(&dir)?.into(), context),
        Act::Test { dir: None } => {
            let stored = open(context).await?.store.legible().await;
            test(&stored.map_err(anyhow::Error::from)?, context)
        }
        Act::Explain(wanted) => explain(&open(context).await?, wanted, context).await,
    }
}

async fn open(context: &Context) -> Result<Reading, Failure> {
    Reading::open(&context.config()?, context.clock.now()).await.map_err(open_failure)
}

fn test(read: &Legible, context: &Context) -> Ended {
    let mut checked = checks::bundle(&read.bundle, None, context.clock.now());
    checked.diagnostics.extend(read.mistakes());
    if context.is_json() {
        say_json(&checked)?;
    } else {
        for one in &checked.tests {
            for test in &one.tests {
                say(format_args!("{} {}: {}", if test.passed { "ok  " } else { "FAIL" }, one.tenant, test.name));
            }
        }
        check::show(&checked);
        let failed = checked.failed().count();
        say(format_args!("{}, {failed} failed", counted(checked.count(), ["test", "tests"])));
    }
    Ok(if checked.passed() { Outcome::Done } else { Outcome::No })
}

async fn explain(reading: &Reading, wanted: Explain, context: &Context) -> Ended {
    match wanted.id {
        Some(id) => explain_entry(reading, wanted.tenant.as_ref(), id, context).await,
        None => {
            let tenant = tenant(&reading.state, wanted.tenant.as_ref())?;
            let trial = trial(wanted)?;
            let told = explaining::trial(&reading.store, &tenant, &trial, context.clock.now()).await?;
            show(&told, context)
        }
    }
}

fn trial(wanted: Explain) -> Result<Trial, Failure> {
    let (Some(app), Some(request)) = (wanted.app, wanted.request) else {
        return Err(Failure::Misused("say which app and which request, or a request's id".to_owned()));
    };
    let (method, path) = request.trim().split_once(' ').unwrap_or(("GET", request.trim()));
    let caller = wanted.caller.as_deref().map(Email::parse).transpose();
    Ok(Trial {
        app,
        method: method.to_ascii_uppercase(),
        path: path.trim().to_owned(),
        caller: caller.map_err(|error| Failure::Misused(error.to_string()))?,
        assurance: wanted.assurance.and_then(Assurance::from_level),
    })
}

impl From<Untold> for Failure {
    fn from(untold: Untold) -> Self {
        anyhow::Error::from(untold).into()
    }
}

async fn explain_entry(reading: &Reading, named: Option<&TenantId>, id: EntryId, context: &Context) -> Ended {
    let Reading { store, state } = reading;
    let all = state.tenants.keys().chain(state.behind.keys());
    for tenant in all.filter(|tenant| named.is_none_or(|named| named == *tenant)) {
        let logged = store.log_entry(Some(tenant), id).await.map_err(anyhow::Error::from)?;
        let Some(logged) = logged else { continue };
        let entry = Entry::read(&logged.body).map_err(anyhow::Error::from)?;
        let told = match (explaining::entry(store, state, &Turns::judging(), &entry).await, state.behind.get(tenant)) {
            (Err(Untold::Unknown(_)), Some(behind)) => Err(behind.why.to_string()),
            (told, _) => Ok(told?),
        };
        let outcome = if told.is_ok() { Outcome::Done } else { Outcome::No };
        if context.is_json() {
            let mut value = serde_json::to_value(&entry).map_err(anyhow::Error::from)?;
            crate::api::rewrite_times(&mut value);
            let (explanation, untold) = (told.as_ref().ok().and_then(Option::as_ref), told.as_ref().err());
            say_json(&serde_json::json!({
                "entry": value, "seq": logged.seq, "explanation": explanation, "untold": untold,
            }))?;
            return Ok(outcome);
        }
        say(card::entry(&entry, logged.seq));
        match told {
            Ok(Some(told)) => say(card::card(&told)),
            Ok(None) => say("no question was put to the policies: the request ended before"),
            Err(why) => {
                super::remark(format_args!("why it ended so cannot be told while its tenant is not in force:\n{why}"));
            }
        }
        return Ok(outcome);
    }
    super::remark(format_args!("there is no entry `{id}`"));
    Ok(Outcome::No)
}

fn show(told: &Explanation, context: &Context) -> Ended {
    if context.is_json() {
        say_json(told)?;
    } else {
        say(card::card(told));
    }
    Ok(Outcome::Done)
}
