//! A decision told so that an administrator sees why, and why not.

use std::{collections::BTreeMap, sync::Arc};

use cardea_core::{Assurance, Caller};

use crate::{
    CallerView, ChallengeView, Engine, Explanation, PolicyView, Question, ResourceView, Verdict, VerdictWord,
    context::values,
    rule::{Needs, Rule},
    sentence,
    witness::{Witness, json},
};

/// How many policies that came near are told of; more would hide the ones that matter.
const NEAR_MAX: usize = 20;

pub(crate) fn explain(engine: &Engine, question: &Question<'_>, reach: Assurance) -> Explanation {
    let verdict = engine.decide(question);
    let challenge = if verdict.allowed { None } else { engine.challenge(question, reach) };
    let policies = policies(engine, question, &verdict);
    Explanation {
        caller: caller(question.principal.caller()),
        action: question.target.action().to_string(),
        app: question.target.app().to_string(),
        resource: resource(question),
        context: context(question),
        verdict: match (verdict.allowed, challenge) {
            (true, _) => VerdictWord::Allow,
            (false, Some(_)) => VerdictWord::Challenge,
            (false, None) => VerdictWord::Deny,
        },
        challenge: challenge.map(|need| ChallengeView { need }),
        reason_text: sentence::reason(question, &verdict, challenge, &policies),
        policies,
        errors: verdict.errors,
        changed_since: Vec::new(),
    }
}

fn policies(engine: &Engine, question: &Question<'_>, verdict: &Verdict) -> Vec<PolicyView> {
    let Ok(witness) = Witness::of(question) else { return Vec::new() };
    let mut views: Vec<_> = engine.near(question).into_iter().map(|rule| view(rule, verdict, &witness)).collect();
    // Nearest first: what determined, then what fits in scope, then what wants the least.
    views.sort_by_key(|view| {
        let missing = view.conditions.iter().filter(|condition| condition.holds != Some(true)).count();
        (!view.determined, !view.scope_matches, missing)
    });
    let kept = views.iter().filter(|view| view.determined).count().max(NEAR_MAX);
    views.truncate(kept);
    views
}

fn view(rule: &Rule, verdict: &Verdict, witness: &Witness) -> PolicyView {
    let misfits = witness.scope_misfits(rule);
    let scope_matches = misfits.is_empty();
    PolicyView {
        id: Arc::clone(&rule.id),
        effect: rule.effect.to_string(),
        layer: rule.layer.word().to_owned(),
        text: rule.text.to_string(),
        determined: verdict.determined_by.contains(&rule.id),
        scope_matches,
        conditions: misfits.into_iter().chain(witness.conditions(rule)).collect(),
    }
}

fn caller(caller: &Caller) -> CallerView {
    let groups = |groups: &[cardea_core::GroupId]| groups.iter().map(ToString::to_string).collect();
    let view = |kind: &str, label: &str| CallerView {
        kind: kind.to_owned(),
        label: label.to_owned(),
        email: None,
        groups: Vec::new(),
    };
    match caller {
        Caller::Visitor => view("visitor", "visitor"),
        Caller::User(user) => CallerView {
            email: Some(user.email.clone()),
            groups: groups(&user.groups),
            ..view("user", if user.name.is_empty() { &user.email } else { &user.name })
        },
        Caller::Service { id, groups: own } => CallerView { groups: groups(own), ..view("service", id) },
        Caller::Workload { spiffe_id } => view("workload", spiffe_id),
    }
}

fn resource(question: &Question<'_>) -> ResourceView {
    let own = |(name, value): (&Arc<str>, &Arc<str>)| (name.to_string(), value.to_string());
    ResourceView {
        kind: question.target.resource_type().to_string(),
        id: question.target.resource_id().to_string(),
        attributes: question.target.attributes().map(own).collect(),
    }
}

fn context(question: &Question<'_>) -> BTreeMap<String, serde_json::Value> {
    let mut shown = BTreeMap::new();
    for (name, value) in values::<&'static str>(&question.facts, Needs::ALL).unwrap_or_default() {
        shown.insert(name.to_owned(), json(&value));
    }
    // Cedar's own value means nothing to a reader, and a visitor's sign-in has no age at all.
    shown.insert("time".to_owned(), question.facts.time.to_string().into());
    shown.insert("client".to_owned(), question.facts.client.to_canonical().to_string().into());
    shown.insert("signed_in".to_owned(), question.facts.signed_in.into());
    shown
}
