//! `cardea audit list`: entries for people, the newest first.

use std::time::Duration;

use cardea_audit::{Entry, Event};
use cardea_core::{TenantId, Timestamp, UserId};
use cardea_identity::Email;
use cardea_storage::{LogQuery, Logged, Store};
use serde_json::Value;

use super::{
    super::{Context, Ended, Failure, Outcome, printable, remark, say, say_json, span},
    log_meant,
};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The tenant whose log to show; may be left out where there is only one.
    #[arg(long, value_name = "TENANT", conflicts_with = "operator")]
    tenant: Option<TenantId>,
    /// Show the operator's own log.
    #[arg(long)]
    operator: bool,
    /// Only what this person did, and what was done about them: an e-mail address, or the id of whoever was deleted.
    #[arg(long, value_name = "PERSON", conflicts_with = "operator")]
    person: Option<String>,
    /// Only from then on: `30m`, `2h` or `7d` ago, or a day or moment, such as `2026-11-27` or `2026-11-27T08:00:00Z`.
    #[arg(long, value_name = "TIME", value_parser = since)]
    since: Option<Since>,
    /// At most so many. Fifty: a screen or two.
    #[arg(long, value_name = "COUNT", default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..))]
    limit: u64,
}

/// From when on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Since {
    Ago(Duration),
    At(Timestamp),
}

/// Entries read at once.
const PAGE: u32 = 500;

/// Shows them. Read page by page, and not by a search: that has a limit, for the sake of others.
pub(super) async fn list(store: &Store, arguments: Arguments, context: &Context) -> Ended {
    let log = log_meant(store, arguments.tenant, arguments.operator).await?;
    let person = match (&arguments.person, &log) {
        (Some(person), Some(tenant)) => Some(id_of(store, tenant, person).await?.to_string()),
        _ => None,
    };
    let since = arguments.since.map(|since| match since {
        Since::Ago(span) => context.clock.now().minus(span),
        Since::At(at) => at,
    });
    let fits = |logged: &Logged| person.as_ref().is_none_or(|id| mentions(&logged.body, id));
    let (mut query, mut left) = (LogQuery { limit: PAGE, ..LogQuery::default() }, arguments.limit);
    loop {
        let page = store.log(log.as_ref(), &query).await.map_err(anyhow::Error::from)?;
        let mut young = false;
        for logged in &page.items {
            let entry = logged.entry().map_err(anyhow::Error::from)?;
            // What took long is written late: one that is too old says nothing of the next.
            if since.is_some_and(|since| entry.at < since) {
                continue;
            }
            young = true;
            if !fits(logged) {
                continue;
            }
            if left == 0 {
                remark("there are more: say how many by `--limit`");
                return Ok(Outcome::Done);
            }
            left -= 1;
            show(&entry, logged, context)?;
        }
        match page.next {
            Some(next) if young => query.cursor = Some(next),
            _ => break,
        }
    }
    if left == arguments.limit {
        remark("nothing was recorded that fits");
    }
    Ok(Outcome::Done)
}

fn since(text: &str) -> Result<Since, String> {
    if let Some(span) = span::parse(text) {
        return Ok(Since::Ago(span));
    }
    text.parse().map(Since::At).map_err(|_| {
        format!(
            "`{text}` is no time: write `30m`, `2h` or `7d`, a day (`2026-11-27`) or a moment (`2026-11-27T08:00:00Z`)"
        )
    })
}

/// The person of an address, or of an id: entries outlive people.
async fn id_of(store: &Store, tenant: &TenantId, person: &str) -> Result<UserId, Failure> {
    if let Ok(id) = UserId::parse(person) {
        return Ok(id);
    }
    let email = Email::parse(person).map_err(|why| Failure::Misused(format!("`{person}`: {why}")))?;
    let found = store.user_by_email(tenant, &email).await.map_err(anyhow::Error::from)?;
    found.map(|user| user.id).ok_or_else(|| {
        let told = format!(
            "tenant `{tenant}` has nobody with the address `{email}`\n  help: whoever was deleted is found by the id that entries about them have"
        );
        Failure::Misused(told)
    })
}

fn mentions(body: &[u8], id: &str) -> bool {
    body.windows(id.len()).any(|part| part == id.as_bytes())
}

fn show(entry: &Entry, logged: &Logged, context: &Context) -> Result<(), Failure> {
    let mut value = serde_json::to_value(entry).map_err(anyhow::Error::from)?;
    crate::api::rewrite_times(&mut value);
    if context.is_json() {
        value["seq"] = logged.seq.into();
        return say_json(&value);
    }
    let at = entry.at.to_string();
    let at = at.split('.').next().unwrap_or(&at).replace('T', " ");
    let who = value["actor"]["email"].as_str().map_or_else(|| entry.actor.label().into_owned(), str::to_owned);
    let what = match &entry.event {
        Event::Request(request) => {
            let why = request.reason.map_or_else(String::new, |reason| format!(" {reason}"));
            format!("{} {}{} {}{why} ({})", request.method, request.host, request.path, request.status, entry.id)
        }
        _ => facts(&value["event"]),
    };
    let line = format!("{at}Z {:>7} {:<21} {who:<28} {what}", logged.seq, entry.event.code());
    say(printable(line.trim_end()));
    Ok(())
}

/// What an event tells beside its code, on one line.
fn facts(event: &Value) -> String {
    let Value::Object(all) = event else { return String::new() };
    let told = all
        .iter()
        .filter(|(name, _)| *name != "kind")
        .filter_map(|(name, value)| Some(format!("{name}={}", plain(value)?)));
    told.collect::<Vec<_>>().join(" ")
}

/// A value on one line; none where there is nothing to tell.
fn plain(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) if text.is_empty() => None,
        Value::String(text) if text.contains(' ') => Some(format!("\"{text}\"")),
        Value::String(text) => Some(text.clone()),
        Value::Array(items) => {
            Some(items.iter().filter_map(plain).collect::<Vec<_>>().join(",")).filter(|all| !all.is_empty())
        }
        // By what names it to a person; the rest is for programs (`--format json`).
        Value::Object(fields) => ["email", "version", "spiffe_id"].iter().find_map(|name| plain(fields.get(*name)?)),
        other => Some(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_span_a_day_or_a_moment() {
        assert_eq!(since("2h"), Ok(Since::Ago(Duration::from_secs(7200))));
        assert_eq!(since("2025-11-22T08:26:40Z"), Ok(Since::At(Timestamp::from_secs(1_763_800_000))));
        assert_eq!(since("2025-11-22"), Ok(Since::At(Timestamp::from_secs(1_763_769_600))));
        assert!(since("yesterday").unwrap_err().contains("a day (`2026-11-27`)"));
    }

    #[test]
    fn what_an_event_tells_stands_on_one_line() {
        let event = serde_json::json!({
            "kind": "groups-changed", "user": { "id": "u", "email": "ada@acme.example" }, "before": [], "after": ["readers", "staff"],
            "provider": null, "note": "two words", "policy": { "version": 3, "hash": "7b3f" }, "hashes": [{ "what": "x", "after": "1" }],
        });
        let told = facts(&event);
        for part in ["user=ada@acme.example", "after=readers,staff", "note=\"two words\"", "policy=3"] {
            assert!(told.contains(part), "{told}");
        }
        assert!(!["before", "provider", "hash"].iter().any(|absent| told.contains(absent)), "{told}");
    }
}
