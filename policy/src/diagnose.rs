//! Puts Cedar's findings into our words, with the place and the way out.

use cardea_core::{Diagnostic, diagnostic::nearest};
use cedar_policy_core::{
    ast::{ActionConstraint, EntityUID, ExprKind, Literal, Template},
    parser::{Loc, err::ParseErrors},
    validator::{ValidationError, ValidationWarning, validation_errors::AttributeAccess},
};
use miette::Diagnostic as _;

use crate::{
    budget::MISTAKES,
    built_in,
    schema::{CONTEXT, Schema},
};

/// Names that a tenant knows beside its schema.
pub(crate) struct Known<'a> {
    pub(crate) groups: Vec<&'a str>,
    pub(crate) apps: Vec<&'a str>,
}

/// What the parser stumbled over.
pub(crate) fn unreadable(source: &str, text: &str, errors: &ParseErrors) -> Vec<Diagnostic> {
    errors
        .iter()
        .take(MISTAKES)
        .map(|error| {
            let label = error.labels().and_then(|mut labels| labels.next());
            let found = Diagnostic::new(source, sentence(&error.to_string()));
            let found = match &label {
                Some(label) => found.at(text, label.offset(), label.offset() + label.len()),
                None => found,
            };
            let help = error.help().map(|help| help.to_string());
            let place = label.as_ref().map_or(text.len(), |label| label.offset());
            match help.or_else(|| label.and_then(|label| label.label().map(str::to_owned))) {
                Some(help) => found.help(unended(text, place, &help).unwrap_or_else(|| sentence(&help))),
                None => found,
            }
        })
        .collect()
}

/// A `;` that is missing. The parser tells of it by what might also stand there, and where another policy follows, at its
/// bracket: it has taken that policy's `permit` for the beginning of a condition.
fn unended(text: &str, place: usize, help: &str) -> Option<String> {
    let before = text.get(..place)?.trim_end();
    let next = ["permit", "forbid"].into_iter().find(|word| before.ends_with(word) && before.len() > word.len());
    match next {
        Some(next) if help == "expected `{`" => {
            Some(format!("each policy ends with `;`: one is missing before this `{next}`"))
        }
        _ => {
            (help == "expected `;` or identifier").then(|| "each policy ends with `;`: one is missing here".to_owned())
        }
    }
}

/// What the validator found.
pub(crate) fn invalid(source: &str, text: &str, error: &ValidationError, schema: &Schema) -> Diagnostic {
    let (message, help) = worded(error, schema);
    let found = place(Diagnostic::new(source, message), text, error);
    match help.or_else(|| error.help().map(|help| sentence(&help.to_string()))) {
        Some(help) => found.help(help),
        None => found,
    }
}

/// Something the validator finds odd but not wrong, such as a policy that can never match.
pub(crate) fn odd(source: &str, text: &str, warning: &ValidationWarning) -> Diagnostic {
    let found = match warning {
        ValidationWarning::ImpossiblePolicy(_) => Diagnostic::new(source, "this policy can never match")
            .help("its scope and conditions exclude each other, or it asks for something that is never there"),
        ValidationWarning::InvalidActionApplication(_) => {
            Diagnostic::new(source, "no action fits this principal and resource")
                .help("callers are `User`, `Service`, `Workload` or `Visitor`; groups are joined with `in`")
        }
        other => Diagnostic::new(source, stripped(&other.to_string())),
    };
    place(found, text, warning)
}

/// `action == Action::"read"`: Cedar takes it, but a request's action is never the group itself.
pub(crate) fn group_taken_for_action(source: &str, policy: &Template) -> Option<Diagnostic> {
    let ActionConstraint::Eq(uid) = policy.action_constraint() else { return None };
    let id: &str = uid.eid().as_ref();
    ["read", "write"].contains(&id).then(|| {
        Diagnostic::new(source, format!("`{id}` is a group of actions, so `action == …` never matches it"))
            .help(format!("write `action in Action::\"{id}\"`"))
    })
}

/// Groups and apps that the policy names and nobody knows: Cedar takes any id, and such a policy would never match.
pub(crate) fn unknown_names(source: &str, text: &str, policy: &Template, known: &Known<'_>) -> Vec<Diagnostic> {
    let mut found: Vec<Diagnostic> = Vec::new();
    let condition = policy.condition();
    for expr in condition.subexpressions() {
        let ExprKind::Lit(Literal::EntityUID(uid)) = expr.expr_kind() else { continue };
        let Some(one) = unknown_name(source, uid, known) else { continue };
        let one = match uid.loc().or(expr.source_loc()) {
            Some(loc) => one.at(text, loc.start(), loc.end()),
            None => locate(one, text, uid, policy.loc()),
        };
        if !found.contains(&one) {
            found.push(one);
        }
        if found.len() >= MISTAKES {
            break;
        }
    }
    found
}

/// The validator gave up without a word: its recursion limit, met anywhere, makes a policy neither right nor wrong.
pub(crate) fn not_validated(source: &str) -> Diagnostic {
    Diagnostic::new(source, "the policy is too deep to be validated").help("give parts of it to policies of their own")
}

fn unknown_name(source: &str, uid: &EntityUID, known: &Known<'_>) -> Option<Diagnostic> {
    let id: &str = uid.eid().as_ref();
    let kind = uid.entity_type().to_string();
    let (names, word) = match kind.as_str() {
        "Group" => (&known.groups, "group"),
        "App" => (&known.apps, "app"),
        _ => return None,
    };
    if names.contains(&id) || kind == "App" && id == built_in::DECISIONS {
        return None;
    }
    let found = Diagnostic::new(source, format!("there is no {word} `{id}`"));
    Some(match nearest(id, names.iter().copied()) {
        Some(near) => found.help(format!("did you mean `{kind}::\"{near}\"`?")),
        None if names.is_empty() => found.help(format!("this tenant has no {word}s yet")),
        None => found.help(format!("known {word}s: {}", listed(names.iter().copied()))),
    })
}

/// Finds the written name within the policy, for literals of scopes, which carry no place of their own.
fn locate(found: Diagnostic, text: &str, uid: &EntityUID, policy: Option<&Loc>) -> Diagnostic {
    let written = uid.to_string();
    let (start, end) = policy.map_or((0, text.len()), |loc| (loc.start(), loc.end()));
    match text.get(start..end).and_then(|part| part.find(&written)) {
        Some(at) => found.at(text, start + at, start + at + written.len()),
        None => found.at(text, start, end),
    }
}

fn worded(error: &ValidationError, schema: &Schema) -> (String, Option<String>) {
    match error {
        ValidationError::UnrecognizedEntityType(one) => {
            let kind = one.actual_entity_type.as_str();
            let known = schema.types.iter().map(String::as_str);
            let help = match nearest(kind, known.clone()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known types: {}", listed(known)),
            };
            (format!("there is no type `{kind}`"), Some(help))
        }
        ValidationError::UnrecognizedActionId(one) => {
            let id = one.actual_action_id.trim_start_matches("Action::").trim_matches('"');
            let known = schema.actions.iter().map(String::as_str);
            let help = match nearest(id, known.clone()) {
                Some(near) => format!("did you mean `Action::\"{near}\"`?"),
                None => format!("known actions: {}", listed(known)),
            };
            (format!("there is no action `{id}`"), Some(help))
        }
        ValidationError::FunctionArgumentValidation(one) => (sentence(&one.msg), one.help.as_deref().map(sentence)),
        ValidationError::UnsafeAttributeAccess(one) => attribute(&one.attribute_access, one.suggestion.as_deref()),
        _ => (stripped(&error.to_string()), None),
    }
}

fn attribute(access: &AttributeAccess, suggestion: Option<&str>) -> (String, Option<String>) {
    let dotted = |attrs: &[_]| {
        let mut names: Vec<String> = attrs.iter().map(ToString::to_string).collect();
        names.reverse();
        names.join(".")
    };
    match access {
        AttributeAccess::Context(_, attrs) => {
            let name = dotted(attrs.as_slice());
            let known = CONTEXT.iter().map(|(name, _)| *name);
            let help = match nearest(&name, known.clone()) {
                Some(near) => format!("did you mean `context.{near}`?"),
                None => format!("the context has {}", listed(known)),
            };
            (format!("the context has no attribute `{name}`"), Some(help))
        }
        AttributeAccess::EntityLUB(lub, attrs) => {
            let name = dotted(attrs.as_slice());
            let kind = lub.clone().into_single_entity().map_or_else(|| "entity".to_owned(), |kind| kind.to_string());
            let help = match suggestion {
                Some(near) => format!("did you mean `{near}`?"),
                None if ["User", "Service", "Workload", "Visitor"].contains(&kind.as_str()) => {
                    format!(
                        "not every caller has it: say `principal is User` in the scope, or ask `principal has {name}` first"
                    )
                }
                None => format!(
                    "not every resource has it: say `resource is …` in the scope, or ask `resource has {name}` first"
                ),
            };
            (format!("type `{kind}` has no attribute `{name}`"), Some(help))
        }
        AttributeAccess::Other(attrs) => (format!("there is no attribute `{}`", dotted(attrs.as_slice())), None),
    }
}

fn place(found: Diagnostic, text: &str, error: &impl miette::Diagnostic) -> Diagnostic {
    match error.labels().and_then(|mut labels| labels.next()) {
        Some(label) => found.at(text, label.offset(), label.offset() + label.len()),
        None => found,
    }
}

/// Without the policy's number, which the place says better.
fn stripped(message: &str) -> String {
    let rest = match message.strip_prefix("for policy `") {
        Some(rest) => rest.split_once("`, ").or_else(|| rest.split_once("`: ")).map_or(message, |(_, rest)| rest),
        None => message,
    };
    sentence(rest)
}

/// In lower case and without a full stop, as all our messages are.
fn sentence(text: &str) -> String {
    let text = text.trim().trim_end_matches('.');
    let mut chars = text.chars();
    match (chars.next(), chars.clone().next()) {
        (Some(first), Some(second)) if first.is_uppercase() && second.is_lowercase() => {
            first.to_lowercase().chain(chars).collect()
        }
        _ => text.to_owned(),
    }
}

fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut names: Vec<_> = names.map(|name| format!("`{name}`")).collect();
    if names.len() > 12 {
        names.truncate(12);
        names.push("…".to_owned());
    }
    names.join(", ")
}
