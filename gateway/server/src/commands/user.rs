//! `cardea user`: a tenant's people, for the operator at the machine. Does what the API does, by the same functions.

mod import;

use std::{collections::BTreeSet, sync::Arc};

use cardea_core::{Attributes, GroupId, TenantId, attributes, diagnostic::nearest};
use cardea_identity::{Email, Status, User, session::EndReason};
use cardea_storage::{Store, UserQuery, UserSummary};
use serde_json::{Value, json};

use super::{Context, Ended, Failure, Outcome, remark, say, say_json, to_the_end};
use crate::{
    House,
    commands::serve::open_failure,
    house::{ChangeFault, Doer, FactorLink, Invited, Reading, Reset},
    state::{State, TenantState},
};

/// Invite, import, list, suspend, reset and delete people of a tenant's pool, let them add factors, and end their sessions. A
/// running gateway takes each change over within a second.
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
    /// List people.
    List {
        /// Part of the name or address.
        #[arg(value_name = "TEXT")]
        query: Option<String>,
        /// Only those of this status: invited, active or suspended.
        #[arg(long, value_parser = status)]
        status: Option<Status>,
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
    /// is printed by which they choose anew. For one who is suspended, activate first.
    Reset {
        /// E-mail address.
        #[arg(value_parser = email)]
        email: Email,
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
    /// Delete a person for good, with factors and groups, and end every session of theirs. The entries about them stay.
    Delete {
        /// E-mail address.
        #[arg(value_parser = email)]
        email: Email,
    },
    /// End every session of a person; they may sign in again at once.
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
            list(&reading.store, &tenant, UserQuery { query, status, ..UserQuery::default() }, context).await
        }
        Act::Change(change) => {
            let house = House::open_to_change(config, Arc::clone(&context.clock), Arc::clone(&context.entropy));
            let house = house.await.map_err(open_failure)?;
            let ended = make(&house, named, change, context).await;
            house.close().await;
            ended
        }
    }
}

/// The tenant meant: the one named, or the only one.
pub(super) fn tenant(state: &State, named: Option<&TenantId>) -> Result<Arc<TenantState>, Failure> {
    let all = || state.tenants.keys().chain(state.behind.keys()).map(TenantId::as_str);
    let id = match (named, all().count()) {
        (Some(id), _) => id,
        (None, 1) => match state.tenants.keys().chain(state.behind.keys()).next() {
            Some(only) => only,
            None => return Err(Failure::Misused("no tenant".to_owned())),
        },
        (None, 0) => return Err(Failure::Misused("there is no tenant yet: `cardea apply DIR` makes one".to_owned())),
        (None, _) => {
            let all = all().collect::<Vec<_>>().join(", ");
            return Err(Failure::Misused(format!("which tenant? say `--tenant` with one of {all}")));
        }
    };
    if let Some(behind) = state.behind.get(id) {
        return Err(behind.why.clone().into());
    }
    state.tenants.get(id).cloned().ok_or_else(|| {
        let help =
            nearest(id.as_str(), all()).map_or_else(String::new, |near| format!("\n  help: did you mean `{near}`?"));
        Failure::Misused(format!("there is no tenant `{id}`{help}"))
    })
}

async fn make(house: &Arc<House>, named: Option<&TenantId>, change: Change, context: &Context) -> Ended {
    let tenant = tenant(&house.state.load(), named)?;
    let doer = Doer::operator();
    to_the_end()?;
    match change {
        Change::Invite { email, name, groups, print } => {
            let invited = invite(house, &tenant, email, name, &groups, &doer).await?;
            let mailed = !print && mailed(house, &tenant, &invited, doer).await;
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
            let user = find(house, &tenant, &email).await?;
            let sessions = house.suspend_user(tenant.id(), user.id, &doer).await?;
            told(
                context,
                &format!("{email} is suspended; {sessions} sessions ended"),
                &json!({ "sessions_ended": sessions }),
            )
        }
        Change::Activate { email } => {
            let user = find(house, &tenant, &email).await?;
            let user = house.activate_user(tenant.id(), user.id, &doer).await?;
            told(context, &format!("{email} is {}", user.status.as_str()), &json!({ "status": user.status }))
        }
        Change::Import(arguments) => import::run(house, &tenant, arguments, &doer, context).await,
        Change::Reset { email } => {
            let user = find(house, &tenant, &email).await?;
            let Reset { invited, factors, sessions } = house.reset_user(&tenant, user.id, &doer).await?;
            told(
                context,
                &format!("{email} starts over: {factors} factors and {sessions} sessions ended\n{}", invited.url),
                &json!({
                    "factors_removed": factors, "sessions_ended": sessions, "url": invited.url,
                    "expires_at": invited.expires.to_string(),
                }),
            )
        }
        Change::Enrol { email, print } => {
            let user = find(house, &tenant, &email).await?;
            let mut link = house.make_factor_link(&tenant, user.id, &doer).await?;
            link.by_letter &= !print;
            let mailed = mailed_factor_link(house, &tenant, &link, doer).await;
            let sent = format!("a link to add a way to sign in was sent to {email}");
            told(
                context,
                if mailed { &sent } else { &link.url },
                &json!({ "url": link.url, "expires_at": link.expires.to_string(), "mailed": mailed }),
            )
        }
        Change::Set { email, said } => {
            let user = find(house, &tenant, &email).await?;
            let after = with(&tenant, &user.attributes, said)?;
            house.set_attributes(&tenant, user.id, after.clone(), &doer).await?;
            let names = after.keys().cloned().collect::<Vec<_>>().join(", ");
            told(
                context,
                &format!("{email} has {}", if names.is_empty() { "no attributes" } else { &names }),
                &json!(after),
            )
        }
        Change::Delete { email } => {
            let user = find(house, &tenant, &email).await?;
            let sessions = house.delete_user(tenant.id(), user.id, &doer).await?;
            told(
                context,
                &format!("{email} is deleted; {sessions} sessions ended"),
                &json!({ "sessions_ended": sessions }),
            )
        }
        Change::EndSessions { email } => {
            let user = find(house, &tenant, &email).await?;
            let why = EndReason::Administrator;
            let ended = house.end_sessions_of_user(tenant.id(), user.id, None, why, &doer).await;
            let ended = ended.map_err(ChangeFault::from)?;
            told(context, &format!("{ended} sessions of {email} ended"), &json!({ "sessions_ended": ended }))
        }
    }
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

async fn find(house: &House, tenant: &TenantState, email: &Email) -> Result<User, Failure> {
    let found = house.store.user_by_email(tenant.id(), email).await.map_err(ChangeFault::from)?;
    found.ok_or_else(|| ChangeFault::NotFound("user").into())
}

async fn invite(
    house: &House,
    tenant: &TenantState,
    email: Email,
    name: Option<String>,
    groups: &[GroupId],
    doer: &Doer,
) -> Result<Invited, Failure> {
    let known = house.store.user_by_email(tenant.id(), &email).await.map_err(ChangeFault::from)?;
    let Some(user) = known else {
        let name = name.unwrap_or_else(|| email.to_string());
        return Ok(house.invite_user(tenant, email, &name, groups, doer).await?);
    };
    // Given besides: whoever only needs a new link keeps what they may.
    let all: BTreeSet<_> = user.groups.iter().chain(groups).cloned().collect();
    if all.len() > user.groups.len() {
        house.set_groups(tenant, user.id, &Vec::from_iter(all), doer).await?;
    }
    Ok(house.invite_again(tenant, user.id, doer).await?)
}

/// Sends the link; false where no mail is configured, or it could not be sent, which is said.
async fn mailed(house: &House, tenant: &TenantState, invited: &Invited, doer: Doer) -> bool {
    if !house.sends_letters() {
        return false;
    }
    let sent = house.mail_invitation_now(tenant, invited, doer).await;
    if let Err(cause) = &sent {
        remark(format_args!("the invitation could not be sent ({cause}): hand the link over yourself"));
    }
    sent.is_ok()
}

/// Sends the link, or notice of it where no letter may carry it; the same as above.
async fn mailed_factor_link(house: &House, tenant: &TenantState, link: &FactorLink, doer: Doer) -> bool {
    if !house.sends_letters() || !link.by_letter {
        return house.mail_factor_link(tenant, link, doer);
    }
    let sent = house.mail_factor_link_now(tenant, link, doer).await;
    if let Err(cause) = &sent {
        remark(format_args!("the link could not be sent ({cause}): hand it over yourself"));
    }
    sent.is_ok()
}

impl From<ChangeFault> for Failure {
    fn from(fault: ChangeFault) -> Self {
        match fault {
            ChangeFault::Invalid(one) => one.into(),
            other => anyhow::Error::from(other).into(),
        }
    }
}

async fn list(store: &Store, tenant: &TenantState, mut query: UserQuery, context: &Context) -> Ended {
    query.limit = 200;
    loop {
        let page = store.users(tenant.id(), &query).await.map_err(ChangeFault::from)?;
        for summary in &page.items {
            if context.is_json() {
                say_json(&described(summary))?;
            } else {
                say(line(summary));
            }
        }
        match page.next {
            Some(next) => query.cursor = Some(next),
            None => return Ok(Outcome::Done),
        }
    }
}

fn described(UserSummary { user, factors }: &UserSummary) -> Value {
    json!({
        "id": user.id, "email": user.email, "name": user.name, "status": user.status, "groups": user.groups,
        "attributes": user.attributes,
        "factors": factors, "last_seen_at": user.last_seen.map(|at| at.to_string()),
    })
}

fn line(UserSummary { user, factors }: &UserSummary) -> String {
    let joined = |words: Vec<&str>| if words.is_empty() { "-".to_owned() } else { words.join(",") };
    let groups = joined(user.groups.iter().map(GroupId::as_str).collect());
    let factors = joined(factors.iter().map(|kind| kind.as_str()).collect());
    format!("{:<32} {:<10} {:<32} {:<22} {}", user.email.as_str(), user.status.as_str(), groups, factors, user.name)
}
