//! `cardea user`: a tenant's people, for the operator at the machine. Does what the API does, by the same functions.

mod import;
mod inviting;
mod shown;

use std::sync::Arc;

use cardea_core::{Attributes, GroupId, TenantId, attributes, diagnostic::nearest};
use cardea_identity::{Email, Status, User, session::EndReason};
use cardea_storage::{Store, UserQuery};
use serde_json::{Value, json};

use super::{Context, Ended, Failure, Outcome, counted, only, remark, say, say_json, to_the_end, wanted};
use crate::{
    House,
    commands::serve::open_failure,
    config::SessionsIn,
    house::{ChangeFault, Doer, Reading, Reset},
    state::{State, TenantState},
};

/// Invite, import, list, show, suspend, reset and delete people of a tenant's pool, let them add factors, and end their sessions. A
/// running gateway takes each change over within a second. Apps with `back_channel_logout` are told of sessions that are over before the
/// command ends, for eight seconds at the most once they can be reached; what they were not told is said on standard error.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The tenant; may be left out where there is only one.
    #[arg(long, global = true, value_name = "TENANT")]
    tenant: Option<TenantId>,
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, clap::Subcommand)]
enum Act {
    /// List people, one a line: address, status, groups, factors and providers by whose accounts they sign in, name.
    List {
        /// Part of the name or address.
        #[arg(value_name = "TEXT")]
        query: Option<String>,
        /// Only those of this status: invited, active or suspended.
        #[arg(long, value_parser = status)]
        status: Option<Status>,
    },
    /// Show a person with all that they sign in with: factors, and accounts at providers; each with since when it is theirs and
    /// when it was last used.
    Show {
        /// E-mail address.
        #[arg(value_parser = email)]
        email: Email,
    },
    #[command(flatten)]
    Change(Change),
}

#[derive(Debug, clap::Subcommand)]
enum Change {
    /// Add a person, or make a new link for one who is there. The link, by which they choose how to sign in, is sent to
    /// them; it is printed where no mail is configured, or it cannot be sent, or for one who has joined: it replaces whatever
    /// they sign in with, so no letter carries it.
    Invite {
        /// E-mail address.
        #[arg(value_parser = email)]
        email: Email,
        /// Name as shown; the address where not given.
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
        /// A group to put the person into, beside those they are in; may be given several times. The first administrator goes into `administrators`.
        #[arg(long = "group", value_name = "GROUP")]
        groups: Vec<GroupId>,
        /// Print the link, and send nothing.
        #[arg(long)]
        print: bool,
    },
    /// Suspend a person and end every session of theirs.
    Suspend {
        /// E-mail address.
        #[arg(value_parser = email)]
        email: Email,
    },
    /// Let a suspended person sign in again.
    Activate {
        /// E-mail address.
        #[arg(value_parser = email)]
        email: Email,
    },
    /// Add people from a CSV file with the columns `email`, `name` and `groups` (divided by `;`). They are invited: `user
    /// invite` makes their links, or `--links` does at once. Nothing is changed where a row is wrong; who is there as the
    /// file says is left alone, so the same file may be given again.
    Import(import::Arguments),
    /// Let a person start over who lost what they sign in with: factors, recovery codes and sessions are gone, and the link
    /// is printed by which they choose anew. Asks before. For one who is suspended, activate first.
    Reset {
        /// E-mail address.
        #[arg(value_parser = email)]
        email: Email,
        /// Do not ask: factors do not come back.
        #[arg(long)]
        yes: bool,
    },
    /// Let a person who has one way to sign in add a second. The link, by which they sign in with what they have and add it, is sent
    /// to them; it is printed where no mail is configured, it cannot be sent, or a code in that mailbox is all that they have.
    Enrol {
        /// E-mail address.
        #[arg(value_parser = email)]
        email: Email,
        /// Print the link, and send no more than notice of it.
        #[arg(long)]
        print: bool,
    },
    /// Say something of a person by the attributes that the tenant declares; policies read it.
    Set {
        /// E-mail address.
        #[arg(value_parser = email)]
        email: Email,
        /// `clearance=2`; texts of a list are divided by commas. What is not named stays; `clearance=` takes it away.
        #[arg(required = true, value_name = "NAME=VALUE", value_parser = pair)]
        said: Vec<(String, String)>,
    },
    /// Delete a person for good, with factors and groups, and end every session of theirs. Asks before. The entries about them stay.
    Delete {
        /// E-mail address.
        #[arg(value_parser = email)]
        email: Email,
        /// Do not ask: whoever is deleted does not come back.
        #[arg(long)]
        yes: bool,
    },
    /// End every session of a person, and forget the devices that are remembered; they may sign in again at once.
    EndSessions {
        /// E-mail address.
        #[arg(value_parser = email)]
        email: Email,
    },
}

fn email(text: &str) -> Result<Email, String> {
    Email::parse(text).map_err(|error| error.to_string())
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or_else(|| format!("`{text}` is not `NAME=VALUE`"))?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

fn status(text: &str) -> Result<Status, String> {
    Status::parse(text).ok_or_else(|| format!("`{text}` is not one of invited, active, suspended"))
}

/// Runs the command.
pub async fn run(arguments: Arguments, context: &Context) -> Ended {
    let (config, named) = (context.config()?, arguments.tenant.as_ref());
    match arguments.act {
        Act::List { query, status } => {
            let reading = Reading::open(&config, context.clock.now()).await.map_err(open_failure)?;
            let tenant = tenant(&reading.state, named)?;
            let query = UserQuery { query, status, ..UserQuery::default() };
            shown::list(&reading.store, &tenant, query, context).await
        }
        Act::Show { email } => {
            let reading = Reading::open(&config, context.clock.now()).await.map_err(open_failure)?;
            let tenant = tenant(&reading.state, named)?;
            let user = find(&reading.store, &reading.state, &tenant, &email).await?;
            shown::one(&reading.store, &tenant, &user, context).await
        }
        Act::Change(change) => {
            let house = House::open_to_change(config, Arc::clone(&context.clock), Arc::clone(&context.entropy));
            let house = house.await.map_err(open_failure)?;
            let ended = make(&house, named, change, context).await;
            let untold = house.close_changed().await;
            if untold > 0 {
                let times = counted(untold, ["time", "times"]);
                remark(format_args!(
                    "an app was not told of a session that is over, {times}: entries `logout-untold` say which, and why"
                ));
            }
            ended
        }
    }
}

/// The tenant meant: the one named, or the only one.
pub(super) fn tenant(state: &State, named: Option<&TenantId>) -> Result<Arc<TenantState>, Failure> {
    let all = || state.tenants.keys().chain(state.behind.keys());
    let id = only(named, all())?;
    if let Some(behind) = state.behind.get(id) {
        return Err(behind.why.clone().into());
    }
    state.tenants.get(id).cloned().ok_or_else(|| {
        let help = nearest(id.as_str(), all().map(TenantId::as_str))
            .map_or_else(String::new, |near| format!("\n  help: did you mean `{near}`?"));
        Failure::Misused(format!("there is no tenant `{id}`{help}"))
    })
}

async fn make(house: &Arc<House>, named: Option<&TenantId>, change: Change, context: &Context) -> Ended {
    let tenant = tenant(&house.state.load(), named)?;
    let doer = Doer::operator();
    if !agreed(house, &tenant, &change).await? {
        return Ok(Outcome::No);
    }
    to_the_end()?;
    match change {
        Change::Invite { email, name, groups, print } => {
            let invited = inviting::invite(house, &tenant, email, name, &groups, &doer).await?;
            let mailed = !print && inviting::mailed(house, &tenant, &invited, doer).await;
            let sent = format!("an invitation was sent to {}", invited.user.email);
            told(
                context,
                if mailed { &sent } else { &invited.url },
                &json!({
                    "id": invited.user.id, "email": invited.user.email, "url": invited.url,
                    "expires_at": invited.expires.to_string(), "mailed": mailed,
                }),
            )
        }
        Change::Suspend { email } => {
            let user = of(house, &tenant, &email).await?;
            let sessions = house.suspend_user(tenant.id(), user.id, &doer).await?;
            let (ended, sessions) = sessions_ended(house, sessions);
            told(context, &format!("{email} is suspended; {ended}"), &json!({ "sessions_ended": sessions }))
        }
        Change::Activate { email } => {
            let user = of(house, &tenant, &email).await?;
            let user = house.activate_user(tenant.id(), user.id, &doer).await?;
            told(context, &format!("{email} is {}", user.status.as_str()), &json!({ "status": user.status }))
        }
        Change::Import(arguments) => import::run(house, &tenant, arguments, &doer, context).await,
        Change::Reset { email, .. } => {
            let user = of(house, &tenant, &email).await?;
            let Reset { invited, factors, sessions } = house.reset_user(&tenant, user.id, &doer).await?;
            let (lost, (ended, sessions)) = (counted(factors, ["factor", "factors"]), sessions_ended(house, sessions));
            told(
                context,
                &format!("{email} starts over: {lost} and {ended}\n{}", invited.url),
                &json!({
                    "factors_removed": factors, "sessions_ended": sessions, "url": invited.url,
                    "expires_at": invited.expires.to_string(),
                }),
            )
        }
        Change::Enrol { email, print } => {
            let user = of(house, &tenant, &email).await?;
            let mut link = house.make_factor_link(&tenant, user.id, &doer).await?;
            link.by_letter &= !print;
            let mailed = inviting::mailed_factor_link(house, &tenant, &link, doer).await;
            let sent = format!("a link to add a way to sign in was sent to {email}");
            told(
                context,
                if mailed { &sent } else { &link.url },
                &json!({ "url": link.url, "expires_at": link.expires.to_string(), "mailed": mailed }),
            )
        }
        Change::Set { email, said } => {
            let user = of(house, &tenant, &email).await?;
            let after = with(&tenant, &user.attributes, said)?;
            house.set_attributes(&tenant, user.id, after.clone(), &doer).await?;
            let names = after.keys().cloned().collect::<Vec<_>>().join(", ");
            told(
                context,
                &format!("{email} has {}", if names.is_empty() { "no attributes" } else { &names }),
                &json!(after),
            )
        }
        Change::Delete { email, .. } => {
            let user = of(house, &tenant, &email).await?;
            let sessions = house.delete_user(tenant.id(), user.id, &doer).await?;
            let (ended, sessions) = sessions_ended(house, sessions);
            told(context, &format!("{email} is deleted; {ended}"), &json!({ "sessions_ended": sessions }))
        }
        Change::EndSessions { email } => {
            let user = of(house, &tenant, &email).await?;
            let why = EndReason::Administrator;
            let ended = house.end_sessions_of_user(tenant.id(), user.id, None, why, &doer).await;
            let ended = ended.map_err(ChangeFault::from)?;
            let (said, sessions) = sessions_ended(house, ended);
            told(context, &format!("{email}: {said}"), &json!({ "sessions_ended": sessions }))
        }
    }
}

/// How many of a person's sessions ended, in words and as a number. Those in the memory of a gateway that runs are not seen from here:
/// they end all the same, and nobody knows how many.
fn sessions_ended(house: &House, ended: u64) -> (String, Option<u64>) {
    if house.config.sessions == SessionsIn::Memory {
        return ("all sessions ended, which the gateway has in its memory".to_owned(), None);
    }
    (format!("{} ended", counted(ended, ["session", "sessions"])), Some(ended))
}

/// Whether a change is wanted that takes from a person what does not come back; asked for before anything is begun.
async fn agreed(house: &House, tenant: &TenantState, change: &Change) -> Result<bool, Failure> {
    let (email, yes, what) = match change {
        Change::Delete { email, yes } => (email, *yes, "is deleted for good, with factors, accounts and groups"),
        Change::Reset { email, yes } => {
            (email, *yes, "starts over: factors, recovery codes and sessions are gone for good")
        }
        _ => return Ok(true),
    };
    of(house, tenant, email).await?;
    wanted(yes, &format!("{email} {what}"), email.as_str())
}

/// What is said of a person, with what is said now.
fn with(tenant: &TenantState, before: &Attributes, said: Vec<(String, String)>) -> Result<Attributes, Failure> {
    let kinds = &tenant.bundle.tenant.attributes;
    // What is declared no longer would be refused, whatever else is said.
    let mut all = attributes::declared(before, kinds);
    for (name, text) in said {
        let Some(kind) = kinds.get(&name) else {
            let known = kinds.keys().map(String::as_str);
            let help =
                nearest(&name, known).map_or_else(String::new, |near| format!("\n  help: did you mean `{near}`?"));
            return Err(Failure::Misused(format!("the tenant declares no attribute `{name}`{help}")));
        };
        if text.is_empty() {
            all.remove(&name);
            continue;
        }
        let value = kind.parse(&text);
        let value =
            value.ok_or_else(|| Failure::Misused(format!("`{text}` does not fit `{name}`, which is {kind}")))?;
        all.insert(name, value);
    }
    Ok(all)
}

fn told(context: &Context, line: &str, value: &Value) -> Ended {
    if context.is_json() {
        say_json(value)?;
    } else {
        say(line);
    }
    Ok(Outcome::Done)
}

async fn of(house: &House, tenant: &TenantState, email: &Email) -> Result<User, Failure> {
    find(&house.store, &house.state.load(), tenant, email).await
}

/// The person of an address; where there is none, told with what may be meant.
async fn find(store: &Store, state: &State, tenant: &TenantState, email: &Email) -> Result<User, Failure> {
    if let Some(user) = store.user_by_email(tenant.id(), email).await.map_err(ChangeFault::from)? {
        return Ok(user);
    }
    let mut help = "`cardea user list` shows who is there, `cardea user invite` adds somebody".to_owned();
    for other in state.tenants.keys().filter(|other| *other != tenant.id()) {
        if store.user_by_email(other, email).await.map_err(ChangeFault::from)?.is_some() {
            help = format!("`{other}` has: say `--tenant {other}`");
        }
    }
    Err(anyhow::anyhow!("tenant `{}` has nobody with the address `{email}`\n  help: {help}", tenant.id()).into())
}

impl From<ChangeFault> for Failure {
    fn from(fault: ChangeFault) -> Self {
        match fault {
            ChangeFault::Invalid(one) => one.into(),
            other => anyhow::Error::from(other).into(),
        }
    }
}
