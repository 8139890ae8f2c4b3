//! The tenant's Cedar schema, generated from its apps: what policies may speak of, and nothing else.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};

use cardea_core::{AttributeKinds, Diagnostic, Diagnostics, resources::AppSpec};
use cedar_policy_core::{extensions::Extensions, validator::ValidatorSchema};

use crate::{
    app_model::{Group, METHODS, attributes_of},
    built_in::PREFLIGHT,
    words::BASE_TYPES,
};

/// The schema as text for people and compiled for the validator.
#[derive(Debug, Clone)]
pub(crate) struct Schema {
    pub(crate) text: String,
    pub(crate) compiled: ValidatorSchema,
    /// Every action's name, groups included.
    pub(crate) actions: BTreeSet<String>,
    /// Every entity type.
    pub(crate) types: BTreeSet<String>,
}

/// The names of the context's attributes and their Cedar types, in the order in which people read them.
pub(crate) const CONTEXT: [(&str, &str); 10] = [
    ("assurance", "Long"),
    ("signed_in", "Long"),
    ("factors", "Set<String>"),
    ("time", "datetime"),
    ("client", "ipaddr"),
    ("method", "String"),
    ("host", "String"),
    ("path", "String"),
    ("client_id", "String"),
    ("scope", "Set<String>"),
];

/// Names that a resource type may not take, since the schema gives them another meaning.
const TAKEN: [&str; 5] = ["User", "Group", "Service", "Workload", "Visitor"];
const CEDAR_NAMES: [&str; 9] = ["App", "Action", "Long", "String", "Bool", "Boolean", "Set", "Entity", "Extension"];

impl Schema {
    /// Generates and compiles the schema of these apps.
    pub(crate) fn generate(apps: &[&AppSpec], attributes: &AttributeKinds) -> Result<Self, Diagnostics> {
        let mut found = Diagnostics::default();
        let types = resource_types(apps, &mut found);
        let named = named_actions(apps, &mut found);
        if !found.0.is_empty() {
            return Err(found);
        }
        let text = write(&types, &named, attributes);
        let compiled = match ValidatorSchema::from_cedarschema_str(&text, Extensions::all_available()) {
            Ok((compiled, _)) => compiled,
            Err(error) => return Err(Diagnostic::new("schema", format!("the schema does not compile: {error}")).into()),
        };
        let actions = METHODS.iter().map(|(name, _)| *name).chain(["read", "write"]).chain(named.keys().copied());
        let kinds = BASE_TYPES.into_iter().chain(types.keys().copied());
        Ok(Self {
            actions: actions.map(str::to_owned).collect(),
            types: kinds.map(str::to_owned).collect(),
            text,
            compiled,
        })
    }
}

fn resource_types<'a>(apps: &[&'a AppSpec], found: &mut Diagnostics) -> BTreeMap<&'a str, BTreeSet<&'a str>> {
    let mut types: BTreeMap<&str, (BTreeSet<&str>, &str)> = BTreeMap::new();
    for app in apps {
        let source = format!("apps/{}", app.id);
        for rule in &app.resources {
            let kind = rule.kind.as_str();
            if TAKEN.contains(&kind) || CEDAR_NAMES.contains(&kind) {
                found.push(
                    Diagnostic::new(&source, format!("type `{kind}` has the name of one that every tenant has"))
                        .help("choose a word of your own, such as `Record`"),
                );
                continue;
            }
            let attributes: BTreeSet<_> = attributes_of(rule).collect();
            match types.get(kind) {
                Some((first, owner)) if *first != attributes => found.push(
                    Diagnostic::new(
                        &source,
                        format!(
                            "type `{kind}` has the attributes {} here but {} in app `{owner}`",
                            list(&attributes),
                            list(first)
                        ),
                    )
                    .help("give each type the same attributes everywhere, or choose another name"),
                ),
                Some(_) => {}
                None => {
                    types.insert(kind, (attributes, app.id.as_str()));
                }
            }
        }
    }
    types.into_iter().map(|(kind, (attributes, _))| (kind, attributes)).collect()
}

fn named_actions<'a>(apps: &[&'a AppSpec], found: &mut Diagnostics) -> BTreeMap<&'a str, Group> {
    let mut named: BTreeMap<&str, Group> = BTreeMap::new();
    let shared = apps.iter().any(|app| app.cors.is_some());
    if shared {
        named.insert(PREFLIGHT, Group::Read);
    }
    for app in apps {
        for rule in &app.actions {
            let Some(group) = Group::of(&rule.method) else { continue };
            if shared && rule.action == PREFLIGHT {
                found.push(
                    Diagnostic::new(
                        format!("apps/{}", app.id),
                        format!("action `{PREFLIGHT}` is what apps with `[cors]` are asked by browsers"),
                    )
                    .help("choose another name"),
                );
                continue;
            }
            if *named.entry(rule.action.as_str()).or_insert(group) != group {
                // An action in both groups would let whoever may read also write.
                found.push(
                    Diagnostic::new(
                        format!("apps/{}", app.id),
                        format!("action `{}` names both a reading and a writing request", rule.action),
                    )
                    .help("give the reading one a name of its own"),
                );
            }
        }
    }
    named
}

fn write(types: &BTreeMap<&str, BTreeSet<&str>>, named: &BTreeMap<&str, Group>, attributes: &AttributeKinds) -> String {
    // Nobody has an attribute before it is said of them: a policy asks `principal has clearance` first.
    let own: String = attributes.iter().map(|(name, kind)| format!(", \"{name}\"?: {}", kind.cedar())).collect();
    let mut text = format!(
        "// Who asks.\nentity Group in [Group];\nentity User in [Group] {{ \"id\": String, \"email\": String, \"name\": String{own} }};\n\
         entity Service in [Group];\nentity Workload;\nentity Visitor;\n\n// What is asked for.\nentity App;\n",
    );
    for (kind, attributes) in types {
        let fields: Vec<_> = attributes.iter().map(|name| format!("\"{name}\": String")).collect();
        let _ = writeln!(text, "entity {kind} in [App] {{ {} }};", fields.join(", "));
    }
    text.push_str("\n// The circumstances.\ntype Circumstances = {\n");
    for (name, kind) in CONTEXT {
        let _ = writeln!(text, "  \"{name}\": {kind},");
    }
    text.push_str("};\n\n// What is done.\naction \"read\";\naction \"write\";\n");
    let resources: Vec<_> = std::iter::once("App").chain(types.keys().copied()).collect();
    for (name, group) in METHODS.iter().copied().chain(named.iter().map(|(name, group)| (*name, *group))) {
        let _ = writeln!(
            text,
            "action \"{name}\" in [\"{}\"] appliesTo {{ principal: [User, Service, Workload, Visitor], resource: [{}], context: Circumstances }};",
            group.name(),
            resources.join(", "),
        );
    }
    text
}

fn list(names: &BTreeSet<&str>) -> String {
    if names.is_empty() {
        return "none".to_owned();
    }
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
