//! The outcome of a decision in a sentence or two: what happened, why, and what would change it.

use std::sync::Arc;

use cardea_core::{Caller, caller::UserFacts};

use crate::{Challenge, ConditionView, PolicyView, Question, Saw, Verdict, built_in, rule::Layer};

/// The decision as one reads it aloud.
pub(crate) fn reason(
    question: &Question<'_>,
    verdict: &Verdict,
    challenge: Option<Challenge>,
    policies: &[PolicyView],
) -> String {
    let ids = &verdict.determined_by;
    if verdict.allowed {
        return format!("Allowed, because {}.", listed(ids, "permits it", "permit it"));
    }
    let why = if let Some(error) = verdict.errors.first() {
        let message = error.message.trim_end_matches('.');
        format!("Denied, because `{}` cannot be evaluated: {message}. An error denies: mend that policy.", error.policy)
    } else if ids.is_empty() {
        format!("Denied, because no policy permits it. {}", nearest(question, policies))
    } else {
        format!("Denied, because {}.{}", listed(ids, "forbids it", "forbid it"), whose(ids))
    };
    let next = match challenge {
        None => return why,
        Some(Challenge::SignIn) => "Nobody is signed in: after signing in it may be allowed.",
        Some(Challenge::Fresh) => "After signing in anew it would be allowed.",
        Some(Challenge::Two) => "With a second factor (assurance 2) it would be allowed.",
        Some(Challenge::Three) => "With a passkey (assurance 3) it would be allowed.",
    };
    format!("{why} {next}")
}

fn listed(ids: &[Arc<str>], one: &str, many: &str) -> String {
    let named: Vec<_> = ids.iter().map(|id| format!("`{id}`")).collect();
    format!("{} {}", and(&named), if named.len() == 1 { one } else { many })
}

fn and(parts: &[String]) -> String {
    match parts.split_last() {
        None => String::new(),
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
    }
}

/// Who could change a forbid that is not the tenant's own.
fn whose(forbids: &[Arc<str>]) -> &'static str {
    let by_setting = |id: &Arc<str>| id.strip_prefix(Layer::Setting.prefix()) == Some(built_in::MINIMUM);
    if forbids.iter().any(|id| id.starts_with(Layer::GuardRail.prefix())) {
        " Guard-rails are the operator's to change."
    } else if forbids.iter().any(by_setting) {
        " It is the tenant's `factors.minimum`."
    } else {
        ""
    }
}

/// The permit that lacks the least, and what it lacks.
fn nearest(question: &Question<'_>, policies: &[PolicyView]) -> String {
    let permit = policies.iter().find(|view| view.effect == "permit");
    let lacking = permit.and_then(|near| near.conditions.iter().find(|one| one.holds != Some(true)).map(|c| (near, c)));
    let Some((near, condition)) = lacking else {
        return "None comes near: it takes a policy that says who may.".to_owned();
    };
    let saw: Vec<_> = condition.saw.iter().map(|saw| seen(question, saw)).collect();
    let saw = if saw.is_empty() { String::new() } else { format!(": {}", and(&saw)) };
    format!("`{}` comes nearest, but {}{saw}.", near.id, unmet(condition))
}

fn unmet(ConditionView { text, holds, .. }: &ConditionView) -> String {
    match (holds, text.strip_prefix("unless ")) {
        (None, _) => format!("`{text}` cannot be evaluated"),
        (_, Some(exception)) => format!("its exception `{exception}` applies"),
        (_, None) => format!("`{text}` does not hold"),
    }
}

/// A value that a condition saw, as words.
fn seen(question: &Question<'_>, Saw { path, value }: &Saw) -> String {
    let facts = &question.facts;
    match path.as_str() {
        "principal" => format!("the caller is {}", who(question.principal.caller())),
        "context.signed_in" if facts.signed_in.is_none() => "nobody is signed in".to_owned(),
        "context.time" => format!("context.time is {}", facts.time),
        "context.client" => format!("context.client is {}", facts.client.to_canonical()),
        _ => format!("{path} is {}", plain(value)),
    }
}

fn who(caller: &Caller) -> String {
    match caller {
        Caller::Visitor => "a visitor".to_owned(),
        Caller::User(user) => format!("{}, {}", person(user), within(&user.groups)),
        Caller::Service { id, groups } => format!("the service account `{id}`, {}", within(groups)),
        Caller::Workload { spiffe_id } => format!("the workload `{spiffe_id}`"),
    }
}

fn person(user: &UserFacts) -> String {
    match user.name.as_str() {
        "" => user.email.clone(),
        name if name == user.email => user.email.clone(),
        name => format!("{name} ({})", user.email),
    }
}

fn within(groups: &[cardea_core::GroupId]) -> String {
    let named: Vec<_> = groups.iter().map(|group| format!("`{group}`")).collect();
    if named.is_empty() { "in no group".to_owned() } else { format!("in {}", and(&named)) }
}

fn plain(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::Null => "not there".to_owned(),
        serde_json::Value::String(text) => format!("`{text}`"),
        serde_json::Value::Array(items) if items.is_empty() => "empty".to_owned(),
        serde_json::Value::Array(items) => and(&items.iter().map(plain).collect::<Vec<_>>()),
        other => other.to_string(),
    }
}
