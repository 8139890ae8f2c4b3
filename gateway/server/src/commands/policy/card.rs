//! The decision card as text: who, what, on which, under which circumstances, verdict, and why.

use std::fmt::Write as _;

use cardea_audit::{Entry, Event};
use cardea_policy::{ConditionView, Explanation, PolicyView, VerdictWord};
use serde_json::Value;

/// The entry's head: when, where, and how the request ended.
pub(super) fn entry(entry: &Entry, seq: u64) -> String {
    let mut text = format!("entry    {} (number {seq}, {})", entry.id, entry.at);
    if let Event::Request(request) = &entry.event {
        let _ = write!(
            text,
            "\nrequest  {} {}{} ended with {}",
            request.method, request.host, request.path, request.status
        );
        if let Some(reason) = request.reason {
            let _ = write!(text, " ({reason})");
        }
        if let Some(detail) = &request.detail {
            let _ = write!(text, "\ndetail   {detail}");
        }
        if let Some(decision) = &request.decision {
            let _ = write!(text, "\npolicies version {} ({})", decision.policy.version, short(&decision.policy.hash));
        }
    } else {
        let _ = write!(text, "\nevent    {}", entry.event.code());
    }
    text
}

fn short(hash: &str) -> &str {
    hash.get(..12).unwrap_or(hash)
}

/// The decision.
pub(super) fn card(told: &Explanation) -> String {
    let mut text = String::new();
    let who = told.caller.email.as_deref().unwrap_or(&told.caller.label);
    let groups = if told.caller.groups.is_empty() { "no group".to_owned() } else { told.caller.groups.join(", ") };
    let _ = writeln!(text, "who      {who} ({}; {groups})", told.caller.kind);
    let _ = writeln!(text, "did      {} on app {}", told.action, told.app);
    let _ = writeln!(text, "on       {}::\"{}\"{}", told.resource.kind, told.resource.id, attributes(told));
    let shown = ["assurance", "factors", "signed_in", "client", "time"];
    let context =
        shown.iter().filter_map(|name| told.context.get(*name).map(|value| format!("{name} {}", plain(value))));
    let _ = writeln!(text, "with     {}", context.collect::<Vec<_>>().join(", "));
    let _ = writeln!(text, "verdict  {}: {}", verdict(told), told.reason_text);
    for changed in &told.changed_since {
        let _ = writeln!(text, "but      {changed}");
    }
    for error in &told.errors {
        let _ = writeln!(text, "error    {}: {}", error.policy, error.message);
    }
    for one in &told.policies {
        policy(&mut text, one);
    }
    text.truncate(text.trim_end().len());
    text
}

fn attributes(told: &Explanation) -> String {
    let all: Vec<_> = told.resource.attributes.iter().map(|(name, value)| format!("{name}={value}")).collect();
    if all.is_empty() { String::new() } else { format!(" ({})", all.join(", ")) }
}

fn verdict(told: &Explanation) -> String {
    match (told.verdict, &told.challenge) {
        (VerdictWord::Allow, _) => "ALLOW".to_owned(),
        (VerdictWord::Challenge, Some(challenge)) => format!("CHALLENGE ({})", challenge.need.need()),
        (VerdictWord::Challenge, None) => "CHALLENGE".to_owned(),
        (VerdictWord::Deny, _) => "DENY".to_owned(),
    }
}

fn policy(text: &mut String, one: &PolicyView) {
    let mark = if one.determined { "=>" } else { "  " };
    let scope = if one.scope_matches { "scope fits" } else { "scope does not fit" };
    let _ = writeln!(text, "\n{mark} {} {} ({}; {scope})", one.effect, one.id, one.layer);
    for condition in &one.conditions {
        let _ = writeln!(text, "     {}", line(condition));
    }
}

fn line(condition: &ConditionView) -> String {
    let mark = match condition.holds {
        Some(true) => "[x]",
        Some(false) => "[ ]",
        None => "[?]",
    };
    let saw: Vec<_> = condition.saw.iter().map(|saw| format!("{} = {}", saw.path, plain(&saw.value))).collect();
    let saw = if saw.is_empty() { String::new() } else { format!("   ({})", saw.join(", ")) };
    format!("{mark} {}{saw}", condition.text.split_whitespace().collect::<Vec<_>>().join(" "))
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => format!("[{}]", items.iter().map(plain).collect::<Vec<_>>().join(", ")),
        Value::Null => "nothing".to_owned(),
        other => other.to_string(),
    }
}
