//! The decision card as text: who, what, on which, under which circumstances, verdict, and why.

use std::fmt;

use cardea_audit::{Entry, Event};
use cardea_policy::{ConditionView, Explanation, PolicyView, VerdictWord};
use serde_json::Value;

use super::super::printable;

/// The entry's head: when, where, and how the request ended.
pub(super) fn entry(entry: &Entry, seq: u64) -> String {
    let mut card = Card::default();
    card.line(format_args!("entry    {} (number {seq}, {})", entry.id, entry.at));
    if let Event::Request(request) = &entry.event {
        let why = request.reason.map_or_else(String::new, |reason| format!(" ({reason})"));
        let (method, host, path, status) = (&request.method, &request.host, &request.path, request.status);
        card.line(format_args!("request  {method} {host}{path} ended with {status}{why}"));
        if let Some(detail) = &request.detail {
            card.line(format_args!("detail   {detail}"));
        }
        if let Some(decision) = &request.decision {
            let policy = &decision.policy;
            card.line(format_args!("policies version {} ({})", policy.version, short(&policy.hash)));
        }
    } else {
        card.line(format_args!("event    {}", entry.event.code()));
    }
    card.text()
}

fn short(hash: &str) -> &str {
    hash.get(..12).unwrap_or(hash)
}

/// Whether a value is to be shown: most requests come with no token.
fn says(name: &str, value: &Value) -> bool {
    !matches!(name, "client_id" | "scope") || *value != "" && *value != Value::Array(Vec::new())
}

/// The decision.
pub(super) fn card(told: &Explanation) -> String {
    let mut card = Card::default();
    let who = told.caller.email.as_deref().unwrap_or(&told.caller.label);
    let groups = if told.caller.groups.is_empty() { "no group".to_owned() } else { told.caller.groups.join(", ") };
    card.line(format_args!("who      {who} ({}; {groups})", told.caller.kind));
    card.line(format_args!("did      {} on app {}", told.action, told.app));
    card.line(format_args!("on       {}::\"{}\"{}", told.resource.kind, told.resource.id, attributes(told)));
    let shown = ["assurance", "factors", "signed_in", "client_id", "scope", "client", "time"];
    let context = shown.iter().filter_map(|name| {
        let value = told.context.get(*name).filter(|value| says(name, value))?;
        Some(format!("{name} {}", plain(value)))
    });
    card.line(format_args!("with     {}", context.collect::<Vec<_>>().join(", ")));
    card.line(format_args!("verdict  {}: {}", verdict(told), told.reason_text));
    for changed in &told.changed_since {
        card.line(format_args!("but      {changed}"));
    }
    for error in &told.errors {
        card.line(format_args!("error    {}: {}", error.policy, error.message));
    }
    for one in &told.policies {
        policy(&mut card, one);
    }
    card.text()
}

/// A card that is being written.
#[derive(Default)]
struct Card(String);

impl Card {
    /// INVARIANT: nothing comes onto a card but through here. A stranger wrote some of it: a path moves no cursor, and makes no
    /// line of its own.
    fn line(&mut self, line: fmt::Arguments<'_>) {
        self.0.push_str(&printable(&line.to_string()));
        self.0.push('\n');
    }

    fn gap(&mut self) {
        self.0.push('\n');
    }

    fn text(mut self) -> String {
        self.0.truncate(self.0.trim_end().len());
        self.0
    }
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

fn policy(card: &mut Card, one: &PolicyView) {
    let mark = if one.determined { "=>" } else { "  " };
    let scope = if one.scope_matches { "scope fits" } else { "scope does not fit" };
    card.gap();
    card.line(format_args!("{mark} {} {} ({}; {scope})", one.effect, one.id, one.layer));
    for condition in &one.conditions {
        card.line(format_args!("     {}", line(condition)));
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

#[cfg(test)]
mod tests {
    use cardea_audit::{Actor, Request};
    use cardea_core::{EntryId, Reason, Timestamp, entropy::Fixed};
    use serde_json::json;

    use super::*;

    /// Clears the screen, turns the line around, and would have a line say something else.
    const ODD: &str = "/\u{9b}2J\u{202e}x\nverdict  ALLOW";
    const SHOWN: &str = "/\u{fffd}2J\u{fffd}x\u{fffd}verdict  ALLOW";

    #[test]
    fn what_a_stranger_asked_for_moves_no_cursor_and_makes_no_line() {
        let now = Timestamp::from_secs(1_763_800_000);
        let request = Request {
            app: None,
            method: "GET".into(),
            host: "lab.acme.example".into(),
            path: ODD.into(),
            status: 403,
            reason: Some(Reason::Denied),
            micros: 1,
            decision: None,
            by: None,
            asked_by: None,
            detail: Some(ODD.to_owned()),
        };
        let (id, event) = (EntryId::mint(now, &Fixed::new(1)), Event::Request(Box::new(request)));
        let (actor, session, client) = (Actor::OPERATOR, None, None);
        let head = entry(&Entry { id, at: now, tenant: None, actor, session, client, event }, 7);
        let lines: Vec<_> = head.lines().collect();
        assert_eq!(lines[0], format!("entry    {id} (number 7, {now})"));
        assert_eq!(lines[1], format!("request  GET lab.acme.example{SHOWN} ended with 403 (denied)"));
        assert_eq!(lines[2..], [format!("detail   {SHOWN}")]);

        let told: Explanation = serde_json::from_value(json!({
            "caller": { "kind": "user", "label": ODD, "email": null, "groups": ["readers"] },
            "action": "GET",
            "app": "lab",
            "resource": { "type": "Study", "id": ODD, "attributes": { "study": ODD } },
            "context": { "client": ODD },
            "verdict": "deny",
            "challenge": null,
            "reason_text": "no policy allows it",
            "policies": [{
                "id": "p", "effect": "permit", "layer": "tenant", "text": "", "determined": true, "scope_matches": true,
                "conditions": [{
                    "text": "resource.study == \"x\"", "holds": false, "saw": [{ "path": "resource.study", "value": ODD }],
                }],
            }],
            "errors": [{ "policy": "q", "message": ODD }],
        }))
        .unwrap();
        let expected = [
            format!("who      {SHOWN} (user; readers)"),
            "did      GET on app lab".to_owned(),
            format!("on       Study::\"{SHOWN}\" (study={SHOWN})"),
            format!("with     client {SHOWN}"),
            "verdict  DENY: no policy allows it".to_owned(),
            format!("error    q: {SHOWN}"),
            String::new(),
            "=> permit p (tenant; scope fits)".to_owned(),
            format!("     [ ] resource.study == \"x\"   (resource.study = {SHOWN})"),
        ];
        assert_eq!(card(&told).lines().collect::<Vec<_>>(), expected);
    }
}
