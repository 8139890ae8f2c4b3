//! `cardea user list` and `show`: who there is, and what each signs in with.

use cardea_core::Timestamp;
use cardea_identity::{Factor, LinkedAccount, User};
use cardea_storage::{Store, UserQuery, UserSummary};
use serde_json::{Value, json};

use super::super::{Context, Ended, Outcome, printable, say, say_json};
use crate::{house::ChangeFault, state::TenantState};

/// Lists those who fit, one a line.
pub(super) async fn list(store: &Store, tenant: &TenantState, mut query: UserQuery, context: &Context) -> Ended {
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

/// Shows one with all that they sign in with.
pub(super) async fn one(store: &Store, tenant: &TenantState, user: &User, context: &Context) -> Ended {
    let factors = store.factors(tenant.id(), user.id).await.map_err(ChangeFault::from)?;
    let accounts = store.identities(tenant.id(), user.id).await.map_err(ChangeFault::from)?;
    if context.is_json() {
        let mut value = person(user);
        value["factors"] = factors.iter().map(factor).collect();
        value["accounts"] = accounts.iter().map(account).collect();
        say_json(&value)?;
        return Ok(Outcome::Done);
    }
    let rules = &tenant.bundle.tenant.factors;
    say(card(user, &factors, &accounts));
    let summary = UserSummary {
        user: user.clone(),
        factors: factors.iter().map(Factor::kind).collect(),
        accounts: accounts.iter().map(Into::into).collect(),
    };
    if rules.want_second() && summary.lacks_second() {
        say(format_args!("no second factor, which the tenant wants: `cardea user enrol {}` makes a link", user.email));
    }
    Ok(Outcome::Done)
}

fn person(user: &User) -> Value {
    json!({
        "id": user.id, "email": user.email, "name": user.name, "status": user.status, "groups": user.groups,
        "attributes": user.attributes, "last_seen_at": time(user.last_seen),
    })
}

fn described(UserSummary { user, factors, accounts }: &UserSummary) -> Value {
    let mut value = person(user);
    value["factors"] = json!(factors);
    let account = |provider, linked: Timestamp, used| json!({ "provider": provider, "linked_at": linked.to_string(), "last_used_at": time(used) });
    value["accounts"] = accounts.iter().map(|one| account(&one.provider, one.linked, one.used)).collect();
    value
}

fn factor(factor: &Factor) -> Value {
    json!({
        "id": factor.id, "kind": factor.kind(), "name": factor.name, "created_at": factor.created.to_string(),
        "last_used_at": time(factor.last_used),
    })
}

fn account(account: &LinkedAccount) -> Value {
    json!({
        "id": account.id(), "provider": account.identity.provider, "subject": account.identity.subject,
        "own": !account.is_brought(), "linked_at": account.linked.to_string(), "last_used_at": time(account.used),
    })
}

fn time(at: Option<Timestamp>) -> Option<String> {
    at.map(|at| at.to_string())
}

fn line(UserSummary { user, factors, accounts }: &UserSummary) -> String {
    let groups = joined(user.groups.iter().map(ToString::to_string));
    let kinds = factors.iter().map(|kind| kind.as_str().to_owned());
    let ways = joined(kinds.chain(accounts.iter().map(|account| format!("at:{}", account.provider))));
    format!(
        "{:<32} {:<10} {:<32} {:<22} {}",
        user.email.as_str(),
        user.status.as_str(),
        groups,
        ways,
        printable(&user.name)
    )
}

fn joined(words: impl Iterator<Item = String>) -> String {
    let words: Vec<_> = words.collect();
    if words.is_empty() { "-".to_owned() } else { words.join(",") }
}

/// A person as a card: who, and with what they sign in.
fn card(user: &User, factors: &[Factor], accounts: &[LinkedAccount]) -> String {
    let seen = user.last_seen.map_or_else(|| "never".to_owned(), |at| at.to_string());
    let mut lines = vec![
        format!("{} ({})", user.email, printable(&user.name)),
        format!("status   {}", user.status.as_str()),
        format!("groups   {}", joined(user.groups.iter().map(ToString::to_string))),
        format!("id       {}", user.id),
        format!("added    {}, last seen {seen}", user.created),
    ];
    let used = |at: Option<Timestamp>| at.map_or_else(|| "never used".to_owned(), |at| format!("last used {at}"));
    for one in factors {
        let name = if one.name.is_empty() { String::new() } else { format!(" `{}`", printable(&one.name)) };
        lines.push(format!("factor   {}{name}, since {}, {}", one.kind().as_str(), one.created, used(one.last_used)));
    }
    for one in accounts {
        let (provider, subject) = (&one.identity.provider, printable(&one.identity.subject));
        let by = if one.is_brought() { "by the provider's word" } else { "linked by themselves" };
        lines.push(format!("account  `{subject}` at {provider}, {by}, since {}, {}", one.linked, used(one.used)));
    }
    if factors.is_empty() && accounts.is_empty() {
        lines.push("factor   none".to_owned());
    }
    lines.join("\n")
}
